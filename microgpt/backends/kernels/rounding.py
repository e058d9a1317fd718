"""Rows of float32 numbers rounded to whole ones: each row by its largest magnitude alone, so that no neighbour matters.

A row's scale is what one step of its whole numbers is worth.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from microgpt.backends.kernels.compiling import inlined
from microgpt.backends.kernels.lanes import (
    LANES,
    call_llvm,
    element_pointer,
    fma_value,
    keep_first,
    load,
    splat,
)

STEPS = 127  # of int8 to either side of zero
# Rows with nothing larger are rounded to zeros: steps / largest must not become infinite.
_SMALLEST = 1e-30
# Adding 1.5 * 2^23 rounds to a whole number n and leaves n in the lowest bits (as in `lanes.exp`).
_ROUNDER = 1.5 * 2.0**23

_I8, _I32 = ir.IntType(8), ir.IntType(32)
_WORDS, _FLOATS = ir.VectorType(_I32, LANES), ir.VectorType(ir.FloatType(), LANES)


@intrinsic
def larger_magnitude(typingctx: Any, a: Any, b: Any) -> Any:
    """The larger of |a| and |b|, lane by lane, by their bits: infinities are larger than numbers, NaNs than those."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sign = ir.Constant(_WORDS, [0x7FFFFFFF] * LANES)
        x, y = (builder.and_(builder.bitcast(value, _WORDS), sign) for value in args)
        return builder.bitcast(builder.select(builder.icmp_unsigned(">", x, y), x, y), _FLOATS)

    return a(a, b), codegen


@intrinsic
def highest_magnitude(typingctx: Any, a: Any) -> Any:
    """The largest lane of magnitudes, by their bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = call_llvm(builder, f"llvm.vector.reduce.umax.v{LANES}i32", [builder.bitcast(args[0], _WORDS)], _I32)
        return builder.bitcast(bits, ir.FloatType())

    return a.dtype(a), codegen


@inlined
def largest_magnitude(x, at, count):
    """The largest magnitude of the float32 numbers x[at : at + count], read to whole vectors; a NaN if one is there."""
    nothing = splat(x, 0.0)
    tail = (count - 1) // LANES * LANES
    most = larger_magnitude(keep_first(load(x, at + tail), count - tail, nothing), nothing)
    for i in range(0, tail, LANES):
        most = larger_magnitude(most, load(x, at + i))
    return highest_magnitude(most)


@inlined
def scale_of(largest, steps):
    """A row's scale by its largest magnitude; NaN if one of the row's numbers is not finite."""
    return largest / np.float32(steps) + (largest - largest)


@inlined
def factor_of(largest, steps):
    """What a row's numbers are multiplied by to become whole ones from -steps to steps."""
    return np.float32(steps) / largest if largest > _SMALLEST else np.float32(0)


def rounded_value(builder: ir.IRBuilder, numbers: ir.Value, factor: ir.Value, zero: int = 0) -> ir.Value:
    """Words whose low bits are numbers times a factor, rounded to the nearest whole ones, ties to even, plus `zero`."""
    lanes = numbers.type.count
    rounder = ir.Constant(numbers.type, [_ROUNDER + zero] * lanes)
    return builder.bitcast(fma_value(builder, numbers, factor, rounder), ir.VectorType(_I32, lanes))


def store_bytes(builder: ir.IRBuilder, words: ir.Value, pointer: ir.Value) -> None:
    """Store the lowest byte of each word."""
    value = builder.trunc(words, ir.VectorType(_I8, words.type.count))
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=1)


@intrinsic
def as_bfloat16(typingctx: Any, number: Any) -> Any:
    """A float32 number without what bfloat16 does not have of its digits. A NaN that arithmetic made stays one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.and_(builder.bitcast(args[0], _I32), _I32(0xFFFF0000))
        return builder.bitcast(bits, ir.FloatType())

    return number(types.float32), codegen


def code_putter(zero: int) -> Any:
    """An intrinsic that puts 16 numbers times a factor, rounded, plus `zero`, into the 16 bytes at array[at]."""

    @intrinsic
    def put_codes(typingctx: Any, array: Any, at: Any, numbers: Any, factor: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = element_pointer(context, builder, array, args[0], args[1])
            store_bytes(builder, rounded_value(builder, args[2], args[3], zero), pointer)
            return context.get_dummy_value()

        return types.void(array, types.intp, numbers, factor), codegen

    return put_codes
