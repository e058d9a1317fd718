"""A row through the model: embedding, RMSNorm, attention over pages, matrices.

A row is one token of one sequence at one position. What a row's numbers are does not depend on which rows stand beside
it: each function here works on one row, or is `product`.
"""

from typing import NamedTuple

import numpy as np

from microgpt.backends.kernels.compiling import inlined, part
from microgpt.backends.kernels.lanes import (
    LANES,
    ONE,
    ZERO,
    add,
    fma,
    load,
    multiply,
    splat,
    store,
    total,
)
from microgpt.backends.kernels.matmul import ADD, RELU, STORE
from microgpt.backends.kernels.matmul8 import product

RMS_EPS = 1e-5


class Sizes(NamedTuple):
    """Numbers of elements. Strides of rows are padded to whole panels, and never a multiple of 4 KiB.

    Fields `*_at` say where parts begin in an array that holds several: a few large arrays take less time to compile and
    to pass than many small ones.
    """

    n_embd: int
    n_head: int
    head_dim: int
    n_layer: int
    vocab_size: int
    table_stride: int  # of wte and wpe: n_embd in whole vectors
    x_stride: int  # of rows of n_embd
    qkv_stride: int
    hidden_stride: int  # of rows of 4 n_embd
    logits_stride: int
    value_stride: int  # head_dim in whole vectors
    scores_stride: int  # block_size in whole pages
    key_head: int  # one head's keys of a page, and their scales where they have such
    value_head: int
    key_page: int  # of all layers and heads
    value_page: int
    # Weights.tables: wte, then
    wpe_at: int
    # Weights.matrices: qkv of all layers, then
    wo_at: int
    fc1_at: int
    fc2_at: int
    head_at: int
    # Weights.scales: qkv's, then
    wo_scales_at: int
    fc1_scales_at: int
    fc2_scales_at: int
    head_scales_at: int
    # Room: x (rows, x_stride), then
    norm_at: int
    qkv_at: int
    attended_at: int
    hidden_at: int
    scores_at: int
    inverses_at: int
    chains_at: int
    queries_at: int  # for int8 and w8a8 alone, as are
    codes_at: int


class Weights(NamedTuple):
    """tables: wte and wpe by rows. matrices: packed by `matmul.pack`, or as words by `matmul8.pack8`, layers one after
    the other. scales: one an output, for int8 and w8a8 alone. All flat."""

    tables: np.ndarray
    matrices: np.ndarray
    scales: np.ndarray


class Cache(NamedTuple):
    """The KV cache in pages of 16 positions.

    keys: (pages, layers, heads, head_dim, 16), flat: positions are the lanes of a score. values: (pages, layers, heads,
    16, value_stride), flat: dimensions are the lanes of an output. Both float32 or float64. tables: (slots, pages a
    sequence) int32.

    Or int8, as `attention8` has them: keys (pages, layers, heads, head_dim / 4 rounded up, 16, 4), values (pages,
    layers, heads, 4, value_stride / 16, 4, 16), of which the first 4 and the second are a position. The 16 positions'
    scales, float32, follow a head's keys or values of a page, as four bytes each.
    """

    keys: np.ndarray
    values: np.ndarray
    tables: np.ndarray


# A room is scratch for rows, one flat array: x and norm (rows, x_stride), qkv, attended, hidden; then scores, inverses
# and chains of attention, for every head of one row or one head of ATTEND_ROWS, and queries of `attention8`; then the
# codes of `matmul8`.


@part
def normalise(x, at, y, to, n):
    """y[to..] = RMSNorm of the n numbers at x[at..], which zeros follow to a whole vector; x and y may be the same."""
    squares = splat(x, 0.0)
    for i in range(0, n, LANES):
        v = load(x, at + i)
        squares = fma(v, v, squares)
    scale = splat(x, 1.0 / np.sqrt(np.float64(total(squares)) / n + RMS_EPS))
    for i in range(0, n, LANES):
        store(y, to + i, multiply(load(x, at + i), scale))


@inlined
def embed(sizes, weights, token, position, x, at):
    """x[at..] = the normalised sum of a token's and a position's embedding."""
    t, p = token * sizes.table_stride, sizes.wpe_at + position * sizes.table_stride
    for i in range(0, sizes.n_embd, LANES):
        store(x, at + i, add(load(weights.tables, t + i), load(weights.tables, p + i)))
    normalise(x, at, x, at, sizes.n_embd)


@part
def begin_layer(sizes, weights, layer, room, rows):
    """Queries, keys and values of rows [0, rows) of a room's x."""
    C, Cs = sizes.n_embd, sizes.x_stride
    w, scales = weights.matrices, weights.scales
    for r in range(rows):
        normalise(room, r * Cs, room, sizes.norm_at + r * Cs, C)
    product(
        STORE, rows, 3 * C, C, room, sizes.norm_at, Cs, w, ZERO, scales, ZERO, layer,
        room, sizes.qkv_at, sizes.qkv_stride, ZERO, ONE, room, sizes.codes_at,
    )  # fmt: skip


@part
def finish_layer(sizes, weights, layer, room, rows):
    """What follows attention in a layer, for rows [0, rows) of a room's x and attended."""
    C, Cs, Hs = sizes.n_embd, sizes.x_stride, sizes.hidden_stride
    w, scales = weights.matrices, weights.scales
    product(
        ADD, rows, C, C, room, sizes.attended_at, Cs, w, sizes.wo_at, scales, sizes.wo_scales_at, layer,
        room, ZERO, Cs, ZERO, ONE, room, sizes.codes_at,
    )  # fmt: skip
    for r in range(rows):
        normalise(room, r * Cs, room, sizes.norm_at + r * Cs, C)
    product(
        RELU, rows, 4 * C, C, room, sizes.norm_at, Cs, w, sizes.fc1_at, scales, sizes.fc1_scales_at, layer,
        room, sizes.hidden_at, Hs, ZERO, ONE, room, sizes.codes_at,
    )  # fmt: skip
    product(
        ADD, rows, C, 4 * C, room, sizes.hidden_at, Hs, w, sizes.fc2_at, scales, sizes.fc2_scales_at, layer,
        room, ZERO, Cs, ZERO, ONE, room, sizes.codes_at,
    )  # fmt: skip
