"""SamplingParams: every sampling knob, declared once with its name, default, bounds and meaning.

Validation, messages, dialects' schemas and the documentation's table all read these declarations.
`microgpt.sampling.reference` says in NumPy what they do, and in which order.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from microgpt.errors import InvalidRequest

MAX_SEED = 2**64 - 1
MAX_TOP_LOGPROBS = 128
MAX_GIVEN_LOGPROBS = 128


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which numbers a knob takes: low <= value <= high, or low < value where `low_open`; high None is unbounded."""

    low: float
    high: float | None = None
    low_open: bool = False

    def admits(self, value: float) -> bool:
        """NaN and infinities are never admitted."""
        if not (self.low < value if self.low_open else self.low <= value):
            return False
        return value < math.inf if self.high is None else value <= self.high

    def __str__(self) -> str:
        if self.high is None:
            return f"{'>' if self.low_open else '>='} {self.low}"
        return f"in {'(' if self.low_open else '['}{self.low}, {self.high}]"

    def checked(self, name: str, value: Any) -> Any:
        """`value` as it is stored. Raises InvalidRequest unless admitted, or None."""
        if value is not None and not self.admits(value):
            raise InvalidRequest(f"{name} must be {self}, got {value}")
        return value


@dataclass(frozen=True, slots=True)
class Ids:
    """At most `most` token ids; None: any number. Whether the vocabulary has them is for the engine to check."""

    most: int | None = None

    def __str__(self) -> str:
        return "ids of the vocabulary" if self.most is None else f"at most {self.most} ids of the vocabulary"

    def checked(self, name: str, value: Iterable[int]) -> tuple[int, ...]:
        """The ids as a tuple. Raises InvalidRequest if they are too many."""
        ids = tuple(value)
        if self.most is not None and len(ids) > self.most:
            raise InvalidRequest(f"{name} must have at most {self.most} ids, got {len(ids)}")
        return ids


@dataclass(frozen=True, slots=True)
class Biases:
    """A number within `bounds` for each of at most `most` token ids."""

    most: int
    bounds: Bounds

    def __str__(self) -> str:
        return f"at most {self.most} ids of the vocabulary; each bias {self.bounds}"

    def checked(
        self, name: str, value: Mapping[int, float] | Iterable[tuple[int, float]]
    ) -> tuple[tuple[int, float], ...]:
        """The pairs (id, bias), by id. Raises InvalidRequest if they are too many or a bias is out of bounds."""
        pairs = tuple(sorted(dict(value).items()))
        if len(pairs) > self.most:
            raise InvalidRequest(f"{name} must have at most {self.most} ids, got {len(pairs)}")
        for token, bias in pairs:
            self.bounds.checked(f"{name}[{token}]", bias)
        return pairs


@dataclass(frozen=True, slots=True)
class Texts:
    """At most `most` strings of 1 to `longest` characters."""

    most: int
    longest: int

    def __str__(self) -> str:
        return f"at most {self.most} strings of 1 to {self.longest} characters"

    def checked(self, name: str, value: Iterable[str]) -> tuple[str, ...]:
        """The strings as a tuple. Raises InvalidRequest for one string alone, too many, or one of a wrong length."""
        texts = () if isinstance(value, str) else tuple(value)
        if isinstance(value, str) or not all(isinstance(text, str) for text in texts):
            raise InvalidRequest(f"{name} must be several strings, got {value!r:.80}")
        if len(texts) > self.most:
            raise InvalidRequest(f"{name} must have at most {self.most} strings, got {len(texts)}")
        for i, text in enumerate(texts):
            if not 1 <= len(text) <= self.longest:
                raise InvalidRequest(f"{name}[{i}] must have 1 to {self.longest} characters, got {len(text)}")
        return texts


@dataclass(frozen=True, slots=True)
class Flag:
    """True or False."""

    def __str__(self) -> str:
        return "true or false"

    def checked(self, name: str, value: Any) -> bool:
        """`value`. Raises InvalidRequest unless it is a bool."""
        if not isinstance(value, bool):
            raise InvalidRequest(f"{name} must be {self}, got {value!r:.80}")
        return value


Range = Bounds | Ids | Biases | Texts | Flag


def _knob(default: Any, range_: Range, meaning: str) -> Any:
    return field(default=default, metadata={"range": range_, "meaning": meaning})


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How one sequence is continued. Raises InvalidRequest naming field, range and value.

    Knobs of several values take any iterable (logit_bias a mapping, too) and are stored as tuples.
    """

    max_tokens: int | None = _knob(
        None, Bounds(0), "most tokens to sample; 0: the prompt is computed alone; None: until the context is full"
    )
    min_tokens: int = _knob(0, Bounds(0), "stop tokens are not sampled before this many tokens are out")
    temperature: float = _knob(1.0, Bounds(0), "divides the logits; 0 is greedy")
    top_k: int = _knob(0, Bounds(0), "keep only the k likeliest tokens; 0: all")
    top_p: float = _knob(1.0, Bounds(0, 1, low_open=True), "keep the likeliest tokens that reach this probability")
    min_p: float = _knob(0.0, Bounds(0, 1), "keep tokens with at least this share of the likeliest one's probability")
    repetition_penalty: float = _knob(
        1.0,
        Bounds(0, 2, low_open=True),
        "divides positive logits and multiplies negative ones of tokens in the prompt or the output",
    )
    frequency_penalty: float = _knob(
        0.0, Bounds(-2, 2), "subtracted from a token's logit for each time that it is in the output"
    )
    presence_penalty: float = _knob(0.0, Bounds(-2, 2), "subtracted from the logit of each token that is in the output")
    logit_bias: tuple[tuple[int, float], ...] = _knob((), Biases(1024, Bounds(-100, 100)), "added to tokens' logits")
    seed: int = _knob(0, Bounds(0, MAX_SEED), "start of the random generator")
    stop: tuple[str, ...] = _knob((), Texts(32, 256), "text that ends the sequence and is cut off")
    stop_regex: tuple[str, ...] = _knob((), Texts(32, 256), "patterns (RE2) of text that does so")
    no_stop_trim: bool = _knob(False, Flag(), "keep the text of the stop that ended the sequence")
    stop_token_ids: tuple[int, ...] = _knob((), Ids(1024), "sampling one of these ends the sequence")
    ignore_eos: bool = _knob(False, Flag(), "stop_token_ids are tokens like any other")
    suppress_token_ids: tuple[int, ...] = _knob((), Ids(), "never sampled")
    logprobs: bool = _knob(False, Flag(), "report the log probability of each sampled token")
    prompt_logprobs_start: int | None = _knob(
        None, Bounds(0), "report those of the prompt's tokens from this position on, logprobs or not; None: of none"
    )
    top_logprobs: int = _knob(0, Bounds(0, MAX_TOP_LOGPROBS), "so many of the likeliest tokens beside each of these")
    logprob_token_ids: tuple[int, ...] = _knob(
        (), Ids(MAX_GIVEN_LOGPROBS), "tokens whose log probability comes beside each of these"
    )

    if not TYPE_CHECKING:  # type checkers see the dataclass's own, which costs 2 us before anything is checked

        def __init__(self, **knobs: Any) -> None:
            for name, value in knobs.items():
                if name not in RANGES:
                    raise TypeError(f"SamplingParams has no knob {name!r}")
                knobs[name] = RANGES[name].checked(name, value)
            self.__dict__.update(knobs)  # what was not given stays the class's attribute: the default

    @classmethod
    def of_checked(cls, knobs: dict[str, Any]) -> "SamplingParams":
        """The same from knobs that are known to be within their ranges and in the form in which they are stored."""
        params = object.__new__(cls)
        params.__dict__.update(knobs)
        return params

    @property
    def end_token_ids(self) -> tuple[int, ...]:
        """The ids that end the sequence: stop_token_ids, unless ignore_eos."""
        return () if self.ignore_eos else self.stop_token_ids

    @property
    def has_penalties(self) -> bool:
        """Whether the tokens so far change the logits."""
        return self.repetition_penalty != 1 or self.frequency_penalty != 0 or self.presence_penalty != 0


RANGES: dict[str, Range] = {knob.name: knob.metadata["range"] for knob in fields(SamplingParams)}
BOUNDS: dict[str, Bounds] = {name: range_ for name, range_ in RANGES.items() if isinstance(range_, Bounds)}
