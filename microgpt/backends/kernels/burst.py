"""A burst: feed rows, sample, and decode on, for as many steps as time allows, on a team of threads.

Every thread is in `run` on the same arrays. Rows of prompts are shared out evenly, whosever they are, with one
meeting of the threads a layer (keys and values are written before anyone looks at them). After that each thread
decodes sequences of its own and meets nobody; or, for models whose weights do not fit a core's cache, all threads
decode all sequences together, each making some of every matrix's outputs.
"""

from typing import NamedTuple

import numpy as np

from microgpt.backends.kernels.attention import ATTEND_ROWS
from microgpt.backends.kernels.attention8 import attend, write_kv
from microgpt.backends.kernels.compiling import entry_point, part
from microgpt.backends.kernels.forward import (
    Cache,
    Sizes,
    Weights,
    begin_layer,
    embed,
    finish_layer,
    normalise,
)
from microgpt.backends.kernels.lanes import LANES, ONE, ZERO, load, store
from microgpt.backends.kernels.matmul import ADD, PANEL, RELU, STORE
from microgpt.backends.kernels.matmul8 import product
from microgpt.backends.kernels.sample import (
    ADJUSTED,
    IN_OUTPUT,
    LAST_POSITION,
    LAST_TOKEN,
    LIMIT,
    NUM_SAMPLED,
    SAMPLES_LEFT,
    STOP,
    SampleRoom,
    Slots,
    begin_sample,
    choose,
    choose_together,
    is_plain,
    score,
)
from microgpt.backends.kernels.threads import (
    BARRIER_STEP,
    atomic_load,
    atomic_store,
    barrier,
    full_fence,
    now_ns,
    read_byte,
    write_byte,
    yield_core,
)

# Rows a thread takes through the layers at a time: enough to use each weight often, few enough to cache.
BLOCK_ROWS = 64
LOGIT_ROWS = 16  # rows whose logits are made and sampled at a time
# Logits of few rows are made within the time that it takes to read the weights. A thread whose share of all weights is
# more than this, which a core's own cache keeps of them, reads its share of lm_head in pieces, from either end in turn:
# the end of the last step is in the cache still (3 % of T2's step).
CACHE_BYTES, PIECES = 3 << 19, np.int64(8)

# control: int64. ROUND and IS_OVER, which threads tell each other, have a cache line each. Then what Python says of a
# burst, and what thread 0 adds to that: NUM_TOKENS and DEADLINE. Then where `given` and `told` begin, which are parts
# of the same array: an array of its own would have to be passed from function to function.
ROUND, IS_OVER = 0, 8
NUM_FEEDS, NUM_SCORED, MAX_STEPS, TIME_LIMIT, COLUMNS, NUM_TOKENS, DEADLINE = range(16, 23)
GIVEN_AT, TOLD_AT = 24, 25
MAX_TEAM = 64
ASLEEP = 32  # one a thread
PIPES = ASLEEP + MAX_TEAM  # the same: where to write a byte that wakes it
BARRIER = PIPES + MAX_TEAM
CONTROL_SIZE = np.int64(BARRIER + BARRIER_STEP * MAX_TEAM)  # see lanes.ZERO
STOP_ROUND = -1
# How often a thread without work looks for more, and how often it does so with its core yielded in between, before it
# sleeps: a few hundred us in all, for what the engine does between two bursts. Waking a thread takes 40 us.
_IDLE_SPINS, _IDLE_YIELDS = 2000, 3000


# given: four numbers a feed, its slot, whether it samples, its first position and how many tokens it feeds; then all
# these tokens. It is one piece of memory, so that Python writes it by one call: what C code does for the first time
# after a burst takes 3 to 5 us, since the burst has pushed it out of the core's caches. After a burst it is as it has
# to be for one more, in which each feed goes on with its last token.
GIVEN_SLOT, GIVEN_SAMPLES, GIVEN_START, GIVEN_COUNT, GIVEN_FIELDS = 0, 1, 2, 3, 4
# told, for the same reason: two numbers a feed, how many tokens it sampled, and 0 where it goes on with its one
# sample, or else its FAILED, whether it is done (bit DONE) and how many samples ended that another one follows (from
# bit NUM_ENDS_AT on); then all sampled tokens; then all ends, of done ones, too, counted among all sampled tokens.
TOLD_COUNT, TOLD_STATE, TOLD_FIELDS = 0, 1, 2
DONE, NUM_ENDS_AT = 4, 3
# Rows of Feeds.ints: each feed's slot, whether it samples, where its tokens end among all, how many tokens it sampled,
# whether it failed, and when, how many samples ended that another one follows, and whether the last one has ended.
SLOT, SAMPLES, END, NUM_SAMPLED_NOW, FAILED, NUM_ENDS, IS_DONE = range(7)
FED, SAMPLED = 1, 2  # bits of FAILED
TOKENS, ENDS = range(2)  # of Feeds.sampled
# Rows of Feeds.rows and of a `going`: a row's feed, token and position.
FEED, TOKEN, POSITION = range(3)
# Rows of Feeds.scored: the token whose log probability is wanted after a row, or -1, and where in Feeds.reports.
SCORED, REPORT_AT = range(2)


class Feeds(NamedTuple):
    """What a burst is given and what comes of it.

    ints: (7, feeds) int64, by the names above. rows: (3, all fed tokens) int64, in the feeds' order. last: (feeds,
    x_stride), flat, the hidden state after each feed's last token. sampled: (feeds, 2, most steps) int32, tokens, and
    where samples ended, as counts of them. scored: (2, all fed tokens) int64, read where NUM_SCORED is not 0. reports:
    float64, flat, of scored tokens as Slots.reports has them of sampled ones.
    """

    ints: np.ndarray
    rows: np.ndarray
    last: np.ndarray
    sampled: np.ndarray
    scored: np.ndarray
    reports: np.ndarray


class Common(NamedTuple):
    """What all threads share. shared, shared_logits, going (3, slots): of rows they work on together. control:
    CONTROL_SIZE, then the sums of `choose_together`. numbers: its memory as float64."""

    sizes: Sizes
    weights: Weights
    cache: Cache
    slots: Slots
    feeds: Feeds
    shared: np.ndarray
    shared_logits: np.ndarray
    going: np.ndarray
    control: np.ndarray
    numbers: np.ndarray


class Own(NamedTuple):
    """What one thread has for itself. going: (3, slots) int64, the sequences it decodes and each one's next row. room:
    BLOCK_ROWS rows. logits: LOGIT_ROWS rows. clock: (2,) int64."""

    going: np.ndarray
    room: np.ndarray
    logits: np.ndarray
    sample_room: SampleRoom
    clock: np.ndarray


@part
def _run_rows(common, own, rows, count, is_prompt, thread, team):
    """Run rows[:, :count] through the layers, each thread its share; feeds.last gets the states to sample from, and
    feeds.reports what is wanted of the tokens that follow.

    is_prompt: whether these are the fed tokens of a burst, not a decode step of one thread's own sequences.
    """
    sizes = common.sizes
    weights = common.weights
    cache = common.cache
    slots = common.slots
    feeds = common.feeds
    control = common.control
    room = own.room
    Cs, Qs, H = sizes.x_stride, sizes.qkv_stride, sizes.n_head
    # Head by head: the keys and values of one head of a long prompt fit the cache, those of all do not.
    heads = 1 if is_prompt else H
    block = BLOCK_ROWS * team
    for start in range(0, count, block):
        here = min(block, count - start)
        low, high = start + here * thread // team, start + here * (thread + 1) // team
        mine = high - low
        for r in range(mine):
            embed(sizes, weights, rows[TOKEN, low + r], rows[POSITION, low + r], room, r * Cs)
        for layer in range(sizes.n_layer):
            begin_layer(sizes, weights, layer, room, mine)
            for r in range(mine):
                slot, position = feeds.ints[SLOT, rows[FEED, low + r]], rows[POSITION, low + r]
                write_kv(sizes, cache, slot, position, layer, room, sizes.qkv_at + r * Qs, ZERO, H)
            barrier(control, BARRIER, thread, team)
            for head in range(0, H, heads):
                r = 0
                while r < mine:
                    feed, position = rows[FEED, low + r], rows[POSITION, low + r]
                    together = r + ATTEND_ROWS <= mine and rows[FEED, low + r + ATTEND_ROWS - 1] == feed
                    n = ATTEND_ROWS if together else 1
                    attend(
                        sizes, cache, feeds.ints[SLOT, feed], position, n, layer, room, sizes.qkv_at + r * Qs,
                        room, sizes.attended_at + r * Cs, head, head + heads,
                    )  # fmt: skip
                    r += n
            finish_layer(sizes, weights, layer, room, mine)
        for r in range(mine):
            feed = rows[FEED, low + r]
            if not is_prompt or (feeds.ints[END, feed] == low + r + 1 and feeds.ints[SAMPLES, feed]):
                _copy(room, r * Cs, feeds.last, feed * Cs, sizes.n_embd)
            elif feeds.ints[END, feed] == low + r + 1 and not _is_finite(room, r * Cs, sizes.n_embd):
                feeds.ints[FAILED, feed] |= FED  # wherever in its K or V: a NaN reaches all later rows
        if is_prompt and control[NUM_SCORED]:
            _score_rows(sizes, weights, slots, feeds, rows, low, mine, room, own.logits, own.sample_room)
    barrier(control, BARRIER, thread, team)


@part
def _score_rows(sizes, weights, slots, feeds, rows, low, count, x, logits, room):
    """Report what is wanted of the tokens after rows[:, low : low + count], whose states are the rows of x."""
    C, V, Cs, Vs = sizes.n_embd, sizes.vocab_size, sizes.x_stride, sizes.logits_stride
    panels = (V + PANEL - 1) // PANEL
    r = 0
    while r < count:
        run = 0
        while run < LOGIT_ROWS and r + run < count and feeds.scored[SCORED, low + r + run] >= 0:
            run += 1
        if run == 0:
            r += 1
            continue
        product(
            STORE, run, V, C, x, r * Cs, Cs, weights.matrices, sizes.head_at, weights.scales,
            sizes.head_scales_at, ZERO, logits, ZERO, Vs, ZERO, ONE, x, sizes.codes_at,
        )  # fmt: skip
        for i in range(run):
            at = low + r + i
            feed = rows[FEED, at]
            if not score(
                logits, i * Vs, V, panels * PANEL, feeds.scored[SCORED, at], slots, feeds.ints[SLOT, feed],
                feeds.reports, feeds.scored[REPORT_AT, at], room,
            ):  # fmt: skip
                feeds.ints[FAILED, feed] |= FED
        r += run


@part
def _is_finite(x, at, count):
    """Whether x[at : at + count] holds neither NaN nor infinities."""
    unsound = 0.0
    for i in range(at, at + count):
        unsound += x[i] * 0.0
    return unsound == 0


@part
def _copy(source, at, target, to, count):
    for i in range(count):
        target[to + i] = source[at + i]


@part
def _decode_columns(common, room, rows, lone, thread, team):
    """One decode step for `rows` sequences by all threads, from the embeddings in the shared room's x; their states end
    there, too. lone: -1, or the position of one sequence whose embedding is in each thread's own room as well.

    Each thread makes its share of every matrix's outputs for all rows, so that weights are read once and not by each,
    and attends for its share of (row, head) pairs. Where rows are few and whole panels hold its heads, it makes their
    queries, keys and values first, and meets nobody before it attends. (With many rows as well, it would read a page's
    heads in pieces too short: 8 rows took a quarter longer to attend.) All threads normalise all rows, each into its
    own room: that takes less time than a meeting.
    """
    sizes = common.sizes
    weights = common.weights
    cache = common.cache
    shared = common.shared
    ints = common.feeds.ints
    going = common.going
    control = common.control
    C, H, Cs, Qs, Hs = sizes.n_embd, sizes.n_head, sizes.x_stride, sizes.qkv_stride, sizes.hidden_stride
    w, scales = weights.matrices, weights.scales
    norm, qkv, attended, hidden = sizes.norm_at, sizes.qkv_at, sizes.attended_at, sizes.hidden_at
    width = C // team  # of a thread's heads
    has_heads = rows < team and H % team == 0 and C % PANEL == 0 and width % PANEL == 0
    for layer in range(sizes.n_layer):
        x = room if lone >= 0 and layer == 0 else shared
        for r in range(rows):
            normalise(x, r * Cs, room, norm + r * Cs, C)
        if has_heads:
            for i in range(3):
                product(
                    STORE, rows, width, C, room, norm, Cs, w, ZERO, scales, ZERO, (3 * layer + i) * team + thread,
                    shared, qkv + i * C + thread * width, Qs, ZERO, ONE, room, sizes.codes_at,
                )  # fmt: skip
            for r in range(rows):
                _attend_shared(
                    sizes, cache, ints, going, lone, shared, room, layer, r,
                    H // team * thread, H // team * (thread + 1),
                )  # fmt: skip
        else:
            product(
                STORE, rows, 3 * C, C, room, norm, Cs, w, ZERO, scales, ZERO, layer,
                shared, qkv, Qs, thread, team, room, sizes.codes_at,
            )  # fmt: skip
            barrier(control, BARRIER, thread, team)
            pair, last = rows * H * thread // team, rows * H * (thread + 1) // team
            while pair < last:
                r, head = pair // H, pair % H
                end = min(H, head + last - pair)
                _attend_shared(sizes, cache, ints, going, lone, shared, room, layer, r, head, end)
                pair += end - head
        barrier(control, BARRIER, thread, team)
        product(
            ADD, rows, C, C, shared, attended, Cs, w, sizes.wo_at, scales, sizes.wo_scales_at, layer,
            shared, ZERO, Cs, thread, team, room, sizes.codes_at,
        )  # fmt: skip
        barrier(control, BARRIER, thread, team)
        for r in range(rows):
            normalise(shared, r * Cs, room, norm + r * Cs, C)
        product(
            RELU, rows, 4 * C, C, room, norm, Cs, w, sizes.fc1_at, scales, sizes.fc1_scales_at, layer,
            shared, hidden, Hs, thread, team, room, sizes.codes_at,
        )  # fmt: skip
        barrier(control, BARRIER, thread, team)
        product(
            ADD, rows, C, 4 * C, shared, hidden, Hs, w, sizes.fc2_at, scales, sizes.fc2_scales_at, layer,
            shared, ZERO, Cs, thread, team, room, sizes.codes_at,
        )  # fmt: skip
        barrier(control, BARRIER, thread, team)


@part
def _attend_shared(sizes, cache, ints, going, lone, shared, room, layer, r, first_head, last_head):
    """Some heads' attention for row r of the shared room, whose queries, keys and values are there."""
    slot, position = ints[SLOT, going[FEED, r]], going[POSITION, r] if lone < 0 else lone
    at, to, D = sizes.qkv_at + r * sizes.qkv_stride, sizes.attended_at, sizes.head_dim
    write_kv(sizes, cache, slot, position, layer, shared, at, first_head, last_head)
    # Into the thread's own row first: a head's last vector runs past its end, into another thread's heads.
    attend(sizes, cache, slot, position, ONE, layer, shared, at, room, to, first_head, last_head)
    first, count = first_head * D, (last_head - first_head) * D
    _copy(room, to + first, shared, to + r * sizes.x_stride + first, count)


@part
def _take(slots, feeds, feed, token, position):
    """Note a token sampled for a feed at `position`, or -1 for a failure.

    Returns (token, position) of the row to feed next, or (-1, 0) where the feed is done. Where another sample follows,
    it begins with the prompt's last token, fed once more.
    """
    if token < 0:
        feeds.ints[FAILED, feed] |= SAMPLED
        return -1, 0
    slot, count = feeds.ints[SLOT, feed], feeds.ints[NUM_SAMPLED_NOW, feed]
    feeds.sampled[feed, TOKENS, count] = token
    feeds.ints[NUM_SAMPLED_NOW, feed] = count + 1
    slots.ints[NUM_SAMPLED, slot] += 1
    if slots.ints[ADJUSTED, slot]:
        slots.by_token[slot, IN_OUTPUT, token] += 1
    if not slots.marks[slot, token] & STOP and slots.ints[NUM_SAMPLED, slot] < slots.ints[LIMIT, slot]:
        return token, position
    feeds.sampled[feed, ENDS, feeds.ints[NUM_ENDS, feed]] = count + 1
    if slots.ints[SAMPLES_LEFT, slot] == 0:
        feeds.ints[IS_DONE, feed] = 1
        return -1, 0
    feeds.ints[NUM_ENDS, feed] += 1
    begin_sample(slots, slot)
    return slots.ints[LAST_TOKEN, slot], slots.ints[LAST_POSITION, slot]


@part
def _sample(common, own, count):
    """Logits and a token for each of `count` sequences from feeds.last; those that go on stay in `going`. How many."""
    sizes = common.sizes
    weights = common.weights
    slots = common.slots
    feeds = common.feeds
    going = own.going
    logits = own.logits
    room = own.sample_room
    C, Cs, Vs, panels = sizes.n_embd, sizes.x_stride, sizes.logits_stride, (sizes.vocab_size + PANEL - 1) // PANEL
    left = 0
    for begin in range(0, count, LOGIT_ROWS):
        rows = min(LOGIT_ROWS, count - begin)
        r = 0
        while r < rows:  # neighbouring feeds lie side by side in feeds.last: one product for each run of them
            first, run = going[FEED, begin + r], 1
            while r + run < rows and going[FEED, begin + r + run] == first + run:
                run += 1
            product(
                STORE, run, sizes.vocab_size, C, feeds.last, first * Cs, Cs, weights.matrices, sizes.head_at,
                weights.scales, sizes.head_scales_at, ZERO, logits, r * Vs, Vs, ZERO, ONE,
                own.room, sizes.codes_at,
            )  # fmt: skip
            r += run
        for r in range(rows):
            feed, position = going[FEED, begin + r], going[POSITION, begin + r] + 1
            token = choose(
                logits, r * Vs, sizes.vocab_size, panels * PANEL, slots, feeds.ints[SLOT, feed], position, room
            )  # fmt: skip
            token, position = _take(slots, feeds, feed, token, position)
            if token >= 0:
                going[FEED, left], going[TOKEN, left], going[POSITION, left] = feed, token, position
                left += 1
    return left


@part
def _begin(feeds, num_feeds, going, low, high):
    """Put the sampling feeds low..high-1, counted among those that sample, into `going` with their last tokens. How
    many."""
    count, place = 0, 0
    for feed in range(num_feeds):
        if feeds.ints[SAMPLES, feed]:
            if low <= place < high:
                last = feeds.ints[END, feed] - 1
                going[FEED, count] = feed
                going[TOKEN, count] = feeds.rows[TOKEN, last]
                going[POSITION, count] = feeds.rows[POSITION, last]
                count += 1
            place += 1
    return count


@part
def _embed_everywhere(sizes, weights, token, position, room, shared, thread, team):
    """A row's embedding, into the thread's own room, and into the shared one by shares: those that the thread's share
    of a layer's outputs will be added to."""
    embed(sizes, weights, token, position, room, ZERO)
    panels = (sizes.n_embd + PANEL - 1) // PANEL
    first, last = panels * thread // team * PANEL, min(sizes.n_embd, panels * (thread + 1) // team * PANEL)
    for i in range(first, last, LANES):
        store(shared, i, load(room, i))


@part
def _burst_columns(common, own, count, is_fed, thread, team):
    """Decode the sequences of common.going, all threads together; thread 0 says for how long.

    is_fed: whether their last tokens went through the layers already, so that feeds.last has their states.

    One plain sequence's tokens are chosen by all threads, each of which then knows the token and makes the next row's
    embedding for itself: nobody waits while another chooses.
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
        sizes.n_embd, sizes.x_stride, sizes.vocab_size, sizes.logits_stride, (sizes.vocab_size + PANEL - 1) // PANEL,
    )  # fmt: skip
    low, high = count * thread // team, count * (thread + 1) // team
    feed, position = going[FEED, 0], going[POSITION, 0]
    slot = feeds.ints[SLOT, feed]
    is_lone = count == 1 and is_plain(slots, slot)
    most = slots.ints[LIMIT, slot] - slots.ints[NUM_SAMPLED, slot]
    token = going[TOKEN, 0]
    for r in range(low, high):
        if is_fed:
            _copy(feeds.last, going[FEED, r] * Cs, shared, r * Cs, C)
        elif not is_lone:
            embed(sizes, weights, going[TOKEN, r], going[POSITION, r], shared, r * Cs)
    barrier(control, BARRIER, thread, team)
    for step in range(control[MAX_STEPS]):
        if step or not is_fed:
            if is_lone:
                _embed_everywhere(sizes, weights, token, position, own.room, shared, thread, team)
            _decode_columns(common, own.room, count, position if is_lone else -ONE, thread, team)
        is_cut = count < 4 and panels % (PIECES * team) == 0 and weights.matrices.nbytes > team * CACHE_BYTES
        outputs, part, parts, pieces = V, thread, team, ONE
        if is_cut:
            outputs, part, parts, pieces = panels // (PIECES * team) * PANEL, ZERO, ONE, PIECES
        for i in range(pieces):
            piece = thread * PIECES + (PIECES - 1 - i if step % 2 else i) if is_cut else ZERO
            product(
                STORE, count, outputs, C, shared, ZERO, Cs, weights.matrices, sizes.head_at, weights.scales,
                sizes.head_scales_at, piece, logits, piece * outputs, Vs, part, parts, own.room, sizes.codes_at,
            )  # fmt: skip
        if thread == 0:
            control[IS_OVER] = step + 1 == control[MAX_STEPS] or now_ns(own.clock) >= control[DEADLINE]
        if is_lone:
            position += 1
            token = choose_together(
                logits, V, panels * PANEL, slots, slot, position, control, common.numbers, BARRIER, CONTROL_SIZE,
                thread, team,
            )  # fmt: skip
            if low < high:
                _take(slots, feeds, feed, token, position)
            if token < 0 or slots.marks[slot, token] & STOP or step + 1 == most or control[IS_OVER]:
                return
            continue
        barrier(control, BARRIER, thread, team)
        for r in range(low, high):
            feed, position = going[FEED, r], going[POSITION, r] + 1
            token = choose(
                logits, r * Vs, V, panels * PANEL, slots, feeds.ints[SLOT, feed], position, own.sample_room
            )  # fmt: skip
            going[TOKEN, r], going[POSITION, r] = token, position = _take(slots, feeds, feed, token, position)
            if token >= 0:
                embed(sizes, weights, token, position, shared, r * Cs)
        barrier(control, BARRIER, thread, team)
        left = ZERO
        for r in range(count):
            left += going[TOKEN, r] >= 0
        if left == 0 or control[IS_OVER]:
            return
        if left < count:  # close the gaps, and once all see where the rows are, embed those that moved
            barrier(control, BARRIER, thread, team)
            if thread == 0:
                to = 0
                for r in range(count):
                    if going[TOKEN, r] >= 0:
                        for field in range(3):
                            going[field, to] = going[field, r]
                        to += 1
            barrier(control, BARRIER, thread, team)
            count = left
            low, high = count * thread // team, count * (thread + 1) // team
            for r in range(low, high):
                embed(sizes, weights, going[TOKEN, r], going[POSITION, r], shared, r * Cs)
            barrier(control, BARRIER, thread, team)


@part
def _lay_out(feeds, control):
    """Make feeds and rows of what is given."""
    ints = feeds.ints
    rows = feeds.rows
    num_feeds, end = control[NUM_FEEDS], ZERO
    tokens = control[GIVEN_AT] + GIVEN_FIELDS * num_feeds
    for feed in range(num_feeds):
        at = control[GIVEN_AT] + GIVEN_FIELDS * feed
        start, count = control[at + GIVEN_START], control[at + GIVEN_COUNT]
        for i in range(count):
            rows[FEED, end + i], rows[TOKEN, end + i] = feed, control[tokens + end + i]
            rows[POSITION, end + i] = start + i
        end += count
        ints[SLOT, feed], ints[SAMPLES, feed], ints[END, feed] = (
            control[at + GIVEN_SLOT],
            control[at + GIVEN_SAMPLES],
            end,
        )
        for field in range(NUM_SAMPLED_NOW, IS_DONE + 1):
            ints[field, feed] = 0
    control[NUM_TOKENS] = end


@part
def _tell(feeds, control):
    """Put what came of the feeds side by side, and make `given` what lets each of them go on. How many numbers are
    told."""
    ints = feeds.ints
    num_feeds, given, told = control[NUM_FEEDS], control[GIVEN_AT], control[TOLD_AT]
    at = told + TOLD_FIELDS * num_feeds
    for feed in range(num_feeds):
        count, state = ints[NUM_SAMPLED_NOW, feed], ints[FAILED, feed]
        if ints[IS_DONE, feed]:
            state |= DONE
        state |= ints[NUM_ENDS, feed] << NUM_ENDS_AT
        control[told + TOLD_FIELDS * feed + TOLD_COUNT], control[told + TOLD_FIELDS * feed + TOLD_STATE] = count, state
        for i in range(count):
            control[at + i] = feeds.sampled[feed, TOKENS, i]
        at += count
        if count:
            own = given + GIVEN_FIELDS * feed
            control[own + GIVEN_START] += control[own + GIVEN_COUNT] + count - 1
            control[own + GIVEN_COUNT] = 1
            control[given + GIVEN_FIELDS * num_feeds + feed] = control[at - 1]
    before = ZERO
    for feed in range(num_feeds):
        for i in range(ints[NUM_ENDS, feed] + ints[IS_DONE, feed]):
            control[at] = before + feeds.sampled[feed, ENDS, i]
            at += 1
        before += ints[NUM_SAMPLED_NOW, feed]
    return at - told


@part
def _signal(control, round_number, team, byte):
    """Let the team see a new round, with everything written before."""
    atomic_store(control, ROUND, round_number)
    full_fence()
    for thread in range(1, team):
        if atomic_load(control, ASLEEP + thread):  # or it is about to, and looks for a new round once more
            write_byte(control[PIPES + thread], byte)


@entry_point
def run(common, own, thread, team, pipe, byte):
    """Thread 0: one burst; how many numbers it has told. Another thread: every burst until told to stop; between them
    it sleeps in read(pipe).

    One function does both, and few functions take `common` whole: each that does takes 1.5 s to compile.
    """
    feeds = common.feeds
    control = common.control
    seen = 0
    while True:
        if thread == 0:
            _lay_out(feeds, control)
            control[DEADLINE] = now_ns(own.clock) + control[TIME_LIMIT]
            if team > 1:
                _signal(control, control[ROUND] + 1, team, byte)
        spins = 0
        while thread and atomic_load(control, ROUND) == seen:
            spins += 1
            if spins > _IDLE_SPINS:
                yield_core()
            if spins > _IDLE_SPINS + _IDLE_YIELDS:
                atomic_store(control, ASLEEP + thread, 1)
                full_fence()
                if atomic_load(control, ROUND) == seen:
                    read_byte(pipe, byte)
                atomic_store(control, ASLEEP + thread, 0)
                spins = 0
        seen = atomic_load(control, ROUND)
        if seen == STOP_ROUND:
            return ZERO
        num_sampling = ZERO  # see lanes.ZERO
        for feed in range(control[NUM_FEEDS]):
            num_sampling += feeds.ints[SAMPLES, feed]
        in_columns = team > 1 and control[COLUMNS] != 0 and 0 < num_sampling <= BLOCK_ROWS
        # A burst that goes on where the last one stopped, one token a sequence, decodes from the start.
        is_fed = not in_columns or control[NUM_TOKENS] > num_sampling
        if is_fed:
            _run_rows(common, own, feeds.rows, control[NUM_TOKENS], np.bool_(True), thread, team)
        if in_columns:
            if thread == 0:
                _begin(feeds, control[NUM_FEEDS], common.going, ZERO, num_sampling)
            barrier(control, BARRIER, thread, team)
            _burst_columns(common, own, num_sampling, is_fed, thread, team)
        else:
            low, high = num_sampling * thread // team, num_sampling * (thread + 1) // team
            count = _begin(feeds, control[NUM_FEEDS], own.going, low, high)
            for step in range(control[MAX_STEPS]):
                count = _sample(common, own, count)
                if count == 0 or step + 1 == control[MAX_STEPS] or now_ns(own.clock) >= control[DEADLINE]:
                    break
                _run_rows(common, own, own.going, count, np.bool_(False), ZERO, ONE)
        barrier(control, BARRIER, thread, team)
        if thread == 0:
            return _tell(feeds, control)


@entry_point
def stop(control, team, byte):
    """Have all threads but this one return from `run`; they are between bursts."""
    _signal(control, STOP_ROUND, team, byte)
