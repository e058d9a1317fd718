"""Attention over pages of keys and values that are floats; `attention8` is that for int8.

The inner loops, scores of some rows against some pages of keys and sums of pages' values, are emitted for a number of
rows and pages (or vectors), so that all sums stay in registers. Every sum has the same order whatever that number is.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from microgpt.backends.kernels.compiling import inlined
from microgpt.backends.kernels.lanes import (
    LANES,
    Loop,
    add,
    element_pointer,
    exp,
    fma,
    fma_value,
    highest,
    keep_first,
    larger,
    load,
    load_value,
    multiply,
    scalar_type,
    splat,
    splat_value,
    spread,
    store,
    subtract,
    total,
)

VALUE_PAGES = 8  # whose values of one head are added before the next head's: sums stay in registers meanwhile
ATTEND_ROWS = 4  # rows of a prompt that attend together: each key and value is loaded once for all of them


def score_tile(rows: int, pages: int) -> Callable[..., None]:
    """scores[to + r * stride + 16 p ..] = the products of query r and the 16 keys of page p, for `rows` x `pages`.

    Takes q, where the first row's head begins and the rows' stride; keys and where the head begins in each of four
    pages (those beyond `pages` are ignored); head_dim; scores, to, stride.
    """

    @intrinsic
    def tile(
        typingctx: Any, q: Any, q_at: Any, q_stride: Any, keys: Any, k0: Any, k1: Any, k2: Any, k3: Any, depth: Any,
        scores: Any, to: Any, stride: Any,
    ) -> Any:  # fmt: skip
        number = scalar_type(q.dtype)
        step = q.dtype.bitwidth // 8

        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            q, q_at, q_stride, keys, k0, k1, k2, k3, depth, scores, to, stride = args
            index = q_at.type
            kinds = signature.args

            def row(kind: Any, array: Any, at: ir.Value, stride: ir.Value, r: int) -> ir.Value:
                return element_pointer(context, builder, kind, array, builder.add(at, builder.mul(stride, index(r))))

            queries = [row(kinds[0], q, q_at, q_stride, r) for r in range(rows)]
            starts = [element_pointer(context, builder, kinds[3], keys, k) for k in (k0, k1, k2, k3)[:pages]]
            nothing = ir.Constant(ir.VectorType(number, LANES), [0.0] * LANES)
            with Loop(builder, depth, [nothing] * (rows * pages)) as loop:
                offset = builder.mul(loop.i, index(LANES))
                loaded = [load_value(builder, builder.gep(start, [offset]), kinds[3].dtype) for start in starts]
                new = []
                for r in range(rows):
                    factor = splat_value(builder, builder.load(builder.gep(queries[r], [loop.i]), align=step))
                    new += [fma_value(builder, loaded[p], factor, loop.values[r * pages + p]) for p in range(pages)]
                loop.again(new)
            for r in range(rows):
                target = row(kinds[9], scores, to, stride, r)
                for p in range(pages):
                    place = builder.gep(target, [index(p * LANES)])
                    value = loop.results[r * pages + p]
                    builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=step)
            return context.get_dummy_value()

        n = types.intp
        return types.void(q, n, n, keys, n, n, n, n, n, scores, n, n), codegen

    return tile


def value_tile(rows: int, vectors: int) -> Callable[..., None]:
    """chains[to + r * 2 * width ..] += the values of some pages, each times its weight, for `rows` x `vectors`.

    Even positions of a page go to the first `width` numbers of a row's chains, odd ones to the next. Takes weights,
    where the first row's begin and the rows' stride; values, the place in `tables` from where on there are the pages'
    numbers, how many pages, a page's size, where in each the values begin, their width; how many positions of a page
    count (if not all, of one page alone); chains, to.
    """

    @intrinsic
    def tile(
        typingctx: Any, weights: Any, w_at: Any, w_stride: Any, values: Any, tables: Any, t_at: Any, pages: Any,
        page_size: Any, v_at: Any, width: Any, count: Any, chains: Any, to: Any,
    ) -> Any:  # fmt: skip
        number = scalar_type(weights.dtype)
        step = weights.dtype.bitwidth // 8

        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            weights, w_at, w_stride, values, tables, t_at, pages, page_size, v_at, width, count, chains, to = args
            index = w_at.type
            kinds = signature.args
            vector = ir.VectorType(number, LANES)
            rows_at = [
                element_pointer(
                    context, builder, kinds[0], weights, builder.add(w_at, builder.mul(w_stride, index(r)))
                )
                for r in range(rows)
            ]  # fmt: skip
            table = element_pointer(context, builder, kinds[4], tables, t_at)
            places = []  # by row, parity and vector
            for r in range(rows):
                for parity in range(2):
                    at = builder.add(to, builder.mul(width, index(2 * r + parity)))
                    places += [
                        builder.bitcast(
                            element_pointer(context, builder, kinds[11], chains, builder.add(at, index(v * LANES))),
                            vector.as_pointer(),
                        )
                        for v in range(vectors)
                    ]

            def page_at(p: ir.Value) -> ir.Value:
                """Where the values begin in page p of these."""
                page = builder.sext(builder.load(builder.gep(table, [p])), index)
                at = builder.add(builder.mul(page, page_size), v_at)
                return element_pointer(context, builder, kinds[3], values, at)

            def position(page: ir.Value, i: ir.Value, weight_at: ir.Value, parity: int, sums: list[ir.Value]) -> None:
                """Add position i of a page, in place, to the chains of its parity."""
                start = builder.gep(page, [builder.mul(i, width)])
                loaded = [
                    load_value(builder, builder.gep(start, [index(v * LANES)]), kinds[3].dtype) for v in range(vectors)
                ]
                for r in range(rows):
                    factor = splat_value(builder, builder.load(builder.gep(rows_at[r], [weight_at]), align=step))
                    for v in range(vectors):
                        place = (2 * r + parity) * vectors + v
                        sums[place] = fma_value(builder, loaded[v], factor, sums[place])

            pairs = builder.ashr(count, index(1))
            initial = [builder.load(place, align=step) for place in places]
            with Loop(builder, pages, initial) as by_page:
                page, first = page_at(by_page.i), builder.mul(by_page.i, index(LANES))
                with Loop(builder, pairs, by_page.values) as by_pair:
                    sums = list(by_pair.values)
                    even = builder.shl(by_pair.i, index(1))
                    for parity in range(2):
                        i = builder.add(even, index(parity))
                        position(page, i, builder.add(first, i), parity, sums)
                    by_pair.again(sums)
                by_page.again(by_pair.results)
            for place, value in zip(places, by_page.results, strict=True):
                builder.store(value, place, align=step)
            with builder.if_then(builder.icmp_signed("!=", builder.and_(count, index(1)), index(0))):
                sums = list(by_page.results)
                last = builder.sub(count, index(1))
                position(page_at(index(0)), last, last, 0, sums)
                for place, value in zip(places, sums, strict=True):
                    builder.store(value, place, align=step)
            return context.get_dummy_value()

        n = types.intp
        return types.void(weights, n, n, values, tables, n, n, n, n, n, n, chains, n), codegen

    return tile


@inlined
def attend_page(
    q, at, keys, k, k_step, values, v, v_step, heads, D, Dv, count, weights, weights_at, y, to
):  # fmt: skip
    """What `heads` heads of one row make of the first `count` positions of a page, which are all that it sees.

    Head h's query begins at q[at + h D], its keys at keys[k + h k_step], its values at values[v + h v_step], its result
    at y[to + h D]; 16 numbers a head from weights_at on are scratch. The bits are those of the tiles above: sums have
    the same order, but stay in registers, where a wait for memory at each turn took most of the time. All heads'
    weights come before their values, so that the processor works on several heads at once.
    """
    nothing, lowest = splat(weights, 0.0), splat(weights, -np.inf)
    scale = splat(weights, 1.0 / np.sqrt(D))
    for head in range(heads):
        scores = nothing
        for d in range(D):
            scores = fma(load(keys, k + d * LANES), spread(q, at + d), scores)
        scores = keep_first(scores, count, lowest)
        most = splat(weights, highest(larger(lowest, scores)))
        store(weights, weights_at + head * LANES, exp(multiply(subtract(scores, most), scale)))
        at, k = at + D, k + k_step
    for head in range(heads):
        w = weights_at + head * LANES
        e = load(weights, w)
        inverse = splat(weights, 1.0 / np.float64(total(e)))
        for j in range(0, Dv, LANES):
            even, odd = nothing, nothing
            for i in range(0, count - 1, 2):
                even = fma(load(values, v + i * Dv + j), spread(weights, w + i), even)
                odd = fma(load(values, v + (i + 1) * Dv + j), spread(weights, w + i + 1), odd)
            if count & 1:
                last = count - 1
                even = fma(load(values, v + last * Dv + j), spread(weights, w + last), even)
            store(y, to + j, multiply(add(even, odd), inverse))
        to, v = to + D, v + v_step


_scores_1x1, _scores_1x4, _scores_4x4 = score_tile(1, 1), score_tile(1, 4), score_tile(ATTEND_ROWS, 4)
_values_1x1, _values_1x2, _values_1x3 = value_tile(1, 1), value_tile(1, 2), value_tile(1, 3)
_values_4x1, _values_4x2 = value_tile(ATTEND_ROWS, 1), value_tile(ATTEND_ROWS, 2)


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
        for d in range(D):
            keys[k + d * LANES + place] = qkv[source + d]
        for d in range(0, D, LANES):
            store(values, v + place * Dv + d, keep_first(load(qkv, source + C + d), D - d, nothing))


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
            for i in range(at, at + mine * LANES, LANES):
                e = exp(multiply(subtract(load(room, i), most), scale))
                sums = add(sums, e)
                store(room, i, e)
            room[inverses + head * rows + r] = 1.0 / np.float64(total(sums))

    nothing = splat(room, 0.0)
    for i in range(chains, chains + heads * rows * 2 * Dv, LANES):
        store(room, i, nothing)
    full = (position + 1) // LANES  # pages that the first row sees whole, and so do the others
    begin, size, p = slot * tables.shape[1], sizes.value_page, 0
    while p < pages:
        together = min(VALUE_PAGES, full - p) if p < full else 1
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
