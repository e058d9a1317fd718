"""One engine in one process: the line protocol between a benchmark script and its workers, and both ends of it.

A worker gets its task as JSON in its last argument, says {"ready": ...} on a line of its own, then answers each
line of input, a command, by one line: {"tokens": n, "elapsed_s": t} or {"error": "..."}. Processes of their own keep
the engines' thread pools, environments and memory apart; an engine that waits for a command is idle.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench.shapes import SHAPES, Shape

SCRIPTS = Path(__file__).resolve().parent.parent
# OpenMP's threads spin for up to 0.2 s after their last work; nobody else is measured meanwhile.
_SETTLE_S = 0.3
# Its first start may convert a model or compile kernels.
_START_LIMIT_S = 900.0


class Measurable(Protocol):
    """An engine as a worker drives it; `about` is what the report says of it."""

    @property
    def about(self) -> Mapping[str, Any]: ...

    def start(self, batch: int) -> None:
        """Make ready to run `batch` sequences at a time."""
        ...

    def decode(self, batch: int, seconds: float) -> tuple[int, float]:
        """(tokens sampled, seconds taken) for whole waves of sequences, at least one and at least `seconds` long."""
        ...

    def prefill(self, seconds: float) -> tuple[int, float]:
        """(prompt tokens, seconds taken) for prompts of PREFILL_TOKENS, one after another, one token sampled each."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement."""

    tokens: int
    elapsed_s: float

    @property
    def rate(self) -> float:
        return self.tokens / self.elapsed_s


class WorkerError(Exception):
    """A worker failed, or took longer than it may; it has ended."""


def serve(make: Callable[[Shape, dict[str, Any]], Measurable]) -> None:
    """Be a worker: make the engine from the task in the last argument, then answer commands until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer

    def answer(message: dict[str, Any]) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    task = json.loads(sys.argv[-1])
    try:
        engine = make(SHAPES[task["shape"]], task)
        answer({"ready": dict(engine.about)})
        for line in sys.stdin:
            command = json.loads(line)
            if command["do"] == "start":
                engine.start(command["batch"])
                tokens, elapsed_s = 0, 1.0
            elif command["do"] == "decode":
                tokens, elapsed_s = engine.decode(command["batch"], command["seconds"])
            else:
                tokens, elapsed_s = engine.prefill(command["seconds"])
            answer({"tokens": tokens, "elapsed_s": elapsed_s})
    except Exception as error:  # the report has a place for it, whatever it is
        answer({"error": f"{type(error).__name__}: {error}"})


def repeat_for(seconds: float, call: Callable[[], int]) -> tuple[int, float]:
    """(sum of what `call` returned, seconds taken), calling it at least once and until `seconds` have passed."""
    total, start = 0, time.perf_counter()
    while True:
        total += call()
        elapsed_s = time.perf_counter() - start
        if elapsed_s >= seconds:
            return total, elapsed_s


class Worker:
    """The other end: a worker process with its engine loaded. Raises WorkerError from everything it does."""

    def __init__(
        self,
        python: str | Path,
        module: str,
        task: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
        time_limit_s: float = 300,
    ):
        self._time_limit_s = time_limit_s
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - see close
        self._process = subprocess.Popen(
            [str(python), "-m", module, json.dumps(dict(task))],
            cwd=SCRIPTS,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self.about: dict[str, Any] = self._receive(_START_LIMIT_S)["ready"]

    def start(self, batch: int) -> None:
        """Make ready for a batch size; nothing is measured."""
        self._ask({"do": "start", "batch": batch})

    def decode(self, batch: int, seconds: float) -> Sample:
        return self._measure({"do": "decode", "batch": batch, "seconds": seconds})

    def prefill(self, seconds: float) -> Sample:
        return self._measure({"do": "prefill", "seconds": seconds})

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None and not stream.closed:
                stream.close()

    def _measure(self, command: dict[str, Any]) -> Sample:
        time.sleep(_SETTLE_S)
        answer = self._ask(command)
        return Sample(answer["tokens"], answer["elapsed_s"])

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError):
            raise self._failure("the process is gone") from None
        return self._receive(self._time_limit_s)

    def _receive(self, time_limit_s: float) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=time_limit_s)
        except queue.Empty:
            raise self._failure(f"no answer within {time_limit_s:g} s") from None
        if not line:
            raise self._failure("the process ended")
        answer = json.loads(line)
        if "error" in answer:
            raise self._failure(answer["error"])
        return answer

    def _failure(self, reason: str) -> WorkerError:
        """The error to raise, with the last line that the process printed; the process is ended."""
        self._process.kill()
        code = self._process.wait()
        self._errors.seek(0)
        printed = [line for line in self._errors.read().splitlines() if line.strip()]
        self.close()
        if reason == "the process ended":
            reason += f" with code {code}: {printed[-1][:200] if printed else 'it said nothing'}"
        return WorkerError(" ".join(reason.split())[:400])

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                self._lines.put(line)
        except ValueError:  # closed
            pass
        self._lines.put("")
