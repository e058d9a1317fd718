"""Products in whole numbers against NumPy's, bit by bit, by every instruction that this processor has."""

from typing import Any

import numba
import numpy as np
import pytest
from numba.core.registry import cpu_target

from microgpt.backends.kernels import matmul8 as kernels
from microgpt.backends.kernels.matmul import ADD, PANEL, RELU, STORE
from microgpt.backends.kernels.matmul8 import (
    codes_stride,
    instructions,
    pack8,
    panel_words,
    tile8,
)

# As Python can call them: the kernels' own have no wrappers.
matmul8: Any = numba.njit(kernels.matmul8.py_func)
quantise_row: Any = numba.njit(kernels.quantise_row.py_func)

SHAPES = [(27, 16), (192, 64), (384, 128), (1000, 37), (768, 256), (33, 1), (64, 50)]
CODES = codes_stride(0)  # where a row's codes begin


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def rounded(row: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """(whole numbers, scale) of a row, from the definition."""
    largest = np.abs(row).max()
    inverse = np.float32(127) / largest if largest > 1e-30 else np.float32(0)
    return np.rint(row.astype(np.float64) * np.float64(inverse)).astype(np.int64), largest / np.float32(127)


def expected(x: np.ndarray, w: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """x w^T as matmul8 promises it: exact sums, rounded to float32, times the output's scale, times the row's."""
    codes, row_scales = zip(*map(rounded, x), strict=True)
    sums = np.stack(codes) @ w.astype(np.int64).T
    return (sums.astype(np.float32) * scales[: len(w)]) * np.array(row_scales)[:, None]


def padded(x: np.ndarray) -> np.ndarray:
    """Rows in whole vectors; what follows a row must not matter."""
    return np.pad(x, ((0, 0), (0, -x.shape[1] % 16)), constant_values=np.float32(1e9))


def multiply(mode: Any, x: np.ndarray, w: np.ndarray, scales: np.ndarray, y: np.ndarray, thread=0, team=1) -> Any:
    rows, depth = x.shape
    wide = padded(x)
    codes = np.full(rows * codes_stride(depth), np.nan, np.float32)
    matmul8(
        mode, rows, len(w), depth, wide.reshape(-1), 0, wide.shape[1], pack8(w), 0, scales, 0, 0,
        y.reshape(-1), 0, y.shape[1], thread, team, codes, 0,
    )  # fmt: skip
    return y


def outputs(rows: int, w: np.ndarray) -> np.ndarray:
    return np.zeros((rows, -(-len(w) // PANEL) * PANEL), np.float32)


def random_weight(n: int, depth: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(weight, scales in whole panels)."""
    scales = np.pad(rng.random(n).astype(np.float32), (0, -n % PANEL))
    return rng.integers(-127, 128, (n, depth)).astype(np.int8), scales


@pytest.mark.parametrize(("n", "depth"), SHAPES)
def test_products_have_the_bits_of_their_definition_for_any_rows(n: int, depth: int, rng: np.random.Generator) -> None:
    w, scales = random_weight(n, depth, rng)
    x = rng.standard_normal((33, depth)).astype(np.float32) * rng.choice([1e-20, 0.01, 1, 1e6], (33, 1))
    x = x.astype(np.float32)
    right = expected(x, w, scales)
    for rows in range(1, 34):
        np.testing.assert_array_equal(multiply(STORE, x[:rows], w, scales, outputs(rows, w))[:, :n], right[:rows])


def test_products_have_the_same_bits_however_the_outputs_are_split(rng: np.random.Generator) -> None:
    w, scales = random_weight(300, 40, rng)
    x = rng.standard_normal((5, 40)).astype(np.float32)
    whole = multiply(STORE, x, w, scales, outputs(5, w))
    for team in range(1, 12):
        y = outputs(5, w)
        for thread in range(team):
            multiply(STORE, x, w, scales, y, thread, team)
        assert y.tobytes() == whole.tobytes()


def test_the_largest_sums_do_not_overflow() -> None:
    depth = 4 * 4096
    w = np.full((32, depth), -127, np.int8)
    x = np.full((1, depth), 3.0, np.float32)
    y = multiply(STORE, x, w, np.ones(32, np.float32), outputs(1, w))
    np.testing.assert_array_equal(y, expected(x, w, np.ones(32, np.float32)))


@pytest.mark.parametrize("rows", [1, 3, 8, 19])
def test_products_can_be_added_to_what_is_there_and_cut_off_at_zero(rows: int, rng: np.random.Generator) -> None:
    w, scales = random_weight(64, 20, rng)
    x = rng.standard_normal((rows, 20)).astype(np.float32)
    plain = multiply(STORE, x, w, scales, outputs(rows, w))
    there = rng.standard_normal(plain.shape).astype(np.float32)
    np.testing.assert_array_equal(multiply(ADD, x, w, scales, there.copy()), there + plain)
    np.testing.assert_array_equal(multiply(RELU, x, w, scales, outputs(rows, w)), np.maximum(plain, 0))


def test_a_layer_is_found_behind_the_layers_before_it(rng: np.random.Generator) -> None:
    weights = [random_weight(70, 30, rng) for _ in range(3)]
    packed = np.concatenate([pack8(w) for w, _ in weights])
    assert len(packed) == 3 * 3 * panel_words(30)
    x = rng.standard_normal((2, 30)).astype(np.float32)
    wide, y = padded(x), outputs(2, weights[0][0])
    codes = np.zeros(2 * codes_stride(30), np.float32)
    for layer, (w, scales) in enumerate(weights):
        matmul8(
            STORE, 2, 70, 30, wide.reshape(-1), 0, 32, packed, 0, np.concatenate([s for _, s in weights]), 0, layer,
            y.reshape(-1), 0, y.shape[1], 0, 1, codes, 0,
        )  # fmt: skip
        np.testing.assert_array_equal(y[:, :70], expected(x, w, scales))


@pytest.mark.parametrize("instruction", instructions(cpu_target.target_context))
def test_every_instruction_gives_the_same_bits(instruction: str, rng: np.random.Generator) -> None:
    rows, panels, depth = 3, 2, 37
    tile = tile8(rows, panels, instruction=instruction)

    @numba.njit
    def run(codes, stride, w, words, scales, y):
        tile(codes, 0, stride, w, 0, words, scales, 0, y, 0, 64, STORE)  # pyright: ignore[reportCallIssue]

    w, scales = random_weight(panels * PANEL, depth, rng)
    x = rng.standard_normal((rows, depth)).astype(np.float32)
    x[0, :4] = 1e3  # the extremes, side by side
    x[1, :4] = -1e3
    w[:, :4] = np.where(rng.random((len(w), 1)) < 0.5, 127, -127)
    stride = codes_stride(depth)
    codes, y = np.zeros(rows * stride, np.float32), np.zeros((rows, 64), np.float32)
    for r in range(rows):
        quantise_row(padded(x).reshape(-1), r * 48, depth, codes, r * stride)
    run(codes, stride, pack8(w), -(-depth // 4), scales, y.reshape(-1))
    np.testing.assert_array_equal(y, expected(x, w, scales))


def quantised(row: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """(whole numbers, scale) as the kernel has them."""
    codes = np.zeros(codes_stride(len(row)), np.float32)
    quantise_row(padded(row[None]).reshape(-1), 0, len(row), codes, 0)
    return codes[CODES:].view(np.uint8)[: len(row)].astype(np.int64) - 128, codes[0]


@pytest.mark.parametrize("n", [1, 15, 16, 17, 40, 64])
def test_a_row_is_rounded_to_the_nearest_whole_numbers_ties_to_even(n: int, rng: np.random.Generator) -> None:
    halves = (np.arange(n) - n // 2 + 0.5).astype(np.float32)
    halves[0] = -127
    for row in (halves, rng.standard_normal(n).astype(np.float32), rng.random(n).astype(np.float32) * 1e-29):
        found, scale = quantised(row)
        whole, right = rounded(row)
        np.testing.assert_array_equal(found, whole)
        assert scale == right
        assert np.abs(whole).max() == 127
        np.testing.assert_allclose(found * scale, row, atol=float(scale) * 0.501)


@pytest.mark.parametrize("largest", [0.0, 1e-45, 1e-38, 9e-31])
def test_rows_of_next_to_nothing_become_zeros(largest: float, rng: np.random.Generator) -> None:
    row = np.zeros(20, np.float32)
    row[7] = -largest
    whole, scale = quantised(row)
    assert not whole.any()
    assert 0 <= scale < 1e-30
    w, scales = random_weight(40, 20, rng)
    assert not multiply(STORE, row[None], w, scales, outputs(1, w)).any()


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 16, 39])
def test_a_number_that_is_not_finite_makes_nans_of_its_row(bad: float, place: int, rng: np.random.Generator) -> None:
    w, scales = random_weight(40, 40, rng)
    w[3] = 0
    x = rng.standard_normal((9, 40)).astype(np.float32)
    healthy = multiply(STORE, x, w, scales, outputs(9, w))
    x[4, place] = bad
    for mode in (STORE, RELU):
        y = multiply(mode, x, w, scales, outputs(9, w))
        assert np.isnan(y[4, :40]).all()
        others = np.arange(9) != 4
        np.testing.assert_array_equal(y[others], healthy[others] if mode == STORE else np.maximum(healthy[others], 0))
