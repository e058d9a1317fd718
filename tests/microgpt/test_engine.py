"""The engine: continuous batching, exactly one terminal event, the same answer alone and in a crowd."""

import dataclasses
import gc
import random
import re
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from microgpt import (
    Checkpoint,
    Engine,
    Event,
    Failed,
    Finished,
    FinishReason,
    GenerationRequest,
    InvalidRequest,
    NumericalError,
    SamplingParams,
    TokenEvent,
    build_engine,
    load_checkpoint,
)
from microgpt.engine import scheduler
from microgpt.logprobs import TokenLogprobs
from microgpt.models.gpt import GPT
from microgpt.sampling import CounterGenerator, adjusted, next_token, token_logprobs


@pytest.fixture
def engine(tiny_checkpoint: Checkpoint) -> Engine:
    # float64 leaves rounding no chance to tell batch shapes apart.
    return build_engine(tiny_checkpoint, device="cpu", dtype="float64", max_slots=4)


def drain(engine: Engine) -> list[Event]:
    events: list[Event] = []
    while engine.has_work:
        events += engine.step()
        check_invariants(engine)
    return events


def check_invariants(engine: Engine) -> None:
    stats = engine.stats
    assert stats.free_slots + stats.running == stats.num_slots
    assert stats.free_pages + stats.cached_pages + stats.running_pages == stats.num_pages
    assert (stats.running_pages == 0) == (stats.running == 0)
    users = [page for sequence in engine._running.values() for page in (*sequence.pages, *sequence.kept_pages)]
    assert len(set(users)) == stats.running_pages


def outputs(events: list[Event]) -> dict[str, list[int]]:
    tokens: dict[str, list[int]] = {}
    for event in events:
        if isinstance(event, TokenEvent):
            tokens.setdefault(event.request_id, []).extend(event.token_ids)
    return tokens


def oracle(checkpoint: Checkpoint, request: GenerationRequest) -> list[int]:
    """Recompute the whole sequence for every token: no cache, no batch."""
    model = GPT(checkpoint.config).double()
    model.load_arrays({name: tensor.widened() for name, tensor in checkpoint.tensors.items()})
    generator = CounterGenerator(request.params.seed)
    ids, sampled = list(request.prompt_ids), []
    room = checkpoint.config.block_size - len(ids) + 1
    while len(sampled) < min(room, request.params.max_tokens or room):
        with torch.no_grad():
            logits = model(torch.tensor([ids]))[0, -1].numpy()
        token = next_token(
            logits,
            request.params,
            len(sampled),
            lambda: generator.uniform(len(ids)),
            prompt_ids=request.prompt_ids,
            output_ids=sampled,
        )
        ids.append(token)
        sampled.append(token)
        if token in request.params.end_token_ids:
            break
    return sampled


def random_request(rng: random.Random, checkpoint: Checkpoint, request_id: str) -> GenerationRequest:
    block_size, vocab = checkpoint.config.block_size, checkpoint.config.vocab_size
    prompt = tuple(rng.randrange(vocab) for _ in range(rng.choice([1, 2, 7, block_size - 1, block_size])))
    params = SamplingParams(
        temperature=rng.choice([0.0, 0.7, 1.5]),
        top_k=rng.choice([0, 0, 3]),
        top_p=rng.choice([1.0, 1.0, 0.8]),
        seed=rng.randrange(2**64),
        max_tokens=rng.choice([None, 1, 2, 9]),
        min_tokens=rng.choice([0, 3]),
        stop_token_ids=rng.choice([(), (2, 5)]),
        ignore_eos=rng.choice([False, False, True]),
        suppress_token_ids=rng.choice([(), (0, 1)]),
        min_p=rng.choice([0.0, 0.0, 0.1]),
        repetition_penalty=rng.choice([1.0, 1.0, 0.8, 1.4]),
        frequency_penalty=rng.choice([0.0, 0.0, 0.6]),
        presence_penalty=rng.choice([0.0, 0.0, -0.5]),
        logit_bias=rng.choice([(), (), ((3, 1.5), (7, -4.0))]),
    )
    return GenerationRequest(request_id, prompt, params)


@pytest.mark.parametrize("prefill_tokens", [512, 5])
def test_answers_equal_recomputation_in_any_crowd(
    engine: Engine, tiny_checkpoint: Checkpoint, prefill_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", prefill_tokens)
    rng = random.Random(1)
    requests = [random_request(rng, tiny_checkpoint, f"r{i}") for i in range(60)]
    waiting, events = list(requests), []
    while waiting or engine.has_work:
        for _ in range(rng.choice([0, 0, 1, 5])):
            if waiting:
                engine.add(waiting.pop())
        events += engine.step()
        check_invariants(engine)
    got = outputs(events)
    for request in requests:
        assert got[request.id] == oracle(tiny_checkpoint, request), request


def test_every_request_ends_exactly_once_with_truthful_counts(engine: Engine, tiny_checkpoint: Checkpoint) -> None:
    rng = random.Random(2)
    live: dict[str, GenerationRequest] = {}
    requests: dict[str, GenerationRequest] = {}
    ended: dict[str, Finished] = {}
    tokens: dict[str, int] = {}
    for step in range(400):
        if step < 300:
            request = random_request(rng, tiny_checkpoint, f"r{step}")
            requests[request.id] = live[request.id] = request
            engine.add(request)
        for request_id in rng.sample(sorted(live), min(len(live), rng.choice([0, 0, 1, 3]))):
            engine.cancel(request_id)
            engine.cancel(request_id)
        for event in engine.step():
            assert event.request_id not in ended, "an event after the end"
            if isinstance(event, TokenEvent):
                assert event.token_ids
                tokens[event.request_id] = tokens.get(event.request_id, 0) + len(event.token_ids)
            else:
                assert isinstance(event, Finished)
                ended[event.request_id] = event
                live.pop(event.request_id)
        check_invariants(engine)
    drained = drain(engine)
    ended |= {event.request_id: event for event in drained if isinstance(event, Finished)}
    for event in drained:
        if isinstance(event, TokenEvent):
            tokens[event.request_id] = tokens.get(event.request_id, 0) + len(event.token_ids)
    assert ended.keys() == requests.keys()
    assert {event.reason for event in ended.values()} == set(FinishReason)
    for request_id, event in ended.items():
        assert event.usage.prompt_tokens == len(requests[request_id].prompt_ids)
        assert event.usage.completion_tokens == tokens.get(request_id, 0)
    assert engine.stats.running == engine.stats.waiting == 0
    assert not engine.has_work
    assert engine.step() == []


@pytest.mark.slow
def test_a_long_random_load_leaks_nothing(engine: Engine, tiny_checkpoint: Checkpoint) -> None:
    rng = random.Random(3)
    live: set[str] = set()
    ended = 0

    def step() -> int:
        done = [event.request_id for event in engine.step() if not isinstance(event, TokenEvent)]
        live.difference_update(done)
        check_invariants(engine)
        return len(done)

    def load(first: int, count: int) -> int:
        """Requests in, all of them out; the memory then in use, once cycles are collected."""
        nonlocal ended
        for number in range(first, first + count):
            request = random_request(rng, tiny_checkpoint, f"r{number}")
            engine.add(request)
            live.add(request.id)
            if rng.random() < 0.2:
                engine.cancel(rng.choice(sorted(live)))
            while len(live) > 20:
                ended += step()
        while engine.has_work:
            ended += step()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    before = load(0, 6000)  # until the interpreter's free lists and the prefix cache are as full as they get
    after = load(6000, 6000)
    tracemalloc.stop()
    assert ended == 12000
    assert not live
    assert engine.stats.free_slots == engine.stats.num_slots
    assert engine.stats.running_pages == 0
    assert after - before < 200_000  # 33 bytes a request: no request's state


def test_first_come_first_served(engine: Engine) -> None:
    for i in range(12):
        engine.add(GenerationRequest(f"r{i}", (1,), SamplingParams(max_tokens=3, seed=i)))
    ends = [event.request_id for event in drain(engine) if isinstance(event, Finished)]
    assert ends == [f"r{i}" for i in range(12)]


@pytest.mark.parametrize("seed", range(5))
def test_samples_step_back_for_as_many_later_callers_as_samples_went_before_them(engine: Engine, seed: int) -> None:
    """Slots are had in the order of the caller's number + the sample's number among the caller's."""
    rng = random.Random(seed)
    turns: list[int] = []
    first: dict[str, int] = {}  # turn of each request's first sample
    for caller in range(12):
        num_before = 0
        for part in range(rng.choice([1, 1, 3])):
            request_id, num_samples = f"{caller}-{part}", rng.choice([1, 2, 9, 30])
            params = SamplingParams(max_tokens=rng.randint(1, 30), seed=caller, stop=("unseen",))  # a slot for each
            request = GenerationRequest(request_id, (1,), params, num_samples=num_samples)
            engine.add(request, num_before=num_before)
            first[request_id] = caller + num_before
            num_before += num_samples
        turns += range(caller, caller + num_before)
    begun: dict[tuple[str, int], int] = {}
    while engine.has_work:
        for event in engine.step():
            if isinstance(event, TokenEvent):
                begun.setdefault((event.request_id, event.index), first[event.request_id] + event.index)
    assert list(begun.values()) == sorted(turns)


def test_a_late_request_of_one_sample_does_not_wait_for_the_samples_of_others(engine: Engine) -> None:
    for i in range(5):
        params = SamplingParams(max_tokens=30, stop=("unseen",))  # a slot for each
        engine.add(GenerationRequest(f"many{i}", (1,), params, num_samples=50))
    engine.step()
    engine.add(GenerationRequest("one", (2,), SamplingParams(max_tokens=1)))
    num_ended = 0
    while True:
        ended = [event.request_id for event in engine.step() if isinstance(event, Finished)]
        if "one" in ended:
            break
        num_ended += len(ended)
    assert num_ended < 50  # of 250


def test_further_samples_leave_some_slots_to_first_ones(
    tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "BURST_STEPS", 1)
    engine = build_engine(tiny_checkpoint, device="cpu", max_slots=16)
    params = SamplingParams(max_tokens=32, stop=("unseen",))  # a slot for each sample
    for i in range(2):
        engine.add(GenerationRequest(f"many{i}", (1,), params, num_samples=50))
    engine.step()
    assert engine.stats.running == 14
    for name in ("one", "two"):
        engine.add(GenerationRequest(name, (2,), SamplingParams(max_tokens=1)))
    assert {event.request_id for event in engine.step() if isinstance(event, Finished)} >= {"one", "two"}
    ends = [event for event in drain(engine) if isinstance(event, Finished)]
    assert {event.request_id for event in ends} == {"many0", "many1"}


def test_sampling_goes_on_to_the_last_position(engine: Engine) -> None:
    engine.add(GenerationRequest("full", (1,) * 32, SamplingParams()))
    engine.add(GenerationRequest("one", (1,), SamplingParams()))
    usage = {event.request_id: event for event in drain(engine) if isinstance(event, Finished)}
    assert usage["full"].usage.completion_tokens == 1
    assert usage["one"].usage.completion_tokens == 32
    assert usage["one"].reason is FinishReason.LENGTH


def test_text_of_events_is_the_decoding_of_their_tokens(engine: Engine) -> None:
    end_turn = 11
    request = GenerationRequest("a", (1,), SamplingParams(seed=5, temperature=2.0), special_text={end_turn: "\n"})
    engine.add(request)
    events = drain(engine)
    ids = outputs(events)["a"]
    assert end_turn in ids
    want = "".join("\n" if i == end_turn else engine.tokenizer.token_bytes(i).decode() for i in ids)
    assert "".join(event.text for event in events if isinstance(event, TokenEvent)) == want


@pytest.mark.parametrize(
    ("prompt", "params", "message"),
    [
        ((), SamplingParams(), "prompt length must be in [1, 32], got 0"),
        ((1,) * 33, SamplingParams(), "prompt length must be in [1, 32], got 33"),
        ((1, 14), SamplingParams(), "prompt_ids must be in [0, 14), got 14"),
        ((-1,), SamplingParams(), "prompt_ids must be in [0, 14), got -1"),
        ((1,), SamplingParams(stop_token_ids=(99,)), "stop_token_ids must be in [0, 14), got 99"),
        ((1,), SamplingParams(suppress_token_ids=tuple(range(14))), "no token is left to sample"),
        ((1, 2), SamplingParams(prompt_logprobs_start=3), "prompt_logprobs_start must be in [0, 2], got 3"),
    ],
)
def test_requests_that_can_never_run_are_refused(
    engine: Engine, prompt: tuple[int, ...], params: SamplingParams, message: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        engine.add(GenerationRequest("a", prompt, params))
    assert message in str(caught.value)
    assert not engine.has_work


def test_a_live_id_is_refused_and_a_finished_one_is_free_again(engine: Engine) -> None:
    request = GenerationRequest("a", (1,), SamplingParams(max_tokens=2))
    engine.add(request)
    with pytest.raises(InvalidRequest, match="id must be unique"):
        engine.add(request)
    drain(engine)
    engine.add(request)
    assert len(outputs(drain(engine))["a"]) == 2


def test_numbers_that_are_not_finite_fail_one_sequence_and_spare_the_rest(make_model: Callable[..., Path]) -> None:
    checkpoint = load_checkpoint(make_model())
    poisoned = dict(checkpoint.tensors)
    wte = checkpoint.tensors["wte"].bits.copy()
    wte[3] = np.nan
    poisoned["wte"] = type(checkpoint.tensors["wte"])("F32", wte)
    bad = Checkpoint(checkpoint.path, checkpoint.config, poisoned, checkpoint.tokenizer, checkpoint.meta)
    params = SamplingParams(suppress_token_ids=(3,), seed=4)

    def answers(model: Checkpoint, with_poison: bool) -> list[Event]:
        engine = build_engine(model, device="cpu", max_slots=2)
        for i in range(6):
            if with_poison:
                engine.add(GenerationRequest(f"bad{i}", (1, 3, 2), params))
            engine.add(GenerationRequest(f"good{i}", (1, 2), params))
        return drain(engine)

    events = answers(bad, with_poison=True)
    failed = [event for event in events if isinstance(event, Failed)]
    assert sorted(event.request_id for event in failed) == [f"bad{i}" for i in range(6)]
    assert all(isinstance(event.error, NumericalError) for event in failed)
    got, want = outputs(events), outputs(answers(checkpoint, with_poison=False))
    assert got == want
    assert all(np.isfinite(len(ids)) and len(ids) == 31 for ids in got.values())


def samples_of(events: Iterable[Event]) -> dict[tuple[str, int], list[int]]:
    tokens: dict[tuple[str, int], list[int]] = {}
    for event in events:
        if isinstance(event, TokenEvent):
            tokens.setdefault((event.request_id, event.index), []).extend(event.token_ids)
    return tokens


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize(("num_slots", "burst_steps"), [(1, 256), (3, 256), (3, 7), (40, 256)])
def test_samples_of_a_request_are_what_separate_requests_with_their_seeds_give(
    tiny_checkpoint: Checkpoint, backend: str, num_slots: int, burst_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "BURST_STEPS", burst_steps)
    rng = random.Random(num_slots)
    engine = build_engine(tiny_checkpoint, dtype="float64", max_slots=num_slots, backend=backend)
    for round_number in range(4):
        requests = []
        for i in range(3):
            base = random_request(rng, tiny_checkpoint, f"{round_number}-{i}")
            seed = rng.choice([2**64 - 2, rng.getrandbits(64)])
            params = dataclasses.replace(base.params, seed=seed, max_tokens=rng.choice([1, 3, 20]))
            requests.append(dataclasses.replace(base, params=params, num_samples=rng.choice([1, 2, 33])))
        for request in requests:
            engine.add(request)
        events = drain(engine)
        ends = Counter((event.request_id, event.index) for event in events if not isinstance(event, TokenEvent))
        assert ends == Counter((r.id, i) for r in requests for i in range(r.num_samples))
        together = samples_of(events)
        texts = {(r.id, i): "" for r in requests for i in range(r.num_samples)}
        for event in events:
            if isinstance(event, TokenEvent):
                texts[event.request_id, event.index] += event.text
            elif isinstance(event, Finished):
                tokens = together[event.request_id, event.index]
                assert event.usage.completion_tokens == len(tokens)
        for request in requests:
            for i in range(request.num_samples):
                params = dataclasses.replace(request.params, seed=(request.params.seed + i) % 2**64)
                engine.add(dataclasses.replace(request, id="alone", params=params, num_samples=1))
                alone = drain(engine)
                assert together[request.id, i] == samples_of(alone)["alone", 0]
                assert texts[request.id, i] == "".join(e.text for e in alone if isinstance(e, TokenEvent))


@pytest.mark.parametrize("burst_steps", [256, 7])
def test_all_that_is_told_of_a_sample_is_the_same_whether_or_not_others_share_its_slot(
    tiny_checkpoint: Checkpoint, burst_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "BURST_STEPS", burst_steps)
    rng, vocab = random.Random(burst_steps), tiny_checkpoint.config.vocab_size
    engine = build_engine(tiny_checkpoint, dtype="float64", max_slots=2)

    def told(params: SamplingParams, prompt_ids: tuple[int, ...], num_samples: int) -> list[tuple[Any, ...]]:
        """Of each sample: tokens, text, log probabilities, end, and the counts of cached tokens that were told."""
        engine.add(GenerationRequest("r", prompt_ids, params, {vocab - 1: "<last>"}, num_samples))
        parts: dict[int, list[Any]] = {}
        for event in drain(engine):
            part = parts.setdefault(event.index, [(), "", (), None, set()])
            if isinstance(event, TokenEvent):
                part[0] += event.token_ids
                part[1] += event.text
                part[2] += event.logprobs
                part[4].add(event.num_cached)
            else:
                assert isinstance(event, Finished)
                part[3] = event.reason, event.matched, event.usage[:2]
                part[4].add(event.usage.num_cached)
        return [tuple(parts[i]) for i in range(num_samples)]

    for case in range(8):
        params = SamplingParams(
            max_tokens=rng.choice([1, 5, 20]),
            stop_token_ids=tuple(rng.sample(range(vocab), vocab // 10)),
            ignore_eos=case % 3 == 0,
            logprobs=case % 2 == 0,
            top_logprobs=2,
            seed=rng.getrandbits(64),
        )
        prompt_ids = tuple(rng.randrange(vocab) for _ in range(rng.randint(1, 5)))
        together = told(params, prompt_ids, 9)
        for i, sample in enumerate(together):
            seed = (params.seed + i) % 2**64
            ((*alone, _),) = told(dataclasses.replace(params, seed=seed), prompt_ids, 1)
            assert list(sample[:-1]) == alone
            assert sample[-1] <= {0, len(prompt_ids) - 1}
            assert len(sample[-1]) == 1
        num_following = sum(sample[-1] == {len(prompt_ids) - 1} for sample in together)
        assert num_following >= 7  # all but each slot's first


def test_cancelling_a_request_ends_each_of_its_samples_once(tiny_checkpoint: Checkpoint) -> None:
    engine = build_engine(tiny_checkpoint, max_slots=3)
    bos = tiny_checkpoint.tokenizer.bos
    params = SamplingParams(max_tokens=2, stop_token_ids=(bos,))
    for when in (0, 1, 2):
        engine.add(GenerationRequest("many", (bos,), params, num_samples=2000))
        engine.add(GenerationRequest("other", (bos,), params))
        events: list[Event] = []
        for _ in range(when):
            events += engine.step()
        engine.cancel("many")
        events += drain(engine)
        ends = {event.index: event for event in events if isinstance(event, Finished) and event.request_id == "many"}
        assert sum(isinstance(e, Finished) for e in events) == 2001
        assert sorted(ends) == list(range(2000))
        cancelled = [event for event in ends.values() if event.reason is FinishReason.CANCELLED]
        assert len(cancelled) > 1000
        tokens = samples_of(events)
        assert all(event.usage.completion_tokens == len(tokens.get(("many", i), [])) for i, event in ends.items())
        assert engine.stats.free_slots == 3


def test_pages_that_the_next_sample_overwrites_are_not_kept_for_others(make_model: Callable[..., Path]) -> None:
    checkpoint = load_checkpoint(make_model(block_size=64))
    engine = build_engine(checkpoint, dtype="float64", max_slots=1)
    fresh = build_engine(checkpoint, dtype="float64", max_slots=1, prefix_cache=False)
    prompt = tuple(i % 5 for i in range(20))
    params = SamplingParams(max_tokens=25, temperature=2)
    engine.add(GenerationRequest("first", prompt, params, num_samples=8))
    samples = samples_of(drain(engine))
    for i in range(8):  # each sample's own continuation, from whatever the cache has of it
        longer = (*prompt, *samples["first", i][:20])
        answers = []
        for each in (engine, fresh):
            each.add(GenerationRequest("next", longer, SamplingParams(max_tokens=20, temperature=0)))
            answers.append(samples_of(drain(each)))
        assert answers[0] == answers[1]
    assert engine.stats.cached_tokens > 0


ADJUSTMENTS: dict[str, Any] = {
    "min_p": 0.1,
    "repetition_penalty": 1.2,
    "frequency_penalty": 0.5,
    "presence_penalty": -0.5,
    "logit_bias": {2: 1.5, 5: -3},
}


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_samples_with_penalties_and_biases_equal_recomputation(tiny_checkpoint: Checkpoint, backend: str) -> None:
    engine = build_engine(tiny_checkpoint, device="cpu", dtype="float64", backend=backend, max_slots=3)
    params = SamplingParams(seed=2**64 - 2, max_tokens=12, **ADJUSTMENTS)
    request = GenerationRequest("r", tuple(i % 7 for i in range(18)), params, num_samples=5)
    for _ in range(2):  # again, with the prompt in the prefix cache
        engine.add(request)
        found = samples_of(drain(engine))
        for i in range(request.num_samples):
            alone = dataclasses.replace(params, seed=(params.seed + i) % 2**64)
            assert found["r", i] == oracle(tiny_checkpoint, dataclasses.replace(request, params=alone))
    assert engine.stats.cached_tokens > 0


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("burst_steps", [256, 2])
def test_log_probabilities_equal_recomputation_with_neighbours_that_ask_for_others(
    tiny_checkpoint: Checkpoint, backend: str, burst_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "BURST_STEPS", burst_steps)
    rng = random.Random(4)
    engine = build_engine(tiny_checkpoint, dtype="float64", backend=backend, max_slots=3)
    requests = []
    for i in range(12):
        base = random_request(rng, tiny_checkpoint, f"r{i}")
        params = dataclasses.replace(
            base.params,
            logprobs=rng.choice([True, True, False]),
            top_logprobs=rng.choice([0, 3, 100]),
            logprob_token_ids=rng.choice([(), (5, 0, 5)]),
            stop=rng.choice([(), ("a", "f")]),
        )
        requests.append(dataclasses.replace(base, params=params, num_samples=rng.choice([1, 4])))
        engine.add(requests[-1])
    events = [event for event in drain(engine) if isinstance(event, TokenEvent)]
    tokens, found = samples_of(events), defaultdict(list)
    for event in events:
        found[event.request_id, event.index] += event.logprobs
    num_compared = 0
    for request in requests:
        for key in ((request.id, i) for i in range(request.num_samples)):
            wanted = logprobs_oracle(tiny_checkpoint, request, tokens[key]) if request.params.logprobs else []
            assert len(found[key]) == len(wanted)
            for report, right in zip(found[key], wanted, strict=True):
                assert [i for i, _ in report.top] == [i for i, _ in right.top]
                assert report.chosen == pytest.approx(right.chosen, abs=1e-9)
                assert report.given == pytest.approx(right.given, abs=1e-9)
                assert [p for _, p in report.top] == pytest.approx([p for _, p in right.top], abs=1e-9)
                num_compared += 1
    assert num_compared > 50


def logprobs_oracle(checkpoint: Checkpoint, request: GenerationRequest, sampled: list[int]) -> list[TokenLogprobs]:
    model = GPT(checkpoint.config).double()
    model.load_arrays({name: tensor.widened() for name, tensor in checkpoint.tensors.items()})
    with torch.no_grad():
        logits = model(torch.tensor([[*request.prompt_ids, *sampled[:-1]]]))[0, len(request.prompt_ids) - 1 :].numpy()
    return [
        token_logprobs(adjusted(row, request.params, i, request.prompt_ids, sampled[:i]), request.params, sampled[i])
        for i, row in enumerate(logits)
    ]


def stopped_text(
    engine: Engine, params: SamplingParams, token_ids: list[int]
) -> tuple[list[int], str, FinishReason, int | str | None]:
    """What a request with these stops makes of the tokens that it would have without: the whole text is decoded and
    searched after every token."""
    strings, patterns, trim = params.stop, params.stop_regex, not params.no_stop_trim
    for count in range(1, len(token_ids) + 1):
        text = engine.tokenizer.decode(token_ids[:count])
        found = [(text.find(stop), text.find(stop) + len(stop), stop) for stop in strings if stop in text]
        found += [(*match.span(), stop) for stop in patterns if (match := re.search(stop, text))]
        if found:
            start, end, stop = min(found, key=lambda match: match[:2])
            return token_ids[:count], text[: start if trim else end], FinishReason.STOP, stop
    text, last = engine.tokenizer.decode(token_ids), token_ids[-1]
    if last in params.end_token_ids:
        return token_ids, text, FinishReason.STOP, last
    return token_ids, text, FinishReason.LENGTH, None


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize("burst_steps", [256, 3, 1])
def test_text_stops_end_samples_where_a_search_after_every_token_finds_them(
    tiny_checkpoint: Checkpoint, backend: str, burst_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "BURST_STEPS", burst_steps)
    rng = random.Random(burst_steps)
    engine = build_engine(tiny_checkpoint, dtype="float64", max_slots=3, backend=backend)
    free = build_engine(tiny_checkpoint, dtype="float64", max_slots=3, backend=backend, prefix_cache=False)
    reasons = Counter()
    for round_number in range(8):
        requests = []
        for i in range(4):
            base = random_request(rng, tiny_checkpoint, f"{round_number}-{i}")
            params = dataclasses.replace(
                base.params,
                seed=rng.getrandbits(60),
                max_tokens=rng.choice([None, 20]),
                stop=rng.choice([(), ("a",), ("ab", "b "), ("cc", "c", "f\n"), ("hg", "dgb")]),
                stop_regex=rng.choice([(), (), ("[a-d] ",), ("e.?e", "gh|hg")]),
                no_stop_trim=rng.choice([False, True]),
            )
            prompt_ids = base.prompt_ids[: rng.choice([1, 7, 18])]
            requests.append(
                dataclasses.replace(base, prompt_ids=prompt_ids, params=params, num_samples=rng.choice([1, 3]))
            )
        for request in requests:
            engine.add(request)
            plain = dataclasses.replace(request.params, stop=(), stop_regex=())
            free.add(dataclasses.replace(request, params=plain))
        events, endless = drain(engine), samples_of(drain(free))
        found, texts, ends = samples_of(events), defaultdict(str), {}
        for event in events:
            assert (event.request_id, event.index) not in ends, "an event after the end"
            if isinstance(event, TokenEvent):
                texts[event.request_id, event.index] += event.text
            else:
                assert isinstance(event, Finished)
                ends[event.request_id, event.index] = event
        for request in requests:
            for key in ((request.id, i) for i in range(request.num_samples)):
                token_ids, text, reason, matched = stopped_text(engine, request.params, endless[key])
                assert (found[key], texts[key]) == (token_ids, text), request
                assert (ends[key].reason, ends[key].matched) == (reason, matched)
                assert ends[key].usage.completion_tokens == len(token_ids)
                reasons[reason, type(matched)] += 1
    assert reasons[FinishReason.STOP, str] > 10
    assert reasons[FinishReason.STOP, int] > 0
    assert reasons[FinishReason.LENGTH, type(None)] > 3


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_tokens_past_a_text_stop_are_in_no_prefix(make_model: Callable[..., Path], backend: str) -> None:
    checkpoint = load_checkpoint(make_model(block_size=64))
    bos = checkpoint.tokenizer.bos
    params = SamplingParams(temperature=0, suppress_token_ids=(bos,))
    engine = build_engine(checkpoint, max_slots=1, backend=backend)
    engine.add(GenerationRequest("endless", (bos,), params))
    [*tokens] = samples_of(drain(engine))["endless", 0]
    text = checkpoint.tokenizer.decode(tokens)
    for length in (1, 10, 30, 40):
        engine = build_engine(checkpoint, max_slots=1, backend=backend)
        engine.add(GenerationRequest("stopped", (bos,), dataclasses.replace(params, stop=(text[:length],))))
        [count] = [e.usage.completion_tokens for e in drain(engine) if isinstance(e, Finished)]
        # Of BOS and all tokens that count; the last one may have been fed or not.
        assert count // 16 <= engine.stats.cached_pages <= (count + 1) // 16
        engine.add(GenerationRequest("next", (bos, *tokens[:50]), SamplingParams(max_tokens=1)))
        [usage] = [e.usage for e in drain(engine) if isinstance(e, Finished)]
        assert count // 16 <= usage.num_cached // 16 <= (count + 1) // 16


def test_a_sequence_that_fails_after_its_stop_has_stopped(make_model: Callable[..., Path]) -> None:
    checkpoint = load_checkpoint(make_model())
    bos = checkpoint.tokenizer.bos
    greedy = SamplingParams(
        temperature=0, max_tokens=12, suppress_token_ids=tuple(checkpoint.tokenizer.special_ids), frequency_penalty=1
    )
    engine = build_engine(checkpoint, max_slots=1)
    engine.add(GenerationRequest("sound", (bos,), greedy))
    tokens = samples_of(drain(engine))["sound", 0]
    first, bad = tokens[0], next(i for i in tokens if i != tokens[0])
    wte = checkpoint.tensors["wte"].bits.copy()
    wte[bad] = np.nan
    poisoned = dict(checkpoint.tensors) | {"wte": type(checkpoint.tensors["wte"])("F32", wte)}
    checkpoint = Checkpoint(checkpoint.path, checkpoint.config, poisoned, checkpoint.tokenizer, checkpoint.meta)
    stop = checkpoint.tokenizer.decode([first])
    engine = build_engine(checkpoint, max_slots=2)
    engine.add(GenerationRequest("stopped", (bos,), dataclasses.replace(greedy, stop=(stop,))))
    engine.add(GenerationRequest("failed", (bos,), dataclasses.replace(greedy, stop=("no such text",))))
    ends = {event.request_id: event for event in drain(engine) if not isinstance(event, TokenEvent)}
    assert isinstance(ends["failed"], Failed)
    assert isinstance(ends["stopped"], Finished)
    assert (ends["stopped"].matched, ends["stopped"].usage.completion_tokens) == (stop, 1)


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_ignored_stop_tokens_end_nothing(tiny_checkpoint: Checkpoint, backend: str) -> None:
    engine = build_engine(tiny_checkpoint, device="cpu", backend=backend)
    every_id = tuple(range(tiny_checkpoint.config.vocab_size))
    params = SamplingParams(max_tokens=9, stop_token_ids=every_id)
    engine.add(GenerationRequest("stopped", (1,), params))
    engine.add(GenerationRequest("free", (1,), dataclasses.replace(params, ignore_eos=True, min_tokens=1)))
    events = drain(engine)
    ends = {event.request_id: event for event in events if isinstance(event, Finished)}
    assert (ends["stopped"].reason, ends["stopped"].usage.completion_tokens) == (FinishReason.STOP, 1)
    assert (ends["free"].reason, ends["free"].usage.completion_tokens) == (FinishReason.LENGTH, 9)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"logit_bias": {14: 1}}, r"^logit_bias ids must be in \[0, 14\), got 14"),
        ({"logprob_token_ids": (-1,)}, r"^logprob_token_ids must be in \[0, 14\), got -1"),
        ({"stop_regex": ("fine", "(?=a)")}, r"^stop_regex\[1\] must be a pattern that RE2 takes: "),
    ],
)
def test_ids_and_patterns_are_checked_before_a_request_runs(
    tiny_checkpoint: Checkpoint, knobs: dict[str, Any], message: str
) -> None:
    engine = build_engine(tiny_checkpoint, device="cpu")
    with pytest.raises(InvalidRequest, match=message):
        engine.add(GenerationRequest("r", (1,), SamplingParams(**knobs)))
    assert not engine.has_work
