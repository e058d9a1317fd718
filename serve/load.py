"""Load: how busy the engine is, in sequences and tokens, for all who report it."""

import time
from dataclasses import dataclass

from microgpt.backends import PAGE_TOKENS
from serve.engine_client import EngineClient


@dataclass(frozen=True, slots=True)
class Load:
    """A look at the engine; zeros while there is none.

    running, waiting: sequences. used_tokens: room that running ones hold, of max_tokens; waiting_tokens: of prompts
    that have no slot yet. prompt_tokens, cached_tokens: since the start, of prompts begun and of what the prefix cache
    had of them. tokens_per_s: sampled within the last whole second.
    """

    running: int = 0
    waiting: int = 0
    max_running: int = 0
    used_tokens: int = 0
    waiting_tokens: int = 0
    max_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens_per_s: int = 0

    @property
    def token_usage(self) -> float:
        """The share of max_tokens that is used."""
        return self.used_tokens / self.max_tokens if self.max_tokens else 0.0

    @property
    def cache_hit_rate(self) -> float:
        """The share of prompt_tokens that the prefix cache had."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


def load_of(client: EngineClient) -> Load:
    """The load now. Reads single numbers that another thread changes; sums of them may be off by what a step moves."""
    if client.engine is None:
        return Load()
    stats = client.engine.stats
    return Load(
        running=stats.running,
        waiting=max(0, client.in_flight - stats.running),
        max_running=stats.num_slots,
        used_tokens=stats.running_pages * PAGE_TOKENS,
        waiting_tokens=stats.waiting_tokens,
        max_tokens=stats.num_pages * PAGE_TOKENS,
        prompt_tokens=stats.prompt_tokens,
        cached_tokens=stats.cached_tokens,
        tokens_per_s=client.recent_tokens.per_second(time.monotonic()),
    )
