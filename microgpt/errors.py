"""The exceptions that microgpt raises.

    MicrogptError
    +-- CheckpointError     a model directory that cannot be loaded or written: every problem, file by file
    +-- DataError           training data or training settings that cannot be used
    +-- InvalidRequest      a request that can never succeed: a bad value, a prompt that does not fit
    +-- Overloaded          the queue is full: the same request may succeed later
    +-- EngineFault         the engine stopped; nothing more will be answered
    +-- NumericalError      one sequence met logits that are not numbers; its neighbours are untouched
    +-- ConstraintError     one sequence can no longer follow its constraint; its neighbours are untouched

Messages are sentences for the person who sent the request or started the program, of the form
`<field> must be <range>, got <value>` wherever a value is at fault.
"""

from collections.abc import Sequence


class MicrogptError(Exception):
    """Root of every error that microgpt raises on purpose."""


class CheckpointError(MicrogptError):
    """A model directory that cannot be used, with all its problems at once.

    problems: one line each, beginning with the file's name.
    """

    def __init__(self, path: object, problems: Sequence[str]):
        self.path = str(path)
        self.problems = tuple(problems)
        noun = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(f"cannot use the checkpoint in {self.path}: {noun}:{lines}")


class DataError(MicrogptError):
    """Training data or settings that cannot be used; the message names the file, line or setting."""


class InvalidRequest(MicrogptError, ValueError):
    """A request that can never succeed as it stands."""


class Overloaded(MicrogptError):
    """No room for the request now. `retry_after_s` is a guess in whole seconds, at least 1."""

    def __init__(self, message: str, retry_after_s: int = 1):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EngineFault(MicrogptError):
    """The engine met an unexpected exception, or was stopped; no request can be answered any more."""


class NumericalError(MicrogptError):
    """The model produced logits that are not finite for one sequence."""


class ConstraintError(MicrogptError):
    """No token can continue a sequence under its constraint, or the constraint became too complex to follow."""
