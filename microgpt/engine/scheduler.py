"""The scheduler: which sequences get slots, and what each of them is fed in the next burst. Pure functions."""

from collections.abc import Iterable

from microgpt.backends.base import Feed
from microgpt.engine.guide import Guide
from microgpt.engine.sequence import Job, Sequence

PREFILL_TOKENS = 512  # prompt tokens per step, over all sequences: bounds how long a step makes streams wait
# A scored token counts as several where more than so many of the likeliest are reported beside it: finding 128 of 4,096
# takes 80 us, when a width of 64 is read and scored in 10.
LIKELIEST_PER_TOKEN = 16
BURST_TIME_S = 0.004  # then arrivals and cancellations are looked at, and streams get their tokens
BURST_STEPS = 256
RESERVED_PART = 8  # one slot in so many is for callers' first samples
# Samples of one prompt share a slot, one after another, up to so many products: a trip through the engine for each
# takes as long as 10 to 20 steps of a model of 4 thousand parameters. Larger models gain more from samples side by
# side.
SLOT_PRODUCTS = 4_000_000


def plan(running: Iterable[Sequence]) -> tuple[list[Sequence], list[Feed], int]:
    """(sequences, a feed for each, most steps) of the next burst.

    Every decoding sequence takes part but those that await a mask: `guided` has them. Prefilling ones share
    PREFILL_TOKENS in the order of `running`; those that get none wait. While any prompt is unfinished after this
    burst's first step, the burst is that one step, so that the rest of the prompt follows at once.
    """
    sequences: list[Sequence] = []
    feeds: list[Feed] = []
    budget, max_steps = PREFILL_TOKENS, BURST_STEPS
    for sequence in running:
        if sequence.is_decoding:  # most of them, most of the time
            sequences.append(sequence)
            feeds.append(Feed(sequence.slot, sequence.output_ids[-1:], sequence.num_computed, True))
            continue
        if sequence.guide is not None and sequence.awaits_mask:
            continue
        weight = 1
        if sequence.is_scoring:
            weight += sequence.request.params.top_logprobs // LIKELIEST_PER_TOKEN
        tokens = sequence.next_tokens(-(-budget // weight))
        if not tokens:  # prefilling, and the budget is spent
            max_steps = 1
            continue
        completes = sequence.num_computed + len(tokens) >= sequence.num_prefill
        if sequence.is_prefilling:
            budget = max(0, budget - len(tokens) * weight)
            if not completes and sequence.num_computed + len(tokens) < sequence.prefill_end:
                max_steps = 1
        sequences.append(sequence)
        start, samples = sequence.num_computed, completes and sequence.job.limit > 0
        if sequence.is_scoring:
            first, scored_ids = sequence.next_scored(len(tokens))
            feeds.append(Feed(sequence.slot, tokens, start, samples, first, scored_ids))
        else:
            feeds.append(Feed(sequence.slot, tokens, start, samples))
    return sequences, feeds, max_steps


def guided(running: Iterable[Sequence]) -> list[tuple[Sequence, Guide]]:
    """The sequences that await a mask, longest waiting first."""
    group = [(sequence, sequence.guide) for sequence in running if sequence.guide is not None and sequence.awaits_mask]
    group.sort(key=lambda pair: pair[1].turn)
    return group


def guided_time(burst_s: float, num_burst: int, num_guided: int) -> float:
    """Seconds that the sequences that await a mask may step, after the rest had a burst of `burst_s` seconds: as
    much for each as a sequence of the rest had."""
    return min(BURST_TIME_S, burst_s * num_guided / num_burst) if num_burst else BURST_TIME_S


def samples_for_slot(job: Job, free_slots: int, sample_slots: int, num_parameters: int) -> int:
    """How many of a job's waiting samples the next slot takes, of `free_slots` that it can have, at least one.
    sample_slots: as backends say it, at least one."""
    spread = max(-(-job.request.num_samples // sample_slots), -(-job.num_waiting // free_slots))
    return max(1, min(spread, job.num_waiting, SLOT_PRODUCTS // (job.limit * num_parameters)))


def samples_for_tracks(job: Job, most_tracks: int, num_parameters: int) -> tuple[int, int]:
    """(how many of a job's waiting samples a slot takes that makes up to most_tracks side by side, on how many tracks).
    No track but the last has fewer samples than others."""
    each = min(-(-job.num_waiting // most_tracks), SLOT_PRODUCTS // (job.limit * num_parameters))
    num_samples = min(job.num_waiting, most_tracks * max(1, each))
    each = -(-num_samples // most_tracks)
    return num_samples, -(-num_samples // each)
