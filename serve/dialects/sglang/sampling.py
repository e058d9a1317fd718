"""SGLang's sampling_params -> SamplingParams. Messages are SGLang's."""

import os
import re
from typing import Any, NamedTuple

from microgpt import SamplingParams
from microgpt.constraints.constraint import Constraint, ConstraintKind
from microgpt.params import BOUNDS, MAX_SEED
from serve.dialects.sglang.errors import native_error
from serve.dialects.sglang.schema import SamplingFields

DEFAULT_NEW_TOKENS = 128
GREEDY_BELOW = 1e-6
MAX_PATTERN_BYTES = 256
_BOUNDED = ("top_p", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty")
_GRAMMARS = ("json_schema", "regex", "ebnf", "structural_tag")
_TOKEN_ID = re.compile(r"[0-9]{1,10}", re.ASCII)


class Sampling(NamedTuple):
    """One sampling_params, read. What is about the model's distribution and the stops is in `knobs`, ready for
    SamplingParams.

    max_new_tokens: None: all that the context has room for. is_default_max: nothing was said about it; then less is
    fine, too. seed: None: any. trims_stop_ids: whether the text of a token that ends the answer is cut off.
    """

    knobs: dict[str, Any]
    max_new_tokens: int | None
    is_default_max: bool
    seed: int | None
    n: int
    constraint: Constraint | None
    skip_special_tokens: bool
    trims_stop_ids: bool
    stream_interval: int

    def limit(self, num_prompt: int, context: int) -> int:
        """The most tokens to sample after a prompt. Raises Refusal for more than there is room for."""
        wanted = self.max_new_tokens
        if wanted is None:
            return context - num_prompt - 1
        if self.is_default_max:
            return min(wanted, context - num_prompt)
        if num_prompt + wanted > context:
            raise native_error(
                f"Requested token count exceeds the model's maximum context length of {context} tokens. "
                f"You requested a total of {_shown(num_prompt + wanted)} tokens: {num_prompt} tokens from the input "
                f"messages and {_shown(wanted)} tokens for the completion. Please reduce the number of tokens in the "
                "input messages or the completion to fit within the limit."
            )
        return wanted

    def params(self, max_tokens: int, sample: int, **more: Any) -> SamplingParams:
        """For the sample of this number; `more` knobs are not of sampling. Raises InvalidRequest."""
        seed = int.from_bytes(os.urandom(8), "little") if self.seed is None else (self.seed + sample) & MAX_SEED
        return SamplingParams(max_tokens=max_tokens, seed=seed, **self.knobs, **more)


def read_sampling(given: SamplingFields, vocab_size: int, eos_ids: tuple[int, ...]) -> Sampling:
    """What the fields mean. eos_ids: the tokens that end an answer anyway. Raises Refusal or InvalidRequest."""
    knobs: dict[str, Any] = {"stop_token_ids": eos_ids}
    if (value := given.get("temperature")) is not None:
        knobs["temperature"] = _temperature(value)
    for name in _BOUNDED:
        if (value := given.get(name)) is not None:
            if not BOUNDS[name].admits(value):
                raise native_error(f"{name} must be {BOUNDS[name]}, got {_shown(value)}.")
            knobs[name] = value
    if (value := given.get("top_k")) is not None:
        if value < 1 and value != -1:
            raise native_error(f"top_k must be -1 (disable) or at least 1, got {_shown(value)}.")
        knobs["top_k"] = value if 0 < value < vocab_size else 0
    max_new_tokens = given.get("max_new_tokens", DEFAULT_NEW_TOKENS)
    if max_new_tokens is not None and max_new_tokens < 0:
        raise native_error(f"max_new_tokens must be at least 0, got {_shown(max_new_tokens)}.")
    if (value := given.get("min_new_tokens")) is not None:
        if value < 0 or (max_new_tokens is not None and value > max_new_tokens):
            most = "" if max_new_tokens is None else f"({_shown(max_new_tokens)})"
            raise native_error(f"min_new_tokens must be in [0, max_new_tokens{most}], got {_shown(value)}.")
        knobs["min_tokens"] = value
    if (value := given.get("logit_bias")) is not None:
        knobs["logit_bias"] = _logit_bias(value, vocab_size)
    _read_stops(given, knobs)
    skip_special_tokens = given.get("skip_special_tokens") is not False
    stops_are_visible = not skip_special_tokens or len(knobs["stop_token_ids"]) > len(eos_ids)
    return Sampling(
        knobs,
        max_new_tokens,
        "max_new_tokens" not in given,
        _seed(given),
        _at_least_one(given, "n"),
        _constraint(given),
        skip_special_tokens,
        stops_are_visible and "no_stop_trim" not in knobs and "ignore_eos" not in knobs,
        _at_least_one(given, "stream_interval"),
    )


def _read_stops(given: SamplingFields, knobs: dict[str, Any]) -> None:
    """Empty strings and patterns, which would stop everything, are left out."""
    for name in ("stop", "stop_regex"):
        if stops := given.get(name):
            knobs[name] = [stop for stop in ([stops] if isinstance(stops, str) else stops) if stop]
    for pattern in knobs.get("stop_regex", ()):
        if (size := len(pattern.encode())) > MAX_PATTERN_BYTES:
            raise native_error(f"stop_regex must have patterns of at most {MAX_PATTERN_BYTES} bytes, got {size}.")
    if ids := given.get("stop_token_ids"):
        knobs["stop_token_ids"] = (*knobs["stop_token_ids"], *ids)
    for name in ("ignore_eos", "no_stop_trim"):
        if given.get(name):
            knobs[name] = True


def _temperature(value: int | float) -> float:
    if value < 0:
        raise native_error(f"temperature must be non-negative, got {_shown(value)}.")
    try:
        return 0.0 if value < GREEDY_BELOW else float(value)
    except OverflowError:
        raise native_error(f"temperature must be finite, got {_shown(value)}.") from None


def _logit_bias(given: dict[str, Any], vocab_size: int) -> dict[int, float]:
    biases = {}
    for key, bias in given.items():
        if not _TOKEN_ID.fullmatch(key) or int(key) >= vocab_size:
            raise native_error(f"logit_bias must has keys in [0, {vocab_size - 1}], got {_shown(key)}.")
        biases[int(key)] = bias
    return biases


def _seed(given: SamplingFields) -> int | None:
    name = "seed" if given.get("sampling_seed") is None else "sampling_seed"
    seed = given.get(name)
    if seed is not None and not -(2**63) <= seed < 2**63:
        raise native_error(f"{name} must be a signed 64-bit integer, got {_shown(seed)}.")
    return seed


def _at_least_one(given: SamplingFields, name: str) -> int:
    value = given.get(name)
    if value is None:
        return 1
    if value < 1:
        raise native_error(f"{name} must be at least 1, got {_shown(value)}.")
    return value


def _constraint(given: SamplingFields) -> Constraint | None:
    """The grammar that the answer must follow, if any. An empty one is none."""
    found = [name for name in _GRAMMARS if given.get(name)]
    if not found:
        return None
    if len(found) > 1:
        raise native_error("Only one of json_schema, regex, ebnf, or structural_tag can be set.")
    if found[0] == "structural_tag":
        raise native_error("structural_tag is not supported by this server.")
    return Constraint(ConstraintKind(found[0]), given[found[0]])


def _shown(value: Any) -> str:
    """The value as it was given, cut where it is long."""
    return f"{value!s:.60}"
