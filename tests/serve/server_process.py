"""A real `python -m serve` on a free port of the loopback interface."""

import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class ServerProcess:
    """A started server: its address, its output so far, and its end.

    program: what `python -m` runs, with its own arguments first.
    """

    def __init__(self, model_dir: Path, *flags: str, program: Sequence[str] = ("serve",), **environ: str):
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV") if name in os.environ}
        command = [sys.executable, "-m", *program, f"--model-dir={model_dir}", "--port=0", "--device=cpu", *flags]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**inherited, "OMP_NUM_THREADS": "1", "RATE_LIMIT": "off", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._out: queue.Queue[str] = queue.Queue()
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            threading.Thread(target=self._read, args=(stream, lines), daemon=True).start()
        self.url = ""

    def _read(self, stream, lines: list[str]) -> None:
        for line in stream:
            lines.append(line)
            if lines is self.out:
                self._out.put(line)

    def wait_for(self, pattern: str, timeout_s: float = 180) -> re.Match[str]:
        """The first line of standard output, from where the last call stopped, that matches."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                line = self._out.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"no {pattern!r} in {self.out}, stderr {self.err}") from None
            if match := re.search(pattern, line):
                return match

    def wait_until_listening(self) -> None:
        self.url = self.wait_for(r"listening on (http://\S+)")[1]

    def wait_until_ready(self) -> None:
        self.wait_until_listening()
        self.wait_for(r"^  try ")

    def stop(self, timeout_s: float = 20) -> int:
        """Send SIGTERM; the exit code."""
        self.process.terminate()
        return self.process.wait(timeout_s)


@contextmanager
def server_process(
    model_dir: Path, *flags: str, ready: bool = True, program: Sequence[str] = ("serve",), **environ: str
) -> Iterator[ServerProcess]:
    server = ServerProcess(model_dir, *flags, program=program, **environ)
    try:
        if ready:
            server.wait_until_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait(10)
