"""Constrained answers of /generate, against validators that know nothing of how they were made."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest

from microgpt import Checkpoint
from tests.serve.sglang.generating import check, generate, stream, strict_json
from tests.serve.sglang.test_generate_refusals import BAD_GRAMMARS, error_of, post

# Those of the frontend language's int, float, bool and str among them.
REGEXES = [
    r"[-+]?[0-9]+[ \n]*", r"[-+]?[0-9]*\.?[0-9]+[ \n]*", "(True|False)", r'"[\w\d\s]*"', "[a-c]{3}-[x-z]{2,4}",
    r"((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)", "ja|nein", "héllo wörld \U0001f600",
]  # fmt: skip
SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer",
     "minimum": 0, "maximum": 120}}, "required": ["name", "age"], "additionalProperties": False},
    {"type": "array", "items": {"enum": ["red", "green", 5, None]}, "minItems": 2, "maxItems": 4},
    {"anyOf": [{"type": "boolean"}, {"type": "number", "minimum": -1, "maximum": 1}]},
]  # fmt: skip


@pytest.fixture(params=range(3))
def seed(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.mark.parametrize("pattern", REGEXES)
def test_a_regex_matches_the_whole_text(
    server: httpx.Client, chat_checkpoint: Checkpoint, pattern: str, seed: int
) -> None:
    sampling = {"regex": pattern, "sampling_seed": seed, "max_new_tokens": 100}
    answer = check(chat_checkpoint.tokenizer, generate(server, text="say", sampling_params=sampling), **sampling)
    reason = answer["meta_info"]["finish_reason"]
    if reason["type"] == "stop":
        assert re.fullmatch(pattern, answer["text"])
        assert reason["matched"] == answer["output_ids"][-1]
    else:
        assert "*" in pattern or "+" in pattern  # one without an end


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.get("type", "any"))
def test_a_json_schema_is_followed(
    server: httpx.Client, chat_checkpoint: Checkpoint, schema: dict[str, Any], seed: int
) -> None:
    sampling = {"json_schema": json.dumps(schema), "sampling_seed": seed, "max_new_tokens": 200, "temperature": 0.7}
    answer = check(chat_checkpoint.tokenizer, generate(server, text="", sampling_params=sampling), **sampling)
    assert answer["meta_info"]["finish_reason"]["type"] == "stop"
    jsonschema.validate(strict_json(answer["text"]), schema)


def test_a_grammar_is_followed(server: httpx.Client, seed: int) -> None:
    grammar = 'root ::= "(" root ")" | digit\ndigit ::= [0-9]'
    sampling = {"ebnf": grammar, "sampling_seed": seed, "max_new_tokens": 100, "logit_bias": {}}
    answer = generate(server, text="", sampling_params=sampling)
    text = answer["text"]
    if answer["meta_info"]["finish_reason"]["type"] == "stop":
        depth = text.index(text.strip("()"))
        assert re.fullmatch(r"\(*[0-9]\)*", text)
        assert text == "(" * depth + text[depth] + ")" * depth


def test_a_complete_text_ends_also_without_eos(server: httpx.Client, chat_checkpoint: Checkpoint) -> None:
    sampling = {"regex": "ja|nein", "ignore_eos": True, "stop_token_ids": [1000], "skip_special_tokens": False}
    answer = generate(server, text="", sampling_params=sampling)
    assert answer["text"] in ("ja", "nein")
    reason = answer["meta_info"]["finish_reason"]
    assert reason == {"type": "stop", "matched": answer["output_ids"][-1]}
    assert not chat_checkpoint.tokenizer.special_ids & set(answer["output_ids"])


def test_each_prompt_has_its_own_constraint_and_each_sample_its_prompts(server: httpx.Client) -> None:
    sampling = [{"regex": "[ab]{5}", "n": 2}, {"n": 2, "max_new_tokens": 5}, {"ebnf": 'root ::= "x"', "n": 2}]
    found = generate(server, text=["a", "b", "c"], sampling_params=sampling)
    assert all(re.fullmatch("[ab]{5}", each["text"]) for each in found[:2])
    assert [each["text"] for each in found[4:]] == ["x", "x"]


def test_streams_of_constrained_answers(server: httpx.Client, seed: int) -> None:
    body = {"text": "", "sampling_params": {"json_schema": json.dumps(SCHEMAS[0]), "sampling_seed": seed}}
    events = stream(server, **body)
    assert events[-1]["text"] == generate(server, **body)["text"]


def test_log_probabilities_are_of_what_the_grammar_allows(server: httpx.Client) -> None:
    sampling = {"regex": "[ab]", "max_new_tokens": 1}
    answer = generate(server, text="x", sampling_params=sampling, return_logprob=True, top_logprobs_num=3)
    chosen, top = answer["meta_info"]["output_token_logprobs"][0], answer["meta_info"]["output_top_logprobs"][0]
    assert chosen in top[:2]
    assert sum(2.718281828459045 ** entry[0] for entry in top[:2]) == pytest.approx(1, abs=1e-4)
    assert top[2][0] < -1e30


@pytest.fixture
def answers_on(server: httpx.Client) -> Iterator[None]:
    yield
    assert generate(server, text="a", sampling_params={"regex": "[ab]{3}"})["text"]


@pytest.mark.usefixtures("answers_on")
@pytest.mark.parametrize("body", BAD_GRAMMARS, ids=lambda body: str(body)[:60])
def test_bad_grammars_are_refused_and_in_a_stream_by_an_event(server: httpx.Client, body: dict[str, Any]) -> None:
    answer = post(server, body)
    assert answer.status_code == 400, answer.text[:300]
    message = error_of(answer)
    assert any(name in message for name in ("regex", "json_schema", "ebnf"))
    events = post(server, {**body, "stream": True})
    assert events.status_code == 200
    first, second, rest = events.text.split("\n\n")
    assert strict_json(first.removeprefix("data: "))["error"]["message"] == message
    assert (second, rest) == ("data: [DONE]", "")
