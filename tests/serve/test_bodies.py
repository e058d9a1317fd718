"""Bodies that are wrong in every way get their 4xx, with a message that names the field; none gets a 500."""

import asyncio
import json
import sys
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt import Checkpoint
from serve.body import LATE_KEY, BodyRoom, ClientDisconnected, parse_json, read_body
from serve.errors import HttpError, rust_debug, shown
from tests.serve.asgi_driver import CHAT, GENERATE, JSON, served
from tests.serve.scripted_engine import ScriptedEngine, as_engine

U64 = 2**64
HELLO = [{"role": "user", "content": "abc"}]


def ask(checkpoint: Checkpoint, path: str, body: Any, environ: dict[str, str] | None = None, **how: Any):
    """The answer of a fresh service to one request."""

    async def scenario():
        engine = ScriptedEngine(checkpoint)
        async with served(checkpoint, lambda: as_engine(engine), environ=environ) as service:
            exchange = await service.ask(path, body, **how)
        return exchange, engine

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 400, "body must be JSON"),
        (b"\xef\xbb\xbf{}", 400, "body must be JSON"),
        (b'{"seed": "\xff"}', 400, "invalid byte at offset 10"),
        ("{}".encode("utf-16"), 400, "body must be JSON in UTF-8"),
        (b"\x00", 400, "body must be JSON"),
        (b'{"temperature": NaN}', 400, "NaN is not a JSON number"),
        (b'{"temperature": -Infinity}', 400, "-Infinity is not a JSON number"),
        (b'{"temperature": 1e999}', 400, "number out of range"),
        (b'{"ignored": [-1e999]}', 400, "number out of range"),
        (b'{"seed": ' + b"9" * 5000 + b"}", 400, "number out of range"),
        (b'{"temperature": ' + b"9" * 400 + b"}", 422, "temperature must be a number, got 999"),
        (b'{"seed": ' + b"9" * 4000 + b"}", 422, "seed must be an integer in [0, 18446744073709551615], got 999"),
        (b'{"top_k": ' + b"9" * 4000 + b', "max_tokens": 1}', 200, ""),
        (b'{"x": "\\ud800"}', 400, "half of a surrogate pair"),
        (b'{"x": {"\\uDFFF": 1}}', 400, "half of a surrogate pair"),
        (b'{"x": "\\udc00\\ud800"}', 400, "half of a surrogate pair"),
        (b'{"x": "\\ud83d\\ude42", "max_tokens": 1}', 200, ""),
        (b'{"x": "\\\\ud800", "max_tokens": 1}', 200, ""),
        (b"[" * 100_000, 400, "nested too deeply"),
        (b'{"a":' * 100_000, 400, "nested too deeply"),
        (b'{"seed": 1, "seed": 1}', 422, 'duplicate field "seed"'),
        (b'{"x": [{"y": {"z": 1, "z": 2}}]}', 422, 'duplicate field "z"'),
        (b'{"a": 1, "\\u0061": 2}', 422, 'duplicate field "a"'),
        (b"null", 422, "body must be an object, got null"),
        (b"[1, 2]", 422, "body must be an object, got an array"),
        (b'"' + b"x" * 100_000 + b'"', 422, "body must be an object, got"),
        (b'{"seed": true}', 422, "seed must be an integer, got true"),
        (b'{"temperature": false}', 422, "temperature must be a number, got false"),
        (b'{"seed": -1}', 422, "seed must be an integer in [0, 18446744073709551615], got -1"),
        (b'{"stream": 1}', 422, "stream must be true or false, got 1"),
        (b'{"stream": null}', 422, "stream must be true or false, got null"),
        (b'{"top_p": "x"}', 422, 'top_p must be a number, got "x"'),
        (b'{"top_p": 0}', 400, "top_p must be in (0, 1], got 0"),
        (b'{"top_p": 1.5}', 400, "top_p must be in (0, 1], got 1.5"),
        (b'{"top_k": -1}', 400, "top_k must be >= 0, got -1"),
        (b'{"top_k": 1.0}', 422, "top_k must be an integer, got 1"),
        (b'{"temperature": -1e-7}', 400, "temperature must be >= 0, got -0.0000001"),
        (b'{"temperature": -1e300}', 400, "temperature must be >= 0, got -1000"),
        (b'{"min_p": 1.5}', 400, "min_p must be in [0, 1], got 1.5"),
        (b'{"min_p": null}', 422, "min_p must be a number, got null"),
        (b'{"repetition_penalty": 0}', 400, "repetition_penalty must be in (0, 2], got 0"),
        (b'{"frequency_penalty": -3}', 400, "frequency_penalty must be in [-2, 2], got -3"),
        (b'{"presence_penalty": 2.5}', 400, "presence_penalty must be in [-2, 2], got 2.5"),
        (b'{"stop": 5}', 422, "stop must be a string or an array of strings, got 5"),
        (b'{"stop": ["a", 5]}', 422, "stop[1] must be a string, got 5"),
        (b'{"stop": ""}', 400, "stop[0] must have 1 to 256 characters, got 0"),
        (b'{"stop": ["a"' + b', "a"' * 32 + b"]}", 400, "stop must have at most 32 strings, got 33"),
        (b'{"max_tokens": 18446744073709551616}', 422, "max_tokens must be an integer in [0,"),
        (b'{"logprobs": 1}', 422, "logprobs must be true or false, got 1"),
        (b'{"logprobs": null}', 422, "logprobs must be true or false, got null"),
        (b'{"logprobs": true, "top_logprobs": 21}', 400, "top_logprobs must be in [0, 20], got 21"),
        (b'{"logprobs": true, "top_logprobs": -1}', 400, "top_logprobs must be in [0, 20], got -1"),
        (b'{"logprobs": true, "top_logprobs": 1.5}', 422, "top_logprobs must be an integer, got 1.5"),
        (b'{"top_logprobs": 3}', 400, "top_logprobs must be 0 without logprobs, got 3"),
        (b'{"logit_bias": []}', 422, "logit_bias must be an object, got an array"),
        (b'{"logit_bias": {"5": "x"}}', 422, 'logit_bias.5 must be a number, got "x"'),
        (b'{"logit_bias": {"a": 1}}', 400, 'logit_bias must be biases by token id, got "a"'),
        (b'{"logit_bias": {"05": 1}}', 400, 'logit_bias must be biases by token id, got "05"'),
        (b'{"logit_bias": {"-5": 1}}', 400, 'logit_bias must be biases by token id, got "-5"'),
        (b'{"logit_bias": {"5": 101}}', 400, "logit_bias[5] must be in [-100, 100], got 101"),
        (b'{"logit_bias": {"5": 1, "5": 2}}', 422, 'duplicate field "5"'),
        (
            b'{"logit_bias": {' + b", ".join(b'"%d": "x"' % i for i in range(1025)) + b"}}",
            400,
            "logit_bias must have at most 1024 ids, got 1025",
        ),
    ],
)
def test_generate_body(tiny_checkpoint: Checkpoint, body: bytes, status: int, message: str):
    exchange, _ = ask(tiny_checkpoint, GENERATE, body)
    assert exchange.status == status
    if status != 200:
        assert message in exchange.error
        assert len(exchange.body) < 1000
    assert exchange.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("messages", "status", "message"),
    [
        ([], 400, "messages must not be empty"),
        ({}, 422, "messages must be an array, got an object"),
        ([1] * 4096, 422, "messages[0] must be an object, got 1"),
        ([1] * 4097, 400, "messages must have at most 4096 turns, got 4097"),
        ([{"role": "user"}], 422, "messages[0].content is required"),
        ([{"role": None, "content": "x"}], 422, "messages[0].role must be a string, got null"),
        ([*HELLO, {"role": "user", "content": "\u2003\x85\u3000"}], 400, "messages[1]: content must not be empty"),
        ([{"role": "x" * 1000, "content": "x"}], 400, "messages[0]: unknown role"),
        ([{"role": "user", "content": "\x1c"}], 200, ""),
        ([{"role": "user", "content": "\u200b"}], 200, ""),
    ],
)
def test_chat_messages(tiny_checkpoint: Checkpoint, messages: Any, status: int, message: str):
    exchange, _ = ask(tiny_checkpoint, CHAT, {"messages": messages})
    assert exchange.status == status
    if status != 200:
        assert message in exchange.error
        assert len(exchange.body) < 1000


def test_first_check_wins(tiny_checkpoint: Checkpoint):
    wrong = {"temperature": -1, "num_samples": 0, "max_tokens": 0, "top_p": 2}
    for gone, message in (
        ("temperature", "temperature"),
        ("num_samples", "num_samples"),
        ("max_tokens", "max_tokens"),
        ("top_p", "top_p"),
    ):
        assert ask(tiny_checkpoint, GENERATE, wrong)[0].error.startswith(message)
        del wrong[gone]


def test_fields_reach_the_engine(tiny_checkpoint: Checkpoint):
    body = {"num_samples": 3, "temperature": 2, "seed": U64 - 2, "max_tokens": 5, "top_k": 4, "top_p": 0.5}
    _, engine = ask(tiny_checkpoint, GENERATE, body)
    chat = tiny_checkpoint.tokenizer.chat
    assert chat is not None
    bos = tiny_checkpoint.tokenizer.bos
    [request] = engine.seen
    params = request.params
    assert (request.num_samples, params.seed) == (3, U64 - 2)
    assert (params.temperature, params.max_tokens, params.top_k, params.top_p) == (2.0, 5, 4, 0.5)
    assert (params.min_p, params.stop, params.has_penalties) == (0.0, (), False)
    assert (request.prompt_ids, params.stop_token_ids) == ((bos,), (bos,))
    assert request.special_text == {chat.end_turn: "\n"}


@pytest.mark.parametrize("path", [GENERATE, CHAT])
def test_penalties_and_stops_reach_the_engine(tiny_checkpoint: Checkpoint, path: str):
    knobs = {"min_p": 0.2, "repetition_penalty": 1.5, "frequency_penalty": -1, "presence_penalty": 2}
    for stop, stops in (("ab", ("ab",)), (["a", "b"], ("a", "b")), ([], ())):
        _, engine = ask(tiny_checkpoint, path, {"messages": HELLO, "stop": stop, **knobs})
        params = engine.seen[0].params
        assert {name: getattr(params, name) for name in knobs} == knobs
        assert params.stop == stops
        assert (params.logprobs, params.top_logprobs, params.logit_bias) == (False, 0, ())


@pytest.mark.parametrize("path", [GENERATE, CHAT])
def test_biases_and_wishes_for_log_probabilities_reach_the_engine(tiny_checkpoint: Checkpoint, path: str):
    asked = {"logprobs": True, "top_logprobs": 20, "logit_bias": {"7": 1.5, "0": -100}}
    _, engine = ask(tiny_checkpoint, path, {"messages": HELLO, **asked})
    params = engine.seen[0].params
    assert (params.logprobs, params.top_logprobs, params.logit_bias) == (True, 20, ((0, -100.0), (7, 1.5)))


def test_defaults_and_caps(tiny_checkpoint: Checkpoint):
    block_size = tiny_checkpoint.config.block_size
    _, engine = ask(tiny_checkpoint, GENERATE, {"num_samples": 1000, "max_tokens": U64 - 1, "top_k": 10**30})
    [request] = engine.seen
    assert (request.num_samples, request.params.max_tokens, request.params.top_k) == (50, block_size, 0)
    _, engine = ask(tiny_checkpoint, GENERATE, {})
    params = engine.seen[0].params
    assert (params.temperature, params.seed, params.max_tokens) == (0.5, 42, block_size)


def test_chat_request_to_the_engine(tiny_checkpoint: Checkpoint):
    exchange, engine = ask(tiny_checkpoint, CHAT, {"messages": HELLO, "max_tokens": 10**6})
    tokenizer = tiny_checkpoint.tokenizer
    assert tokenizer.chat is not None
    [request] = engine.seen
    assert len(request.prompt_ids) == 6
    assert request.params.max_tokens == tiny_checkpoint.config.block_size - 6
    assert request.params.stop_token_ids == (tokenizer.chat.end_turn,)
    assert set(request.params.suppress_token_ids) == {tokenizer.bos, tokenizer.chat.user, tokenizer.chat.assistant}
    assert request.params.min_tokens == 1
    assert exchange.json["role"] == "assistant"


def test_more_samples_than_the_queue_holds_can_never_succeed(tiny_checkpoint: Checkpoint):
    exchange, _ = ask(tiny_checkpoint, GENERATE, {"num_samples": 9}, {"MAX_QUEUE": "8"})
    assert exchange.status == 400
    assert exchange.error == "num_samples must be <= 8 (this server's MAX_QUEUE), got 9"
    assert ask(tiny_checkpoint, GENERATE, {"num_samples": 8, "max_tokens": 1}, {"MAX_QUEUE": "8"})[0].status == 200


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (b"application/json", 200),
        (b"Application/JSON; charset=utf-8", 200),
        (b"application/vnd.api+json", 200),
        (b"text/plain", 415),
        (b"application/x-www-form-urlencoded", 415),
        (b"application/jsonx", 415),
        (b"", 415),
        (None, 415),
    ],
)
def test_media_type(tiny_checkpoint: Checkpoint, content_type: bytes | None, status: int):
    headers = [] if content_type is None else [(b"content-type", content_type)]
    exchange, _ = ask(tiny_checkpoint, GENERATE, {"max_tokens": 1}, headers=headers)
    assert exchange.status == status
    if status == 415:
        assert exchange.error.startswith("content-type must be application/json, got ")


def test_declared_size_over_the_limit_is_refused_without_reading(tiny_checkpoint: Checkpoint):
    for length, got in ((b"101", "101"), (b"9" * 30, "more")):
        exchange, _ = ask(
            tiny_checkpoint,
            GENERATE,
            b" " * 98 + b"{}",
            {"MAX_BODY_BYTES": "100"},
            headers=[*JSON, (b"content-length", length)],
        )
        assert (exchange.status, exchange.body_messages_taken) == (413, 0)
        assert exchange.error == f"body must be at most 100 bytes (this server's MAX_BODY_BYTES), got {got}"


def test_chunked_body_is_cut_off_at_the_limit(tiny_checkpoint: Checkpoint):
    limit = {"MAX_BODY_BYTES": "100"}
    exchange, _ = ask(tiny_checkpoint, GENERATE, None, limit, chunks=[b" " * 40] * 50)
    assert (exchange.status, exchange.body_messages_taken) == (413, 3)
    assert exchange.error.endswith(", got more")
    exchange, _ = ask(tiny_checkpoint, GENERATE, None, limit, chunks=[b"{}".ljust(50), b" " * 50])
    assert exchange.status == 200


def test_a_body_in_any_chunks_reads_the_same():
    async def read(chunks: list[bytes]) -> bytes:
        messages = [{"type": "http.request", "body": c, "more_body": True} for c in chunks]
        messages.append({"type": "http.request"})

        async def receive():
            return messages.pop(0)

        return await read_body({"headers": []}, receive, 10, BodyRoom(10))

    assert asyncio.run(read([b"abc", b"", b"def"])) == b"abcdef"
    assert asyncio.run(read([])) == b""


PIECE = {"type": "http.request", "body": b"12345", "more_body": True}
LAST_PIECE, GONE = {**PIECE, "more_body": False}, {"type": "http.disconnect"}


@pytest.mark.parametrize(
    ("messages", "late", "outcome"),
    [
        ([PIECE, PIECE, LAST_PIECE], False, b"123451234512345"),
        ([LAST_PIECE], False, b"12345"),
        ([PIECE, GONE], False, ClientDisconnected),
        ([PIECE, PIECE, PIECE, PIECE, LAST_PIECE], False, 413),
        ([PIECE, PIECE], True, 408),
        ([LAST_PIECE], True, b"12345"),  # it came after all
    ],
)
def test_room_for_bodies_is_given_back_however_reading_ends(messages: list[Any], late: bool, outcome: Any):
    room, held = BodyRoom(100), []

    async def receive() -> Any:
        held.append(room.held)
        return waiting.pop(0)

    async def read() -> Any:
        try:
            return await read_body({"headers": [], **({LATE_KEY: 3.0} if late else {})}, receive, 20, room)
        except ClientDisconnected:
            return ClientDisconnected
        except HttpError as error:
            return error.status

    waiting = list(messages)
    assert asyncio.run(read()) == outcome
    assert held == [5 * i for i in range(len(held))]
    assert room.held == 0


def test_bodies_of_all_connections_share_their_room(tiny_checkpoint: Checkpoint):
    async def scenario() -> None:
        engine = ScriptedEngine(tiny_checkpoint)
        environ = {"MAX_BODY_BYTES": "1000", "MAX_BODIES_BYTES": "1500"}
        async with served(tiny_checkpoint, lambda: as_engine(engine), environ=environ) as service:
            room = service.service.body_room
            slow = [service.send(GENERATE, chunks=[b" " * 700], more=True) for _ in range(2)]
            while room.held < 1400:
                await asyncio.sleep(0.001)
            refused = await service.ask(GENERATE, chunks=[b" " * 200, b"{}"])
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert refused.error == "too many large requests are being received"
            assert (await service.ask(GENERATE, {"max_tokens": 1})).status == 200  # whole at once: never held
            for exchange in slow:
                exchange.send_piece(b"{}")
            assert [(await exchange.done()).status for exchange in slow] == [200, 200]
            assert room.held == 0
            assert (await service.ask(GENERATE, chunks=[b" " * 200, b"{}"])).status == 200

    asyncio.run(scenario())


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(_JSON_VALUES, st.booleans())
def test_parse_json_agrees_with_the_standard_library(value: Any, ascii_only: bool):
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert parse_json(text.encode()) == json.loads(text)


_NAMES = st.sampled_from(['"a"', '"\\u0061"', '"b"', '""', '"\\""', '"[c"', '"{"', '"x" '])
_SCALARS = st.sampled_from(
    ["1", "-0", "0.1", "-1e5", "1e999", "-1E999", "9" * 400 + ".5", "9" * 30, "true", "null", "{}", "[]", '""', "NaN",
     '{"a": 1}', "[1e999]", "-Infinity", "01", "1.", '{"": {}}']
)  # fmt: skip


@given(st.lists(st.tuples(_NAMES, _SCALARS), max_size=4), st.sampled_from(["", " ", ","]), st.booleans())
@settings(max_examples=1000)
def test_short_bodies_are_read_as_long_ones(members: list[tuple[str, str]], behind: str, is_closed: bool):
    text = "{" + ",".join(f"{name}:{value}" for name, value in members) + behind + "}" * is_closed

    def outcome(body: bytes) -> Any:
        try:
            return repr(parse_json(body))
        except HttpError as error:
            return error.status, error.message

    short = outcome(text.encode())
    with mock.patch("serve.body._MAX_SHORT", -1):
        assert short == outcome(text.encode())


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0123dDeE+-. truefalsnNaI', max_size=60).map(str.encode))
@settings(max_examples=500)
def test_parse_json_refuses_whatever_it_does_not_take(data: bytes):
    status, value = 200, None
    try:
        value = parse_json(data)
    except HttpError as error:
        status = error.status
    assert status in (200, 400, 422)
    json.dumps(value, allow_nan=False, ensure_ascii=False).encode()


@given(st.dictionaries(st.sampled_from(["temperature", "seed", "num_samples", "max_tokens", "top_k", "top_p", "min_p",
                                        "repetition_penalty", "stop", "stream", "messages"]),
                       _JSON_VALUES))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_any_values_in_any_fields_are_answered_below_500(body: dict[str, Any]):
    exchange, _ = ask(_checkpoint(), GENERATE, body)
    assert exchange.status in (200, 400, 422)
    exchange, _ = ask(_checkpoint(), CHAT, {"messages": HELLO, **body})
    assert exchange.status in (200, 400, 422)


_made: list[Checkpoint] = []


def _checkpoint() -> Checkpoint:
    return _made[0]


@pytest.fixture(autouse=True)
def _keep_checkpoint(tiny_checkpoint: Checkpoint):
    _made[:] = [tiny_checkpoint]


def test_rust_debug():
    assert rust_debug("a'b\"\\\n\r\t\0\x7f") == '"a\'b\\"\\\\\\n\\r\\t\\0\\u{7f}"'
    assert rust_debug("é\u0301\u200b\xa0🙂\ue000\u200d\u0903\u09be") == (
        '"é\\u{301}\\u{200b}\\u{a0}🙂\\u{e000}\\u{200d}\u0903\\u{9be}"'
    )


def test_shown():
    values = [None, True, 3, -1.0, 0.5, -1e-7, 1e21, "x", [1], {"a": 1}]
    assert [shown(value) for value in values] == [
        "null", "true", "3", "-1", "0.5", "-0.0000001", "1000000000000000000000", '"x"', "an array", "an object",
    ]  # fmt: skip
    assert len(shown("x" * 10**6)) < 200
    assert len(shown(5e-324)) < 200
    assert len(shown(10**4299)) < 200 <= sys.get_int_max_str_digits()
