"""Chat messages -> prompt ids: the turn template, and which tokens go when a conversation outgrows the context.

A turn is its role token, its content, `end_turn`; the prompt ends with the assistant token, so that the model
speaks next. Contents are encoded one by one, apart from the template, and never become special tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from microgpt.errors import InvalidRequest
from microgpt.params import SamplingParams
from microgpt.tokenizers import ChatTokens, Tokenizer

MIN_BLOCK_SIZE = 8  # below this the template alone fills the context


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """ids: what the model is given. full_ids: the whole conversation rendered. tokens_dropped: how many of those
    the model does not see. turn_lengths: how many of `ids` each message has, its role token and end_turn among them;
    0 if it was dropped."""

    ids: tuple[int, ...]
    full_ids: tuple[int, ...]
    tokens_dropped: int
    turn_lengths: tuple[int, ...]

    @property
    def spans(self) -> list[tuple[int, int] | None]:
        """Of each message, from where to where in `ids` it is (half-open); None if it was dropped."""
        end = len(self.ids) - 1 - sum(self.turn_lengths)  # 1 after a BOS, else 0; the assistant token is last
        found: list[tuple[int, int] | None] = []
        for length in self.turn_lengths:
            found.append((end, end + length) if length else None)
            end += length
        return found


def chat_prompt(tokenizer: Tokenizer, block_size: int, messages: Sequence[Message]) -> ChatPrompt:
    """The prompt for a reply to `messages`, shortened to three quarters of the context if need be.

    Raises InvalidRequest for a model without chat tokens, or with a context too small for any turn.
    """
    if tokenizer.chat is None:
        raise InvalidRequest("model was not trained with chat tokens")
    if block_size < MIN_BLOCK_SIZE:
        raise InvalidRequest(f"chat needs a model with block_size >= {MIN_BLOCK_SIZE}, this one has {block_size}")
    turns = [render_turn(tokenizer, tokenizer.chat, message) for message in messages]
    return _fit(turns, tokenizer.chat, tokenizer.bos, keep=block_size - block_size // 4)


def chat_params(tokenizer: Tokenizer, prompt_length: int, block_size: int, **knobs: object) -> SamplingParams:
    """Sampling for a reply: BOS and role tokens never come, `end_turn` ends the reply and does not come first.

    max_tokens is block_size - prompt_length, by default and at most. Raises InvalidRequest for a bad knob.
    """
    if tokenizer.chat is None:
        raise InvalidRequest("model was not trained with chat tokens")
    room = block_size - prompt_length
    asked = knobs.pop("max_tokens", None)
    chat = tokenizer.chat
    return SamplingParams(
        max_tokens=room if not isinstance(asked, int) else min(asked, room),
        min_tokens=1,
        stop_token_ids=(chat.end_turn,),
        suppress_token_ids=(tokenizer.bos, chat.user, chat.assistant),
        **knobs,  # pyright: ignore[reportArgumentType]
    )


def render_turn(tokenizer: Tokenizer, chat: ChatTokens, message: Message) -> list[int]:
    """Role token, content, end_turn."""
    return [chat.role(message.role), *tokenizer.encode(message.content), chat.end_turn]


def _fit(turns: list[list[int]], chat: ChatTokens, bos: int, keep: int) -> ChatPrompt:
    """The newest turns that fit in `keep` tokens after a BOS; the last user turn survives, shortened if need be."""
    full = (*(token for turn in turns for token in turn), chat.assistant)
    if len(full) <= keep:
        return ChatPrompt(full, full, 0, tuple(map(len, turns)))
    start = full.index(chat.end_turn, len(full) - keep) + 1  # exists: the last turn ends two tokens before the end
    num_dropped, num_tokens = 0, 0
    while num_tokens < start:
        num_tokens += len(turns[num_dropped])
        num_dropped += 1
    kept: list[list[int]] = [[]] * num_dropped + turns[num_dropped:]
    user_turns = [i for i, turn in enumerate(turns) if turn[0] == chat.user]
    if user_turns and user_turns[-1] < num_dropped:
        kept = [[]] * user_turns[-1] + _shorten_last_user_turn(turns[user_turns[-1] :], chat, keep)
    prompt = (bos, *(token for turn in kept for token in turn), chat.assistant)
    return ChatPrompt(prompt, full, len(full) - (len(prompt) - 1), tuple(map(len, kept)))


def _shorten_last_user_turn(turns: list[list[int]], chat: ChatTokens, keep: int) -> list[list[int]]:
    """What is kept of a user turn and the assistant turns after it: the end of its content; of the others, the oldest
    go first until some of the content fits."""
    content, later = turns[0][1:-1], turns[1:]
    room = keep - 4 - sum(map(len, later))  # for content, beside BOS, user, end_turn and the final assistant token
    first = 0
    while first < len(later) and room < min(1, len(content)):
        room += len(later[first])
        first += 1
    kept = [chat.user, *content[max(0, len(content) - room) :], chat.end_turn]
    return [kept, *([[]] * first), *later[first:]]
