"""Request bodies: media type, size, strict JSON, and validation whose messages name the field.

Nothing here trusts the client: a body is refused by its size before it is parsed, and every way in which JSON can
be odd (duplicate keys, NaN, 1e999, lone surrogates, bottomless nesting) has its 4xx.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from serve.errors import HttpError, rust_debug, shown

# In the scope, where our HTTP protocol made it.
LATE_KEY = "microgpt.late"  # the seconds within which the server wanted the body, which have passed
WATCH_KEY = "microgpt.watch"  # takes a function to call when the client leaves, at once if it has, or None for none

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Headers = Iterable[tuple[bytes, bytes]]
M = TypeVar("M", bound=BaseModel)

_MAX_SHORT = 1000  # too short for an integer that Python does not take


class ClientDisconnected(Exception):
    """The client has gone; there is nobody to answer."""


def check_media_type(headers: Headers) -> None:
    """Raise 415 unless content-type is application/json or application/*+json."""
    declared = _header(headers, b"content-type")
    if declared == b"application/json":
        return
    value = declared.decode("latin-1")
    media_type = value.partition(";")[0].strip().lower()
    if media_type == "application/json" or re.fullmatch(r"application/[\w.-]+\+json", media_type):
        return
    got = rust_debug(value) if value else "none"
    raise HttpError(415, f"content-type must be application/json, got {got}")


class BodyRoom:
    """Room for the bodies that are held before they are parsed, those of all connections together, in bytes."""

    def __init__(self, max_bytes: int):
        self.max_bytes = max_bytes
        self.held = 0

    def take(self, size: int) -> None:
        """Raises 503, and takes nothing, if there is no room for `size` more."""
        if self.held + size > self.max_bytes:
            raise HttpError(503, "too many large requests are being received", {"Retry-After": "1"})
        self.held += size

    def give_back(self, size: int) -> None:
        self.held -= size


async def read_body(scope: Scope, receive: Receive, max_bytes: int, room: BodyRoom) -> bytes:
    """The whole body; until it returns, what came of a body in pieces takes up room.

    Raises 413 once it is known to exceed max_bytes, 503 if there is no room, 408 if the server has waited long enough,
    ClientDisconnected if the client leaves.
    """
    declared = _header(scope["headers"], b"content-length")
    if declared.isdigit() and (len(declared) > 18 or int(declared) > max_bytes):
        _too_large(max_bytes, declared.decode() if len(declared) <= 18 else "more")
    chunks, size, more = [], 0, True
    try:
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            chunk, more = message.get("body", b""), message.get("more_body", False)
            if size + len(chunk) > max_bytes:
                _too_large(max_bytes, "more")
            if more or chunks:
                if more and LATE_KEY in scope:
                    reason = f"receiving the request took longer than {scope[LATE_KEY]:g} s"
                    raise HttpError(408, reason, {"Connection": "close"})
                room.take(len(chunk))
                size += len(chunk)
            chunks.append(chunk)
    finally:
        room.give_back(size)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def parse_json(body: bytes) -> Any:
    """The value of a JSON text. Raises 400 for what is not JSON or cannot be represented, 422 for duplicate keys."""
    if len(body) <= _MAX_SHORT and (flat := _parse_flat(body)) is not None:
        return flat
    try:
        text = body.decode()
        value = _DECODER.decode(text)
        if _SURROGATE_ESCAPE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # raises on a surrogate without its partner
    except UnicodeEncodeError:
        raise HttpError(400, "body must be JSON: a string has half of a surrogate pair") from None
    except UnicodeDecodeError as error:
        raise HttpError(400, f"body must be JSON in UTF-8: invalid byte at offset {error.start}") from None
    except json.JSONDecodeError as error:
        raise HttpError(400, f"body must be JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise HttpError(400, "body must be JSON: nested too deeply") from None
    except ValueError as error:  # from the hooks below, or int() of thousands of digits
        reason = "number out of range" if "integer string" in str(error) else error
        raise HttpError(400, f"body must be JSON: {reason}") from None
    return value


def _parse_flat(body: bytes) -> dict[str, Any] | None:
    """The value of a JSON text, if that is clearly an object of finite numbers, booleans and nulls.

    As many requests are. pydantic's parser is the faster one, but takes a name twice and infinite numbers.
    """
    try:
        value = from_json(body, allow_inf_nan=False)
    except ValueError:
        return None  # what is wrong with it, is for the other way to say
    # A member has two quotes at least. If there are no more, no name comes twice and no text is among the values.
    if type(value) is not dict or body.count(b'"') != 2 * len(value) or b"[" in body:
        return None
    values = value.values()
    return None if math.inf in values or -math.inf in values else value


def plain_parser(model: type[BaseModel]) -> Callable[[bytes], dict[str, Any] | None]:
    """A parser of short bodies that are clearly a `model`: objects of its fields, with numbers, booleans and nulls for
    values. It gives the fields that are there, and None for what `parse_json` and `validate` have to look at.

    One pass of pydantic over the bytes, and no defaults to fill in: a third of the time that those take.
    """
    fields = {
        name: Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        for name, field in model.model_fields.items()
    }
    given = TypedDict("given", fields, total=False)  # pyright: ignore[reportArgumentType, reportGeneralTypeIssues]
    given.__pydantic_config__ = ConfigDict(strict=True, allow_inf_nan=False)  # pyright: ignore[reportAttributeAccessIssue]
    validate_json = TypeAdapter[Any](given).validator.validate_json

    def parse(body: bytes) -> dict[str, Any] | None:
        if len(body) > _MAX_SHORT or b"[" in body:
            return None
        try:
            found = validate_json(body)
        except ValidationError:
            return None
        # As in _parse_flat. A field that the model does not have leaves quotes over, too.
        return found if body.count(b'"') == 2 * len(found) else None

    return parse


def validate(model: type[M], value: Any) -> M:
    """`value` as a `model`. Raises 422 that names the first offending field."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise HttpError(422, _describe(error)) from None


def _describe(error: ValidationError) -> str:
    """`messages[0].content must be a string, got null` for the first of the errors."""
    first = error.errors(include_url=False)[0]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).removeprefix(".")
    if first["type"] == "missing":
        return f"{field} is required"
    rule = _RULES.get(first["type"]) or first["msg"].lower().removeprefix("input should be ")
    if first["type"] in ("greater_than_equal", "less_than_equal"):  # the unsigned 64-bit fields
        rule = "an integer in [0, 18446744073709551615]"
    elif first["type"] == "string_too_long":
        rule = f"a string of at most {first.get('ctx', {})['max_length']} characters"
    value = first["input"]
    # 1.0 is refused for being written as a float, so it must not be shown as 1.
    got = repr(value) if isinstance(value, float) and first["type"].startswith("int") else shown(value)
    return f"{field or 'body'} must be {rule}, got {got}"


_RULES = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "list_type": "an array",
    "model_type": "an object",
    "dict_type": "an object",
}


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)  # linear: a body may hold a million keys
        twice = next(key for key, count in counts.items() if count > 1)
        raise HttpError(422, f"duplicate field {rust_debug(twice)}")
    return found


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("number out of range")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


def _too_large(max_bytes: int, got: str) -> NoReturn:
    raise HttpError(413, f"body must be at most {max_bytes} bytes (this server's MAX_BODY_BYTES), got {got}")


def _header(headers: Headers, name: bytes) -> bytes:
    for key, value in headers:
        if key == name:
            return value
    return b""
