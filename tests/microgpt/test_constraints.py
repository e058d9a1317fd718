"""Constraints: whatever is sampled under a mask matches, whatever the mask forbids cannot, and nothing takes long."""

import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microgpt.constraints import compiler as compiler_module
from microgpt.constraints import grammar as grammar_module
from microgpt.constraints.compiler import MAX_CACHED, ConstraintCompiler
from microgpt.constraints.constraint import ANY_JSON_OBJECT, MAX_SOURCE_BYTES, Constraint, ConstraintKind
from microgpt.constraints.matcher import CompiledConstraint, Matcher, fill_masks, mask_of
from microgpt.errors import ConstraintError, InvalidRequest, MicrogptError
from microgpt.tokenizers import CharTokenizer, Tokenizer, train_bpe

TEXT = (
    "the cat and the dog sat; 12 + 34 = 46. name: true, false, null " * 4
    + '{"name": "Ada", "age": 36} naïve café €5 😀'
)


def regex(source: str) -> Constraint:
    return Constraint(ConstraintKind.REGEX, source)


def schema(value: Any) -> Constraint:
    return Constraint(ConstraintKind.JSON_SCHEMA, value if isinstance(value, str) else json.dumps(value))


def ebnf(source: str) -> Constraint:
    return Constraint(ConstraintKind.EBNF, source)


def make_tokenizer(name: str) -> Tokenizer:
    ascii_chars = [chr(i) for i in range(32, 127)]
    return {
        "bpe chat": lambda: train_bpe([TEXT], 330, chat=True),
        "char": lambda: CharTokenizer([*ascii_chars, "\n", "é", "€"], chat=False),
        "char chat": lambda: CharTokenizer([*ascii_chars, "\n"], chat=True),
        "ab": lambda: CharTokenizer("ab", chat=True),
    }[name]()


@pytest.fixture(scope="module")
def compiler_of() -> Iterator[Callable[[str], ConstraintCompiler]]:
    """The compiler of a named tokenizer, made once."""
    made: dict[str, ConstraintCompiler] = {}

    def get(name: str) -> ConstraintCompiler:
        if name not in made:
            tokenizer = make_tokenizer(name)
            made[name] = ConstraintCompiler(tokenizer, tokenizer.vocab_size)
        return made[name]

    yield get
    for compiler in made.values():
        compiler.close()


@pytest.fixture
def compiler() -> Iterator[ConstraintCompiler]:
    """A fresh compiler with a cache of its own."""
    tokenizer = make_tokenizer("bpe chat")
    compiler = ConstraintCompiler(tokenizer, tokenizer.vocab_size)
    yield compiler
    compiler.close()


def allowed(matcher: Matcher, vocab_size: int) -> set[int]:
    row = np.full((vocab_size + 31) // 32, 0xFFFFFFFF, np.uint32)
    matcher.mask(row)
    bits = np.unpackbits(row.view(np.uint8), bitorder="little")
    assert not bits[vocab_size:].any()
    return set(np.flatnonzero(bits).tolist())


def walk(compiler: ConstraintCompiler, compiled: CompiledConstraint, seed: int, limit: int = 400) -> str | None:
    """A random text under the constraint; None if it has not ended after `limit` tokens. Ends early where it may."""
    rng = random.Random(seed)
    matcher = compiled.matcher()
    tokens, eos = compiler._vocabulary.tokens, set(compiler.eos_ids)
    out = b""
    for _ in range(limit):
        ids = allowed(matcher, compiler.vocab_size)
        ends = ids & eos
        assert ends in (set(), eos)
        assert bool(ends) == matcher.may_end()
        if ends and (ids == ends or rng.random() < 0.3):
            matcher.advance(rng.choice(sorted(ends)))
            assert matcher.is_stopped()
            return out.decode()  # strict: a text ends between characters
        # Quotes and brackets are what ends long texts.
        closing = [i for i in ids - ends if tokens[i] in (b'"', b"}", b"]", b")")]
        token = rng.choice(sorted(closing)) if closing and rng.random() < 0.3 else rng.choice(sorted(ids - ends))
        matcher.advance(token)
        out += tokens[token]
    return None


def walks(compiler: ConstraintCompiler, constraint: Constraint, count: int = 30) -> list[str]:
    compiled = compiler.compile(constraint)
    texts = [text for seed in range(count) if (text := walk(compiler, compiled, seed)) is not None]
    assert len(texts) >= count // 2, "too few random texts came to an end to say anything"
    return texts


# What is sampled matches.


@pytest.mark.parametrize("name", ["bpe chat", "char", "char chat"])
@pytest.mark.parametrize(
    "source",
    [
        "[a-c]{2,5}",
        r"(the|a) (cat|dog)( and (the|a) (cat|dog))*\.",
        r"\d{1,3}(\.\d+)?",
        "",
        "(?i)yes|no",
        "[^a-y]{3}",
        r"^anchored$",
        r"a/b\\\"",
        ".*",
        r"(?P<year>[12]\d{3})-(0[1-9]|1[0-2])",
        "a*?b+?",
        r"[\d.]{2}[^\d\s]",
    ],
)
def test_random_texts_under_a_regex_match_it(compiler_of, name: str, source: str) -> None:
    for text in walks(compiler_of(name), regex(source)):
        assert re.fullmatch(source, text, re.ASCII if r"\d" in source else 0), text


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["x", "yy", 3]}, "minItems": 1, "maxItems": 3},
        "next": {"anyOf": [{"type": "null"}, {"type": "boolean"}, {"const": {"a": [1]}}]},
    },
    "required": ["name", "tags", "next"],
    "additionalProperties": False,
}


def is_person(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) - {"age"} == {"name", "tags", "next"}
        and isinstance(value["name"], str)
        and 1 <= len(value["name"]) <= 5
        and ("age" not in value or (type(value["age"]) is int and 0 <= value["age"] <= 150))
        and 1 <= len(value["tags"]) <= 3
        and all(tag in ("x", "yy", 3) for tag in value["tags"])
        and value["next"] in (None, True, False, {"a": [1]})
    )


@pytest.mark.parametrize("name", ["bpe chat", "char"])
def test_random_texts_under_a_json_schema_are_its_instances(compiler_of, name: str) -> None:
    for text in walks(compiler_of(name), schema(PERSON)):
        assert is_person(json.loads(text)), text


SCHEMAS: dict[str, tuple[Any, Callable[[Any], bool]]] = {
    "multipleOf": ({"type": "number", "multipleOf": 0.5, "minimum": -2, "maximum": 9}, lambda v: v * 2 % 1 == 0),
    "exclusive bounds": (
        {"type": "integer", "exclusiveMinimum": -3, "exclusiveMaximum": 12},
        lambda v: type(v) is int and -3 < v < 12,
    ),
    "patternProperties": (
        {"type": "object", "patternProperties": {"^n": {"type": "integer"}}, "additionalProperties": {"type": "null"}},
        lambda v: all(type(x) is int if k.startswith("n") else x is None for k, x in v.items()),
    ),
    "prefixItems": (
        {"type": "array", "prefixItems": [{"const": 1}, {"type": "boolean"}], "items": False, "minItems": 1},
        lambda v: v[0] == 1 and (len(v) == 1 or v[1:] in ([True], [False])),
    ),
    "allOf": (
        {"allOf": [{"type": "string", "pattern": "^a"}, {"maxLength": 4}, {"minLength": 2}]},
        lambda v: v[0] == "a" and 2 <= len(v) <= 4,
    ),
    "oneOf": (
        {"oneOf": [{"type": "integer", "maximum": 9, "minimum": 0}, {"type": "null"}]},
        lambda v: v in (None, *range(10)),
    ),
    "format": ({"type": "string", "format": "date"}, lambda v: bool(re.fullmatch(r"\d{4}-\d\d-\d\d", v))),
    "several types": ({"type": ["boolean", "null"]}, lambda v: v in (True, False, None)),
    "required without a property": (
        {"type": "object", "required": ["k"], "additionalProperties": {"type": "integer"}},
        lambda v: type(v["k"]) is int,
    ),
    "definitions": (
        {"$ref": "#/definitions/x", "definitions": {"x": {"enum": ["p", "q"]}}},
        lambda v: v in ("p", "q"),
    ),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_supported_keyword_holds(compiler_of, name: str) -> None:
    source, holds = SCHEMAS[name]
    for text in walks(compiler_of("char"), schema(source), 60):
        assert holds(json.loads(text)), text


def test_json_is_compact(compiler_of) -> None:
    exact = {"type": "object", "properties": {"a": {"const": [1, 2]}, "b": {"const": None}}, "required": ["a", "b"]}
    texts = walks(compiler_of("bpe chat"), schema(exact | {"additionalProperties": False}))
    assert set(texts) == {'{"a":[1,2],"b":null}'}


def test_any_json_object_is_an_object(compiler_of) -> None:
    for text in walks(compiler_of("bpe chat"), ANY_JSON_OBJECT, 60):
        assert isinstance(json.loads(text), dict)


def test_recursive_schemas_are_followed(compiler_of) -> None:
    tree = {
        "$ref": "#/$defs/tree",
        "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}},
    }

    def is_tree(value: Any) -> bool:
        return isinstance(value, list) and len(value) <= 2 and all(map(is_tree, value))

    for text in walks(compiler_of("char"), schema(tree)):
        assert is_tree(json.loads(text))


def is_sum(text: str) -> bool:
    """expr ::= term ("+" term)*; term ::= digits | "(" expr ")", by recursive descent."""

    def expr(i: int) -> int:
        i = term(i)
        while i >= 0 and text[i : i + 1] == "+":
            i = term(i + 1)
        return i

    def term(i: int) -> int:
        if text[i : i + 1] == "(":
            i = expr(i + 1)
            return i + 1 if i >= 0 and text[i : i + 1] == ")" else -1
        digits = re.match("[0-9]+", text[i:])
        return i + digits.end() if digits else -1

    return expr(0) == len(text)


@pytest.mark.parametrize("name", ["bpe chat", "char"])
def test_random_texts_under_a_grammar_are_recognised(compiler_of, name: str) -> None:
    sums = 'root ::= expr\nexpr ::= term ("+" term)*\nterm ::= [0-9]+ | "(" expr ")"  # a comment'
    texts = walks(compiler_of(name), ebnf(sums), 60)
    assert all(map(is_sum, texts))
    assert any("(" in text for text in texts)


def test_escapes_in_a_grammar_stand_for_their_characters(compiler_of) -> None:
    source = 'root ::= "\\u0041bc\\x41" [\\u00e9-\\u00eb] "\\U0001F600" "\\\\u0041" "\\n"'
    for text in walks(compiler_of("bpe chat"), ebnf(source), 5):
        assert re.fullmatch("AbcA[é-ë]😀\\\\u0041\n", text), text


def test_signs_that_are_operators_elsewhere_are_plain_in_a_grammar(compiler_of) -> None:
    texts = walks(compiler_of("char"), ebnf('root ::= [a&&b~~c&&&] "&&~~"'), 40)
    assert set(texts) <= {f"{sign}&&~~" for sign in "a&b~c"}
    assert len(set(texts)) > 2


def test_characters_of_several_byte_tokens_come_out_whole() -> None:
    tokenizer = train_bpe(["abc"], 257, chat=False)  # nothing but bytes
    compiler = ConstraintCompiler(tokenizer, tokenizer.vocab_size)
    try:
        assert set("".join(walks(compiler, regex("[é€😀]{1,6}")))) == set("é€😀")
    finally:
        compiler.close()


# What is forbidden cannot match.


@pytest.mark.parametrize("name", ["bpe chat", "char chat", "ab"])
@pytest.mark.parametrize(
    ("source", "language"),
    [
        ("(the|then|there) cat?", {f"{a} {b}" for a in ("the", "then", "there") for b in ("ca", "cat")}),
        (
            "(a|b){0,3}",
            {"", *"ab", *(x + y for x in "ab" for y in "ab")} | {x + y + z for x in "ab" for y in "ab" for z in "ab"},
        ),
        ("a(b|é|€5)?", {"a", "ab", "aé", "a€5"}),
    ],
)
def test_masks_are_exact_for_finite_languages(compiler_of, name: str, source: str, language: set[str]) -> None:
    compiler = compiler_of(name)
    texts = {text.encode() for text in language}
    tokens = compiler._vocabulary.tokens
    if not any(text.startswith(token) for text in texts for token in tokens if token) and b"" not in texts:
        with pytest.raises(InvalidRequest, match="no token of this model's vocabulary"):
            compiler.compile(regex(source))
        return
    compiled = compiler.compile(regex(source))
    open_paths: list[list[int]] = [[]]
    while open_paths:
        path = open_paths.pop()
        text = b"".join(tokens[i] for i in path)
        expected = {i for i, t in enumerate(tokens) if t and any(x.startswith(text + t) for x in texts)}
        open_paths += [[*path, i] for i in expected]
        expected |= set(compiler.eos_ids) if text in texts else set()
        matcher = compiled.matcher()
        for i in path:
            matcher.advance(i)
        if expected:
            assert allowed(matcher, compiler.vocab_size) == expected, text
        else:
            with pytest.raises(ConstraintError, match="no token of this model's vocabulary"):
                allowed(matcher, compiler.vocab_size)


def test_special_tokens_never_come_inside_a_text(compiler_of) -> None:
    compiler = compiler_of("bpe chat")
    tokenizer = make_tokenizer("bpe chat")
    assert tokenizer.chat
    for constraint in (regex("(?s).*"), regex("<user>x"), ebnf('root ::= "<user>" [^a]*')):
        ids = allowed(compiler.compile(constraint).matcher(), compiler.vocab_size)
        assert ids & tokenizer.special_ids <= {tokenizer.bos, tokenizer.chat.end_turn}
    with pytest.raises(InvalidRequest, match="ebnf: Expected name"):
        compiler.compile(ebnf("root ::= <user>"))


def test_a_complete_text_can_only_end_and_by_any_of_the_ids_that_end_one(compiler_of) -> None:
    for name, count in (("bpe chat", 2), ("char", 1)):
        compiler, tokenizer = compiler_of(name), make_tokenizer(name)
        ends = {tokenizer.bos} | ({tokenizer.chat.end_turn} if tokenizer.chat else set())
        assert len(ends) == count
        for end in ends:
            matcher = compiler.compile(regex("b")).matcher()
            assert not matcher.may_end()
            (b,) = tokenizer.encode("b")
            matcher.advance(b)
            assert allowed(matcher, compiler.vocab_size) == ends
            matcher.advance(end)
            assert matcher.is_stopped()
            assert allowed(matcher, compiler.vocab_size) == ends


def test_ids_beyond_the_tokenizers_are_never_allowed() -> None:
    tokenizer = make_tokenizer("ab")
    compiler = ConstraintCompiler(tokenizer, 70)
    try:
        assert compiler.mask_words == 3
        assert allowed(compiler.compile(regex(".*")).matcher(), 70) == {0, 1, *compiler.eos_ids}
    finally:
        compiler.close()
    with pytest.raises(ValueError, match="vocab_size must be >= 6, got 5"):
        ConstraintCompiler(tokenizer, 5)


# Errors.


def test_a_dead_end_is_an_error_of_its_row_alone(compiler_of) -> None:
    compiler = compiler_of("ab")
    matchers = [compiler.compile(regex("ax|b")).matcher() for _ in range(3)]
    for matcher, token in zip(matchers, (1, 0, 1), strict=True):
        matcher.advance(token)
    masks = np.zeros((4, compiler.mask_words), np.uint32)
    count, errors = fill_masks(matchers, masks)
    assert (count, set(errors)) == (3, {1})
    assert "no token of this model's vocabulary can continue the text" in str(errors[1])
    ends = sum(1 << i for i in compiler.eos_ids)
    assert masks[:, 0].tolist() == [ends, masks[1, 0], ends, 0]
    with pytest.raises(ConstraintError):
        matchers[1].mask(masks[1])


def test_masks_are_made_until_the_deadline_and_at_least_one(compiler_of) -> None:
    compiler = compiler_of("ab")
    matchers = [compiler.compile(regex("[ab]+")).matcher() for _ in range(3)]
    masks = np.zeros((3, compiler.mask_words), np.uint32)
    assert fill_masks(matchers, masks, deadline=0.0) == (1, {})
    assert masks[:, 0].tolist() == [3, 0, 0]


def test_the_mask_of_some_ids_has_their_bits() -> None:
    assert mask_of((0, 33, 63, 64), 70).tolist() == [1, 1 << 31 | 2, 1]


def test_a_token_that_is_not_allowed_is_refused_for_good(compiler_of) -> None:
    compiler = compiler_of("ab")
    for bad in (1, compiler.eos_ids[0], 2, 10_000):
        matcher = compiler.compile(regex("aa")).matcher()
        with pytest.raises(ConstraintError, match=f"the constraint cannot take token {bad}: "):
            matcher.advance(bad)
        with pytest.raises(ConstraintError):
            allowed(matcher, compiler.vocab_size)


@pytest.mark.parametrize(
    ("constraint", "message"),
    [
        (regex("("), "regex: unclosed group"),
        (regex("a{2,1}"), "regex: invalid repetition count range, the start must be <= the end"),
        (regex("(?=a)b"), "regex: look-around, including look-ahead and look-behind, is not supported"),
        (regex(r"(a)\1"), "regex: backreferences are not supported"),
        (regex(r"a\bb"), "regex: lookarounds not supported"),
        (regex(r"(?-u:\xff)"), "regex: pattern can match invalid UTF-8"),
        (schema("{"), "json_schema: not JSON: "),
        (schema('{"const": NaN}'), "json_schema: not JSON: NaN is not a JSON value"),
        (schema('{"const": 1e999}'), "json_schema: not JSON: "),
        (schema('{} {"type": "string"}'), "json_schema: not JSON: Extra data"),
        (schema([]), "json_schema must be a JSON object, got list"),
        (schema({"type": "foo"}), "json_schema: Invalid type: foo"),
        (schema({"not": {"type": "null"}}), 'json_schema: Unimplemented keys: ["not"]'),
        (schema({"if": {}, "then": {}}), 'json_schema: Unimplemented keys: ["if", "then"]'),
        (schema({"type": "array", "uniqueItems": True}), 'json_schema: Unimplemented keys: ["uniqueItems"]'),
        (schema({"type": "string", "format": "odd"}), "json_schema: Unknown format: odd"),
        (schema({"oneOf": [{"type": "integer"}, {"type": "number"}]}), "json_schema: oneOf constraints are not"),
        (schema({"enum": []}), "json_schema: Unsatisfiable schema"),
        (schema({"$ref": "http://127.0.0.1/x"}), "json_schema: Resource 'http://127.0.0.1/x' is not present"),
        (schema({"$ref": "file:///etc/passwd"}), "json_schema: Resource 'file:///etc/passwd' is not present"),
        (schema({"x-guidance": {"lenient": True}}), "json_schema: x-guidance is not supported"),
        (schema('{"a":' * 2000 + "1" + "}" * 2000), "json_schema: nested too deeply"),
        (ebnf('rot ::= "a"'), "ebnf: No 'root' rule found"),
        (ebnf('root ::= "a'), "ebnf: Unexpected end of input"),
        (ebnf("root ::= other"), "ebnf: Rule 'other' not found"),
        (ebnf("root ::= " + "(" * 4000), "ebnf: nested too deeply"),
        (ebnf('root ::= "\\ud800"'), "ebnf: \\ud800 is not a character"),
        (ebnf('root ::= root "a"'), "ebnf: no token of this model's vocabulary can continue the text"),
        (ebnf("start: /a/"), "ebnf: Expected ::="),
    ],
)
def test_what_is_not_supported_is_refused_with_a_line_that_names_the_field(compiler_of, constraint, message) -> None:
    with pytest.raises(InvalidRequest) as caught:
        compiler_of("bpe chat").compile(constraint)
    text = str(caught.value)
    assert text.startswith(message)
    assert len(text) < 230
    assert "\n" not in text


def test_sources_are_bounded_in_bytes() -> None:
    assert regex("é" * (MAX_SOURCE_BYTES // 2))
    with pytest.raises(InvalidRequest, match="regex must be at most 16384 bytes, got 16386"):
        regex("é" * (MAX_SOURCE_BYTES // 2 + 1))
    with pytest.raises(InvalidRequest, match="ebnf must be valid Unicode"):
        ebnf("\ud800")


# Bounds.

ALTERNATING = {"allOf": [{"type": "string", "pattern": f".*{chr(97 + i % 26)}.{{{i}}}"} for i in range(100)]}
PATHOLOGICAL = {
    "nested repetition": regex("(a{1,1000}){1,1000}"),
    "thrice nested repetition": regex("((a{1,1000}){1,1000}){1,1000}"),
    "long optional run": regex("a?" * 8000),
    "starred run": regex("a*" * 8000),
    "exponential automaton": regex("(a|b)*a(a|b){200}"),
    "deep groups": regex("(" * 5000 + ")" * 5000),
    "many classes": regex(r"\pL" * 5000),
    "letters repeated": regex(r"(\pL{1,1000}\d){1,1000}"),
    "huge enum": schema({"enum": [f"v{i}" for i in range(1800)]}),
    "many properties": schema({"properties": {f"p{i}": {} for i in range(1000)}}),
    "large multipleOf": schema({"type": "integer", "multipleOf": 99_999_999}),
    "patterns that all hold": schema(ALTERNATING),
    "product of alternatives": schema(
        {"allOf": [{"anyOf": [{"properties": {f"p{k}{j}": {"type": "null"}}} for j in range(9)]} for k in range(9)]}
    ),
    "long arrays": schema({"type": "array", "minItems": 10**9, "items": {"type": "array", "minItems": 10**9}}),
    "repeated rule": ebnf('root ::= x{1,3000}\nx ::= y{1,3000}\ny ::= "a" y "b" | "c"'),
    "ambiguous": ebnf('root ::= root root | root root root | "a" | ""'),
    "chain of rules": ebnf("root ::= a0\n" + "\n".join(f"a{i} ::= a{i + 1}" for i in range(900)) + '\na900 ::= "y"'),
    "many alternatives": ebnf("root ::= " + " | ".join(f'"w{i}"' for i in range(1700))),
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
def test_pathological_constraints_are_bounded_in_time(compiler: ConstraintCompiler, name: str) -> None:
    start = time.monotonic()
    with suppress(InvalidRequest, ConstraintError):
        compiled = compiler.compile(PATHOLOGICAL[name])
        walk(compiler, compiled, seed=1, limit=100)
    assert time.monotonic() - start < 20  # without bounds: minutes


def test_what_takes_too_long_is_refused_and_the_refusal_remembered(compiler: ConstraintCompiler, monkeypatch) -> None:
    constraint = PATHOLOGICAL["large multipleOf"]
    with pytest.raises(InvalidRequest, match="json_schema: takes more than 1 s to compile"):
        compiler.compile(constraint)
    monkeypatch.setattr(compiler._rehearsal, "run", lambda grammar: pytest.fail("compiled again"))
    with pytest.raises(InvalidRequest, match="json_schema: takes more than 1 s to compile"):
        compiler.compile(constraint)


def test_a_grammar_that_overflows_the_stack_is_refused(compiler: ConstraintCompiler) -> None:
    rules = "".join(f"A{i}: A{i + 1}\n" for i in range(20_000))
    with pytest.raises(InvalidRequest, match="too large or too deeply nested"):
        compiler._rehearsal.run(f"start: A0\n{rules}A20000: /x/\n")
    assert walk(compiler, compiler.compile(regex("ab")), 0) == "ab"


def test_a_grammar_that_outgrows_its_limits_is_compiled_again_for_the_next(compiler: ConstraintCompiler) -> None:
    constraint = PATHOLOGICAL["nested repetition"]
    (a,) = make_tokenizer("bpe chat").encode("a")
    compiled = compiler.compile(constraint)
    matcher = compiled.matcher()

    def spell() -> None:
        for _ in range(1000):
            allowed(matcher, compiler.vocab_size)
            matcher.advance(a)

    with pytest.raises(ConstraintError, match="too many"):
        spell()
    again = compiler.compile(constraint)
    assert again is not compiled
    assert a in allowed(again.matcher(), compiler.vocab_size)


def test_an_ambiguous_grammar_ends_in_an_error_rather_than_in_long_steps(compiler: ConstraintCompiler) -> None:
    matcher = compiler.compile(PATHOLOGICAL["ambiguous"]).matcher()
    (a,) = make_tokenizer("bpe chat").encode("a")

    def spell() -> None:
        for _ in range(1000):
            start = time.thread_time()
            matcher.advance(a)
            assert time.thread_time() - start < 1

    with pytest.raises(ConstraintError, match=r"cannot take token .*: .*row has"):
        spell()


def test_the_cache_is_bounded_and_keeps_what_was_used_last(compiler: ConstraintCompiler, monkeypatch) -> None:
    first = compiler.compile(regex("first"))
    for i in range(2 * MAX_CACHED):
        compiler.compile(regex(f"w{i}"))
        assert compiler.compile(regex("first")) is first
        assert len(compiler._cache) <= MAX_CACHED
    assert compiler._cached_bytes == sum(size for size, _ in compiler._cache.values())
    monkeypatch.setattr(compiler_module, "MAX_CACHED_BYTES", 0)
    compiler.compile(regex("last"))
    assert len(compiler._cache) == compiler._cached_bytes == 0


# Threads and processes.


def test_several_threads_compile_and_match_at_once(compiler: ConstraintCompiler) -> None:
    sources = ["[a-c]{2,5}", r"\d+(\.\d+)?", "(the|a) (cat|dog)", "x{3}", "y|z"]
    wrong: list[object] = []

    def work(seed: int) -> None:
        for k in range(20):
            source = sources[(seed + k) % len(sources)]
            text = walk(compiler, compiler.compile(regex(source)), 100 * seed + k)
            if text is None or not re.fullmatch(source, text):
                wrong.append((source, text))
        with pytest.raises(InvalidRequest):
            compiler.compile(regex("("))
        done.append(seed)

    done: list[int] = []
    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == list(range(8))
    assert wrong == []


def test_the_trying_process_may_die_at_any_time(compiler: ConstraintCompiler) -> None:
    compiler.compile(regex("a"))
    child = compiler._rehearsal._child
    assert child
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    compiler.compile(regex("b"))
    assert compiler._rehearsal._child is not child


def test_an_interrupted_attempt_leaves_no_answer_for_the_next(compiler: ConstraintCompiler, monkeypatch) -> None:
    compiler.compile(regex("a"))
    load = pickle.load

    def interrupt(pipe: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pickle, "load", interrupt)
    with pytest.raises(KeyboardInterrupt):
        compiler.compile(regex("("))
    monkeypatch.setattr(pickle, "load", load)
    assert walk(compiler, compiler.compile(regex("b")), 0) == "b"


def test_closing_ends_the_trying_process_and_so_does_the_end_of_its_input(compiler: ConstraintCompiler) -> None:
    compiler.compile(regex("a"))
    child = compiler._rehearsal._child
    assert child
    compiler.close()
    assert child.returncode is not None
    compiler.compile(regex("b"))
    child = compiler._rehearsal._child
    assert child
    assert child.stdin
    child.stdin.close()
    assert child.wait(10) == 0


def test_llguidance_is_imported_when_the_first_constraint_comes() -> None:
    check = """
import sys
from microgpt.constraints.compiler import ConstraintCompiler
from microgpt.constraints.constraint import Constraint, ConstraintKind
from microgpt.tokenizers import CharTokenizer
compiler = ConstraintCompiler(CharTokenizer("ab", True), 6)
assert "llguidance" not in sys.modules
compiler.compile(Constraint(ConstraintKind.REGEX, "a"))
assert "llguidance" in sys.modules
"""
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", check], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_without_llguidance_the_error_names_the_package(compiler: ConstraintCompiler, monkeypatch) -> None:
    monkeypatch.setattr(compiler_module, "find_spec", lambda name: None)
    with pytest.raises(MicrogptError, match="need the package llguidance, which is not installed"):
        compiler.compile(regex("a"))


def test_messages_are_one_short_line() -> None:
    assert grammar_module.one_line("at 2(8): bad\n   thing\n   1 | copy of the grammar") == "bad thing"
    assert len(grammar_module.one_line("x" * 1000)) == 200
