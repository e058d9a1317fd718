"""The CPU backend: fused kernels, whole bursts without the GIL, on a team of threads.

It keeps the same bits for a sequence whoever its neighbours are: every sum has one order (see kernels/), and random
numbers depend on (seed, position).
"""

import itertools
import logging
import mmap
import os
import struct
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import DTypeLike

from microgpt.backends.base import PAGE_TOKENS, Burst, Feed, page_count, pages_for
from microgpt.backends.kernels import burst as kernel
from microgpt.backends.kernels import entry, quick_compilation
from microgpt.backends.kernels.attention import ATTEND_ROWS
from microgpt.backends.kernels.attention8 import key_bytes, query_stride
from microgpt.backends.kernels.forward import Cache, Sizes, Weights
from microgpt.backends.kernels.lanes import LANES
from microgpt.backends.kernels.matmul import PANEL, pack
from microgpt.backends.kernels.matmul8 import codes_stride, pack8, panel_words
from microgpt.backends.kernels.sample import (
    BIAS,
    DEFAULT_RNG,
    IN_OUTPUT,
    IN_PROMPT,
    MASKED,
    NEXT_SEED,
    NOT_BEGUN,
    NUM_FLOATS,
    NUM_INTS,
    NUM_REPORTED,
    REFERENCE_RNG,
    SAMPLES_LEFT,
    STOP,
    SUPPRESSED,
    SampleRoom,
    Slots,
)
from microgpt.backends.tracks import Tracks
from microgpt.checkpoint import Checkpoint, StoredTensor
from microgpt.config import ModelConfig
from microgpt.constraints.grammar import mask_words
from microgpt.errors import InvalidRequest, NumericalError
from microgpt.logprobs import LOWEST_LOGPROB, TokenLogprobs
from microgpt.params import MAX_GIVEN_LOGPROBS, MAX_TOP_LOGPROBS, SamplingParams
from microgpt.sampling import counter_start, reference_state

_log = logging.getLogger(__name__)
_new = tuple.__new__  # for tuples that have names, in half the time of their classes

_NOTICE_S = 2.0  # reading compiled kernels from disk takes half a second, compiling them 15
_MAX_STEPS = 256  # of a burst
_MAX_TOKENS = 512  # fed by a burst beside one token a slot; or block_size, where that is more
# Products below which a burst is not worth waking another thread, which takes 40 us, and has that thread look for more
# work afterwards. The smallest model takes some 150 us for so many.
_SOLO_PRODUCTS = 1_500_000
# Weights below which threads decode each their own sequences: the weights then fit a core's cache, and the threads'
# meetings (four a layer) cost more than they gain.
_COLUMN_BYTES = 2 << 20
# The same for one sequence, which otherwise one thread decodes alone; w8a8 reads what is in a core's cache in so little
# time that it has the other limit here, too (1.3 MB: as fast either way, 0.4 MB: 115 thousand tokens/s, or 75 by all).
_LONE_COLUMN_BYTES = 256 << 10

_LINE = 64  # bytes of a cache line


def _column(fields: str) -> struct.Struct:
    """One column of an array that has one for each slot or feed, in whole cache lines: threads that work on neighbours
    do not wait for each other's lines. A struct is written at once, where numpy takes a microsecond for each array."""
    return struct.Struct(f"{fields}{-struct.calcsize(fields) % _LINE}x")


_SLOT_INTS, _SLOT_FLOATS, _SLOT_SEEDS = _column(f"{NUM_INTS}q"), _column(f"{NUM_FLOATS}d"), _column("2Q")
_FEED, _ROW = _column("7q"), struct.Struct("3q")
_HEAD = struct.Struct("5q")  # from NUM_FEEDS on

# How many samples a thread is given that one slot makes side by side, and how many slots may: a step of a model of 4
# thousand parameters takes half as long a row with 8 rows as with one, and a slot as long as 40 tokens of it.
_TRACKS_A_THREAD, _TRACK_SLOTS, _TRACK_PARAMETERS = 8, 4, 1 << 16

_FAILED = kernel.FED | kernel.SAMPLED  # of what a burst tells of a feed

_INT8_MAX = 127
_INT8 = ("int8", "w8a8")  # dtypes with weights, K and V in int8
_NOT_FINITE = "the model produced numbers that are not finite"
_HUGE_PAGE = 2 << 20


class NumbaBackend:
    """GPT on the CPU. Weights are packed once; the KV cache is pages of 16 positions.

    dtype: float32; float64 for parity; float16, bfloat16 or int8 for weights kept that way and computed with in
    float32; int8 also keeps K and V so; w8a8 moreover rounds what is multiplied with weights to int8, each row by its
    largest magnitude. With float32 a checkpoint stored in 16 bits is kept in them, which changes no bit of any
    result.
    num_threads: the team, this thread included; None: as many as the process may run on.
    """

    device = "cpu"

    def __init__(
        self,
        checkpoint: Checkpoint,
        dtype: str,
        rng: str,
        max_slots: int,
        kv_bytes: int,
        num_threads: int | None = None,
    ):
        self.config = config = checkpoint.config
        self.dtype = dtype
        number = np.dtype(np.float64 if dtype == "float64" else np.float32)
        kept = np.dtype(np.int8) if dtype in _INT8 else number
        self._num_parameters = config.num_parameters  # which takes long to count
        self.num_slots = max_slots
        self._sizes = _sizes(config, dtype)
        page_bytes = (self._sizes.key_page + self._sizes.value_page) * kept.itemsize
        self.num_pages = page_count(config, page_bytes, max_slots, kv_bytes)
        self.num_threads = min(num_threads or _num_cores(), kernel.MAX_TEAM)
        # Two for each thread: with more a step takes less time a row, but the engine more for the slots.
        self.sample_slots = 2 * self.num_threads
        is_small = self._num_parameters <= _TRACK_PARAMETERS
        self._num_tracks = min(_TRACKS_A_THREAD * self.num_threads, max_slots) if is_small else 1
        self._tracks: dict[int, Tracks] = {}  # by slot
        self._numbers = np.arange(max(_MAX_STEPS, self._num_tracks))
        num_rows = max_slots + (_TRACK_SLOTS * self._num_tracks if self._num_tracks > 1 else 0)  # the kernels' slots
        self._rng = REFERENCE_RNG if rng == "reference" else DEFAULT_RNG
        self._kept = _common_dtype(checkpoint.tensors) if dtype == "float32" else "F32"
        self._weights = _weights(config, checkpoint.tensors, dtype, self._kept)
        self._uses_columns = self._weights.matrices.nbytes >= _COLUMN_BYTES
        lone_bytes = _COLUMN_BYTES if dtype == "w8a8" else _LONE_COLUMN_BYTES
        self._shares_one = self._weights.matrices.nbytes >= lone_bytes
        self._cache = Cache(
            _zeros(self.num_pages * self._sizes.key_page, kept),
            _zeros(self.num_pages * self._sizes.value_page, kept),
            np.zeros((num_rows, pages_for(config.block_size)), np.int32),
        )
        self._slots = _new_slots(config, num_rows)
        # Slots with log probabilities of sampled tokens, and with those of a prompt's: of how many of the likeliest
        # tokens and of how many given ones they tell.
        self._reported: dict[int, tuple[int, int]] = {}
        self._limits = [0] * max_slots  # how many tokens each slot's samples may have in all
        # Of each slot: ids that are suppressed, and ids that stop.
        self._marked: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((), ())] * num_rows
        self._scored: dict[int, tuple[int, int]] = {}
        self._feeds = _new_feeds(self._sizes, num_rows, _MAX_TOKENS + num_rows + config.block_size, number)
        self._slot_ints, self._slot_floats, self._slot_seeds, self._tables = map(
            _bytes_of, (self._slots.ints, self._slots.floats, self._slots.seeds, self._cache.tables.T)
        )
        # Of the last burst: its feeds, how many feeds the kernels saw, and how many tokens these may sample in all.
        self._fed: Sequence[Feed] = ()
        self._num_feeds = self._most_sampled = 0
        self._table_bytes = self._cache.tables[0].nbytes
        # The kernels' sums, what they are given of feeds, what they tell: from whole cache lines on.
        given_at = _up(int(kernel.CONTROL_SIZE) + self._sizes.logits_stride // LANES + 1, _LINE // 8)
        told_at = _up(given_at + kernel.GIVEN_FIELDS * num_rows + self._feeds.rows.shape[1], _LINE // 8)
        self._control = _zeros(told_at + num_rows * (kernel.TOLD_FIELDS + 2 * _MAX_STEPS), np.int64)
        self._control[kernel.GIVEN_AT], self._control[kernel.TOLD_AT] = given_at, told_at
        self._head, self._given, self._told = (self._control[at:].data for at in (kernel.NUM_FEEDS, given_at, told_at))
        self._common = kernel.Common(
            self._sizes, self._weights, self._cache, self._slots, self._feeds,
            _new_room(self._sizes, number),
            _zeros(min(kernel.BLOCK_ROWS, num_rows) * self._sizes.logits_stride, number),
            _new_columns(_ROW, num_rows), self._control, self._control.view(np.float64),
        )  # fmt: skip
        self._own = _new_own(self._sizes, num_rows, number)
        self._byte = np.zeros(1, np.uint8)
        self._warm_up()
        self._team = None
        if self.num_threads > 1:
            others = [_new_own(self._sizes, num_rows, number) for _ in range(1, self.num_threads)]
            self._team = _Team(self._common, others)
            weakref.finalize(self, self._team.stop)

    def _warm_up(self) -> None:
        """Have the kernels compiled, or read from disk, before the first request waits for them."""
        started = time.monotonic()
        notice = threading.Timer(
            _NOTICE_S, _log.info, ["compiling the CPU kernels for this processor and number format"]
        )
        notice.daemon = True
        notice.start()
        with quick_compilation():
            kernel.run(self._common, self._own, 0, 1, 0, self._byte)
            kernel.stop(self._control, 1, self._byte)
        self._control[kernel.ROUND] = 0
        self._run = entry(kernel.run, self._common, self._own, 0, 1, 0, self._byte)
        notice.cancel()
        if (elapsed_s := time.monotonic() - started) > _NOTICE_S:
            _log.info("CPU kernels ready after %.1f s; later starts find them on disk", elapsed_s)

    def close(self) -> None:
        """End the team's threads; the backend cannot be used afterwards."""
        if self._team is not None:
            self._team.stop()

    def num_tracks(self, slot: int) -> int:
        return self._num_tracks if slot < _TRACK_SLOTS else 1

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
        if self._tracks:
            self._tracks.pop(slot, None)
        if num_tracks > 1:
            self._open_tracks(slot, params, limit, pages, prompt_ids[0], samples, num_tracks)
            return
        slots = self._slots
        num_banned = self._mark(slot, params.suppress_token_ids, params.end_token_ids)
        num_top = num_given = 0
        self._reported.pop(slot, None)
        self._scored.pop(slot, None)
        if params.logprobs or params.prompt_logprobs_start is not None:
            num_top, num_given = min(params.top_logprobs, self.config.vocab_size), len(params.logprob_token_ids)
            slots.ids[slot, num_banned : num_banned + num_given] = params.logprob_token_ids
            if params.logprobs:
                self._reported[slot] = num_top, num_given
            if params.prompt_logprobs_start is not None:
                self._scored[slot] = num_top, num_given
        is_adjusted = params.has_penalties or bool(params.logit_bias)
        if is_adjusted:
            by_token = slots.by_token[slot]
            by_token[:] = 0
            by_token[IN_PROMPT, list(prompt_ids)] = 1
            np.add.at(by_token[IN_OUTPUT], list(output_ids), 1)
            for token, bias in params.logit_bias:
                by_token[BIAS, token] = bias
        num_samples, last = len(samples), len(prompt_ids) - 1
        _SLOT_INTS.pack_into(
            self._slot_ints, slot * _SLOT_INTS.size,
            limit, len(output_ids), params.min_tokens, min(params.top_k, self.config.vocab_size), self._rng, num_banned,
            num_samples - 1, prompt_ids[last] if prompt_ids else 0, last, is_adjusted,
            params.logprobs, num_top, num_given, 0, False,
        )  # fmt: skip
        _SLOT_FLOATS.pack_into(
            self._slot_floats, slot * _SLOT_FLOATS.size,
            params.temperature, params.top_p, params.min_p,
            params.repetition_penalty, params.frequency_penalty, params.presence_penalty,
        )  # fmt: skip
        seed = (params.seed + samples.start) % 2**64
        start = reference_state(seed, len(output_ids)) if self._rng == REFERENCE_RNG else counter_start(seed)
        _SLOT_SEEDS.pack_into(self._slot_seeds, slot * _SLOT_SEEDS.size, start, (seed + 1) % 2**64)
        struct.pack_into(f"{len(pages)}i", self._tables, slot * self._table_bytes, *pages)
        self._limits[slot] = limit * num_samples

    def _open_tracks(
        self,
        slot: int,
        params: SamplingParams,
        limit: int,
        pages: Sequence[int],
        token_id: int,
        samples: range,
        num_tracks: int,
    ) -> None:
        """Give each track a slot of the kernels' own, past those that the engine knows."""
        first = self.num_slots + slot * self._num_tracks
        end = first + num_tracks
        marks = params.suppress_token_ids, params.end_token_ids
        if self._marked[first] != marks:
            for other in range(first + 1, first + self._num_tracks):
                self._mark(other, *marks)
        num_banned = self._mark(first, *marks)
        each = -(-len(samples) // num_tracks)
        ints = _SLOT_INTS.pack(
            limit, NOT_BEGUN, params.min_tokens, min(params.top_k, self.config.vocab_size), self._rng, num_banned,
            each, token_id, 0, False, False, 0, 0, 0, False,
        )  # fmt: skip
        self._slot_ints[first * len(ints) : end * len(ints)] = ints * num_tracks
        self._slots.ints[SAMPLES_LEFT, end - 1] = len(samples) - (num_tracks - 1) * each
        floats = _SLOT_FLOATS.pack(params.temperature, params.top_p, params.min_p, 1, 0, 0)
        self._slot_floats[first * len(floats) : end * len(floats)] = floats * num_tracks
        seed = np.uint64((params.seed + samples.start) % 2**64)
        self._slots.seeds[NEXT_SEED, first:end] = (self._numbers[:num_tracks] * each).astype(np.uint64) + seed
        self._cache.tables[first:end, : len(pages) // num_tracks] = np.array(pages).reshape(num_tracks, -1)
        self._limits[slot] = limit * each
        self._tracks[slot] = Tracks(range(first, end), token_id)

    def _mark(self, slot: int, suppressed: tuple[int, ...], stops: tuple[int, ...]) -> int:
        """Note which ids are suppressed, and which stop a slot's sequence; how many ids that are."""
        before = self._marked[slot]
        if (suppressed, stops) != before:
            marks = self._slots.marks[slot]
            marks[[*before[0], *before[1]]] = 0
            marks[list(suppressed)] |= SUPPRESSED
            marks[list(stops)] |= STOP
            self._marked[slot] = suppressed, stops
        if not suppressed and not stops:
            return 0
        banned = sorted({*suppressed, *stops})
        self._slots.ids[slot, : len(banned)] = banned
        return len(banned)

    def burst(self, feeds: Sequence[Feed], max_steps: int, time_limit_s: float) -> list[Burst]:
        num_fed = self._lay_out(feeds)
        num_scored = self._want_scores(feeds, num_fed) if self._scored else 0
        return self._run_burst(num_fed, num_scored, max_steps, time_limit_s)

    def go_on(self, max_steps: int, time_limit_s: float) -> list[Burst]:
        return self._run_burst(self._num_feeds, 0, max_steps, time_limit_s)  # all else the kernels have left in place

    def _run_burst(self, num_fed: int, num_scored: int, max_steps: int, time_limit_s: float) -> list[Burst]:
        """Run the burst that is laid out."""
        num_feeds, max_steps = self._num_feeds, min(max_steps, _MAX_STEPS)
        if self._reported:
            self._slots.ints[NUM_REPORTED] = 0
        most_rows = num_fed + min(num_feeds * max_steps, self._most_sampled)
        is_solo = most_rows == 1 or most_rows * self._num_parameters < _SOLO_PRODUCTS
        team, columns = 1, False
        if self._team is not None and not is_solo and (num_fed > 1 or self._shares_one):
            team, columns = self.num_threads, self._uses_columns or (num_feeds == 1 and self._shares_one)
            self._team.start()
        _HEAD.pack_into(self._head, 0, num_feeds, num_scored, max_steps, int(time_limit_s * 1e9), columns)
        num_told = self._run(self._common, self._own, 0, team, 0, self._byte)
        told = struct.unpack_from(f"{num_told}q", self._told)
        return self._bursts(told, self._scores(self._fed) if num_scored else {})

    def _lay_out(self, feeds: Sequence[Feed]) -> int:
        """Describe feeds to the kernels; how many rows they are."""
        given: list[int] = []
        token_ids: list[int] = []
        most_sampled, tracks, limits = 0, self._tracks, self._limits
        for feed in feeds:
            slot, ids = feed.slot, feed.token_ids
            if tracks and slot in tracks:
                mine = tracks[slot]
                for place, position in zip(mine.places, mine.positions, strict=True):
                    given += (place, True, position, 1)
                token_ids += mine.token_ids
                most_sampled += limits[slot] * len(mine.places)
                continue
            given += (slot, feed.sample, feed.start, len(ids))
            token_ids += ids
            if feed.sample:
                most_sampled += limits[slot]
            if feed.allowed is not None:
                self._slots.allowed[slot] = feed.allowed
                self._slots.ints[MASKED, slot] = True
        self._fed, self._most_sampled = feeds, most_sampled
        self._num_feeds = len(given) // kernel.GIVEN_FIELDS
        given += token_ids
        struct.pack_into(f"{len(given)}q", self._given, 0, *given)
        return len(token_ids)

    def _bursts(self, told: tuple[int, ...], scores: dict[int, tuple[TokenLogprobs, ...]]) -> list[Burst]:
        """What came of each feed of the last burst, of which the kernels have told."""
        at = first = kernel.TOLD_FIELDS * self._num_feeds
        counts, states = told[: at : kernel.TOLD_FIELDS], told[kernel.TOLD_STATE : at : kernel.TOLD_FIELDS]
        i, tracks, reported = 0, self._tracks, self._reported
        bursts: list[Burst] = []
        if not (any(states) or tracks or reported or scores):  # most often: 15 us less for 32 feeds, told of alike
            for count in counts:
                bursts.append(_new(Burst, (told[at : at + count], None, (), (), (), count > 0)))
                at += count
            return bursts
        ends_at = at + sum(counts)
        for feed in self._fed:
            if tracks and feed.slot in tracks:
                mine = tracks[feed.slot]
                after = i + len(mine.places)
                burst = _told_of_tracks(mine, told, counts[i:after], states[i:after], at, ends_at, first)
                at += sum(counts[i:after])
                ends_at += sum(_num_ends(state) for state in states[i:after])
                bursts.append(burst)
                i = after
                continue
            count, state = counts[i], states[i]
            token_ids, error, ends = told[at : at + count], None, ()
            if state:
                num_ends = state >> kernel.NUM_ENDS_AT
                ends = told[ends_at : ends_at + num_ends]
                if ends and at > first:
                    ends = tuple(end - (at - first) for end in ends)
                ends_at += _num_ends(state)
                if state & _FAILED:
                    error = NumericalError(_NOT_FINITE)
                if state & kernel.FED:
                    token_ids = ends = ()
            logprobs = self._reports(feed.slot, len(token_ids)) if reported else ()
            scored = scores.get(feed.slot, ()) if scores and not state & kernel.FED else ()
            bursts.append(_new(Burst, (token_ids, error, ends, logprobs, scored, not state and count > 0)))
            i, at = i + 1, at + count
        return bursts

    def pack(self, checkpoint: Checkpoint) -> Callable[[], None]:
        """The kernels' threads know the arrays by address, so the new numbers are copied into them, and must be of the
        same type."""
        assert checkpoint.config == self.config
        stored = _common_dtype(checkpoint.tensors)
        if self._kept not in ("F32", stored):
            raise InvalidRequest(f"the new weights must be stored in {self._kept} as those in use, got {stored}")
        packed = _weights(self.config, checkpoint.tensors, self.dtype, self._kept)

        def swap() -> None:
            for mine, new in zip(self._weights, packed, strict=True):
                np.copyto(mine, new, casting="no")

        return swap

    def _reports(self, slot: int, count: int) -> tuple[TokenLogprobs, ...]:
        """What the last burst reported of the `count` tokens that it sampled for a slot."""
        if slot not in self._reported:
            return ()
        at = slot * (self._slots.reports.size // self._slots.ints.shape[1])
        return _token_logprobs(self._slots.reports[at:], count, *self._reported[slot])

    def _want_scores(self, feeds: Sequence[Feed], num_tokens: int) -> int:
        """Note in the rows which tokens' log probabilities are wanted, and where to put them; how many they are."""
        state = self._feeds
        state.scored[kernel.SCORED, :num_tokens] = -1
        total = start = to = 0
        for feed in feeds:
            if count := len(feed.scored_ids):
                scored = slice(start + feed.first_scored, start + feed.first_scored + count)
                end = to + count * _report_width(*self._scored[feed.slot])
                state.scored[kernel.SCORED, scored] = feed.scored_ids
                state.scored[kernel.REPORT_AT, scored] = np.arange(to, end, (end - to) // count)
                total, to = total + count, end
            start += len(self._tracks[feed.slot].places) if feed.slot in self._tracks else len(feed.token_ids)
        return total

    def _scores(self, feeds: Sequence[Feed]) -> dict[int, tuple[TokenLogprobs, ...]]:
        """What the last burst reported of scored tokens, by slot."""
        scores, at = {}, 0
        for feed in feeds:
            if count := len(feed.scored_ids):
                sizes = self._scored[feed.slot]
                scores[feed.slot] = _token_logprobs(self._feeds.reports[at:], count, *sizes)
                at += count * _report_width(*sizes)
        return scores


class _Team:
    """The further threads of a backend. They spin shortly after a burst and then sleep in the kernel's read()."""

    def __init__(self, common: kernel.Common, others: list[kernel.Own]):
        self._control = common.control
        self._pipes = [os.pipe() for _ in others]
        self._control[kernel.PIPES + 1 : kernel.PIPES + 1 + len(others)] = [write for _, write in self._pipes]
        self._threads = [
            threading.Thread(
                target=kernel.run,
                args=(common, own, thread, len(others) + 1, self._pipes[thread - 1][0], np.zeros(1, np.uint8)),
                name=f"kernel-{thread}",
                daemon=True,
            )
            for thread, own in enumerate(others, 1)
        ]
        self._is_started = False

    def start(self) -> None:
        """Have threads that wait for `run` to begin a burst with all of them."""
        if not self._is_started:
            self._is_started = True
            for thread in self._threads:
                thread.start()

    def stop(self) -> None:
        """End the threads; they are between bursts."""
        if self._is_started and self._control[kernel.ROUND] != kernel.STOP_ROUND:
            kernel.stop(self._control, len(self._pipes) + 1, np.zeros(1, np.uint8))
            for thread in self._threads:
                thread.join()
        for pipe in self._pipes:
            os.close(pipe[0])
            os.close(pipe[1])
        self._pipes = []


def _num_ends(state: int) -> int:
    """How many ends the kernels tell of a feed."""
    return (state >> kernel.NUM_ENDS_AT) + (state & kernel.DONE > 0)


def _told_of_tracks(
    tracks: Tracks,
    told: tuple[int, ...],
    counts: tuple[int, ...],
    states: tuple[int, ...],
    at: int,
    ends_at: int,
    first: int,
) -> Burst:
    """What there is to tell of a slot's tracks, of which the last burst has made so many tokens and ended in these
    states. They are at `at` in what the kernels told, their ends at `ends_at`; what all feeds made begins at `first`.
    """
    if any(state & _FAILED for state in states):
        return Burst((), NumericalError(_NOT_FINITE))
    start = at - first
    if tracks.is_new and all(state & kernel.DONE for state in states):  # at once: most often that is all that there is
        ends = told[ends_at : ends_at + sum(map(_num_ends, states)) - 1]
        return Burst(told[at : at + sum(counts)], None, tuple(end - start for end in ends) if start else ends)
    sampled = []
    for count, state in zip(counts, states, strict=True):
        ends = [end - start for end in told[ends_at : ends_at + _num_ends(state)]]
        sampled.append((list(told[at : at + count]), ends, state & kernel.DONE > 0))
        start, at, ends_at = start + count, at + count, ends_at + len(ends)
    token_ids, ends = tracks.take(sampled)
    return Burst(tuple(token_ids), None, tuple(ends))


def _report_width(num_top: int, num_given: int) -> int:
    """Numbers in a report that tells of so many tokens beside the one it is about."""
    return 1 + 2 * num_top + num_given


def _token_logprobs(reports: np.ndarray, count: int, num_top: int, num_given: int) -> tuple[TokenLogprobs, ...]:
    """The first `count` of the kernels' reports."""
    width = _report_width(num_top, num_given)
    rows = reports[: count * width].reshape(count, width).clip(min=LOWEST_LOGPROB)
    chosen = rows[:, 0].tolist()
    if width == 1:
        return tuple(map(TokenLogprobs, chosen))
    ids = rows[:, 1 : 1 + num_top].astype(np.int64).tolist()
    top, given = rows[:, 1 + num_top : 1 + 2 * num_top].tolist(), rows[:, 1 + 2 * num_top :].tolist()
    return tuple(
        TokenLogprobs(first, tuple(zip(*likeliest, strict=True)), tuple(others))
        for first, likeliest, others in zip(chosen, zip(ids, top, strict=True), given, strict=True)
    )


def _num_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def _stride(n: int) -> int:
    """A row of n numbers in whole panels, and a vector more where rows would be a multiple of 4 KiB apart and share
    cache sets."""
    stride = _up(n, PANEL) + LANES
    return stride + LANES if stride % 512 == 0 else stride


def _sizes(config: ModelConfig, dtype: str) -> Sizes:
    C, D, H, L, V = config.n_embd, config.head_dim, config.n_head, config.n_layer, config.vocab_size
    table_stride, x_stride, qkv_stride, hidden_stride = _up(C, LANES), _stride(C), _stride(3 * C), _stride(4 * C)
    value_stride, scores_stride = _up(D, LANES), pages_for(config.block_size) * PAGE_TOKENS
    key_head, value_head = D * PAGE_TOKENS, PAGE_TOKENS * value_stride
    if dtype in _INT8:
        key_head = key_bytes(D)
    outputs = [L * _up(3 * C, PANEL), L * _up(C, PANEL), L * _up(4 * C, PANEL), L * _up(C, PANEL)]
    scales = list(itertools.accumulate(outputs))
    panel_size = panel_words if dtype == "w8a8" else lambda depth: PANEL * depth
    weights = list(
        itertools.accumulate(n // PANEL * panel_size(depth) for n, depth in zip(outputs, (C, C, C, 4 * C), strict=True))
    )
    rows, attending = kernel.BLOCK_ROWS, max(H, ATTEND_ROWS)
    room = list(
        itertools.accumulate(
            [rows * x_stride, rows * x_stride, rows * qkv_stride, rows * x_stride, rows * hidden_stride,
             attending * scores_stride, _up(attending, LANES), attending * 2 * value_stride,
             attending * query_stride(value_stride) if dtype in _INT8 else 0]
        )
    )  # fmt: skip
    return Sizes(
        C, H, D, L, V, table_stride, x_stride, qkv_stride, hidden_stride, _stride(V), value_stride, scores_stride,
        key_head, value_head, L * H * key_head, L * H * value_head, V * table_stride, *weights, *scales, *room,
    )  # fmt: skip


def _new_room(sizes: Sizes, number: np.dtype) -> np.ndarray:
    return _zeros(sizes.codes_at + kernel.BLOCK_ROWS * codes_stride(4 * sizes.n_embd), number)


def _new_own(sizes: Sizes, max_slots: int, number: np.dtype) -> kernel.Own:
    """What one thread needs for itself."""
    vocab = sizes.logits_stride
    return kernel.Own(
        going=_new_columns(_ROW, max_slots),
        room=_new_room(sizes, number),
        logits=_zeros(kernel.LOGIT_ROWS * vocab, number),
        sample_room=SampleRoom(_zeros(vocab // LANES + 1, np.float64), _zeros(vocab, np.int32), _zeros(vocab, number)),
        clock=_zeros(2, np.int64),
    )


def _zeros(n: int, number: DTypeLike) -> np.ndarray:
    """n zeros for vectors, from the beginning of a cache line on: a vector that lies in two lines is loaded twice."""
    size = n * np.dtype(number).itemsize
    memory = np.zeros(size + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE
    return memory[start : start + size].view(number)


def _new_columns(column: struct.Struct, n: int, number: DTypeLike = np.int64) -> np.ndarray:
    """(fields, n), the fields of a column side by side; (fields, 2) where n is 1, as one column alone lies in memory as
    a row would, which to Numba is another type: all kernels would be compiled once more for it."""
    fields, n = column.size // 8, max(n, 2)
    return _zeros(fields * n, number).reshape((fields, n), order="F")


def _bytes_of(columns: np.ndarray) -> memoryview:
    """The memory of such an array, column after column."""
    return columns.T.data.cast("B")


def _new_slots(config: ModelConfig, n: int) -> Slots:
    return Slots(
        ints=_new_columns(_SLOT_INTS, n), floats=_new_columns(_SLOT_FLOATS, n, np.float64),
        seeds=_new_columns(_SLOT_SEEDS, n, np.uint64),
        marks=np.zeros((n, config.vocab_size), np.uint8),
        ids=np.zeros((n, config.vocab_size + MAX_GIVEN_LOGPROBS), np.int32),
        by_token=np.zeros((n, 3, config.vocab_size)),
        reports=np.zeros(n * _MAX_STEPS * _report_width(MAX_TOP_LOGPROBS, MAX_GIVEN_LOGPROBS)),
        allowed=np.zeros((n, mask_words(config.vocab_size)), np.uint32),
    )  # fmt: skip


def _new_feeds(sizes: Sizes, n: int, tokens: int, number: np.dtype) -> kernel.Feeds:
    return kernel.Feeds(
        ints=_new_columns(_FEED, n), rows=_new_columns(_ROW, tokens),
        last=_zeros(n * sizes.x_stride, number), sampled=np.zeros((n, 2, _MAX_STEPS), np.int32),
        scored=np.zeros((2, tokens), np.int64),
        reports=np.zeros(tokens * _report_width(MAX_TOP_LOGPROBS, MAX_GIVEN_LOGPROBS)),
    )  # fmt: skip


def _weights(config: ModelConfig, tensors: Mapping[str, StoredTensor], dtype: str, kept: str) -> Weights:
    """The checkpoint's tensors as the kernels want them. kept: the stored type whose bits stay as they are, or F32."""
    layers = range(config.n_layer)
    groups = [
        [[f"layer{i}.attn_wq", f"layer{i}.attn_wk", f"layer{i}.attn_wv"] for i in layers],
        [[f"layer{i}.attn_wo"] for i in layers],
        [[f"layer{i}.mlp_fc1"] for i in layers],
        [[f"layer{i}.mlp_fc2"] for i in layers],
        [["lm_head"]],
    ]
    table_dtype = "float32" if dtype in _INT8 else dtype
    rows = np.concatenate([_table(_stored([tensors[name]], table_dtype, kept)) for name in ("wte", "wpe")])
    tables = _zeros(rows.size, rows.dtype)
    tables[:] = rows
    parts = [_matrix([tensors[name] for name in names], dtype, kept) for group in groups for names in group]
    matrices = _on_huge_pages(np.concatenate([(pack8 if dtype == "w8a8" else pack)(bits) for bits, _ in parts]))
    return Weights(tables, matrices, np.concatenate([scales for _, scales in parts]))


def _on_huge_pages(array: np.ndarray) -> np.ndarray:
    """A copy of a flat array in memory of its own, in 2 MiB pages where the system has them."""
    size = max(array.nbytes, 1) + _HUGE_PAGE
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # Private: by itself mmap shares with processes to come, and shared memory mostly gets small pages.
        buffer = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        buffer.madvise(mmap.MADV_HUGEPAGE)
    else:
        buffer = mmap.mmap(-1, size)
    start = -np.frombuffer(buffer, np.uint8).ctypes.data % _HUGE_PAGE
    copy = np.frombuffer(buffer, array.dtype, array.size, start)
    copy[:] = array
    return copy


def _common_dtype(tensors: Mapping[str, StoredTensor]) -> str:
    """The type that all weights are stored in, or F32."""
    found = {tensor.dtype for tensor in tensors.values()}
    return found.pop() if len(found) == 1 else "F32"


def _stored(tensors: list[StoredTensor], dtype: str, kept: str) -> np.ndarray:
    """Tensors stacked by outputs, as the kernels load them: int16 is float16's bits, uint16 bfloat16's."""
    if kept != "F32":
        bits = np.concatenate([tensor.bits for tensor in tensors])
        return bits.view(np.int16) if kept == "F16" else bits
    wide = np.concatenate([tensor.widened() for tensor in tensors])
    if dtype == "float64":
        return wide.astype(np.float64)
    if dtype == "float16":
        return wide.astype(np.float16).view(np.int16)
    if dtype == "bfloat16":
        bits = wide.view(np.uint32)  # to nearest, ties to even
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return wide


def _matrix(tensors: list[StoredTensor], dtype: str, kept: str) -> tuple[np.ndarray, np.ndarray]:
    """(what is packed, its scales padded to whole panels): int8 weights have one scale an output, others none."""
    stored = _stored(tensors, "float32" if dtype in _INT8 else dtype, kept)
    if dtype not in _INT8:
        return stored, np.zeros(0, np.float32)
    largest = np.abs(stored).max(axis=1)
    scale = np.where(largest > 0, largest / _INT8_MAX, 1).astype(np.float32)
    rounded = np.rint(stored / scale[:, None]).astype(np.int8)
    return rounded, np.pad(scale, (0, -len(scale) % PANEL))


def _table(rows: np.ndarray) -> np.ndarray:
    """A table with its rows padded by zeros to whole vectors, flat."""
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % LANES))).reshape(-1)
