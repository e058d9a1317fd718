"""What /generate answers. Everything that grows is kept as JSON, so that an event of a cumulative stream, which has all
so far, costs a copy and not an encoding.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import to_json

from microgpt import Finished, FinishReason, MicrogptError
from microgpt.logprobs import TokenLogprobs
from microgpt.text_stream import TextStream
from microgpt.tokenizers import Tokenizer
from serve import sse
from serve.errors import as_http_error
from serve.service import Progress

Entry = list[Any]  # [log probability or null, token id, text or null]


@dataclass(frozen=True, slots=True)
class LogprobForm:
    """Which log probabilities an answer has.

    start: the position in the prompt from which on; its length: none of the prompt. num_top, given: as in
    SamplingParams. with_text: whether entries name their tokens.
    """

    start: int
    num_top: int
    given: tuple[int, ...]
    with_text: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a request came: time_s, since the epoch, and the same moment on time.monotonic."""

    time_s: float = field(default_factory=time.time)
    moment_s: float = field(default_factory=time.monotonic)


@dataclass(slots=True, eq=False)
class Sample:
    """One answer in the making.

    limit: most tokens. logprobs: None: none. special_text: as in GenerationRequest. trims_stop_ids: whether the text of
    a token that ends it is cut off; where that has no text anyway, False saves the trouble. shows_prompt: whether
    prompt_token_ids are in the answer. interval: tokens per event of a stream, at least. incremental: whether an event
    has what is new alone.
    """

    rid: str
    prompt_ids: tuple[int, ...]
    limit: int
    tokenizer: Tokenizer
    arrival: Arrival
    special_text: dict[int, str]
    logprobs: LogprobForm | None = None
    trims_stop_ids: bool = False
    shows_prompt: bool = False
    interval: int = 1
    incremental: bool = False

    num_tokens: int = 0
    num_sent: int = 0  # of these, in the last event
    num_cached: int = 0
    first_token_at: float | None = None  # of time.monotonic
    text_length: int = 0  # in characters, what has left for good
    output_ids: list[int] = field(default_factory=list)  # only where the text of the last one may have to go
    # JSON without the outer quotes or brackets, but for input_json: members with a comma in front.
    text_json: bytearray = field(default_factory=bytearray)
    ids_json: bytearray = field(default_factory=bytearray)
    output_logprobs: dict[str, bytearray] = field(default_factory=dict)
    input_json: bytes = b""
    tail_json: bytes = b""

    def __post_init__(self) -> None:
        if self.shows_prompt:
            self.tail_json = b',"prompt_token_ids":' + to_json(self.prompt_ids)
        if self.logprobs is not None:
            self.output_logprobs = {name: bytearray() for name in _lists(self.logprobs, "output")}
            self.input_json = b"".join(b',"%b":[]' % name.encode() for name in _lists(self.logprobs, "input"))

    def push(self, progress: Progress, stream: bool) -> bytes:
        """The answer so far as a JSON object without its closing brace; empty while there is too little news."""
        self._take(progress)
        is_last = progress.end is not None or progress.failure is not None
        if not is_last and (not stream or self.num_tokens - self.num_sent < self.interval):
            return b""
        answer = b'{"text":"%b","output_ids":[%b],"meta_info":{%b}%b' % (
            self.text_json,
            self.ids_json,
            self._meta(progress),
            self.tail_json,
        )
        self.num_sent = self.num_tokens
        if self.incremental:
            for growing in (self.text_json, self.ids_json, *self.output_logprobs.values()):
                growing.clear()
        return answer

    def _take(self, progress: Progress) -> None:
        text, ids = progress.text, progress.token_ids
        if self.trims_stop_ids:
            self.output_ids += ids
            if progress.end is not None and isinstance(progress.end.matched, int):
                rest = TextStream(self.tokenizer, self.special_text).push_last(self.output_ids[:-1])
                text = rest[self.text_length :]
            self.text_length += len(text)
        if text:
            self.text_json += to_json(text)[1:-1]
        if ids:
            _extend(self.ids_json, ids)
            self.num_tokens += len(ids)
        self.num_cached = progress.num_cached
        if progress.first_token_at is not None:
            self.first_token_at = progress.first_token_at
        if (form := self.logprobs) is not None:
            if progress.prompt_logprobs is not None:
                self._take_prompt(form, progress.prompt_logprobs)
            for name, entries in self._entries(form, "output", ids, progress.logprobs):
                _extend(self.output_logprobs[name], entries)

    def _take_prompt(self, form: LogprobForm, logprobs: Sequence[TokenLogprobs | None]) -> None:
        """Of the first token there is only the token, wherever they begin: that is SGLang's form."""
        ids = self.prompt_ids[form.start :]
        self.input_json = b"".join(
            b',"%b":%b' % (name.encode(), to_json(list(entries)))
            for name, entries in self._entries(form, "input", ids, (None, *logprobs[1:]))
        )

    def _entries(
        self, form: LogprobForm, side: str, ids: Sequence[int], logprobs: Sequence[TokenLogprobs | None]
    ) -> Iterable[tuple[str, list[Any]]]:
        """(name of a list in meta_info, what the tokens add to it) for each list."""

        def entry(logprob: float | None, token: int) -> Entry:
            return [logprob, token, self.tokenizer.token_name(token) if form.with_text else None]

        names = _lists(form, side)
        chosen = [
            entry(None if each is None else each.chosen, token) for token, each in zip(ids, logprobs, strict=True)
        ]
        yield names[0], chosen
        if form.num_top:
            yield names[1], [each and [entry(value, token) for token, value in each.top] for each in logprobs]
        if form.given:
            of_given = [
                each and [entry(value, token) for token, value in zip(form.given, each.given, strict=True)]
                for each in logprobs
            ]
            yield names[-1], of_given

    def _meta(self, progress: Progress) -> bytes:
        """The members of meta_info."""
        end, failure = progress.end, progress.failure
        meta: dict[str, Any] = {"id": self.rid, "finish_reason": None, "weight_version": progress.weight_version}
        if end is not None or failure is not None:
            meta["finish_reason"] = self._finish_reason(end, failure)
            latency_s = time.monotonic() - self.arrival.moment_s
            meta["e2e_latency"] = latency_s
            if end is not None and end.reason is FinishReason.CANCELLED and end.queue_s is None:
                meta["finish_reason"] = {"type": "abort", "message": "Abort in waiting queue"}
                meta["completion_tokens"] = 0
                return to_json(meta)[1:-1]
            meta["request_received_ts"] = self.arrival.time_s
            meta["request_finished_ts"] = meta["response_sent_to_client_ts"] = self.arrival.time_s + latency_s
            if self.first_token_at is not None:
                meta["first_token_latency"] = self.first_token_at - self.arrival.moment_s
            if end is not None:
                meta["queue_time"] = end.queue_s
                meta["num_retractions"] = end.num_retractions
        meta["prompt_tokens"] = len(self.prompt_ids)
        meta["completion_tokens"] = self.num_tokens
        meta["cached_tokens"] = self.num_cached
        meta["reasoning_tokens"] = 0
        meta.setdefault("num_retractions", 0)
        members = to_json(meta)[1:-1]
        if self.logprobs is None:
            return members
        parts = [members, self.input_json, b',"output_token_logprobs_length":%d' % self.num_tokens]
        parts += [b',"%b":[%b]' % (name.encode(), growing) for name, growing in self.output_logprobs.items()]
        return b"".join(parts)

    def _finish_reason(self, end: Finished | None, failure: MicrogptError | None) -> dict[str, Any]:
        if failure is not None:
            error = as_http_error(failure)
            return {
                "type": "abort",
                "message": error.message,
                "status_code": error.status,
                "err_type": "BadRequestError" if error.status < 500 else "InternalServerError",
            }
        assert end is not None
        match end.reason:
            case FinishReason.STOP:
                return {"type": "stop", "matched": end.matched}
            case FinishReason.LENGTH:
                return {"type": "length", "length": self.limit}
            case FinishReason.CANCELLED:
                return {"type": "abort", "message": "Aborted", "status_code": None, "err_type": None}


class GenerateRenderer:
    """The answers of one request. as_list: several of them, or one for a prompt that came in a list."""

    def __init__(self, samples: Sequence[Sample], *, stream: bool, as_list: bool):
        self._samples = samples
        self._stream = stream
        self._as_list = as_list
        self._answers = [b""] * len(samples)

    def push(self, progress: Progress) -> bytes:
        index = progress.index
        answer = self._samples[index].push(progress, self._stream)
        if not self._stream:
            self._answers[index] = answer + b"}"
            return b""
        if not answer:
            return b""
        return sse.event(answer + (b',"index":%d}' % index if self._as_list else b"}"))

    def end_stream(self) -> bytes:
        return sse.DONE

    def body(self) -> bytes:
        return b"[%b]" % b",".join(self._answers) if self._as_list else self._answers[0]


def _lists(form: LogprobForm, side: str) -> list[str]:
    """The names of the lists in meta_info: of the tokens, the likeliest ones and the given ones."""
    names = [f"{side}_token_logprobs"]
    if form.num_top:
        names.append(f"{side}_top_logprobs")
    if form.given:
        names.append(f"{side}_token_ids_logprobs")
    return names


def _extend(growing: bytearray, items: list[Any]) -> None:
    """Add items to a JSON array without its brackets."""
    if items:
        if growing:
            growing += b","
        growing += to_json(items)[1:-1]
