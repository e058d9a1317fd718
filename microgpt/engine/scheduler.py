"""The scheduler: which sequences get slots, and what each of them is fed in the next burst. Pure functions."""

from collections.abc import Iterable

from microgpt.backends.base import Feed
from microgpt.engine.sequence import Job, Sequence

PREFILL_TOKENS = 512  # prompt tokens per step, over all sequences: bounds how long a step makes streams wait
BURST_TIME_S = 0.004  # then arrivals and cancellations are looked at, and streams get their tokens
BURST_STEPS = 256
RESERVED_PART = 8  # one slot in so many is for callers' first samples
# Samples of one prompt share a slot, one after another, up to so many products: a trip through the engine for each
# takes as long as 10 to 20 steps of a model of 4 thousand parameters. Larger models gain more from samples side by
# side.
SLOT_PRODUCTS = 4_000_000
SLOTS_PER_JOB = 8  # that such samples are spread over, for the threads and for rows to share weights


def plan(running: Iterable[Sequence]) -> tuple[list[Sequence], list[Feed], int]:
    """(sequences, a feed for each, most steps) of the next burst.

    Every decoding sequence takes part. Prefilling ones share PREFILL_TOKENS in the order of `running`; those that
    get none wait. While any prompt is unfinished after this burst's first step, the burst is that one step, so that
    the rest of the prompt follows at once.
    """
    sequences: list[Sequence] = []
    feeds: list[Feed] = []
    budget, max_steps = PREFILL_TOKENS, BURST_STEPS
    for sequence in running:
        tokens = sequence.next_tokens(budget)
        if not tokens:  # prefilling, and the budget is spent
            max_steps = 1
            continue
        completes = sequence.num_computed + len(tokens) >= sequence.num_prompt
        if sequence.is_prefilling:
            budget -= len(tokens)
            if not completes:
                max_steps = 1
        sequences.append(sequence)
        feeds.append(Feed(sequence.slot, tokens, sequence.num_computed, completes))
    return sequences, feeds, max_steps


def samples_for_slot(job: Job, free_slots: int, num_parameters: int) -> int:
    """How many of a job's waiting samples the next slot takes."""
    spread = max(-(-job.request.num_samples // SLOTS_PER_JOB), -(-job.num_waiting // free_slots))
    return max(1, min(spread, job.num_waiting, SLOT_PRODUCTS // (job.limit * num_parameters)))
