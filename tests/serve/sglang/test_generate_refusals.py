"""Bad bodies for /generate: each a 4xx in SGLang's form, and the server answers on."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from serve.dialects.sglang.schema import GenerateFields, SamplingFields
from tests.serve.sglang.generating import generate, strict_json

HUGE = 10**400
DEEP = '{"type":"array","items":' * 5000 + "{}" + "}" * 5000
VALUES: dict[str, Any] = {
    "a string": "x", "a digit": "5", "an empty string": "", "an int": 5, "a float": 5.0, "true": True, "zero": 0,
    "an object": {"a": 1}, "a list of strings": ["x"], "a list of numbers": [5], "a list of lists": [[5]],
    "a list of objects": [{"a": []}], "a list of nulls": [None, None],
}  # fmt: skip

STRING, INTEGER, NUMBER, FLAG, OBJECT, LIST = "string", "integer", "number", "flag", "object", "list"
# What the values of each type are, where it is not what VALUES says.
OF_TYPE = {
    STRING: {"a string", "a digit", "an empty string"}, INTEGER: {"an int", "zero"},
    NUMBER: {"an int", "zero", "a float"}, FLAG: {"true"}, OBJECT: {"an object"},
    "strings": {"a list of strings"}, "integers": {"a list of numbers"}, "lists of integers": {"a list of lists"},
    "flags": set(), "objects": {"a list of objects"}, "anything": set(VALUES), "nulls": {"a list of nulls"},
    LIST: {name for name in VALUES if name.startswith("a list")},
}  # fmt: skip

FIELDS = {
    "text": (STRING, "strings"), "input_ids": ("integers", "lists of integers"),
    "input_tokens": ("integers", "lists of integers"), "add_special_tokens": (FLAG,),
    "sampling_params": (OBJECT, "objects"), "rid": (STRING, "strings"), "return_logprob": (FLAG, "flags"),
    "logprob_start_len": (INTEGER, "integers"), "top_logprobs_num": (INTEGER, "integers"),
    "token_ids_logprob": (INTEGER, "integers", "lists of integers", "nulls"), "return_text_in_logprobs": (FLAG,),
    "stream": (FLAG,), "return_prompt_token_ids": (FLAG,), "cache_salt": (STRING, "strings"),
    "extra_key": (STRING, "strings"), "session_id": (STRING,), "model": (STRING,), "priority": (INTEGER,),
    "routing_key": (STRING,), "conversation_id": (STRING,), "no_logs": (FLAG,), "log_metrics": (FLAG,),
    "background": (FLAG,), "require_reasoning": (FLAG,), "return_bytes": (FLAG,), "return_entropy": (FLAG,),
    "return_routed_experts": (FLAG,), "data_parallel_rank": (INTEGER,), "routed_dp_rank": (INTEGER,),
    "session_params": (OBJECT,), "input_embeds": (LIST,), "lora_path": (STRING, "strings", "nulls"),
    "lora_id": (STRING, "strings", "nulls"), "custom_logit_processor": (STRING, "strings", "nulls"),
    "return_hidden_states": (FLAG, STRING, LIST), "image_data": ("anything",), "video_data": ("anything",),
    "audio_data": ("anything",), "modalities": ("anything",), "custom_labels": ("anything",),
}  # fmt: skip
SAMPLING = {
    "max_new_tokens": (INTEGER,), "min_new_tokens": (INTEGER,), "temperature": (NUMBER,), "top_p": (NUMBER,),
    "top_k": (INTEGER,), "min_p": (NUMBER,), "frequency_penalty": (NUMBER,), "presence_penalty": (NUMBER,),
    "repetition_penalty": (NUMBER,), "stop": (STRING, "strings"), "stop_token_ids": ("integers",),
    "stop_regex": (STRING, "strings"), "ignore_eos": (FLAG,), "skip_special_tokens": (FLAG,),
    "spaces_between_special_tokens": (FLAG,), "no_stop_trim": (FLAG,), "n": (INTEGER,), "json_schema": (STRING,),
    "regex": (STRING,), "ebnf": (STRING,), "structural_tag": (STRING,), "logit_bias": (OBJECT,),
    "sampling_seed": (INTEGER,), "seed": (INTEGER,), "stream_interval": (INTEGER,), "custom_params": (OBJECT,),
    "beam_width": (INTEGER,), "watermark": (OBJECT,),
}  # fmt: skip


def wrong(types: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Every value that is of none of the types."""
    right = set().union(*(OF_TYPE[each] for each in types))
    yield from ((name, value) for name, value in VALUES.items() if name not in right)


def bodies_of_wrong_types() -> Iterator[tuple[str, dict[str, Any]]]:
    for field, types in FIELDS.items():
        for name, value in wrong(types):
            yield f"{field}: {name}", {"text": "a", field: value}
    for field, types in SAMPLING.items():
        for name, value in wrong(types):
            if (field, name) != ("logit_bias", "an object"):
                yield f"sampling_params.{field}: {name}", {"text": "a", "sampling_params": {field: value}}
                in_list = {"text": ["a", "b"], "sampling_params": [{}, {field: value}]}
                yield f"sampling_params[1].{field}: {name}", in_list


def in_sampling(**fields: Any) -> dict[str, Any]:
    return {"text": "a", "sampling_params": fields}


BAD_VALUES: list[dict[str, Any]] = [
    {}, {"text": None}, {"text": []}, {"input_ids": []}, {"input_ids": [[]]}, {"input_ids": [[1], []]},
    {"text": "", "add_special_tokens": False},
    *({"input_ids": ids} for ids in ([-1], [1024], [10**30], [5, -(2**63)], [[5], [1024]], [[5], [-1]])),
    {"input_ids": [5] * 256}, {"input_ids": [5] * 100_000}, {"text": "a" * 100_000}, {"text": "<bos>" * 300},
    {"text": ["a"] * 10_000}, {"input_ids": [[5]] * 257}, {"input_embeds": [[0.5]]},
    {"text": "a", "input_embeds": [[]]},
    {"text": "a", "session_params": {"id": "x"}}, {"text": "a", "session_params": {}, "session_id": "x"},
    {"text": "a", "lora_path": "x"}, {"text": ["a", "b"], "lora_path": [None, "x"]}, {"text": "a", "lora_id": "x"},
    {"text": "a", "custom_logit_processor": "{}"}, {"text": ["a"], "custom_logit_processor": ["x"]},
    *({"text": "a", "return_hidden_states": value} for value in (True, "last", [1], [True])),
    *({"text": "a", name: value} for name in ("image_data", "video_data", "audio_data") for value in ("x", ["x"])),
    {"text": ["a", "b"], "rid": ["x", "x"]}, {"text": ["a", "b"], "rid": ["x"]}, {"text": "a", "rid": ["x", "y"]},
    {"text": "a", "rid": "x" * 2000}, {"text": "a", "rid": "\0"},
    {"text": ["a", "b"], "sampling_params": [{}]}, {"text": "a", "sampling_params": [{}, {}]},
    {"text": ["a", "b"], "sampling_params": [{"n": 2}, {"n": 3}]}, {"text": ["a"], "sampling_params": []},
    *({"text": ["a", "b"], "return_logprob": True, name: value}
      for name, value in (("logprob_start_len", [0]), ("top_logprobs_num", [1, 1, 1]), ("cache_salt", ["x"]),
                          ("extra_key", []), ("token_ids_logprob", [[1]]), ("return_logprob", [True]))),
    *({"text": ["a", "b"], "sampling_params": {"n": 2}, "return_logprob": True, name: value}
      for name, value in (("logprob_start_len", [0, 0]), ("top_logprobs_num", [1, 1]), ("return_logprob", [True, True]),
                          ("token_ids_logprob", [[1], [1]]))),
    *({"text": "a", "return_logprob": True, "logprob_start_len": start} for start in (-2, 3, 10**6, 10**30, -(10**30))),
    *({"text": "a", "return_logprob": True, "top_logprobs_num": num} for num in (-1, 129, 10**18)),
    *({"text": "a", "token_ids_logprob": ids} for ids in (-1, 1024, [5, 1024], [[1024]], [10**30])),
    {"text": "a", "return_logprob": True, "token_ids_logprob": list(range(200))},
    {"text": ["a"] * 64, "return_logprob": True, "top_logprobs_num": 128},
    {"input_ids": [[5] * 200] * 200, "return_logprob": True, "logprob_start_len": 0, "token_ids_logprob": [1] * 100},
    *(in_sampling(max_new_tokens=most) for most in (-1, 256, 10**9, 10**18, HUGE, -HUGE)),
    in_sampling(min_new_tokens=-1), in_sampling(min_new_tokens=6, max_new_tokens=5), in_sampling(min_new_tokens=129),
    *(in_sampling(temperature=value) for value in (-0.1, -1e300, -HUGE, HUGE)),
    *(in_sampling(top_p=value) for value in (0, -0.5, 1.01, 2, HUGE)),
    *(in_sampling(top_k=value) for value in (0, -2, -HUGE)),
    *(in_sampling(min_p=value) for value in (-0.1, 1.1)),
    *(in_sampling(frequency_penalty=value) for value in (-2.1, 2.1, HUGE)),
    *(in_sampling(presence_penalty=value) for value in (-2.1, 2.1, HUGE)),
    *(in_sampling(repetition_penalty=value) for value in (0, -1, 2.5)),
    in_sampling(stop=["x"] * 33), in_sampling(stop="x" * 257), in_sampling(stop_regex=["x"] * 33),
    in_sampling(stop_regex="é" * 129), in_sampling(stop_regex="x" * 257),
    *(in_sampling(stop_regex=pattern)
      for pattern in ("(", "[", "a{1001}", "(?=a)", "\\1", "*", "((a{9}){9}){9}", "\\pL" * 80)),
    *(in_sampling(stop_token_ids=ids) for ids in ([-1], [1024], [5, HUGE], [1] * 2000)),
    *(in_sampling(n=n) for n in (0, -1, 257, 10**9, HUGE, -HUGE)),
    {"text": ["a"] * 100, "sampling_params": {"n": 10**9}},
    *(in_sampling(sampling_seed=seed) for seed in (2**63, -(2**63) - 1, HUGE)), in_sampling(seed=2**63),
    *(in_sampling(stream_interval=value) for value in (0, -1)),
    *(in_sampling(logit_bias=bias) for bias in ({"-1": 1}, {"1024": 1}, {"x": 1}, {"": 1}, {"1.5": 1}, {"9" * 5000: 1},
                                                {"5": 101}, {"5": -HUGE}, {"٣": 1}, {" 5": 1})),
    in_sampling(regex="a", ebnf='root ::= "a"'), in_sampling(json_schema="{}", regex="a"),
    in_sampling(structural_tag="{}"), in_sampling(regex="a", structural_tag="x"),
]  # fmt: skip
BAD_GRAMMARS: list[dict[str, Any]] = [
    *(in_sampling(regex=source) for source in ("(", "[", "(?=a)", "\\1", "x" * 20_000, "é{2,1}")),
    *(in_sampling(json_schema=source) for source in ("{", "5", '{"type": 5}', DEEP, '{"$ref": "http://x/y"}',
                                                     '{"multipleOf": 99999999}', "null", '{"type": "nothing"}')),
    *(in_sampling(ebnf=source) for source in ("root ::= (", "x", 'other ::= "a"', "root ::= root", "root ::= missing")),
    {"text": ["a", "b"], "sampling_params": [{}, {"regex": "("}]},
]  # fmt: skip

NOT_JSON = [
    b"", b"{", b"nul", b"'a'", b'{"text": "a"} x', b'{"text": "a",}', b"\xff\xfe", b'{"text": "\xff"}',
    b'{"text": "a\nb"}', b'{"text": "\\ud800"}', b'{"rid": "\\udc00x", "text": "a"}', b'{"text": "a", "x": NaN}',
    b'{"text": "a", "x": [Infinity]}', b'{"text": "a", "sampling_params": {"temperature": NaN}}',
    b'{"text": "a", "sampling_params": {"top_p": -Infinity}}',
    b'{"text": "a", "sampling_params": {"n": ' + b"9" * 5000 + b"}}",
    b"[" * 100_000, b'{"a":' * 100_000, b'{"input_ids": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    b"[]", b"null", b"5", b'"text"', b"[1, 2]",
]  # fmt: skip
STRICT_TEXTS = [
    ({"text": "a", "stream": "yes"}, 'invalid type: string "yes", expected a boolean at stream'),
    ({"text": "a", "stream": 1}, "invalid type: integer `1`, expected a boolean at stream"),
    (in_sampling(n=5.0), "invalid type: floating point `5.0`, expected an integer at sampling_params.n"),
    (in_sampling(temperature="1"), 'invalid type: string "1", expected a number at sampling_params.temperature'),
    (in_sampling(stop=[1]), "invalid type: integer `1`, expected a string at sampling_params.stop[0]"),
    (in_sampling(logit_bias={"5": None}), 'invalid type: null, expected a number at sampling_params.logit_bias["5"]'),
    (in_sampling(logit_bias={"5": True}),
     'invalid type: boolean `true`, expected a number at sampling_params.logit_bias["5"]'),
    (in_sampling(json_schema={}), "invalid type: map, expected a string at sampling_params.json_schema"),
    (in_sampling(regex=["a"]), "invalid type: sequence, expected a string at sampling_params.regex"),
]  # fmt: skip


def error_of(answer: httpx.Response) -> Any:
    """What a refusal says, whose form must be one of SGLang's three."""
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    body = strict_json(answer.content)
    if "object" in body:
        assert set(body) == {"object", "message", "type", "param", "code"}
        assert (body["object"], body["param"], body["code"]) == ("error", None, answer.status_code)
        return body["message"]
    assert set(body) == {"error"}
    if isinstance(body["error"], dict):
        assert set(body["error"]) == {"message"}
        return body["error"]["message"]
    return body["error"]


def post(server: httpx.Client, body: dict[str, Any]) -> httpx.Response:
    return server.post("/generate", content=json.dumps(body))


@pytest.fixture(autouse=True)
def answers_on(server: httpx.Client) -> Iterator[None]:
    yield
    assert generate(server, text="a", sampling_params={"max_new_tokens": 2, "ignore_eos": True})["output_ids"]


def test_the_tables_know_every_field() -> None:
    assert set(FIELDS) == set(GenerateFields.__annotations__)
    assert set(SAMPLING) == set(SamplingFields.__annotations__)
    numbers = [len(list(bodies_of_wrong_types())), len(BAD_VALUES) + len(BAD_GRAMMARS), len(NOT_JSON)]
    assert sum(numbers) > 300, numbers


def test_wrong_types_are_refused_by_name_also_of_streams(server: httpx.Client) -> None:
    """A wrong type is a real 400 whether a stream was asked for or not."""
    for name, body in bodies_of_wrong_types():
        if "image_data" in name or "modalities" in name:
            continue
        answer = post(server, body)
        assert answer.status_code == 400, (name, answer.text[:300])
        field = name.partition(":")[0].rpartition(".")[2]
        assert field.partition("[")[0] in error_of(answer), (name, answer.text)
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("body", "text"), STRICT_TEXTS, ids=str)
def test_strict_types(server: httpx.Client, body: dict[str, Any], text: str) -> None:
    answer = post(server, body)
    assert (answer.status_code, answer.json()) == (400, {"error": text})


DIGITS = "1" * 5000  # more than Python would make an integer of
ODD_TYPES: list[tuple[str, dict[str, Any]]] = [
    *((name, {"text": "a", name: value})
      for name in ("logprob_start_len", "top_logprobs_num", "token_ids_logprob", "priority")
      for value in (DIGITS, "-" + DIGITS, 1e30, [DIGITS])),
    ("input_ids[0]", {"input_ids": [DIGITS]}), ("input_ids[0][0]", {"input_ids": [[DIGITS]]}),
    ("sampling_params[0].n", {"text": ["a", "b"], "sampling_params": [{"n": DIGITS}, 5]}),
    # Names that the validator gives to types, as names of members.
    ("sampling_params.stop[0]", in_sampling(SamplingFields={"stop": 5}, stop=[1])),
    ("sampling_params.stop[0]", in_sampling(SamplingFields={"stop": []}, stop=[1])),
    ("rid", {"text": "a", "rid": {"str": "x"}}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "body"), ODD_TYPES, ids=lambda value: str(value)[:60])
def test_odd_values_of_wrong_types_are_refused_by_name(server: httpx.Client, field: str, body: dict[str, Any]) -> None:
    assert re.search(rf"(^| at ){re.escape(field)}(\[0\])?( |$)", error_of(post(server, body)))


def test_an_unknown_sampling_field_is_refused_and_others_are_named(server: httpx.Client) -> None:
    names = ", ".join(f"`{name}`" for name in SamplingFields.__annotations__)
    for body in (in_sampling(best_of=1), in_sampling(temperature=1, best_of=None),
                 {"text": ["a", "b"], "sampling_params": [{}, {"best_of": {}}]}):  # fmt: skip
        answer = post(server, body)
        assert answer.status_code == 400
        assert answer.json() == {"error": f"unknown field `best_of`, expected one of {names}"}


def test_what_is_not_json_or_no_object_is_a_bad_request(server: httpx.Client) -> None:
    for body in NOT_JSON:
        for headers in ({"content-type": "application/json"}, {}):
            answer = server.post("/generate", content=body, headers=headers)
            assert answer.status_code == 400, body[:60]
            assert error_of(answer).startswith(("body must be JSON", "body must be an object")), body[:60]
            assert answer.json()["type"] == "Bad Request"
    for body in ({"text": 5}, {"text": "a", "stream": "maybe"}, {"text": "a", "sampling_params": 5}):
        assert post(server, body).json()["type"] == "Bad Request"


@pytest.mark.parametrize("body", BAD_VALUES, ids=lambda body: str(body)[:60])
def test_bad_values_are_refused_and_in_a_stream_by_an_event(server: httpx.Client, body: dict[str, Any]) -> None:
    answer = post(server, body)
    assert answer.status_code == 400, answer.text[:300]
    message = answer.json()["error"]["message"]
    assert len(message) < 500
    events = post(server, {**body, "stream": True})
    assert events.status_code == 200
    assert events.headers["content-type"] == "text/event-stream"
    error = {"message": message, "type": "invalid_request_error", "code": 400, "retryable": False}
    first, second, rest = events.text.split("\n\n")
    assert strict_json(first.removeprefix("data: ")) == {"error": error}
    assert (second, rest) == ("data: [DONE]", "")


def test_messages_are_sglangs(server: httpx.Client) -> None:
    for body, message in (
        (in_sampling(top_p=1.5), "top_p must be in (0, 1], got 1.5."),
        (in_sampling(top_p=0), "top_p must be in (0, 1], got 0."),
        (in_sampling(temperature=-1), "temperature must be non-negative, got -1."),
        (in_sampling(top_k=0), "top_k must be -1 (disable) or at least 1, got 0."),
        (in_sampling(min_p=1.5), "min_p must be in [0, 1], got 1.5."),
        (in_sampling(frequency_penalty=3), "frequency_penalty must be in [-2, 2], got 3."),
        (in_sampling(regex="a", ebnf="b"), "Only one of json_schema, regex, ebnf, or structural_tag can be set."),
        ({"input_ids": []}, "input_ids cannot be empty."),
        ({"text": ["a"], "sampling_params": {"n": 2}, "return_logprob": [True]},
         "Cannot use list return_logprob with parallel_sample_num > 1"),
        ({"text": ["a"], "sampling_params": {"n": 2}, "custom_logit_processor": [None]},
         "Cannot use list custom_logit_processor with parallel_sample_num > 1"),
        ({"text": "a", "return_logprob": True, "token_ids_logprob": [5] * 129},
         "token_ids_logprob must have at most 128 ids, got 129"),
    ):  # fmt: skip
        assert error_of(post(server, body)) == message


def test_a_body_over_the_limit_is_a_413(server: httpx.Client) -> None:
    answer = server.post("/generate", content=b'{"text": "' + b"a" * 5_000_000 + b'"}')
    assert (answer.status_code, answer.json()["type"], answer.json()["code"]) == (413, "413", 413)


def test_bodies_of_a_million_things_are_refused_soon(server: httpx.Client) -> None:
    """And meanwhile others are answered."""
    many = [
        {"input_ids": ["a"] * 100_000},
        {"input_ids": [[]] * 100_000},
        {"input_ids": [[1]] * 100_000},
        {"text": ["a"] * 100_000},
        in_sampling(**{f"field{i}": 1 for i in range(30_000)}),
        in_sampling(logit_bias={str(i): "x" for i in range(50_000)}),
        in_sampling(logit_bias={str(i): 1 for i in range(50_000)}),
        in_sampling(stop_token_ids=[1] * 100_000),
        in_sampling(stop=["a"] * 100_000),
        {"text": "a", "sampling_params": [{"x": 1}] * 50_000},
        {"text": "<user>x" * 50_000},
        {"text": "a", "rid": ["x"] * 100_000},
        {"text": "a", "token_ids_logprob": [[1, 2]] * 50_000},
    ]

    async def ask_all() -> None:
        async with httpx.AsyncClient(base_url=str(server.base_url), timeout=60) as web:
            for body in many:
                content = json.dumps(body, separators=(",", ":"))
                refusal = asyncio.create_task(web.post("/generate", content=content))
                health = await web.get("/health")
                assert health.status_code == 200
                assert (await refusal).status_code == 400, content[:80]

    asyncio.run(ask_all())
