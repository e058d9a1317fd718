"""Pausing, retracting, flushing and swapping weights: no answer changes that must not, and no page is lost."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from microgpt import (
    Checkpoint,
    Engine,
    Event,
    Failed,
    Finished,
    FinishReason,
    GenerationRequest,
    InvalidRequest,
    ModelConfig,
    SamplingParams,
    TokenEvent,
    build_engine,
    load_checkpoint,
    save_checkpoint,
)
from microgpt.backends import PAGE_TOKENS
from microgpt.constraints.compiler import ConstraintCompiler
from microgpt.constraints.constraint import Constraint, ConstraintKind
from microgpt.constraints.matcher import CompiledConstraint
from microgpt.engine import scheduler
from microgpt.request import PromptScored
from microgpt.sampling import ReferenceGenerator, reference_state
from microgpt.tokenizers import CharTokenizer
from tests.conftest import MakeModel, random_arrays
from tests.microgpt.test_engine import check_invariants, drain

BACKENDS = {"numba": {"backend": "numba", "threads": 1}, "torch": {"backend": "torch", "dtype": "float64"}}
CHARS = "abcdefgh \n"


@pytest.fixture
def checkpoint(make_model: MakeModel) -> Checkpoint:
    return load_checkpoint(make_model(CHARS, block_size=96))


@pytest.fixture
def other_checkpoint(make_model: MakeModel) -> Checkpoint:
    """As `checkpoint`, with other weights."""
    return load_checkpoint(make_model(CHARS, block_size=96, seed=7, name="other"))


@pytest.fixture
def constraints(checkpoint: Checkpoint) -> Iterator[list[CompiledConstraint]]:
    compiler = ConstraintCompiler(checkpoint.tokenizer, checkpoint.config.vocab_size)
    sources = ("[a-d]{2,6}( [e-h]+)*", "(ab|cd)*", "[a-h]{40}")
    yield [compiler.compile(Constraint(ConstraintKind.REGEX, source)) for source in sources]
    compiler.close()


@pytest.fixture(autouse=True)
def _short_bursts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there are many moments between steps."""
    monkeypatch.setattr(scheduler, "BURST_STEPS", 3)
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", 40)


def engine_for(checkpoint: Checkpoint, backend: str = "numba", **options: Any) -> Engine:
    return build_engine(checkpoint, **{"max_slots": 4, **BACKENDS[backend], **options})


Answer = tuple[Any, ...]


def answers(events: list[Event]) -> dict[tuple[str, int], Answer]:
    """All that a client could see of each sample, but for what the cache and the queue did."""
    tokens: dict[tuple[str, int], list[int]] = {}
    texts: dict[tuple[str, int], str] = {}
    logprobs: dict[tuple[str, int], list[Any]] = {}
    scores: dict[tuple[str, int], Any] = {}
    found: dict[tuple[str, int], Answer] = {}
    for event in events:
        key = (event.request_id, event.index)
        assert key not in found, "an event after the end"
        if isinstance(event, TokenEvent):
            tokens.setdefault(key, []).extend(event.token_ids)
            texts[key] = texts.get(key, "") + event.text
            logprobs.setdefault(key, []).extend(event.logprobs)
        elif isinstance(event, PromptScored):
            assert key not in scores | tokens
            scores[key] = event.logprobs
        else:
            ending = str(event.error) if isinstance(event, Failed) else (event.reason, event.matched, event.usage[:2])
            found[key] = (
                tuple(tokens.get(key, ())), texts.get(key, ""), tuple(logprobs.get(key, ())), ending, scores.get(key)
            )  # fmt: skip
    assert tokens.keys() <= found.keys()
    return found


def random_request(
    rng: random.Random, number: int, constraints: Sequence[CompiledConstraint | None], with_logprobs: bool = True
) -> GenerationRequest:
    vocab = len(CHARS) + 4
    prompt = tuple(rng.randrange(vocab) for _ in range(rng.choice([1, 2, 17, 40, 70])))
    num_samples = rng.choice([1, 1, 3, 20])
    params = SamplingParams(
        temperature=rng.choice([0.0, 0.7, 1.5]),
        top_k=rng.choice([0, 3]),
        seed=rng.randrange(2**64),
        max_tokens=rng.choice([None, 0, 1, 12, 30]),
        min_tokens=rng.choice([0, 8]),
        stop_token_ids=rng.choice([(), (2, 5)]),
        repetition_penalty=rng.choice([1.0, 1.3]),
        frequency_penalty=rng.choice([0.0, 0.6]),
        presence_penalty=rng.choice([0.0, -0.5]),
        logit_bias=rng.choice([(), ((3, 1.5),)]),
        logprobs=with_logprobs and rng.random() < 0.5,
        prompt_logprobs_start=rng.choice([None, 0, len(prompt) // 2]) if with_logprobs else None,
        top_logprobs=rng.choice([0, 3]),
        logprob_token_ids=rng.choice([(), (1, 4)]),
        stop=rng.choice([(), (), ("ab", "hg"), ("c",)]),
        stop_regex=rng.choice([(), (), ("[ab][gh]",)]),
    )
    constraint = rng.choice([None, *constraints])
    return GenerationRequest(f"r{number}", prompt, params, num_samples=num_samples, constraint=constraint)


def run_with_retractions(engine: Engine, requests: list[GenerationRequest], rng: random.Random) -> list[Event]:
    waiting, events = list(requests), []
    while waiting or engine.has_work or engine.is_paused:
        if waiting and rng.random() < 0.3:
            engine.add(waiting.pop())
        if rng.random() < 0.3:
            running = engine.stats.running
            assert engine.retract() == running
            assert engine.stats.running == engine.stats.running_pages == 0
        if rng.random() < 0.1:
            engine.pause()
            before = engine.stats
            assert engine.step() == []
            assert engine.stats == before
        if rng.random() < 0.5:
            engine.resume()
        if rng.random() < 0.05:
            engine.flush_cache()
            assert engine.stats.cached_pages == 0
        events += engine.step()
        check_invariants(engine)
    return events


@pytest.mark.parametrize("rng_name", ["default", "reference"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_retracting_pausing_and_flushing_change_no_answer(
    checkpoint: Checkpoint, constraints: list[CompiledConstraint], backend: str, rng_name: str
) -> None:
    rng = random.Random(4)
    # The torch backend promises bits only at a fixed batch shape, so there tokens must do.
    requests = [random_request(rng, number, constraints, backend == "numba") for number in range(30)]
    alone = engine_for(checkpoint, backend, rng=rng_name)
    expected: dict[tuple[str, int], Answer] = {}
    for request in requests:
        alone.add(request)
        expected |= answers(drain(alone))
    engine = engine_for(checkpoint, backend, rng=rng_name, max_slots=6, kv_bytes=1)
    events = run_with_retractions(engine, requests, rng)
    assert answers(events) == expected
    assert max(event.num_retractions for event in events if isinstance(event, Finished)) > 2
    assert engine.stats.free_slots == engine.stats.num_slots


def test_a_retracted_sequence_comes_back_before_those_that_wait(checkpoint: Checkpoint) -> None:
    engine = engine_for(checkpoint, max_slots=1)
    for name in "abc":
        engine.add(GenerationRequest(name, (1, 2), SamplingParams(max_tokens=20)))
    engine.step()
    engine.retract()
    assert (engine.stats.running, engine.stats.waiting) == (0, 3)
    ends = [event.request_id for event in drain(engine) if isinstance(event, Finished)]
    assert ends == ["a", "b", "c"]


def test_cancelled_while_retracted_paused_or_held_ends_once_with_what_it_has(checkpoint: Checkpoint) -> None:
    engine = engine_for(checkpoint, max_slots=1)
    engine.add(GenerationRequest("ran", (1, 2), SamplingParams(max_tokens=50), num_samples=3))
    first = engine.step()
    engine.retract()
    engine.pause()
    engine.add(GenerationRequest("waits", (1, 2), SamplingParams()))
    engine.hold()
    engine.add(GenerationRequest("held", (1, 2), SamplingParams()))
    assert engine.stats.waiting == 5
    for request_id in ("ran", "waits", "held"):
        engine.cancel(request_id)
    assert engine.has_work
    ends = {(event.request_id, event.index): event for event in engine.step() if isinstance(event, Finished)}
    assert not engine.has_work
    assert engine.is_idle
    assert ends.keys() == {("ran", 0), ("ran", 1), ("ran", 2), ("waits", 0), ("held", 0)}
    assert {end.reason for end in ends.values()} == {FinishReason.CANCELLED}
    num_sampled = sum(len(event.token_ids) for event in first if isinstance(event, TokenEvent))
    assert ends["ran", 0].usage.completion_tokens == num_sampled > 0
    assert ends["ran", 0].queue_s is not None
    assert ends["ran", 0].num_retractions == 1
    assert ends["waits", 0].queue_s is None
    assert ends["held", 0].queue_s is None
    check_invariants(engine)


def test_requests_that_come_while_it_holds_wait_for_those_before(checkpoint: Checkpoint) -> None:
    engine = engine_for(checkpoint)
    engine.add(GenerationRequest("before", (1, 2), SamplingParams(max_tokens=10)))
    engine.hold()
    engine.add(GenerationRequest("after", (1, 2), SamplingParams(max_tokens=10)))
    assert engine.has_work
    assert {event.request_id for event in drain(engine)} == {"before"}
    assert not engine.has_work
    assert not engine.is_idle
    engine.release()
    assert {event.request_id for event in drain(engine)} == {"after"}


def test_queue_time_is_from_acceptance_to_the_slot(checkpoint: Checkpoint) -> None:
    now = 100.0
    backend = engine_for(checkpoint, max_slots=1).backend
    engine = Engine(backend, checkpoint.tokenizer, clock=lambda: now)
    engine.add(GenerationRequest("a", (1, 2), SamplingParams(max_tokens=6, ignore_eos=True)))
    now = 101.0
    engine.add(GenerationRequest("b", (1, 2), SamplingParams(max_tokens=6, ignore_eos=True)))
    now = 103.0
    engine.step()
    now = 110.0
    ends = {event.request_id: event for event in drain(engine) if isinstance(event, Finished)}
    assert (ends["a"].queue_s, ends["b"].queue_s) == (3.0, 9.0)


@pytest.mark.parametrize("num_keys", [1, 3])
def test_requests_share_only_within_their_cache_key(checkpoint: Checkpoint, num_keys: int) -> None:
    engine = engine_for(checkpoint)
    prompt = tuple(i % 7 for i in range(3 * PAGE_TOKENS + 1))
    keys = ["", "one", "two"][:num_keys]
    cached = []
    for turn in range(2):
        for key in keys:
            engine.add(GenerationRequest(f"{key}{turn}", prompt, SamplingParams(max_tokens=2), cache_key=key))
            ends = [event for event in drain(engine) if isinstance(event, Finished)]
            cached.append(ends[0].usage.num_cached)
    assert cached == [0] * num_keys + [3 * PAGE_TOKENS] * num_keys


def test_together_requests_wait_only_for_prompts_of_their_key(checkpoint: Checkpoint) -> None:
    engine = engine_for(checkpoint)
    prompt = tuple(i % 7 for i in range(3 * PAGE_TOKENS + 1))
    for key in ("", "", "one", "one"):
        engine.add(GenerationRequest(f"{engine.stats.waiting}", prompt, SamplingParams(max_tokens=2), cache_key=key))
    ends = {event.request_id: event.usage.num_cached for event in drain(engine) if isinstance(event, Finished)}
    assert ends == {"0": 0, "1": 3 * PAGE_TOKENS, "2": 0, "3": 3 * PAGE_TOKENS}


def test_pages_of_all_keys_are_evicted_least_recently_used_first(checkpoint: Checkpoint) -> None:
    rng = random.Random(9)
    engine = engine_for(checkpoint, kv_bytes=1, max_slots=2)  # room for one sequence of a whole context
    for number in range(200):
        prompt = tuple(rng.randrange(3) for _ in range(rng.randrange(1, 60)))
        request = GenerationRequest(str(number), prompt, SamplingParams(max_tokens=3), cache_key=rng.choice(["", "k"]))
        engine.add(request)
        if rng.random() < 0.3:
            drain(engine)
    drain(engine)
    assert engine.stats.cached_pages > 0
    engine.flush_cache()
    assert engine.stats.free_pages == engine.stats.num_pages
    assert not engine._prefixes._nodes


def test_after_a_flush_nothing_from_before_is_served(checkpoint: Checkpoint) -> None:
    engine = engine_for(checkpoint)
    prompt = tuple(i % 7 for i in range(4 * PAGE_TOKENS + 1))
    request = GenerationRequest("before", prompt, SamplingParams(max_tokens=20, ignore_eos=True))
    engine.add(request)
    while engine.stats.running_pages == 0 or next(iter(engine._running.values())).is_prefilling:
        engine.step()
    engine.flush_cache()
    engine.add(GenerationRequest("after", prompt, SamplingParams(max_tokens=2)))
    ends = {event.request_id: event for event in drain(engine) if isinstance(event, Finished)}
    assert ends["after"].usage.num_cached == 0
    engine.add(GenerationRequest("later", prompt, SamplingParams(max_tokens=2)))
    (later,) = [event for event in drain(engine) if isinstance(event, Finished)]
    assert later.usage.num_cached == 4 * PAGE_TOKENS, "what came after the flush is kept"


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "w8a8", "bfloat16"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_new_weights_serve_from_the_next_request_on(
    checkpoint: Checkpoint, other_checkpoint: Checkpoint, backend: str, dtype: str
) -> None:
    if backend == "torch" and dtype in ("int8", "w8a8"):
        pytest.skip(f"the torch backend has no {dtype}")
    prompt = tuple(i % 7 for i in range(2 * PAGE_TOKENS + 1))
    params = SamplingParams(max_tokens=30, ignore_eos=True, logprobs=backend == "numba")

    def answer(engine: Engine) -> Answer:
        engine.add(GenerationRequest("x", prompt, params))
        return answers(drain(engine))["x", 0]

    engine = engine_for(checkpoint, backend, dtype=dtype)
    old, new = answer(engine), answer(engine_for(other_checkpoint, backend, dtype=dtype))
    assert old != new
    swap = engine.backend.pack(other_checkpoint)
    assert answer(engine) == old
    assert engine.update_weights(swap) == 0
    assert answer(engine) == new
    engine.update_weights(engine.backend.pack(checkpoint))
    assert answer(engine) == old


@pytest.mark.parametrize("backend", BACKENDS)
def test_frozen_sequences_go_on_with_new_weights_from_their_own_tokens(
    checkpoint: Checkpoint, other_checkpoint: Checkpoint, backend: str
) -> None:
    prompt, params = (1, 2, 3) * 8, SamplingParams(max_tokens=40, ignore_eos=True, seed=3)
    engine = engine_for(checkpoint, backend)
    engine.add(GenerationRequest("x", prompt, params))
    events = engine.step() + engine.step()
    before = [token for event in events if isinstance(event, TokenEvent) for token in event.token_ids]
    engine.pause()
    assert engine.update_weights(engine.backend.pack(other_checkpoint)) == 1
    engine.resume()
    tokens = [*before, *answers([*drain(engine)])["x", 0][0]]
    # The same as if the new weights were asked to continue prompt and tokens: randomness is a function of position.
    fresh = engine_for(other_checkpoint, backend)
    rest = SamplingParams(max_tokens=40 - len(before), ignore_eos=True, seed=3)
    fresh.add(GenerationRequest("y", (*prompt, *before), rest))
    assert tokens == [*before, *answers(drain(fresh))["y", 0][0]]


def test_weights_that_do_not_fit_are_refused(checkpoint: Checkpoint, make_model: MakeModel, tmp_path: Path) -> None:
    engine = engine_for(checkpoint)
    engine.check_weights(checkpoint)
    for name, match, options in (
        ("longer", "sizes", {"block_size": 128}),
        ("plain", "sizes", {"chat": False}),
        ("others", "same tokens", {"chars": "abcdefgh !"}),
    ):
        path = make_model(name=name, **{"chars": CHARS, "block_size": 96, **options})
        with pytest.raises(InvalidRequest, match=match):
            engine.check_weights(load_checkpoint(path))


def test_weights_of_16_bits_are_replaced_by_such(checkpoint: Checkpoint, tmp_path: Path) -> None:
    config = checkpoint.config
    tokenizer = CharTokenizer(CHARS, chat=True)
    halves = []
    for seed in (1, 2):
        save_checkpoint(tmp_path / str(seed), config, random_arrays(config, seed), tokenizer, "F16")
        halves.append(load_checkpoint(tmp_path / str(seed)))
    request = GenerationRequest("x", (1, 2), SamplingParams(max_tokens=30, logprobs=True))
    fresh = engine_for(halves[1])
    fresh.add(request)
    expected = answers(drain(fresh))
    for first in (halves[0], checkpoint):  # 16 bits fit into 32, exactly
        engine = engine_for(first)
        engine.update_weights(engine.backend.pack(halves[1]))
        engine.add(request)
        assert answers(drain(engine)) == expected
    with pytest.raises(InvalidRequest, match="must be stored in F16 as those in use, got F32"):
        engine_for(halves[0]).backend.pack(checkpoint)


def test_all_threads_compute_with_the_new_weights(tmp_path: Path) -> None:
    tokenizer = CharTokenizer(CHARS, chat=True)
    config = ModelConfig(tokenizer.vocab_size, 64, 2, 2, 96)
    found = []
    for seed in (1, 2):
        save_checkpoint(tmp_path / str(seed), config, random_arrays(config, seed, 0.2), tokenizer)
        found.append(load_checkpoint(tmp_path / str(seed)))
    requests = [GenerationRequest(str(i), (i % 9,) * 40, SamplingParams(seed=i, logprobs=True)) for i in range(16)]

    def run(engine: Engine) -> dict[tuple[str, int], Answer]:
        for request in requests:
            engine.add(request)
        return answers(drain(engine))

    engine = build_engine(found[0], backend="numba", threads=2, max_slots=16)
    run(engine)
    engine.update_weights(engine.backend.pack(found[1]))
    assert run(engine) == run(build_engine(found[1], backend="numba", threads=1, max_slots=16))


def test_the_reference_generator_is_found_where_so_many_draws_have_left_it() -> None:
    for seed in (0, 1, 42, 2**64 - 1):
        generator = ReferenceGenerator(seed)
        for position in range(5):
            generator.uniform(position)
        assert generator.uniform(5) == reference_state(seed, 6) / 2.0**64
