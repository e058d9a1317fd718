"""The messages of a conversation, as bodies of all dialects have them."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from microgpt.text_stream import WHITE_SPACE
from serve.errors import HttpError, rust_debug

MAX_MESSAGES = 4096  # far more than any tiny context holds; a million tiny ones would cost seconds to look at


class MessageBody(BaseModel):
    """One turn."""

    model_config = ConfigDict(strict=True, extra="ignore")

    role: str = Field(description="user or assistant", json_schema_extra={"enum": ["user", "assistant"]})
    content: str = Field(description="not only white space", json_schema_extra={"minLength": 1})


def check_number(messages: object) -> None:
    """Raise 400 for a list of too many messages, before any of them is looked at."""
    if isinstance(messages, list) and len(messages) > MAX_MESSAGES:
        raise HttpError(400, f"messages must have at most {MAX_MESSAGES} turns, got {len(messages)}")


def check_messages(messages: Sequence[MessageBody]) -> None:
    """Raise 400 for the first message that no conversation can have."""
    if not messages:
        raise HttpError(400, "messages must not be empty")
    for i, message in enumerate(messages):
        if message.role not in ("user", "assistant"):
            raise HttpError(400, f"messages[{i}]: unknown role {rust_debug(message.role)}")
        if not message.content.strip(WHITE_SPACE):
            raise HttpError(400, f"messages[{i}]: content must not be empty")
