"""The seam between the engine and the arithmetic.

A backend holds `num_slots` slots, the sampling state of one sequence each, and `num_pages` pages of KV memory, room for
PAGE_TOKENS positions each. The engine decides which sequence has which slot and pages, feeds tokens to slots and gets
sampled tokens back. One call is a burst: rows of any mix of prefill chunks and decode steps first, then as many further
decode steps, sampling included, as time allows.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from microgpt.checkpoint import Checkpoint
from microgpt.config import ModelConfig
from microgpt.constraints.matcher import Mask
from microgpt.errors import InvalidRequest, NumericalError
from microgpt.logprobs import TokenLogprobs
from microgpt.params import SamplingParams

DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("float32", "float64", "bfloat16", "float16", "int8", "w8a8")
RNGS = ("default", "reference")
BACKENDS = ("auto", "numba", "torch")

# Positions in a page of KV memory: the lanes of an AVX-512 register of float32, since the CPU kernels make positions
# contiguous, a vector of them at a time. Position p of a sequence is place p % 16 of page pages[p // 16], in any layer.
PAGE_TOKENS = 16


class Feed(NamedTuple):
    """One slot's part of a burst: token_ids stand at positions start, start + 1, ... of the slot's sequence.

    sample: whether the last of them is followed by sampling, and that by decoding as far as the burst goes. A
    prefill chunk that does not end its prompt has sample=False. The first chunk starts after 0 where other sequences
    have computed the positions before it.
    scored_ids: tokens of the prompt whose log probabilities are wanted, neighbours; the first one's are those of the
    token that follows token_ids[first_scored]. So there are at most len(token_ids) - first_scored of them.
    allowed: the only ids that may be sampled, as a mask over the vocabulary; None: all. It holds for one token, so that
    the burst must have max_steps=1, and must leave an id beside those that the sampling parameters rule out.
    """

    slot: int
    token_ids: Sequence[int]
    start: int
    sample: bool
    first_scored: int = 0
    scored_ids: Sequence[int] = ()
    allowed: Mask | None = None


class Burst(NamedTuple):
    """What came of one Feed: sampled ids in order (the last one not yet in the KV cache), or what went wrong.

    ends: where samples ended that another one followed, as counts of token_ids. logprobs: of each of token_ids, where
    that was asked for. prompt_logprobs: of each of the feed's scored_ids. Where numbers among the fed rows themselves
    are not finite, nothing comes but the error. goes_on: whether the slot samples on after its last token, and nothing
    else happens to it than that this one is fed.
    """

    token_ids: tuple[int, ...]
    error: NumericalError | None = None
    ends: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprobs, ...] = ()
    prompt_logprobs: tuple[TokenLogprobs, ...] = ()
    goes_on: bool = False


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
    @property
    def num_pages(self) -> int: ...
    @property
    def sample_slots(self) -> int:
        """Over how many slots the samples of a prompt are best spread where a slot makes several, one after another; 0
        where a slot takes one."""
        ...

    def num_tracks(self, slot: int) -> int:
        """How many samples of a prompt of one token a slot can make side by side, told of as if they had come one after
        another."""
        ...

    def open(
        self,
        slot: int,
        params: SamplingParams,
        limit: int,
        pages: Sequence[int],
        prompt_ids: Sequence[int] = (),
        samples: range = range(1),
        output_ids: Sequence[int] = (),
        num_tracks: int = 1,
    ) -> None:
        """Give a slot to a new sequence that may sample up to `limit` tokens in all.

        samples: which ones of a request, by index; sample i is drawn with params.seed + i. After each but the last
        comes the next: the last token of prompt_ids is fed again, and what follows it. Where no more than one comes,
        and no penalty looks at the prompt, prompt_ids may be left out. output_ids: what the first of them has sampled
        already, in another slot; it goes on as if it had been in this one.

        pages: its page table, complete: one for every position it may reach, [0, num_prompt + limit - 1), as the last
        token sampled is never fed. Sequences may share pages of positions that are computed already; a backend writes
        only the positions that it is fed.

        num_tracks: so many of the samples are made side by side, each on as many of the pages. The prompt is one token
        then, nothing is reported or adjusted, and the slot is fed as if each sample began after the one before it.
        """
        ...

    def burst(self, feeds: Sequence[Feed], max_steps: int, time_limit_s: float) -> list[Burst]:
        """Feed, then decode every sampling slot for up to max_steps sampled tokens, a result per feed in order.

        A slot stops early at a stop token (which is returned) and at its limit. The burst ends after the step in
        which time_limit_s passed, so at least one step is done. Slots in one burst are distinct. Numbers that are
        not finite never reach another sequence: not in the same burst, nor through the pages when they have a new
        owner, where NaN times an attention weight of 0 would be NaN.
        """
        ...

    def go_on(self, max_steps: int, time_limit_s: float) -> list[Burst]:
        """`burst` for the feeds of the last burst once more, each slot being fed the last token that it sampled. All of
        them must have come out with goes_on, and no slot may have been opened since.

        It is what most bursts are, and needs nothing to be said of each slot.
        """
        ...

    def pack(self, checkpoint: Checkpoint) -> Callable[[], None]:
        """Make ready the weights of a checkpoint of the same config, beside those in use; what puts them into their
        place, to be called between bursts, which cannot fail.

        Callable from any thread. Raises InvalidRequest where they cannot be kept as these are.
        """
        ...


def page_count(config: ModelConfig, page_bytes: int, max_slots: int, kv_bytes: int) -> int:
    """How many pages of page_bytes a backend holds: room for max_slots sequences of block_size tokens and for as much
    again that is only cached, within kv_bytes; but at least for one such sequence."""
    per_sequence = pages_for(config.block_size)
    return max(per_sequence, min(2 * max_slots * per_sequence, kv_bytes // page_bytes))


def pages_for(num_positions: int) -> int:
    """The pages that a sequence of so many positions takes."""
    return -(-num_positions // PAGE_TOKENS)


def create(
    checkpoint: Checkpoint,
    device: str,
    dtype: str,
    rng: str,
    max_slots: int,
    kv_bytes: int,
    backend: str = "auto",
    threads: int | None = None,
) -> Backend:
    """The backend for a device with max_slots slots and `page_count` pages of KV memory.

    device: "auto" is CUDA where there is one. backend: "auto" is numba on a CPU, torch elsewhere. threads: of the numba
    backend, None for all cores; the torch backend decides for itself. Raises InvalidRequest for an unknown or absent
    device, dtype, generator or backend.
    """
    for name, value, known in (
        ("device", device, DEVICES),
        ("dtype", dtype, DTYPES),
        ("rng", rng, RNGS),
        ("backend", backend, BACKENDS),
    ):
        if value not in known:
            raise InvalidRequest(f"{name} must be one of {', '.join(known)}, got {value!r}")
    if threads is not None and threads < 1:
        raise InvalidRequest(f"threads must be >= 1, got {threads}")
    on_cpu = device == "cpu" or (device == "auto" and not has_cuda_driver())
    if backend == "numba" and not on_cpu and device != "auto":
        raise InvalidRequest(f"device must be cpu or auto for the numba backend, got {device!r}")
    if backend == "numba" or (backend == "auto" and on_cpu):
        from microgpt.backends.numba_backend import NumbaBackend

        return NumbaBackend(checkpoint, dtype, rng, max_slots, kv_bytes, threads)
    if dtype in ("int8", "w8a8"):
        raise InvalidRequest(f"dtype {dtype} needs the numba backend, which computes on a CPU")
    from microgpt.backends.torch_backend import TorchBackend

    return TorchBackend(checkpoint, device, dtype, rng, max_slots, kv_bytes)


def has_cuda_driver() -> bool:
    """Whether this machine has a CUDA driver with a device; found without importing torch, which takes seconds."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    return False
