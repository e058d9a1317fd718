"""A row through the model: embedding, RMSNorm, attention over pages, matrices.

A row is one token of one sequence at one position. What a row's numbers are does not depend on which rows stand beside
it: each function here works on one row, or is `product`.
"""

from typing import NamedTuple

import numpy as np

from microgpt.backends.kernels.attention import attend_page, score_tile, value_tile
from microgpt.backends.kernels.compiling import inlined, part
from microgpt.backends.kernels.lanes import (
    LANES,
    ONE,
    ZERO,
    add,
    exp,
    fma,
    highest,
    keep_first,
    larger,
    load,
    multiply,
    splat,
    store,
    subtract,
    total,
)
from microgpt.backends.kernels.matmul import ADD, RELU, STORE
from microgpt.backends.kernels.matmul8 import product
from microgpt.backends.kernels.rounding import begin_row, put, scaled

RMS_EPS = 1e-5
_VALUE_PAGES = 8  # whose values of one head are added before the next head's: sums stay in registers meanwhile
ATTEND_ROWS = 4  # rows of a prompt that attend together: each key and value is loaded once for all of them

_scores_1x1, _scores_1x4, _scores_4x4 = score_tile(1, 1), score_tile(1, 4), score_tile(ATTEND_ROWS, 4)
_values_1x1, _values_1x2, _values_1x3 = value_tile(1, 1), value_tile(1, 2), value_tile(1, 3)
_values_4x1, _values_4x2 = value_tile(ATTEND_ROWS, 1), value_tile(ATTEND_ROWS, 2)


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
    key_head: int  # one head's keys of a page, and their scales
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
    codes_at: int  # for w8a8 alone


class Weights(NamedTuple):
    """tables: wte and wpe by rows. matrices: packed by `matmul.pack`, or as words by `matmul8.pack8`, layers one after
    the other. scales: one an output, for int8 and w8a8 alone. All flat."""

    tables: np.ndarray
    matrices: np.ndarray
    scales: np.ndarray


class Cache(NamedTuple):
    """The KV cache in pages of 16 positions.

    keys: (pages, layers, heads, head_dim, 16), flat: positions are the lanes of a score. values: (pages, layers, heads,
    16, value_stride), flat: dimensions are the lanes of an output. Both float32 or float64; or int8, where the 16
    positions' scales, float32, follow a head's keys or values of a page. tables: (slots, pages a sequence) int32.
    """

    keys: np.ndarray
    values: np.ndarray
    tables: np.ndarray


# A room is scratch for rows, one flat array: x and norm (rows, x_stride), qkv, attended, hidden; then scores, inverses
# and chains of `attend`, for every head of one row or one head of ATTEND_ROWS; then the codes of `matmul8`.


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


@inlined
def write_kv(sizes, cache, slot, position, layer, qkv, at, first_head, last_head):
    """Put a row's keys and values of some heads into the cache."""
    keys, values = cache.keys, cache.values
    page, place = cache.tables[slot, position // LANES], position % LANES
    D, C, Dv = sizes.head_dim, sizes.n_embd, sizes.value_stride
    nothing = splat(qkv, 0.0)
    for head in range(first_head, last_head):
        k = page * sizes.key_page + (layer * sizes.n_head + head) * sizes.key_head
        v = page * sizes.value_page + (layer * sizes.n_head + head) * sizes.value_head
        source = at + C + head * D
        factor = begin_row(qkv, source, D, keys, k + D * LANES + 4 * place)
        for d in range(D):
            put(keys, k + d * LANES + place, qkv[source + d], factor)
        source += C
        factor = splat(qkv, begin_row(qkv, source, D, values, v + LANES * Dv + 4 * place))
        for d in range(0, D, LANES):
            put(values, v + place * Dv + d, keep_first(load(qkv, source + d), D - d, nothing), factor)


@inlined
def attend(
    sizes, cache, slot, position, rows, layer, q, q_at, room, y_at, first_head, last_head
):  # fmt: skip
    """What some heads of `rows` rows (1 or ATTEND_ROWS) make of the positions before them and their own.

    The rows are neighbouring positions of one sequence, the first at `position`; their keys and values are in the
    cache. Row r's query begins at q[q_at + r * qkv_stride], its result at room[y_at + r * x_stride]; up to 15 numbers
    past the last head's are written too.

    A score is one chain over the head's dimensions, the softmax's sum goes lane by lane over the pages in order, an
    output has a chain for even positions and one for odd ones: orders that begin at position 0 and are the same however
    many rows come together. Pages are the outer loop, since a page's keys (or values) of a layer lie side by side.
    """
    keys, values, tables = cache.keys, cache.values, cache.tables
    D, H, Dv, S, Qs = sizes.head_dim, sizes.n_head, sizes.value_stride, sizes.scores_stride, sizes.qkv_stride
    scores, inverses, chains = sizes.scores_at, sizes.inverses_at, sizes.chains_at
    heads = last_head - first_head
    if position < LANES and rows == 1:
        k = tables[slot, 0] * sizes.key_page + (layer * H + first_head) * sizes.key_head
        v = tables[slot, 0] * sizes.value_page + (layer * H + first_head) * sizes.value_head
        attend_page(
            q, q_at + first_head * D, keys, k, sizes.key_head, values, v, sizes.value_head, heads, D, Dv, position + 1,
            room, scores, room, y_at + first_head * D,
        )  # fmt: skip
        return
    pages = (position + rows + LANES - 1) // LANES
    begin = (layer * H + first_head) * sizes.key_head
    p = 0
    while p < pages:
        together = 4 if p + 4 <= pages else 1
        k0 = tables[slot, p] * sizes.key_page + begin
        k1 = k2 = k3 = k0
        if together == 4:
            k1 = tables[slot, p + 1] * sizes.key_page + begin
            k2 = tables[slot, p + 2] * sizes.key_page + begin
            k3 = tables[slot, p + 3] * sizes.key_page + begin
        for head in range(heads):
            at, to = q_at + (first_head + head) * D, scores + head * rows * S + p * LANES
            on = head * sizes.key_head
            if together == 1:
                for r in range(rows):
                    _scores_1x1(q, at + r * Qs, 0, keys, k0 + on, 0, 0, 0, D, room, to + r * S, 0)
            elif rows == 1:
                _scores_1x4(q, at, 0, keys, k0 + on, k1 + on, k2 + on, k3 + on, D, room, to, 0)
            else:
                _scores_4x4(q, at, Qs, keys, k0 + on, k1 + on, k2 + on, k3 + on, D, room, to, S)
        p += together

    scale = splat(room, 1.0 / np.sqrt(D))
    lowest = splat(room, -np.inf)
    for head in range(heads):
        for r in range(rows):
            at, count = scores + (head * rows + r) * S, position + r + 1
            mine = (count + LANES - 1) // LANES
            end = at + (mine - 1) * LANES
            store(room, end, keep_first(load(room, end), count - (mine - 1) * LANES, lowest))
            top = lowest
            for i in range(at, at + mine * LANES, LANES):
                top = larger(top, load(room, i))
            most, sums = splat(room, highest(top)), splat(room, 0.0)
            scales = (layer * H + first_head + head) * sizes.value_head + LANES * Dv
            for p in range(mine):
                e = exp(multiply(subtract(load(room, at + p * LANES), most), scale))
                sums = add(sums, e)
                weights = scaled(e, values, tables[slot, p] * sizes.value_page + scales)
                store(room, at + p * LANES, weights)
            room[inverses + head * rows + r] = 1.0 / np.float64(total(sums))

    nothing = splat(room, 0.0)
    for i in range(chains, chains + heads * rows * 2 * Dv, LANES):
        store(room, i, nothing)
    full = (position + 1) // LANES  # pages that the first row sees whole, and so do the others
    begin, size, p = slot * tables.shape[1], sizes.value_page, 0
    while p < pages:
        together = min(_VALUE_PAGES, full - p) if p < full else 1
        for head in range(heads):
            j = 0
            while j < Dv:
                v = (layer * H + first_head + head) * sizes.value_head + j
                at, to = scores + head * rows * S + p * LANES, chains + head * rows * 2 * Dv + j
                left = (Dv - j) // LANES
                if p < full and rows > 1:
                    if left >= 2:
                        _values_4x2(room, at, S, values, tables, begin + p, together, size, v, Dv, LANES, room, to)
                    else:
                        _values_4x1(room, at, S, values, tables, begin + p, together, size, v, Dv, LANES, room, to)
                    j += min(left, 2) * LANES
                    continue
                wide = 3 if left == 3 else min(left, 2)
                for r in range(rows):
                    w, y, count = at + r * S, to + r * 2 * Dv, max(0, min(LANES, position + r + 1 - p * LANES))
                    if wide == 3:
                        _values_1x3(room, w, 0, values, tables, begin + p, together, size, v, Dv, count, room, y)
                    elif wide == 2:
                        _values_1x2(room, w, 0, values, tables, begin + p, together, size, v, Dv, count, room, y)
                    else:
                        _values_1x1(room, w, 0, values, tables, begin + p, together, size, v, Dv, count, room, y)
                j += wide * LANES
        p += together
    for head in range(heads):
        for r in range(rows):
            inverse = splat(room, room[inverses + head * rows + r])
            at = chains + (head * rows + r) * 2 * Dv
            to = y_at + r * sizes.x_stride + (first_head + head) * D
            for j in range(0, Dv, LANES):
                store(room, to + j, multiply(add(load(room, at + j), load(room, at + Dv + j)), inverse))


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
