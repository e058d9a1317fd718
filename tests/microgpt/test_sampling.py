"""Random generators and token choice; the torch backend against the reference."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt import InvalidRequest, SamplingParams
from microgpt.backends.torch_backend import TorchBackend, _Row, _Slot
from microgpt.errors import NumericalError
from microgpt.sampling import CounterGenerator, ReferenceGenerator, next_token


def test_reference_generator_is_xorshift64() -> None:
    # First states from seed 1, computed by hand from the shifts 13, 7, 17.
    generator = ReferenceGenerator(1)
    x = 1
    for _ in range(100):
        x = (x ^ (x << 13)) % 2**64
        x ^= x >> 7
        x = (x ^ (x << 17)) % 2**64
        assert generator.uniform(0) == x / 2**64
    assert ReferenceGenerator(0).uniform(0) == ReferenceGenerator(1).uniform(0)
    assert ReferenceGenerator(42).uniform(0) == pytest.approx(42 * 2**-34, rel=0.01)


def test_default_generator_depends_on_seed_and_position_alone() -> None:
    forwards = [CounterGenerator(7).uniform(position) for position in range(50)]
    generator = CounterGenerator(7)
    assert [generator.uniform(position) for position in reversed(range(50))] == forwards[::-1]
    assert all(0 <= u < 1 for u in forwards)


def test_default_generator_is_uniform_over_small_seeds_and_positions() -> None:
    numbers = np.array([CounterGenerator(seed).uniform(p) for seed in range(300) for p in range(300)])
    counts = np.histogram(numbers, 100, (0, 1))[0]
    chi_square = ((counts - 900.0) ** 2 / 900).sum()
    assert 50 < chi_square < 160  # 99 degrees of freedom: 99 +- 4.3 sigma
    grid = numbers.reshape(300, 300)
    for a, b in ((grid[:-1], grid[1:]), (grid[:, :-1], grid[:, 1:]), (grid[1:, :-1], grid[:-1, 1:])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.015  # 4.5 sigma


def test_default_generator_numbers_do_not_repeat_between_neighbouring_seeds() -> None:
    numbers = [CounterGenerator(seed).uniform(p) for seed in range(100) for p in range(200)]
    assert len(set(numbers)) == len(numbers)


def test_draw_takes_the_first_index_whose_running_sum_exceeds() -> None:
    logits = np.log([0.25, 0.25, 0.5])
    params = SamplingParams()
    picks = [next_token(logits, params, 0, lambda u=u: u) for u in (0.0, 0.2499, 0.2501, 0.4999, 0.5001, 1.0)]
    assert picks == [0, 0, 1, 1, 2, 2]


def test_greedy_takes_the_highest_of_equal_maxima() -> None:
    assert next_token(np.array([1.0, 3.0, 3.0, 2.0]), SamplingParams(temperature=0), 0, pytest.fail) == 2


def test_filters_keep_exactly_the_likeliest() -> None:
    logits = np.log([0.1, 0.4, 0.2, 0.3])
    draws = np.linspace(0, 0.999, 200)

    def support(**knobs: float) -> set[int]:
        return {next_token(logits, SamplingParams(**knobs), 0, lambda u=u: u) for u in draws}  # pyright: ignore

    assert support(top_k=2) == {1, 3}
    assert support(top_k=100) == {0, 1, 2, 3}
    assert support(top_p=0.4) == {1}
    assert support(top_p=0.69) == {1, 3}
    assert support(top_p=0.71) == {1, 2, 3}
    assert support(top_p=1e-9) == {1}
    assert support(top_k=3, top_p=0.6) == {1, 3}  # renormalised: 4/9, 3/9, 2/9


def test_masks() -> None:
    logits = np.log([0.97, 0.01, 0.02])
    params = SamplingParams(temperature=0, suppress_token_ids=(0,), stop_token_ids=(2,), min_tokens=2)
    assert [next_token(logits, params, n, pytest.fail) for n in (0, 1, 2)] == [1, 1, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_an_error(bad: float) -> None:
    with pytest.raises(NumericalError):
        next_token(np.array([0.0, bad]), SamplingParams(), 0, lambda: 0.5)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"temperature": -0.5}, "temperature must be >= 0, got -0.5"),
        ({"temperature": float("nan")}, "temperature must be >= 0, got nan"),
        ({"temperature": float("inf")}, "temperature must be >= 0, got inf"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\], got 0.0"),
        ({"top_p": 1.01}, r"top_p must be in \(0, 1\], got 1.01"),
        ({"top_k": -1}, "top_k must be >= 0, got -1"),
        ({"max_tokens": 0}, "max_tokens must be >= 1, got 0"),
        ({"seed": 2**64}, r"seed must be in \[0, 18446744073709551615\], got 18446744073709551616"),
    ],
)
def test_bad_values_are_named(knobs: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        SamplingParams(**knobs)  # pyright: ignore


class FixedGenerator:
    def __init__(self, u: float):
        self.u = u

    def uniform(self, position: int) -> float:
        return self.u


PARAMS = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 1e-320, 1e-3, 0.5, 1.0, 2.0, 100.0]),
    top_k=st.sampled_from([0, 1, 2, 5, 1000]),
    top_p=st.sampled_from([1.0, 0.9, 0.5, 1e-6]),
    min_tokens=st.sampled_from([0, 2]),
    stop_token_ids=st.sampled_from([(), (3,)]),
    suppress_token_ids=st.sampled_from([(), (0, 1)]),
)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(PARAMS, st.floats(0, 0.999), st.integers(0, 3)), min_size=1, max_size=6),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_torch_backend_chooses_like_the_reference(
    rows: list[tuple[SamplingParams, float, int]], seed: int, ties: bool
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((len(rows), 11)) * 4
    if ties:
        logits = np.round(logits)
    backend = TorchBackend.__new__(TorchBackend)
    backend._slots = {
        i: _Slot(params, FixedGenerator(u), limit=9, num_sampled=n) for i, (params, u, n) in enumerate(rows)
    }
    got = backend._sample([_Row(i, i, (0,), 0, True) for i in range(len(rows))], torch.from_numpy(logits.copy()))
    for i, (params, u, n) in enumerate(rows):
        assert got[i] == next_token(logits[i], params, n, lambda u=u: u)


def test_sampled_frequencies_match_probabilities() -> None:
    p = np.array([0.5, 0.3, 0.15, 0.05])
    generators = [CounterGenerator(seed) for seed in range(100)]
    counts = Counter(
        next_token(np.log(p), SamplingParams(), 0, lambda g=generator, n=position: g.uniform(n))
        for generator, position in itertools.product(generators, range(50))
    )
    for token, probability in enumerate(p):
        assert counts[token] / 5000 == pytest.approx(
            probability, abs=4 * (probability * (1 - probability) / 5000) ** 0.5
        )
