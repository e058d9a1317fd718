"""regex, json_schema and ebnf of /generate: every answer passes an independent check, and bad ones are refused."""

import asyncio
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from microgpt import Checkpoint, build_engine, load_checkpoint
from microgpt.tokenizers import CharTokenizer
from tests.serve.asgi_driver import Served, parse_events, served

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 9}, "age": {"type": "integer", "maximum": 99, "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
SUM = 'root ::= [0-9] ("+" [0-9])*'


@pytest.fixture
def checkpoint(make_model: Callable[..., Path]) -> Checkpoint:
    """A random chat model of the printable characters."""
    tokenizer = CharTokenizer("".join(map(chr, range(32, 127))) + "\né", True)
    return load_checkpoint(make_model(tokenizer=tokenizer, block_size=200))


def run(checkpoint: Checkpoint, scenario: Any) -> None:
    async def main() -> None:
        async with served(checkpoint, lambda: build_engine(checkpoint, max_slots=8)) as service:
            try:
                await scenario(service)
            finally:
                service.service.close()

    asyncio.run(main())


def is_instance(text: str) -> bool:
    jsonschema.validate(json.loads(text), SCHEMA)
    return True


CHECKS: dict[str, tuple[dict[str, str], Callable[[str], Any]]] = {
    "regex": ({"regex": "[a-zé]{2,6}@(x|y)"}, lambda text: re.fullmatch("[a-zé]{2,6}@(x|y)", text)),
    "json_schema": ({"json_schema": json.dumps(SCHEMA)}, is_instance),
    "ebnf": ({"ebnf": SUM}, lambda text: re.fullmatch(r"[0-9](\+[0-9])*", text)),
}


def test_every_complete_answer_passes_an_independent_check(checkpoint: Checkpoint) -> None:
    async def scenario(service: Served) -> None:
        names = list(CHECKS)
        body = {
            "text": [f"prompt {i}" for i in range(4)],
            "sampling_params": [
                {"max_new_tokens": 150, "n": 5, "sampling_seed": 3, **given} for given, _ in CHECKS.values()
            ] + [{"max_new_tokens": 20, "n": 5}],
            "return_logprob": True,
        }  # fmt: skip
        answer = await service.ask("/generate", body)
        assert answer.status == 200, answer.body
        ends = [each["meta_info"]["finish_reason"]["type"] for each in answer.json]
        for i, each in enumerate(answer.json[:15]):
            if ends[i] == "stop":
                assert CHECKS[names[i // 5]][1](each["text"]), each["text"]
            logprobs = [first for first, *_ in each["meta_info"]["output_token_logprobs"]]
            assert all(-1e30 < value <= 0 and math.isfinite(value) for value in logprobs)
        assert ends.count("stop") >= 8
        assert ends[15:].count("length") >= 1

    run(checkpoint, scenario)


@pytest.mark.parametrize("name", CHECKS)
def test_streams_obey_as_whole_answers_do(checkpoint: Checkpoint, name: str) -> None:
    given, check = CHECKS[name]

    async def scenario(service: Served) -> None:
        body = {"text": "p", "sampling_params": {"max_new_tokens": 150, "sampling_seed": 1, **given}}
        whole = await service.ask("/generate", body)
        stream = await service.ask("/generate", body | {"stream": True})
        last = parse_events(stream.body)[-1]
        assert last["text"] == whole.json["text"]
        assert last["meta_info"]["finish_reason"] == whole.json["meta_info"]["finish_reason"]
        if whole.json["meta_info"]["finish_reason"]["type"] == "stop":
            assert check(whole.json["text"])

    run(checkpoint, scenario)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"regex": "(?=a)"}, "regex: "),
        ({"json_schema": "{"}, "json_schema: not JSON"),
        ({"json_schema": '{"not": {}}'}, "json_schema: "),
        ({"ebnf": "root ::= nothing"}, "ebnf: "),
        ({"regex": "€"}, "regex: no token of this model's vocabulary"),
        ({"regex": "a" * 20_000}, "regex must be at most 16384 bytes"),
        ({"regex": "a€"}, "the constraint cannot be followed"),
    ],
)
def test_what_cannot_be_followed_is_a_400_with_the_reason(checkpoint: Checkpoint, given: Any, message: str) -> None:
    async def scenario(service: Served) -> None:
        body = {"text": "p", "sampling_params": {"max_new_tokens": 5, **given}}
        answer = await service.ask("/generate", body)
        assert answer.status == 400
        assert answer.json["error"]["message"].startswith(message)
        in_stream = await service.ask("/generate", body | {"stream": True})
        assert in_stream.status == 200
        assert message in in_stream.body.decode()
        assert (await service.ask("/generate", {"text": "p", "sampling_params": {"max_new_tokens": 2}})).status == 200

    run(checkpoint, scenario)
