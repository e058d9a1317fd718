"""The packed forward pass and its loss: GPT.forward for every document of a Batch at once.

The same arithmetic as models.gpt, arranged for speed: flat tokens, one matrix product for queries, keys and values,
matrix products in `dtype` while weights, norms, residuals and attention stay in the weights' own type.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from microgpt.models.gpt import GPT, RMS_EPS, Block
from microgpt.training.batches import Batch

# Rows of logits made at a time. 4,096 rows at once take 16 MB for a vocabulary of 1024, fetched from the system
# afresh at each step: twice as slow as pieces that fit the cache.
_LOGIT_ROWS = 512


def batch_loss(model: GPT, batch: Batch, dtype: torch.dtype) -> Tensor:
    """Mean cross entropy in nats over the batch's targets: a scalar that can be differentiated.

    dtype: what matrix products are computed in; the weights keep their own.
    """
    x = hidden_states(model, batch, dtype)  # (N, C)
    wanted = x.index_select(0, batch.rows)  # (M, C)
    return _LinearCrossEntropy.apply(  # pyright: ignore[reportReturnType]
        wanted, model.lm_head.weight, batch.targets, dtype, torch.is_grad_enabled()
    )


def hidden_states(model: GPT, batch: Batch, dtype: torch.dtype) -> Tensor:
    """What lm_head is applied to, at every flat place: (N, C). Places that are padding hold nonsense."""
    x = _rms_norm(model.wte(batch.ids) + model.wpe(batch.positions))
    for block in model.blocks():
        x = x + F.linear(_attend(block, x, batch, dtype), block.attn_wo.weight.to(dtype))
        h = _rms_norm(x).to(dtype)
        h = F.relu(F.linear(h, block.mlp_fc1.weight.to(dtype)))
        x = x + F.linear(h, block.mlp_fc2.weight.to(dtype))
    return x


def _attend(block: Block, x: Tensor, batch: Batch, dtype: torch.dtype) -> Tensor:
    """The heads' outputs, concatenated: (N, C) in dtype. Attention sees one document only."""
    C = x.shape[-1]
    weight = torch.cat([block.attn_wq.weight, block.attn_wk.weight, block.attn_wv.weight]).to(dtype)  # (3C, C)
    qkv = F.linear(_rms_norm(x).to(dtype), weight)  # (N, 3C)
    if x.device.type == "cpu":
        # torch's CPU attention in bfloat16 has a backward pass ten times slower than its float32 one.
        qkv = qkv.to(x.dtype)
    outputs = []
    # split, not slices: its backward pass is one concatenation, a slice's fills a tensor of zeros per group.
    for (count, length), part in zip(batch.groups, qkv.split([b * t for b, t in batch.groups]), strict=True):
        q, k, v = part.view(count, length, 3, block.n_head, -1).permute(2, 0, 3, 1, 4)  # 3 of (B, H, T, D)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        outputs.append(y.transpose(1, 2).reshape(count * length, C))
    return torch.cat(outputs).to(dtype)


class _RmsNorm(torch.autograd.Function):
    """models.gpt.rms_norm with a backward pass written out: half of the memory traffic, a tenth of a step."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scale = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = scale.square_().div_(x.shape[-1]).add_(RMS_EPS).rsqrt_()
        y = x * scale
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        # y = x s with s = (mean(x^2) + eps)^(-1/2): dx = s (g - y mean(g y))
        (g,), (y, scale) = grads, ctx.saved_tensors
        inner = torch.linalg.vecdot(g, y).unsqueeze(-1).div_(-y.shape[-1])
        return torch.addcmul(g, y, inner).mul_(scale)


def _rms_norm(x: Tensor) -> Tensor:
    return _RmsNorm.apply(x)  # pyright: ignore[reportReturnType]


class _LinearCrossEntropy(torch.autograd.Function):
    """cross_entropy(x @ weight.T, targets), with logits and gradients made a few rows at a time.

    The gradients are computed with the loss, as in Liger Kernel's fused linear cross entropy, so that no piece of
    the logits is kept or made twice.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype, with_grads: bool) -> Tensor:
        narrow = weight.to(dtype)
        total = torch.zeros((), dtype=x.dtype, device=x.device)
        grad_x = torch.empty_like(x) if with_grads else x
        grad_weight = torch.zeros_like(weight) if with_grads else weight
        for i in range(0, len(targets), _LOGIT_ROWS):
            piece, wanted = x[i : i + _LOGIT_ROWS].to(dtype), targets[i : i + _LOGIT_ROWS, None]
            logits = F.linear(piece, narrow).to(x.dtype)  # (rows, vocab)
            log_total = torch.logsumexp(logits, -1, keepdim=True)
            total += (log_total - logits.gather(1, wanted)).sum()
            if with_grads:
                # d loss / d logits = softmax - one-hot, made in place of the logits
                logits.sub_(log_total).exp_().scatter_add_(1, wanted, torch.full_like(log_total, -1.0))
                grad_logits = logits.to(dtype)
                grad_x[i : i + _LOGIT_ROWS] = grad_logits @ narrow
                grad_weight += grad_logits.t() @ piece
        if with_grads:
            ctx.save_for_backward(grad_x.div_(len(targets)), grad_weight.div_(len(targets)))
        return total / len(targets)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_x, grad_weight = ctx.saved_tensors
        return grad_x * grads[0], grad_weight * grads[0], None, None, None
