"""Drawing the next token: random generators, and the slow, obvious reference that backends are tested against."""

from microgpt.sampling.reference import (
    MOST_PENALISED,
    adjusted,
    likeliest_first,
    next_token,
    prompt_token_logprobs,
    token_logprobs,
)
from microgpt.sampling.rng import (
    GENERATORS,
    CounterGenerator,
    Generator,
    ReferenceGenerator,
    counter_start,
    reference_state,
)

__all__ = [
    "GENERATORS",
    "MOST_PENALISED",
    "CounterGenerator",
    "Generator",
    "ReferenceGenerator",
    "adjusted",
    "counter_start",
    "likeliest_first",
    "next_token",
    "prompt_token_logprobs",
    "reference_state",
    "token_logprobs",
]
