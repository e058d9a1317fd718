"""TokenLogprobs: what is reported of one token when log probabilities are asked for."""

from dataclasses import dataclass

# In place of minus infinity, which JSON does not have: of a token that cannot come. The least finite float32.
LOWEST_LOGPROB = -3.4028234663852886e38


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Natural logarithms, never below LOWEST_LOGPROB.

    chosen: of the token that stands there. top: (id, log probability) of the likeliest tokens, likeliest first.
    given: of SamplingParams.logprob_token_ids, in their order.
    """

    chosen: float
    top: tuple[tuple[int, float], ...] = ()
    given: tuple[float, ...] = ()
