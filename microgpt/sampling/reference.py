"""The reference for choosing a token: NumPy, float64, one row at a time, written to be read.

Order: repetition, frequency and presence penalty; bias; masks; temperature; top_k, top_p (renormalised), min_p; draw.
Log probabilities are taken after the temperature and before the filters; greedy counts as temperature 1.

Masks say what can never come, whatever its bias: suppressed ids, end tokens before min_tokens, what a grammar does not
allow. Log probabilities are therefore of the tokens that could come.

"Likeliest first" means by logit after penalties, bias and masks, and of equal logits the higher id first. Greedy is its
first element, so top_k = 1 and temperature 0 agree. top_k and top_p cut this order, equal logits or not; min_p goes by
probability, so of equal logits it keeps all or none, and min_p = 1 keeps all that equal the largest.
"""

from collections.abc import Callable, Sequence

import numpy as np

from microgpt.errors import InvalidRequest, NumericalError
from microgpt.logprobs import LOWEST_LOGPROB, TokenLogprobs
from microgpt.params import SamplingParams

# Logits stay within this after the repetition penalty: a tiny one would make them infinite, and their differences NaN.
MOST_PENALISED = 1e30


def next_token(
    logits: np.ndarray,
    params: SamplingParams,
    num_sampled: int,
    draw: Callable[[], float],
    *,
    prompt_ids: Sequence[int] = (),
    output_ids: Sequence[int] = (),
    allowed: np.ndarray | None = None,
) -> int:
    """The id to append, given float (vocab,) logits and how many tokens were sampled before it.

    draw: called once unless greedy. prompt_ids, output_ids: the tokens so far; only penalties look at them.
    allowed: (vocab,) bool, what a grammar lets come. Raises NumericalError if a logit is NaN or infinite,
    InvalidRequest if no token is left.
    """
    z = adjusted(logits, params, num_sampled, prompt_ids, output_ids, allowed)
    order = likeliest_first(z)
    if params.temperature == 0:
        return int(order[0])
    # The maximum is subtracted before dividing, so that no temperature, however small, overflows.
    with np.errstate(over="ignore"):  # -inf is what a hopeless token should get
        p = np.exp((z - z.max()) / params.temperature)  # the likeliest has exactly 1
    if params.top_k:
        p[order[params.top_k :]] = 0
    if params.top_p < 1:
        running = np.cumsum(p[order])
        before = np.concatenate([[0.0], running[:-1]])  # probability of everything likelier
        p[order[before >= params.top_p * running[-1]]] = 0
    p[p < params.min_p] = 0
    running = np.cumsum(p)
    hits = np.flatnonzero(running > draw() * running[-1])
    return int(hits[0]) if len(hits) else int(np.flatnonzero(p)[-1])


def adjusted(
    logits: np.ndarray,
    params: SamplingParams,
    num_sampled: int,
    prompt_ids: Sequence[int] = (),
    output_ids: Sequence[int] = (),
    allowed: np.ndarray | None = None,
) -> np.ndarray:
    """A copy of the logits (vocab,) after penalties, bias and masks; what cannot come has -inf. Raises as
    next_token does."""
    z = np.array(logits, np.float64)  # (vocab,), a copy
    if not np.isfinite(z).all():
        raise NumericalError("the model produced logits that are not finite")
    seen = list({*prompt_ids, *output_ids})
    if params.repetition_penalty != 1:
        with np.errstate(over="ignore"):
            z[seen] = np.where(z[seen] > 0, z[seen] / params.repetition_penalty, z[seen] * params.repetition_penalty)
        z[seen] = z[seen].clip(-MOST_PENALISED, MOST_PENALISED)
    for token in set(output_ids):
        z[token] -= output_ids.count(token) * params.frequency_penalty + params.presence_penalty
    for token, bias in params.logit_bias:
        z[token] += bias
    z[list(params.suppress_token_ids)] = -np.inf
    if num_sampled < params.min_tokens:
        z[list(params.end_token_ids)] = -np.inf
    if allowed is not None:
        z[~allowed] = -np.inf
    if z.max() == -np.inf:
        raise InvalidRequest("no token is left to sample")
    return z


def likeliest_first(z: np.ndarray) -> np.ndarray:
    """All ids by logit, highest first; of equal logits the higher id first."""
    return np.lexsort((np.arange(len(z)), z))[::-1]


def token_logprobs(z: np.ndarray, params: SamplingParams, chosen: int) -> TokenLogprobs:
    """What is reported of `chosen`, given the adjusted logits z (vocab,) that it was sampled from."""
    with np.errstate(over="ignore"):
        scaled = (z - z.max()) / (params.temperature or 1.0)
    return _report(z, scaled, params, chosen)


def prompt_token_logprobs(logits: np.ndarray, params: SamplingParams, chosen: int) -> TokenLogprobs:
    """What is reported of a prompt's token `chosen`, given the model's logits (vocab,) for its position: neither
    penalties, bias, masks nor temperature touch what nobody samples."""
    z = np.array(logits, np.float64)
    if not np.isfinite(z).all():
        raise NumericalError("the model produced logits that are not finite")
    return _report(z, z - z.max(), params, chosen)


def _report(z: np.ndarray, scaled: np.ndarray, params: SamplingParams, chosen: int) -> TokenLogprobs:
    logprobs = (scaled - np.log(np.exp(scaled).sum())).clip(min=LOWEST_LOGPROB)
    top = likeliest_first(z)[: params.top_logprobs]
    return TokenLogprobs(
        chosen=float(logprobs[chosen]),
        top=tuple((int(i), float(logprobs[i])) for i in top),
        given=tuple(float(logprobs[i]) for i in params.logprob_token_ids),
    )
