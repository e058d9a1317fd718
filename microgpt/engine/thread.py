"""EngineThread: one thread that owns an Engine, with a command queue into it and callbacks out of it."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, TypeVar

from microgpt.engine.engine import Engine
from microgpt.errors import EngineFault, InvalidRequest, MicrogptError, Overloaded
from microgpt.request import Event, Failed, Finished, GenerationRequest

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """A function to call on the engine thread, at once or when the engine is settled, and where its result goes."""

    function: Callable[[Engine], Any]
    when_settled: bool
    future: Future[Any] = field(default_factory=Future)


KEPT_PART = 8  # one place in so many of the queue is for requests of one sample


class EngineThread:
    """Builds an engine on a thread of its own and keeps it stepping.

    max_queue: most samples accepted and not finished, running or waiting; see `check_room`. on_ready: the engine is
    built; on_events: what happened in a step; on_fault: the engine could not be built, or broke. All three run on the
    engine thread and must neither block nor raise. After a fault or `stop`, every live request has had its Failed
    event, and every call its result or an EngineFault.
    """

    def __init__(
        self,
        build: Callable[[], Engine],
        *,
        max_queue: int,
        on_ready: Callable[[], None],
        on_events: Callable[[list[Event]], None],
        on_fault: Callable[[BaseException], None],
    ):
        self._build = build
        self._max_queue = max_queue
        self._on_ready, self._on_events, self._on_fault = on_ready, on_events, on_fault
        self._engine: Engine | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        # A request to add with the number of samples submitted before it, an id to cancel, a function to call, or None
        # to stop.
        self._commands: deque[tuple[GenerationRequest, int] | str | _Call | None] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()  # waits in C, where a Condition does so in Python
        self._is_waiting = False  # for the bell
        self._unsettled: deque[_Call] = deque()  # calls that wait for the engine to be settled
        self._lock = threading.Lock()  # guards everything below
        self._live: dict[str, range | set[int]] = {}  # samples that have not ended, by request
        self._num_live = 0  # of them all
        self._calls: set[_Call] = set()  # without a result
        self._refusal: str | None = "the engine is still loading"
        self._stopping = False

    @property
    def engine(self) -> Engine | None:
        """The engine once it is built, for what never changes in it: config, tokenizer, backend names, `check`."""
        return self._engine

    @property
    def in_flight(self) -> int:
        """Samples accepted and not finished."""
        return self._num_live

    def start(self) -> None:
        self._thread.start()

    def check_room(self, num_added: int = 1) -> None:
        """Raise Overloaded when `num_added` samples would be refused now. Waits for nothing.

        Many samples leave some places to single ones: few callers could keep the queue full of them.
        """
        num_live, most = self._num_live, self._max_queue
        num_kept = most // KEPT_PART if num_added > 1 and num_live else 0
        if num_live + num_added > most - num_kept:
            message = f"queue is full: {num_live} of {most} sequences are in work"
            raise Overloaded(f"{message}, {num_kept} places are for single ones" if num_kept else message)

    def submit(self, requests: Sequence[GenerationRequest], *, wake: bool = True) -> None:
        """Accept all of `requests` or none. Callable from any thread, and never waits for a step.

        wake: whether to wake the engine if it waits for work; if not, the caller calls `wake` soon, and may submit more
        until then. Raises InvalidRequest, Overloaded when the queue has no room for all of them, EngineFault when there
        is no engine to take them.
        """
        with self._lock:
            engine, live = self._engine, self._live
            if self._refusal is not None or engine is None:
                raise EngineFault(self._refusal or "the engine is still loading")
            ids = {request.id for request in requests}
            if len(ids) < len(requests) or not live.keys().isdisjoint(ids):
                raise InvalidRequest("id must be unique among live requests")
            num_added = 0
            for request in requests:
                engine.check(request)
                num_added += request.num_samples
            self.check_room(num_added)
            for request in requests:
                live[request.id] = range(request.num_samples)
            self._num_live += num_added
        num_before = 0
        for request in requests:
            self._commands.append((request, num_before))
            num_before += request.num_samples
        if wake:
            self.wake()

    def wake(self) -> None:
        """See that the engine takes what it was given. Callable from any thread."""
        if self._is_waiting:
            self._is_waiting = False
            self._bell.put(None)

    def cancel(self, request_ids: Iterable[str]) -> None:
        """End requests within a step; each still gets its terminal event. Unknown or finished ids are ignored."""
        with self._lock:
            live = [request_id for request_id in request_ids if request_id in self._live]
        self._commands.extend(live)
        self.wake()

    def call(self, function: Callable[[Engine], T], *, when_settled: bool = False) -> Future[T]:
        """The result of `function(engine)`, called on the engine thread between two steps, in order with `submit` and
        `cancel`. Callable from any thread. Raises EngineFault when there is no engine.

        when_settled: only once every request that was submitted before has ended, and been reported, or the engine is
        paused; later requests are accepted, and wait for it. What microgpt raises on purpose is for the future alone,
        anything else is a fault of the engine.
        """
        call = _Call(function, when_settled)
        with self._lock:
            if self._refusal is not None:
                raise EngineFault(self._refusal)
            self._calls.add(call)
        self._commands.append(call)
        self.wake()
        return call.future

    def stop(self) -> None:
        """End the thread after the step it is in; requests that still live fail. Returns when it has ended."""
        with self._lock:
            self._stopping = True
            self._refusal = "the server is shutting down"
        self._commands.append(None)
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            engine = self._build()
            with self._lock:
                self._engine = engine
                if not self._stopping:
                    self._refusal = None
            self._on_ready()
            while self._take_commands(engine):
                if events := engine.step():
                    self._publish(events)
            self._fail_all(EngineFault("the server is shutting down"))
        except BaseException as error:  # whatever it is, nobody may wait forever
            self._fail_all(error if isinstance(error, MicrogptError) else EngineFault("the engine failed"))
            self._on_fault(error)

    def _take_commands(self, engine: Engine) -> bool:
        """Wait for work, pass all commands on to the engine; False when it is time to stop."""
        while self._commands or not engine.has_work:
            if self._unsettled and not engine.has_work:
                self._answer(self._unsettled.popleft(), engine)
                if not self._unsettled:
                    engine.release()
                continue
            if not self._commands:
                self._wait()
                continue
            command = self._commands.popleft()
            if command is None:
                return False
            if isinstance(command, str):
                engine.cancel(command)
            elif isinstance(command, _Call):
                if command.when_settled:
                    engine.hold()
                    self._unsettled.append(command)
                else:
                    self._answer(command, engine)
            else:
                request, num_before = command
                engine.add(request, is_checked=True, num_before=num_before)  # checked by submit
        return True

    def _wait(self) -> None:
        """Returns when there may be commands."""
        self._is_waiting = True
        if not self._commands:  # those that came before could not know that they had to ring
            self._bell.get()
        self._is_waiting = False

    def _answer(self, call: _Call, engine: Engine) -> None:
        """Make a call, unless it was cancelled."""
        if call.future.set_running_or_notify_cancel():
            try:
                result = call.function(engine)
            except MicrogptError as error:
                call.future.set_exception(error)
            else:
                call.future.set_result(result)
        with self._lock:
            self._calls.discard(call)

    def _publish(self, events: list[Event]) -> None:
        ended = [event for event in events if isinstance(event, (Finished, Failed))]
        if ended:
            with self._lock:
                self._num_live -= len(ended)
                for event in ended:
                    samples = self._live[event.request_id]
                    if len(samples) == 1:
                        del self._live[event.request_id]
                        continue
                    if isinstance(samples, range):  # a set is made where it is needed
                        samples = self._live[event.request_id] = set(samples)
                    samples.remove(event.index)
        self._on_events(events)

    def _fail_all(self, error: MicrogptError) -> None:
        """Give every live sample its terminal event, and refuse new ones from now on."""
        with self._lock:
            self._refusal = self._refusal or str(error)
            live, self._live, self._num_live = self._live, {}, 0
            calls, self._calls = self._calls, set()
        for call in calls:
            with suppress(InvalidStateError):  # cancelled
                call.future.set_exception(error)
        if live:
            self._on_events([Failed(request_id, error, i) for request_id, samples in live.items() for i in samples])
