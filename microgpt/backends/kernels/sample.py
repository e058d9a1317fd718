"""Choosing the next token of one row, as `microgpt.sampling.reference` does it: penalties, bias, masks, temperature,
top_k, top_p, min_p, draw; and the log probabilities that are reported of it.

Differences to the reference are of rounding alone: probabilities are summed 128 at a time, 16 lanes each, then the
sums one after the other; always so, whatever else runs.
"""

import math
from typing import NamedTuple

import numpy as np

from microgpt.backends.kernels.compiling import inlined, part
from microgpt.backends.kernels.lanes import (
    LANES,
    ZERO,
    add,
    exp,
    fma,
    highest,
    keep_first,
    larger,
    load,
    multiply,
    splat,
    store,
    subtract,
    total,
)
from microgpt.backends.kernels.matmul import PANEL
from microgpt.backends.kernels.threads import BARRIER_STEP, barrier

CHUNK = 128  # probabilities summed at a time

BY_LOGIT, BY_ID = np.bool_(False), np.bool_(True)  # see lanes.ZERO
SUPPRESSED, STOP = 1, 2  # bits of Slots.marks
DEFAULT_RNG, REFERENCE_RNG = 0, 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_MOST_INVERSE = 1e37  # of a temperature; more would overflow a float32
_MOST_PENALISED = 1e30  # see microgpt.sampling.reference


# Rows of Slots.ints: most tokens of a sample and those it has; min_tokens; top_k; the generator; how many of Slots.ids
# have a mark; samples that follow the one being made; the prompt's last token and its position; whether by_token
# counts; whether log probabilities of sampled tokens are reported; of how many of the likeliest tokens and of how many
# given ones such reports tell; and how many tokens of this burst had one; whether only what Slots.allowed says may
# come next.
LIMIT, NUM_SAMPLED, MIN_TOKENS, TOP_K, RNG, NUM_BANNED, SAMPLES_LEFT, LAST_TOKEN, LAST_POSITION = range(9)
ADJUSTED, IS_REPORTED, NUM_TOP, NUM_GIVEN, NUM_REPORTED = range(9, 14)
MASKED = 14
NUM_INTS = 15
NOT_BEGUN = -1  # as NUM_SAMPLED: the first sample, counted among those that are left, begins with its first token
TEMPERATURE, TOP_P, MIN_P, REPETITION, FREQUENCY, PRESENCE = range(6)  # of Slots.floats
NUM_FLOATS = 6
# Rows of Slots.by_token: whether a token is in the prompt, how often in the output, what is added to its logit.
IN_PROMPT, IN_OUTPUT, BIAS = range(3)
# Rows of Slots.seeds: where the default generator starts, or the reference generator is; the next sample's seed.
START, NEXT_SEED = range(2)


class Slots(NamedTuple):
    """What each slot's sequence asked for, and how far it is. Columns are slots.

    ints (15, slots) int64, floats (6, slots) float64, seeds (2, slots) uint64: by the names above. marks: (slots,
    vocab) uint8, bits for suppressed and stop ids. ids: (slots, most) int32, those with any mark, then those whose log
    probability is reported. by_token: (slots, 3, vocab) float64, kept only for slots with penalties or biases. reports:
    (slots, most) float64, flat; of each token its log probability, the likeliest ids, theirs, and those of the given
    ids. allowed: (slots, words) uint32, bit i % 32 of word i // 32 for id i; looked at only where MASKED is set.
    """

    ints: np.ndarray
    floats: np.ndarray
    seeds: np.ndarray
    marks: np.ndarray
    ids: np.ndarray
    by_token: np.ndarray
    reports: np.ndarray
    allowed: np.ndarray


class SampleRoom(NamedTuple):
    """Scratch for sampling: sums (chunks,) float64; ids (vocab,) int32; copy (logits_stride,) of the logits' type."""

    sums: np.ndarray
    ids: np.ndarray
    copy: np.ndarray


@part
def _mix(x):
    """SplitMix64's finaliser; see microgpt.sampling.rng."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


@part
def uniform(slots, slot, position):
    """The random number in [0, 1] for the token that will stand at `position`; see microgpt.sampling.rng."""
    state = slots.seeds[START, slot]
    if slots.ints[RNG, slot] == REFERENCE_RNG:
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        slots.seeds[START, slot] = state
        return np.float64(state) / 2.0**64
    return np.float64(_mix(state + np.uint64(position + 1) * _GOLDEN) >> np.uint64(11)) * 2.0**-53


@part
def begin_sample(slots, slot):
    """Start the slot's next sample: its generator and its counts of tokens."""
    seed = slots.seeds[NEXT_SEED, slot]
    slots.seeds[NEXT_SEED, slot] = seed + np.uint64(1)
    if slots.ints[RNG, slot] == REFERENCE_RNG:
        slots.seeds[START, slot] = seed if seed else np.uint64(1)
    else:
        slots.seeds[START, slot] = _mix(seed + _GOLDEN)
    slots.ints[NUM_SAMPLED, slot] = 0
    slots.ints[SAMPLES_LEFT, slot] -= 1
    if slots.ints[ADJUSTED, slot]:
        for i in range(slots.by_token.shape[2]):
            slots.by_token[slot, IN_OUTPUT, i] = 0


@part
def _maximum(z, at, vocab):
    """(the largest of z[at : at + vocab], whether all are finite)."""
    lowest, nothing = splat(z, -np.inf), splat(z, 0.0)
    top, unsound, even, odd = lowest, nothing, lowest, nothing
    whole = vocab // LANES * LANES
    pairs = whole // (2 * LANES) * (2 * LANES)
    # Two chains of each kind, as one waits 4 cycles for each of its results. A maximum has no order, and of the sum of
    # zeros all that counts is whether it is one.
    for i in range(0, pairs, 2 * LANES):
        v, w = load(z, at + i), load(z, at + i + LANES)
        top, even = larger(top, v), larger(even, w)
        unsound, odd = fma(v, nothing, unsound), fma(w, nothing, odd)
    top, unsound = larger(top, even), add(unsound, odd)
    if pairs < whole:
        v = load(z, at + pairs)
        top, unsound = larger(top, v), fma(v, nothing, unsound)
    if whole < vocab:
        v = load(z, at + whole)
        top = larger(top, keep_first(v, vocab - whole, lowest))
        unsound = fma(keep_first(v, vocab - whole, nothing), nothing, unsound)
    return highest(top), total(unsound) == 0


@part
def _exponentials(z, at, vocab, stride, most, scale, sums, sums_at, first, last):
    """z = exp((z - most) * scale), 0 from vocab on, and sums[sums_at + c] = the sum of chunk c, for chunks
    first..last-1; returns the sum of these."""
    peak, factor, lowest = splat(z, most), splat(z, scale), splat(z, -np.inf)
    running = 0.0
    for c in range(first, last):
        chunk = splat(z, 0.0)
        for i in range(c * CHUNK, min((c + 1) * CHUNK, stride), LANES):
            v = load(z, at + i)
            if i + LANES > vocab:
                v = keep_first(v, vocab - i, lowest)
            e = exp(multiply(subtract(v, peak), factor))
            store(z, at + i, e)
            chunk = add(chunk, e)
        sums[sums_at + c] = total(chunk)
        running += sums[sums_at + c]
    return running


@part
def _comes_first(z, a, b, by_id):
    """Whether id a is likelier than id b: the higher logit, of equal ones the higher id. by_id: whether it is lower."""
    if by_id:
        return a < b
    return z[a] > z[b] or (z[a] == z[b] and a > b)


@part
def _sift(z, ids, start, end, by_id):
    """Restore the heap below `start`: each parent comes after its children, so the least likely is on top."""
    root = start
    while 2 * root + 1 < end:
        child = 2 * root + 1
        if child + 1 < end and _comes_first(z, ids[child], ids[child + 1], by_id):
            child += 1
        if not _comes_first(z, ids[root], ids[child], by_id):
            return
        ids[root], ids[child] = ids[child], ids[root]
        root = child


@part
def _sort(z, ids, count, by_id):
    """Sort ids[:count], likeliest first or by id (heapsort: no recursion, no bad case)."""
    for start in range(count // 2 - 1, -1, -1):
        _sift(z, ids, start, count, by_id)
    for end in range(count - 1, 0, -1):
        ids[0], ids[end] = ids[end], ids[0]
        _sift(z, ids, ZERO, end, by_id)


@part
def _keep_likeliest(z, ids, count, vocab):
    """ids[:count] = the `count` likeliest of z, likeliest first: a heap whose top is the one to lose."""
    for i in range(count):
        ids[i] = i
    for start in range(count // 2 - 1, -1, -1):
        _sift(z, ids, start, count, BY_LOGIT)
    i = count
    while i < vocab:
        end = min(vocab, (i // LANES + 1) * LANES)
        if end - i < LANES or highest(load(z, i)) >= z[ids[0]]:  # most vectors hold nothing of interest
            for j in range(i, end):
                if _comes_first(z, j, ids[0], False):
                    ids[0] = j
                    _sift(z, ids, ZERO, count, BY_LOGIT)
        i = end
    _sort(z, ids, count, BY_LOGIT)


@part
def _filtered(p, at, vocab, whole_sum, z, top_k, top_p, ids):
    """How many ids are left by top_k and top_p; they are in ids, in ascending order."""
    if top_k and top_k < vocab:
        count = top_k
        _keep_likeliest(z, ids, count, vocab)
    else:
        # Ids below a V-th of what top_p leaves out are together less than that: the rest holds the nucleus.
        least = (1.0 - top_p) * whole_sum / vocab * 0.999
        count = 0
        for i in range(vocab):
            if p[at + i] >= least:
                ids[count] = i
                count += 1
        _sort(z, ids, count, BY_LOGIT)
    if top_p < 1:
        everything = 0.0
        if top_k and top_k < vocab:
            for i in range(count):
                everything += p[at + ids[i]]
        else:
            everything = whole_sum
        running, kept = 0.0, 0
        while kept < count and running < top_p * everything:
            running += p[at + ids[kept]]
            kept += 1
        count = max(kept, 1)
    _sort(z, ids, count, BY_ID)
    return count


@part
def _adjust(z, at, vocab, by_token, slot, repetition, frequency, presence):
    """Apply penalties and biases to the logits z[at : at + vocab]; each is rounded once."""
    for i in range(vocab):
        v, count = np.float64(z[at + i]), by_token[slot, IN_OUTPUT, i]
        if repetition != 1 and (count > 0 or by_token[slot, IN_PROMPT, i] > 0):
            v = v / repetition if v > 0 else v * repetition
            v = min(max(v, -_MOST_PENALISED), _MOST_PENALISED)
        if count > 0:
            v -= count * frequency + presence
        z[at + i] = v + by_token[slot, BIAS, i]


@part
def _keep_allowed(z, at, vocab, allowed, slot):
    """Rule out the ids that allowed[slot] lacks: most masks have few bits, or nearly all."""
    for word in range((vocab + 31) // 32):
        bits = allowed[slot, word]
        if bits != 0xFFFFFFFF:
            for i in range(32 * word, min(32 * (word + 1), vocab)):
                if not (bits >> np.uint32(i % 32)) & 1:
                    z[at + i] = -np.inf


@part
def _drop_below(p, at, vocab, least, sums):
    """Set p[i] < least to 0 and sums to the chunks' new ones; returns the sum of all."""
    running = 0.0
    for c in range((vocab + CHUNK - 1) // CHUNK):
        chunk = 0.0
        for i in range(at + c * CHUNK, at + min((c + 1) * CHUNK, vocab)):
            if p[i] < least:
                p[i] = 0
            chunk += p[i]
        sums[c] = chunk
        running += chunk
    return running


@inlined
def _pick(z, at, vocab, stride, most, temperature, top_k, top_p, min_p, draw, room):
    """The id drawn from the logits z[at : at + vocab], the largest of which is `most`; they are overwritten."""
    is_filtered = (0 < top_k < vocab) or top_p < 1
    if is_filtered:
        for i in range(vocab):
            room.copy[i] = z[at + i]
    chunks = (stride + CHUNK - 1) // CHUNK
    scale = min(1.0 / temperature, _MOST_INVERSE)
    running = _exponentials(z, at, vocab, stride, most, scale, room.sums, ZERO, ZERO, chunks)
    if is_filtered:
        count = _filtered(z, at, vocab, running, room.copy, top_k, top_p, room.ids)
        running = 0.0
        for j in range(count):
            if z[at + room.ids[j]] < min_p:
                z[at + room.ids[j]] = 0
            running += z[at + room.ids[j]]
        goal, so_far, last = draw * running, 0.0, room.ids[0]
        for j in range(count):
            i = room.ids[j]
            if z[at + i] > 0:
                last = i
                so_far += z[at + i]
                if so_far > goal:
                    return i
        return last
    if min_p > 0:
        running = _drop_below(z, at, vocab, min_p, room.sums)
    return _drawn(z, at, vocab, room.sums, ZERO, chunks, draw * running)


@part
def _drawn(p, at, vocab, sums, sums_at, chunks, goal):
    """The first id of p[at : at + vocab] whose sum with all before it is above the goal. sums[sums_at..]: of chunks."""
    so_far, chunk = 0.0, 0
    for c in range(chunks):
        if sums[sums_at + c] > 0:
            chunk = c
            if so_far + sums[sums_at + c] > goal:
                break
            so_far += sums[sums_at + c]
    end = min((chunk + 1) * CHUNK, vocab)
    # The first id whose sum is above the goal, found by counting those that are not: where a loop will end cannot be
    # foreseen, and a branch that was takes longer than some additions that turn out to be in vain.
    for begin in range(chunk * CHUNK, end, 2 * LANES):
        below, count = 0, min(2 * LANES, end - begin)
        for i in range(begin, begin + count):
            so_far += p[at + i]
            below += so_far <= goal
        if below < count:
            return begin + below
    # A draw of 1, or sums that round otherwise one by one, end at the last possible id of the chunk.
    last = end - 1
    while last > chunk * CHUNK and not p[at + last] > 0:
        last -= 1
    return last


@part
def _report(z, at, vocab, stride, most, temperature, token, slots, slot, reports, to, room):
    """Put what is reported of a `token` at reports[to..]. room.copy and z[at..] hold the logits that it comes from, the
    largest of which is `most`; those in z are overwritten."""
    peak = np.float64(most)
    chunks, scale = (stride + CHUNK - 1) // CHUNK, min(1.0 / temperature, _MOST_INVERSE)
    whole = math.log(_exponentials(z, at, vocab, stride, most, scale, room.sums, ZERO, ZERO, chunks))
    top, given = slots.ints[NUM_TOP, slot], slots.ints[NUM_GIVEN, slot]
    reports[to] = (room.copy[token] - peak) / temperature - whole
    if top:
        _keep_likeliest(room.copy, room.ids, top, vocab)
    for j in range(top):
        i = room.ids[j]
        reports[to + 1 + j] = i
        reports[to + 1 + top + j] = (room.copy[i] - peak) / temperature - whole
    for j in range(given):
        i = slots.ids[slot, slots.ints[NUM_BANNED, slot] + j]
        reports[to + 1 + 2 * top + j] = (room.copy[i] - peak) / temperature - whole


@part
def _copy_row(source, at, target, to, count):
    """target[to..] = source[at..], `count` numbers in whole vectors."""
    for i in range(0, count, LANES):
        store(target, to + i, load(source, at + i))


@part
def score(z, at, vocab, stride, token, slots, slot, reports, to, room):
    """Put what is reported of a prompt's `token` at reports[to..], given the logits z[at : at + vocab] that it comes
    from; they are overwritten. Returns whether all of them are finite."""
    most, sound = _maximum(z, at, vocab)
    if sound:
        _copy_row(z, at, room.copy, ZERO, vocab)
        _report(z, at, vocab, stride, most, 1.0, token, slots, slot, reports, to, room)
    return sound


@part
def choose(z, at, vocab, stride, slots, slot, position, room):
    """The id for the logits z[at : at + vocab], which are overwritten, or -1 where one of them is not finite.

    position: where the token will stand. Adds to slots.reports where that was asked for. A mask holds for one token,
    and with the other masks leaves an id.
    """
    most, sound = _maximum(z, at, vocab)
    if not sound:
        return -1
    if slots.ints[NUM_SAMPLED, slot] == NOT_BEGUN:
        begin_sample(slots, slot)
    adjusted, banned = slots.ints[ADJUSTED, slot], slots.ints[NUM_BANNED, slot]
    if adjusted:
        _adjust(
            z, at, vocab, slots.by_token, slot,
            slots.floats[REPETITION, slot], slots.floats[FREQUENCY, slot], slots.floats[PRESENCE, slot],
        )  # fmt: skip
    changed = False
    if banned:
        wanted = SUPPRESSED | (STOP if slots.ints[NUM_SAMPLED, slot] < slots.ints[MIN_TOKENS, slot] else 0)
        for b in range(banned):
            i = slots.ids[slot, b]
            if slots.marks[slot, i] & wanted:
                z[at + i] = -np.inf
                changed = True
    masked = slots.ints[MASKED, slot]
    if masked:
        slots.ints[MASKED, slot] = 0
        _keep_allowed(z, at, vocab, slots.allowed, slot)
    if changed or adjusted or masked:
        most, _ = _maximum(z, at, vocab)
    reported = slots.ints[IS_REPORTED, slot]
    if reported:
        _copy_row(z, at, room.copy, ZERO, vocab)
    temperature = slots.floats[TEMPERATURE, slot]
    if temperature == 0:
        token = vocab - 1
        while z[at + token] != most:
            token -= 1
    else:
        token = _pick(
            z, at, vocab, stride, most, temperature, slots.ints[TOP_K, slot], slots.floats[TOP_P, slot],
            slots.floats[MIN_P, slot], uniform(slots, slot, position), room,
        )  # fmt: skip
    if reported:
        _copy_row(room.copy, ZERO, z, at, vocab)
        to = slot * (slots.reports.shape[0] // slots.ints.shape[1])
        to += slots.ints[NUM_REPORTED, slot] * (1 + 2 * slots.ints[NUM_TOP, slot] + slots.ints[NUM_GIVEN, slot])
        slots.ints[NUM_REPORTED, slot] += 1
        _report(
            z, at, vocab, stride, most, temperature if temperature > 0 else 1.0, token, slots, slot,
            slots.reports, to, room,
        )  # fmt: skip
    return token


@part
def is_plain(slots, slot):
    """Whether nothing but logits, temperature and a random number chooses the slot's next tokens and is reported of
    them, for as long as this burst lasts, so that `choose_together` can choose them. Its sample is the last."""
    ints, floats = slots.ints, slots.floats
    for b in range(ints[NUM_BANNED, slot]):
        if slots.marks[slot, slots.ids[slot, b]] & SUPPRESSED:
            return False
    return (
        not (ints[ADJUSTED, slot] or ints[MASKED, slot] or ints[IS_REPORTED, slot] or ints[SAMPLES_LEFT, slot])
        and ints[NUM_SAMPLED, slot] >= ints[MIN_TOKENS, slot]
        and ints[RNG, slot] == DEFAULT_RNG
        and not 0 < ints[TOP_K, slot] < slots.marks.shape[1]
        and floats[TOP_P, slot] >= 1
        and floats[MIN_P, slot] == 0
        and floats[TEMPERATURE, slot] > 0
    )


@part
def choose_together(z, vocab, stride, slots, slot, position, control, numbers, at, sums_at, thread, team):
    """What `choose` returns for the logits z[:vocab] of a plain slot, to each of the threads that have made them, by
    shares as `matmul` has them. They meet twice.

    numbers: the memory of control as float64. Each thread uses the second number of its place for the barrier at `at`,
    which comes from core to core with the first, and from sums_at on are the chunks' sums.
    """
    panels, chunks = (vocab + PANEL - 1) // PANEL, (stride + CHUNK - 1) // CHUNK
    first, last = panels * thread // team * PANEL, min(vocab, panels * (thread + 1) // team * PANEL)
    most, sound = _maximum(z, first, last - first)
    numbers[at + BARRIER_STEP * thread + 1] = most if sound else np.nan
    barrier(control, at, thread, team)
    top = -np.inf
    for other in range(team):
        its = numbers[at + BARRIER_STEP * other + 1]
        if its != its:
            return -1
        top = max(top, its)
    scale = min(1.0 / slots.floats[TEMPERATURE, slot], _MOST_INVERSE)
    first, last = chunks * thread // team, chunks * (thread + 1) // team
    _exponentials(z, ZERO, vocab, stride, highest(splat(z, top)), scale, numbers, sums_at, first, last)
    barrier(control, at, thread, team)
    running = 0.0
    for c in range(chunks):
        running += numbers[sums_at + c]
    return _drawn(z, ZERO, vocab, numbers, sums_at, chunks, uniform(slots, slot, position) * running)
