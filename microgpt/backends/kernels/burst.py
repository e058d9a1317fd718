"""A burst: feed rows, sample, and decode on, for as many steps as time allows, on a team of threads.

Every thread is in `run` on the same arrays. Rows of prompts are shared out evenly, whosever they are, with one
meeting of the threads a layer (keys and values are written before anyone looks at them). After that each thread
decodes sequences of its own and meets nobody; or, for models whose weights do not fit a core's cache, all threads
decode all sequences together, each making some of every matrix's outputs.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from microgpt.backends.kernels.forward import (
    ATTEND_ROWS,
    Cache,
    Room,
    Sizes,
    Weights,
    attend,
    begin_layer,
    embed,
    finish_layer,
    normalise,
    panels_of,
    write_kv,
)
from microgpt.backends.kernels.matmul import ADD, PANEL, RELU, STORE, matmul
from microgpt.backends.kernels.sample import STOP, SampleRoom, Slots, begin_sample, choose
from microgpt.backends.kernels.threads import atomic_load, atomic_store, barrier, full_fence, now_ns, read_byte

# Rows a thread takes through the layers at a time: enough to use each weight often, few enough to cache.
BLOCK_ROWS = 64
LOGIT_ROWS = 16  # rows whose logits are made and sampled at a time

# control: int64, one field a cache line.
ROUND, NUM_FEEDS, NUM_TOKENS, MAX_STEPS, DEADLINE, COLUMNS, GOING, BARRIER = (8 * i for i in range(8))
ASLEEP = 8 * 10  # one a thread
MAX_TEAM = 64
CONTROL_SIZE = ASLEEP + MAX_TEAM
STOP_ROUND = -1
_IDLE_SPINS = 2000


class Feeds(NamedTuple):
    """What a burst is given and what comes of it; arrays by feed unless said otherwise.

    slots, counts (tokens), starts, samples: int64. tokens: (all tokens,) int64, in the feeds' order; positions and
    owners (feed of each token): the same. ends: int64, where each feed's tokens end among them. last: (feeds,
    x_stride), the hidden state after each feed's last token. sampled: (feeds, most steps) int32, ~id where a sample
    ends that another follows. num_sampled, failed: int64.
    """

    slots: np.ndarray
    counts: np.ndarray
    starts: np.ndarray
    samples: np.ndarray
    tokens: np.ndarray
    positions: np.ndarray
    owners: np.ndarray
    ends: np.ndarray
    last: np.ndarray
    sampled: np.ndarray
    num_sampled: np.ndarray
    failed: np.ndarray


class Going(NamedTuple):
    """The sequences a thread decodes: their feeds, and the token and position of each one's next row. int64."""

    feeds: np.ndarray
    tokens: np.ndarray
    positions: np.ndarray


class Common(NamedTuple):
    """What all threads share. shared, shared_logits, going: of rows they work on together. control: CONTROL_SIZE."""

    sizes: Sizes
    weights: Weights
    cache: Cache
    slots: Slots
    feeds: Feeds
    shared: Room
    shared_logits: np.ndarray
    going: Going
    control: np.ndarray


class Own(NamedTuple):
    """What one thread has for itself. room: BLOCK_ROWS rows. logits: LOGIT_ROWS rows. clock: (2,) int64."""

    going: Going
    room: Room
    logits: np.ndarray
    sample_room: SampleRoom
    clock: np.ndarray


@njit(nogil=True, cache=True)
def _feed(common, room, thread, team):
    """Run all fed tokens through the layers; feeds.last gets the final state of each feed that samples."""
    sizes = common.sizes
    weights = common.weights
    cache = common.cache
    feeds = common.feeds
    control = common.control
    Cs, Qs = sizes.x_stride, sizes.qkv_stride
    count = control[NUM_TOKENS]
    block = BLOCK_ROWS * team
    for start in range(0, count, block):
        rows = min(block, count - start)
        low, high = start + rows * thread // team, start + rows * (thread + 1) // team
        mine = high - low
        for r in range(mine):
            embed(sizes, weights, feeds.tokens[low + r], feeds.positions[low + r], room.x, r * Cs)
        for layer in range(sizes.n_layer):
            begin_layer(sizes, weights, layer, room, mine)
            for r in range(mine):
                slot, position = feeds.slots[feeds.owners[low + r]], feeds.positions[low + r]
                write_kv(sizes, cache, slot, position, layer, room.qkv, r * Qs, 0, sizes.n_head)
            barrier(control, BARRIER, team)
            # Head by head: the keys and values of one head of a long prompt fit the cache, those of all do not.
            for head in range(sizes.n_head):
                r = 0
                while r < mine:
                    owner, position = feeds.owners[low + r], feeds.positions[low + r]
                    together = r + ATTEND_ROWS <= mine and feeds.owners[low + r + ATTEND_ROWS - 1] == owner
                    rows_now = ATTEND_ROWS if together else 1
                    attend(
                        sizes, cache, feeds.slots[owner], position, rows_now, layer, room.qkv, r * Qs, Qs,
                        room, r * Cs, Cs, head, head + 1,
                    )  # fmt: skip
                    r += rows_now
            finish_layer(sizes, weights, layer, room, mine)
        for r in range(mine):
            feed = feeds.owners[low + r]
            if feeds.ends[feed] == low + r + 1 and feeds.samples[feed]:
                _copy(room.x, r * Cs, feeds.last, feed * Cs, sizes.n_embd)
    barrier(control, BARRIER, team)


@njit(nogil=True, cache=True)
def _copy(source, at, target, to, count):
    for i in range(count):
        target[to + i] = source[at + i]


@njit(nogil=True, cache=True)
def _decode_rows(common, own, count):
    """One decode step for `count` sequences of one thread; feeds.last gets their states."""
    sizes = common.sizes
    weights = common.weights
    cache = common.cache
    feeds = common.feeds
    going = own.going
    room = own.room
    Cs, Qs = sizes.x_stride, sizes.qkv_stride
    for begin in range(0, count, BLOCK_ROWS):
        rows = min(BLOCK_ROWS, count - begin)
        for r in range(rows):
            embed(sizes, weights, going.tokens[begin + r], going.positions[begin + r], room.x, r * Cs)
        for layer in range(sizes.n_layer):
            begin_layer(sizes, weights, layer, room, rows)
            for r in range(rows):
                slot, position = feeds.slots[going.feeds[begin + r]], going.positions[begin + r]
                write_kv(sizes, cache, slot, position, layer, room.qkv, r * Qs, 0, sizes.n_head)
                attend(
                    sizes, cache, slot, position, 1, layer, room.qkv, r * Qs, Qs, room, r * Cs, Cs, 0, sizes.n_head
                )  # fmt: skip
            finish_layer(sizes, weights, layer, room, rows)
        for r in range(rows):
            _copy(room.x, r * Cs, feeds.last, going.feeds[begin + r] * Cs, sizes.n_embd)


@njit(nogil=True, cache=True)
def _columns(mode, rows, outputs, depth, layer, x, x_stride, w, scales, y, y_stride, thread, team):
    """One thread's share of the outputs of a layer's matrix, for all rows."""
    n = panels_of(outputs)
    base = layer * n * PANEL
    low, high = n * thread // team, n * (thread + 1) // team
    matmul(mode, x, 0, x_stride, rows, depth, w, base * depth, scales, base, low, high, y, 0, y_stride)


@njit(nogil=True, cache=True)
def _decode_columns(common, room, rows, thread, team):
    """One decode step for `rows` sequences by all threads: shared.x ends as their states.

    Each thread makes its share of every matrix's outputs for all rows, so that weights are read once and not by each,
    and attends for its share of (row, head) pairs.
    """
    sizes = common.sizes
    weights = common.weights
    cache = common.cache
    shared = common.shared
    feeds = common.feeds
    going = common.going
    control = common.control
    C, D, H, Cs, Qs, Hs = (
        sizes.n_embd, sizes.head_dim, sizes.n_head, sizes.x_stride, sizes.qkv_stride, sizes.hidden_stride,
    )  # fmt: skip
    low, high = rows * thread // team, rows * (thread + 1) // team
    first, last = rows * H * thread // team, rows * H * (thread + 1) // team
    for r in range(low, high):
        embed(sizes, weights, going.tokens[r], going.positions[r], shared.x, r * Cs)
    for layer in range(sizes.n_layer):
        for r in range(low, high):
            normalise(shared.x, r * Cs, shared.norm, r * Cs, C)
        barrier(control, BARRIER, team)
        _columns(
            STORE, rows, 3 * C, C, layer, shared.norm, Cs, weights.qkv, weights.qkv_scales, shared.qkv, Qs, thread, team
        )
        barrier(control, BARRIER, team)
        pair = first
        while pair < last:
            r, head = pair // H, pair % H
            end = min(H, head + last - pair)
            slot, position = feeds.slots[going.feeds[r]], going.positions[r]
            write_kv(sizes, cache, slot, position, layer, shared.qkv, r * Qs, head, end)
            # Into the thread's own row first: a head's last vector runs past its end, into another thread's heads.
            attend(sizes, cache, slot, position, 1, layer, shared.qkv, r * Qs, Qs, room, 0, Cs, head, end)
            _copy(room.attended, head * D, shared.attended, r * Cs + head * D, (end - head) * D)
            pair += end - head
        barrier(control, BARRIER, team)
        _columns(ADD, rows, C, C, layer, shared.attended, Cs, weights.wo, weights.wo_scales, shared.x, Cs, thread, team)
        barrier(control, BARRIER, team)
        for r in range(low, high):
            normalise(shared.x, r * Cs, shared.norm, r * Cs, C)
        barrier(control, BARRIER, team)
        _columns(
            RELU,
            rows,
            4 * C,
            C,
            layer,
            shared.norm,
            Cs,
            weights.fc1,
            weights.fc1_scales,
            shared.hidden,
            Hs,
            thread,
            team,
        )
        barrier(control, BARRIER, team)
        _columns(
            ADD, rows, C, 4 * C, layer, shared.hidden, Hs, weights.fc2, weights.fc2_scales, shared.x, Cs, thread, team
        )
        barrier(control, BARRIER, team)


@njit(nogil=True, cache=True)
def _take(slots, feeds, feed, token, position):
    """Note a token sampled for a feed at `position`, or -1 for a failure.

    Returns (token, position) of the row to feed next, or (-1, 0) where the feed is done. A sample that another one
    follows ends with its last token noted as ~token; the next begins with the prompt's last token, fed once more.
    """
    if token < 0:
        feeds.failed[feed] = 1
        return -1, 0
    slot, count = feeds.slots[feed], feeds.num_sampled[feed]
    feeds.sampled[feed, count] = token
    feeds.num_sampled[feed] = count + 1
    slots.num_sampled[slot] += 1
    if not slots.marks[slot, token] & STOP and slots.num_sampled[slot] < slots.limits[slot]:
        return token, position
    if slots.samples_left[slot] == 0:
        return -1, 0
    feeds.sampled[feed, count] = ~token
    begin_sample(slots, slot)
    return slots.last_tokens[slot], slots.last_positions[slot]


@njit(nogil=True, cache=True)
def _sample(common, own, count):
    """Logits and a token for each of `count` sequences from feeds.last; those that go on stay in `going`. How many."""
    sizes = common.sizes
    weights = common.weights
    slots = common.slots
    feeds = common.feeds
    going = own.going
    logits = own.logits
    room = own.sample_room
    C, Cs, Vs, panels = sizes.n_embd, sizes.x_stride, sizes.logits_stride, panels_of(sizes.vocab_size)
    left = 0
    for begin in range(0, count, LOGIT_ROWS):
        rows = min(LOGIT_ROWS, count - begin)
        r = 0
        while r < rows:  # neighbouring feeds lie side by side in feeds.last: one product for each run of them
            first, run = going.feeds[begin + r], 1
            while r + run < rows and going.feeds[begin + r + run] == first + run:
                run += 1
            matmul(
                STORE, feeds.last, first * Cs, Cs, run, C, weights.head, 0, weights.head_scales, 0,
                0, panels, logits, r * Vs, Vs,
            )  # fmt: skip
            r += run
        for r in range(rows):
            feed, position = going.feeds[begin + r], going.positions[begin + r] + 1
            token = choose(
                logits, r * Vs, sizes.vocab_size, panels * PANEL, slots, feeds.slots[feed], position, room
            )  # fmt: skip
            token, position = _take(slots, feeds, feed, token, position)
            if token >= 0:
                going.feeds[left], going.tokens[left], going.positions[left] = feed, token, position
                left += 1
    return left


@njit(nogil=True, cache=True)
def _begin(feeds, num_feeds, going, low, high):
    """Put the sampling feeds low..high-1, counted among those that sample, into `going` with their last tokens. How
    many."""
    count, place = 0, 0
    for feed in range(num_feeds):
        if feeds.samples[feed]:
            if low <= place < high:
                going.feeds[count] = feed
                going.tokens[count] = feeds.tokens[feeds.ends[feed] - 1]
                going.positions[count] = feeds.starts[feed] + feeds.counts[feed] - 1
                count += 1
            place += 1
    return count


@njit(nogil=True, cache=True)
def _burst_columns(common, own, count, is_fed, thread, team):
    """Decode the sequences of common.going, all threads together; thread 0 says which go on, and for how long.

    is_fed: whether their last tokens went through the layers already, so that feeds.last has their states.
    """
    sizes = common.sizes
    weights = common.weights
    slots = common.slots
    feeds = common.feeds
    shared = common.shared
    going = common.going
    control = common.control
    logits = common.shared_logits
    C, Cs, V, Vs, panels = (
        sizes.n_embd, sizes.x_stride, sizes.vocab_size, sizes.logits_stride, panels_of(sizes.vocab_size),
    )  # fmt: skip
    low, high = count * thread // team, count * (thread + 1) // team
    if is_fed:
        for r in range(low, high):
            _copy(feeds.last, going.feeds[r] * Cs, shared.x, r * Cs, C)
        barrier(control, BARRIER, team)
    else:
        _decode_columns(common, own.room, count, thread, team)
    for step in range(control[MAX_STEPS]):
        _columns(
            STORE, count, V, C, 0, shared.x, Cs, weights.head, weights.head_scales, logits, Vs, thread, team
        )  # fmt: skip
        barrier(control, BARRIER, team)
        low, high = count * thread // team, count * (thread + 1) // team
        for r in range(low, high):
            slot, position = feeds.slots[going.feeds[r]], going.positions[r] + 1
            going.tokens[r] = choose(logits, r * Vs, V, panels * PANEL, slots, slot, position, own.sample_room)
        barrier(control, BARRIER, team)
        if thread == 0:
            left = 0
            for r in range(count):
                feed = going.feeds[r]
                token, position = _take(slots, feeds, feed, going.tokens[r], going.positions[r] + 1)
                if token >= 0:
                    going.feeds[left], going.tokens[left], going.positions[left] = feed, token, position
                    left += 1
            is_over = step + 1 == control[MAX_STEPS] or now_ns(own.clock) >= control[DEADLINE]
            control[GOING] = 0 if is_over else left
        barrier(control, BARRIER, team)
        count = control[GOING]
        if count == 0:
            return
        _decode_columns(common, own.room, count, thread, team)


@njit(nogil=True, cache=True)
def run(common, own, thread, team, pipe, byte):
    """Thread 0: one burst. Another thread: every burst until told to stop; between them it sleeps in read(pipe).

    One function does both, and few functions take `common` whole: each that does takes 1.5 s to compile.
    """
    feeds = common.feeds
    control = common.control
    seen = 0
    while True:
        spins = 0
        while thread and atomic_load(control, ROUND) == seen:
            spins += 1
            if spins > _IDLE_SPINS:
                atomic_store(control, ASLEEP + thread, 1)
                full_fence()
                if atomic_load(control, ROUND) == seen:
                    read_byte(pipe, byte)
                atomic_store(control, ASLEEP + thread, 0)
                spins = 0
        seen = atomic_load(control, ROUND)
        if seen == STOP_ROUND:
            return
        num_sampling = 0
        for feed in range(control[NUM_FEEDS]):
            num_sampling += feeds.samples[feed]
        in_columns = team > 1 and control[COLUMNS] != 0 and 0 < num_sampling <= BLOCK_ROWS
        # A burst that goes on where the last one stopped, one token a sequence, decodes from the start.
        is_fed = not in_columns or control[NUM_TOKENS] > num_sampling
        if is_fed:
            _feed(common, own.room, thread, team)
        if in_columns:
            if thread == 0:
                _begin(feeds, control[NUM_FEEDS], common.going, 0, num_sampling)
            barrier(control, BARRIER, team)
            _burst_columns(common, own, num_sampling, is_fed, thread, team)
        else:
            low, high = num_sampling * thread // team, num_sampling * (thread + 1) // team
            count = _begin(feeds, control[NUM_FEEDS], own.going, low, high)
            for step in range(control[MAX_STEPS]):
                count = _sample(common, own, count)
                if count == 0 or step + 1 == control[MAX_STEPS] or now_ns(own.clock) >= control[DEADLINE]:
                    break
                _decode_rows(common, own, count)
        barrier(control, BARRIER, team)
        if thread == 0:
            return


@njit(nogil=True, cache=True)
def publish(control, round_number):
    """Let the team see a new round, with everything written before."""
    atomic_store(control, ROUND, round_number)
    full_fence()


@njit(nogil=True, cache=True)
def is_asleep(control, thread):
    """Whether a thread of the team sleeps, or is about to and looks for a new round once more."""
    return atomic_load(control, ASLEEP + thread) != 0
