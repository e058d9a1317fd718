"""The engine: continuous batching over a backend. `Engine` is synchronous; `EngineThread` runs one for a server."""

import os

from microgpt.backends import create
from microgpt.checkpoint import Checkpoint, load_checkpoint
from microgpt.engine.engine import Engine, Stats
from microgpt.engine.thread import EngineThread

__all__ = ["Engine", "EngineThread", "Stats", "build_engine", "load"]

MAX_SLOTS = 64
KV_BYTES = 1 << 30  # 1 GiB: 64 slots of a 3-million-parameter model with context 512 take 0.3


def build_engine(
    checkpoint: Checkpoint,
    *,
    device: str = "auto",
    dtype: str = "float32",
    rng: str = "default",
    max_slots: int = MAX_SLOTS,
    kv_bytes: int = KV_BYTES,
) -> Engine:
    """An engine for a loaded checkpoint.

    device: auto, cpu or cuda. dtype: of weights, arithmetic and KV cache. rng: `default`, or `reference` for parity
    with the original implementation. max_slots: how many sequences run at once at most; fewer where kv_bytes does
    not hold as many. Raises InvalidRequest for a bad choice.
    """
    return Engine(create(checkpoint, device, dtype, rng, max_slots, kv_bytes), checkpoint.tokenizer)


def load(path: str | os.PathLike[str], *, device: str = "auto", dtype: str = "float32", rng: str = "default") -> Engine:
    """An engine for the model directory `path`. Raises CheckpointError with every problem found, InvalidRequest."""
    return build_engine(load_checkpoint(path), device=device, dtype=dtype, rng=rng)
