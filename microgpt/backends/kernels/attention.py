"""The inner loops of attention: scores of some rows against some pages of keys, and sums of a page's values.

Both are emitted for a number of rows and pages (or vectors), so that all sums stay in registers. Every sum has the same
order whatever that number is. And attention to one page alone, which is all that the smallest models have.
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
from microgpt.backends.kernels.rounding import scaled, scaled_value


class _Loop:
    """for i in range(count), with values that each pass replaces: `values` inside, `results` after the loop."""

    def __init__(self, builder: ir.IRBuilder, count: ir.Value, initial: list[ir.Value]):
        self._builder, self._count, self._initial = builder, count, initial

    def __enter__(self) -> "_Loop":
        builder = self._builder
        self._before = builder.block
        self._body, self._after = builder.append_basic_block("pass"), builder.append_basic_block("end")
        zero = self._count.type(0)
        builder.cbranch(builder.icmp_signed(">", self._count, zero), self._body, self._after)
        builder.position_at_end(self._body)
        self.i = builder.phi(self._count.type)
        self.i.add_incoming(zero, self._before)
        self.values = []
        for value in self._initial:
            phi = builder.phi(value.type)
            phi.add_incoming(value, self._before)
            self.values.append(phi)
        return self

    def again(self, new: list[ir.Value]) -> None:
        """End of a pass."""
        self._new = new

    def __exit__(self, *_: object) -> None:
        builder = self._builder
        following = builder.add(self.i, self._count.type(1))
        last = builder.block
        self.i.add_incoming(following, last)
        for phi, value in zip(self.values, self._new, strict=True):
            phi.add_incoming(value, last)
        builder.cbranch(builder.icmp_signed("<", following, self._count), self._body, self._after)
        builder.position_at_end(self._after)
        self.results = []
        for first, value in zip(self._initial, self._new, strict=True):
            phi = builder.phi(value.type)
            phi.add_incoming(first, self._before)
            phi.add_incoming(value, last)
            self.results.append(phi)


def score_tile(rows: int, pages: int) -> Callable[..., None]:
    """scores[to + r * stride + 16 p ..] = the products of query r and the 16 keys of page p, for `rows` x `pages`.

    Keys in int8 are followed by their scales, of which a score has a position's.

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
            with _Loop(builder, depth, [nothing] * (rows * pages)) as loop:
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
                    scales = builder.gep(starts[p], [builder.mul(depth, index(LANES))])
                    value = scaled_value(builder, loop.results[r * pages + p], scales, kinds[3].dtype)
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
            with _Loop(builder, pages, initial) as by_page:
                page, first = page_at(by_page.i), builder.mul(by_page.i, index(LANES))
                with _Loop(builder, pairs, by_page.values) as by_pair:
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
        scores = keep_first(scaled(scores, keys, k + D * LANES), count, lowest)
        most = splat(weights, highest(larger(lowest, scores)))
        store(weights, weights_at + head * LANES, exp(multiply(subtract(scores, most), scale)))
        at, k = at + D, k + k_step
    for head in range(heads):
        w = weights_at + head * LANES
        e = load(weights, w)
        inverse = splat(weights, 1.0 / np.float64(total(e)))
        store(weights, w, scaled(e, values, v + LANES * Dv))
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
