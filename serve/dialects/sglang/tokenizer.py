"""Text to ids and back: POST /tokenize and /detokenize, each also below /v1."""

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import to_json

from microgpt import MicrogptError
from microgpt.chat import Message
from serve.dialects.base import Reply, Route
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
from serve.messages import MessageBody, check_messages
from serve.service import Service

MAX_TEXTS = 4096  # in one request: each costs some microseconds, however short it is

_STRINGS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_INTEGERS = {"type": "array", "items": {"type": "integer"}}
_CHOICE = {"anyOf": [{"type": "string"}, {"type": "object"}]}
_MODEL = Field("default", description="taken and ignored")


class TokenizeBody(BaseModel):
    """A prompt, or the messages of a conversation. Unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")

    model: str = _MODEL
    prompt: Annotated[Any, WithJsonSchema(_STRINGS)] = Field(None, description="text; or else `messages`")
    messages: Annotated[list[MessageBody], Field(fail_fast=True)] | None = Field(
        None, description="the turns of a conversation"
    )
    add_special_tokens: bool = Field(True, description="one BOS in front of each text that does not begin with it")
    add_generation_prompt: bool = Field(True, description="whether the token that makes the model speak comes last")
    return_pieces: bool = Field(False, description="also the text of each token by itself, as `pieces`")
    continue_final_message: bool = Field(False, description="must be false")
    tools: list[Any] = Field([], description="must be empty, unless tool_choice is none")
    tool_choice: Annotated[Any, WithJsonSchema(_CHOICE)] = Field("auto", description="none leaves tools out")
    chat_template_kwargs: dict[str, Any] = Field({}, description="taken and ignored")


class Tokenized(BaseModel):
    """Lists of lists and of counts for a list of texts; the last two for messages alone, `pieces` if asked for."""

    tokens: list[int] | list[list[int]]
    count: int | list[int]
    max_model_len: int
    pieces: list[str] | list[list[str]]
    tokens_dropped: int
    spans: list[tuple[int, int] | None]


class DetokenizeBody(BaseModel):
    """Ids, of one text or of several. Unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")

    model: str = _MODEL
    tokens: Annotated[Any, WithJsonSchema({"anyOf": [_INTEGERS, {"type": "array", "items": _INTEGERS}]})] = Field(
        description="ids of the vocabulary"
    )
    skip_special_tokens: bool = Field(True, description="false shows them by their names, such as <bos>")


class Detokenized(BaseModel):
    """A list for a list of lists."""

    text: str | list[str]


def prepare_tokenize(service: Service, body: bytes) -> Reply:
    """The ids of a prompt, or those that a chat request with these messages gives the model."""
    asked = parse_body(TokenizeBody, body)
    if (asked.prompt is None) == (asked.messages is None):
        got = "neither" if asked.prompt is None else "both"
        raise bad_value(f"exactly one of prompt and messages must be given, got {got}")
    if not isinstance(asked.tool_choice, str | dict):
        raise bad_value(f"tool_choice must be a string or an object, got {shown(asked.tool_choice)}")
    answer: dict[str, Any] = {}
    if asked.messages is not None:
        rows = [_chat_ids(service, asked, answer)]
    else:
        rows = [service.encode_prompt(text, add_bos=asked.add_special_tokens) for text in _texts(asked.prompt)]
    if asked.return_pieces:
        name = service.tokenizer.token_name
        answer["pieces"] = [[name(token) for token in row] for row in rows]
    answer |= {"tokens": rows, "count": [len(row) for row in rows]}
    if not isinstance(asked.prompt, list):
        answer |= {key: answer[key][0] for key in ("tokens", "count", "pieces") if key in answer}
    return Reply(to_json(answer | {"max_model_len": service.config.block_size}))


def prepare_detokenize(service: Service, body: bytes) -> Reply:
    """The text of ids."""
    asked = parse_body(DetokenizeBody, body)
    single = is_ids(asked.tokens)  # [] too
    rows = [asked.tokens] if single else asked.tokens
    if not isinstance(rows, list) or not all(map(is_ids, rows)):
        refuse_ids("tokens", asked.tokens, IDS_OR_LISTS, nested=True)
    _check_number("tokens", rows)
    tokenizer = service.tokenizer
    special = {} if asked.skip_special_tokens else {i: tokenizer.token_name(i).encode() for i in tokenizer.special_ids}
    texts = []
    for row in rows:
        check_ids(row, service.config.vocab_size)
        pieces = [special.get(token) or tokenizer.token_bytes(token) for token in row]
        texts.append(b"".join(pieces).decode("utf-8", "replace"))
    return Reply(to_json({"text": texts[0] if single else texts}))


def _texts(prompt: Any) -> list[str]:
    texts = [prompt] if isinstance(prompt, str) else prompt
    if not isinstance(texts, list):
        raise bad_value(f"prompt must be a string or an array of strings, got {shown(prompt)}")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise bad_value(f"prompt[{i}] must be a string, got {shown(text)}")
    _check_number("prompt", texts)
    return texts


def _check_number(field: str, items: list[Any]) -> None:
    if len(items) > MAX_TEXTS:
        raise bad_value(f"{field} must have at most {MAX_TEXTS} texts, got {len(items)}")


def _chat_ids(service: Service, asked: TokenizeBody, answer: dict[str, Any]) -> list[int]:
    """The ids of the messages; adds what was dropped to `answer`."""
    if asked.continue_final_message:
        raise bad_value("continue_final_message must be false, got true")
    if asked.tools and asked.tool_choice != "none":
        raise bad_value(f"tools must be empty, as this server has no tools, got {len(asked.tools)}")
    messages = asked.messages or []
    try:
        check_messages(messages)
        prompt = service.chat_prompt([Message(cast(Literal["user"], each.role), each.content) for each in messages])
    except HttpError as error:
        raise bad_value(error.message) from None
    except MicrogptError as error:
        raise bad_value(str(error)) from None
    answer |= {"tokens_dropped": prompt.tokens_dropped, "spans": prompt.spans}
    return list(prompt.ids if asked.add_generation_prompt else prompt.ids[:-1])


def _routes(
    name: str, summary: str, prepare: Any, request_model: type[BaseModel], answer_model: type[BaseModel]
) -> tuple[Route, ...]:
    return tuple(
        Route(path, summary, prepare, request_model, answer_model, "", check_headers=check_json, generates=False)
        for path in (f"/{name}", f"/v1/{name}")
    )


ROUTES = (
    *_routes("tokenize", "Text or messages to ids", prepare_tokenize, TokenizeBody, Tokenized),
    *_routes("detokenize", "Ids to text", prepare_detokenize, DetokenizeBody, Detokenized),
)
