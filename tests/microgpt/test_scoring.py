"""Log probabilities of prompts: the torch module's, in any company, and those of what was sampled again."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Sequence
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
    NumericalError,
    PromptScored,
    SamplingParams,
    TokenEvent,
    build_engine,
    load_checkpoint,
)
from microgpt.backends import PAGE_TOKENS, Burst, Feed, numba_backend
from microgpt.checkpoint import StoredTensor
from microgpt.engine import scheduler
from microgpt.logprobs import TokenLogprobs
from microgpt.models.gpt import GPT
from microgpt.sampling import prompt_token_logprobs
from tests.microgpt.test_engine import drain
from tests.microgpt.test_numba_backend import SHAPES, checkpoint_of

BACKENDS = ("numba", "torch")


def run(engine: Engine, *requests: GenerationRequest) -> list[Event]:
    for request in requests:
        engine.add(request)
    return drain(engine)


def scores(events: Iterable[Event]) -> dict[tuple[str, int], tuple[TokenLogprobs | None, ...]]:
    """What came of prompts, by sample. Nothing else of a sample may come before."""
    found: dict[tuple[str, int], tuple[TokenLogprobs | None, ...]] = {}
    begun = set()
    for event in events:
        key = (event.request_id, event.index)
        if isinstance(event, PromptScored):
            assert key not in begun
            found[key] = event.logprobs
        begun.add(key)
    return found


def sampled(events: Iterable[Event]) -> dict[str, tuple[list[int], list[TokenLogprobs]]]:
    """Ids and log probabilities of what requests of one sample sampled."""
    found: dict[str, tuple[list[int], list[TokenLogprobs]]] = defaultdict(lambda: ([], []))
    for event in events:
        if isinstance(event, TokenEvent):
            found[event.request_id][0].extend(event.token_ids)
            found[event.request_id][1].extend(event.logprobs)
    return found


def score(prompt_ids: Sequence[int], start: int = 0, request_id: str = "r", **knobs: Any) -> GenerationRequest:
    """A request for the log probabilities of a prompt alone."""
    params = SamplingParams(**{"max_tokens": 0, "prompt_logprobs_start": start, **knobs})
    return GenerationRequest(request_id, tuple(prompt_ids), params)


def oracle(checkpoint: Checkpoint, request: GenerationRequest) -> list[TokenLogprobs | None]:
    """The torch module's logits of the whole prompt at once, and the reference."""
    model = GPT(checkpoint.config).double()
    model.load_arrays({name: tensor.widened() for name, tensor in checkpoint.tensors.items()})
    ids, start = request.prompt_ids, request.params.prompt_logprobs_start
    assert start is not None
    with torch.no_grad():
        logits = model(torch.tensor([ids]))[0].numpy()
    return [
        prompt_token_logprobs(logits[position - 1], request.params, ids[position]) if position else None
        for position in range(start, len(ids))
    ]


def assert_close(
    found: Sequence[TokenLogprobs | None], wanted: Sequence[TokenLogprobs | None], tolerance: float
) -> None:
    assert len(found) == len(wanted)
    for report, right in zip(found, wanted, strict=True):
        if right is None or report is None:
            assert report is right
            continue
        assert report.chosen == pytest.approx(right.chosen, abs=tolerance)
        assert report.given == pytest.approx(right.given, abs=tolerance)
        assert [p for _, p in report.top] == pytest.approx([p for _, p in right.top], abs=tolerance)
        if tolerance < 1e-6:
            assert [i for i, _ in report.top] == [i for i, _ in right.top]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-9)])
def test_scores_equal_the_torch_module(backend: str, dtype: str, tolerance: float) -> None:
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        checkpoint = checkpoint_of(shape)
        config = checkpoint.config
        engine = build_engine(checkpoint, dtype=dtype, backend=backend, max_slots=3)
        requests = []
        for i in range(6):
            num_prompt = int(rng.choice([1, 2, config.block_size // 2, config.block_size]))
            ids = rng.integers(0, config.vocab_size, num_prompt).tolist()
            start = int(rng.choice([0, 1, num_prompt // 2, num_prompt]))
            given = rng.integers(0, config.vocab_size, i % 3).tolist()
            requests.append(
                score(ids, start, f"r{i}", top_logprobs=int(rng.choice([0, 3, 128])), logprob_token_ids=given)
            )
        found = scores(run(engine, *requests))
        for request in requests:
            assert_close(found[request.id, 0], oracle(checkpoint, request), tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
def test_scores_of_golden_models_equal_the_torch_module(golden_dir: Path, golden: dict[str, Any], backend: str) -> None:
    checkpoint = load_checkpoint(golden_dir)
    engine = build_engine(checkpoint, dtype="float64", backend=backend)
    cases = [case["tokens"] for case in golden["logits"]] + [case["prompt"] for case in golden["prompt"][:10]]
    requests = [score(ids, 0, f"r{i}", top_logprobs=4) for i, ids in enumerate(cases)]
    found = scores(run(engine, *requests))
    for request in requests:
        assert_close(found[request.id, 0], oracle(checkpoint, request), 1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_rescoring_what_was_sampled_gives_its_log_probabilities_again(backend: str, temperature: float) -> None:
    for shape in SHAPES:
        checkpoint = checkpoint_of(shape)
        config = checkpoint.config
        engine = build_engine(checkpoint, backend=backend, max_slots=8)
        rng = np.random.default_rng(1)
        knobs: dict[str, Any] = {"logprobs": True, "top_logprobs": 3, "logprob_token_ids": (2, 5)}
        prompts = {f"r{i}": rng.integers(0, config.vocab_size, 1 + 2 * i).tolist() for i in range(5)}
        for name, ids in prompts.items():
            params = SamplingParams(
                temperature=temperature, top_k=20, seed=7, max_tokens=config.block_size - len(ids), **knobs
            )
            engine.add(GenerationRequest(name, tuple(ids), params))
        outputs = sampled(drain(engine))
        again = [score(ids + outputs[name][0], len(ids), name, **knobs) for name, ids in prompts.items()]
        found = scores(run(engine, *again))
        for name in prompts:
            reports = outputs[name][1]
            assert len(reports) == config.block_size - len(prompts[name])
            if backend == "numba":  # the same sums in the same order: the same bits
                assert found[name, 0] == tuple(reports)
            else:
                assert_close(found[name, 0], reports, 1e-4)
            if temperature == 0:
                assert [report.top[0][0] for report in reports] == outputs[name][0]


def told(events: Iterable[Event]) -> dict[tuple[str, int], list[Any]]:
    """All that came of each sample, merged: scores, ids, log probabilities and the reason of its end."""
    found: dict[tuple[str, int], list[Any]] = defaultdict(lambda: [None, [], [], None])
    for event in events:
        parts = found[event.request_id, event.index]
        if isinstance(event, PromptScored):
            assert parts == [None, [], [], None]
            parts[0] = event.logprobs
        elif isinstance(event, TokenEvent):
            parts[1] += event.token_ids
            parts[2] += event.logprobs
        else:
            assert isinstance(event, Finished)
            assert parts[3] is None
            parts[3] = event.reason
    return dict(found)


def mixed_requests(checkpoint: Checkpoint, count: int, rng: np.random.Generator) -> list[GenerationRequest]:
    """Requests that share beginnings; most of them are scored, in part or whole, some without sampling."""
    config = checkpoint.config
    beginning = rng.integers(0, config.vocab_size, config.block_size).tolist()
    requests = []
    for i in range(count):
        shared = int(rng.integers(0, config.block_size))
        ids = (beginning[:shared] + rng.integers(0, config.vocab_size, config.block_size).tolist())[
            : rng.integers(1, config.block_size + 1)
        ]
        params = SamplingParams(
            temperature=float(rng.choice([0, 0.8, 1.3])),
            seed=i,
            max_tokens=int(rng.choice([0, 1, 30])),
            logprobs=bool(i % 2),
            prompt_logprobs_start=None if i % 4 == 3 else int(rng.choice([0, 0, len(ids) // 2, len(ids)])),
            top_logprobs=int(rng.choice([0, 2])),
            logprob_token_ids=(3,) * (i % 3),
            frequency_penalty=float(rng.choice([0, 1])),
            suppress_token_ids=(1,) * (i % 2),
        )
        requests.append(GenerationRequest(f"r{i}", tuple(ids), params, num_samples=int(rng.choice([1, 1, 3]))))
    return requests


@pytest.mark.parametrize("dtype", ["float32", "int8", "w8a8"])
@pytest.mark.parametrize("shape", SHAPES[1:3])
def test_scores_have_the_same_bits_alone_and_in_any_company(
    shape: tuple[int, ...], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = checkpoint_of(shape)
    rng = np.random.default_rng(2)
    requests = mixed_requests(checkpoint, 30, rng)
    alone_engine = build_engine(checkpoint, dtype=dtype, max_slots=1, prefix_cache=False, threads=1)
    alone: dict[tuple[str, int], list[Any]] = {}
    for request in requests:
        alone |= told(run(alone_engine, request))
    for request in requests:
        start = request.params.prompt_logprobs_start
        for i in range(request.num_samples):
            found = alone[request.id, i][0]
            assert (found is None) if start is None else len(found) == len(request.prompt_ids) - start
    for trial in range(10):
        monkeypatch.setattr(numba_backend, "_COLUMN_BYTES", int(rng.choice([0, 1 << 30])))
        monkeypatch.setattr(scheduler, "PREFILL_TOKENS", int(rng.choice([1, 7, 64, 512])))
        monkeypatch.setattr(scheduler, "BURST_STEPS", int(rng.choice([1, 3, 256])))
        engine = build_engine(
            checkpoint,
            dtype=dtype,
            max_slots=int(rng.choice([2, 8, 33])),
            prefix_cache=bool(trial % 2),
            threads=int(rng.choice([1, 2, 3])),
        )
        rng.shuffle(requests)  # pyright: ignore[reportArgumentType]
        left, events = list(requests), []
        while left or engine.has_work:
            while left and (rng.random() < 0.5 or not engine.has_work):
                engine.add(left.pop())
            events += engine.step()
        assert told(events) == alone, trial
        engine.backend.close()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_comes_from_the_prefix_cache_leaves_the_rows_that_are_needed(backend: str) -> None:
    checkpoint = checkpoint_of(SHAPES[2])
    engine = build_engine(checkpoint, dtype="float64", backend=backend)
    ids = np.random.default_rng(3).integers(0, 300, 80).tolist()
    wanted = oracle(checkpoint, score(ids))
    run(engine, score(ids))
    for start in (0, 1, 16, 17, 18, 32, 33, 64, 65, 79, 80):
        events = run(engine, score(ids, start))
        assert_close(scores(events)["r", 0], wanted[start:], 1e-9)
        [end] = [event for event in events if isinstance(event, Finished)]
        # The row before the first scored token is computed, and the last row always is.
        reusable = max(start, 1) - 1
        assert end.usage.num_cached == reusable // PAGE_TOKENS * PAGE_TOKENS


@pytest.mark.parametrize("backend", BACKENDS)
def test_samples_share_the_scores_of_their_prompt_which_is_computed_once(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", 20)
    checkpoint = checkpoint_of(SHAPES[2])
    engine = build_engine(checkpoint, dtype="float64", backend=backend, max_slots=8)
    ids = np.random.default_rng(4).integers(0, 300, 60).tolist()
    request = dataclasses.replace(score(ids, max_tokens=3), num_samples=5)
    events = run(engine, request)
    found = scores(events)
    assert set(found) == {("r", i) for i in range(5)}
    for each in found.values():
        assert_close(each, oracle(checkpoint, request), 1e-9)
    usages = {event.index: event.usage for event in events if isinstance(event, Finished)}
    assert [usages[i].num_cached for i in range(5)] == [0, 48, 48, 48, 48]
    assert {usage.completion_tokens for usage in usages.values()} == {3}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("num_steps", [1, 2, 3, 4, 5])
def test_samples_that_begin_with_new_weights_have_the_scores_of_these(
    backend: str, num_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", 20)
    monkeypatch.setattr(scheduler, "BURST_STEPS", 2)
    old, new = checkpoint_of(SHAPES[2]), checkpoint_of(SHAPES[2], seed=1)
    engine = build_engine(old, dtype="float64", backend=backend, max_slots=2)
    request = dataclasses.replace(score(range(50), max_tokens=5), num_samples=6)
    engine.add(request)
    before = [event for _ in range(num_steps) for event in engine.step()]
    engine.update_weights(engine.backend.pack(new))
    after = drain(engine)
    told_before, told_after = scores(before), scores(after)
    assert told_before.keys().isdisjoint(told_after)
    assert {index for _, index in (*told_before, *told_after)} == set(range(6))
    assert len(told_after) >= 4
    for found, checkpoint in ((told_before, old), (told_after, new)):
        for each in found.values():
            assert_close(each, oracle(checkpoint, request), 1e-9)
    ends = [event.usage.completion_tokens for event in (*before, *after) if isinstance(event, Finished)]
    assert ends == [5] * 6


@pytest.mark.parametrize("prefill_tokens", [512, 5])
def test_prompts_with_many_likely_tokens_beside_each_take_smaller_steps(
    prefill_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", prefill_tokens)
    checkpoint = checkpoint_of(SHAPES[2])
    engine = build_engine(checkpoint, dtype="float64", max_slots=3)
    fed: list[int] = []
    burst = engine.backend.burst

    def watched(feeds: Sequence[Feed], max_steps: int, time_limit_s: float) -> list[Burst]:
        fed.append(sum(len(feed.token_ids) for feed in feeds))
        return burst(feeds, max_steps, time_limit_s)

    monkeypatch.setattr(engine.backend, "burst", watched)
    requests = [score(range(i, i + 90), 0, f"r{i}", top_logprobs=128) for i in range(3)]
    found = scores(run(engine, *requests))
    for request in requests:
        assert_close(found[request.id, 0], oracle(checkpoint, request), 1e-9)
    assert sum(fed) == 270
    assert max(fed) == -(-prefill_tokens // 9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_tokens_is_a_prompt_computed_and_cached_and_nothing_sampled(backend: str) -> None:
    checkpoint = checkpoint_of(SHAPES[2])
    engine = build_engine(checkpoint, backend=backend)
    ids = tuple(range(checkpoint.config.block_size))
    events = run(engine, GenerationRequest("r", ids, SamplingParams(max_tokens=0), num_samples=2))
    assert [(type(event), event.index) for event in events] == [(Finished, 0), (Finished, 1)]
    for event in events:
        assert isinstance(event, Finished)
        assert event.reason is FinishReason.LENGTH
        assert event.usage[:2] == (len(ids), 0)
    stats = engine.stats
    assert (stats.running, stats.waiting, stats.running_pages) == (0, 0, 0)
    [end] = [e for e in run(engine, GenerationRequest("next", ids[:90], SamplingParams())) if isinstance(e, Finished)]
    assert end.usage.num_cached == 80


@pytest.mark.parametrize("backend", BACKENDS)
def test_token_events_tell_what_came_from_the_prefix_cache(backend: str) -> None:
    checkpoint = checkpoint_of(SHAPES[2])
    engine = build_engine(checkpoint, backend=backend)
    for expected in (0, 32):
        events = run(engine, GenerationRequest("r", tuple(range(40)), SamplingParams(max_tokens=4), num_samples=1))
        usages = [event.usage.num_cached for event in events if isinstance(event, Finished)]
        assert {event.num_cached for event in events if isinstance(event, TokenEvent)} == set(usages) == {expected}


def poisoned(checkpoint: Checkpoint, token: int) -> Checkpoint:
    """The same model with NaN in the embedding of a token."""
    wte = checkpoint.tensors["wte"].bits.copy()
    wte[token] = np.nan
    tensors = dict(checkpoint.tensors) | {"wte": StoredTensor("F32", wte)}
    return Checkpoint(checkpoint.path, checkpoint.config, tensors, checkpoint.tokenizer, {})


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("prefill_tokens", [512, 7])
def test_a_prompt_whose_numbers_are_not_finite_fails_alone(
    backend: str, prefill_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", prefill_tokens)
    sound = checkpoint_of(SHAPES[2])
    good = [score(range(30 + i, 70 + i), 0, f"good{i}", max_tokens=i) for i in range(4)]
    wanted = told(run(build_engine(sound, dtype="float64", backend=backend), *good))
    engine = build_engine(poisoned(sound, 7), dtype="float64", backend=backend, max_slots=4)
    for request in good:
        engine.add(dataclasses.replace(request, params=dataclasses.replace(request.params, logit_bias={7: -100})))
        for place in (0, 12, 39):
            bad = [*range(100, 140)]
            bad[place] = 7
            for start in (None, 0, 20, 40):
                params = SamplingParams(max_tokens=len(request.id) % 2, prompt_logprobs_start=start, stop=("x",))
                engine.add(GenerationRequest(f"{request.id} {place} {start}", tuple(bad), params, num_samples=2))
    events = drain(engine)
    failed = [event for event in events if isinstance(event, Failed)]
    assert len(failed) == len({(event.request_id, event.index) for event in failed}) == 4 * 3 * 4 * 2
    assert all(isinstance(event.error, NumericalError) for event in failed)
    ended = {event.request_id for event in failed}
    rest = [event for event in events if event.request_id not in ended]
    assert told(rest).keys() == wanted.keys()
    for key, parts in told(rest).items():
        assert_close(parts[0], wanted[key][0], 1e-12)
        assert parts[1:] == wanted[key][1:]
    assert engine._prefixes.match([*range(100, 140)], 2) == []


def test_a_cancelled_scoring_ends_each_sample_once_and_frees_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", 20)
    engine = build_engine(checkpoint_of(SHAPES[2]), max_slots=4)
    request = dataclasses.replace(score(range(90), max_tokens=5), num_samples=3)
    engine.add(request)
    engine.add(score(range(50, 60), request_id="other"))
    for _ in range(2):
        assert engine.step() == []
    running = [sequence.request.id for sequence in engine._running.values()]
    assert running.count("r") == 1  # the others wait for the first one's scores
    engine.cancel("r")
    events = drain(engine)
    ends = [event for event in events if isinstance(event, Finished) and event.request_id == "r"]
    assert [(end.index, end.reason) for end in ends] == [(i, FinishReason.CANCELLED) for i in range(3)]
    assert len(scores(events)["other", 0]) == 10
    assert engine.stats.running_pages == 0
