"""y = x W^T with every element summed over k in order, one fused multiply-add a step: the same bits for any number of
rows, any tail and any split between threads.

Weights are packed into panels of 32 outputs: for each k, 32 numbers side by side, so that lanes are outputs and no sum
crosses lanes. A tile is some rows times a few panels, held in registers (8 x 2 vectors of AVX-512's 32) for a whole
pass over k: per k, 2 loads of weights and one broadcast a row feed 2 products a row.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from microgpt.backends.kernels.compiling import part
from microgpt.backends.kernels.lanes import (
    LANES,
    element_pointer,
    fma_value,
    load_value,
    prefetch_line,
    scalar_type,
    splat_value,
)

PANEL = 32  # outputs side by side: 2 vectors
_VECTORS = PANEL // LANES

_UNROLL = 4  # a loop's own instructions took a tenth of the time of 16 products
_LINE_BYTES = 64
_SHARES = 4  # tiles that ask for a panel together: at 32 rows each waits less than one alone would

STORE, RELU, ADD = np.int64(0), np.int64(1), np.int64(2)  # y = xW, y = max(xW, 0), y += xW


def _tile(rows: int, panels: int, unroll: int = 1, share: int = 0) -> Callable[..., None]:
    """An intrinsic for a tile of `rows` rows and `panels` neighbouring panels, `unroll` k a pass of its loop.

    share: n to also ask for an n-th of the next panel, from ahead_at on: what comes to a core's own cache from farther
    away does so while the products of this one are made.
    """
    vectors = panels * _VECTORS

    @intrinsic
    def tile(
        typingctx: Any, x: Any, x_at: Any, x_stride: Any, w: Any, w_at: Any, depth: Any,
        scales: Any, scales_at: Any, y: Any, y_at: Any, y_stride: Any, mode: Any, ahead_at: Any,
    ) -> Any:  # fmt: skip
        number = scalar_type(x.dtype)
        vector = ir.VectorType(number, LANES)
        step = x.dtype.bitwidth // 8
        line = _LINE_BYTES * 8 // w.dtype.bitwidth  # weights in a cache line
        lines = -(-unroll * PANEL // line // share) if share else 0  # asked for in a pass

        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            xs, x_at, x_stride, ws, w_at, depth, scales, scales_at, ys, y_at, y_stride, mode, ahead_at = args
            index = x_at.type
            zero = index(0)

            def address(array_type: Any, array: Any, at: ir.Value, stride: ir.Value, row: int) -> ir.Value:
                offset = builder.add(at, builder.mul(stride, index(row)))
                return element_pointer(context, builder, array_type, array, offset)

            x_rows = [address(signature.args[0], xs, x_at, x_stride, r) for r in range(rows)]
            y_rows = [address(signature.args[8], ys, y_at, y_stride, r) for r in range(rows)]
            panel_size = builder.mul(depth, index(PANEL))
            starts = [address(signature.args[3], ws, w_at, panel_size, p) for p in range(panels)]
            ahead = element_pointer(context, builder, signature.args[3], ws, ahead_at)

            def products(k: ir.Value, count: int, sums: list[ir.Value]) -> list[ir.Value]:
                """The sums after k, k + 1, ... k + count - 1."""
                weights_at = [builder.gep(start, [builder.mul(k, index(PANEL))]) for start in starts]
                numbers_at = [builder.gep(row, [k]) for row in x_rows]
                for i in range(count):
                    weights = [
                        load_value(builder, builder.gep(at, [index(i * PANEL + v * LANES)]), w.dtype)
                        for at in weights_at
                        for v in range(_VECTORS)
                    ]
                    new = []
                    for r, at in enumerate(numbers_at):
                        factor = splat_value(builder, builder.load(builder.gep(at, [index(i)]), align=step))
                        new += [
                            fma_value(builder, weight, factor, sums[r * vectors + v])
                            for v, weight in enumerate(weights)
                        ]
                    sums = new
                return sums

            def loop(first: ir.Value, last: ir.Value, count: int, sums: list[ir.Value], asked: int) -> list[ir.Value]:
                """The sums after all k in [first, last), which is a multiple of `count` long."""
                before = builder.block
                body, after = builder.append_basic_block("k"), builder.append_basic_block("k_end")
                builder.cbranch(builder.icmp_signed("<", first, last), body, after)
                builder.position_at_end(body)
                k = builder.phi(index)
                k.add_incoming(first, before)
                running = [builder.phi(vector) for _ in sums]
                for i in range(asked):
                    offset = builder.mul(builder.udiv(k, index(unroll)), index(asked * line))
                    prefetch_line(builder, builder.gep(ahead, [builder.add(offset, index(i * line))]))
                new = products(k, count, running)
                next_k = builder.add(k, index(count))
                k.add_incoming(next_k, body)
                builder.cbranch(builder.icmp_signed("<", next_k, last), body, after)
                builder.position_at_end(after)
                results = []
                for phi, initial, value in zip(running, sums, new, strict=True):
                    phi.add_incoming(initial, before)
                    phi.add_incoming(value, body)
                    result = builder.phi(vector)
                    result.add_incoming(initial, before)
                    result.add_incoming(value, body)
                    results.append(result)
                return results

            nothing = ir.Constant(vector, [0.0] * LANES)
            new = [nothing] * (rows * vectors)
            whole = builder.and_(depth, index(-unroll))  # unroll is a power of two
            new = loop(zero, whole, unroll, new, lines)
            if unroll > 1:
                new = loop(whole, depth, 1, new, 0)
            if w.dtype == types.int8:
                factors = []
                for v in range(vectors):
                    at = builder.add(scales_at, index(v * LANES))
                    pointer = element_pointer(context, builder, signature.args[6], scales, at)
                    factors.append(load_value(builder, pointer, scales_type))
                new = [builder.fmul(result, factors[i % vectors]) for i, result in enumerate(new)]
            places = [
                builder.bitcast(builder.gep(y_rows[r], [index(v * LANES)]), vector.as_pointer())
                for r in range(rows)
                for v in range(vectors)
            ]
            with builder.if_else(builder.icmp_signed("==", mode, index(int(ADD)))) as (adds, stores):
                with adds:
                    for place, result in zip(places, new, strict=True):
                        builder.store(builder.fadd(builder.load(place, align=step), result), place, align=step)
                with stores:
                    cuts = builder.icmp_signed("==", mode, index(int(RELU)))
                    for place, result in zip(places, new, strict=True):
                        above = builder.fcmp_unordered(">", result, nothing)  # a NaN stays one
                        cut = builder.select(above, result, nothing)
                        builder.store(builder.select(cuts, cut, result), place, align=step)
            return context.get_dummy_value()

        scales_type = scales.dtype
        n = types.intp
        return types.void(x, n, n, w, n, n, scales, n, y, n, n, n, n), codegen

    return tile


_tile_1x1, _tile_1x4 = _tile(1, 1), _tile(1, 4, _UNROLL)
_tile_2x1, _tile_2x4 = _tile(2, 1), _tile(2, 4, _UNROLL)
_tile_4x1, _tile_4x2 = _tile(4, 1), _tile(4, 2, _UNROLL)
_tile_8x1, _tile_8x1_whole, _tile_8x1_part = (_tile(8, 1, _UNROLL, share) for share in (0, 1, _SHARES))


@part
def matmul(
    mode, rows, outputs, depth, x, x_at, x_stride, w, w_base, scales, scales_base, layer,
    y, y_at, y_stride, thread, team,
):  # fmt: skip
    """One thread's share of the outputs of y = x W^T, for rows [0, rows) and W (outputs, depth), by `mode`.

    x, y: flat, row r beginning at x_at + r * x_stride. w: packed, the first layer's beginning at w_base. scales: one an
    output, the first layer's from scales_base on, for int8 weights alone.
    """
    panels = (outputs + PANEL - 1) // PANEL
    size = depth * PANEL
    w_base += layer * panels * size
    scales_base += layer * panels * PANEL
    panel, last = np.int64(0), panels
    if team > 1:  # divisions are slow, and the smallest models are alone
        panel, last = panels * thread // team, panels * (thread + 1) // team
    while panel < last:
        left = last - panel
        # The fewer the rows, the more panels a tile takes, to have 8 or more sums under way: a sum waits 4 cycles for
        # its last product.
        together = 1 if rows >= 8 else 4 if rows < 4 and left >= 4 else 2 if rows >= 4 and left >= 2 else 1
        w_at, s_at = w_base + panel * size, scales_base + panel * PANEL
        r = 0
        while r < rows:
            n = rows - r
            a, b = x_at + r * x_stride, y_at + r * y_stride + panel * PANEL
            if n >= 8:
                if panel + 1 == last or r >= 8 * _SHARES:
                    _tile_8x1(x, a, x_stride, w, w_at, depth, scales, s_at, y, b, y_stride, mode, w_at)
                elif rows < 16:
                    _tile_8x1_whole(x, a, x_stride, w, w_at, depth, scales, s_at, y, b, y_stride, mode, w_at + size)
                else:
                    ahead = w_at + size + r // 8 * (size // _SHARES)
                    _tile_8x1_part(x, a, x_stride, w, w_at, depth, scales, s_at, y, b, y_stride, mode, ahead)
                r += 8
            elif n >= 4:
                if together == 2:
                    _tile_4x2(x, a, x_stride, w, w_at, depth, scales, s_at, y, b, y_stride, mode, w_at)
                else:
                    _tile_4x1(x, a, x_stride, w, w_at, depth, scales, s_at, y, b, y_stride, mode, w_at)
                r += 4
            elif n >= 2:
                if together == 4:
                    _tile_2x4(x, a, x_stride, w, w_at, depth, scales, s_at, y, b, y_stride, mode, w_at)
                else:
                    for p in range(together):
                        _tile_2x1(
                            x, a, x_stride, w, w_at + p * size, depth, scales, s_at + p * PANEL, y, b + p * PANEL,
                            y_stride, mode, w_at,
                        )  # fmt: skip
                r += 2
            else:
                if together == 4:
                    _tile_1x4(x, a, x_stride, w, w_at, depth, scales, s_at, y, b, y_stride, mode, w_at)
                else:
                    for p in range(together):
                        _tile_1x1(
                            x, a, x_stride, w, w_at + p * size, depth, scales, s_at + p * PANEL, y, b + p * PANEL,
                            y_stride, mode, w_at,
                        )  # fmt: skip
                r += 1
        panel += together


def pack(weight: np.ndarray) -> np.ndarray:
    """A weight (outputs, inputs) as panels, flat: (ceil(outputs / 32), inputs, 32), padded with zeros."""
    outputs, inputs = weight.shape
    panels = -(-outputs // PANEL)
    padded = np.zeros((panels * PANEL, inputs), weight.dtype)
    padded[:outputs] = weight
    return np.ascontiguousarray(padded.reshape(panels, PANEL, inputs).transpose(0, 2, 1)).reshape(-1)
