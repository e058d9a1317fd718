"""A row through the model: embedding, RMSNorm, attention over pages, matrices.

A row is one token of one sequence at one position. What a row's numbers are does not depend on which rows stand beside
it: each function here works on one row, or is `matmul`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

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
    splat,
    store,
    subtract,
    total,
)
from microgpt.backends.kernels.matmul import ADD, PANEL, RELU, STORE, matmul

RMS_EPS = 1e-5


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
    16, value_stride), flat: dimensions are the lanes of an output. tables: (slots, pages a sequence) int32.
    """

    keys: np.ndarray
    values: np.ndarray
    tables: np.ndarray


class Room(NamedTuple):
    """Scratch for rows: x and norm (rows, x_stride), qkv, hidden; all flat. scores: block_size in whole pages."""

    x: np.ndarray
    norm: np.ndarray
    qkv: np.ndarray
    attended: np.ndarray
    hidden: np.ndarray
    scores: np.ndarray


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
            cache.keys[k + d * LANES] = qkv[source + d]
            cache.values[v + d] = qkv[source + C + d]


@njit(nogil=True, cache=True)
def _scores(sizes, keys, page, offset, q, q_at):
    """The 16 raw scores of one page: even and odd dimensions in a chain each."""
    D = sizes.head_dim
    k = page * sizes.key_page + offset
    even, odd = splat(keys, 0.0), splat(keys, 0.0)
    d = 0
    while d + 1 < D:
        even = fma(load(keys, k + d * LANES), splat(keys, q[q_at + d]), even)
        odd = fma(load(keys, k + (d + 1) * LANES), splat(keys, q[q_at + d + 1]), odd)
        d += 2
    if d < D:
        even = fma(load(keys, k + d * LANES), splat(keys, q[q_at + d]), even)
    return add(even, odd)


@njit(nogil=True, cache=True)
def attend(sizes, cache, slot, position, layer, q, q_at, room, y_at, first_head, last_head):
    """room.attended[y_at..] = what some heads of a row make of positions 0..position, which are in the cache.

    Scores are taken page by page, the softmax's sum lane by lane over the pages in order, outputs in four chains
    (positions by their remainder by 4): fixed orders that begin at position 0. Writes up to 15 numbers past the last
    head's.
    """
    keys, values, tables, y, scores = cache.keys, cache.values, cache.tables, room.attended, room.scores
    D, H, Dv = sizes.head_dim, sizes.n_head, sizes.value_stride
    count = position + 1
    pages = (count + LANES - 1) // LANES
    full = count // LANES
    scale = splat(keys, 1.0 / np.sqrt(D))
    lowest = splat(keys, -np.inf)
    for head in range(first_head, last_head):
        q_head = q_at + head * D
        offset = (layer * H + head) * D * LANES
        top = lowest
        p = 0
        while p + 4 <= pages:  # four pages at once: eight chains hide the latency of each
            k0 = tables[slot, p] * sizes.key_page + offset
            k1 = tables[slot, p + 1] * sizes.key_page + offset
            k2 = tables[slot, p + 2] * sizes.key_page + offset
            k3 = tables[slot, p + 3] * sizes.key_page + offset
            e0 = o0 = e1 = o1 = e2 = o2 = e3 = o3 = splat(keys, 0.0)
            d = 0
            while d + 1 < D:
                a, b = splat(keys, q[q_head + d]), splat(keys, q[q_head + d + 1])
                i, j = d * LANES, (d + 1) * LANES
                e0, o0 = fma(load(keys, k0 + i), a, e0), fma(load(keys, k0 + j), b, o0)
                e1, o1 = fma(load(keys, k1 + i), a, e1), fma(load(keys, k1 + j), b, o1)
                e2, o2 = fma(load(keys, k2 + i), a, e2), fma(load(keys, k2 + j), b, o2)
                e3, o3 = fma(load(keys, k3 + i), a, e3), fma(load(keys, k3 + j), b, o3)
                d += 2
            if d < D:
                a, i = splat(keys, q[q_head + d]), d * LANES
                e0, e1 = fma(load(keys, k0 + i), a, e0), fma(load(keys, k1 + i), a, e1)
                e2, e3 = fma(load(keys, k2 + i), a, e2), fma(load(keys, k3 + i), a, e3)
            s0, s1, s2, s3 = add(e0, o0), add(e1, o1), add(e2, o2), add(e3, o3)
            if p + 4 > full:
                s3 = keep_first(s3, count - (p + 3) * LANES, lowest)
            store(scores, p * LANES, s0)
            store(scores, (p + 1) * LANES, s1)
            store(scores, (p + 2) * LANES, s2)
            store(scores, (p + 3) * LANES, s3)
            top = larger(top, larger(larger(s0, s1), larger(s2, s3)))
            p += 4
        while p < pages:
            s0 = _scores(sizes, keys, tables[slot, p], offset, q, q_head)
            if p >= full:
                s0 = keep_first(s0, count - p * LANES, lowest)
            store(scores, p * LANES, s0)
            top = larger(top, s0)
            p += 1
        most = splat(keys, highest(top))
        sums = splat(keys, 0.0)
        for p in range(pages):
            e = exp(multiply(subtract(load(scores, p * LANES), most), scale))
            store(scores, p * LANES, e)
            sums = add(sums, e)
        inverse = splat(keys, 1.0 / np.float64(total(sums)))
        for j in range(0, Dv, LANES):
            c0 = c1 = c2 = c3 = splat(keys, 0.0)
            for p in range(pages):
                v = tables[slot, p] * sizes.value_page + (layer * H + head) * LANES * Dv + j
                here = p * LANES
                for i in range(0, min(LANES, count - here) // 4 * 4, 4):
                    c0 = fma(load(values, v + i * Dv), splat(keys, scores[here + i]), c0)
                    c1 = fma(load(values, v + (i + 1) * Dv), splat(keys, scores[here + i + 1]), c1)
                    c2 = fma(load(values, v + (i + 2) * Dv), splat(keys, scores[here + i + 2]), c2)
                    c3 = fma(load(values, v + (i + 3) * Dv), splat(keys, scores[here + i + 3]), c3)
            i = count // 4 * 4
            if i < count:
                v = tables[slot, i // LANES] * sizes.value_page + (layer * H + head) * LANES * Dv + j
                c0 = fma(load(values, v + i % LANES * Dv), splat(keys, scores[i]), c0)
                if i + 1 < count:
                    c1 = fma(load(values, v + (i + 1) % LANES * Dv), splat(keys, scores[i + 1]), c1)
                if i + 2 < count:
                    c2 = fma(load(values, v + (i + 2) % LANES * Dv), splat(keys, scores[i + 2]), c2)
            store(y, y_at + head * D + j, multiply(add(add(c0, c1), add(c2, c3)), inverse))


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
