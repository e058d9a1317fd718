"""Bodies of the routes that demand JSON: whatever is wrong with one is a 400 with an error object, never a 422."""

from collections.abc import Sequence
from typing import Any, NoReturn, TypeGuard, TypeVar

from pydantic import BaseModel

from serve.body import Headers, check_media_type, parse_json, validate
from serve.dialects.sglang.errors import object_error
from serve.errors import HttpError, shown
from serve.messages import check_number

M = TypeVar("M", bound=BaseModel)
IDS_OR_LISTS = "an array of integers, or an array of such arrays"
_IDS = "an array of integers"
NO_JSON = "Unsupported Media Type: Only 'application/json' is allowed"


def check_json(headers: Headers) -> None:
    """Raise 400 unless content-type is that of JSON."""
    try:
        check_media_type(headers)
    except HttpError:
        raise object_error(NO_JSON) from None


def parse_body(model: type[M], body: bytes) -> M:
    """The body as a `model`; null stands for a field that is left out. Raises 400."""
    try:
        value = parse_json(body)
        if isinstance(value, dict):
            value = {name: item for name, item in value.items() if item is not None}
            check_number(value.get("messages"))
        return validate(model, value)
    except HttpError as error:
        raise object_error(error.message) from None


def bad_value(message: str) -> HttpError:
    """The refusal of a body of the right shape whose values cannot be served."""
    return object_error(message, "BadRequestError")


def is_ids(value: object) -> TypeGuard[list[int]]:
    """Whether a JSON value is an array of integers."""
    return isinstance(value, list) and all(type(item) is int for item in value)


def refuse_ids(name: str, value: Any, expected: str = _IDS, *, nested: bool = False) -> NoReturn:
    """Raise 400 for a value that should have been ids (nested: or lists of ids), naming the first that is none."""
    if not isinstance(value, list) or not value:
        raise bad_value(f"{name} must be {expected}, got {shown(value)}")
    if nested and isinstance(value[0], list):
        i = next(i for i, item in enumerate(value) if not is_ids(item))
        refuse_ids(f"{name}[{i}]", value[i])
    i = next(i for i, item in enumerate(value) if type(item) is not int)
    raise bad_value(f"{name}[{i}] must be an integer, got {shown(value[i])}")


def check_ids(ids: Sequence[int], vocab_size: int) -> None:
    """Raise 400 unless all ids are of the vocabulary."""
    wrong = next((token for token in ids if not 0 <= token < vocab_size), None)
    if wrong is not None:
        raise bad_value(f"Token ID {shown(wrong)} is out of vocabulary, which has the ids [0, {vocab_size})")
