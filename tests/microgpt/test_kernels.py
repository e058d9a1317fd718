"""The CPU kernels against slow oracles, and their promise: the same bits for any number of rows."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
from numba import njit

from microgpt.backends.kernels import matmul as product_kernels
from microgpt.backends.kernels import sample as sample_kernels
from microgpt.backends.kernels.lanes import LANES, exp, load, store
from microgpt.backends.kernels.matmul import ADD, PANEL, RELU, STORE, pack
from microgpt.backends.kernels.sample import (
    BIAS,
    DEFAULT_RNG,
    IN_OUTPUT,
    IN_PROMPT,
    MASKED,
    REFERENCE_RNG,
    STOP,
    SUPPRESSED,
    SampleRoom,
    Slots,
)
from microgpt.constraints.matcher import mask_of
from microgpt.errors import NumericalError
from microgpt.logprobs import LOWEST_LOGPROB
from microgpt.params import SamplingParams
from microgpt.sampling import (
    CounterGenerator,
    ReferenceGenerator,
    adjusted,
    counter_start,
    next_token,
    token_logprobs,
)

# As Python can call them: the kernels' own have no wrappers.
matmul: Any = njit(product_kernels.matmul.py_func)
choose: Any = njit(sample_kernels.choose.py_func)
uniform: Any = njit(sample_kernels.uniform.py_func)

NO_SCALES = np.zeros(0, np.float32)


def multiply(mode: np.int64, x: np.ndarray, w: np.ndarray, y: np.ndarray, scales: np.ndarray = NO_SCALES) -> np.ndarray:
    """matmul on whole 2-D arrays; y (rows, outputs in whole panels) is changed and returned."""
    multiply_share(mode, x, w, y, 0, 1, scales)
    return y


def multiply_share(
    mode: np.int64, x: np.ndarray, w: np.ndarray, y: np.ndarray, thread: int, team: int, scales: np.ndarray = NO_SCALES
) -> None:
    rows, depth = x.shape
    flat = y.reshape(-1)
    matmul(
        mode, rows, len(w), depth, x.reshape(-1), 0, depth, pack(w), 0, scales, 0, 0, flat, 0, y.shape[1], thread, team
    )


def outputs(rows: int, weight: np.ndarray, number: type = np.float32) -> np.ndarray:
    return np.zeros((rows, -(-len(weight) // PANEL) * PANEL), number)


def in_order(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """x w^T by single additions in the order of k, each product exact and each sum rounded once to float32.

    Exactly what a fused multiply-add does, but for double rounding, which exact products of float16 values avoid.
    """
    sums = np.zeros((len(x), len(w)), np.float32)
    for k in range(x.shape[1]):
        sums = (sums.astype(np.float64) + x[:, k, None].astype(np.float64) * w[None, :, k]).astype(np.float32)
    return sums


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize(("n", "depth"), [(27, 16), (192, 64), (384, 128), (1000, 37), (768, 256), (33, 1)])
def test_matmul_gives_a_row_the_same_bits_in_any_number_of_rows(n: int, depth: int, rng: np.random.Generator) -> None:
    w = rng.standard_normal((n, depth)).astype(np.float32)
    x = rng.standard_normal((33, depth)).astype(np.float32)
    alone = np.concatenate([multiply(STORE, x[r : r + 1], w, outputs(1, w)) for r in range(33)])
    np.testing.assert_allclose(alone[:, :n], x.astype(np.float64) @ w.T.astype(np.float64), atol=1e-4)
    for rows in range(1, 34):
        assert multiply(STORE, x[:rows], w, outputs(rows, w)).tobytes() == alone[:rows].tobytes()


@pytest.mark.parametrize("number", [np.float32, np.float64])
def test_matmul_gives_a_row_the_same_bits_where_rows_and_depth_need_several_blocks(
    number: type, rng: np.random.Generator
) -> None:
    """More than 64 rows, with some left over, and a depth that is no multiple of 128 nor of 4."""
    w, x = rng.standard_normal((70, 301)).astype(number), rng.standard_normal((83, 301)).astype(number)
    together = multiply(STORE, x, w, outputs(83, w, number))
    alone = np.concatenate([multiply(STORE, x[r : r + 1], w, outputs(1, w, number)) for r in range(83)])
    assert together.tobytes() == alone.tobytes()


def test_matmul_gives_the_same_bits_however_the_outputs_are_split(rng: np.random.Generator) -> None:
    w, x = rng.standard_normal((300, 40)).astype(np.float32), rng.standard_normal((5, 40)).astype(np.float32)
    whole = multiply(STORE, x, w, outputs(5, w))
    for team in range(1, 12):
        y = outputs(5, w)
        for thread in range(team):
            multiply_share(STORE, x, w, y, thread, team)
        assert y.tobytes() == whole.tobytes()


def test_matmul_sums_in_the_order_of_k(rng: np.random.Generator) -> None:
    w = rng.standard_normal((50, 30)).astype(np.float16).astype(np.float32)
    x = rng.standard_normal((7, 30)).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(multiply(STORE, x, w, outputs(7, w))[:, :50], in_order(x, w))


@pytest.mark.parametrize(("rows", "depth"), [(1, 20), (3, 20), (8, 20), (19, 20), (19, 300)])
def test_matmul_can_add_to_what_is_there_and_cut_off_at_zero(rows: int, depth: int, rng: np.random.Generator) -> None:
    w, x = rng.standard_normal((64, depth)).astype(np.float32), rng.standard_normal((rows, depth)).astype(np.float32)
    plain = multiply(STORE, x, w, outputs(rows, w))
    there = rng.standard_normal(plain.shape).astype(np.float32)
    np.testing.assert_array_equal(multiply(ADD, x, w, there.copy()), there + plain)
    np.testing.assert_array_equal(multiply(RELU, x, w, outputs(rows, w)), np.maximum(plain, 0))


@pytest.mark.parametrize(("rows", "depth"), [(1, 24), (2, 24), (4, 24), (9, 24), (25, 300)])
def test_weights_stored_in_16_bits_give_the_bits_of_their_float32_values(
    rows: int, depth: int, rng: np.random.Generator
) -> None:
    x = rng.standard_normal((rows, depth)).astype(np.float32)
    half = rng.standard_normal((96, depth)).astype(np.float16)
    brain = (rng.standard_normal((96, depth)).astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
    for stored, wide in (
        (half.view(np.int16), half.astype(np.float32)),
        (brain, (brain.astype(np.uint32) << 16).view(np.float32)),
    ):
        y = multiply(STORE, x, stored, outputs(rows, wide))
        assert y.tobytes() == multiply(STORE, x, wide, outputs(rows, wide)).tobytes()


@pytest.mark.parametrize(("rows", "depth"), [(1, 24), (2, 24), (4, 24), (9, 24), (25, 300)])
def test_int8_weights_are_scaled_by_output(rows: int, depth: int, rng: np.random.Generator) -> None:
    x = rng.standard_normal((rows, depth)).astype(np.float32)
    stored = rng.integers(-127, 128, (96, depth)).astype(np.int8)
    scales = rng.random(96).astype(np.float32)
    plain = multiply(STORE, x, stored.astype(np.float32), outputs(rows, stored))
    np.testing.assert_array_equal(multiply(STORE, x, stored, outputs(rows, stored), scales), plain * scales)


def test_exp_is_within_2e_7_of_the_exact_value() -> None:
    import numba

    @numba.njit
    def exponentials(x, y):
        for i in range(0, len(x), LANES):
            store(y, i, exp(load(x, i)))  # pyright: ignore[reportCallIssue]

    x = np.concatenate([np.linspace(-100, 0, 1 << 14), [-np.inf, np.nan, -0.0, -1e-30] * 4]).astype(np.float32)
    y = np.empty_like(x)
    exponentials(x, y)
    exact = np.exp(x.astype(np.float64))
    seen = x >= -87
    np.testing.assert_allclose(y[seen], exact[seen], rtol=2e-7)
    assert (y[x < -87] == 0).all()
    assert np.isnan(y[np.isnan(x)]).all()


def slots_for(
    params: SamplingParams,
    vocab: int,
    num_sampled: int,
    rng: int = DEFAULT_RNG,
    prompt_ids: Sequence[int] = (),
    output_ids: Sequence[int] = (),
    allowed: np.ndarray | None = None,
) -> Slots:
    """One slot with these parameters. allowed: (vocab,) bool, of what may come."""
    marks = np.zeros((1, vocab), np.uint8)
    marks[0, list(params.suppress_token_ids)] |= SUPPRESSED
    marks[0, list(params.stop_token_ids)] |= STOP
    banned = np.flatnonzero(marks[0]).astype(np.int32)
    seed = params.seed or 1 if rng == REFERENCE_RNG else counter_start(params.seed)
    by_token = np.zeros((1, 3, vocab))
    by_token[0, IN_PROMPT, list(prompt_ids)] = 1
    np.add.at(by_token[0, IN_OUTPUT], list(output_ids), 1)
    for token, bias in params.logit_bias:
        by_token[0, BIAS, token] = bias
    is_adjusted = params.has_penalties or bool(params.logit_bias)
    num_top, given = min(params.top_logprobs, vocab), params.logprob_token_ids
    ids = np.zeros((1, vocab + len(given)), np.int32)
    ids[0, : len(banned) + len(given)] = [*banned, *given]
    ints = [
        9, num_sampled, params.min_tokens, params.top_k, rng, len(banned), 0, 0, 0,
        is_adjusted, params.logprobs, num_top, len(given), 0, allowed is not None,
    ]  # fmt: skip
    floats = [
        params.temperature, params.top_p, params.min_p,
        params.repetition_penalty, params.frequency_penalty, params.presence_penalty,
    ]  # fmt: skip
    return Slots(
        np.array(ints)[:, None], np.array(floats)[:, None], np.array([[seed], [0]], np.uint64), marks, ids, by_token,
        np.full(1 + 2 * num_top + len(given), np.nan),
        mask_of([] if allowed is None else np.flatnonzero(allowed).tolist(), vocab)[None],
    )  # fmt: skip


def chosen(logits: np.ndarray, slots: Slots, position: int) -> int:
    vocab = len(logits)
    stride = -(-vocab // PANEL) * PANEL
    z = np.zeros(stride, logits.dtype)
    z[:vocab] = logits
    room = SampleRoom(np.zeros(stride // LANES + 1), np.zeros(stride, np.int32), np.zeros(stride, logits.dtype))
    return choose(z, 0, vocab, stride, slots, 0, position, room)


def random_logits(case: int, rng: np.random.Generator) -> np.ndarray:
    logits = rng.standard_normal(int(rng.choice([2, 5, 16, 27, 130, 500]))) * rng.choice([0.1, 1, 10])
    return np.round(logits) if case % 3 == 0 else logits  # many equal ones


def random_filters(vocab: int, rng: np.random.Generator) -> dict[str, Any]:
    marked = rng.permutation(vocab)[: rng.integers(0, vocab // 2 + 1)].tolist()
    cut = len(marked) // 2
    return {
        "temperature": float(rng.choice([0, 1e-3, 0.5, 1, 3])),
        "top_k": int(rng.choice([0, 0, 1, 2, 7, 1000])),
        "top_p": float(rng.choice([1, 1, 0.01, 0.5, 0.95])),
        "min_tokens": int(rng.integers(0, 3)),
        "seed": int(rng.integers(0, 2**63)),
        "stop_token_ids": tuple(marked[:cut]),
        "suppress_token_ids": tuple(marked[cut:]),
    }


@pytest.mark.parametrize("rng_kind", [DEFAULT_RNG, REFERENCE_RNG])
def test_choose_picks_what_the_reference_picks(rng_kind: int, rng: np.random.Generator) -> None:
    for case in range(400):
        logits = random_logits(case, rng)
        params, num_sampled = SamplingParams(**random_filters(len(logits), rng)), int(rng.integers(0, 3))
        generator = (ReferenceGenerator if rng_kind == REFERENCE_RNG else CounterGenerator)(params.seed)
        expected = next_token(logits, params, num_sampled, lambda g=generator: g.uniform(17))
        slots = slots_for(params, len(logits), num_sampled, rng_kind)
        assert chosen(logits, slots, 17) == expected, (case, params)


def test_choose_with_penalties_biases_and_min_p_picks_what_the_reference_picks(rng: np.random.Generator) -> None:
    changed = 0
    for case in range(1000):
        logits = random_logits(case, rng)
        vocab = len(logits)
        plain = random_filters(vocab, rng)
        biased = rng.permutation(vocab)[: rng.integers(0, vocab + 1)].tolist()
        knobs = {
            "min_p": float(rng.choice([0, 0, 0.01, 0.3, 1])),
            "repetition_penalty": float(rng.choice([1, 1, 0.5, 1.7, 2, 1e-300])),
            "frequency_penalty": float(rng.choice([0, 0, 0.7, -1.3])),
            "presence_penalty": float(rng.choice([0, 0, 2, -0.4])),
            "logit_bias": {i: float(rng.choice([-100, -1.1, 0.3, 2, 100])) for i in biased if case % 2},
        }
        params = SamplingParams(**plain, **knobs)
        prompt_ids, output_ids = (rng.integers(0, vocab, rng.integers(0, 12)).tolist() for _ in range(2))
        draw = partial(CounterGenerator(params.seed).uniform, 17)
        expected, unchanged = (
            next_token(logits, p, len(output_ids), draw, prompt_ids=prompt_ids, output_ids=output_ids)
            for p in (params, SamplingParams(**plain))
        )
        slots = slots_for(params, vocab, len(output_ids), DEFAULT_RNG, prompt_ids, output_ids)
        assert chosen(logits, slots, 17) == expected, (case, params)
        changed += expected != unchanged
    assert changed > 200


@pytest.mark.parametrize(("number", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_reported_log_probabilities_are_those_of_the_reference(
    number: type, tolerance: float, rng: np.random.Generator
) -> None:
    for case in range(400):
        logits = random_logits(case, rng).astype(number)
        vocab = len(logits)
        params = SamplingParams(
            **random_filters(vocab, rng),
            repetition_penalty=float(rng.choice([1, 1.5])),
            logprobs=True,
            top_logprobs=int(rng.choice([0, 1, 5, 128])),
            logprob_token_ids=rng.integers(0, vocab, rng.integers(0, 4)).tolist(),
        )
        prompt_ids = rng.integers(0, vocab, 5).tolist()
        slots = slots_for(params, vocab, 0, prompt_ids=prompt_ids)
        token = chosen(logits, slots, 17)
        wanted = token_logprobs(adjusted(logits, params, 0, prompt_ids), params, token)
        num_top = len(wanted.top)
        found = slots.reports.clip(min=LOWEST_LOGPROB)
        scale = max(1.0, 1 / (params.temperature or 1.0))  # the smallest difference of logits is divided, too
        first = found[: 1 + num_top]
        assert first[0] == pytest.approx(wanted.chosen, rel=tolerance, abs=tolerance * scale)
        top_ids, top = zip(*wanted.top, strict=True) if num_top else ((), ())
        if number is np.float64 or params.repetition_penalty == 1:  # else two may become equal by rounding
            assert tuple(first[1:]) == top_ids
        np.testing.assert_allclose(found[1 + num_top : 1 + 2 * num_top], top, tolerance, tolerance * scale)
        np.testing.assert_allclose(found[1 + 2 * num_top :], wanted.given, tolerance, tolerance * scale)


@pytest.mark.parametrize("rng_kind", [DEFAULT_RNG, REFERENCE_RNG])
def test_choose_under_a_mask_picks_and_reports_what_the_reference_does(rng_kind: int, rng: np.random.Generator) -> None:
    changed = 0
    for case in range(600):
        logits = random_logits(case, rng)
        vocab = len(logits)
        filters = random_filters(vocab, rng)
        knobs: dict[str, Any] = {"repetition_penalty": rng.choice([1, 1.7]), "min_p": rng.choice([0, 0.3])}
        params = SamplingParams(**filters, **knobs, logprobs=True, top_logprobs=5, logprob_token_ids=(0, 1))
        allowed = rng.random(vocab) < rng.choice([0.03, 0.5, 0.97])
        free = sorted(set(range(vocab)) - set(params.suppress_token_ids) - set(params.end_token_ids))
        allowed[rng.choice(free)] = True
        kind = ReferenceGenerator if rng_kind == REFERENCE_RNG else CounterGenerator
        prompt_ids, num_sampled = rng.integers(0, vocab, 5).tolist(), int(rng.integers(0, 3))
        expected, unmasked = (
            next_token(logits, params, num_sampled, partial(kind(params.seed).uniform, 17), prompt_ids=prompt_ids,
                       allowed=mask)
            for mask in (allowed, None)
        )  # fmt: skip
        slots = slots_for(params, vocab, num_sampled, rng_kind, prompt_ids, allowed=allowed)
        assert chosen(logits, slots, 17) == expected, (case, params)
        assert slots.ints[MASKED, 0] == 0, "a mask holds for one token"
        z = adjusted(logits, params, num_sampled, prompt_ids, allowed=allowed)
        wanted = token_logprobs(z, params, expected)
        found = slots.reports.clip(min=LOWEST_LOGPROB)
        num_top = len(wanted.top)
        assert tuple(found[1 : 1 + num_top]) == tuple(i for i, _ in wanted.top)
        values = [found[0], *found[1 + num_top :]]
        np.testing.assert_allclose(values, [wanted.chosen, *(p for _, p in wanted.top), *wanted.given], 1e-12, 1e-9)
        changed += expected != unmasked
    assert changed > 200


def test_choose_in_float32_draws_from_the_same_distribution(rng: np.random.Generator) -> None:
    logits = (rng.standard_normal(40) * 2).astype(np.float32)
    params = SamplingParams(temperature=0.7, top_k=20, top_p=0.9)
    draws = 20_000
    counts, expected = np.zeros(40), np.zeros(40)
    for position in range(draws):
        counts[chosen(logits, slots_for(params, 40, 0), position)] += 1
        generator = CounterGenerator(params.seed)
        expected[next_token(logits, params, 0, lambda g=generator, p=position: g.uniform(p))] += 1
    assert np.abs(counts - expected).max() <= 2  # but for draws that fall on an edge


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 15, 16, 39])
def test_choose_refuses_logits_that_are_not_finite(bad: float, place: int) -> None:
    logits = np.zeros(40, np.float32)
    logits[place] = bad
    with pytest.raises(NumericalError):
        next_token(logits, SamplingParams(), 0, lambda: 0.5)
    assert chosen(logits, slots_for(SamplingParams(), 40, 0), 0) == -1


def test_uniform_numbers_are_those_of_the_generators() -> None:
    for seed in (0, 1, 42, 2**64 - 1):
        params = SamplingParams(seed=seed)
        counter, original = CounterGenerator(seed), ReferenceGenerator(seed)
        default, reference = slots_for(params, 4, 0), slots_for(params, 4, 0, REFERENCE_RNG)
        for position in range(50):
            assert uniform(default, 0, position) == counter.uniform(position)
            assert uniform(reference, 0, position) == original.uniform(position)
