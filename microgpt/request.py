"""What is asked of the engine, and what it answers: plain values, shared by engine, service and dialects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from microgpt.errors import MicrogptError
from microgpt.logprobs import TokenLogprobs
from microgpt.params import SamplingParams

if TYPE_CHECKING:
    from microgpt.constraints.matcher import CompiledConstraint


class FinishReason(StrEnum):
    """Why a sequence ended. CANCELLED is what a cancelled request ends with."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"


class Usage(NamedTuple):
    """Token counts. completion_tokens counts every token of a sample, a final stop token included, and with a stop in
    the text up to the token that completed it; num_cached, the prompt tokens whose K and V came from the prefix cache
    or from the sample before."""

    prompt_tokens: int
    completion_tokens: int
    num_cached: int = 0


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A prompt to continue, num_samples times; sample i is drawn with seed + i (modulo 2^64).

    id: unique among live requests. prompt_ids: at least one id of the vocabulary, at most block_size of them.
    special_text: what special tokens look like in the answer's text (id -> text); absent ones are invisible.
    cache_key: requests share K and V of equal beginnings only with requests of the same key.
    constraint: what the whole text of each sample must match, by the compiler for this model's tokenizer.
    """

    id: str
    prompt_ids: tuple[int, ...]
    params: SamplingParams
    special_text: Mapping[int, str] = field(default_factory=dict)
    num_samples: int = 1
    cache_key: str = ""
    constraint: "CompiledConstraint | None" = None


class PromptScored(NamedTuple):
    """The log probabilities of sample `index`'s prompt, before anything else of that sample.

    logprobs: of the tokens at positions [prompt_logprobs_start, num_prompt), each under the tokens before it, by the
    model alone: no temperature, penalty, bias or mask. None for position 0, which nothing comes before.
    """

    request_id: str
    logprobs: tuple[TokenLogprobs | None, ...]
    index: int = 0


class TokenEvent(NamedTuple):
    """New tokens of sample `index` of a request (at least one), and the text that they complete.

    `text` may be empty while a UTF-8 character is incomplete, or while it could become a stop string. The texts of all
    events of a sample, joined, are the decoding of all its tokens, but for the text of a stop that is cut off.
    logprobs: of each token, if the request asked for them. num_cached: as in Usage.
    """

    request_id: str
    token_ids: tuple[int, ...]
    text: str
    index: int = 0
    logprobs: tuple[TokenLogprobs, ...] = ()
    num_cached: int = 0


class Finished(NamedTuple):
    """The terminal event of a sample that ran to its end or was cancelled.

    matched: what stopped it: a stop token's id, a stop string or a pattern. queue_s: seconds from its acceptance by the
    engine to its slot; None if it was cancelled before it had one. num_retractions: how often it lost its slot and got
    another one.
    """

    request_id: str
    reason: FinishReason
    usage: Usage
    index: int = 0
    matched: int | str | None = None
    queue_s: float | None = None
    num_retractions: int = 0


class Failed(NamedTuple):
    """The terminal event of a sample that could not go on."""

    request_id: str
    error: MicrogptError
    index: int = 0


Event = PromptScored | TokenEvent | Finished | Failed
Terminal = Finished | Failed
