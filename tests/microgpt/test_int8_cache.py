"""Keys and values in int8: how they are rounded, and what attention makes of them, against NumPy; its sums of whole
numbers bit by bit, by every instruction that this processor has."""

from typing import Any

import numpy as np
import pytest
from numba import njit
from numba.core.registry import cpu_target

from microgpt.backends import numba_backend
from microgpt.backends.kernels import attention8, quick_compilation
from microgpt.backends.kernels.attention import ATTEND_ROWS, VALUE_PAGES
from microgpt.backends.kernels.attention8 import key_bytes, query_stride, score_tile8, value_tile8
from microgpt.backends.kernels.forward import Cache, Sizes
from microgpt.backends.kernels.lanes import exp2, load, store
from microgpt.backends.kernels.matmul8 import instructions
from microgpt.backends.numba_backend import NumbaBackend
from microgpt.config import ModelConfig
from tests.microgpt.test_numba_backend import SHAPES, checkpoint_of

# As Python can call them: the kernels' own have no wrappers.
attend: Any = njit(attention8.attend8.py_func)
write_kv: Any = njit(attention8.write_kv8.py_func)

POSITIONS = 150  # of which some are in a tenth page
INSTRUCTIONS = instructions(cpu_target.target_context)


class Attention:
    """One layer's keys, values and queries of a sequence, in a cache of its own."""

    def __init__(self, n_head: int, head_dim: int):
        config = ModelConfig(vocab_size=30, n_embd=n_head * head_dim, n_head=n_head, n_layer=1, block_size=160)
        self.sizes: Sizes = numba_backend._sizes(config, "int8")
        self.table = np.random.default_rng(1).permutation(10).astype(np.int32)[None]
        self.cache = Cache(
            numba_backend._zeros(10 * self.sizes.key_page, np.int8),
            numba_backend._zeros(10 * self.sizes.value_page, np.int8),
            self.table,
        )
        self.room = numba_backend._new_room(self.sizes, np.dtype(np.float32))

    def write(self, position: int, row: np.ndarray) -> None:
        """Put the keys and values of a row (3, heads, head_dim) into the cache."""
        at = self.sizes.qkv_at
        self.room[at : at + row.size] = row.reshape(-1)
        with quick_compilation():
            write_kv(self.sizes, self.cache, 0, position, 0, self.room, at, 0, self.sizes.n_head)

    def codes_and_scales(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """(keys and values, heads, head_dim) at a position as whole numbers, and their scales, from the layout."""
        s, place = self.sizes, position % 16
        page = int(self.table[0, position // 16])
        k = self.cache.keys[page * s.key_page : (page + 1) * s.key_page].reshape(s.n_head, s.key_head)
        v = self.cache.values[page * s.value_page : (page + 1) * s.value_page].reshape(s.n_head, s.value_head)
        scales = k[:, -64:].copy().view(np.uint16).reshape(s.n_head, 2, 16)[:, :, place].T
        scales = (scales.astype(np.uint32) << 16).view(np.float32)
        words, vectors = -(-s.head_dim // 4), s.value_stride // 16
        keys = k[:, :-64].view(np.uint8).reshape(s.n_head, words, 16, 4)[:, :, place].astype(np.int64) - 128
        values = v.reshape(s.n_head, 4, vectors, 4, 16)[:, place // 4, :, place % 4].astype(np.int64)
        rows = [a.reshape(s.n_head, -1)[:, : s.head_dim] for a in (keys, values)]
        return np.stack(rows), scales

    def kept(self, position: int) -> np.ndarray:
        """(keys and values, heads, head_dim) at a position as they are in the cache."""
        codes, scales = self.codes_and_scales(position)
        return codes * scales[..., None]

    def attended(self, position: int, queries: np.ndarray) -> np.ndarray:
        """What queries (rows, heads, head_dim) of neighbouring positions make of what is before them."""
        s, rows = self.sizes, len(queries)
        for r, query in enumerate(queries):
            at = s.qkv_at + r * s.qkv_stride
            self.room[at : at + query.size] = query.reshape(-1)
        with quick_compilation():
            for head in range(s.n_head):
                attend(
                    s, self.cache, 0, position, rows, 0, self.room, s.qkv_at, self.room, s.attended_at, head, head + 1
                )  # fmt: skip
        found = [self.room[s.attended_at + r * s.x_stride :][: s.n_embd] for r in range(rows)]
        return np.stack(found).reshape(queries.shape).copy()


def rows_of(attention: Attention, rng: np.random.Generator) -> np.ndarray:
    """(positions, q k v, heads, head_dim), of which some keys and values are much larger than others."""
    shape = (POSITIONS, 3, attention.sizes.n_head, attention.sizes.head_dim)
    return (rng.standard_normal(shape) * rng.choice([0.01, 1, 3], (*shape[:3], 1))).astype(np.float32)


def softmax_of_kept(attention: Attention, position: int, query: np.ndarray) -> np.ndarray:
    kept = np.stack([attention.kept(i) for i in range(position + 1)]).astype(np.float64)
    scores = np.einsum("phd,hd->hp", kept[:, 0], query.astype(np.float64)) / np.sqrt(query.shape[1])
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.einsum("hp,phd->hd", weights / weights.sum(axis=1, keepdims=True), kept[:, 1])


@pytest.mark.parametrize(("n_head", "head_dim"), [(2, 32), (3, 5), (1, 50)])
def test_keys_and_values_are_rounded_by_head_and_position(n_head: int, head_dim: int) -> None:
    attention = Attention(n_head, head_dim)
    rows = rows_of(attention, np.random.default_rng(0))
    rows[3, 1] = 0
    for position, row in enumerate(rows):
        attention.write(position, row)
    for position, row in enumerate(rows):
        scale = np.abs(row[1:]).max(axis=-1, keepdims=True) / np.float32(127)
        error = np.abs(attention.kept(position) - row[1:])
        assert (error <= 0.505 * scale).all(), position


def written(n_head: int, head_dim: int) -> tuple[Attention, np.ndarray]:
    """All positions in a cache, and their rows."""
    attention = Attention(n_head, head_dim)
    rows = rows_of(attention, np.random.default_rng(0))
    for position, row in enumerate(rows):
        attention.write(position, row)
    return attention, rows


@pytest.mark.parametrize(("n_head", "head_dim"), [(2, 32), (3, 5), (1, 50), (1, 1), (1, 256)])
def test_attention_is_the_softmax_over_what_is_kept(n_head: int, head_dim: int) -> None:
    attention, rows = written(n_head, head_dim)
    rows[:, 0] /= np.sqrt(head_dim)  # scores up to some ten
    for position in (0, 7, 15, 16, 63, 64, 130, 131, 145):
        queries = rows[position : position + ATTEND_ROWS, 0]
        alone = np.stack([attention.attended(position + r, q[None])[0] for r, q in enumerate(queries)])
        for r, query in enumerate(queries):
            right = softmax_of_kept(attention, position + r, query)
            largest = max(np.abs(rows[i, 2]).max() for i in range(position + r + 1))
            np.testing.assert_allclose(alone[r], right, rtol=0, atol=5e-5 * largest)
        assert attention.attended(position, queries).tobytes() == alone.tobytes()


@pytest.mark.parametrize("position", [4, 100])
def test_what_memory_holds_of_positions_not_seen_does_not_matter(position: int) -> None:
    attention, rows = written(2, 32)
    queries = rows[position : position + ATTEND_ROWS, 0]
    queries[1, 0] = 0  # one by which all scores are 0
    before = attention.attended(position, queries)
    assert np.isfinite(before).all()
    for later in range(position + ATTEND_ROWS, 160):
        attention.write(later, np.full_like(rows[0], [[[np.nan]], [[-np.inf]], [[3e38]]][later % 3]))
    assert attention.attended(position, queries).tobytes() == before.tobytes()
    alone = [attention.attended(position + r, query[None])[0] for r, query in enumerate(queries)]
    assert np.stack(alone).tobytes() == before.tobytes()


@pytest.mark.parametrize("position", [4, 100])
@pytest.mark.parametrize("size", [1e-38, 1e-40, 1e-41, 1e-42, 1e-45])
def test_a_query_of_next_to_nothing_weighs_all_positions_alike(position: int, size: float) -> None:
    attention, rows = written(1, 64)
    queries = rows[position : position + 1, 0].copy()
    queries[:] = np.sign(queries) * np.float32(size)
    right = softmax_of_kept(attention, position, np.zeros_like(queries[0]))
    largest = np.abs(rows[: position + 1, 2]).max()
    np.testing.assert_allclose(attention.attended(position, queries)[0], right, rtol=0, atol=5e-5 * largest)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [5, 140])
def test_a_query_that_is_not_finite_makes_nans_of_its_head_and_row(position: int, bad: float) -> None:
    attention, rows = written(2, 32)
    queries = rows[position : position + ATTEND_ROWS, 0].copy()
    healthy = attention.attended(position, queries)
    queries[2, 1, 20] = bad
    for found in (attention.attended(position, queries)[2], attention.attended(position + 2, queries[2:3])[0]):
        assert np.isnan(found[1]).all()
        assert found[0].tobytes() == healthy[2, 0].tobytes()
    others = [0, 1, 3]
    assert attention.attended(position, queries)[others].tobytes() == healthy[others].tobytes()


@pytest.mark.parametrize("part", [1, 2])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("seen_from", [5, 140])
def test_a_key_or_value_that_is_not_finite_reaches_all_that_see_it_and_no_others(
    part: int, bad: float, seen_from: int
) -> None:
    attention = Attention(2, 32)
    rows = rows_of(attention, np.random.default_rng(0))
    rows[4, part, 1, 20] = bad
    for position, row in enumerate(rows):
        attention.write(position, row)
    assert np.isfinite(attention.attended(3, rows[3:4, 0])).all()
    found = attention.attended(seen_from, rows[seen_from : seen_from + 1, 0])[0]
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1]).all()


def joined(digits: np.ndarray) -> np.ndarray:
    """Whole numbers (..., n) as what room has of them: (..., n / 4, 4 words), low bytes, then high ones."""
    digits = digits.reshape(*digits.shape[:-1], -1, 4)
    words = np.full((*digits.shape[:-1], 4, 4), 0x77, np.uint8)
    words[..., 0, :] = digits
    words[..., 1, :] = (digits - digits.astype(np.uint8).view(DIGIT[digits.dtype]).astype(digits.dtype)) >> 8
    return words.view(np.float32).reshape(*digits.shape[:-2], -1)


DIGIT = {np.dtype(np.int64): np.int8, np.dtype(np.uint64): np.uint8}  # signed digits of queries, unsigned of weights


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
@pytest.mark.parametrize(("rows", "pages", "words"), [(1, 1, 2), (1, 4, 8), (4, 2, 8), (4, 2, 64)])
def test_scores_are_exact_sums_by_every_instruction(instruction: str, rows: int, pages: int, words: int) -> None:
    tile = score_tile8(rows, pages, instruction)

    @njit
    def run(room, stride, keys, size, words, to):
        tile(room, 0, stride, keys, 0, size, 2 * size, 3 * size, words, to, 64)  # pyright: ignore[reportCallIssue]

    rng = np.random.default_rng(0)
    depth, size, stride = 4 * words, key_bytes(4 * words), query_stride(4 * words)
    queries = rng.integers(-32639, 32640, (rows, depth))
    queries[0] = 32639 * rng.choice([-1, 1], depth)
    codes = rng.integers(-127, 128, (4, words, 16, 4))
    codes[:, :, 0] = 127 * np.sign(queries[0]).reshape(words, 4)  # the largest sum
    keys = np.zeros((4, size), np.uint8)
    keys[:, : 64 * words] = (codes + 128).reshape(4, -1)
    scales = rng.integers(0x3000, 0x4000, (4, 16)).astype(np.uint16)
    keys[:, 64 * words : 64 * words + 32] = scales.view(np.uint8)
    room = np.zeros(rows * (stride + 64), np.float32)
    for query, at in zip(queries, range(0, rows * stride, stride), strict=True):
        low = query.astype(np.uint8).view(np.int8).astype(np.int64)
        room[at + 1 : at + 3].view(np.int32)[:] = -128 * low.sum(), -128 * (query - low).sum() // 256
        room[at + 16 : at + stride] = joined(query)
    run(room, stride, keys.reshape(-1).view(np.int8), size, words, rows * stride)
    sums = np.einsum("rd,pdi->rpi", queries, codes.transpose(0, 1, 3, 2).reshape(4, depth, 16))
    right = sums.astype(np.float32) * (scales.astype(np.uint32) << 16).view(np.float32)
    found = room[rows * stride :].reshape(rows, 4, 16)
    np.testing.assert_array_equal(found[:, :pages], right[:, :pages])


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
@pytest.mark.parametrize(("rows", "vectors"), [(1, 1), (1, 2), (1, 4), (4, 1), (4, 2)])
def test_sums_of_values_are_exact_by_every_instruction(instruction: str, rows: int, vectors: int) -> None:
    tile = value_tile8(rows, vectors, instruction)

    @njit
    def run(room, stride, values, tables, page_size, width, to):
        tile(room, 0, stride, values, tables, 1, 8, page_size, 0, width, to)  # pyright: ignore[reportCallIssue]

    rng = np.random.default_rng(0)
    width, positions = 16 * vectors, 16 * VALUE_PAGES
    weights = rng.integers(0, 1 << 16, (rows, positions)).astype(np.uint64)
    weights[0] = (1 << 16) - 1
    values = rng.integers(-127, 128, (VALUE_PAGES, 4, vectors, 4, 16)).astype(np.int8)
    values[..., 0] = -127
    table = np.concatenate([[-1], rng.permutation(VALUE_PAGES)]).astype(np.int32)
    room = np.concatenate([joined(weights), np.ones((rows, width))], axis=None, dtype=np.float32)
    run(room, positions, values.reshape(-1), table, 16 * width, width, rows * positions)
    by_position = values[table[1:]].transpose(0, 1, 3, 2, 4).reshape(positions, width)
    right = (weights.astype(np.int64) @ by_position.astype(np.int64)).astype(np.float32) + 1
    np.testing.assert_array_equal(room[rows * positions :].reshape(rows, width), right)


def test_powers_of_two_of_negative_numbers() -> None:
    @njit
    def run(x):
        for i in range(0, len(x), 16):
            store(x, i, exp2(load(x, i)))  # pyright: ignore[reportCallIssue]

    x = np.concatenate([np.linspace(-126, 0, 16 * 1000), np.full(15, -np.inf), [np.nan]]).astype(np.float32)
    y = x.copy()
    run(y)
    np.testing.assert_allclose(y[:-16], np.exp2(x[:-16].astype(np.float64)), rtol=2e-7)
    assert y[-17] == 1
    assert (y[-16:-1] <= 2.0**-126).all()
    assert np.isnan(y[-1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_pages_take_no_more_memory_than_they_may(shape: tuple[int, ...], dtype: str) -> None:
    least = NumbaBackend(checkpoint_of(shape), dtype, "default", 40, 0, 1)
    page_bytes = (least._cache.keys.nbytes + least._cache.values.nbytes) // least.num_pages
    for num_pages in (10, 11, 33):
        for spare in (0, page_bytes - 1):
            backend = NumbaBackend(checkpoint_of(shape), dtype, "default", 40, num_pages * page_bytes + spare, 1)
            assert backend._cache.keys.nbytes + backend._cache.values.nbytes == num_pages * page_bytes
