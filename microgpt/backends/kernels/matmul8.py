"""y = x W^T in whole numbers: int8 weights, each row of x rounded to int8 on its own, int32 sums.

Whole numbers add up to the same sum in any order, and how a row is rounded depends on nothing but the row. So results
have the same bits for any number of rows, any tail and split, and whichever instructions made them.

Processors multiply unsigned by signed bytes, four neighbouring k of an output at a time, and add the products to a
32-bit lane (AVX512-VNNI's vpdpbusd). So weights are packed into panels of 32 outputs, as in `matmul`, but with four k
of an output in one word: for each four k, 32 words side by side. Codes of x are q + 128; that a sum then has 128 times
the output's weights too much is what a panel begins with, 32 words to start the sums from.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from microgpt.backends.kernels.compiling import part
from microgpt.backends.kernels.lanes import (
    LANES,
    ZERO,
    call_llvm,
    element_pointer,
    keep_first,
    load,
    load_value,
    prefetch_line,
    splat,
    splat_value,
)
from microgpt.backends.kernels.matmul import ADD, PANEL, RELU, matmul
from microgpt.backends.kernels.rounding import STEPS, code_putter, factor_of, largest_magnitude, scale_of

QUAD = 4  # k in a word
_VECTORS = PANEL // LANES
# Of a row of codes: its scale, then from here on the codes, so that both are whole vectors. The space between also
# keeps rows off multiples of 4 KiB.
_CODES = LANES
ZERO_CODE = 128

_I32 = ir.IntType(32)
_WORDS, _FLOATS = ir.VectorType(_I32, LANES), ir.VectorType(ir.FloatType(), LANES)
_HALVES = ir.VectorType(ir.IntType(16), 2 * LANES)  # of words


def instructions(context: Any) -> list[str]:
    """The ways of multiplying bytes that the processor has which Numba compiles for, the best one first."""
    features = context.codegen().magic_tuple()[2].split(",")
    return [name for name in ("avx512vnni", "avxvnni", "avx2") if f"+{name}" in features] + ["plain"]


def codes_stride(depth: int) -> int:
    """Room for a row of `depth` numbers as codes, in words."""
    return _CODES + -(-depth // (QUAD * LANES)) * LANES


def panel_words(depth: int) -> int:
    """Words of a panel of weights with `depth` inputs."""
    return PANEL * (1 + -(-depth // QUAD))


def pack8(weight: np.ndarray) -> np.ndarray:
    """A weight (outputs, inputs) int8 as panels, flat int32: (ceil(outputs / 32), 1 + ceil(inputs / 4), 32)."""
    outputs, inputs = weight.shape
    panels, words = -(-outputs // PANEL), -(-inputs // QUAD)
    padded = np.zeros((panels * PANEL, words * QUAD), np.int8)
    padded[:outputs, :inputs] = weight
    packed = np.empty((panels, 1 + words, PANEL), np.int32)
    packed[:, 0] = -ZERO_CODE * padded.sum(axis=1, dtype=np.int32).reshape(panels, PANEL)
    packed[:, 1:] = padded.view("<i4").reshape(panels, PANEL, words).transpose(0, 2, 1)
    return packed.reshape(-1)


def constant(number: int) -> ir.Constant:
    """16 words that are the same number."""
    return ir.Constant(_WORDS, [number] * LANES)


def _by_halves(builder: ir.IRBuilder, name: str, vectors: list[ir.Value]) -> ir.Value:
    """The 16 words that an LLVM intrinsic makes of vectors, of which it takes half at once."""
    parts, half = [], ir.VectorType(_I32, LANES // 2)
    for i in range(2):
        arguments = []
        for vector in vectors:
            count = vector.type.count // 2
            places = ir.Constant(ir.VectorType(_I32, count), list(range(i * count, (i + 1) * count)))
            arguments.append(builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), places))
        parts.append(call_llvm(builder, name, arguments, half))
    return builder.shuffle_vector(*parts, ir.Constant(_WORDS, list(range(LANES))))


def dot(builder: ir.IRBuilder, sums: ir.Value, codes: ir.Value, weights: ir.Value, instruction: str) -> ir.Value:
    """sums + the products of four unsigned bytes of `codes` with four signed ones of `weights`, in each of 16 words."""
    if instruction == "avx512vnni":
        return call_llvm(builder, "llvm.x86.avx512.vpdpbusd.512", [sums, codes, weights], _WORDS)
    if instruction == "avxvnni":
        return _by_halves(builder, "llvm.x86.avx512.vpdpbusd.256", [sums, codes, weights])
    if instruction == "avx2":  # two bytes at a time, widened in place
        eight = ir.Constant(_HALVES, [8] * (2 * LANES))
        codes, weights = builder.bitcast(codes, _HALVES), builder.bitcast(weights, _HALVES)
        even = [builder.lshr(builder.shl(codes, eight), eight), builder.ashr(builder.shl(weights, eight), eight)]
        odd = [builder.lshr(codes, eight), builder.ashr(weights, eight)]
        for pair in (even, odd):
            sums = builder.add(sums, _by_halves(builder, "llvm.x86.avx2.pmadd.wd", pair))
        return sums
    for byte in range(QUAD):
        code = builder.and_(builder.lshr(codes, constant(8 * byte)), constant(0xFF))
        weight = builder.ashr(builder.shl(weights, constant(24 - 8 * byte)), constant(24))
        sums = builder.add(sums, builder.mul(code, weight))
    return sums


def tile8(rows: int, panels: int, prefetched: bool = False, instruction: str = "") -> Callable[..., None]:
    """An intrinsic for a tile of `rows` rows of codes and `panels` neighbouring panels; prefetched: and ask for the
    next. instruction: one of `instructions`, by default the first."""
    vectors = panels * _VECTORS

    @intrinsic
    def tile(
        typingctx: Any, codes: Any, c_at: Any, c_stride: Any, w: Any, w_at: Any, words: Any,
        scales: Any, scales_at: Any, y: Any, y_at: Any, y_stride: Any, mode: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            cs, c_at, c_stride, ws, w_at, words, scales, scales_at, ys, y_at, y_stride, mode = args
            index = words.type
            zero = index(0)
            whole = _I32.as_pointer()
            means = instruction or instructions(context)[0]

            def address(array: int, value: Any, at: ir.Value, stride: ir.Value, row: int) -> ir.Value:
                offset = builder.add(at, builder.mul(stride, index(row)))
                return element_pointer(context, builder, signature.args[array], value, offset)

            def vector_at(pointer: ir.Value, kind: ir.Type) -> ir.Value:
                return builder.bitcast(pointer, kind.as_pointer())

            c_rows = [address(0, cs, c_at, c_stride, r) for r in range(rows)]
            c_words = [builder.bitcast(builder.gep(row, [index(_CODES)]), whole) for row in c_rows]
            y_rows = [address(8, ys, y_at, y_stride, r) for r in range(rows)]
            panel_size = builder.mul(builder.add(words, index(1)), index(PANEL))
            starts = [address(3, ws, w_at, panel_size, p) for p in range(panels)]
            firsts = [
                builder.load(vector_at(builder.gep(start, [index(v * LANES)]), _WORDS), align=4)
                for start in starts
                for v in range(_VECTORS)
            ]
            before = builder.block
            loop, after = builder.append_basic_block("k"), builder.append_basic_block("k_end")
            builder.branch(loop)
            builder.position_at_end(loop)
            k = builder.phi(index)
            k.add_incoming(zero, before)
            sums = []
            for i in range(rows * vectors):
                phi = builder.phi(_WORDS)
                phi.add_incoming(firsts[i % vectors], before)
                sums.append(phi)
            next_k = builder.add(k, index(1))
            line = builder.mul(next_k, index(PANEL))
            weights = [
                builder.load(vector_at(builder.gep(builder.gep(start, [line]), [index(v * LANES)]), _WORDS), align=4)
                for start in starts
                for v in range(_VECTORS)
            ]
            if prefetched:
                # The next panel, while this one is used for the last time: a core's own cache is asked for it in time.
                ahead = builder.gep(starts[0], [builder.add(line, panel_size)])
                for v in range(vectors):
                    prefetch_line(builder, builder.gep(ahead, [index(v * LANES)]))
            new = []
            for r in range(rows):
                quad = splat_value(builder, builder.load(builder.gep(c_words[r], [k]), align=4))
                new += [dot(builder, sums[r * vectors + v], quad, weights[v], means) for v in range(vectors)]
            k.add_incoming(next_k, loop)
            for phi, value in zip(sums, new, strict=True):
                phi.add_incoming(value, loop)
            builder.cbranch(builder.icmp_signed("<", next_k, words), loop, after)
            builder.position_at_end(after)
            factors = []
            for v in range(vectors):
                at = builder.add(scales_at, index(v * LANES))
                factors.append(load_value(builder, address(6, scales, at, zero, 0), types.float32))
            results = []
            for r in range(rows):
                scale = splat_value(builder, builder.load(c_rows[r], align=4))
                for v in range(vectors):
                    total = builder.sitofp(new[r * vectors + v], _FLOATS)
                    results.append(builder.fmul(builder.fmul(total, factors[v]), scale))
            places = [
                vector_at(builder.gep(y_rows[r], [index(v * LANES)]), _FLOATS)
                for r in range(rows)
                for v in range(vectors)
            ]
            nothing = ir.Constant(_FLOATS, [0.0] * LANES)
            with builder.if_else(builder.icmp_signed("==", mode, index(int(ADD)))) as (adds, stores):
                with adds:
                    for place, result in zip(places, results, strict=True):
                        builder.store(builder.fadd(builder.load(place, align=4), result), place, align=4)
                with stores:
                    cuts = builder.icmp_signed("==", mode, index(int(RELU)))
                    for place, result in zip(places, results, strict=True):
                        above = builder.fcmp_unordered(">", result, nothing)  # a NaN stays one
                        cut = builder.select(above, result, nothing)
                        builder.store(builder.select(cuts, cut, result), place, align=4)
            return context.get_dummy_value()

        n = types.intp
        return types.void(codes, n, n, w, n, n, scales, n, y, n, n, n), codegen

    return tile


_tile_1x1, _tile_1x4 = tile8(1, 1), tile8(1, 4)
_tile_2x1, _tile_2x4 = tile8(2, 1), tile8(2, 4)
_tile_4x1, _tile_4x2 = tile8(4, 1), tile8(4, 2)
_tile_8x1, _tile_8x1_last = tile8(8, 1), tile8(8, 1, prefetched=True)


_put_codes = code_putter(ZERO_CODE)


@part
def quantise_row(x, at, depth, codes, to):
    """Round the float32 numbers x[at : at + depth] to whole ones from -127 to 127 times a scale, which is the largest
    magnitude / 127. At codes[to] the scale, 16 words on the codes.

    x is read and codes are written to whole vectors. A row with a number that is not finite gets NaN for a scale.
    """
    largest = largest_magnitude(x, at, depth)
    codes[to] = scale_of(largest, STEPS)
    factor = splat(x, factor_of(largest, STEPS))
    tail = (depth - 1) // LANES * LANES
    for i in range(0, tail, LANES):
        _put_codes(codes, to + _CODES + i // QUAD, load(x, at + i), factor)
    last = keep_first(load(x, at + tail), depth - tail, splat(x, 0.0))
    _put_codes(codes, to + _CODES + tail // QUAD, last, factor)


@part
def matmul8(
    mode, rows, outputs, depth, x, x_at, x_stride, w, w_base, scales, scales_base, layer,
    y, y_at, y_stride, thread, team, codes, codes_at,
):  # fmt: skip
    """As `matmul`, with w (int32 words, by `pack8`) and one scale an output.

    codes: float32 room for the rows' codes, from codes_at on, codes_stride(depth) for each; this thread's own.
    """
    words = (depth + QUAD - 1) // QUAD
    stride = _CODES + (words + LANES - 1) // LANES * LANES
    panels = (outputs + PANEL - 1) // PANEL
    size = (words + 1) * PANEL
    w_base += layer * panels * size
    scales_base += layer * panels * PANEL
    panel, last = ZERO, panels
    if team > 1:
        panel, last = panels * thread // team, panels * (thread + 1) // team
    if panel < last:
        for r in range(rows):
            quantise_row(x, x_at + r * x_stride, depth, codes, codes_at + r * stride)
    while panel < last:
        left = last - panel
        # As in `matmul`: sums enough under way to wait for none.
        together = 1 if rows >= 8 else 4 if rows < 4 and left >= 4 else 2 if rows >= 4 and left >= 2 else 1
        w_at, s_at = w_base + panel * size, scales_base + panel * PANEL
        r = ZERO
        while r < rows:
            n = rows - r
            a, b = codes_at + r * stride, y_at + r * y_stride + panel * PANEL
            if n >= 16 or (n >= 8 and panel + 1 == last):
                _tile_8x1(codes, a, stride, w, w_at, words, scales, s_at, y, b, y_stride, mode)
                r += 8
            elif n >= 8:
                _tile_8x1_last(codes, a, stride, w, w_at, words, scales, s_at, y, b, y_stride, mode)
                r += 8
            elif n >= 4:
                if together == 2:
                    _tile_4x2(codes, a, stride, w, w_at, words, scales, s_at, y, b, y_stride, mode)
                else:
                    _tile_4x1(codes, a, stride, w, w_at, words, scales, s_at, y, b, y_stride, mode)
                r += 4
            elif n >= 2:
                if together == 4:
                    _tile_2x4(codes, a, stride, w, w_at, words, scales, s_at, y, b, y_stride, mode)
                else:
                    for p in range(together):
                        _tile_2x1(
                            codes, a, stride, w, w_at + p * size, words, scales, s_at + p * PANEL, y, b + p * PANEL,
                            y_stride, mode,
                        )  # fmt: skip
                r += 2
            else:
                if together == 4:
                    _tile_1x4(codes, a, stride, w, w_at, words, scales, s_at, y, b, y_stride, mode)
                else:
                    for p in range(together):
                        _tile_1x1(
                            codes, a, stride, w, w_at + p * size, words, scales, s_at + p * PANEL, y, b + p * PANEL,
                            y_stride, mode,
                        )  # fmt: skip
                r += 1
        panel += together


def product(
    mode, rows, outputs, depth, x, x_at, x_stride, w, w_base, scales, scales_base, layer,
    y, y_at, y_stride, thread, team, codes, codes_at,
):  # fmt: skip
    """`matmul8` where weights are kept as words, `matmul` where they are numbers; for kernels alone, which choose when
    they are compiled."""
    raise NotImplementedError("only compiled code can call product")


@overload(product, inline="always")
def _product(
    mode, rows, outputs, depth, x, x_at, x_stride, w, w_base, scales, scales_base, layer,
    y, y_at, y_stride, thread, team, codes, codes_at,
):  # fmt: skip
    if w.dtype == types.int32:

        def whole(
            mode, rows, outputs, depth, x, x_at, x_stride, w, w_base, scales, scales_base, layer,
            y, y_at, y_stride, thread, team, codes, codes_at,
        ):  # fmt: skip
            matmul8(
                mode, rows, outputs, depth, x, x_at, x_stride, w, w_base, scales, scales_base, layer,
                y, y_at, y_stride, thread, team, codes, codes_at,
            )  # fmt: skip

        return whole

    def numbers(
        mode, rows, outputs, depth, x, x_at, x_stride, w, w_base, scales, scales_base, layer,
        y, y_at, y_stride, thread, team, codes, codes_at,
    ):  # fmt: skip
        matmul(
            mode, rows, outputs, depth, x, x_at, x_stride, w, w_base, scales, scales_base, layer,
            y, y_at, y_stride, thread, team,
        )  # fmt: skip

    return numbers
