"""Constraints in the library's own language: sources -> Lark grammars, vocabularies -> tries, grammars -> matchers.

All that touches llguidance's way of compiling is here, so that the rehearsal (`rehearsal.py`) and the real thing are
the same. llguidance takes 60 ms to import and is imported on first use.
"""

import json
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from microgpt.constraints.constraint import Constraint, ConstraintKind
from microgpt.errors import InvalidRequest

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

# no_forcing: without it text that the grammar forces is tokenised by the tokenizer and only that one token allowed. A
# character tokenizer skips what it does not know, and other ways to spell the text would be forbidden.
_HEADER = '%llguidance {"no_forcing": true}\n'

# Compact JSON. The library merges a schema's own "x-guidance" with these, so a schema may not have one.
_JSON_OPTIONS = {"whitespace_flexible": False, "item_separator": ",", "key_separator": ":", "lenient": False}

# The worst step found, of an ambiguous grammar, takes 13 ms with 1,000 items in a row, and 115 ms with 2,000.
_LIMITS = {
    "initial_lexer_fuel": 200_000,
    "step_lexer_fuel": 50_000,
    "step_max_items": 20_000,
    "max_items_in_row": 1_000,
    "max_lexer_states": 50_000,
    "max_grammar_size": 50_000,
    "precompute_large_lexemes": False,
    "verbose_errors": False,
}

_MAX_MESSAGE = 200  # characters of the library's message that are passed on


def lark_grammar(constraint: Constraint) -> str:
    """The constraint as a Lark grammar. Raises InvalidRequest naming the field for what shows without compiling."""
    match constraint.kind:
        case ConstraintKind.REGEX:
            from llguidance import regex_to_lark

            # \d is 0-9, not every script's digits: what asks for it wants to parse a number.
            return f"{_HEADER}start: /{regex_to_lark(constraint.source, use_ascii='d')}/\n"
        case ConstraintKind.JSON_SCHEMA:
            return f"{_HEADER}start: %json {_compact_schema(constraint.source)}\n"
        case ConstraintKind.EBNF:
            return _from_gbnf(constraint.source)


def _compact_schema(source: str) -> str:
    """The schema with the options for compact output. Parsed here, so that nothing can follow it in the grammar."""
    try:
        schema = json.loads(source, parse_constant=_refuse_constant)
        if not isinstance(schema, dict):
            raise InvalidRequest(f"json_schema must be a JSON object, got {type(schema).__name__}")
        if "x-guidance" in schema:
            raise InvalidRequest("json_schema: x-guidance is not supported")
        return json.dumps(schema | {"x-guidance": _JSON_OPTIONS}, allow_nan=False)
    except InvalidRequest:
        raise
    except RecursionError:
        raise InvalidRequest("json_schema: nested too deeply") from None
    except ValueError as error:
        raise InvalidRequest(f"json_schema: not JSON: {one_line(str(error))}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")


def _from_gbnf(source: str) -> str:
    from llguidance.gbnf_to_lark import gbnf_to_lark

    # The converter loses leading zeros of \u and \U escapes, so that "\u0041bc" would mean one other character, and
    # passes on && and ~~, which are operators in the classes of its target.
    source = re.sub(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|.)", _plain_escape, source, flags=re.DOTALL)
    source = source.replace("&&", "&\\x26").replace("~~", "~\\x7e")
    try:
        lark = gbnf_to_lark(source)
    except RecursionError:
        raise InvalidRequest("ebnf: nested too deeply") from None
    except Exception as error:  # the converter raises bare Exception, IndexError and ValueError for bad input
        raise InvalidRequest(f"ebnf: {one_line(str(error))}") from None
    return _HEADER + lark.removeprefix("%llguidance {}\n")


def _plain_escape(found: re.Match[str]) -> str:
    digits = found[1] or found[2]
    if digits is None:
        return found[0]
    code = int(digits, 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise InvalidRequest(f"ebnf: {found[0]} is not a character")
    return f"\\x{code:02x}" if code < 0x80 else chr(code)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a compiler must know of a tokenizer. tokens: the bytes of each id, b"" for ids that are not text. eos_ids:
    the ids that may follow a complete text, and nothing else."""

    tokens: tuple[bytes, ...]
    eos_ids: tuple[int, ...]


class _Wrapper:
    """A vocabulary in the form in which llguidance takes one.

    Ids without bytes stay out of its trie, so that no grammar can produce a special token; those in `eos_ids` are
    allowed by themselves where a text may end. No byte has to be in the vocabulary.
    """

    is_tokenizer_wrapper = True
    bos_token_id = None
    special_token_ids: Sequence[int] = ()

    def __init__(self, vocabulary: Vocabulary):
        self.tokens = vocabulary.tokens
        self.eos_token_id = vocabulary.eos_ids[0]

    def __call__(self, text: object) -> list[int]:
        raise AssertionError("no_forcing grammars never tokenise")


def build_trie(vocabulary: Vocabulary) -> "LLTokenizer":
    """llguidance's form of a vocabulary; 50,000 tokens take about 60 ms."""
    from llguidance import LLTokenizer

    wrapper: Any = _Wrapper(vocabulary)
    return LLTokenizer(wrapper, eos_token=list(vocabulary.eos_ids))


def compile_grammar(trie: "LLTokenizer", grammar: str) -> "LLMatcher | str":
    """A matcher before its first token, or one line saying why there is none. Releases the GIL.

    llguidance's limits bound most of the work, not all of it: a large `multipleOf`, or many patterns on one string,
    explore an automaton without end.
    """
    from llguidance import LLMatcher, LLParserLimits

    matcher = LLMatcher(trie, grammar, log_level=0, limits=LLParserLimits(**_LIMITS))
    return start_error(matcher, trie.vocab_size) or matcher


def start_error(matcher: "LLMatcher", vocab_size: int) -> str | None:
    """Why no sequence can begin under a matcher that has seen no token, in one line; None if all is well."""
    if matcher.is_error():
        return matcher_error(matcher)
    row = array("I", bytes(4 * mask_words(vocab_size)))
    address, words = row.buffer_info()
    first = matcher.deep_copy()
    first.unsafe_compute_mask_ptr(address, 4 * words)
    return matcher_error(first) if first.is_error() else None


def mask_words(vocab_size: int) -> int:
    """uint32 words in a mask: bit i % 32 of word i // 32 is set when id i is allowed."""
    return (vocab_size + 31) // 32


def matcher_error(matcher: "LLMatcher") -> str:
    """One line of at most 200 characters saying what went wrong in a matcher."""
    message = matcher.get_error()
    if message.startswith("NoExtensionBias"):
        return "no token of this model's vocabulary can continue the text"
    return one_line(message)


def one_line(message: str) -> str:
    """The gist of a message of the library: without its copy of the grammar, on one line, bounded in length."""
    message = re.split(r"\n *\d+ \|", message, maxsplit=1)[0]
    message = re.sub(r"<non-verbose/>|^(at )?\d+\(\d+\): |failed to compile JSON schema: ", "", message)
    # A regex's own parser: what is wrong stands after the pattern and a line of carets.
    if gist := re.search(r"^error: (.*)", message, re.MULTILINE):
        message = gist[1]
    message = message.rpartition("(in regex): ")[2]
    message = " ".join(message.split())
    return message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 3] + "..."
