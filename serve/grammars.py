"""Grammars: constraints compiled for requests, off the event loop, one at a time, and so many waiting."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from microgpt import Overloaded
from microgpt.constraints.constraint import Constraint
from microgpt.constraints.matcher import CompiledConstraint
from microgpt.tokenizers import Tokenizer

if TYPE_CHECKING:
    from microgpt.constraints.compiler import ConstraintCompiler

MAX_COMPILING = 32  # different constraints that wait for the thread or are on it


class _Job:
    """A constraint that is being compiled, and how many requests wait for it."""

    def __init__(self, outcome: asyncio.Future[CompiledConstraint]):
        self.outcome = outcome
        self.num_waiting = 0


class Grammars:
    """Compiles constraints for one model. Used from one event loop.

    The compiler, its thread and its process begin with the first constraint: a server that gets none pays for none.
    """

    def __init__(self, tokenizer: Tokenizer, vocab_size: int):
        self._tokenizer = tokenizer
        self._vocab_size = vocab_size
        self._compiler: ConstraintCompiler | None = None
        self._thread = ThreadPoolExecutor(1, "compile")
        self._is_compiling = False
        self._jobs: dict[Constraint, _Job] = {}

    async def compiled(self, constraint: Constraint) -> CompiledConstraint:
        """The grammar of a constraint, at once if it is known, else when the thread has come to it.

        Requests that ask for the same one share the work; when the last of them gives up, it is dropped unless it has
        begun. Raises InvalidRequest for what cannot be compiled, Overloaded when too many wait.
        """
        if self._compiler is not None and (known := self._compiler.cached(constraint)) is not None:
            return known
        job = self._jobs.get(constraint)
        if job is None:
            if len(self._jobs) >= MAX_COMPILING:
                raise Overloaded("too many constraints are waiting to be compiled")
            job = _Job(asyncio.wrap_future(self._thread.submit(self._compile, constraint)))
            self._jobs[constraint] = job
        job.num_waiting += 1
        try:
            return await asyncio.shield(job.outcome)
        finally:
            job.num_waiting -= 1
            if not job.num_waiting:
                job.outcome.cancel()
                del self._jobs[constraint]

    def close(self) -> bool:
        """Drop what waits and end the compiler's process; False if something is being compiled at this moment."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._is_compiling:
            return False
        if self._compiler is not None:
            self._compiler.close()
        return True

    def _compile(self, constraint: Constraint) -> CompiledConstraint:
        """On the thread."""
        self._is_compiling = True
        try:
            if self._compiler is None:
                # Not above: it needs limits on processes, which not every system has.
                from microgpt.constraints.compiler import ConstraintCompiler

                self._compiler = ConstraintCompiler(self._tokenizer, self._vocab_size)
            return self._compiler.compile(constraint)
        finally:
            self._is_compiling = False
