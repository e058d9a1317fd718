"""Constraints in the engine: every answer obeys its own, ends by the rules, and no neighbour notices."""

import dataclasses
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from microgpt import (
    Checkpoint,
    ConstraintError,
    Engine,
    Event,
    Failed,
    Finished,
    FinishReason,
    GenerationRequest,
    InvalidRequest,
    NumericalError,
    PromptScored,
    SamplingParams,
    TokenEvent,
    build_engine,
    load_checkpoint,
)
from microgpt.constraints.compiler import ConstraintCompiler
from microgpt.constraints.constraint import Constraint, ConstraintKind
from microgpt.constraints.matcher import CompiledConstraint, Matcher
from microgpt.engine import engine as engine_module
from microgpt.engine import scheduler
from microgpt.logprobs import TokenLogprobs
from microgpt.models.gpt import GPT
from microgpt.sampling import CounterGenerator, adjusted, next_token, token_logprobs
from microgpt.tokenizers import CharTokenizer, Tokenizer, train_bpe
from tests.microgpt.test_engine import check_invariants

PRINTABLE = "".join(map(chr, range(32, 127))) + "\né€"
TINY_SOURCES = ("[a-d]{2,6}( [e-h]+)*", "a", "(ab|cd)*", "[a-h]{40}", "(a|b\n)*c")


def regex(source: str) -> Constraint:
    return Constraint(ConstraintKind.REGEX, source)


def schema(value: Any) -> Constraint:
    return Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(value))


@pytest.fixture
def compile_for() -> Iterator[Callable[[Tokenizer, Constraint], CompiledConstraint]]:
    """Compiles constraints for a tokenizer."""
    compilers: dict[int, ConstraintCompiler] = {}

    def compiled(tokenizer: Tokenizer, constraint: Constraint) -> CompiledConstraint:
        if id(tokenizer) not in compilers:
            compilers[id(tokenizer)] = ConstraintCompiler(tokenizer, tokenizer.vocab_size)
        return compilers[id(tokenizer)].compile(constraint)

    yield compiled
    for compiler in compilers.values():
        compiler.close()


CompileFor = Callable[[Tokenizer, Constraint], CompiledConstraint]
MakeModel = Callable[..., Path]


def drain(engine: Engine) -> list[Event]:
    events: list[Event] = []
    while engine.has_work:
        step = engine.step()
        tokens = Counter((event.request_id, event.index) for event in step if isinstance(event, TokenEvent))
        assert not tokens or max(tokens.values()) == 1, "more than one event for the tokens of a step"
        events += step
        check_invariants(engine)
    assert engine.stats.free_slots == engine.stats.num_slots
    assert engine.stats.running_pages == 0
    return events


class Answers:
    """What came of each sample (request id, index) of a run."""

    def __init__(self, events: list[Event]):
        self.ids: dict[tuple[str, int], list[int]] = defaultdict(list)
        self.texts: dict[tuple[str, int], str] = defaultdict(str)
        self.logprobs: dict[tuple[str, int], list[TokenLogprobs]] = defaultdict(list)
        self.ends: dict[tuple[str, int], Finished | Failed] = {}
        for event in events:
            assert (event.request_id, event.index) not in self.ends, "an event after the end"
            key = (event.request_id, event.index)
            if isinstance(event, TokenEvent):
                self.ids[key] += event.token_ids
                self.texts[key] += event.text
                self.logprobs[key] += event.logprobs
            elif isinstance(event, Finished | Failed):
                self.ends[key] = event

    def how(self, request_id: str, index: int = 0) -> tuple[FinishReason, int | str | None]:
        end = self.ends[request_id, index]
        assert isinstance(end, Finished), end
        return end.reason, end.matched


def run(engine: Engine, *requests: GenerationRequest) -> Answers:
    for request in requests:
        engine.add(request)
    return Answers(drain(engine))


def model_logits(checkpoint: Checkpoint) -> Callable[[list[int]], np.ndarray]:
    model = GPT(checkpoint.config).double()
    model.load_arrays({name: tensor.widened() for name, tensor in checkpoint.tensors.items()})

    def logits(ids: list[int]) -> np.ndarray:
        with torch.no_grad():
            return model(torch.tensor([ids]))[0, -1].numpy()

    return logits


def allowed_by(matcher: Matcher, vocab_size: int) -> np.ndarray:
    words = np.zeros((vocab_size + 31) // 32, np.uint32)
    matcher.mask(words)
    return np.unpackbits(words.view(np.uint8), bitorder="little")[:vocab_size].astype(bool)


def oracle(
    checkpoint: Checkpoint, logits_of: Callable[[list[int]], np.ndarray], request: GenerationRequest, index: int
) -> tuple[list[int], list[TokenLogprobs], FinishReason | None]:
    """Token by token, everything computed anew: ids, what is reported of them, and how it ends; None: by an error."""
    params, sampled, reports = request.params, [], []
    generator = CounterGenerator((params.seed + index) % 2**64)
    ids = list(request.prompt_ids)
    matcher = None if request.constraint is None else request.constraint.matcher()
    limit = min(checkpoint.config.block_size - len(ids) + 1, params.max_tokens or checkpoint.config.block_size)
    eos = {checkpoint.tokenizer.bos, checkpoint.tokenizer.chat.end_turn} if checkpoint.tokenizer.chat else {0}
    while True:
        allowed = None if matcher is None else allowed_by(matcher, checkpoint.config.vocab_size)
        try:
            z = adjusted(logits_of(ids), params, len(sampled), request.prompt_ids, sampled, allowed)
        except InvalidRequest:
            return sampled, reports, None
        token = next_token(
            logits_of(ids), params, len(sampled), lambda: generator.uniform(len(ids)),
            prompt_ids=request.prompt_ids, output_ids=sampled, allowed=allowed,
        )  # fmt: skip
        if params.logprobs:
            reports.append(token_logprobs(z, params, token))
        ids.append(token)
        sampled.append(token)
        if token in params.end_token_ids:
            return sampled, reports, FinishReason.STOP
        if len(sampled) == limit:
            return sampled, reports, FinishReason.LENGTH
        if matcher is not None:
            matcher.advance(token)
            ends_by_eos = eos & set(params.end_token_ids) - set(params.suppress_token_ids)
            if matcher.is_stopped() and (token in eos or not ends_by_eos):
                return sampled, reports, FinishReason.STOP


def random_request(rng: random.Random, checkpoint: Checkpoint, name: str, constraint: Any) -> GenerationRequest:
    block_size, vocab = checkpoint.config.block_size, checkpoint.config.vocab_size
    tokenizer = checkpoint.tokenizer
    assert tokenizer.chat is not None
    params = SamplingParams(
        temperature=rng.choice([0.0, 0.7, 1.0, 1.5]),
        top_k=rng.choice([0, 0, 3]),
        top_p=rng.choice([1.0, 1.0, 0.8]),
        min_p=rng.choice([0.0, 0.0, 0.1]),
        seed=rng.getrandbits(64),
        max_tokens=rng.choice([None, None, 1, 9]),
        min_tokens=rng.choice([0, 0, 3]),
        stop_token_ids=rng.choice([(tokenizer.bos,), (tokenizer.chat.end_turn, tokenizer.bos), (), (2,)]),
        ignore_eos=rng.choice([False, False, True]),
        suppress_token_ids=rng.choice([(), (), (0, 4), (tokenizer.bos,)]),
        repetition_penalty=rng.choice([1.0, 1.0, 1.4]),
        frequency_penalty=rng.choice([0.0, 0.0, 0.6]),
        logit_bias=rng.choice([(), (), ((3, 1.5), (7, -4.0))]),
        logprobs=rng.choice([False, True]),
        top_logprobs=rng.choice([0, 3]),
        prompt_logprobs_start=rng.choice([None, None, 0, 1]),
    )
    shared = tuple(i % 5 for i in range(rng.choice([18, 20])))
    prompt = rng.choice([shared, tuple(rng.randrange(vocab) for _ in range(rng.choice([1, 2, 7, block_size])))])
    return GenerationRequest(name, prompt, params, num_samples=rng.choice([1, 1, 3]), constraint=constraint)


@pytest.mark.parametrize("backend", ["numba", "torch"])
@pytest.mark.parametrize(
    ("prefill_tokens", "burst_steps", "prefix_cache"), [(512, 256, True), (5, 3, True), (9, 1, False)]
)
def test_answers_equal_recomputation_in_any_crowd(
    tiny_checkpoint: Checkpoint,
    compile_for: CompileFor,
    backend: str,
    prefill_tokens: int,
    burst_steps: int,
    prefix_cache: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", prefill_tokens)
    monkeypatch.setattr(scheduler, "BURST_STEPS", burst_steps)
    engine = build_engine(tiny_checkpoint, dtype="float64", max_slots=5, backend=backend, prefix_cache=prefix_cache)
    rng = random.Random(prefill_tokens)
    constraints = [compile_for(tiny_checkpoint.tokenizer, regex(source)) for source in TINY_SOURCES]
    requests = [
        random_request(rng, tiny_checkpoint, f"r{i}", rng.choice([None, rng.choice(constraints)])) for i in range(60)
    ]
    waiting, events = list(requests), []
    while waiting or engine.has_work:
        for _ in range(rng.choice([0, 0, 1, 5])):
            if waiting:
                engine.add(waiting.pop())
        if rng.random() < 0.05:
            engine.retract()
        events += engine.step()
        check_invariants(engine)
    found, logits_of, seen = Answers(events), model_logits(tiny_checkpoint), Counter()
    for request in requests:
        for key in ((request.id, i) for i in range(request.num_samples)):
            ids, reports, reason = oracle(tiny_checkpoint, logits_of, request, key[1])
            assert found.ids[key] == ids, request
            end = found.ends[key]
            if isinstance(end, Failed):
                assert isinstance(end.error, ConstraintError)
                assert reason is None
            else:
                assert (end.reason, end.usage.completion_tokens) == (reason, len(ids))
            assert len(found.logprobs[key]) == len(reports)
            for report, right in zip(found.logprobs[key], reports, strict=True):
                assert report.chosen == pytest.approx(right.chosen, abs=1e-9)
                assert [i for i, _ in report.top] == [i for i, _ in right.top]
            seen[request.constraint is not None, reason] += 1
    assert min(seen[True, reason] for reason in (FinishReason.STOP, FinishReason.LENGTH)) > 5, seen
    assert seen[True, None] > 0
    assert seen[False, FinishReason.LENGTH] > 5
    if prefix_cache:
        assert engine.stats.cached_tokens > 0


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_regexes_schemas_and_grammars_hold_at_temperature_1_over_the_whole_vocabulary(
    make_model: MakeModel, compile_for: CompileFor, backend: str
) -> None:
    sums = 'root ::= term (op term)*\nterm ::= [0-9] | "(" root ")"\nop ::= [-+*]'
    person = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "tags": {"type": "array", "items": {"enum": ["é", "€5", "x"]}, "minItems": 1, "maxItems": 3},
            "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "next": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
        },
        "required": ["name", "tags", "age"],
        "additionalProperties": False,
    }

    def is_sum(text: str) -> bool:
        rest = re.sub(r"[0-9]", "1", text)
        while (shorter := re.sub(r"1[-+*]1|\(1\)", "1", rest)) != rest:
            rest = shorter
        return rest == "1"

    def is_person(text: str) -> bool:
        value = json.loads(text)
        jsonschema.validate(value, person)
        assert not re.search(r"[:,] ", re.sub(r'"(\\.|[^"\\])*"', "", text)), "compact"
        return True

    checks: list[tuple[Constraint, Callable[[str], Any]]] = [
        (regex("[a-z]{1,8}@[a-z]+\\.(org|net)"), lambda t: re.fullmatch("[a-z]{1,8}@[a-z]+\\.(org|net)", t)),
        (regex("(é|€|x){3,5}!?"), lambda t: re.fullmatch("(é|€|x){3,5}!?", t)),
        (regex(".{0,20}"), lambda t: re.fullmatch(".{0,20}", t)),
        (schema(person), is_person),
        (Constraint(ConstraintKind.EBNF, sums), is_sum),
    ]
    text = 'naïve café €5 é€ {"name": "Ada", "age": 36} (1+2)*3 ab@cd.org x!' * 3
    for tokenizer in (CharTokenizer(PRINTABLE, True), train_bpe([text], 330, chat=True)):
        checkpoint = load_checkpoint(make_model(tokenizer=tokenizer, block_size=160, name=type(tokenizer).__name__))
        engine = build_engine(checkpoint, max_slots=12, backend=backend)
        bos = tokenizer.bos
        ends = SamplingParams(stop_token_ids=(bos, tokenizer.chat.end_turn))  # pyright: ignore
        requests = [
            GenerationRequest(f"{i}-{kind}", (bos,), dataclasses.replace(ends, seed=1000 * i), num_samples=6,
                              constraint=compile_for(tokenizer, constraint))
            for i in range(4)
            for kind, (constraint, _) in enumerate(checks)
        ]  # fmt: skip
        neighbours = [GenerationRequest(f"n{i}", (bos,), dataclasses.replace(ends, seed=i)) for i in range(6)]
        found = run(engine, *(request for pair in zip(requests, neighbours * 4, strict=False) for request in [
            pair[0], dataclasses.replace(pair[1], id=f"{pair[0].id} {pair[1].id}")]))  # fmt: skip
        complete = Counter()
        for request in requests:
            kind = int(request.id.split("-")[1])
            for i in range(6):
                reason, _ = found.how(request.id, i)
                if reason is FinishReason.STOP:
                    complete[kind] += 1
                    assert checks[kind][1](found.texts[request.id, i]), found.texts[request.id, i]
        assert len(complete) == len(checks), complete
        assert sum(complete.values()) > 60, complete
        alone = build_engine(checkpoint, max_slots=1, backend="numba")
        for request in neighbours if backend == "numba" else []:
            wanted = run(alone, request).ids[request.id, 0]
            assert all(ids == wanted for (name, _), ids in found.ids.items() if name.endswith(f" {request.id}"))


def constrained(
    checkpoint: Checkpoint, compiled: CompiledConstraint, name: str = "r", **knobs: Any
) -> GenerationRequest:
    return GenerationRequest(name, (1,), SamplingParams(**knobs), constraint=compiled)


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_a_complete_text_ends_by_the_end_token_or_without_one(
    tiny_checkpoint: Checkpoint, compile_for: CompileFor, backend: str
) -> None:
    engine, tokenizer = build_engine(tiny_checkpoint, backend=backend), tiny_checkpoint.tokenizer
    assert tokenizer.chat is not None
    abc, bos, end_turn = compile_for(tokenizer, regex("abc")), tokenizer.bos, tokenizer.chat.end_turn
    a, b, c = tokenizer.encode("abc")
    found = run(
        engine,
        constrained(tiny_checkpoint, abc, "bos", stop_token_ids=(bos,), suppress_token_ids=(end_turn,)),
        constrained(tiny_checkpoint, abc, "either", stop_token_ids=(bos, end_turn)),
        constrained(tiny_checkpoint, abc, "none"),
        constrained(tiny_checkpoint, abc, "ignored", stop_token_ids=(bos, end_turn), ignore_eos=True),
        constrained(tiny_checkpoint, abc, "suppressed", stop_token_ids=(bos,), suppress_token_ids=(bos,)),
        constrained(tiny_checkpoint, abc, "short", stop_token_ids=(bos,), max_tokens=3),
        constrained(tiny_checkpoint, abc, "stop token", stop_token_ids=(b,)),
    )
    assert found.ids["bos", 0] == [a, b, c, bos]
    assert found.how("bos") == (FinishReason.STOP, bos)
    last = found.ids["either", 0][-1]
    assert last in (bos, end_turn)
    assert found.how("either") == (FinishReason.STOP, last)
    for name in ("none", "ignored", "suppressed"):
        assert found.ids[name, 0] == [a, b, c]
        assert found.how(name) == (FinishReason.STOP, c)
    assert found.how("short") == (FinishReason.LENGTH, None)
    assert found.how("stop token") == (FinishReason.STOP, b)
    assert {found.texts[key] for key in found.ends} == {"abc", "ab"}


def test_an_end_that_is_no_end_token_ends_a_text_that_could_go_on(
    tiny_checkpoint: Checkpoint, compile_for: CompileFor
) -> None:
    engine, bos = build_engine(tiny_checkpoint), tiny_checkpoint.tokenizer.bos
    compiled = compile_for(tiny_checkpoint.tokenizer, regex("a*"))
    found = run(engine, constrained(tiny_checkpoint, compiled, logit_bias={bos: 100}, temperature=0))
    assert found.ids["r", 0] == [bos]
    assert found.how("r") == (FinishReason.STOP, bos)


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_dead_ends_fail_their_sample_alone(tiny_checkpoint: Checkpoint, compile_for: CompileFor, backend: str) -> None:
    engine, tokenizer = build_engine(tiny_checkpoint, backend=backend, max_slots=4), tiny_checkpoint.tokenizer
    dead = compile_for(tokenizer, regex("ab€|ac"))
    # The table has no €. Seeds that draw a b second die, the others do not.
    requests = [
        dataclasses.replace(
            constrained(tiny_checkpoint, dead, f"d{i}", seed=i, temperature=100, stop_token_ids=(tokenizer.bos,))
        )
        for i in range(20)
    ]
    early = constrained(
        tiny_checkpoint,
        compile_for(tokenizer, regex("ab")),
        "early",
        min_tokens=3,
        stop_token_ids=(tokenizer.bos, 12, 13),
    )
    suppressed = constrained(tiny_checkpoint, compile_for(tokenizer, regex("[ab]+")), "none", suppress_token_ids=(0, 1))
    free = [GenerationRequest(f"f{i}", (1,), SamplingParams(seed=i)) for i in range(4)]
    found = run(engine, *requests, early, suppressed, *free)
    failed = {key[0]: end.error for key, end in found.ends.items() if isinstance(end, Failed)}
    assert 0 < sum(name.startswith("d") for name in failed) < 20
    for name, error in failed.items():
        assert isinstance(error, ConstraintError)
        known = "no token of this model's vocabulary can continue the text"
        assert (known if name.startswith("d") else "no token is left: ") in str(error)
    assert {"early", "none"} <= failed.keys()
    assert all(found.texts[key] == "ac" for key in found.ends if key[0].startswith("d") and key[0] not in failed)
    assert found.texts["early", 0] == "ab"
    wanted = run(build_engine(tiny_checkpoint, backend=backend, max_slots=4), *free)
    assert all(len(found.ids[f.id, 0]) == 32 for f in free)
    if backend == "numba":
        assert all(found.ids[f.id, 0] == wanted.ids[f.id, 0] for f in free)


def test_a_grammar_that_becomes_too_complex_fails_its_samples_and_spares_the_rest(
    make_model: MakeModel, compile_for: CompileFor
) -> None:
    tokenizer = CharTokenizer("ab", True)
    checkpoint = load_checkpoint(make_model(tokenizer=tokenizer, block_size=4000))
    ambiguous = compile_for(tokenizer, Constraint(ConstraintKind.EBNF, 'root ::= "a" | root root | root root root'))
    engine = build_engine(checkpoint, max_slots=3)
    knobs = {"suppress_token_ids": (tokenizer.bos, tokenizer.chat.end_turn)}  # pyright: ignore
    free = GenerationRequest("free", (0,), SamplingParams(max_tokens=300))
    found = run(engine, constrained(checkpoint, ambiguous, "hard", **knobs), free)
    end = found.ends["hard", 0]
    assert isinstance(end, Failed)
    assert isinstance(end.error, ConstraintError)
    assert set(found.texts["hard", 0]) == {"a"}
    assert found.ids["free", 0] == run(build_engine(checkpoint, max_slots=1), free).ids["free", 0]


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_text_stops_end_constrained_samples_at_the_token_that_completes_them(
    tiny_checkpoint: Checkpoint, compile_for: CompileFor, backend: str
) -> None:
    engine = build_engine(tiny_checkpoint, backend=backend, dtype="float64", max_slots=3)
    compiled = compile_for(tiny_checkpoint.tokenizer, regex("(ab|cd)+"))
    knobs = {"max_tokens": 12, "temperature": 100, "suppress_token_ids": (12, 13)}  # drawn evenly, no end
    plain = dataclasses.replace(constrained(tiny_checkpoint, compiled, **knobs), num_samples=8)
    stopping = dataclasses.replace(plain, params=dataclasses.replace(plain.params, stop=("da",), stop_regex=("bcd?a",)))
    whole, found = run(engine, plain), run(engine, stopping)
    stopped = 0
    for key, text in whole.texts.items():
        ids = found.ids[key]
        assert ids == whole.ids[key][: len(ids)]
        if match := re.search("da|bcda", text):
            stopped += 1
            assert found.texts[key] == text[: match.start()]
            assert found.how(*key) == (FinishReason.STOP, "da" if match[0] == "da" else "bcd?a")
        else:
            assert found.texts[key] == text
    assert stopped > 2


def test_cancelling_frees_constrained_samples_wherever_they_are(
    tiny_checkpoint: Checkpoint, compile_for: CompileFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "BURST_STEPS", 2)
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", 6)
    engine = build_engine(tiny_checkpoint, max_slots=3)
    compiled = compile_for(tiny_checkpoint.tokenizer, regex("[a-h]{60}"))
    rng = random.Random(1)
    for round_number in range(30):
        names = [f"{round_number}-{i}" for i in range(4)]
        for name in names:
            prompt = tuple(rng.randrange(8) for _ in range(rng.choice([1, 17])))
            engine.add(GenerationRequest(name, prompt, SamplingParams(), num_samples=2, constraint=compiled))
        events: list[Event] = []
        for _ in range(rng.randrange(9)):
            events += engine.step()
        for name in names:
            engine.cancel(name)
        events += drain(engine)
        found = Answers(events)
        assert found.ends.keys() == {(name, i) for name in names for i in range(2)}
        for key, end in found.ends.items():
            assert isinstance(end, Finished)
            assert end.usage.completion_tokens == len(found.ids[key])


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_prompts_of_constrained_requests_are_scored_as_without_a_constraint(
    tiny_checkpoint: Checkpoint, compile_for: CompileFor, backend: str
) -> None:
    compiled = compile_for(tiny_checkpoint.tokenizer, regex("[ab]{4}"))
    scores = []
    for constraint in (None, compiled):
        for max_tokens in (0, 3):
            engine = build_engine(tiny_checkpoint, dtype="float64", backend=backend)
            params = SamplingParams(max_tokens=max_tokens, prompt_logprobs_start=0, top_logprobs=2)
            engine.add(GenerationRequest("r", tuple(range(10)), params, constraint=constraint))
            events = drain(engine)
            [scored] = [event for event in events if isinstance(event, PromptScored)]
            scores.append(scored.logprobs)
            assert Answers(events).how("r") == (FinishReason.LENGTH, None)
            assert len(Answers(events).ids["r", 0]) == max_tokens
    for other in scores[1:]:
        assert len(other) == 10
        for report, wanted in zip(other[1:], scores[0][1:], strict=True):
            assert report is not None
            assert wanted is not None
            assert report.chosen == pytest.approx(wanted.chosen, abs=1e-12)


def test_numbers_that_are_not_finite_fail_a_constrained_sequence_alone(
    make_model: MakeModel, compile_for: CompileFor
) -> None:
    checkpoint = load_checkpoint(make_model())
    wte = checkpoint.tensors["wte"].bits.copy()
    wte[3] = np.nan
    poisoned = dict(checkpoint.tensors) | {"wte": type(checkpoint.tensors["wte"])("F32", wte)}
    bad = Checkpoint(checkpoint.path, checkpoint.config, poisoned, checkpoint.tokenizer, checkpoint.meta)
    engine = build_engine(bad, max_slots=2)
    through_d = constrained(bad, compile_for(bad.tokenizer, regex("abcdef")), "bad")
    sound = constrained(bad, compile_for(bad.tokenizer, regex("abcabc")), "good")
    found = run(engine, through_d, sound)
    end = found.ends["bad", 0]
    assert isinstance(end, Failed)
    assert isinstance(end.error, NumericalError)
    assert (found.texts["bad", 0], found.texts["good", 0]) == ("abcd", "abcabc")
    slot_again = run(engine, *(dataclasses.replace(sound, id=f"again {i}") for i in range(3)))
    assert set(slot_again.texts.values()) == {"abcabc"}


def test_masks_that_take_long_leave_the_rest_their_time_and_everybody_a_turn(
    tiny_checkpoint: Checkpoint, compile_for: CompileFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no time for masks each step makes one, whoever waited longest."""
    monkeypatch.setattr(engine_module, "BURST_TIME_S", 0.0)
    monkeypatch.setattr(scheduler, "BURST_TIME_S", 0.0)
    engine = build_engine(tiny_checkpoint, max_slots=5)
    compiled = compile_for(tiny_checkpoint.tokenizer, regex("[a-h]+"))
    for i in range(4):
        engine.add(constrained(tiny_checkpoint, compiled, f"c{i}", max_tokens=5))
    engine.add(GenerationRequest("free", (1,), SamplingParams(max_tokens=20)))
    counts = Counter()
    for step in range(1, 16):
        for event in engine.step():
            assert isinstance(event, TokenEvent)
            counts[event.request_id] += len(event.token_ids)
        guided = [counts[f"c{i}"] for i in range(4)]
        assert counts["free"] == step
        assert sum(guided) == step
        assert max(guided) - min(guided) <= 1
    assert {end.reason for end in Answers(drain(engine)).ends.values() if isinstance(end, Finished)} == {
        FinishReason.LENGTH
    }


def test_constrained_sequences_have_time_in_proportion_to_their_number() -> None:
    burst = scheduler.BURST_TIME_S
    assert scheduler.guided_time(0.0, 0, 5) == burst
    assert scheduler.guided_time(burst, 31, 1) == pytest.approx(burst / 31)
    assert scheduler.guided_time(burst, 1, 31) == burst
    assert scheduler.guided_time(burst / 8, 2, 4) == burst / 4


def test_a_constraint_for_another_vocabulary_is_refused(tiny_checkpoint: Checkpoint, compile_for: CompileFor) -> None:
    engine = build_engine(tiny_checkpoint)
    with pytest.raises(InvalidRequest, match="constraint must be for 14 tokens, got one for 6"):
        engine.add(constrained(tiny_checkpoint, compile_for(CharTokenizer("ab", True), regex("a"))))
    assert not engine.has_work


def test_samples_of_one_constrained_request_are_followed_apart(
    tiny_checkpoint: Checkpoint, compile_for: CompileFor
) -> None:
    engine = build_engine(tiny_checkpoint, max_slots=4, dtype="float64")
    compiled = compile_for(tiny_checkpoint.tokenizer, regex("[a-h]{3,9}"))
    request = dataclasses.replace(constrained(tiny_checkpoint, compiled, "n", seed=2**64 - 3), num_samples=30)
    found = run(engine, request)
    assert len(set(found.texts.values())) > 10
    for i in range(30):
        alone = dataclasses.replace(request, params=SamplingParams(seed=(2**64 - 3 + i) % 2**64), num_samples=1)
        assert run(engine, alone).ids["n", 0] == found.ids["n", i]
        assert re.fullmatch("[a-h]{3,9}", found.texts["n", i])
