"""Backends: where the arithmetic happens. `create` picks one; only then is its library imported."""

from microgpt.backends.base import (
    BACKENDS,
    DEVICES,
    DTYPES,
    PAGE_TOKENS,
    RNGS,
    Backend,
    Burst,
    Feed,
    create,
    page_count,
    pages_for,
)

__all__ = [
    "BACKENDS",
    "DEVICES",
    "DTYPES",
    "PAGE_TOKENS",
    "RNGS",
    "Backend",
    "Burst",
    "Feed",
    "create",
    "page_count",
    "pages_for",
]
