"""What a constraint is: a kind and a source text, checked for size alone."""

from dataclasses import dataclass
from enum import StrEnum

from microgpt.errors import InvalidRequest

MAX_SOURCE_BYTES = 16 * 1024


class ConstraintKind(StrEnum):
    """The language of a constraint's source; the value is the name of the field in messages."""

    REGEX = "regex"
    JSON_SCHEMA = "json_schema"
    EBNF = "ebnf"


@dataclass(frozen=True, slots=True)
class Constraint:
    """The whole text of an answer must match `source`: a regex, a JSON schema as JSON text, or a GBNF grammar.

    Raises InvalidRequest when the source is larger than MAX_SOURCE_BYTES or is not Unicode. Whether it compiles is
    found out by ConstraintCompiler.
    """

    kind: ConstraintKind
    source: str

    def __post_init__(self) -> None:
        try:
            size = len(self.source.encode())
        except UnicodeEncodeError:
            raise InvalidRequest(f"{self.kind} must be valid Unicode, got a lone surrogate") from None
        if size > MAX_SOURCE_BYTES:
            raise InvalidRequest(f"{self.kind} must be at most {MAX_SOURCE_BYTES} bytes, got {size}")


ANY_JSON_OBJECT = Constraint(ConstraintKind.JSON_SCHEMA, '{"type":"object"}')
