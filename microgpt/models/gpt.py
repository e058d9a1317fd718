"""GPT: the torch module, for training and as the reference that every backend is compared with.

x = wte[token] + wpe[position]; RMSNorm; then per layer pre-norm causal attention and a pre-norm ReLU MLP, each
with a residual; logits = lm_head x. RMSNorm has no gain, nothing has a bias, and there is no final norm.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from microgpt.config import ModelConfig

RMS_EPS = 1e-5


def rms_norm(x: Tensor) -> Tensor:
    """x / sqrt(mean(x^2) + eps) over the last dimension, without a gain."""
    return F.rms_norm(x, (x.shape[-1],), eps=RMS_EPS)


class Block(nn.Module):
    """One transformer layer: x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        n = config.n_embd
        self.n_head = config.n_head
        self.attn_wq = nn.Linear(n, n, bias=False)
        self.attn_wk = nn.Linear(n, n, bias=False)
        self.attn_wv = nn.Linear(n, n, bias=False)
        self.attn_wo = nn.Linear(n, n, bias=False)
        self.mlp_fc1 = nn.Linear(n, 4 * n, bias=False)
        self.mlp_fc2 = nn.Linear(4 * n, n, bias=False)

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of normalised x: (..., C) -> three of (..., H, D)."""
        h = rms_norm(x)
        heads = (*x.shape[:-1], self.n_head, -1)
        return self.attn_wq(h).view(heads), self.attn_wk(h).view(heads), self.attn_wv(h).view(heads)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """x after both residuals, given the heads' outputs concatenated: both (..., C)."""
        x = x + self.attn_wo(attended)
        return x + self.mlp_fc2(F.relu(self.mlp_fc1(rms_norm(x))))


class GPT(nn.Module):
    """The model. Parameter names equal the checkpoint's tensor names but for `layer{i}` -> `layers.{i}`."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)

    def blocks(self) -> list[Block]:
        """The layers, typed."""
        return [layer for layer in self.layers if isinstance(layer, Block)]

    def embed(self, ids: Tensor, positions: Tensor) -> Tensor:
        """Normalised input embeddings: two integer tensors of one shape (...) -> (..., C)."""
        return rms_norm(self.wte(ids) + self.wpe(positions))

    def forward(self, ids: Tensor, positions: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Logits at every position: ids (B, T) -> (B, T, vocab).

        positions: (B, T), by default 0..T-1. mask: boolean, broadcastable to (B, H, T, T), True where a query
        (third dimension) may look at a key (fourth); by default causal. Packed rows, where several documents share
        a row, pass both.
        """
        B, T = ids.shape
        if positions is None:
            positions = torch.arange(T, device=ids.device).expand(B, T)
        x = self.embed(ids, positions)  # (B, T, C)
        for block in self.blocks():
            q, k, v = (t.transpose(1, 2) for t in block.qkv(x))  # (B, H, T, D)
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
            x = block.finish(x, y.transpose(1, 2).reshape(B, T, -1))
        return self.lm_head(x)

    def init_weights(self, seed: int) -> None:
        """Draw every weight anew from N(0, 0.02), residual outputs scaled by 1/sqrt(2 n_layer) as in GPT-2."""
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            std = 0.02
            if name.endswith(("attn_wo.weight", "mlp_fc2.weight")):
                std /= (2 * self.config.n_layer) ** 0.5
            with torch.no_grad():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Checkpoint tensors: name -> float32 array (output, input), copied."""
        return {
            checkpoint_name(name): parameter.detach().to("cpu", torch.float32).numpy().copy()
            for name, parameter in self.named_parameters()
        }

    def load_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Copy checkpoint tensors (any float array) into the parameters, in the parameters' dtype and device."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(arrays[checkpoint_name(name)])))


def checkpoint_name(parameter_name: str) -> str:
    """`layers.0.attn_wq.weight` -> `layer0.attn_wq`."""
    return parameter_name.removesuffix(".weight").replace("layers.", "layer")
