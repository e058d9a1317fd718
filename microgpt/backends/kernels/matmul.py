"""y = x W^T with every element summed over k in order, one fused multiply-add a step: the same bits for any number of
rows, any tail and any split between threads.

Weights are packed into panels of 32 outputs: for each k, 32 numbers side by side, so that lanes are outputs and no sum
crosses lanes. A tile is some rows times a few panels, held in registers (8 x 2 vectors of AVX-512's 32) for a whole
pass over k: per k, 2 loads of weights and one broadcast a row feed 2 products a row.

With 16 rows or more, several tiles pass over a panel, which they do a block of k after another, all tiles over each: it
then stays in the first-level cache, whose misses otherwise wait behind weights that are on their way from farther away.
Sums wait in memory between two blocks, which changes no bit of them.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload
from numba.np import arrayobj

from microgpt.backends.kernels.compiling import inlined, part
from microgpt.backends.kernels.lanes import (
    LANES,
    ZERO,
    element_pointer,
    fma_value,
    load,
    load_value,
    prefetch_line,
    scalar_type,
    splat_value,
    store,
)

PANEL = 32  # outputs side by side: 2 vectors
_VECTORS = PANEL // LANES

_UNROLL = 4  # a loop's own instructions took a tenth of the time of 16 products
_LINE_BYTES = 64
_BLOCK = 128  # k of a panel that many rows pass over at once: 16 KiB, and as much of 32 rows
_BLOCK_ROWS = 64  # rows that do so
_TILE = 8  # rows of the largest tile

STORE, RELU, ADD = np.int64(0), np.int64(1), np.int64(2)  # y = xW, y = max(xW, 0), y += xW
_KEEP = np.int64(3)  # sums to be continued


def _tile(rows: int, panels: int, unroll: int = 1, shares: int = 0, in_blocks: bool = False) -> Callable[..., None]:
    """An intrinsic for a tile of `rows` rows and `panels` neighbouring panels, `unroll` k a pass of its loop.

    shares: n to also ask for an n-th of as many weights from ahead_at on: what comes to a core's own cache from farther
    away does so while the products of these are made. in_blocks: the tile takes four arguments more: the array that
    ahead_at is of (w may be a copy); sums, sums_at, begun: where `begun` is not 0, it goes on with the sums there, and
    by the mode _KEEP it leaves them there.
    """
    vectors = panels * _VECTORS

    def typed(x: Any, w: Any, scales: Any, y: Any, *more: Any) -> Any:
        stored = more[0] if in_blocks else w
        number = scalar_type(x.dtype)
        vector = ir.VectorType(number, LANES)
        step = x.dtype.bitwidth // 8
        line = _LINE_BYTES * 8 // stored.dtype.bitwidth  # weights in a cache line
        lines = unroll * PANEL // line // shares if shares else 0  # asked for in a pass

        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            xs, x_at, x_stride, ws, w_at, depth, scales, scales_at, ys, y_at, y_stride, mode, ahead_at = args[:13]
            index = x_at.type
            zero = index(0)

            def address(array_type: Any, array: Any, at: ir.Value, stride: ir.Value, row: int) -> ir.Value:
                offset = builder.add(at, builder.mul(stride, index(row)))
                return element_pointer(context, builder, array_type, array, offset)

            x_rows = [address(signature.args[0], xs, x_at, x_stride, r) for r in range(rows)]
            if rows == _TILE:
                # The same addresses, of unknown origin: LLVM may else make one row's from another's within the loop,
                # and to do so less often loads several k at a time, more than there are registers for.
                kind = ir.FunctionType(x_rows[0].type, [x_rows[0].type])
                x_rows = [builder.asm(kind, "", "=r,0", [row], False) for row in x_rows]
            y_rows = [address(signature.args[8], ys, y_at, y_stride, r) for r in range(rows)]
            panel_size = builder.mul(depth, index(PANEL))
            starts = [address(signature.args[3], ws, w_at, panel_size, p) for p in range(panels)]
            ahead = element_pointer(context, builder, stored, args[13] if in_blocks else ws, ahead_at)

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
            if in_blocks:
                at = element_pointer(context, builder, signature.args[14], args[14], args[15])
                kept_places = [
                    builder.bitcast(builder.gep(at, [index(i * LANES)]), vector.as_pointer()) for i in range(len(new))
                ]
                before = builder.block
                with builder.if_then(builder.icmp_signed("!=", args[16], zero)):
                    new = [builder.load(place, align=step) for place in kept_places]
                    loading = builder.block
                for i, value in enumerate(new):
                    new[i] = builder.phi(vector)
                    new[i].add_incoming(nothing, before)
                    new[i].add_incoming(value, loading)
            whole = builder.and_(depth, index(-unroll))  # unroll is a power of two
            new = loop(zero, whole, unroll, new, lines)
            if unroll > 1:
                new = loop(whole, depth, 1, new, 0)

            def finish(new: list[ir.Value]) -> None:
                if stored.dtype == types.int8:
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
                        lowest = builder.select(cuts, nothing, ir.Constant(vector, [-math.inf] * LANES))
                        for place, result in zip(places, new, strict=True):
                            above = builder.fcmp_unordered(">", result, lowest)  # a NaN stays one
                            builder.store(builder.select(above, result, lowest), place, align=step)

            if in_blocks:
                with builder.if_else(builder.icmp_signed("==", mode, index(int(_KEEP)))) as (keeps, ends):
                    with keeps:
                        for place, value in zip(kept_places, new, strict=True):
                            builder.store(value, place, align=step)
                    with ends:
                        finish(new)
            else:
                finish(new)
            return context.get_dummy_value()

        scales_type = scales.dtype
        n = types.intp
        return types.void(x, n, n, w, n, n, scales, n, y, n, n, n, n, *more), codegen

    @intrinsic
    def tile(
        typingctx: Any, x: Any, x_at: Any, x_stride: Any, w: Any, w_at: Any, depth: Any,
        scales: Any, scales_at: Any, y: Any, y_at: Any, y_stride: Any, mode: Any, ahead_at: Any,
    ) -> Any:  # fmt: skip
        return typed(x, w, scales, y)

    @intrinsic
    def block(
        typingctx: Any, x: Any, x_at: Any, x_stride: Any, w: Any, w_at: Any, depth: Any,
        scales: Any, scales_at: Any, y: Any, y_at: Any, y_stride: Any, mode: Any, ahead_at: Any,
        stored: Any, sums: Any, sums_at: Any, begun: Any,
    ) -> Any:  # fmt: skip
        return typed(x, w, scales, y, stored, sums, types.intp, types.intp)

    return block if in_blocks else tile


_tile_1x1, _tile_1x4 = _tile(1, 1), _tile(1, 4, _UNROLL)
_tile_2x1, _tile_2x4 = _tile(2, 1), _tile(2, 4, _UNROLL)
_tile_4x1, _tile_4x2 = _tile(4, 1), _tile(4, 2, _UNROLL)
_tile_8x1, _tile_8x1_asking = _tile(_TILE, 1, _UNROLL), _tile(_TILE, 1, _UNROLL, 1)
# The tiles of a block ask for the next one together, evenly: a core has but some ten lines under way at a time. At 32
# rows, products take a fifth longer where one tile asks for all; at 16 a tenth where two ask for a quarter each.
_block_8x1_of_2, _block_8x1_of_4 = [_tile(_TILE, 1, _UNROLL, shares, in_blocks=True) for shares in (2, 4)]


@intrinsic
def _scratch(typingctx: Any, like: Any) -> Any:
    """An array like another one, on the stack: a block of a panel, then the sums of _BLOCK_ROWS rows."""
    size = (_BLOCK + _BLOCK_ROWS) * PANEL

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        with builder.goto_entry_block():
            # Not by Numba's alloca_once, which fills with zeros at every call.
            memory = builder.alloca(ir.ArrayType(scalar_type(like.dtype), size))
        memory.align = _LINE_BYTES
        array = arrayobj.make_array(like)(context, builder)
        step = context.get_constant(types.intp, like.dtype.bitwidth // 8)
        arrayobj.populate_array(
            array,
            builder.bitcast(memory, array.data.type),
            [context.get_constant(types.intp, size)],
            [step],
            step,
            None,
        )
        return array._getvalue()

    return like(like), codegen


def _numbers(w: np.ndarray, at: int, count: int, scratch: np.ndarray) -> tuple[np.ndarray, int]:
    """(array, offset) where weights w[at : at + count] are numbers of the scratch's type: there, where they have to be
    widened, which is done once for all rows."""
    raise NotImplementedError("only compiled code can call _numbers")


@overload(_numbers, jit_options={"nogil": True, "_nrt": False, "forceinline": True})
def _numbers_overload(w, at, count, scratch):
    def stored(w, at, count, scratch):
        return w, at

    def widened(w, at, count, scratch):
        for i in range(0, count, PANEL):
            store(scratch, i, load(w, at + i))
            store(scratch, i + LANES, load(w, at + i + LANES))
        return scratch, ZERO

    return stored if w.dtype == scratch.dtype else widened


@inlined
def _panel_in_blocks(
    mode, rows, depth, x, x_at, x_stride, w, w_at, is_last, scales, scales_at, y, y_at, y_stride, scratch,
):  # fmt: skip
    """One panel of y = x W^T, for a multiple of 8 rows. is_last: whether there is no use in asking for what follows."""
    for first in range(0, rows, _BLOCK_ROWS):
        end = min(rows, first + _BLOCK_ROWS)
        # Fewer rows have no four tiles, and narrow weights of a pass no lines for four.
        shares = 4 if end - first >= 4 * _TILE and w.itemsize >= 4 else 2
        for k in range(0, depth, _BLOCK):
            count = min(_BLOCK, depth - k)
            at = w_at + k * PANEL
            is_end = k + count == depth
            ahead = at if is_end and is_last else at + count * PANEL
            numbers, numbers_at = _numbers(w, at, count * PANEL, scratch)
            for r in range(first, end, _TILE):
                tile = (r - first) // _TILE
                asked = ahead + tile * (_BLOCK * PANEL // shares) if tile < shares else at
                if shares == 4:
                    _block_8x1_of_4(
                        x, x_at + r * x_stride + k, x_stride, numbers, numbers_at, count, scales, scales_at,
                        y, y_at + r * y_stride, y_stride, mode if is_end else _KEEP, asked,
                        w, scratch, (_BLOCK + r - first) * PANEL, k,
                    )  # fmt: skip
                else:
                    _block_8x1_of_2(
                        x, x_at + r * x_stride + k, x_stride, numbers, numbers_at, count, scales, scales_at,
                        y, y_at + r * y_stride, y_stride, mode if is_end else _KEEP, asked,
                        w, scratch, (_BLOCK + r - first) * PANEL, k,
                    )  # fmt: skip


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
    scratch = _scratch(x)
    # Rows that pass over a panel in blocks; what is less than a block is in the first-level cache anyway.
    blocked = rows // _TILE * _TILE if rows >= 2 * _TILE and depth >= _BLOCK else 0
    panel, last = np.int64(0), panels
    if team > 1:  # divisions are slow, and the smallest models are alone
        panel, last = panels * thread // team, panels * (thread + 1) // team
    while panel < last:
        left = last - panel
        # The fewer the rows, the more panels a tile takes, to have 8 or more sums under way: a sum waits 4 cycles for
        # its last product.
        together = 1 if rows >= 8 else 4 if rows < 4 and left >= 4 else 2 if rows >= 4 and left >= 2 else 1
        w_at, s_at = w_base + panel * size, scales_base + panel * PANEL
        if blocked:
            _panel_in_blocks(
                mode, blocked, depth, x, x_at, x_stride, w, w_at, panel + 1 == last, scales, s_at,
                y, y_at + panel * PANEL, y_stride, scratch,
            )  # fmt: skip
        r = blocked
        while r < rows:
            n = rows - r
            a, b = x_at + r * x_stride, y_at + r * y_stride + panel * PANEL
            if n >= _TILE:
                if panel + 1 == last or r > 0:
                    _tile_8x1(x, a, x_stride, w, w_at, depth, scales, s_at, y, b, y_stride, mode, w_at)
                else:
                    _tile_8x1_asking(x, a, x_stride, w, w_at, depth, scales, s_at, y, b, y_stride, mode, w_at + size)
                r += _TILE
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
