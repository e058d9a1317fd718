"""The log: one line a request, in either form, that no client can forge, and no text of theirs unless asked for."""

import asyncio
import io
import json
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from microgpt import Checkpoint, InvalidRequest, NumericalError
from serve.access import configure_logging
from tests.serve.asgi_driver import CHAT, GENERATE, JSON, Served, served
from tests.serve.scripted_engine import ScriptedEngine, as_engine

pytestmark = pytest.mark.usefixtures("logging_as_it_was")


def log_of(
    checkpoint: Checkpoint,
    scenario: Callable[[Served, ScriptedEngine], Coroutine[Any, Any, None]],
    capsys: pytest.CaptureFixture[str],
    log_format: str,
    pieces: tuple[str, ...] = ("ab ",),
    step_s: float = 0.001,
    **environ: str,
) -> list[str]:
    """The lines that the scenario leaves in the log."""
    configure_logging(log_format)

    async def main() -> None:
        engine = ScriptedEngine(checkpoint, pieces, step_s)
        environment = {"LOG_FORMAT": log_format, **environ}
        async with served(checkpoint, lambda: as_engine(engine), environ=environment) as service:
            await scenario(service, engine)

    asyncio.run(main())
    return [line for line in capsys.readouterr().err.split("\n") if line and "asyncio" not in line]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_for_each_request(tiny_checkpoint: Checkpoint, log_format: str, capsys: pytest.CaptureFixture[str]):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        header = [(b"x-request-id", b"the-id")]
        await service.ask(GENERATE, {"max_tokens": 3, "num_samples": 2, "x": "secret"}, headers=JSON + header)
        await service.ask("/health", method="GET", headers=[])
        await service.ask("/no\nsuch", method="GET", headers=[])
        await service.ask(CHAT, {"messages": [{"role": "user", "content": "secret"}], "max_tokens": 1, "stream": True})

    lines = log_of(tiny_checkpoint, scenario, capsys, log_format, pieces=("secret",))
    assert len(lines) == 4
    assert "secret" not in "".join(lines)
    if log_format == "json":
        first, second, third, fourth = map(json.loads, lines)
        expected = {"id": "the-id", "method": "POST", "route": GENERATE, "status": 200, "prompt_tokens": 2, "tokens": 6}
        assert expected.items() <= first.items()
        assert (first["level"], first["logger"], first["message"]) == ("INFO", "serve.access", "request")
        assert 0 < first["first_token_ms"] < first["duration_ms"]
        assert (second["route"], third["route"], third["status"]) == ("/health", "unmatched", 404)
        assert not {"tokens", "prompt_tokens", "first_token_ms", "note"} & set(second)
        assert (fourth["route"], fourth["tokens"]) == (CHAT, 1)
    else:
        assert f" INFO serve.access: request id=the-id method=POST route={GENERATE} status=200 prompt_tokens=2 " \
            "tokens=6 first_token_ms=" in lines[0]  # fmt: skip
        assert "route=/health status=200 duration_ms=" in lines[1]
        assert "route=unmatched status=404" in lines[2]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_client_can_forge_a_line_or_a_field(
    tiny_checkpoint: Checkpoint, log_format: str, capsys: pytest.CaptureFixture[str]
):
    forged = "x\n2026-01-01 00:00:00 INFO serve.access: request id=forged\r\x1b[2K\u2028 status=200"

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.failing = NumericalError(forged)
        await service.ask(GENERATE, {"max_tokens": 3})
        raw = forged.encode()
        await service.ask(f"/{forged}", method=f"GET\n{forged}", headers=[(b"x-request-id", raw), (b"user-agent", raw)])
        await service.ask(CHAT, {"messages": [{"role": forged, "content": forged}]})
        logging.getLogger("serve.other").warning("a message with %s", forged)

    lines = log_of(tiny_checkpoint, scenario, capsys, log_format)
    assert len(lines) == 4
    for line in lines:
        assert "\r" not in line
        if log_format == "json":
            assert json.loads(line).get("id") != "forged"
        else:
            assert line[:2] == "20"
            assert line.index(": request") < line.index(" id=forged") if " id=forged" in line else True
    if log_format == "text":
        assert f"note={json.dumps(forged)}" in lines[0]
    else:
        assert json.loads(lines[0])["note"] == forged
    assert "method=other" in lines[1] or json.loads(lines[1])["method"] == "other"


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("stream", [False, True])
def test_prompts_and_replies_only_when_asked_for_and_cut(
    tiny_checkpoint: Checkpoint, log_format: str, stream: bool, capsys: pytest.CaptureFixture[str]
):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        body = {"messages": [{"role": "user", "content": "abc\ndef"}], "max_tokens": 3, "stream": stream}
        await service.ask(CHAT, body)
        await service.ask(GENERATE, {"num_samples": 2, "max_tokens": 2, "stream": stream})

    pieces = ("one\n", "x" * 600, "y" * 600)
    chat, generate = log_of(tiny_checkpoint, scenario, capsys, log_format, pieces, LOG_PROMPTS="on")
    reply = "one\n" + "x" * 600 + "y" * 396
    if log_format == "json":
        assert json.loads(chat)["prompts"] == ["abc\ndef"]
        assert json.loads(chat)["replies"] == [reply]
        assert json.loads(generate)["prompts"] == [""]
        assert json.loads(generate)["replies"] == ["one\n" + "x" * 600] * 2
    else:
        assert f"prompts={json.dumps(['abc' + chr(10) + 'def'])} replies={json.dumps([reply])}" in chat


def test_a_mistake_is_not_quoted(
    tiny_checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def refuse(*args: Any, **knobs: Any) -> Any:
        raise InvalidRequest("regex must be short, got 'secret'")

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        monkeypatch.setattr(service.service, "start", refuse)
        assert "secret" in (await service.ask(GENERATE, {})).error

    [line] = log_of(tiny_checkpoint, scenario, capsys, "text")
    assert "status=400" in line
    assert "secret" not in line


def test_a_client_that_left_is_noted(tiny_checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        exchange = service.send(GENERATE, {"stream": True})
        await exchange.until(lambda exchange: len(exchange.messages) >= 2)
        exchange.disconnect()
        await exchange.done()

    [line] = log_of(tiny_checkpoint, scenario, capsys, "text", step_s=0.02)
    assert 'note="client disconnected"' in line
    assert " tokens=" in line
    assert " first_token_ms=" in line


def test_a_log_that_nobody_can_write_to_stops_nothing(tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch):
    configure_logging("text")
    closed = io.StringIO()
    closed.close()

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    async def main() -> None:
        engine = ScriptedEngine(tiny_checkpoint)
        async with served(tiny_checkpoint, lambda: as_engine(engine)) as service:
            for stream in (closed, Broken()):
                monkeypatch.setattr(sys, "stderr", stream)
                assert (await service.ask(GENERATE, {"max_tokens": 1})).status == 200
            monkeypatch.undo()

    asyncio.run(main())
