"""The project's own dialect: POST /microgpt/v1/generate and POST /microgpt/v1/chat.

Bodies, checks, their order and their texts follow the original service wherever its clients could tell.
"""

from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, WithJsonSchema
from pydantic_core import PydanticCustomError, to_json

from microgpt import FinishReason, GenerationRequest, SamplingParams, Usage
from microgpt.chat import Message, chat_params
from microgpt.params import BOUNDS, MAX_SEED
from microgpt.text_stream import WHITE_SPACE, TrimStream
from serve import sse
from serve.body import parse_json, validate
from serve.dialects.base import Dialect, Route, Work
from serve.errors import HttpError, error_body, rust_debug, shown
from serve.service import Progress, Service

MAX_SAMPLES = 50
MAX_MESSAGES = 4096  # far more than any tiny context holds; a million tiny ones would cost seconds to look at
# The original took a body that is an array for its fields in order, four of them; what followed was bad JSON (400)
# while fewer were a bad value (422). Arrays are refused here, with those statuses.
ORIGINAL_FIELDS = 4
NO_CHAT = "model was not trained with chat tokens"

M = TypeVar("M", bound=BaseModel)
Unsigned = Annotated[int, Field(ge=0, le=MAX_SEED)]
# Beside temperature, top_k and top_p, which the original has too.
MORE_BOUNDS = ("min_p", "repetition_penalty", "frequency_penalty", "presence_penalty")
MORE_KNOBS = (*MORE_BOUNDS, "stop")


def _as_strings(value: Any) -> Any:
    """A list for what may be one string alone."""
    if not isinstance(value, str | list):
        raise PydanticCustomError("strings", "a string or an array of strings")
    return [value] if isinstance(value, str) else value


Strings = Annotated[
    list[str],
    FailFast(),
    BeforeValidator(_as_strings),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class _Sampling(BaseModel):
    """The fields that both bodies share. Unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")

    temperature: float = Field(0.5, description="divides the logits, >= 0; 0 is greedy")
    seed: Unsigned = Field(42, description="start of the random generator")
    max_tokens: Unsigned | None = Field(None, description="most tokens to sample, >= 1; capped at the context")
    top_k: int = Field(0, description="keep only the k likeliest tokens, >= 0; 0: all")
    top_p: float = Field(1.0, description="keep the likeliest tokens that reach this probability, in (0, 1]")
    min_p: float = Field(
        0.0, description="keep tokens with at least this share of the likeliest one's probability, in [0, 1]"
    )
    repetition_penalty: float = Field(
        1.0, description="divides positive logits and multiplies others of tokens that were there, in (0, 2]"
    )
    frequency_penalty: float = Field(
        0.0, description="subtracted from a token's logit for each time it is in the answer, in [-2, 2]"
    )
    presence_penalty: float = Field(
        0.0, description="subtracted from the logits of tokens that are in the answer, in [-2, 2]"
    )
    stop: Strings = Field(
        [], description="text that ends the answer and is cut off; at most 32, of 1 to 256 characters"
    )
    stream: bool = Field(False, description="answer with Server-Sent Events")


class GenerateBody(_Sampling):
    """Samples from nothing but the beginning of a document. Sample i uses seed + i (mod 2^64)."""

    num_samples: Unsigned = Field(1, description="how many samples, >= 1; more than 50 gives 50")


class MessageBody(BaseModel):
    """One turn."""

    model_config = ConfigDict(strict=True, extra="ignore")

    role: str = Field(description="user or assistant", json_schema_extra={"enum": ["user", "assistant"]})
    content: str = Field(description="not only white space", json_schema_extra={"minLength": 1})


class ChatBody(_Sampling):
    """A conversation to reply to."""

    # FailFast: of a million wrong messages the first is enough.
    messages: Annotated[list[MessageBody], FailFast()] = Field(
        description="at least one turn", json_schema_extra={"minItems": 1, "maxItems": MAX_MESSAGES}
    )


class GenerateAnswer(BaseModel):
    """The samples, stripped of outer white space."""

    samples: list[str]


class ChatAnswer(BaseModel):
    """The reply, stripped of outer white space; tokens_dropped: of the conversation, to fit the context."""

    role: Literal["assistant"] = "assistant"
    content: str
    tokens_dropped: int


def prepare_generate(service: Service, body: bytes) -> Work:
    """The work that a generate body asks for."""
    asked = _parse(GenerateBody, body)
    _check_bounds(asked, "temperature")
    if asked.num_samples < 1:
        raise HttpError(400, "num_samples must be >= 1")
    num_samples = min(asked.num_samples, MAX_SAMPLES)
    if num_samples > service.max_queue:
        limit = f"<= {service.max_queue} (this server's MAX_QUEUE)"
        raise HttpError(400, f"num_samples must be {limit}, got {shown(asked.num_samples)}")
    _check_max_tokens(asked)
    _check_bounds(asked, "top_k", "top_p", *MORE_BOUNDS)
    tokenizer, block_size = service.tokenizer, service.config.block_size
    special_text = {tokenizer.chat.end_turn: "\n"} if tokenizer.chat else {}
    params = SamplingParams(
        max_tokens=min(asked.max_tokens or block_size, block_size),
        seed=asked.seed,
        stop_token_ids=(tokenizer.bos,),
        **_knobs(service, asked),
    )
    request = GenerationRequest(service.new_id(), (tokenizer.bos,), params, special_text, num_samples)
    return Work([request], GenerateRenderer(num_samples, asked.stream), asked.stream)


def prepare_chat(service: Service, body: bytes) -> Work:
    """The work that a chat body asks for."""
    asked = _parse(ChatBody, body)
    if service.tokenizer.chat is None:  # before any look at the values, as the original does
        raise HttpError(400, NO_CHAT)
    _check_bounds(asked, "temperature")
    _check_max_tokens(asked)
    _check_messages(asked.messages)
    _check_bounds(asked, "top_k", "top_p", *MORE_BOUNDS)
    messages = [Message(cast(Any, message.role), message.content) for message in asked.messages]
    prompt = service.chat_prompt(messages)
    params = chat_params(
        service.tokenizer,
        len(prompt.ids),
        service.config.block_size,
        max_tokens=asked.max_tokens,
        seed=asked.seed,
        **_knobs(service, asked),
    )
    request = GenerationRequest(service.new_id(), prompt.ids, params)
    return Work([request], ChatRenderer(prompt.tokens_dropped, asked.stream), asked.stream)


class _Text:
    """The text of one sequence in the making, outer white space trimmed."""

    __slots__ = ("_trim", "end_reason", "text", "usage")

    def __init__(self) -> None:
        self._trim = TrimStream()
        self.text = ""
        self.end_reason = FinishReason.CANCELLED
        self.usage = Usage(0, 0)

    def push(self, progress: Progress) -> str:
        """What `progress` adds to the visible text."""
        delta = self._trim.push(progress.text)
        self.text += delta
        if progress.end is not None:
            self.end_reason, self.usage = progress.end.reason, progress.end.usage
        return delta


class GenerateRenderer:
    """Samples side by side."""

    def __init__(self, num_samples: int, stream: bool):
        self._samples = [_Text() for _ in range(num_samples)]
        self._stream = stream

    def push(self, progress: Progress) -> bytes:
        delta = self._samples[progress.index].push(progress)
        if not delta or not self._stream:
            return b""
        return sse.event(to_json({"index": progress.index, "delta": delta}))

    def end_stream(self) -> bytes:
        answer = {
            "samples": [sample.text for sample in self._samples],
            "finish_reasons": [sample.end_reason for sample in self._samples],
            "usage": {
                "prompt_tokens": self._samples[0].usage.prompt_tokens,
                "completion_tokens": sum(sample.usage.completion_tokens for sample in self._samples),
            },
        }
        return sse.event(to_json(answer)) + sse.DONE

    def body(self) -> bytes:
        return to_json({"samples": [sample.text for sample in self._samples]})


class ChatRenderer:
    """One reply."""

    def __init__(self, tokens_dropped: int, stream: bool):
        self._tokens_dropped = tokens_dropped
        self._stream = stream
        self._reply = _Text()

    def push(self, progress: Progress) -> bytes:
        delta = self._reply.push(progress)
        return sse.event(to_json({"delta": delta})) if delta and self._stream else b""

    def end_stream(self) -> bytes:
        usage = self._reply.usage
        ending = {
            "finish_reason": self._reply.end_reason,
            "usage": {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens},
        }
        return sse.event(to_json(self._answer() | ending)) + sse.DONE

    def body(self) -> bytes:
        return to_json(self._answer())

    def _answer(self) -> dict[str, Any]:
        return {"role": "assistant", "content": self._reply.text, "tokens_dropped": self._tokens_dropped}


def _parse(model: type[M], body: bytes) -> M:
    value = parse_json(body)
    if isinstance(value, list) and len(value) > ORIGINAL_FIELDS:
        raise HttpError(400, "body must be an object, got an array")
    messages = value.get("messages") if isinstance(value, dict) else None
    if isinstance(messages, list) and len(messages) > MAX_MESSAGES:
        raise HttpError(400, f"messages must have at most {MAX_MESSAGES} turns, got {len(messages)}")
    return validate(model, value)


def _check_bounds(asked: _Sampling, *names: str) -> None:
    for name in names:
        value = getattr(asked, name)
        if not BOUNDS[name].admits(value):
            raise HttpError(400, f"{name} must be {BOUNDS[name]}, got {shown(value)}")


def _check_max_tokens(asked: _Sampling) -> None:
    if asked.max_tokens == 0:
        raise HttpError(400, "max_tokens must be >= 1 when specified")


def _knobs(service: Service, asked: _Sampling) -> dict[str, Any]:
    """What shapes the distribution, and the stops. A top_k above the vocabulary keeps everything, like 0."""
    top_k = asked.top_k if asked.top_k < service.config.vocab_size else 0
    given = {name: getattr(asked, name) for name in MORE_KNOBS if name in asked.model_fields_set}
    return {"temperature": asked.temperature, "top_k": top_k, "top_p": asked.top_p, **given}


def _check_messages(messages: list[MessageBody]) -> None:
    if not messages:
        raise HttpError(400, "messages must not be empty")
    for i, message in enumerate(messages):
        if message.role not in ("user", "assistant"):
            raise HttpError(400, f"messages[{i}]: unknown role {rust_debug(message.role)}")
        if not message.content.strip(WHITE_SPACE):
            raise HttpError(400, f"messages[{i}]: content must not be empty")


def _error_body(error: HttpError) -> bytes:
    return error_body(error.message)


def _end_stream(error: HttpError) -> bytes:
    return sse.event(error_body(error.message)) + sse.DONE


DIALECT = Dialect(
    name="microgpt_v1",
    routes=(
        Route(
            path="/microgpt/v1/generate",
            summary="Sample documents",
            prepare=prepare_generate,
            request_model=GenerateBody,
            answer_model=GenerateAnswer,
            stream_meaning=(
                'events {"index", "delta"}, samples interleaved; then {"samples", "finish_reasons", "usage"}; [DONE]'
            ),
        ),
        Route(
            path="/microgpt/v1/chat",
            summary="Reply to a conversation",
            prepare=prepare_chat,
            request_model=ChatBody,
            answer_model=ChatAnswer,
            stream_meaning=(
                'events {"delta"}; then {"role", "content", "tokens_dropped", "finish_reason", "usage"}; [DONE]'
            ),
        ),
    ),
    error_body=_error_body,
    end_stream=_end_stream,
)
