"""Rows of float32 numbers rounded to int8: each row on its own, by its largest magnitude, so that no neighbour matters.

A row's scale is what one step of its whole numbers is worth. Scales of what is kept in int8 arrays lie among it, as the
four bytes of a float32 each; functions that take arrays of either kind do nothing about scales where it is floats.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from microgpt.backends.kernels.compiling import inlined
from microgpt.backends.kernels.lanes import (
    LANES,
    call_llvm,
    element_pointer,
    fma_value,
    keep_first,
    load,
    load_value,
    splat,
)

LARGEST = 127.0
# Rows with nothing larger are rounded to zeros: 127 / largest must not become infinite.
_SMALLEST = 1e-30
# Adding 1.5 * 2^23 rounds to a whole number n and leaves n in the lowest bits (as in `lanes.exp`).
_ROUNDER = 1.5 * 2.0**23

_I8, _I32 = ir.IntType(8), ir.IntType(32)
_WORDS, _FLOATS = ir.VectorType(_I32, LANES), ir.VectorType(ir.FloatType(), LANES)


@intrinsic
def _larger_magnitude(typingctx: Any, a: Any, b: Any) -> Any:
    """The larger of |a| and |b|, lane by lane, by their bits: infinities are larger than numbers, NaNs than those."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sign = ir.Constant(_WORDS, [0x7FFFFFFF] * LANES)
        x, y = (builder.and_(builder.bitcast(value, _WORDS), sign) for value in args)
        return builder.bitcast(builder.select(builder.icmp_unsigned(">", x, y), x, y), _FLOATS)

    return a(a, b), codegen


@intrinsic
def _highest_magnitude(typingctx: Any, a: Any) -> Any:
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
    most = _larger_magnitude(keep_first(load(x, at + tail), count - tail, nothing), nothing)
    for i in range(0, tail, LANES):
        most = _larger_magnitude(most, load(x, at + i))
    return _highest_magnitude(most)


@inlined
def scale_of(largest):
    """A row's scale by its largest magnitude; NaN if one of the row's numbers is not finite."""
    return largest / np.float32(LARGEST) + (largest - largest)


@inlined
def factor_of(largest):
    """What a row's numbers are multiplied by to become whole ones from -127 to 127."""
    return np.float32(LARGEST) / largest if largest > _SMALLEST else np.float32(0)


def _put_rounded(
    context: Any, builder: ir.IRBuilder, kind: Any, array: Any, at: Any, numbers: ir.Value, factor: ir.Value, zero: int
) -> None:
    """Store a number, or a vector of them, times `factor`, rounded to the nearest whole one, ties to even, plus `zero`,
    as a byte each from array[at] on."""
    lanes = numbers.type.count if isinstance(numbers.type, ir.VectorType) else 0

    def of(scalar: ir.Type) -> ir.Type:
        return ir.VectorType(scalar, lanes) if lanes else scalar

    number = _ROUNDER + zero
    rounder = ir.Constant(numbers.type, [number] * lanes if lanes else number)
    shifted = fma_value(builder, numbers, factor, rounder)
    value = builder.trunc(builder.bitcast(shifted, of(_I32)), of(_I8))
    pointer = element_pointer(context, builder, kind, array, at)
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=kind.dtype.bitwidth // 8)


def code_putter(zero: int) -> Any:
    """An intrinsic that puts 16 numbers times a factor, rounded, plus `zero`, into the 16 bytes at array[at]."""

    @intrinsic
    def put_codes(typingctx: Any, array: Any, at: Any, numbers: Any, factor: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            _put_rounded(context, builder, array, *args, zero)
            return context.get_dummy_value()

        return types.void(array, types.intp, numbers, factor), codegen

    return put_codes


@intrinsic
def put(typingctx: Any, array: Any, at: Any, number: Any, factor: Any) -> Any:
    """array[at] = a number, or array[at : at + 16] = 16; in an int8 array times `factor` and rounded."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if array.dtype == types.int8:
            _put_rounded(context, builder, array, *args, 0)
        else:
            pointer = element_pointer(context, builder, array, args[0], args[1])
            pointer = builder.bitcast(pointer, args[2].type.as_pointer())
            builder.store(args[2], pointer, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, number, factor), codegen


@intrinsic
def _put_scale(typingctx: Any, array: Any, at: Any, scale: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element_pointer(context, builder, array, args[0], args[1])
        builder.store(args[2], builder.bitcast(pointer, args[2].type.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.float32), codegen


def begin_row(x, at, count, array, scale_at):
    """The factor that `put` wants for the numbers x[at : at + count]; their scale goes to array[scale_at]."""
    raise NotImplementedError("only compiled code can call begin_row")


@overload(begin_row, inline="always")
def _begin_row(x, at, count, array, scale_at):
    if array.dtype != types.int8:
        return lambda x, at, count, array, scale_at: np.float32(1)

    def rounded(x, at, count, array, scale_at):
        largest = largest_magnitude(x, at, count)
        _put_scale(array, scale_at, scale_of(largest))
        return factor_of(largest)

    return rounded


def scaled_value(builder: ir.IRBuilder, vector: ir.Value, scales: ir.Value, dtype: Any) -> ir.Value:
    """16 lanes times the scales at an address, where what is kept is of a dtype that has them."""
    return builder.fmul(vector, load_value(builder, scales, types.float32)) if dtype == types.int8 else vector


@intrinsic
def scaled(typingctx: Any, lanes: Any, array: Any, scales_at: Any) -> Any:
    """16 lanes times the scales at array[scales_at]."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        scales = element_pointer(context, builder, array, args[1], args[2])
        return scaled_value(builder, args[0], scales, array.dtype)

    return lanes(lanes, array, types.intp), codegen
