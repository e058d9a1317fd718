"""`python -m serve` with a fault planted in it: python -m tests.serve.faulty_server FAULT FLAGS...

FAULT: `nan`: the embedding of BAD_POSITION is NaN, so that a sequence computes NaN logits when it gets there; no
checkpoint with NaN in it would be loaded. `raise`: the first engine step after a SIGUSR1 raises.
"""

import signal
import sys
from dataclasses import replace
from types import FrameType

import numpy as np

from microgpt import Checkpoint, Engine, Event, load_checkpoint
from serve import __main__ as server

BAD_POSITION = 100


def load_poisoned(path: str) -> Checkpoint:
    """The checkpoint at `path`, with NaN planted."""
    checkpoint = load_checkpoint(path)
    wpe = checkpoint.tensors["wpe"].widened().copy()
    wpe[BAD_POSITION] = np.nan
    stored = replace(checkpoint.tensors["wpe"], dtype="F32", bits=wpe)
    return replace(checkpoint, tensors={**checkpoint.tensors, "wpe": stored})


def raise_on_signal() -> None:
    """Let SIGUSR1 break the engine."""
    signals: list[int] = []
    step = Engine.step

    def plant(signal_number: int, frame: FrameType | None) -> None:
        signals.append(signal_number)

    def faulty_step(self: Engine) -> list[Event]:
        if signals:
            raise ZeroDivisionError("a planted fault")
        return step(self)

    signal.signal(signal.SIGUSR1, plant)
    Engine.step = faulty_step


if __name__ == "__main__":
    fault = sys.argv.pop(1)
    if fault == "nan":
        server.load_checkpoint = load_poisoned
    else:
        raise_on_signal()
    sys.exit(server.main())
