"""Errors as HTTP answers, and how values are shown in their messages.

HttpError carries status, message and headers. `as_http_error` turns the library's errors into one, so that every
refusal takes the same way out: `{"error": "<field> must be <range>, got <value>"}`.
"""

import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic_core import to_json

from microgpt import ConstraintError, EngineFault, InvalidRequest, MicrogptError, NumericalError, Overloaded

MAX_SHOWN_CHARS = 120  # a message stays readable, whatever a client sent


class HttpError(Exception):
    """An answer other than 200: status, one sentence for the client, extra headers.

    in_stream: the answer is a stream with no other event, for a dialect whose clients look for errors there.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        self.in_stream = False


def as_http_error(error: MicrogptError) -> HttpError:
    """What the client is told about an error of the library."""
    message = str(error)
    match error:
        case InvalidRequest() | ConstraintError():  # whether a constraint dead-ends can depend on what is drawn
            return HttpError(400, message)
        case Overloaded():
            return HttpError(503, message, {"Retry-After": str(error.retry_after_s)})
        case NumericalError():
            return HttpError(500, f"numerical_error: {message}")
        case EngineFault():
            return HttpError(503, message)
    return HttpError(500, message)


def error_body(message: str) -> bytes:
    """`{"error": message}` as JSON."""
    return to_json({"error": message})


def shown(value: Any) -> str:
    """A JSON value for the end of a message, at most MAX_SHOWN_CHARS characters; arrays and objects by their kind.

    Floats are written without an exponent and without a trailing `.0`: -1e-7 is -0.0000001.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return _shorten(format(Decimal(repr(value)), "f").removesuffix(".0"))
        case int():
            return _shorten(str(value))
        case str():
            return rust_debug(value)
        case list():
            return "an array"
        case dict():
            return "an object"
    return type(value).__name__


# Characters of Unicode's Grapheme_Extend that are neither Mn nor Me: Other_Grapheme_Extend, by ranges.
_OTHER_GRAPHEME_EXTEND = (
    (0x09BE, 0x09BE), (0x09D7, 0x09D7), (0x0B3E, 0x0B3E), (0x0B57, 0x0B57), (0x0BBE, 0x0BBE), (0x0BD7, 0x0BD7),
    (0x0CC0, 0x0CC0), (0x0CC2, 0x0CC2), (0x0CC7, 0x0CC8), (0x0CCA, 0x0CCB), (0x0CD5, 0x0CD6), (0x0D3E, 0x0D3E),
    (0x0D57, 0x0D57), (0x0DCF, 0x0DCF), (0x0DDF, 0x0DDF), (0x1B35, 0x1B35), (0x200C, 0x200C), (0x302E, 0x302F),
    (0xFF9E, 0xFF9F), (0x1133E, 0x1133E), (0x11357, 0x11357), (0x114B0, 0x114B0), (0x114BD, 0x114BD),
    (0x115AF, 0x115AF), (0x11930, 0x11930), (0x1D165, 0x1D165), (0x1D16E, 0x1D172), (0xE0020, 0xE007F),
)  # fmt: skip
_NAMED_ESCAPES = {"\0": "\\0", "\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def rust_debug(text: str) -> str:
    """`text` in double quotes as Rust's `{:?}` prints it, which the original service's messages use.

    Quotes, backslashes, control characters, everything unprintable and everything that would combine with the
    character before it are escaped (`\\n`, `\\u{301}`). Longer texts are cut.
    """
    quoted = "".join(map(_escape, text[:MAX_SHOWN_CHARS]))
    return f'"{quoted}"' if len(text) <= MAX_SHOWN_CHARS else f'"{quoted}..."'


def _escape(char: str) -> str:
    if char in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[char]
    if char.isascii() and char.isprintable():
        return char
    code = ord(char)
    extends = unicodedata.category(char) in ("Mn", "Me") or any(a <= code <= b for a, b in _OTHER_GRAPHEME_EXTEND)
    return f"\\u{{{code:x}}}" if extends or not char.isprintable() else char


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "..."
