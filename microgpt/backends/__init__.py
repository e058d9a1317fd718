"""Backends: where the arithmetic happens. `create` picks one; only then is its library imported."""

from microgpt.backends.base import DEVICES, DTYPES, RNGS, Backend, Burst, Feed, create

__all__ = ["DEVICES", "DTYPES", "RNGS", "Backend", "Burst", "Feed", "create"]
