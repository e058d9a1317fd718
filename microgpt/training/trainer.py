"""Trainer: one optimiser step, held-out loss, and a state that a run can be resumed from to the bit.

On a CPU each step's documents are dealt to as many shards as there are threads; every shard runs forward and
backward on one thread of its own, and the gradients are added in a fixed order. Threads then meet once a step, not at
each of its thousand small operations: 15,100 tokens a second instead of 14,500 on two idle cores (the model that
batches.py measures), 5,300 instead of 2,100 beside two other busy processes.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from microgpt.config import ModelConfig
from microgpt.errors import NumericalError
from microgpt.models.gpt import GPT
from microgpt.training.batches import Batch, BatchOrder, fixed_batches
from microgpt.training.corpus import Documents
from microgpt.training.forward import batch_loss
from microgpt.training.schedule import learning_rate
from microgpt.training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step did: mean loss in nats before the update, and the document tokens it ran."""

    loss: float
    num_tokens: int


class Trainer:
    """A model in training. `step` and `load_state` mutate it; `next_step` counts the steps done.

    settings: completed. num_threads: shards of a step on a CPU; a GPU takes a step whole. For the same number the
    results are the same to the bit. The weights are float32 (float64 with that dtype); bfloat16 is for matrix
    products alone. Sets torch's own number of threads to 1, for the whole process. `close` ends the threads.
    """

    def __init__(
        self,
        config: ModelConfig,
        settings: TrainSettings,
        training: Documents,
        held_out: Documents,
        device: str,
        num_threads: int = 1,
    ):
        assert settings.steps
        assert settings.batch_size
        assert settings.lr
        assert settings.warmup_steps is not None
        self.config, self.settings = config, settings
        self.steps, self.lr, self.warmup_steps = settings.steps, settings.lr, settings.warmup_steps
        self.device = torch.device(device)
        self._num_shards = num_threads if self.device.type == "cpu" else 1
        self._pool = ThreadPoolExecutor(self._num_shards, "shard")
        torch.set_num_threads(1)
        self.dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}[settings.dtype]
        self.model = GPT(config)
        self.model.init_weights(settings.seed)
        self.model.to(self.device, torch.float64 if self.dtype == torch.float64 else torch.float32)
        self.optimizers = _optimizers(self.model, settings)
        self.order = BatchOrder(training, settings.batch_size, settings.seed)
        self._held_out = fixed_batches(held_out, settings.batch_size)
        self.next_step = 0

    def step(self) -> StepResult:
        """One optimiser step on the next batch. Raises NumericalError when the loss is no longer a number."""
        rate = learning_rate(self.next_step, self.steps, self.lr, self.warmup_steps)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate * group["lr_scale"]
        shards = self.order.shards(self.next_step, self._num_shards)
        parts = list(self._pool.map(self._gradients, shards))
        num_targets = sum(len(shard.targets) for shard in shards)
        weights = [len(shard.targets) / num_targets for shard in shards]
        value = sum(loss * weight for (loss, _), weight in zip(parts, weights, strict=True))
        if not math.isfinite(value):
            raise NumericalError(
                f"the loss is {value} at step {self.next_step + 1}; try a lower lr (it is {self.lr:g})"
            )
        for parameter, grads in zip(
            self.model.parameters(), zip(*(grads for _, grads in parts), strict=True), strict=True
        ):
            parameter.grad = _weighted_sum(grads, weights)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.next_step += 1
        return StepResult(value, sum(shard.num_tokens for shard in shards))

    def _gradients(self, batch: Batch) -> tuple[float, tuple[Tensor, ...]]:
        """(mean loss, its gradient for every parameter); touches no state, so that shards run side by side."""
        loss = batch_loss(self.model, _moved(batch, self.device), self.dtype)
        return loss.item(), torch.autograd.grad(loss, list(self.model.parameters()))

    def evaluate(self) -> float | None:
        """Mean loss in nats over the counted tokens of the held-out documents; None when there are none."""
        if not self._held_out:
            return None
        losses = self._pool.map(self._loss, self._held_out)
        counts = [len(batch.targets) for batch in self._held_out]
        return sum(loss * n for loss, n in zip(losses, counts, strict=True)) / sum(counts)

    def _loss(self, batch: Batch) -> float:
        with torch.no_grad():  # in here, since the setting belongs to a thread
            return batch_loss(self.model, _moved(batch, self.device), self.dtype).item()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def state(self) -> dict[str, Any]:
        """Weights, optimiser and place in the data; tensors are not copied."""
        return {
            "step": self.next_step,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of a trainer made with the same arguments."""
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.next_step = state["step"]


# Muon's steps have this many times the rate of AdamW's: with the update scaled to an RMS of 0.2 * lr ("match RMS"), the
# default lr of 2e-3 is far too small for it. Held-out loss of the default chat model after 200 steps of 64: 1.95 with
# AdamW; Muon 2.48, 1.33, 1.11 and 1.68 at 1, 4, 10 and 25 times the rate.
_MUON_LR_SCALE = 10.0


def _optimizers(model: GPT, settings: TrainSettings) -> list[torch.optim.Optimizer]:
    """AdamW for everything; or Muon (Jordan et al. 2024) for the blocks' matrices and AdamW for the rest.

    Weight decay is for matrices that multiply activations, not for tables that are looked up (wte, wpe).
    """
    assert settings.lr
    tables = [model.wte.weight, model.wpe.weight]
    matrices = [p for p in model.parameters() if all(p is not table for table in tables)]
    optimizers: list[torch.optim.Optimizer] = []
    if settings.optimizer == "muon":
        hidden = [p for p in matrices if p is not model.lm_head.weight]
        muon = [{"params": hidden, "lr_scale": _MUON_LR_SCALE}]
        optimizers.append(torch.optim.Muon(muon, settings.lr, settings.weight_decay, adjust_lr_fn="match_rms_adamw"))
        matrices = [model.lm_head.weight]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay, "lr_scale": 1.0},
        {"params": tables, "weight_decay": 0.0, "lr_scale": 1.0},
    ]
    optimizers.append(torch.optim.AdamW(groups, settings.lr, betas=(0.9, 0.95), fused=True))
    return optimizers


def _weighted_sum(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """sum of weight * tensor, in the given order; the tensors are overwritten."""
    total = tensors[0] if len(tensors) == 1 else tensors[0].mul_(weights[0])
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total.add_(tensor, alpha=weight)
    return total


def _moved(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    ids, positions, rows, targets = (t.to(device) for t in (batch.ids, batch.positions, batch.rows, batch.targets))
    return Batch(ids, positions, batch.groups, rows, targets, batch.num_tokens)
