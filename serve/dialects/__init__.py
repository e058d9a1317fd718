"""The HTTP dialects that this server speaks. A new one is a module here and an entry in DIALECTS."""

from serve.dialects import microgpt_v1, sglang
from serve.dialects.base import Asked, Dialect, Operation, Renderer, Reply, Route, Work

DIALECTS: tuple[Dialect, ...] = (microgpt_v1.DIALECT, sglang.DIALECT)

__all__ = ["DIALECTS", "Asked", "Dialect", "Operation", "Renderer", "Reply", "Route", "Work"]
