"""Random load on the engine for as long as asked, with cancellations, retractions and flushes;
fails if anything leaks.

Requests of all kinds come, run and are cancelled at random, in waves: between waves the engine runs dry, and then every
slot must be free, every page free or cached, and every sample ended exactly once. Memory (resident set) is compared
between the first tenth of the time and the end.

  python scripts/soak_engine.py --minutes 60
"""

import argparse
import gc
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
sys.path[:0] = [str(SCRIPTS), str(SCRIPTS.parent)]

from bench.our_worker import random_checkpoint  # noqa: E402
from bench.shapes import Shape  # noqa: E402

from microgpt import (  # noqa: E402
    Engine,
    Finished,
    GenerationRequest,
    PromptScored,
    SamplingParams,
    TokenEvent,
    build_engine,
)

SHAPE = Shape("soak", 32, 4, 2, 128, 97)
MOST_GROWTH_MIB = 16.0


def random_request(rng: random.Random, request_id: str, beginnings: list[tuple[int, ...]]) -> GenerationRequest:
    vocab, block_size = SHAPE.vocab_size, SHAPE.block_size
    own = tuple(rng.randrange(vocab) for _ in range(rng.choice([1, rng.randrange(1, 60)])))
    prompt = (rng.choice(beginnings)[: rng.choice([0, rng.randrange(0, 80)])] + own)[:block_size]
    params = SamplingParams(
        max_tokens=rng.choice([None, 0, 1, 5, 40]),
        min_tokens=rng.choice([0, 0, 3]),
        temperature=rng.choice([0, 0.7, 1.5]),
        top_k=rng.choice([0, 0, 7]),
        top_p=rng.choice([1.0, 1.0, 0.8]),
        seed=rng.getrandbits(64),
        stop_token_ids=tuple(rng.sample(range(vocab), rng.randrange(4))),
        logprobs=rng.choice([False, False, True]),
        prompt_logprobs_start=rng.choice([None, None, 0, len(prompt) // 2]),
        top_logprobs=rng.choice([0, 0, 5]),
    )
    return GenerationRequest(request_id, prompt, params, num_samples=rng.choice([1, 1, 1, 4, 30]))


def wave(engine: Engine, rng: random.Random, number: int, beginnings: list[tuple[int, ...]]) -> Counter[str]:
    """One wave of requests to its end; what was counted. Raises AssertionError for whatever is not as it must be."""
    counts: Counter[str] = Counter()
    left = {(f"{number}-{i}"): random_request(rng, f"{number}-{i}", beginnings) for i in range(rng.randrange(1, 60))}
    open_samples: dict[str, set[int]] = {}
    waiting = list(left.values())
    while waiting or engine.has_work:
        while waiting and (rng.random() < 0.4 or not engine.has_work):
            request = waiting.pop()
            engine.add(request)
            open_samples[request.id] = set(range(request.num_samples))
        if open_samples and rng.random() < 0.1:
            engine.cancel(rng.choice(list(open_samples)))
            counts["cancels"] += 1
        if rng.random() < 0.02:
            counts["retractions"] += engine.retract()
        if rng.random() < 0.01:
            engine.flush_cache()
            counts["flushes"] += 1
        for event in engine.step():
            if isinstance(event, TokenEvent):
                counts["tokens"] += len(event.token_ids)
                continue
            if isinstance(event, PromptScored):
                counts["scored"] += len(event.logprobs)
                continue
            assert isinstance(event, Finished), event
            open_samples[event.request_id].remove(event.index)  # KeyError: it had ended already
            counts[event.reason] += 1
            if not open_samples[event.request_id]:
                del open_samples[event.request_id]
        stats = engine.stats
        assert stats.free_slots + stats.running == stats.num_slots, stats
        assert stats.free_pages + stats.cached_pages + stats.running_pages == stats.num_pages, stats
    assert not open_samples
    stats = engine.stats
    assert stats.free_slots == stats.num_slots, stats
    assert stats.running_pages == 0, stats
    counts["waves"] += 1
    return counts


def resident_mib() -> float:
    """This process's resident memory, MiB, after a collection."""
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # no such file: the most it ever was will do
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="how long (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of the load (default: 0)")
    arguments = parser.parse_args()
    if arguments.minutes <= 0:
        parser.error(f"--minutes must be > 0, got {arguments.minutes:g}")
    rng = random.Random(arguments.seed)
    # Few pages, so that the prefix cache is full all the time and evicts.
    engine = build_engine(random_checkpoint(SHAPE, "F32"), device="cpu", max_slots=12, kv_bytes=3 << 20)
    beginnings = [tuple(rng.randrange(SHAPE.vocab_size) for _ in range(80)) for _ in range(5)]
    start, counts, early, shown = time.monotonic(), Counter(), None, 0.0
    while (elapsed_s := time.monotonic() - start) < arguments.minutes * 60:
        counts += wave(engine, rng, counts["waves"], beginnings)
        if early is None and elapsed_s > arguments.minutes * 6:
            early = resident_mib()
        if elapsed_s - shown > 60:
            shown = elapsed_s
            print(f"{elapsed_s / 60:.0f} min: {dict(counts)}, {resident_mib():.1f} MiB", flush=True)
    growth = resident_mib() - (early if early is not None else resident_mib())
    print(f"{arguments.minutes:g} min: {dict(counts)}; memory grew by {growth:.1f} MiB since the first tenth")
    if growth > MOST_GROWTH_MIB:
        print(f"memory may grow by at most {MOST_GROWTH_MIB:g} MiB", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
