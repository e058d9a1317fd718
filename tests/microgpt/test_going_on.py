"""`Backend.go_on`: most bursts, of which nothing is said slot by slot, are as any other."""

import random
from collections import defaultdict
from typing import Any

import pytest

from microgpt import Checkpoint, Engine, Finished, GenerationRequest, SamplingParams, TokenEvent, build_engine
from microgpt.backends import PAGE_TOKENS, Backend, Burst, Feed, pages_for
from microgpt.backends.base import create
from microgpt.engine import scheduler
from tests.microgpt.test_engine import random_request

BACKENDS = ("numba", "torch")


def opened(checkpoint: Checkpoint, backend: str, rng: random.Random, num_slots: int) -> tuple[Backend, list[Feed]]:
    """A backend with a sequence in each slot, and their prompts; some report log probabilities."""
    made = create(checkpoint, "cpu", "float64", "default", num_slots, 1 << 24, backend)
    size, per = checkpoint.config.block_size, pages_for(checkpoint.config.block_size)
    feeds = []
    for slot in range(num_slots):
        prompt = [rng.randrange(checkpoint.config.vocab_size) for _ in range(rng.randint(1, size // 2))]
        params = SamplingParams(seed=rng.randrange(99), logprobs=rng.random() < 0.3, top_logprobs=2)
        limit = rng.randint(4, size - len(prompt) + 1)
        made.open(slot, params, limit, range(slot * per, (slot + 1) * per), prompt)
        feeds.append(Feed(slot, prompt, 0, True))
    assert per * PAGE_TOKENS >= size
    return made, feeds


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", range(8))
def test_going_on_is_a_burst_that_is_fed_the_last_tokens(tiny_checkpoint: Checkpoint, backend: str, seed: int) -> None:
    rng, num_slots = random.Random(seed), 1 + seed % 4
    going, _ = opened(tiny_checkpoint, backend, random.Random(seed), num_slots)
    told, feeds = opened(tiny_checkpoint, backend, random.Random(seed), num_slots)
    num_gone_on = 0
    expected = told.burst(feeds, 2, 100)
    found = going.burst(feeds, 2, 100)
    while True:
        assert found == expected
        if not all(burst.goes_on for burst in found):
            break
        steps = rng.randint(1, 3)
        starts = [feed.start + len(feed.token_ids) + len(b.token_ids) - 1 for feed, b in zip(feeds, found, strict=True)]
        feeds = [Feed(s, b.token_ids[-1:], start, True) for s, (b, start) in enumerate(zip(found, starts, strict=True))]
        expected, found = told.burst(feeds, steps, 100), going.go_on(steps, 100)
        num_gone_on += 1
    assert num_gone_on


@pytest.mark.parametrize("backend", BACKENDS)
def test_answers_do_not_depend_on_whether_bursts_go_on(
    tiny_checkpoint: Checkpoint, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "BURST_STEPS", 2)
    num_gone_on = 0

    def answers(goes_on: bool) -> dict[tuple[str, int], list[Any]]:
        nonlocal num_gone_on
        engine = build_engine(tiny_checkpoint, device="cpu", dtype="float64", max_slots=3, backend=backend)
        burst, go_on = engine.backend.burst, engine.backend.go_on

        def planned(*arguments: Any) -> list[Burst]:
            return [result._replace(goes_on=result.goes_on and goes_on) for result in burst(*arguments)]

        def counted(*arguments: Any) -> list[Burst]:
            nonlocal num_gone_on
            assert goes_on
            num_gone_on += 1
            return go_on(*arguments)

        monkeypatch.setattr(engine.backend, "burst", planned)
        monkeypatch.setattr(engine.backend, "go_on", counted)
        return run_at_random_times(engine, tiny_checkpoint)

    assert answers(goes_on=True) == answers(goes_on=False)
    assert num_gone_on > 20


def run_at_random_times(engine: Engine, checkpoint: Checkpoint) -> dict[tuple[str, int], list[Any]]:
    """What becomes of requests that come, are cancelled and are retracted by and by, by sample; a cancelled one's
    tokens depend on when that was."""
    rng = random.Random(5)
    found: dict[tuple[str, int], list[Any]] = defaultdict(lambda: [[], "", None])
    for i in range(40):
        engine.add(random_request(rng, checkpoint, f"r{i}"))
        engine.add(GenerationRequest(f"s{i}", (1, 2), SamplingParams(seed=i, stop=("ab",), max_tokens=20)))
        if i % 7 == 3:
            engine.cancel(f"s{i}")
        if i % 9 == 5:
            engine.retract()
        for _ in range(rng.randint(0, 12)):
            take(engine, found)
    while engine.has_work:
        take(engine, found)
    return dict(found)


def take(engine: Engine, found: dict[tuple[str, int], list[Any]]) -> None:
    for event in engine.step():
        if isinstance(event, TokenEvent):
            sample = found[event.request_id, event.index]
            assert sample[2] is None
            sample[0] += event.token_ids
            sample[1] += event.text
        elif isinstance(event, Finished):
            assert found[event.request_id, event.index][2] is None
            found[event.request_id, event.index][2] = event._replace(queue_s=0, usage=event.usage[:2])
