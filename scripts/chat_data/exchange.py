"""The unit all topics build: one user message and the reply to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Exchange:
    """What a user wrote, what the model should answer, and the topic it counts under."""

    topic: str
    user: str
    reply: str
