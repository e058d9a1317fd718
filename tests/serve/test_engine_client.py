"""EngineClient: merged progress, one wake-up a step, prompt cancellation, and an end for everybody."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from microgpt import (
    Checkpoint,
    CheckpointError,
    EngineFault,
    FinishReason,
    GenerationRequest,
    InvalidRequest,
    NumericalError,
    Overloaded,
    SamplingParams,
)
from serve.engine_client import EngineClient, EngineState, Generation, Progress
from tests.serve.asgi_driver import eventually
from tests.serve.scripted_engine import ScriptedEngine, as_engine


def request(request_id: str, max_tokens: int = 5) -> GenerationRequest:
    return GenerationRequest(request_id, (0,), SamplingParams(max_tokens=max_tokens))


async def read_on(generation: Generation, whole: bool) -> None:
    while True:
        await generation.news(whole=whole)


def run(scenario: Callable[[EngineClient, ScriptedEngine], Coroutine[Any, Any, None]], checkpoint: Checkpoint,
        max_queue: int = 8, **script: Any) -> None:  # fmt: skip
    async def main() -> None:
        engine = ScriptedEngine(checkpoint, **script)
        client = EngineClient(lambda: as_engine(engine), max_queue=max_queue)
        client.start()
        await client.built()
        try:
            await scenario(client, engine)
        finally:
            engine.hold.set()
            await client.stop()

    asyncio.run(main())


def test_texts_arrive_in_order_and_complete(tiny_checkpoint: Checkpoint):
    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        with client.submit([request("a", 7), request("b", 3)]) as generation:
            texts = {0: "", 1: ""}
            ends = {}
            while not generation.done:
                for progress in await generation.news():
                    texts[progress.index] += progress.text
                    if progress.end:
                        ends[progress.index] = progress.end
        assert texts == {0: "1231231", 1: "123"}
        assert {index: end.usage.completion_tokens for index, end in ends.items()} == {0: 7, 1: 3}
        assert generation.num_tokens == 10
        assert not client._generations

    run(scenario, tiny_checkpoint, pieces=("1", "2", "3"))


def test_whole_wakes_once_with_everything(tiny_checkpoint: Checkpoint):
    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        with client.submit([request("a", 20), request("b", 3)]) as generation:
            first, second = sorted(await generation.news(whole=True), key=lambda progress: progress.index)
            assert generation.done
        assert (first.text, second.text) == ("x" * 20, "x" * 3)
        assert first.end is not None
        assert first.end.reason == FinishReason.LENGTH

    run(scenario, tiny_checkpoint, pieces=("x",))


def test_reader_that_comes_late_gets_one_merged_piece(tiny_checkpoint: Checkpoint):
    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        with client.submit([request("a", 30)]) as generation:
            await eventually(lambda: client.in_flight == 0)
            await asyncio.sleep(0.01)
            [progress] = await generation.news()
            assert progress.text == "x" * 30
            assert progress.end is not None
            assert generation.done

    run(scenario, tiny_checkpoint, pieces=("x",))


def test_tokens_come_merged_to_those_who_want_them(tiny_checkpoint: Checkpoint):
    params = SamplingParams(max_tokens=30, logprobs=True, prompt_logprobs_start=1)

    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        asked = [GenerationRequest("a", (0, 1, 2), params, num_samples=2)]
        with client.submit(asked, wants_tokens=True) as generation:
            seen = [Progress(0), Progress(1)]
            await eventually(lambda: generation.num_tokens > 9)
            while not generation.done:
                for progress in await generation.news():
                    so_far = seen[progress.index]
                    so_far.token_ids += progress.token_ids
                    so_far.logprobs += progress.logprobs
                    assert progress.num_cached == 2
                    if progress.prompt_logprobs is not None:
                        assert so_far.prompt_logprobs is None
                        so_far.prompt_logprobs = progress.prompt_logprobs
        for progress in seen:
            assert progress.token_ids == list(range(30))
            assert [report.chosen for report in progress.logprobs] == [-float(i) for i in range(30)]
            assert progress.prompt_logprobs is not None
            assert [report and report.chosen for report in progress.prompt_logprobs] == [-1.0, -2.0]

    run(scenario, tiny_checkpoint)


def test_tokens_are_not_kept_for_those_who_want_text(tiny_checkpoint: Checkpoint):
    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        asked = GenerationRequest("a", (0,), SamplingParams(max_tokens=5, logprobs=True, prompt_logprobs_start=0))
        with client.submit([asked]) as generation:
            [progress] = await generation.news(whole=True)
        assert progress.text == "xxxxx"
        assert (progress.token_ids, progress.logprobs, progress.prompt_logprobs) == ([], [], None)

    run(scenario, tiny_checkpoint, pieces=("x",))


def test_a_prompt_alone_can_be_scored(tiny_checkpoint: Checkpoint):
    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        params = SamplingParams(max_tokens=0, prompt_logprobs_start=0)
        with client.submit([GenerationRequest("a", (0, 1, 2), params)], wants_tokens=True) as generation:
            [progress] = await generation.news(whole=True)
            assert generation.done
        assert progress.prompt_logprobs is not None
        assert len(progress.prompt_logprobs) == 3
        assert progress.token_ids == []
        assert progress.end is not None
        assert progress.end.usage.completion_tokens == progress.num_cached - 2 == 0
        await eventually(lambda: client.in_flight == 0)

    run(scenario, tiny_checkpoint)


def test_leaving_cancels_in_the_engine(tiny_checkpoint: Checkpoint):
    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        with client.submit([request("a", 10**6), request("b", 2)]) as generation:
            await generation.news()
            await eventually(lambda: client.in_flight == 1)
        await eventually(lambda: client.in_flight == 0)
        assert engine.cancelled == ["a"]
        await eventually(lambda: not client._generations)

    run(scenario, tiny_checkpoint)


def test_an_id_is_free_again_only_when_its_last_event_is_here(tiny_checkpoint: Checkpoint):
    """For the engine it is free before: then the end of the first request would be taken for the second one's."""

    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        with client.submit([request("a", 1)]) as generation:
            await asyncio.sleep(0)  # it wakes the engine
            while client.in_flight:  # the loop does nothing meanwhile
                time.sleep(0.001)
            with pytest.raises(InvalidRequest, match="id must be unique among live requests, got 'a' again"):
                client.submit([request("b"), request("a")])
            assert (await generation.news())[0].text == "x"
            with client.submit([request("a", 3)]) as second:
                assert (await second.news(whole=True))[0].text == "xxx"
        with client.submit([request("b", 10**6)]) as left:
            await left.news()
        with pytest.raises(InvalidRequest):
            client.submit([request("b")])
        await eventually(lambda: not client._generations)
        with client.submit([request("b", 2)]) as third:
            assert (await third.news(whole=True))[0].text == "xx"

    run(scenario, tiny_checkpoint, pieces=("x",))


def test_a_sample_may_fail_alone(tiny_checkpoint: Checkpoint):
    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        engine.failing = NumericalError("not finite")
        with client.submit([request("a", 2), request("b", 5)], survives_failures=True) as generation:
            first, second = sorted(await generation.news(whole=True), key=lambda progress: progress.index)
        assert first.end is not None
        assert second.end is None
        assert isinstance(second.failure, NumericalError)
        assert second.text == "xx"

    run(scenario, tiny_checkpoint, pieces=("x",))


def test_one_wake_up_of_the_loop_per_step(tiny_checkpoint: Checkpoint):
    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        wakes = []
        loop = asyncio.get_running_loop()
        original = loop.call_soon_threadsafe

        def counting(callback: Any, *args: Any, **kwargs: Any) -> Any:
            wakes.append(callback)
            return original(callback, *args, **kwargs)

        loop.call_soon_threadsafe = counting  # pyright: ignore[reportAttributeAccessIssue]
        with client.submit([request(str(i), 10) for i in range(8)]) as generation:
            await generation.news(whole=True)
        assert len(wakes) == 10  # not 80

    run(scenario, tiny_checkpoint)


def test_full_queue_refuses_all_of_a_request(tiny_checkpoint: Checkpoint):
    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        engine.hold.clear()
        with client.submit([request(f"a{i}") for i in range(6)]):
            with pytest.raises(Overloaded):
                client.submit([request("b"), request("c")])
            assert client.in_flight == 6
            client.submit([request("d")]).close()

    run(scenario, tiny_checkpoint, max_queue=7)


def test_failure_of_one_sequence_is_raised_and_cancels_the_others(tiny_checkpoint: Checkpoint):
    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        engine.failing = NumericalError("not a number")
        for whole in (False, True):
            with client.submit([request("a", 50), request("b", 2)]) as generation, pytest.raises(NumericalError):
                await read_on(generation, whole)
            await eventually(lambda: client.in_flight == 0)
        assert client.state is EngineState.READY

    run(scenario, tiny_checkpoint)


def test_engine_that_breaks_fails_everyone_and_refuses_from_then_on(
    tiny_checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture
):
    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        generations = [client.submit([request(str(i), 10**6)]) for i in range(5)]
        readers = [asyncio.create_task(generation.news(whole=True)) for generation in generations]
        await asyncio.sleep(0.01)
        engine.broken = ZeroDivisionError("deep inside")
        outcomes = await asyncio.gather(*readers, return_exceptions=True)
        assert all(isinstance(outcome, EngineFault) for outcome in outcomes)
        await eventually(lambda: client.state is EngineState.FAILED)
        with pytest.raises(EngineFault):
            client.submit([request("late")])

    run(scenario, tiny_checkpoint)
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_stop_fails_what_is_left(tiny_checkpoint: Checkpoint):
    async def scenario(client: EngineClient, engine: ScriptedEngine) -> None:
        engine.hold.clear()
        reader = asyncio.create_task(client.submit([request("a")]).news())
        await asyncio.sleep(0.01)
        await client.stop()
        with pytest.raises(EngineFault, match="shutting down"):
            await reader

    run(scenario, tiny_checkpoint)


def test_build_that_fails_is_raised_by_built():
    async def main() -> None:
        def build() -> Any:
            raise CheckpointError("somewhere", ["meta.json: gone"])

        client = EngineClient(build, max_queue=1)
        client.start()
        with pytest.raises(CheckpointError):
            await client.built()
        assert client.state is EngineState.FAILED
        with pytest.raises(EngineFault):
            client.submit([request("a")])
        await client.stop()

    asyncio.run(main())


def test_stop_while_loading_does_not_wait_for_the_build(tiny_checkpoint: Checkpoint):
    release = threading.Event()

    def build() -> Any:
        release.wait(10)
        return as_engine(ScriptedEngine(tiny_checkpoint))

    async def main() -> None:
        client = EngineClient(build, max_queue=1)
        client.start()
        async with asyncio.timeout(1):
            await client.stop()
        assert client.state is EngineState.LOADING

    try:
        asyncio.run(main())
    finally:
        release.set()
