"""SamplingParams: every sampling knob, declared once with its name, default, bounds and meaning.

Validation, messages, dialects' schemas and the documentation's tables all read PARAMS.
"""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from microgpt.errors import InvalidRequest

MAX_SEED = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which numbers a knob takes: low <= value <= high, or low < value where `low_open`; None is unbounded."""

    low: float | None = None
    high: float | None = None
    low_open: bool = False

    def admits(self, value: float) -> bool:
        if isinstance(value, float) and not math.isfinite(value):
            return False
        if self.low is not None and (value <= self.low if self.low_open else value < self.low):
            return False
        return self.high is None or value <= self.high

    def __str__(self) -> str:
        if self.high is None:
            return f"{'>' if self.low_open else '>='} {self.low}"
        return f"in {'(' if self.low_open else '['}{self.low}, {self.high}]"


def _knob(default: Any, bounds: Bounds | None, meaning: str) -> Any:
    return field(default=default, metadata={"bounds": bounds, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one sequence is continued. Raises InvalidRequest naming field, range and value."""

    max_tokens: int | None = _knob(None, Bounds(1), "most tokens to sample; None: until the context is full")
    min_tokens: int = _knob(0, Bounds(0), "stop tokens are not sampled before this many tokens are out")
    temperature: float = _knob(1.0, Bounds(0), "divides the logits; 0 is greedy")
    top_k: int = _knob(0, Bounds(0), "keep only the k likeliest tokens; 0: all")
    top_p: float = _knob(1.0, Bounds(0, 1, low_open=True), "keep the likeliest tokens that reach this probability")
    seed: int = _knob(0, Bounds(0, MAX_SEED), "start of the random generator")
    stop_token_ids: tuple[int, ...] = _knob((), None, "sampling one of these ends the sequence")
    suppress_token_ids: tuple[int, ...] = _knob((), None, "never sampled")

    def __post_init__(self) -> None:
        for knob in fields(self):
            bounds, value = knob.metadata["bounds"], getattr(self, knob.name)
            if bounds is not None and value is not None and not bounds.admits(value):
                raise InvalidRequest(f"{knob.name} must be {bounds}, got {value}")


BOUNDS: dict[str, Bounds] = {
    knob.name: knob.metadata["bounds"] for knob in fields(SamplingParams) if knob.metadata["bounds"] is not None
}
