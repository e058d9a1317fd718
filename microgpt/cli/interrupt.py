"""Ctrl-C and SIGTERM as a wish that is noted, and granted at a moment when nothing is half done."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Wish:
    """The signal that asked for an end, or None so far."""

    number: int | None = None

    @property
    def is_made(self) -> bool:
        return self.number is not None


@contextmanager
def noted(*numbers: signal.Signals, then: Callable[[], None] = lambda: None) -> Iterator[Wish]:
    """Within, the first of these signals is noted in the Wish and `then` runs; a second one acts as it usually does.

    To be used in the main thread. The usual handlers are back afterwards.
    """
    wish = Wish()
    usual: dict[int, Any] = {}

    def note(number: int, frame: object) -> None:
        wish.number = number
        signal.signal(number, usual[number])
        then()

    for number in numbers:
        usual[number] = signal.signal(number, note)
    try:
        yield wish
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
