"""A row through the model: embedding, RMSNorm, attention over pages, matrices.

A row is one token of one sequence at one position. What a row's numbers are does not depend on which rows stand beside
it: each function here works on one row, or is `matmul`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from microgpt.backends.kernels.attention import score_tile, value_tile
from microgpt.backends.kernels.lanes import (
    LANES,
    add,
    exp,
    fma,
    highest,
    keep_first,
    larger,
    load,
    multiply,
    put,
    splat,
    store,
    subtract,
    total,
)
from microgpt.backends.kernels.matmul import ADD, PANEL, RELU, STORE, matmul

RMS_EPS = 1e-5
ATTEND_ROWS = 4  # rows of a prompt that attend together: each key and value is loaded once for all of them

_scores_1x1, _scores_1x4, _scores_4x4 = score_tile(1, 1), score_tile(1, 4), score_tile(ATTEND_ROWS, 4)
_values_1x1, _values_1x2 = value_tile(1, 1), value_tile(1, 2)
_values_4x1, _values_4x2 = value_tile(ATTEND_ROWS, 1), value_tile(ATTEND_ROWS, 2)


class Sizes(NamedTuple):
    """Numbers of elements. Strides of rows are padded to whole panels, and never a multiple of 4 KiB."""

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
    key_page: int  # one page's keys, all layers and heads
    value_page: int


class Weights(NamedTuple):
    """Tables by rows, matrices packed by `matmul.pack`, layers one after the other; scales for int8 alone."""

    wte: np.ndarray
    wpe: np.ndarray
    qkv: np.ndarray
    wo: np.ndarray
    fc1: np.ndarray
    fc2: np.ndarray
    head: np.ndarray
    qkv_scales: np.ndarray
    wo_scales: np.ndarray
    fc1_scales: np.ndarray
    fc2_scales: np.ndarray
    head_scales: np.ndarray


class Cache(NamedTuple):
    """The KV cache in pages of 16 positions.

    keys: (pages, layers, heads, head_dim, 16), flat: positions are the lanes of a score. values: (pages, layers, heads,
    16, value_stride), flat: dimensions are the lanes of an output. Both float32 or float64, or int16 for the bits of
    float16. tables: (slots, pages a sequence) int32.
    """

    keys: np.ndarray
    values: np.ndarray
    tables: np.ndarray


class Room(NamedTuple):
    """Scratch for rows: x and norm (rows, x_stride), qkv, hidden; all flat. scores, inverses, chains: of `attend`, for
    every head of one row or one head of ATTEND_ROWS."""

    x: np.ndarray
    norm: np.ndarray
    qkv: np.ndarray
    attended: np.ndarray
    hidden: np.ndarray
    scores: np.ndarray
    inverses: np.ndarray
    chains: np.ndarray


@njit(nogil=True, cache=True)
def panels_of(outputs):
    """How many panels hold so many outputs."""
    return (outputs + PANEL - 1) // PANEL


@njit(nogil=True, cache=True)
def normalise(x, at, y, to, n):
    """y[to..] = RMSNorm of the n numbers at x[at..], which zeros follow to a whole vector; x and y may be the same."""
    squares = splat(x, 0.0)
    for i in range(0, n, LANES):
        v = load(x, at + i)
        squares = fma(v, v, squares)
    scale = splat(x, 1.0 / np.sqrt(np.float64(total(squares)) / n + RMS_EPS))
    for i in range(0, n, LANES):
        store(y, to + i, multiply(load(x, at + i), scale))


@njit(nogil=True, cache=True)
def embed(sizes, weights, token, position, x, at):
    """x[at..] = the normalised sum of a token's and a position's embedding."""
    t, p = token * sizes.table_stride, position * sizes.table_stride
    for i in range(0, sizes.n_embd, LANES):
        store(x, at + i, add(load(weights.wte, t + i), load(weights.wpe, p + i)))
    normalise(x, at, x, at, sizes.n_embd)


@njit(nogil=True, cache=True)
def write_kv(sizes, cache, slot, position, layer, qkv, at, first_head, last_head):
    """Put a row's keys and values of some heads into the cache."""
    page, place = cache.tables[slot, position // LANES], position % LANES
    D, C = sizes.head_dim, sizes.n_embd
    for head in range(first_head, last_head):
        k = page * sizes.key_page + (layer * sizes.n_head + head) * D * LANES + place
        v = page * sizes.value_page + ((layer * sizes.n_head + head) * LANES + place) * sizes.value_stride
        source = at + C + head * D
        for d in range(D):
            put(cache.keys, k + d * LANES, qkv[source + d])
            put(cache.values, v + d, qkv[source + C + d])


@njit(nogil=True, cache=True)
def attend(
    sizes, cache, slot, position, rows, layer, q, q_at, q_stride, room, y_at, y_stride, first_head, last_head
):  # fmt: skip
    """What some heads of `rows` rows (1 or ATTEND_ROWS) make of the positions before them and their own.

    The rows are neighbouring positions of one sequence, the first at `position`; their keys and values are in the
    cache. Row r's query begins at q[q_at + r * q_stride], its result at room.attended[y_at + r * y_stride]; up to 15
    numbers past the last head's are written too.

    A score is one chain over the head's dimensions, the softmax's sum goes lane by lane over the pages in order, an
    output has a chain for even positions and one for odd ones: orders that begin at position 0 and are the same however
    many rows come together. Pages are the outer loop, since a page's keys (or values) of a layer lie side by side.
    """
    keys, values, tables, scores, chains = cache.keys, cache.values, cache.tables, room.scores, room.chains
    D, H, Dv = sizes.head_dim, sizes.n_head, sizes.value_stride
    S = sizes.scores_stride
    heads = last_head - first_head
    pages = (position + rows + LANES - 1) // LANES
    p = 0
    while p < pages:
        together = 4 if p + 4 <= pages else 1
        k0 = tables[slot, p] * sizes.key_page + (layer * H + first_head) * D * LANES
        k1 = k2 = k3 = k0
        if together == 4:
            k1 = tables[slot, p + 1] * sizes.key_page + (layer * H + first_head) * D * LANES
            k2 = tables[slot, p + 2] * sizes.key_page + (layer * H + first_head) * D * LANES
            k3 = tables[slot, p + 3] * sizes.key_page + (layer * H + first_head) * D * LANES
        for head in range(heads):
            at, to, on = q_at + (first_head + head) * D, head * rows * S + p * LANES, head * D * LANES
            if together == 1:
                for r in range(rows):
                    _scores_1x1(q, at + r * q_stride, 0, keys, k0 + on, 0, 0, 0, D, scores, to + r * S, 0)
            elif rows == 1:
                _scores_1x4(q, at, 0, keys, k0 + on, k1 + on, k2 + on, k3 + on, D, scores, to, 0)
            else:
                _scores_4x4(q, at, q_stride, keys, k0 + on, k1 + on, k2 + on, k3 + on, D, scores, to, S)
        p += together

    scale = splat(room.x, 1.0 / np.sqrt(D))
    lowest = splat(room.x, -np.inf)
    for head in range(heads):
        for r in range(rows):
            at, count = (head * rows + r) * S, position + r + 1
            mine = (count + LANES - 1) // LANES
            end = at + (mine - 1) * LANES
            store(scores, end, keep_first(load(scores, end), count - (mine - 1) * LANES, lowest))
            top = lowest
            for i in range(at, at + mine * LANES, LANES):
                top = larger(top, load(scores, i))
            most, sums = splat(room.x, highest(top)), splat(room.x, 0.0)
            for i in range(at, at + mine * LANES, LANES):
                e = exp(multiply(subtract(load(scores, i), most), scale))
                store(scores, i, e)
                sums = add(sums, e)
            room.inverses[head * rows + r] = 1.0 / np.float64(total(sums))

    chains[: heads * rows * 2 * Dv] = 0
    full = (position + 1) // LANES  # pages that the first row sees whole, and so do the others
    for p in range(pages):
        v_page = tables[slot, p] * sizes.value_page + (layer * H + first_head) * LANES * Dv
        for head in range(heads):
            for j in range(0, Dv, 2 * LANES):
                v = v_page + head * LANES * Dv + j
                at, to = head * rows * S + p * LANES, head * rows * 2 * Dv + j
                wide = j + LANES < Dv
                if p < full and rows > 1:
                    if wide:
                        _values_4x2(scores, at, S, values, v, Dv, LANES, chains, to)
                    else:
                        _values_4x1(scores, at, S, values, v, Dv, LANES, chains, to)
                else:
                    for r in range(rows):
                        count = max(0, min(LANES, position + r + 1 - p * LANES))
                        if wide:
                            _values_1x2(scores, at + r * S, 0, values, v, Dv, count, chains, to + r * 2 * Dv)
                        else:
                            _values_1x1(scores, at + r * S, 0, values, v, Dv, count, chains, to + r * 2 * Dv)
    for head in range(heads):
        for r in range(rows):
            inverse = splat(room.x, room.inverses[head * rows + r])
            at, to = (head * rows + r) * 2 * Dv, y_at + r * y_stride + (first_head + head) * D
            for j in range(0, Dv, LANES):
                store(room.attended, to + j, multiply(add(load(chains, at + j), load(chains, at + Dv + j)), inverse))


@njit(nogil=True, cache=True)
def finish_layer(sizes, weights, layer, room, rows):
    """What follows attention in a layer, for rows [0, rows) of room.x and room.attended."""
    C, Cs, Hs = sizes.n_embd, sizes.x_stride, sizes.hidden_stride
    out, hidden = panels_of(C), panels_of(4 * C)
    base = layer * out * PANEL
    matmul(ADD, room.attended, 0, Cs, rows, C, weights.wo, base * C, weights.wo_scales, base, 0, out, room.x, 0, Cs)
    for r in range(rows):
        normalise(room.x, r * Cs, room.norm, r * Cs, C)
    base = layer * hidden * PANEL
    matmul(
        RELU, room.norm, 0, Cs, rows, C, weights.fc1, base * C, weights.fc1_scales, base, 0, hidden, room.hidden, 0, Hs
    )
    base = layer * out * PANEL
    matmul(
        ADD, room.hidden, 0, Hs, rows, 4 * C, weights.fc2, base * 4 * C, weights.fc2_scales, base, 0, out, room.x, 0, Cs
    )  # fmt: skip


@njit(nogil=True, cache=True)
def begin_layer(sizes, weights, layer, room, rows):
    """Queries, keys and values of rows [0, rows) of room.x, into room.qkv."""
    C, Cs = sizes.n_embd, sizes.x_stride
    for r in range(rows):
        normalise(room.x, r * Cs, room.norm, r * Cs, C)
    panels = panels_of(3 * C)
    base = layer * panels * PANEL
    matmul(
        STORE, room.norm, 0, Cs, rows, C, weights.qkv, base * C, weights.qkv_scales, base, 0, panels, room.qkv, 0,
        sizes.qkv_stride,
    )  # fmt: skip
