"""Constraints from a dialect to the engine: compiled off the event loop, bounded, and gone with who asked for them."""

import asyncio
import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import to_json

import serve.app
from microgpt import Checkpoint, ConstraintError, GenerationRequest, SamplingParams, build_engine
from microgpt.constraints.compiler import ConstraintCompiler
from microgpt.constraints.constraint import Constraint, ConstraintKind
from serve import sse
from serve.dialects import Dialect, Route, Work
from serve.errors import error_body
from serve.grammars import MAX_COMPILING
from serve.service import MAX_CONSTRAINTS, Progress, Service
from tests.serve import scripted_engine
from tests.serve.asgi_driver import GENERATE, Exchange, Served, eventually, served
from tests.serve.scripted_engine import ScriptedEngine

PATH = "/test/constrained"


class _Renderer:
    """All texts, or events of pieces."""

    def __init__(self, num_samples: int, stream: bool):
        self._texts, self._stream = [""] * num_samples, stream

    def push(self, progress: Progress) -> bytes:
        self._texts[progress.index] += progress.text
        return sse.event(to_json([progress.index, progress.text])) if self._stream and progress.text else b""

    def end_stream(self) -> bytes:
        return sse.DONE

    def body(self) -> bytes:
        return to_json(self._texts)


def _prepare(service: Service, body: bytes) -> Work:
    """{"regexes": a constraint or null for each request, "n", "stream", "params"}."""
    asked = json.loads(body)
    n, params = (
        asked.get("n", 1),
        SamplingParams(**{"stop_token_ids": (service.tokenizer.bos,)} | asked.get("params", {})),
    )
    bos, regexes = service.tokenizer.bos, asked["regexes"]
    requests = [GenerationRequest(service.new_id(), (bos,), params, num_samples=n) for _ in regexes]
    constraints = [None if each is None else Constraint(ConstraintKind.REGEX, each) for each in regexes]
    stream = asked.get("stream", False)
    return Work(requests, _Renderer(n * len(requests), stream), stream, constraints=constraints)


class _Body(BaseModel):
    pass


DIALECT = Dialect(
    name="test",
    routes=(Route(PATH, "Test", _prepare, _Body, _Body, "pieces"),),
    error_body=lambda error: error_body(error.message),
    end_stream=lambda error: sse.event(error_body(error.message)) + sse.DONE,
)


@pytest.fixture(autouse=True)
def _with_test_dialect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve.app, "DIALECTS", (*serve.app.DIALECTS, DIALECT))


class Gate:
    """Keeps the compiler waiting while it is closed, and counts what it compiles."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered: list[str] = []


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate, compile_ = Gate(), ConstraintCompiler.compile

    def compile_at_gate(self: ConstraintCompiler, constraint: Constraint) -> Any:
        gate.entered.append(constraint.source)
        assert gate.open.wait(20)
        return compile_(self, constraint)

    monkeypatch.setattr(ConstraintCompiler, "compile", compile_at_gate)
    yield gate
    gate.open.set()


def run(checkpoint: Checkpoint, scenario: Any, **environ: str) -> None:
    """`scenario(served)` on an application with a real engine."""

    async def main() -> None:
        async with served(checkpoint, lambda: build_engine(checkpoint, max_slots=4), environ=environ) as service:
            try:
                await scenario(service)
            finally:
                service.service.close()

    asyncio.run(main())


def run_scripted(checkpoint: Checkpoint, scenario: Any, **how: Any) -> None:
    """`scenario(served, engine)` with an engine that knows no constraints, and a compiler that does."""

    async def main(service: Served, engine: ScriptedEngine) -> None:
        try:
            await scenario(service, engine)
        finally:
            service.service.close()

    scripted_engine.run(checkpoint, main, **how)


def ask(service: Served, *regexes: str | None, **fields: Any) -> Exchange:
    return service.send(PATH, {"regexes": regexes, **fields})


def test_answers_obey_the_constraint_of_their_request(tiny_checkpoint: Checkpoint) -> None:
    regexes = ("[ab]{3,5}", None, "(cd)*e", "[ab]{3,5}")

    async def scenario(service: Served) -> None:
        for stream in (False, True):
            done = await ask(service, *regexes, n=3, stream=stream, params={"seed": 7}).done()
            assert done.status == 200
            texts = [""] * 12 if stream else done.json
            for index, piece in done.events if stream else []:
                texts[index] += piece
            for i, regex in enumerate(regexes):
                for text in texts[3 * i : 3 * i + 3]:
                    assert regex is None or re.fullmatch(regex, text)
            assert any(re.search("[^a-e]", text) for text in texts[3:6]), "the one without a constraint is free"

    run(tiny_checkpoint, scenario)


@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_compiled_is_a_400_that_names_the_field(tiny_checkpoint: Checkpoint, stream: bool) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        for _ in range(2):  # compiled, and remembered
            done = await ask(service, "a", "(?=a)b", stream=stream).done()
            assert done.status == 400
            assert done.error.startswith("regex: look-around")
        assert not engine.seen
        done = await ask(service, *(f"a{i}" for i in range(MAX_CONSTRAINTS + 1))).done()
        assert (done.status, done.error) == (400, "constraints must be at most 64 different ones, got 65")

    run_scripted(tiny_checkpoint, scenario)


def test_a_dead_end_met_while_generating_is_a_400_and_the_server_goes_on(tiny_checkpoint: Checkpoint) -> None:
    async def scenario(service: Served) -> None:
        done = await ask(service, "ab€").done()  # the table has no €
        assert done.status == 400
        assert "no token of this model's vocabulary can continue the text" in done.error
        assert (await ask(service, "ab").done()).json == ["ab"]

    run(tiny_checkpoint, scenario)


def test_a_dead_end_after_the_first_piece_is_the_streams_last_event(tiny_checkpoint: Checkpoint) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.failing = ConstraintError("the constraint cannot be followed: dead end")
        done = await ask(service, "[ab ]+", stream=True).done()
        assert done.status == 200
        assert done.events[-1] == {"error": "the constraint cannot be followed: dead end"}
        assert len(done.events) > 1

    run_scripted(tiny_checkpoint, scenario, step_s=0.05)


def test_others_are_answered_while_a_constraint_is_compiled(tiny_checkpoint: Checkpoint, gate: Gate) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        waiting = ask(service, "a+", params={"max_tokens": 3})
        await eventually(lambda: gate.entered == ["a+"])
        assert (await service.ask(GENERATE, {"max_tokens": 2})).status == 200
        assert (await ask(service, None, params={"max_tokens": 2}).done()).status == 200
        assert not waiting.messages
        gate.open.set()
        assert (await waiting.done()).status == 200
        assert engine.seen[-1].constraint is not None
        assert engine.seen[-2].constraint is None

    run_scripted(tiny_checkpoint, scenario)


def test_known_constraints_wait_for_no_other(tiny_checkpoint: Checkpoint, gate: Gate) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        gate.open.set()
        await ask(service, "bad", params={"max_tokens": 1}).done()
        gate.open.clear()
        waiting = ask(service, "cafe", params={"max_tokens": 1})
        await eventually(lambda: gate.entered == ["bad", "cafe"])
        assert (await ask(service, "bad", params={"max_tokens": 1}).done()).status == 200
        assert not waiting.messages
        gate.open.set()
        assert (await waiting.done()).status == 200

    run_scripted(tiny_checkpoint, scenario)


def test_requests_with_the_same_constraint_share_its_compilation(tiny_checkpoint: Checkpoint, gate: Gate) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        together = [ask(service, "a+", params={"max_tokens": 1}) for _ in range(2 * MAX_COMPILING)]
        await eventually(lambda: gate.entered == ["a+"])
        together[0].disconnect()  # whoever began it may leave
        gate.open.set()
        assert {(await each.done()).status for each in together[1:]} == {200}
        assert gate.entered == ["a+"]
        await together[0].done()
        assert len({id(request.constraint) for request in engine.seen}) == 1

    run_scripted(tiny_checkpoint, scenario, MAX_QUEUE="500")


def test_too_many_constraints_to_compile_are_refused_at_once(tiny_checkpoint: Checkpoint, gate: Gate) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        waiting = [ask(service, "a" * (i + 1), params={"max_tokens": 1}) for i in range(MAX_COMPILING)]
        await eventually(lambda: len(service.service._grammars._jobs) == MAX_COMPILING)
        refused = await ask(service, "b").done()
        assert (refused.status, refused.error) == (503, "too many constraints are waiting to be compiled")
        assert int(refused.headers["retry-after"]) >= 1
        waiting[7].disconnect()
        await waiting[7].done()
        late = ask(service, "b", params={"max_tokens": 1})
        await eventually(lambda: len(service.service._grammars._jobs) == MAX_COMPILING)
        gate.open.set()
        assert {(await each.done()).status for each in [*waiting[:7], *waiting[8:], late]} == {200}
        assert 8 * "a" not in gate.entered
        assert not service.service._grammars._jobs

    run_scripted(tiny_checkpoint, scenario, MAX_QUEUE="500")


def test_a_client_that_leaves_while_its_constraint_is_compiled_frees_everything(
    tiny_checkpoint: Checkpoint, gate: Gate
) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        leaving = ask(service, "a+")
        await eventually(lambda: gate.entered == ["a+"])
        leaving.disconnect()
        await leaving.done()
        assert not service.service._grammars._jobs
        assert not leaving.messages
        assert service.service.accepted.idle.is_set()
        again = ask(service, "a+", params={"max_tokens": 1})  # the same, while the thread is still at it
        gate.open.set()
        assert (await again.done()).status == 200
        assert len(engine.seen) == 1

    run_scripted(tiny_checkpoint, scenario)


def test_a_request_that_times_out_while_its_constraint_is_compiled_is_a_504(
    tiny_checkpoint: Checkpoint, gate: Gate
) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        first, second = ask(service, "a+"), ask(service, "b+")
        assert [(await each.done()).status for each in (first, second)] == [504, 504]
        assert not service.service._grammars._jobs
        assert gate.entered == ["a+"]
        assert not engine.seen

    run_scripted(tiny_checkpoint, scenario, REQUEST_TIMEOUT_S="0.3")


def test_the_compilers_process_begins_with_the_first_constraint_and_ends_with_the_service(
    tiny_checkpoint: Checkpoint,
) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        grammars = service.service._grammars
        await ask(service, None, params={"max_tokens": 1}).done()
        assert grammars._compiler is None
        await ask(service, "a", params={"max_tokens": 1}).done()
        assert grammars._compiler is not None
        child = grammars._compiler._rehearsal._child
        assert child is not None
        assert child.poll() is None
        assert service.service.close()
        assert child.poll() is not None

    run_scripted(tiny_checkpoint, scenario)


def test_closing_waits_for_no_compilation(tiny_checkpoint: Checkpoint, gate: Gate) -> None:
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        waiting = ask(service, "a+")
        await eventually(lambda: gate.entered == ["a+"])
        began = time.monotonic()
        assert not service.service.close()
        assert time.monotonic() - began < 2
        waiting.disconnect()
        await waiting.done()
        gate.open.set()

    run_scripted(tiny_checkpoint, scenario)
