"""The body of /generate: names and types of its fields, checked in two passes as SGLang does.

First the body as a whole, taken as its web framework would (`"5"` is an integer there): what fails is a "Bad Request"
object. Then strictly, `sampling_params` too, where unknown names are refused: what fails is a bare string. Here one
strict pass over the bytes settles it, and only a body that fails is looked at again.

Null stands for a field that is left out.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails, from_json
from typing_extensions import TypedDict  # pydantic does not take typing's before Python 3.12

from serve.dialects.sglang.errors import Refusal, object_error, string_error
from serve.errors import shown

FIRST = Field(fail_fast=True)  # of a million wrong items the first is enough
Number = int | float  # messages show what was sent
Strings = Annotated[list[str], FIRST]
Ints = Annotated[list[int], FIRST]
Bools = Annotated[list[bool], FIRST]
IntLists = Annotated[list[Ints], FIRST]
MaybeStrings = Annotated[list[str | None], FIRST]

IGNORED = Field(description="taken and ignored")
REFUSED = Field(description="refused unless null")


@with_config(ConfigDict(strict=True, extra="allow", allow_inf_nan=False))  # unknown names are looked for afterwards
class SamplingFields(TypedDict, total=False):
    """How a prompt is continued. Unknown fields are refused."""

    max_new_tokens: Annotated[
        int | None,
        Field(description="most tokens; 0 scores the prompt; left out: 128, or what fits; null: what fits"),
    ]
    min_new_tokens: int | None
    temperature: Annotated[Number | None, Field(description="divides the logits; below 1e-6 is greedy")]
    top_p: Number | None
    top_k: Annotated[int | None, Field(description="-1: all")]
    min_p: Number | None
    frequency_penalty: Number | None
    presence_penalty: Number | None
    repetition_penalty: Number | None
    stop: str | Strings | None
    stop_token_ids: Ints | None
    stop_regex: str | Strings | None
    ignore_eos: bool | None
    skip_special_tokens: bool | None
    spaces_between_special_tokens: Annotated[bool | None, IGNORED]
    no_stop_trim: bool | None
    n: int | None
    json_schema: Annotated[str | None, Field(description="JSON text")]
    regex: str | None
    ebnf: str | None
    structural_tag: Annotated[str | None, REFUSED]
    logit_bias: Annotated[dict[str, Any] | None, Field(description="a number for each id")]
    sampling_seed: int | None
    seed: Annotated[int | None, Field(description="another name of sampling_seed")]
    stream_interval: Annotated[int | None, Field(description="tokens per event of a stream, at least")]
    custom_params: Annotated[dict[str, Any] | None, IGNORED]
    beam_width: Annotated[int | None, IGNORED]
    watermark: Annotated[dict[str, Any] | None, IGNORED]


@with_config(ConfigDict(strict=True, extra="ignore"))
class GenerateFields(TypedDict, total=False):
    """Prompts to continue: `text` or `input_ids`, one or several. Unknown fields are ignored."""

    text: str | Strings | None
    input_ids: Ints | IntLists | None
    input_tokens: Annotated[Ints | IntLists | None, Field(description="another name of input_ids")]
    add_special_tokens: Annotated[bool | None, Field(description="whether text begins with BOS if it does not yet")]
    sampling_params: SamplingFields | Annotated[list[SamplingFields], FIRST] | None
    rid: str | Strings | None
    return_logprob: bool | Bools | None
    logprob_start_len: int | Ints | None
    top_logprobs_num: int | Ints | None
    token_ids_logprob: int | Annotated[list[int | Ints | None], FIRST] | None
    return_text_in_logprobs: bool | None
    stream: bool | None
    return_prompt_token_ids: bool | None
    cache_salt: str | Strings | None
    extra_key: str | Strings | None
    session_id: Annotated[str | None, IGNORED]
    session_params: Annotated[dict[str, Any] | None, REFUSED]
    input_embeds: Annotated[list[Any] | None, REFUSED]
    lora_path: Annotated[str | MaybeStrings | None, REFUSED]
    lora_id: Annotated[str | MaybeStrings | None, REFUSED]
    custom_logit_processor: Annotated[str | MaybeStrings | None, REFUSED]
    return_hidden_states: Annotated[bool | str | list[Any] | None, Field(description="refused unless false or null")]
    image_data: Annotated[Any, REFUSED]
    video_data: Annotated[Any, REFUSED]
    audio_data: Annotated[Any, REFUSED]
    modalities: Annotated[Any, IGNORED]
    model: Annotated[str | None, IGNORED]
    priority: Annotated[int | None, IGNORED]
    routing_key: Annotated[str | None, IGNORED]
    conversation_id: Annotated[str | None, IGNORED]
    custom_labels: Annotated[Any, IGNORED]
    no_logs: Annotated[bool | None, IGNORED]
    log_metrics: Annotated[bool | None, IGNORED]
    background: Annotated[bool | None, IGNORED]
    require_reasoning: Annotated[bool | None, IGNORED]
    return_bytes: Annotated[bool | None, IGNORED]
    return_entropy: Annotated[bool | None, IGNORED]
    return_routed_experts: Annotated[bool | None, IGNORED]
    data_parallel_rank: Annotated[int | None, IGNORED]
    routed_dp_rank: Annotated[int | None, IGNORED]


_BODY = TypeAdapter(GenerateFields)
_KNOWN = SamplingFields.__annotations__.keys()
_FIELDS = frozenset((*GenerateFields.__annotations__, *_KNOWN))
# By what the validator's names of problems begin with: there is int_type, int_parsing, int_parsing_size, ...
_EXPECTED = {
    "bool": "a boolean",
    "int": "an integer",
    "float": "a number",
    "finite": "a number",
    "string": "a string",
    "list": "an array",
    "dict": "an object",
}


def parse_generate(body: bytes) -> GenerateFields:
    """The fields that a body has. Raises Refusal, status 400, for what is not JSON or has a wrong type."""
    try:
        fields = _BODY.validate_json(body)
    except ValidationError as error:
        raise _refusal(body, error) from None
    if b"NaN" in body or b"Infinity" in body:  # pydantic's parser takes them in fields that are ignored
        _parse(body)
    if sampling := fields.get("sampling_params"):
        for params in sampling if isinstance(sampling, list) else (sampling,):
            if not params.keys() <= _KNOWN:
                raise _unknown(params)
            if biases := params.get("logit_bias"):
                _check_biases(biases)
    return fields


def _parse(body: bytes) -> Any:
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise object_error(f"body must be JSON: {error}") from None


def _refusal(body: bytes, error: ValidationError) -> Refusal:
    """What is answered to a body that does not pass: what the lax pass says, else what the strict one does."""
    value = _parse(body)
    if not isinstance(value, dict):
        return object_error(f"body must be an object, got {shown(value)}")
    sampling = value.get("sampling_params")
    each = sampling if isinstance(sampling, list) else [sampling]
    if all(isinstance(params, dict) for params in each):  # what is in them is for the second pass
        value["sampling_params"] = None
    try:
        _BODY.validate_python(value, strict=False)
    except ValidationError as loose:
        path, expected, got = _first_problem(loose.errors(include_url=False), value)
        return object_error(f"{path} must be {expected}, got {shown(got)}")
    value["sampling_params"] = sampling
    return _wrong_type(*_first_problem(error.errors(include_url=False), value))


def _check_biases(biases: dict[str, Any]) -> None:
    """Here and not in the schema, as pydantic would list what is wrong with each of a million."""
    for key, bias in biases.items():
        if type(bias) not in (int, float):
            raise _wrong_type(f"sampling_params.logit_bias[{shown(key)}]", "a number", bias)


def _wrong_type(path: str, expected: str, got: Any) -> Refusal:
    return string_error(f"invalid type: {_kind(got)}, expected {expected} at {path}")


def _unknown(params: SamplingFields) -> Refusal:
    name = next(name for name in params if name not in _KNOWN)
    names = "`, `".join(SamplingFields.__annotations__)
    return string_error(f"unknown field `{shown(name)[1:-1]}`, expected one of `{names}`")


def _first_problem(problems: Sequence[ErrorDetails], body: dict[str, Any]) -> tuple[str, str, Any]:
    """(path, what is expected there, what is there) of the first field with problems.

    A field that may be of several types has a problem for each of them: those of the deepest path count.
    """
    found: dict[str, list[str]] = {}
    values: dict[str, Any] = {}
    for problem in problems:
        if problem["loc"][0] == problems[0]["loc"][0]:
            path, value = _follow(problem["loc"], body)
            found.setdefault(path, []).append(_EXPECTED[problem["type"].partition("_")[0]])
            values[path] = value
    path = max(found, key=lambda path: path.count("[") + path.count("."))
    expected = dict.fromkeys(found[path])
    if "a number" in expected:
        expected.pop("an integer", None)
    return path, " or ".join(expected), values[path]


def _follow(location: Sequence[str | int], body: dict[str, Any]) -> tuple[str, Any]:
    """The path that an error's location means, and the value there. Between names and indices are names of types,
    which a client's object may have as names, too."""
    path, value = "", body
    for part in location:
        if isinstance(part, int) or (part in _FIELDS and isinstance(value, dict) and part in value):
            path += f"[{part}]" if isinstance(part, int) else f".{part}"
            value = value[part]  # pyright: ignore[reportArgumentType]
    return path.removeprefix("."), value


def _kind(value: Any) -> str:
    """A JSON value as SGLang's schema errors show it."""
    match value:
        case None:
            return "null"
        case bool():
            return f"boolean `{shown(value)}`"
        case int():
            return f"integer `{shown(value)}`"
        case float():
            return f"floating point `{value!r}`"
        case str():
            return f"string {shown(value)}"
        case list():
            return "sequence"
    return "map"
