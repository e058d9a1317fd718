"""What is asked of the engine, and what it answers: plain values, shared by engine, service and dialects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from microgpt.errors import MicrogptError
from microgpt.params import SamplingParams


class FinishReason(StrEnum):
    """Why a sequence ended. CANCELLED is what a cancelled request ends with."""

    STOP = "stop"
    LENGTH = "length"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. completion_tokens counts every sampled token, a final stop token included; num_cached, the prompt
    tokens whose K and V came from the prefix cache."""

    prompt_tokens: int
    completion_tokens: int
    num_cached: int = 0


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One sequence to continue.

    id: unique among live requests. prompt_ids: at least one id of the vocabulary, at most block_size of them.
    special_text: what special tokens look like in the answer's text (id -> text); absent ones are invisible.
    """

    id: str
    prompt_ids: tuple[int, ...]
    params: SamplingParams
    special_text: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """New tokens of a running request (at least one), and the text that they complete.

    `text` may be empty while a UTF-8 character is incomplete. The texts of all events of a request, joined, are the
    decoding of all its tokens.
    """

    request_id: str
    token_ids: tuple[int, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The terminal event of a request that ran to its end or was cancelled."""

    request_id: str
    reason: FinishReason
    usage: Usage


@dataclass(frozen=True, slots=True)
class Failed:
    """The terminal event of a request that could not go on."""

    request_id: str
    error: MicrogptError


Event = TokenEvent | Finished | Failed
Terminal = Finished | Failed
