"""Sixteen lanes: explicit SIMD for Numba, so that the order of every sum is ours and not the compiler's choice.

A `Lanes` value is an LLVM vector of 16 float32 or float64 numbers, whatever the machine's registers are: LLVM splits
it where they are narrower (AVX2, NEON), and the result has the same bits, since lanes never mix but in `total` and
`highest`. Loops that LLVM vectorises by itself are as fast, but with fastmath their order of adding depends on how the
loop was cut, and without it sums stay scalar.

Everything here takes flat arrays and element offsets and checks no bounds: callers own the layout.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

LANES = 16
# Where a function takes a number that is sometimes written out: Python's 0 is a type of its own to Numba, for which the
# function is compiled once more. 13 versions of matmul took 4 s.
ZERO, ONE = np.int64(0), np.int64(1)
_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
_FLOAT, _DOUBLE = ir.FloatType(), ir.DoubleType()


class Lanes(types.Type):
    """The Numba type of 16 numbers."""

    def __init__(self, dtype: types.Float):
        self.dtype = dtype
        super().__init__(name=f"Lanes({dtype})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Lanes):
        super().__init__(manager, numba_type, ir.VectorType(scalar_type(numba_type.dtype), LANES))


def scalar_type(dtype: Any) -> ir.Type:
    """The LLVM type of a Numba float."""
    return _FLOAT if dtype == types.float32 else _DOUBLE


def element_pointer(context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, offset: ir.Value) -> ir.Value:
    """The address of element `offset` of a contiguous array."""
    data = cgutils.create_struct_proxy(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def splat_value(builder: ir.IRBuilder, value: ir.Value, lanes: int = LANES) -> ir.Value:
    vector = ir.VectorType(value.type, lanes)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _I32(0))
    return builder.shuffle_vector(
        one, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes)
    )


def load_value(builder: ir.IRBuilder, pointer: ir.Value, dtype: Any, lanes: int = LANES) -> ir.Value:
    """`lanes` stored numbers of a Numba dtype as LLVM floats, widened where they are stored narrow.

    int16 holds the bits of float16, uint16 those of bfloat16, int8 whole numbers.
    """
    stored = {
        types.float32: _FLOAT, types.float64: _DOUBLE, types.int16: ir.HalfType(), types.uint16: _I16, types.int8: _I8,
    }[dtype]  # fmt: skip
    vector = builder.load(
        builder.bitcast(pointer, ir.VectorType(stored, lanes).as_pointer()), align=dtype.bitwidth // 8
    )
    wide = ir.VectorType(_FLOAT, lanes)
    if dtype == types.int16:
        return builder.fpext(vector, wide)
    if dtype == types.int8:
        return builder.sitofp(vector, wide)
    if dtype == types.uint16:
        words = ir.VectorType(_I32, lanes)
        shift = ir.Constant(words, [16] * lanes)
        return builder.bitcast(builder.shl(builder.zext(vector, words), shift), wide)
    return vector


def call_llvm(builder: ir.IRBuilder, name: str, arguments: list[ir.Value], returns: ir.Type) -> ir.Value:
    """The result of an LLVM intrinsic, which is declared where it is not yet."""
    function_type = ir.FunctionType(returns, [a.type for a in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), arguments)


def fma_value(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """a * b + c, rounded once."""
    return call_llvm(builder, f"llvm.fma.{_suffix(a.type)}", [a, b, c], a.type)


def _suffix(kind: ir.Type) -> str:
    lanes, element = (f"v{kind.count}", kind.element) if isinstance(kind, ir.VectorType) else ("", kind)
    return f"{lanes}f{32 if element == _FLOAT else 64}"


class Loop:
    """for i in range(count), with values that each pass replaces: `values` inside, `results` after the loop."""

    def __init__(self, builder: ir.IRBuilder, count: ir.Value, initial: list[ir.Value]):
        self._builder, self._count, self._initial = builder, count, initial

    def __enter__(self) -> "Loop":
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


@intrinsic
def load(typingctx: Any, array: Any, offset: Any) -> Any:
    """array[offset : offset + 16], widened to the lanes' type."""
    dtype = types.float64 if array.dtype == types.float64 else types.float32

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return load_value(builder, element_pointer(context, builder, signature.args[0], *args), array.dtype)

    return Lanes(dtype)(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, offset: Any, lanes: Any) -> Any:
    """array[offset : offset + 16] = lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element_pointer(context, builder, signature.args[0], args[0], args[1])
        builder.store(args[2], builder.bitcast(pointer, args[2].type.as_pointer()), align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), codegen


def prefetch_line(builder: ir.IRBuilder, pointer: ir.Value) -> None:
    """Ask for the cache line at an address to come into the core's second-level cache."""
    address = builder.bitcast(pointer, _I8.as_pointer())
    function_type = ir.FunctionType(ir.VoidType(), [address.type, _I32, _I32, _I32])
    function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.prefetch.p0")
    builder.call(function, [address, _I32(0), _I32(2), _I32(1)])


@intrinsic
def prefetch(typingctx: Any, array: Any, offset: Any) -> Any:
    """Ask for the cache line of array[offset]."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        prefetch_line(builder, element_pointer(context, builder, array, *args))
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen


@intrinsic
def splat(typingctx: Any, array: Any, value: Any) -> Any:
    """`value` in every lane, as the array's lanes hold it: float32, or float64 for a float64 array."""
    dtype = types.float64 if array.dtype == types.float64 else types.float32

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number = context.cast(builder, args[1], signature.args[1], dtype)
        return splat_value(builder, number)

    return Lanes(dtype)(array, value), codegen


@intrinsic
def spread(typingctx: Any, array: Any, index: Any) -> Any:
    """array[index] of floats in every lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element_pointer(context, builder, signature.args[0], *args)
        return splat_value(builder, builder.load(pointer, align=array.dtype.bitwidth // 8))

    return Lanes(array.dtype)(array, types.intp), codegen


@intrinsic
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return fma_value(builder, *args)

    return a(a, b, c), codegen


def _binary(operation: str) -> Any:
    @intrinsic
    def function(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, operation)(*args)

        return a(a, b), codegen

    return function


add, subtract, multiply = _binary("fadd"), _binary("fsub"), _binary("fmul")


@intrinsic
def larger(typingctx: Any, a: Any, b: Any) -> Any:
    """The larger of two numbers, lane by lane; a's where they do not compare."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", args[1], args[0]), args[1], args[0])

    return a(a, b), codegen


@intrinsic
def keep_first(typingctx: Any, a: Any, count: Any, rest: Any) -> Any:
    """Lanes 0..count-1 of a; the others are those of `rest`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, number, other = args
        places = ir.Constant(ir.VectorType(_I32, LANES), list(range(LANES)))
        limit = splat_value(builder, builder.trunc(number, _I32))
        return builder.select(builder.icmp_signed("<", places, limit), vector, other)

    return a(a, types.intp, a), codegen


def _reduce(builder: ir.IRBuilder, vector: ir.Value, combine: Any) -> ir.Value:
    """Halves combined again and again: lane i with lane i + 8, then i + 4, i + 2, i + 1."""
    width = LANES
    while width > 1:
        width //= 2
        undefined = ir.Constant(vector.type, ir.Undefined)
        low = ir.Constant(ir.VectorType(_I32, width), list(range(width)))
        high = ir.Constant(ir.VectorType(_I32, width), list(range(width, 2 * width)))
        vector = combine(
            builder, builder.shuffle_vector(vector, undefined, low), builder.shuffle_vector(vector, undefined, high)
        )
    return builder.extract_element(vector, _I32(0))


@intrinsic
def total(typingctx: Any, a: Any) -> Any:
    """The sum of the lanes, by the fixed tree of `_reduce`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _reduce(builder, args[0], lambda b, x, y: b.fadd(x, y))

    return a.dtype(a), codegen


@intrinsic
def highest(typingctx: Any, a: Any) -> Any:
    """The largest lane."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _reduce(builder, args[0], lambda b, x, y: b.select(b.fcmp_ordered(">", y, x), y, x))

    return a.dtype(a), codegen


_LOG2_E = 1.4426950408889634
# ln 2 in two parts; the first has so few bits that its product with a whole number up to 2^8 is exact (Cephes).
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
# exp(r) = 1 + r + r^2 (1/2 + ...) on |r| <= ln(2)/2, Cephes expf: relative error about 1e-7.
_EXP_TERMS = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_EXP_LOWEST = -87.0
_ROUNDER = 1.5 * 2.0**23


@intrinsic
def exp(typingctx: Any, a: Any) -> Any:
    """e^a for a <= 0, lane by lane; in float32 0 below -87. A NaN stays one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (x,) = args
        vector = x.type
        if vector.element == _DOUBLE:
            return call_llvm(builder, f"llvm.exp.{_suffix(vector)}", [x], vector)

        def constant(value: float) -> ir.Value:
            return ir.Constant(vector, [value] * LANES)

        tiny = builder.fcmp_ordered("<", x, constant(_EXP_LOWEST))
        z = builder.select(tiny, constant(_EXP_LOWEST), x)
        # Adding 1.5 * 2^23 rounds to a whole number n and leaves n in the lowest bits, from where a shift brings it to
        # the exponent's place. A conversion to int that is defined for NaN becomes scalar code, six times slower.
        shifted = fma_value(builder, z, constant(_LOG2_E), constant(_ROUNDER))
        n = builder.fsub(shifted, constant(_ROUNDER))
        r = fma_value(builder, n, constant(-_LN2_HIGH), z)
        r = fma_value(builder, n, constant(-_LN2_LOW), r)
        p = constant(_EXP_TERMS[0])
        for term in _EXP_TERMS[1:]:
            p = fma_value(builder, p, r, constant(term))
        p = fma_value(builder, builder.fmul(r, r), p, builder.fadd(r, constant(1.0)))
        words = ir.VectorType(_I32, LANES)
        exponent = builder.shl(builder.bitcast(shifted, words), ir.Constant(words, [23] * LANES))
        y = builder.bitcast(builder.add(builder.bitcast(p, words), exponent), vector)
        y = builder.select(tiny, constant(0.0), y)
        return builder.select(builder.fcmp_unordered("uno", x, x), x, y)

    return a(a), codegen


# 2^r = 1 + r (ln 2 + ...) on |r| <= 1/2, fitted by least squares weighted for the largest relative error: 2e-7.
_EXP2_TERMS = (1.3264715e-3, 9.6715128e-3, 5.5507337e-2, 2.4022242e-1, 6.9314698e-1, 1.0)
_EXP2_LOWEST = -126.0


@intrinsic
def exp2(typingctx: Any, a: Any) -> Any:
    """2^a for float32 numbers a <= 0, lane by lane; 2^-126 below that. A NaN stays one."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (x,) = args
        vector, words = x.type, ir.VectorType(_I32, LANES)

        def constant(value: float) -> ir.Value:
            return ir.Constant(vector, [value] * LANES)

        lowest = constant(_EXP2_LOWEST)
        x = builder.select(builder.fcmp_ordered(">", lowest, x), lowest, x)
        # As in `exp`, but n + 127 is left in the lowest bits: shifted, that is 2^n.
        shifted = builder.fadd(x, constant(_ROUNDER + 127))
        r = builder.fsub(x, builder.fsub(shifted, constant(_ROUNDER + 127)))
        p = constant(_EXP2_TERMS[0])
        for term in _EXP2_TERMS[1:]:
            p = fma_value(builder, p, r, constant(term))
        power = builder.shl(builder.bitcast(shifted, words), ir.Constant(words, [23] * LANES))
        return builder.fmul(p, builder.bitcast(power, vector))

    return a(a), codegen
