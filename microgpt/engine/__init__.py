"""The engine: continuous batching over a backend. `Engine` is synchronous; `EngineThread` runs one for a server."""

import os

from microgpt.backends import create
from microgpt.checkpoint import Checkpoint, load_checkpoint
from microgpt.engine.engine import Engine, Stats
from microgpt.engine.thread import EngineThread

__all__ = ["Engine", "EngineThread", "Stats", "build_engine", "load"]

MAX_SLOTS = 64
KV_BYTES = 1 << 30  # 1 GiB: 64 sequences of a 3-million-parameter model with context 512 take 0.3, the cache as much


def build_engine(
    checkpoint: Checkpoint,
    *,
    device: str = "auto",
    dtype: str = "float32",
    rng: str = "default",
    max_slots: int = MAX_SLOTS,
    kv_bytes: int = KV_BYTES,
    prefix_cache: bool = True,
    backend: str = "auto",
    threads: int | None = None,
) -> Engine:
    """An engine for a loaded checkpoint.

    device: auto, cpu or cuda. dtype: of weights and arithmetic; on a CPU float16, bfloat16 and int8 are of weights
    alone, and arithmetic is float32; w8a8 multiplies int8 weights with activations rounded to int8. K and V are then
    float32, but float64 with that, and int8 with int8 and w8a8. rng: `default`, or `reference` for parity with the
    original implementation. max_slots: how many sequences run at once at most; fewer while kv_bytes does not
    hold as many. prefix_cache: whether what is left of kv_bytes keeps K and V for requests that begin alike. backend:
    auto, numba or torch. threads: of the numba backend, by default all cores. Raises InvalidRequest for a bad choice.
    """
    chosen = create(checkpoint, device, dtype, rng, max_slots, kv_bytes, backend, threads)
    return Engine(chosen, checkpoint.tokenizer, prefix_cache)


def load(
    path: str | os.PathLike[str],
    *,
    device: str = "auto",
    dtype: str = "float32",
    rng: str = "default",
    prefix_cache: bool = True,
    backend: str = "auto",
    threads: int | None = None,
) -> Engine:
    """An engine for the model directory `path`. Raises CheckpointError with every problem found, InvalidRequest."""
    return build_engine(
        load_checkpoint(path),
        device=device,
        dtype=dtype,
        rng=rng,
        prefix_cache=prefix_cache,
        backend=backend,
        threads=threads,
    )
