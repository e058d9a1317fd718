"""Grammars are compiled once in a process that may die, before they are compiled in this one.

A grammar of 30 characters can keep llguidance busy for minutes, one of 60 KB can overflow its stack; neither can be
stopped from within. So a child process with the vocabulary loaded forks for each grammar, under limits of CPU time,
time, memory and stack; what gets through there takes no more here.
"""

import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from microgpt.constraints.grammar import Vocabulary, build_trie, compile_grammar
from microgpt.errors import InvalidRequest, Overloaded

CPU_TIME_S = 1.0
WALL_TIME_S = 10.0  # only reached on an overloaded machine
MEMORY_BYTES = 256 * 2**20
STACK_BYTES = 2 * 2**20  # a quarter of what threads here have

_START = f"import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); import {__name__}; {__name__}.main()"


class Rehearsal:
    """The child process, started on first use and again after it is gone. Safe to use from several threads: one
    grammar at a time."""

    def __init__(self, vocabulary: Vocabulary):
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, grammar: str) -> int:
        """Bytes of memory that compiling the grammar takes.

        Raises InvalidRequest saying why it cannot be compiled within the limits, Overloaded when the child is too
        busy with other grammars or gets no CPU.
        """
        if not self._lock.acquire(timeout=WALL_TIME_S):
            raise Overloaded("too many constraints are being compiled")
        try:
            verdict = self._ask(grammar)
        except (OSError, EOFError, pickle.UnpicklingError):
            self._stop()
            raise Overloaded("the process that tries constraints is gone; it is started again") from None
        except BaseException:
            self._stop()  # an answer that nobody took would be taken for the next one's
            raise
        finally:
            self._lock.release()
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    def close(self) -> None:
        """Ends the child. A later `run` starts another."""
        with self._lock:
            self._stop()

    def _ask(self, grammar: str) -> int | Exception:
        if self._child is None or self._child.poll() is not None:
            self._stop()
            self._child = self._start()
        assert self._child.stdin
        assert self._child.stdout
        _send(self._child.stdin, grammar)
        return pickle.load(self._child.stdout)

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C is for this process, and the child ends when its input does.
        child = subprocess.Popen(
            [sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert child.stdin
        _send(child.stdin, [str(Path.cwd()) if entry == "" else entry for entry in sys.path])
        _send(child.stdin, (self._vocabulary.tokens, self._vocabulary.eos_ids))
        return child

    def _stop(self) -> None:
        if self._child is None:
            return
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe
            try:
                pipe.close()
            except OSError:
                continue  # what it still held cannot be sent any more
        self._child.kill()
        self._child.wait()
        self._child = None


def main() -> None:
    """The child: reads a vocabulary, then grammars; answers each with bytes taken or the exception to raise."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    trie = build_trie(Vocabulary(*pickle.load(requests)))
    while True:
        try:
            grammar = pickle.load(requests)
        except EOFError:
            return
        read_end, write_end = os.pipe()
        if (pid := os.fork()) == 0:
            _limit()
            before = _peak_bytes()
            outcome = compile_grammar(trie, grammar)
            verdict = InvalidRequest(outcome) if isinstance(outcome, str) else _peak_bytes() - before
            os.write(write_end, pickle.dumps(verdict))
            os._exit(0)
        os.close(write_end)
        with open(read_end, "rb") as pipe:
            answer = pipe.read()
        _, status = os.waitpid(pid, 0)
        answers.write(answer or pickle.dumps(_death(status)))
        answers.flush()


def _limit() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what a dying runtime has to say is not for the log
    for deadly in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(deadly, signal.SIG_DFL)  # whatever this process inherited
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF, signal.SIGALRM})
    signal.setitimer(signal.ITIMER_PROF, CPU_TIME_S)
    signal.setitimer(signal.ITIMER_REAL, WALL_TIME_S)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, resource.getrlimit(resource.RLIMIT_STACK)[1]))
    statm = Path("/proc/self/statm")
    if statm.exists():  # elsewhere address space is not limited
        size = int(statm.read_text().split()[0]) * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _death(status: int) -> Exception:
    reason = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if reason == signal.SIGALRM:
        return Overloaded("the machine is too busy to compile the constraint")
    if reason == signal.SIGPROF:
        return InvalidRequest(f"takes more than {CPU_TIME_S:g} s to compile")
    return InvalidRequest("too large or too deeply nested to compile")


def _send(pipe: IO[bytes], value: object) -> None:
    pickle.dump(value, pipe)
    pipe.flush()
