"""The seam between the engine and the arithmetic.

A backend holds `num_slots` slots: KV cache room for one sequence of up to block_size tokens each, with its sampling
state. The engine feeds tokens to slots and gets sampled tokens back. One call is a burst: rows of any mix of
prefill chunks and decode steps first, then as many further decode steps, sampling included, as time allows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from microgpt.checkpoint import Checkpoint
from microgpt.config import ModelConfig
from microgpt.errors import InvalidRequest, NumericalError
from microgpt.params import SamplingParams

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "float64", "bfloat16", "float16")
RNGS = ("default", "reference")


@dataclass(frozen=True, slots=True)
class Feed:
    """One slot's part of a burst: token_ids stand at positions start, start + 1, ... of the slot's sequence.

    sample: whether the last of them is followed by sampling, and that by decoding as far as the burst goes. A
    prefill chunk that does not end its prompt has sample=False.
    """

    slot: int
    token_ids: Sequence[int]
    start: int
    sample: bool


@dataclass(frozen=True, slots=True)
class Burst:
    """What came of one Feed: sampled ids in order (the last one not yet in the KV cache), or what went wrong."""

    token_ids: tuple[int, ...]
    error: NumericalError | None = None


class Backend(Protocol):
    """One model on one device. Used by one thread at a time."""

    @property
    def config(self) -> ModelConfig: ...
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> str: ...
    @property
    def num_slots(self) -> int: ...

    def open(self, slot: int, params: SamplingParams, limit: int) -> None:
        """Give a slot to a new sequence that may sample up to `limit` tokens in all; its KV cache counts as empty."""
        ...

    def burst(self, feeds: Sequence[Feed], max_steps: int, time_limit_s: float) -> list[Burst]:
        """Feed, then decode every sampling slot for up to max_steps sampled tokens, a result per feed in order.

        A slot stops early at a stop token (which is returned) and at its limit. The burst ends after the step in
        which time_limit_s passed, so at least one step is done. Slots in one burst are distinct.
        """
        ...


def create(checkpoint: Checkpoint, device: str, dtype: str, rng: str, max_slots: int, kv_bytes: int) -> Backend:
    """The backend for a device ("auto": CUDA if there is one) with at most max_slots slots in about kv_bytes of
    KV cache, but at least one. Raises InvalidRequest for an unknown or absent device, dtype or generator."""
    for name, value, known in (("device", device, DEVICES), ("dtype", dtype, DTYPES), ("rng", rng, RNGS)):
        if value not in known:
            raise InvalidRequest(f"{name} must be one of {', '.join(known)}, got {value!r}")
    from microgpt.backends.torch_backend import TorchBackend

    return TorchBackend(checkpoint, device, dtype, rng, max_slots, kv_bytes)
