"""POST /v1/score: how likely each of some tokens is to come next, after a query with each of some items."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import to_json

from microgpt import FinishReason, GenerationRequest, SamplingParams
from microgpt.params import MAX_GIVEN_LOGPROBS
from serve.dialects.base import Route, Work
from serve.dialects.sglang.bodies import (
    IDS_OR_LISTS,
    bad_value,
    check_ids,
    check_json,
    is_ids,
    parse_body,
    refuse_ids,
)
from serve.errors import HttpError, shown
from serve.service import Progress, Service

_IDS = {"type": "array", "items": {"type": "integer"}}
_QUERY = {"anyOf": [{"type": "string"}, _IDS]}
_ITEMS = {"anyOf": [{"type": "string"}, {"type": "array", "items": _QUERY}]}
_LABELS = {"anyOf": [_IDS, {"type": "array", "items": _IDS}]}


class ScoreBody(BaseModel):
    """A query, items and labels. Unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)

    query: Annotated[Any, WithJsonSchema(_QUERY)] = Field(None, description="text, or ids if the items are")
    items: Annotated[Any, WithJsonSchema(_ITEMS)] = Field(None, description="one text, texts, or lists of ids")
    label_token_ids: Annotated[Any, WithJsonSchema(_LABELS)] = Field(None, description="ids, or a list for each item")
    apply_softmax: bool = Field(False, description="whether the scores of an item's labels sum to 1")
    item_first: bool = Field(False, description="whether each item comes before the query")
    temperature: float = Field(1.0, description="divides log probabilities before the softmax; > 0, 1 without one")
    return_token_logprobs: bool = Field(False, description="also the log probabilities, as `token_logprobs`")
    model: str = Field("default", description="comes back")


class Scores(BaseModel):
    """A row of scores for each item, a score for each of its labels."""

    object: str
    scores: list[list[float]]
    token_logprobs: list[list[float]]
    model: str
    usage: dict[str, Any]


class _Item(NamedTuple):
    """prompt_ids: query and item. labels: in the order asked. parts: of them, what is asked of the engine at once."""

    prompt_ids: tuple[int, ...]
    labels: list[int]
    parts: list[tuple[int, ...]]


def prepare_score(service: Service, body: bytes) -> Work:
    """The work that a score body asks for: a token after each prompt, of which only the alternatives are looked at."""
    asked = parse_body(ScoreBody, body)
    if asked.temperature <= 0:
        raise bad_value(f"temperature must be > 0, got {shown(asked.temperature)}")
    if asked.temperature != 1 and not asked.apply_softmax:
        raise bad_value(f"temperature must be 1 unless apply_softmax is true, got {shown(asked.temperature)}")
    prompts = _prompts(service, asked)
    items = [
        _Item(prompt, labels, _parts(labels))
        for prompt, labels in zip(prompts, _labels(service, asked.label_token_ids, len(prompts)), strict=True)
    ]
    num_requests = sum(len(item.parts) for item in items)
    if num_requests > service.max_queue:
        limit = f"<= {service.max_queue} (this server's MAX_QUEUE)"
        raise bad_value(f"items, each times its labels / {MAX_GIVEN_LOGPROBS}, must be {limit}, got {num_requests}")
    requests = [
        GenerationRequest(
            service.new_id(),
            item.prompt_ids,
            SamplingParams(max_tokens=1, temperature=1.0, logprobs=True, logprob_token_ids=part),
        )
        for item in items
        for part in item.parts
    ]
    return Work(requests, ScoreRenderer(asked, items), stream=False, wants_tokens=True)


class ScoreRenderer:
    """Scores, when all that was asked of the engine is there."""

    def __init__(self, asked: ScoreBody, items: Sequence[_Item]):
        self._asked = asked
        self._items = items
        self._given: dict[int, tuple[float, ...]] = {}  # by request

    def push(self, progress: Progress) -> bytes:
        if progress.end is not None and progress.end.reason is FinishReason.CANCELLED:
            raise HttpError(503, "the request was aborted")
        if progress.logprobs:
            self._given[progress.index] = progress.logprobs[0].given
        return b""

    def end_stream(self) -> bytes:
        raise AssertionError("scores are never a stream")

    def body(self) -> bytes:
        rows, index = [], 0
        for item in self._items:
            found: dict[int, float] = {}
            for part in item.parts:
                found.update(zip(part, self._given[index], strict=True))
                index += 1
            rows.append([found[label] for label in item.labels])
        asked = self._asked
        scores = [_softmax(row, asked.temperature) if asked.apply_softmax else list(map(math.exp, row)) for row in rows]
        num_tokens = sum(len(item.prompt_ids) for item in self._items)
        answer: dict[str, Any] = {
            "object": "scoring",
            "scores": scores,
            "model": asked.model,
            "usage": {"prompt_tokens": num_tokens, "completion_tokens": 0, "total_tokens": num_tokens},
        }
        return to_json(answer | {"token_logprobs": rows} if asked.return_token_logprobs else answer)


def _softmax(logprobs: Sequence[float], temperature: float) -> list[float]:
    most = max(logprobs)
    weights = [math.exp((logprob - most) / temperature) for logprob in logprobs]
    total = sum(weights)
    return [weight / total for weight in weights]


def _prompts(service: Service, asked: ScoreBody) -> list[tuple[int, ...]]:
    """The ids of query and item, for each item."""
    for name in ("query", "items"):
        if getattr(asked, name) is None:
            raise bad_value(f"{name} is required")
    items = [asked.items] if isinstance(asked.items, str) else asked.items
    if not isinstance(items, list):
        expected = "a string, or an array of strings or of arrays of integers"
        raise bad_value(f"items must be {expected}, got {shown(items)}")
    if not items:
        raise bad_value("items must not be empty")
    if len(items) > service.max_queue:
        raise bad_value(f"items must be at most {service.max_queue} (this server's MAX_QUEUE), got {len(items)}")
    query = asked.query
    rows: list[list[int]]
    if isinstance(query, str):
        for i, item in enumerate(items):
            if not isinstance(item, str):
                raise bad_value(f"items[{i}] must be a string, as query is, got {shown(item)}")
        texts = [item + query if asked.item_first else query + item for item in items]
        rows = [service.encode_prompt(text) for text in texts]
    elif is_ids(query):
        for i, item in enumerate(items):
            if not is_ids(item):
                refuse_ids(f"items[{i}]", item, "an array of integers, as query is")
        parts = cast(list[list[int]], items)
        rows = [item + query if asked.item_first else query + item for item in parts]
    else:
        refuse_ids("query", query, "a string or an array of integers")
    context = service.config.block_size
    for i, row in enumerate(rows):
        check_ids(row, service.config.vocab_size)
        if not row:
            raise bad_value(f"query and items[{i}] must not both be empty")
        if len(row) >= context:
            raise bad_value(
                f"The input ({len(row)} tokens) is longer than the model's context length ({context} tokens)."
            )
    return list(map(tuple, rows))


def _labels(service: Service, given: Any, num_items: int) -> list[list[int]]:
    """The labels of each item."""
    if is_ids(given):
        rows = [given] * num_items
    elif isinstance(given, list) and all(map(is_ids, given)):
        rows = given
    else:
        refuse_ids("label_token_ids", given, IDS_OR_LISTS, nested=True)
    if len(rows) != num_items:
        raise bad_value(f"label_token_ids must be one list, or one for each of {num_items} items, got {len(rows)}")
    for i, row in enumerate(rows):
        if not row:
            raise bad_value(f"label_token_ids{'' if is_ids(given) else f'[{i}]'} must not be empty")
    for row in rows[:1] if is_ids(given) else rows:
        check_ids(row, service.config.vocab_size)
    return rows


def _parts(labels: Sequence[int]) -> list[tuple[int, ...]]:
    """Distinct labels, as many at once as the engine reports of one token."""
    ids = tuple(dict.fromkeys(labels))
    return [ids[i : i + MAX_GIVEN_LOGPROBS] for i in range(0, len(ids), MAX_GIVEN_LOGPROBS)]


ROUTE = Route(
    path="/v1/score",
    summary="How likely tokens are to come next",
    prepare=prepare_score,
    request_model=ScoreBody,
    answer_model=Scores,
    stream_meaning="",
    check_headers=check_json,
)
