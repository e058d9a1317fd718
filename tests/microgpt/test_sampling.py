"""Random generators and token choice; the torch backend against the reference."""

import itertools
from collections import Counter
from dataclasses import FrozenInstanceError, replace
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from microgpt import InvalidRequest, SamplingParams
from microgpt.backends.torch_sampler import TorchSampler
from microgpt.backends.torch_sampler import token_logprobs as torch_token_logprobs
from microgpt.constraints.matcher import mask_of
from microgpt.errors import NumericalError
from microgpt.logprobs import LOWEST_LOGPROB, TokenLogprobs
from microgpt.sampling import (
    GENERATORS,
    CounterGenerator,
    ReferenceGenerator,
    adjusted,
    next_token,
    prompt_token_logprobs,
    token_logprobs,
)


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
        ({"max_tokens": -1}, "max_tokens must be >= 0, got -1"),
        ({"min_p": 1.1}, r"min_p must be in \[0, 1\], got 1.1"),
        ({"repetition_penalty": 0.0}, r"repetition_penalty must be in \(0, 2\], got 0.0"),
        ({"repetition_penalty": 2.5}, r"repetition_penalty must be in \(0, 2\], got 2.5"),
        ({"frequency_penalty": -2.1}, r"frequency_penalty must be in \[-2, 2\], got -2.1"),
        ({"presence_penalty": float("nan")}, r"presence_penalty must be in \[-2, 2\], got nan"),
        ({"logit_bias": {7: 101}}, r"logit_bias\[7\] must be in \[-100, 100\], got 101"),
        ({"logit_bias": dict.fromkeys(range(1025), 1)}, "logit_bias must have at most 1024 ids, got 1025"),
        ({"stop": "END"}, "stop must be several strings, got 'END'"),
        ({"stop": (b"END",)}, r"stop must be several strings, got \(b'END',\)"),
        ({"stop": ("a", "")}, r"stop\[1\] must have 1 to 256 characters, got 0"),
        ({"stop": ("a" * 257,)}, r"stop\[0\] must have 1 to 256 characters, got 257"),
        ({"stop_regex": ("a",) * 33}, "stop_regex must have at most 32 strings, got 33"),
        ({"stop_token_ids": range(1025)}, "stop_token_ids must have at most 1024 ids, got 1025"),
        ({"ignore_eos": 1}, "ignore_eos must be true or false, got 1"),
        ({"top_logprobs": 129}, r"top_logprobs must be in \[0, 128\], got 129"),
        ({"logprob_token_ids": [0] * 129}, "logprob_token_ids must have at most 128 ids, got 129"),
        ({"prompt_logprobs_start": -1}, "prompt_logprobs_start must be >= 0, got -1"),
        ({"seed": 2**64}, r"seed must be in \[0, 18446744073709551615\], got 18446744073709551616"),
    ],
)
def test_bad_values_are_named(knobs: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        SamplingParams(**knobs)  # pyright: ignore


VOCAB = 11
IDS = st.lists(st.integers(0, VOCAB - 1), max_size=4, unique=True).map(tuple)
PARAMS = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 1e-320, 1e-3, 0.5, 1.0, 2.0, 100.0]),
    top_k=st.sampled_from([0, 0, 1, 2, 5, 1000]),
    top_p=st.sampled_from([1.0, 1.0, 0.9, 0.5, 1e-6]),
    min_p=st.sampled_from([0.0, 0.0, 1e-3, 0.3, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 1.0, 1e-320, 0.5, 1.3, 2.0]),
    frequency_penalty=st.sampled_from([0.0, 0.0, -2.0, 0.7]),
    presence_penalty=st.sampled_from([0.0, 0.0, -1.0, 2.0]),
    logit_bias=st.dictionaries(st.integers(0, VOCAB - 1), st.floats(-100, 100), max_size=3),
    seed=st.integers(0, 2**64 - 1),
    min_tokens=st.sampled_from([0, 2]),
    stop_token_ids=st.sampled_from([(), (3,)]),
    ignore_eos=st.booleans(),
    suppress_token_ids=st.sampled_from([(), (0, 1)]),
    logprobs=st.booleans(),
    top_logprobs=st.sampled_from([0, 1, 4, 100]),
    logprob_token_ids=IDS,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(PARAMS, IDS), min_size=1, max_size=6),
    st.sampled_from(sorted(GENERATORS)),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_torch_chooses_and_reports_like_the_reference(
    sequences: list[tuple[SamplingParams, tuple[int, ...]]], rng_name: str, seed: int, ties: bool
) -> None:
    rng = np.random.default_rng(seed)
    sampler = TorchSampler(len(sequences) + 2, VOCAB, "cpu", rng_name)
    generators, outputs = [], []
    slots = [int(slot) for slot in rng.permutation(len(sequences) + 2)[: len(sequences)]]
    for slot, (params, prompt_ids) in zip(slots, sequences, strict=True):
        sampler.open(slot, SamplingParams(frequency_penalty=1), 1, (1, 2))  # its owner before
        sampler.sample([slot], [2], torch.zeros(1, VOCAB, dtype=torch.float64))
        sampler.open(slot, params, 9, prompt_ids)
        generators.append(GENERATORS[rng_name](params.seed))
        outputs.append([])
    for position in range(5):
        logits = rng.standard_normal((len(sequences), VOCAB)) * 4
        if ties:
            logits = np.round(logits)
        rows = [i for i in range(len(sequences)) if position == 0 or rng.random() < 0.8]  # not all step together
        z = torch.from_numpy(logits[rows].copy())
        masks = [random_mask(rng, sequences[i][0]) for i in rows]
        words = [None if mask is None else mask_of(np.flatnonzero(mask).tolist(), VOCAB) for mask in masks]
        tokens = sampler.sample([slots[i] for i in rows], [position] * len(rows), z, words)
        reports = sampler.logprobs([slots[i] for i in rows], tokens, z)
        for i, token, report, allowed in zip(rows, tokens, reports, masks, strict=True):
            (params, prompt_ids), output = sequences[i], outputs[i]
            expected = next_token(
                logits[i],
                params,
                len(output),
                partial(generators[i].uniform, position),
                prompt_ids=prompt_ids,
                output_ids=output,
                allowed=allowed,
            )
            assert token == expected, (params, output)
            z_reference = adjusted(logits[i], params, len(output), prompt_ids, output, allowed)
            assert_same_report(report, token_logprobs(z_reference, params, token) if params.logprobs else None)
            output.append(token)
            assert sampler.goes_on(slots[i], token) == (params.ignore_eos or token not in params.stop_token_ids)


def random_mask(rng: np.random.Generator, params: SamplingParams) -> np.ndarray | None:
    """(vocab,) bool that leaves an id beside what `params` rule out, for one sequence in two."""
    if rng.random() < 0.5:
        return None
    mask = rng.random(VOCAB) < rng.choice([0.1, 0.6])
    mask[rng.choice([i for i in range(VOCAB) if i not in (*params.suppress_token_ids, *params.end_token_ids)])] = True
    return mask


def assert_same_report(got: TokenLogprobs | None, expected: TokenLogprobs | None) -> None:
    if got is None or expected is None:
        assert got is expected
        return
    assert got.chosen == pytest.approx(expected.chosen, rel=1e-9, abs=1e-12)
    assert [i for i, _ in got.top] == [i for i, _ in expected.top]
    assert [p for _, p in got.top] == pytest.approx([p for _, p in expected.top], rel=1e-9, abs=1e-12)
    assert got.given == pytest.approx(expected.given, rel=1e-9, abs=1e-12)


@given(st.lists(PARAMS, min_size=1, max_size=4), st.integers(0, 2**32 - 1))
def test_torch_reports_prompts_like_the_reference(params: list[SamplingParams], seed: int) -> None:
    logits = np.random.default_rng(seed).standard_normal((len(params), VOCAB)) * 4
    chosen = [seed % VOCAB] * len(params)
    reports = torch_token_logprobs(torch.from_numpy(logits), params, chosen, is_prompt=True)
    for row, q, got in zip(logits, params, reports, strict=True):
        assert_same_report(got, prompt_token_logprobs(row, q, chosen[0]))


def test_a_sequence_that_goes_to_its_limit_ends() -> None:
    sampler = TorchSampler(1, 3, "cpu", "default")
    sampler.open(0, SamplingParams(), 2, ())
    for goes_on in (True, False):
        [token] = sampler.sample([0], [1], torch.zeros(1, 3, dtype=torch.float64))
        assert sampler.goes_on(0, token) == goes_on


def test_repetition_penalty_divides_positive_logits_and_multiplies_negative_ones_once() -> None:
    params = SamplingParams(repetition_penalty=2)
    z = adjusted(np.array([4.0, -4.0, 4.0, -4.0, 0.0]), params, 2, prompt_ids=(0, 0), output_ids=(1, 1, 4))
    assert z.tolist() == [2, -8, 4, -4, 0]


def test_frequency_counts_and_presence_does_not_and_both_see_the_output_alone() -> None:
    params = SamplingParams(frequency_penalty=0.5, presence_penalty=0.25)
    z = adjusted(np.zeros(3), params, 3, prompt_ids=(0, 0), output_ids=(1, 1, 2))
    assert z.tolist() == [0, -1.25, -0.75]


def test_penalties_come_before_the_bias_and_the_bias_before_masks() -> None:
    params = SamplingParams(repetition_penalty=2, logit_bias=((0, 10), (1, 100)), suppress_token_ids=(1,))
    z = adjusted(np.array([-1.0, 0.0, 1.0]), params, 0, prompt_ids=(0,))
    assert z.tolist() == [8, -np.inf, 1]


def test_a_tiny_repetition_penalty_leaves_numbers() -> None:
    params = SamplingParams(repetition_penalty=1e-320)
    z = adjusted(np.array([4.0, -4.0, 3.0]), params, 0, prompt_ids=(0, 1))
    assert z.tolist() == [1e30, pytest.approx(0), 3]
    assert next_token(np.array([4.0, -4.0, 3.0]), params, 0, lambda: 0.99, prompt_ids=(0, 1)) == 0


def test_a_grammar_lets_nothing_else_come() -> None:
    allowed = np.array([False, True, False])
    params = SamplingParams(temperature=0, logit_bias=((0, 100),))
    assert next_token(np.array([5.0, 0.0, 3.0]), params, 0, pytest.fail, allowed=allowed) == 1
    with pytest.raises(InvalidRequest, match="no token is left to sample"):
        next_token(np.zeros(3), SamplingParams(suppress_token_ids=(1,)), 0, pytest.fail, allowed=allowed)


def test_min_p_keeps_a_share_of_the_likeliest_after_the_other_filters() -> None:
    logits = np.log([0.1, 0.4, 0.2, 0.3])
    draws = np.linspace(0, 0.999, 200)

    def support(**knobs: float) -> set[int]:
        return {next_token(logits, SamplingParams(**knobs), 0, lambda u=u: u) for u in draws}  # pyright: ignore

    assert support(min_p=0.26) == {1, 2, 3}
    assert support(min_p=0.51) == {1, 3}
    assert support(min_p=1) == {1}
    assert support(min_p=0.26, top_k=2) == {1, 3}
    assert support(min_p=0.6, temperature=2) == {1, 2, 3}  # sqrt(0.5) = 0.71 and sqrt(0.25) = 0.5: 2's share is 0.71
    assert {next_token(np.array([1.0, 1, 0]), SamplingParams(min_p=1), 0, lambda u=u: u) for u in draws} == {0, 1}


def test_ignored_end_tokens_are_tokens_like_any_other() -> None:
    params = SamplingParams(temperature=0, stop_token_ids=(1,), min_tokens=5, ignore_eos=True)
    assert params.end_token_ids == ()
    assert next_token(np.array([0.0, 9.0]), params, 0, pytest.fail) == 1


def test_logprobs_are_taken_after_temperature_and_before_filters() -> None:
    p = np.array([0.1, 0.4, 0.2, 0.3])
    params = SamplingParams(temperature=0.5, top_k=1, top_p=0.1, min_p=0.9, top_logprobs=2, logprob_token_ids=(3, 0))
    squared = p**2 / (p**2).sum()
    report = token_logprobs(np.log(p), params, 2)
    assert report.chosen == pytest.approx(np.log(squared[2]))
    assert dict(report.top) == {1: pytest.approx(np.log(squared[1])), 3: pytest.approx(np.log(squared[3]))}
    assert report.given == pytest.approx(np.log(squared[[3, 0]]))


def test_greedy_logprobs_are_those_of_temperature_1() -> None:
    logits = np.array([1.0, 2.0, -3.0])
    expected = token_logprobs(logits, SamplingParams(), 1)
    assert token_logprobs(logits, SamplingParams(temperature=0), 1) == expected
    assert token_logprobs(logits, SamplingParams(temperature=0, top_logprobs=1), 1).top == ((1, expected.chosen),)


def test_logprobs_are_finite_and_ties_go_to_the_higher_id() -> None:
    z = np.array([0.0, 1.0, -np.inf, 1.0])
    params = SamplingParams(temperature=1e-320, top_logprobs=9, logprob_token_ids=(2,))
    report = token_logprobs(z, params, 0)
    assert [i for i, _ in report.top] == [3, 1, 0, 2]
    assert report.chosen == report.given[0] == LOWEST_LOGPROB == float(np.finfo(np.float32).min)


def test_knobs_of_several_values_are_stored_as_tuples() -> None:
    params = SamplingParams(logit_bias={3: 1.5, 1: -2}, stop=["a"], stop_token_ids=[1, 2])  # pyright: ignore
    assert params.logit_bias == ((1, -2), (3, 1.5))
    assert (params.stop, params.stop_token_ids) == (("a",), (1, 2))
    assert hash(params) == hash(replace(params, logit_bias=((3, 1.5), (1, -2))))


def test_params_are_frozen_and_take_declared_knobs_alone() -> None:
    with pytest.raises(FrozenInstanceError):
        SamplingParams().seed = 3  # pyright: ignore
    with pytest.raises(TypeError, match="no knob 'heat'"):
        SamplingParams(heat=3)  # pyright: ignore


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
