"""The app over ASGI messages: routes, ids, refusals, streams, disconnects, timeouts, faults, draining."""

import asyncio
import gc
import random
import re
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from microgpt import Checkpoint, NumericalError, load_checkpoint
from microgpt.text_stream import WHITE_SPACE
from serve.dialects import DIALECTS
from tests.serve.asgi_driver import CHAT, GENERATE, JSON, Exchange, Served, eventually, served
from tests.serve.scripted_engine import ScriptedEngine, as_engine, run

HELLO = {"messages": [{"role": "user", "content": "abc"}]}


def get(service: Served, path: str, method: str = "GET", **how: Any) -> Coroutine[Any, Any, Exchange]:
    return service.ask(path, method=method, headers=how.pop("headers", []), **how)


# Routes, ids, log


def test_health_index_and_schema(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        health = await get(service, "/health")
        assert health.status == 200
        config = tiny_checkpoint.config
        assert health.json["model"] == {
            "parameters": config.num_parameters,
            "vocab_size": config.vocab_size,
            "context": config.block_size,
            "chat": True,
        }
        assert health.json["status"] == "ok"
        assert health.json["uptime_s"] >= 0
        assert (await get(service, "/")).json == "SGLang is running"
        for path in ("/docs", "/redoc", "/nothing", GENERATE + "/", "//"):
            missing = await get(service, path)
            assert (missing.status, missing.error) == (404, f"no such route: {path}")

    run(tiny_checkpoint, scenario)


def test_openapi_describes_every_generating_route(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        document = (await get(service, "/openapi.json")).json
        schemas = document["components"]["schemas"]

        def check_references(node: Any) -> None:
            if isinstance(node, dict):
                if "$ref" in node:
                    assert node["$ref"].removeprefix("#/components/schemas/") in schemas
                for child in node.values():
                    check_references(child)
            elif isinstance(node, list):
                for child in node:
                    check_references(child)

        check_references(document)
        for dialect in DIALECTS:
            for route in dialect.routes:
                operation = document["paths"][route.path]["post"]
                assert {"200", "400", "413", "415", "422", "429", "503", "504"} <= set(operation["responses"])
                body = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].split("/")[-1]
                names = getattr(route.request_model, "model_fields", route.request_model.__annotations__)
                assert set(schemas[body]["properties"]) == set(names)

    run(tiny_checkpoint, scenario)


def test_wrong_methods_and_head(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "HEAD", "BREW"):
            refused = await get(service, CHAT, method)
            assert (refused.status, refused.headers["allow"]) == (405, "POST")
        refused = await get(service, "/health", "POST")
        assert (refused.status, refused.headers["allow"]) == (405, "GET")
        assert refused.error == "method POST is not allowed on /health"
        for path in ("/health", "/", "/openapi.json"):
            assert (await get(service, path, "HEAD")).status == 200

    run(tiny_checkpoint, scenario)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"abc-DEF_1.2", True),
        (b"x" * 128, True),
        (b"x" * 129, False),
        (b"", False),
        (b"a b", False),
        (b"a\n", False),
        ("é".encode(), False),
        (b"<script>", False),
    ],
)
def test_request_id(tiny_checkpoint: Checkpoint, given: bytes, kept: bool):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        header = [(b"x-request-id", given)]
        answers = [
            await service.ask(GENERATE, {"max_tokens": 1}, headers=JSON + header),
            await service.ask(GENERATE, {"max_tokens": 1, "stream": True}, headers=JSON + header),
            await service.ask(GENERATE, b"x", headers=JSON + header),
            await get(service, "/health", headers=header),
            await get(service, "/nothing", headers=header),
        ]
        for answer in answers:
            request_id = answer.headers["x-request-id"]
            assert request_id == given.decode() if kept else re.fullmatch("[0-9a-f]{32}", request_id)

    run(tiny_checkpoint, scenario)


def test_cors_only_for_listed_origins_and_never_with_credentials(tiny_checkpoint: Checkpoint):
    origin = [(b"origin", b"https://a.example")]
    other = [(b"origin", b"https://b.example")]
    preflight = [(b"access-control-request-method", b"POST"), (b"access-control-request-headers", b"content-type")]

    async def closed(service: Served, engine: ScriptedEngine) -> None:
        answer = await get(service, "/health", headers=origin)
        assert not [name for name in answer.headers if name.startswith("access-control")]
        assert (await get(service, CHAT, "OPTIONS", headers=origin + preflight)).status == 405

    async def opened(service: Served, engine: ScriptedEngine) -> None:
        for answer in (
            await get(service, "/health", headers=origin),
            await service.ask(GENERATE, b"", headers=JSON + origin),
            await get(service, CHAT, "OPTIONS", headers=origin + preflight),
        ):
            assert answer.headers["access-control-allow-origin"] == "https://a.example"
            assert "access-control-allow-credentials" not in answer.headers
            assert "x-request-id" in answer.headers
        refused = await get(service, CHAT, "OPTIONS", headers=other + preflight)
        assert (refused.status, refused.error) == (400, "Disallowed CORS origin")
        assert "access-control-allow-origin" not in (await get(service, "/health", headers=other)).headers

    run(tiny_checkpoint, closed)
    run(tiny_checkpoint, opened, CORS_ORIGINS="https://a.example")


def test_unexpected_exception_is_a_json_500_and_logged(
    tiny_checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        def broken(*args: Any, **kwargs: Any) -> Any:
            raise ZeroDivisionError

        monkeypatch.setattr(service.service, "start", broken)
        answer = await service.ask(GENERATE, {})
        assert (answer.status, answer.error) == (500, "internal error")
        monkeypatch.setattr(type(service.service), "uptime_s", property(broken))
        answer = await get(service, "/health")
        assert (answer.status, answer.error) == (500, "internal error")
        assert "x-request-id" in answer.headers

    run(tiny_checkpoint, scenario)
    tracebacks = [record.exc_info for record in caplog.records if record.exc_info]
    assert [info[0] for info in tracebacks] == [ZeroDivisionError] * 2


# Rate limit


def test_rate_limit_is_charged_before_the_body_is_read(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        answers = [await service.ask(path, b"not json") for path in (GENERATE, CHAT) for _ in range(5)]
        assert [answer.status for answer in answers] == [400] * 10
        for path in (GENERATE, CHAT):
            refused = service.send(path, {}, headers=[])
            await refused.done()
            assert (refused.status, refused.body_messages_taken) == (429, 0)
            assert refused.error.startswith("rate limit exceeded")
            assert int(refused.headers["retry-after"]) >= 1
            assert {"ratelimit", "ratelimit-policy"} <= set(refused.headers)
        assert (await get(service, "/health")).status == 200

    run(tiny_checkpoint, scenario, RATE_LIMIT="1/minute")


def test_good_answers_carry_the_rate_limit_too(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        for stream in (False, True):
            answer = await service.ask(GENERATE, {"max_tokens": 1, "stream": stream})
            assert {"ratelimit", "ratelimit-policy"} <= set(answer.headers)
            assert "retry-after" not in answer.headers

    run(tiny_checkpoint, scenario, RATE_LIMIT="5/second")


def test_what_does_not_generate_has_a_budget_of_its_own(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        async def statuses(path: str, method: str = "GET") -> list[int]:
            found = []
            for _ in range(5):
                answer = await service.ask(path, {"prompt": "a"}, method=method)
                found.append(answer.status)
                if answer.status == 429:
                    assert "2 requests per day (burst 2)" in str(answer.json)
                    assert int(answer.headers["retry-after"]) >= 1
                if path not in ("/health", "/metrics", "/ready"):
                    assert answer.headers["ratelimit-policy"] == '"info";q=2;w=86400'
            return found

        assert [(await service.ask(GENERATE, {"max_tokens": 1})).status for _ in range(12)] == [200] * 10 + [429] * 2
        assert await statuses("/model_info") == [200, 200, 429, 429, 429]
        for path, method in (("/tokenize", "POST"), ("/", "GET"), ("/openapi.json", "GET"), ("/nothing", "GET"),
                             ("/health_generate", "GET"), ("/v1/models/x", "GET"), (GENERATE, "GET")):  # fmt: skip
            assert await statuses(path, method) == [429] * 5, path
        for path in ("/health", "/metrics", "/ready"):
            assert await statuses(path) == [200] * 5

    run(tiny_checkpoint, scenario, RATE_LIMIT="1/day", RATE_LIMIT_INFO="2/day")


def test_good_answers_of_small_routes_carry_their_budget(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        for path, method in (("/model_info", "GET"), ("/", "GET"), ("/tokenize", "POST")):
            answer = await service.ask(path, {"prompt": "a"}, method=method)
            assert answer.status == 200
            assert answer.headers["ratelimit-policy"] == '"info";q=100;w=1'

    run(tiny_checkpoint, scenario, RATE_LIMIT_INFO="100/second")


# Streams


def test_stream_shapes(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        answer = await service.ask(CHAT, {**HELLO, "max_tokens": 4, "stream": True})
        assert answer.status == 200
        expected = {"content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no"}
        assert expected.items() <= answer.headers.items()
        *deltas, final = answer.events
        assert [set(event) for event in deltas] == [{"delta"}] * len(deltas)
        assert final == {
            "role": "assistant",
            "content": "é\n\nb  é\n\nb",
            "tokens_dropped": 0,
            "finish_reason": "length",
            "usage": {"prompt_tokens": 6, "completion_tokens": 4},
        }
        answer = await service.ask(GENERATE, {"num_samples": 2, "max_tokens": 2, "stream": True})
        *deltas, final = answer.events
        assert {event["index"] for event in deltas} == {0, 1}
        assert final == {
            "samples": ["é\n\nb"] * 2,
            "finish_reasons": ["length"] * 2,
            "usage": {"prompt_tokens": 1, "completion_tokens": 4},
        }

    run(tiny_checkpoint, scenario, pieces=(" é\n", "\nb "))


@pytest.mark.parametrize("seed", range(25))
def test_deltas_joined_equal_the_buffered_text(tiny_checkpoint: Checkpoint, seed: int):
    rng = random.Random(seed)
    alphabet = [*" \n\t\u3000\x85", "", "", "a", "日本", "e\u0301", "🙂", "\x1c", '"\\', "data: ", "\r\n", "</script>"]
    pieces = tuple("".join(rng.choices(alphabet, k=rng.randint(0, 4))) for _ in range(rng.randint(1, 12)))
    num_samples, max_tokens = rng.randint(1, 4), rng.randint(1, 30)
    whole = "".join(pieces[i % len(pieces)] for i in range(max_tokens)).strip(WHITE_SPACE)

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        body = {"num_samples": num_samples, "max_tokens": max_tokens}
        buffered = (await service.ask(GENERATE, body)).json
        assert buffered == {"samples": [whole] * num_samples}
        *deltas, final = (await service.ask(GENERATE, {**body, "stream": True})).events
        for i in range(num_samples):
            assert "".join(event["delta"] for event in deltas if event["index"] == i) == whole
        assert final["samples"] == buffered["samples"]
        assert all(event["delta"] for event in deltas)
        buffered = (await service.ask(CHAT, {**HELLO, "max_tokens": max_tokens})).json
        *deltas, final = (await service.ask(CHAT, {**HELLO, "max_tokens": max_tokens, "stream": True})).events
        assert "".join(event["delta"] for event in deltas) == final["content"] == buffered["content"]

    run(tiny_checkpoint, scenario, pieces, step_s=0.0005 * rng.randint(0, 2))


def test_pieces_are_sent_as_they_come(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        exchange = service.send(GENERATE, {"max_tokens": 20, "stream": True})
        await exchange.until(lambda exchange: len(exchange.messages) >= 4)
        assert not exchange.complete
        await exchange.done()
        assert len(exchange.events) > 5

    run(tiny_checkpoint, scenario, step_s=0.02)


def test_slow_reader_gets_fewer_larger_pieces_and_holds_up_nobody(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        slow = service.send(GENERATE, {"max_tokens": 30, "stream": True})
        await slow.until(lambda exchange: len(exchange.messages) >= 2)
        slow.reading.clear()
        assert (await service.ask(GENERATE, {"max_tokens": 30})).status == 200
        await eventually(lambda: service.client.in_flight == 0)
        slow.reading.set()
        await slow.done()
        *deltas, final = slow.events
        assert "".join(event["delta"] for event in deltas) == final["samples"][0] == ("ab " * 30).strip()
        assert len(deltas) < 15

    run(tiny_checkpoint, scenario, step_s=0.004)


# Clients that leave


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [GENERATE, CHAT])
def test_client_that_leaves_stops_costing_compute(tiny_checkpoint: Checkpoint, path: str, stream: bool):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.hold.clear()  # never finishes by itself
        body = {**HELLO, "num_samples": 3, "stream": stream}
        exchange = service.send(path, body)
        await eventually(lambda: len(engine.live) == 1)
        exchange.disconnect()
        await exchange.done()
        await eventually(lambda: not engine.live)
        await eventually(lambda: service.client.in_flight == 0)
        assert exchange.messages == []
        assert len(engine.cancelled) == len(engine.seen)

    run(tiny_checkpoint, scenario)


def test_client_that_leaves_in_mid_stream(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        exchange = service.send(CHAT, {**HELLO, "stream": True})
        await exchange.until(lambda exchange: len(exchange.messages) >= 2)
        exchange.disconnect()
        await exchange.done()
        await eventually(lambda: not engine.live)
        assert not exchange.complete
        assert service.service.status == "ok"

    run(tiny_checkpoint, scenario, step_s=0.02)


def test_client_that_leaves_while_sending_its_body(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        exchange = service.send(CHAT, chunks=[b'{"messages"', b""])
        exchange._inbox.get_nowait()
        exchange._inbox.get_nowait()
        exchange.disconnect()
        await exchange.done()
        assert exchange.messages == []
        assert engine.seen == []
        await asyncio.wait_for(service.service.idle(), 1)

    run(tiny_checkpoint, scenario)


def test_a_storm_of_leaving_clients_frees_everything(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        rng = random.Random(1)
        exchanges = [service.send(GENERATE, {"stream": bool(i % 2), "max_tokens": 30}) for i in range(200)]
        for exchange in rng.sample(exchanges, 150):
            await asyncio.sleep(rng.random() * 0.0005)
            exchange.disconnect()
        await asyncio.gather(*(exchange.done() for exchange in exchanges))
        await eventually(lambda: service.client.in_flight == 0)
        assert not service.client._generations
        assert sum(exchange.complete for exchange in exchanges) >= 50

    run(tiny_checkpoint, scenario, MAX_QUEUE="200")


# Time, room, faults


@pytest.mark.parametrize("stream", [False, True])
def test_timeout_before_the_first_byte_is_a_504(tiny_checkpoint: Checkpoint, stream: bool):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.hold.clear()
        answer = await service.ask(GENERATE, {"stream": stream})
        assert (answer.status, answer.error) == (504, "the request took longer than 0.05 s")
        await eventually(lambda: not engine.live)

    run(tiny_checkpoint, scenario, REQUEST_TIMEOUT_S="0.05")


def test_timeout_after_the_first_byte_is_an_event(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        answer = await service.ask(CHAT, {**HELLO, "stream": True})
        assert answer.status == 200
        assert answer.complete
        assert answer.events[0] == {"delta": "ab"}
        assert answer.events[-1] == {"error": "the request took longer than 0.3 s"}
        await eventually(lambda: not engine.live)

    run(tiny_checkpoint, scenario, step_s=0.05, REQUEST_TIMEOUT_S="0.3")


def test_reader_that_stops_for_good_is_given_up(tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("serve.endpoint.LAST_WORDS_S", 0.05)

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        exchange = service.send(GENERATE, {"stream": True})
        await exchange.until(lambda exchange: len(exchange.messages) >= 2)
        exchange.reading.clear()
        await exchange.done()
        assert not exchange.complete
        await eventually(lambda: not engine.live)

    run(tiny_checkpoint, scenario, step_s=0.02, REQUEST_TIMEOUT_S="0.1")


def test_body_that_does_not_come_is_a_408(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        exchange = service.send(GENERATE, {})
        exchange._inbox.get_nowait()
        await exchange.done()
        assert (exchange.status, exchange.error) == (408, "receiving the body took longer than 0.05 s")

    run(tiny_checkpoint, scenario, REQUEST_TIMEOUT_S="0.05")


def test_each_request_has_its_own_time(tiny_checkpoint: Checkpoint):
    """Though one timer serves them all: some end early, some late, and none before its time."""

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        now = asyncio.get_running_loop().time

        async def late() -> float:
            started_at = now()
            assert (await service.ask(GENERATE, {})).status == 504
            return now() - started_at

        engine.hold.clear()
        waiting = []
        for i in range(8):
            waiting.append(asyncio.create_task(late()))
            gone = service.send(GENERATE, {})
            await asyncio.sleep(0.03)
            if i % 2:
                gone.disconnect()
        for duration_s in await asyncio.gather(*waiting):
            assert 0.19 < duration_s < 2
        await asyncio.sleep(0.3)
        engine.hold.set()
        assert (await service.ask(GENERATE, {"max_tokens": 3})).status == 200  # a while after the timer has run out
        engine.hold.clear()
        assert await late() > 0.19

    run(tiny_checkpoint, scenario, REQUEST_TIMEOUT_S="0.2", MAX_QUEUE="100")


def test_full_queue_answers_503_at_once(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.hold.clear()
        waiting = [service.send(GENERATE, {"num_samples": count, "max_tokens": 1}) for count in (7, 1)]
        await eventually(lambda: len(engine.live) == 2)
        for stream in (False, True):
            refused = await service.ask(GENERATE, {"stream": stream})
            assert refused.status == 503
            assert int(refused.headers["retry-after"]) >= 1
            assert "queue is full" in refused.error
        engine.hold.set()
        assert [(await exchange.done()).status for exchange in waiting] == [200, 200]
        assert (await service.ask(GENERATE, {"max_tokens": 1})).status == 200

    run(tiny_checkpoint, scenario, MAX_QUEUE="8")


def test_numerical_error_is_a_500_for_its_request_alone(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.failing = NumericalError("logits are not finite")
        answer = await service.ask(GENERATE, {"max_tokens": 9})
        assert (answer.status, answer.error) == (500, "numerical_error: logits are not finite")
        answer = await service.ask(GENERATE, {"max_tokens": 9, "stream": True})
        assert answer.events == [{"index": 0, "delta": "ab"}, {"index": 0, "delta": " ab"},
                                 {"error": "numerical_error: logits are not finite"}]  # fmt: skip
        assert (await service.ask(GENERATE, {"max_tokens": 2})).status == 200
        assert service.service.status == "ok"

    run(tiny_checkpoint, scenario, step_s=0.02)


def test_engine_fault_fails_everyone_once_and_the_process_answers_on(
    tiny_checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        streamed = service.send(GENERATE, {"stream": True})
        await streamed.until(lambda exchange: len(exchange.messages) >= 2)
        engine.hold.clear()
        buffered = service.send(GENERATE, {})
        await eventually(lambda: len(engine.live) == 2)
        engine.broken = ZeroDivisionError("deep inside")
        await buffered.done()
        await streamed.done()
        assert (buffered.status, buffered.error) == (503, "the engine failed")
        assert streamed.events[-1] == {"error": "the engine failed"}
        await eventually(lambda: service.service.status == "failed")
        health = await get(service, "/health")
        assert (health.status, health.json["status"]) == (503, "failed")
        late = await service.ask(CHAT, HELLO)
        assert (late.status, late.error) == (503, "the engine has failed")

    run(tiny_checkpoint, scenario, step_s=0.02)
    [record] = [record for record in caplog.records if record.exc_info]
    assert record.exc_info
    assert "deep inside" in str(record.exc_info[1])


def test_loading_answers_503(tiny_checkpoint: Checkpoint):
    release = threading.Event()

    def build() -> Any:
        release.wait(10)
        return as_engine(ScriptedEngine(tiny_checkpoint))

    async def main() -> None:
        async with served(tiny_checkpoint, build, wait=False) as service:
            health = await get(service, "/health")
            assert (health.status, health.json["status"]) == (503, "loading")
            refused = await service.ask(GENERATE, {})
            assert (refused.status, refused.error) == (503, "model is loading")
            assert int(refused.headers["retry-after"]) >= 1
            release.set()
            await service.client.built()
            assert (await get(service, "/health")).status == 200
            assert (await service.ask(GENERATE, {"max_tokens": 1})).status == 200

    asyncio.run(main())


def test_draining_finishes_what_was_accepted_and_refuses_the_rest(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        accepted = [service.send(GENERATE, {"max_tokens": 5, "stream": stream}) for stream in (False, True)]
        await eventually(lambda: len(engine.live) == 2)
        service.service.draining = True
        refused = await service.ask(GENERATE, {})
        assert (refused.status, refused.error) == (503, "server is shutting down")
        assert refused.headers["connection"] == "close"
        assert refused.body_messages_taken == 1  # closing on unread data would reset the connection
        health = await get(service, "/health")
        assert (health.status, health.json["status"]) == (503, "draining")
        await asyncio.wait_for(service.service.idle(), 5)
        assert [exchange.complete for exchange in accepted] == [True, True]
        assert accepted[0].headers["connection"] == "close"

    run(tiny_checkpoint, scenario, step_s=0.02)


# Models


def test_plain_model_has_no_chat_but_bad_json_comes_first(make_model: Any):
    checkpoint = load_checkpoint(make_model(chat=False))

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        for body in ({"messages": []}, {"messages": [{"role": "x", "content": ""}], "temperature": -1}, HELLO):
            answer = await service.ask(CHAT, body)
            assert (answer.status, answer.error) == (400, "model was not trained with chat tokens")
        assert (await service.ask(CHAT, b"{")).status == 400
        assert (await service.ask(CHAT, {})).status == 422
        assert (await service.ask(GENERATE, {"max_tokens": 1})).status == 200
        assert engine.seen[0].special_text == {}

    run(checkpoint, scenario)


def test_chat_needs_a_context_of_8(make_model: Any):
    checkpoint = load_checkpoint(make_model(block_size=7))

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        answer = await service.ask(CHAT, HELLO)
        assert answer.status == 400
        assert "block_size" in answer.error

    run(checkpoint, scenario)


def test_too_many_huge_bodies_at_once_are_refused(tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    import serve.service as module

    monkeypatch.setattr(module, "MAX_PREPARING", 2)
    release = threading.Event()
    original = module.chat_prompt

    def slow(*args: Any) -> Any:
        release.wait(10)
        return original(*args)

    monkeypatch.setattr(module, "chat_prompt", slow)

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        huge = {"messages": [{"role": "user", "content": "a" * 100_000}], "max_tokens": 1}
        first = [asyncio.create_task(service.ask(CHAT, huge)) for _ in range(2)]
        await asyncio.sleep(0.05)
        refused = await service.ask(CHAT, huge)
        release.set()
        assert refused.status == 503
        assert refused.headers["retry-after"] == "1"
        assert [(await answer).status for answer in first] == [200, 200]

    run(tiny_checkpoint, scenario)


def test_a_large_body_does_not_wait_for_huge_ones(tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    import serve.service as module

    release = threading.Event()
    original = module.chat_prompt

    def slow(tokenizer: Any, block_size: int, messages: Any) -> Any:
        if len(messages[0].content) > 10**6:
            release.wait(10)
        return original(tokenizer, block_size, messages)

    monkeypatch.setattr(module, "chat_prompt", slow)

    def body(size: int) -> Any:
        return {"messages": [{"role": "user", "content": "a" * size}], "max_tokens": 1}

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        huge = [asyncio.create_task(service.ask(CHAT, body(2 * 10**6))) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert (await service.ask(CHAT, body(100_000))).status == 200
        assert not any(task.done() for task in huge)
        release.set()
        assert [(await task).status for task in huge] == [200] * 3

    run(tiny_checkpoint, scenario)


def test_huge_messages_are_tokenised_off_the_loop(tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    threads = []
    import serve.service as module

    original = module.chat_prompt

    def watched(*args: Any) -> Any:
        threads.append(threading.current_thread())
        return original(*args)

    monkeypatch.setattr(module, "chat_prompt", watched)

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        huge = {"messages": [{"role": "user", "content": "a" * 100_000}], "max_tokens": 1}
        answer = await service.ask(CHAT, huge)
        assert answer.json["tokens_dropped"] > 99_000
        await service.ask(CHAT, HELLO)

    run(tiny_checkpoint, scenario)
    assert threads[0] is not threading.main_thread()
    assert threads[1] is threading.main_thread()


@pytest.mark.parametrize("body", [{"x": "a" * 300_000, "max_tokens": 1}, {"x": "a" * 300_000, "max_tokens": "a"}])
def test_no_garbage_is_collected_while_a_large_body_is_read_and_again_afterwards(
    tiny_checkpoint: Checkpoint, body: Any, monkeypatch: pytest.MonkeyPatch
):
    import serve.dialects.microgpt_v1 as module

    collecting = []
    original = module._parse_plain

    def watched(body: bytes) -> Any:
        collecting.append(gc.isenabled())
        return original(body)

    monkeypatch.setattr(module, "_parse_plain", watched)

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        for asked in (body, {"max_tokens": 1}):
            await service.ask(GENERATE, asked)
        assert gc.isenabled()

    run(tiny_checkpoint, scenario)
    assert collecting == [False, True]
