"""EngineThread: everything accepted ends once, whatever stops, breaks or floods it."""

import sys
import threading
import time
from collections.abc import Callable

import pytest

from microgpt import (
    Checkpoint,
    Engine,
    EngineFault,
    EngineThread,
    Event,
    Failed,
    Finished,
    FinishReason,
    GenerationRequest,
    InvalidRequest,
    Overloaded,
    SamplingParams,
    build_engine,
)


class Recorder:
    """Collects what the thread reports."""

    def __init__(self, build: Callable[[], Engine], max_queue: int = 1000):
        self.ready = threading.Event()
        self.events: list[Event] = []
        self.faults: list[BaseException] = []
        self.changed = threading.Condition()
        self.thread = EngineThread(
            build, max_queue=max_queue, on_ready=self.ready.set, on_events=self._take, on_fault=self.faults.append
        )

    def _take(self, events: list[Event]) -> None:
        with self.changed:
            self.events += events
            self.changed.notify_all()

    def ends(self) -> dict[str, Finished | Failed]:
        ends = [event for event in self.events if isinstance(event, Finished | Failed)]
        by_id = {event.request_id: event for event in ends}
        assert len(by_id) == len(ends), "more than one terminal event"
        return by_id

    def wait_for_ends(self, count: int) -> dict[str, Finished | Failed]:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.ends()) >= count, timeout=30)
        return self.ends()


@pytest.fixture
def recorder(tiny_checkpoint: Checkpoint):
    recorder = Recorder(lambda: build_engine(tiny_checkpoint, device="cpu", max_slots=4))
    recorder.thread.start()
    assert recorder.ready.wait(30)
    yield recorder
    recorder.thread.stop()


def requests(count: int, first: int = 0, **knobs: int) -> list[GenerationRequest]:
    return [
        GenerationRequest(f"r{i}", (1, 2), SamplingParams(seed=i, **knobs))  # pyright: ignore
        for i in range(first, first + count)
    ]


@pytest.mark.parametrize("wake", [True, False])
def test_submitted_from_many_threads_all_end_once(recorder: Recorder, wake: bool) -> None:
    def client(first: int) -> None:
        for i in range(20):
            recorder.thread.submit(requests(1, first + i, max_tokens=5), wake=wake)
            if i % 5 == 4 and not wake:  # for the four before it, too
                recorder.thread.wake()
            if i % 7 == 0:
                time.sleep(0.001)  # the engine finds nothing to do, now and then

    clients = [threading.Thread(target=client, args=(k * 100,)) for k in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    ends = recorder.wait_for_ends(160)
    assert all(isinstance(event, Finished) and event.reason is FinishReason.LENGTH for event in ends.values())
    assert recorder.thread.in_flight == 0


def test_no_command_is_slept_through(recorder: Recorder) -> None:
    """Each comes while the engine thread is about to wait for it."""
    for i in range(300):
        recorder.thread.submit(requests(1, i, max_tokens=1))
        recorder.wait_for_ends(i + 1)
        assert recorder.thread.call(lambda engine: engine.has_work).result(10) is False


def test_cancelled_requests_end_as_cancelled(recorder: Recorder) -> None:
    recorder.thread.submit(requests(30))
    recorder.thread.cancel([f"r{i}" for i in range(30)] + ["unknown"])
    ends = recorder.wait_for_ends(30)
    reasons = {event.reason for event in ends.values() if isinstance(event, Finished)}
    assert FinishReason.CANCELLED in reasons


def test_a_group_is_accepted_whole_or_not_at_all(tiny_checkpoint: Checkpoint) -> None:
    recorder = Recorder(lambda: build_engine(tiny_checkpoint, device="cpu"), max_queue=10)
    recorder.thread.start()
    assert recorder.ready.wait(30)
    with pytest.raises(Overloaded, match="queue is full"):
        recorder.thread.submit(requests(11))
    with pytest.raises(InvalidRequest):
        recorder.thread.submit([*requests(3), GenerationRequest("bad", (999,), SamplingParams())])
    with pytest.raises(InvalidRequest, match="unique"):
        recorder.thread.submit([*requests(1), *requests(1)])
    assert recorder.thread.in_flight == 0
    recorder.thread.submit(requests(10))
    assert set(recorder.wait_for_ends(10)) == {f"r{i}" for i in range(10)}
    recorder.thread.submit(requests(10, max_tokens=1))
    recorder.thread.stop()


def test_many_samples_leave_an_eighth_of_the_queue_to_single_ones(tiny_checkpoint: Checkpoint) -> None:
    gate = threading.Event()

    def build() -> Engine:
        engine = build_engine(tiny_checkpoint, device="cpu")
        step = engine.step
        engine.step = lambda: step() if gate.wait() else []
        return engine

    recorder = Recorder(build, max_queue=16)
    recorder.thread.start()
    assert recorder.ready.wait(30)

    def submit(name: str, num_samples: int) -> None:
        recorder.thread.submit([GenerationRequest(name, (1,), SamplingParams(), num_samples=num_samples)])

    submit("half", 8)
    with pytest.raises(Overloaded, match="queue is full: 8 of 16 sequences are in work, 2 places are for single ones"):
        submit("other half", 8)
    submit("nearly", 6)
    with pytest.raises(Overloaded, match="queue is full: 14 of 16"):
        submit("two", 2)
    submit("one", 1)
    submit("another", 1)
    with pytest.raises(Overloaded, match=r"queue is full: 16 of 16 sequences are in work$"):
        submit("one too many", 1)
    gate.set()
    deadline = time.monotonic() + 30
    while recorder.thread.in_flight:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    submit("all", 16)  # as nothing else is in work
    recorder.thread.stop()


def test_stop_fails_what_is_left_and_refuses_the_rest(tiny_checkpoint: Checkpoint) -> None:
    recorder = Recorder(lambda: build_engine(tiny_checkpoint, device="cpu", max_slots=1))
    recorder.thread.start()
    assert recorder.ready.wait(30)
    recorder.thread.submit(requests(200))
    recorder.thread.stop()
    ends = recorder.ends()
    assert len(ends) == 200
    assert any(isinstance(event, Failed) and isinstance(event.error, EngineFault) for event in ends.values())
    with pytest.raises(EngineFault, match="shutting down"):
        recorder.thread.submit(requests(1))
    assert recorder.faults == []


def test_a_fault_in_a_step_fails_every_request_once(tiny_checkpoint: Checkpoint) -> None:
    def build() -> Engine:
        engine = build_engine(tiny_checkpoint, device="cpu", max_slots=2)
        steps = iter(range(3))
        step = engine.step

        def breaking_step() -> list[Event]:
            if next(steps, None) is None:
                raise RuntimeError("planted")
            return step()

        engine.step = breaking_step
        return engine

    recorder = Recorder(build)
    recorder.thread.start()
    assert recorder.ready.wait(30)
    recorder.thread.submit(requests(50))
    ends = recorder.wait_for_ends(50)
    failed = [event for event in ends.values() if isinstance(event, Failed)]
    assert failed
    assert all(str(event.error) == "the engine failed" for event in failed)
    deadline = time.monotonic() + 10
    while not recorder.faults and time.monotonic() < deadline:
        time.sleep(0.01)
    assert str(recorder.faults[0]) == "planted"
    with pytest.raises(EngineFault, match="the engine failed"):
        recorder.thread.submit(requests(1))
    recorder.thread.stop()


def test_an_engine_that_cannot_be_built_is_a_fault() -> None:
    def build() -> Engine:
        raise InvalidRequest("device must be available, got cuda")

    recorder = Recorder(build)
    with pytest.raises(EngineFault, match="still loading"):
        recorder.thread.submit(requests(1))
    recorder.thread.start()
    recorder.thread.stop()
    assert str(recorder.faults[0]) == "device must be available, got cuda"


def test_calls_are_made_between_steps_in_order_with_requests(recorder: Recorder) -> None:
    names: set[str] = set()
    waiting: list[int] = []

    def look(engine: Engine) -> int:
        names.add(threading.current_thread().name)
        waiting.append(engine.stats.running + engine.stats.waiting)
        return len(waiting)

    assert recorder.thread.call(look).result(30) == 1
    recorder.thread.call(Engine.pause).result(30)
    recorder.thread.submit(requests(3))
    assert recorder.thread.call(look).result(30) == 2
    recorder.thread.cancel(["r0"])
    assert recorder.thread.call(look).result(30) == 3
    assert waiting == [0, 3, 2]
    assert names == {"engine"}
    recorder.wait_for_ends(1)
    recorder.thread.call(Engine.resume).result(30)
    recorder.wait_for_ends(3)


def test_what_microgpt_raises_in_a_call_is_for_its_caller_alone(recorder: Recorder) -> None:
    def refuse(engine: Engine) -> None:
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest, match="no"):
        recorder.thread.call(refuse).result(30)
    recorder.thread.submit(requests(5, max_tokens=2))
    recorder.wait_for_ends(5)
    assert recorder.faults == []


def test_anything_else_is_a_fault_and_ends_other_calls_too(recorder: Recorder) -> None:
    def break_down(engine: Engine) -> None:
        raise RuntimeError("planted")

    recorder.thread.submit(requests(20))
    broken = recorder.thread.call(break_down)
    later = [recorder.thread.call(Engine.pause, when_settled=when) for when in (True, False)]
    for future in (broken, *later):
        with pytest.raises(EngineFault, match="the engine failed"):
            future.result(30)
    recorder.wait_for_ends(20)
    assert str(recorder.faults[0]) == "planted"
    with pytest.raises(EngineFault):
        recorder.thread.call(Engine.pause)


def test_a_call_when_settled_comes_after_earlier_requests_and_before_later_ones(recorder: Recorder) -> None:
    ended: list[set[str]] = []
    recorder.thread.submit(requests(10))
    swap = recorder.thread.call(lambda engine: ended.append(set(recorder.ends())), when_settled=True)
    recorder.thread.submit(requests(10, first=10))
    swap.result(30)
    recorder.wait_for_ends(20)
    assert ended == [{f"r{i}" for i in range(10)}]


def test_a_call_when_settled_does_not_wait_for_a_paused_engine(recorder: Recorder) -> None:
    recorder.thread.call(Engine.pause).result(30)
    recorder.thread.submit(requests(10))
    settled = recorder.thread.call(lambda engine: engine.stats.waiting, when_settled=True)
    assert settled.result(30) == 10
    assert recorder.ends() == {}
    recorder.thread.call(Engine.resume).result(30)
    recorder.wait_for_ends(10)


def test_stop_fails_calls_that_wait_and_cancelled_ones_are_not_made(recorder: Recorder) -> None:
    made: list[str] = []
    recorder.thread.call(Engine.pause).result(30)
    recorder.thread.submit(requests(1))
    reached, going_on = threading.Event(), threading.Event()

    def block(engine: Engine) -> None:
        engine.resume()
        reached.set()
        going_on.wait(30)
        engine.pause()
        engine.step = lambda: time.sleep(0.001) or []  # it has work for good
        engine.resume()

    recorder.thread.call(block)
    assert reached.wait(30)
    cancelled = recorder.thread.call(lambda engine: made.append("cancelled"))
    assert cancelled.cancel()
    waiting = recorder.thread.call(lambda engine: made.append("waiting"), when_settled=True)
    going_on.set()
    recorder.thread.stop()
    with pytest.raises(EngineFault, match="shutting down"):
        waiting.result(30)
    assert made == []


def test_stats_can_be_read_from_another_thread_at_any_time(tiny_checkpoint: Checkpoint) -> None:
    engine = build_engine(tiny_checkpoint, device="cpu", max_slots=1)
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            for i in range(200):
                engine.add(GenerationRequest(str(i), (1,), SamplingParams()))
            for i in range(200):
                engine.cancel(str(i))
            engine.step()

    thread = threading.Thread(target=come_and_go)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        thread.start()
        seen = {engine.stats.waiting for _ in range(5000)}
    finally:
        done.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert max(seen) > 1
