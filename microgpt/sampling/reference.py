"""The reference for choosing a token: NumPy, float64, one row at a time, written to be read.

Order: masks, temperature, top_k, top_p (renormalised), draw. "Likeliest first" means by logit, and of equal logits
the higher id first; greedy is its first element, so top_k = 1 and temperature 0 agree.
"""

from collections.abc import Callable

import numpy as np

from microgpt.errors import NumericalError
from microgpt.params import SamplingParams


def next_token(logits: np.ndarray, params: SamplingParams, num_sampled: int, draw: Callable[[], float]) -> int:
    """The id to append, given float (vocab,) logits and how many tokens were sampled before it.

    draw: called once unless greedy. Raises NumericalError if a logit is NaN or infinite.
    """
    z = np.array(logits, np.float64)  # (vocab,), a copy
    if not np.isfinite(z).all():
        raise NumericalError("the model produced logits that are not finite")
    z[list(params.suppress_token_ids)] = -np.inf
    if num_sampled < params.min_tokens:
        z[list(params.stop_token_ids)] = -np.inf
    order = np.lexsort((np.arange(len(z)), z))[::-1]  # likeliest first
    if params.temperature == 0:
        return int(order[0])
    # The maximum is subtracted before dividing, so that no temperature, however small, overflows.
    with np.errstate(over="ignore"):  # -inf is what a hopeless token should get
        p = np.exp((z - z.max()) / params.temperature)
    if params.top_k:
        p[order[params.top_k :]] = 0
    if params.top_p < 1:
        running = np.cumsum(p[order])
        before = np.concatenate([[0.0], running[:-1]])  # probability of everything likelier
        p[order[before >= params.top_p * running[-1]]] = 0
    running = np.cumsum(p)
    hits = np.flatnonzero(running > draw() * running[-1])
    return int(hits[0]) if len(hits) else int(np.flatnonzero(p)[-1])
