"""Attention in whole numbers, to keys and values in int8 with a scale for each head of a position (dtypes int8, w8a8).

A query is rounded to 16 bits, by its largest magnitude, and so are the weights of a row's positions (the softmax's
numerators, times the scales of the values). Their two bytes are digits, each of which is multiplied with the bytes of
keys and values, four products an instruction and lane (`matmul8.dot`). Sums of whole numbers have no order, and what a
row's numbers are rounded by depends on that row alone.

Processors multiply unsigned by signed bytes. So keys are kept as k + 128, for which a score begins with -128 times its
query's sum, and weights have no sign. The four bytes of a word are four dimensions of a key, or four positions of a
value. These lie side by side in memory by position and not by dimension, so that threads can write neighbouring
positions at the same time; a shuffle brings them into place. Scales are bfloat16, and numbers are rounded by what that
leaves of them; of keys and of values they follow a head's keys, so that both have been read before values are.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload

from microgpt.backends.kernels import attention
from microgpt.backends.kernels.attention import ATTEND_ROWS, VALUE_PAGES
from microgpt.backends.kernels.compiling import inlined
from microgpt.backends.kernels.lanes import (
    LANES,
    Lanes,
    Loop,
    add,
    call_llvm,
    element_pointer,
    exp2,
    fma_value,
    highest,
    keep_first,
    larger,
    load,
    load_value,
    multiply,
    prefetch,
    splat,
    splat_value,
    store,
    subtract,
    total,
)
from microgpt.backends.kernels.matmul8 import QUAD, ZERO_CODE, constant, dot, instructions
from microgpt.backends.kernels.rounding import (
    STEPS,
    as_bfloat16,
    code_putter,
    factor_of,
    highest_magnitude,
    larger_magnitude,
    largest_magnitude,
    rounded_value,
    scale_of,
    store_bytes,
)

_VECTOR = LANES * QUAD  # bytes
# A query's steps to either side of zero are 256 * high + low with signed bytes, a weight's with unsigned ones.
_QUERY_STEPS, _WEIGHT_STEPS = 127 * 256 + 127, 255 * 256 + 255
# Of a query: its scores' scale, what sums of low and of high digits begin with, its largest score, then weight. Its
# digits begin at _DIGITS: for each four dimensions four words, the first of low digits and the second of high ones.
_MOST, _DIGITS = 3, LANES
_SCALES = 2 * 2 * LANES  # bytes of a page's scales of one head
_LOG2_E = 1 / np.log(2)
_FULL = 1 + 2.0**-7  # what a scale is multiplied by, so that no more is cut off than was added

_I8, _I16, _I32 = ir.IntType(8), ir.IntType(16), ir.IntType(32)
_WORDS, _FLOATS = ir.VectorType(_I32, LANES), ir.VectorType(ir.FloatType(), LANES)
_BYTES, _PLACES = ir.VectorType(_I8, _VECTOR), ir.VectorType(_I32, _VECTOR)


def query_stride(value_stride: int) -> int:
    """Room for a query as digits, in float32 numbers."""
    return _DIGITS + value_stride


def key_bytes(head_dim: int) -> int:
    """One head's keys of a page, and the scales of keys and values."""
    return -(-head_dim // QUAD) * _VECTOR + _SCALES


def _vector_at(builder: ir.IRBuilder, pointer: ir.Value, kind: ir.Type) -> ir.Value:
    return builder.load(builder.bitcast(pointer, kind.as_pointer()), align=4)


def _joined(builder: ir.IRBuilder, low: ir.Value, high: ir.Value) -> ir.Value:
    """256 * high + low as floats."""
    high, low = builder.sitofp(high, _FLOATS), builder.sitofp(low, _FLOATS)
    return fma_value(builder, high, ir.Constant(_FLOATS, [256.0] * LANES), low)


def score_tile8(rows: int, pages: int, instruction: str = "") -> Callable[..., None]:
    """scores[to + r * stride + 16 p ..] = the products of query r and the 16 keys of page p, for `rows` x `pages`,
    in steps of the query.

    Takes room, where the first row's query begins and the queries' stride; keys and where the head begins in each of
    four pages (those beyond `pages` are ignored); words a key; where in room the scores begin, stride. instruction: one
    of `instructions`, by default the first.
    """

    @intrinsic
    def tile(
        typingctx: Any, room: Any, q_at: Any, q_stride: Any, keys: Any, k0: Any, k1: Any, k2: Any, k3: Any, words: Any,
        to: Any, stride: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            room_value, q_at, q_stride, keys_value, k0, k1, k2, k3, words, to, stride = args
            index = words.type
            means = instruction or instructions(context)[0]

            def row(at: ir.Value, stride: ir.Value, r: int) -> ir.Value:
                offset = builder.add(at, builder.mul(stride, index(r)))
                return element_pointer(context, builder, room, room_value, offset)

            queries = [builder.bitcast(row(q_at, q_stride, r), _I32.as_pointer()) for r in range(rows)]
            starts = [element_pointer(context, builder, keys, keys_value, k) for k in (k0, k1, k2, k3)[:pages]]
            digits = [builder.gep(query, [index(_DIGITS)]) for query in queries]
            initial = []
            for query in queries:
                for _ in range(pages):
                    for place in (1, 2):  # of low digits, of high ones
                        first = builder.load(builder.gep(query, [index(place)]), align=4)
                        initial.append(splat_value(builder, first))
            with Loop(builder, words, initial) as loop:
                offset = builder.mul(loop.i, index(_VECTOR))
                loaded = [_vector_at(builder, builder.gep(start, [offset]), _WORDS) for start in starts]
                new = list(loop.values)
                for r in range(rows):
                    for digit in range(2):
                        at = builder.add(builder.mul(loop.i, index(QUAD)), index(digit))
                        word = builder.load(builder.gep(digits[r], [at]), align=4)
                        quad = splat_value(builder, word)
                        for p in range(pages):
                            place = (r * pages + p) * 2 + digit
                            new[place] = dot(builder, new[place], loaded[p], quad, means)
                loop.again(new)
            after = builder.mul(words, index(_VECTOR))
            for p in range(pages):
                scales = load_value(builder, builder.gep(starts[p], [after]), types.uint16)
                for r in range(rows):
                    place = (r * pages + p) * 2
                    value = builder.fmul(_joined(builder, *loop.results[place : place + 2]), scales)
                    target = builder.gep(row(to, stride, r), [index(p * LANES)])
                    builder.store(value, builder.bitcast(target, _FLOATS.as_pointer()), align=4)
            return context.get_dummy_value()

        n = types.intp
        return types.void(room, n, n, keys, n, n, n, n, n, n, n), codegen

    return tile


def value_tile8(rows: int, vectors: int, instruction: str = "") -> Callable[..., None]:
    """sums[to + r * width ..] += the values of some pages, each times its weight, for `rows` x `vectors`.

    Takes room, where the first row's weights begin and the rows' stride; values, the place in `tables` from where on
    there are the pages' numbers, how many pages (at most VALUE_PAGES, so that no sum overflows or is rounded), a page's
    size, where in each the values begin, their width; where in room the sums begin.
    """

    @intrinsic
    def tile(
        typingctx: Any, room: Any, w_at: Any, w_stride: Any, values: Any, tables: Any, t_at: Any, pages: Any,
        page_size: Any, v_at: Any, width: Any, to: Any,
    ) -> Any:  # fmt: skip
        def codegen(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
            room_value, w_at, w_stride, values_value, tables_value, t_at, pages, page_size, v_at, width, to = args
            index = w_at.type
            means = instruction or instructions(context)[0]
            table = element_pointer(context, builder, tables, tables_value, t_at)
            weights = []
            for r in range(rows):
                at = builder.add(w_at, builder.mul(w_stride, index(r)))
                pointer = element_pointer(context, builder, room, room_value, at)
                weights.append(builder.bitcast(pointer, _I32.as_pointer()))
            # From 16 bytes a position, in order, to four positions a word.
            order = [place * LANES + lane for lane in range(LANES) for place in range(QUAD)]
            by_word = ir.Constant(_PLACES, order)
            undefined = ir.Constant(_BYTES, ir.Undefined)
            line = builder.mul(width, index(QUAD))
            chains = 2 if rows * vectors <= 2 else 1  # sums enough under way to wait for none
            with Loop(builder, pages, [constant(0)] * (rows * vectors * 2 * chains)) as by_page:
                page = builder.sext(builder.load(builder.gep(table, [by_page.i])), index)
                at = builder.add(builder.mul(page, page_size), v_at)
                start = element_pointer(context, builder, values, values_value, at)
                first = builder.mul(by_page.i, index(LANES))
                with Loop(builder, index(LANES // QUAD // chains), by_page.values) as some:
                    new = list(some.values)
                    for chain in range(chains):
                        quad = builder.add(builder.mul(some.i, index(chains)), index(chain))
                        four = builder.gep(start, [builder.mul(quad, line)])
                        loaded = []
                        for v in range(vectors):
                            stored = _vector_at(builder, builder.gep(four, [index(v * _VECTOR)]), _BYTES)
                            stored = builder.shuffle_vector(stored, undefined, by_word)
                            loaded.append(builder.bitcast(stored, _WORDS))
                        word = builder.add(first, builder.mul(quad, index(QUAD)))
                        for r in range(rows):
                            for digit in range(2):
                                at = builder.gep(weights[r], [builder.add(word, index(digit))])
                                four_weights = splat_value(builder, builder.load(at, align=4))
                                for v in range(vectors):
                                    place = ((chain * rows + r) * vectors + v) * 2 + digit
                                    new[place] = dot(builder, new[place], four_weights, loaded[v], means)
                    some.again(new)
                by_page.again(some.results)
            sums = by_page.results
            if chains == 2:
                half = len(sums) // 2
                sums = [builder.add(a, b) for a, b in zip(sums[:half], sums[half:], strict=True)]
            for r in range(rows):
                for v in range(vectors):
                    at = builder.add(builder.add(to, builder.mul(width, index(r))), index(v * LANES))
                    target = element_pointer(context, builder, room, room_value, at)
                    target = builder.bitcast(target, _FLOATS.as_pointer())
                    place = (r * vectors + v) * 2
                    value = _joined(builder, *sums[place : place + 2])
                    builder.store(builder.fadd(builder.load(target, align=4), value), target, align=4)
            return context.get_dummy_value()

        n = types.intp
        return types.void(room, n, n, values, tables, n, n, n, n, n, n), codegen

    return tile


_scores_1x1, _scores_1x4, _scores_4x2 = score_tile8(1, 1), score_tile8(1, 4), score_tile8(ATTEND_ROWS, 2)
_values_1x1, _values_1x2, _values_1x4 = value_tile8(1, 1), value_tile8(1, 2), value_tile8(1, 4)
_values_4x1, _values_4x2 = value_tile8(ATTEND_ROWS, 1), value_tile8(ATTEND_ROWS, 2)


def _store_digits(builder: ir.IRBuilder, words: ir.Value, pointer: ir.Value) -> None:
    """Store for each four words a word of their lowest bytes, one of the next ones, and two that nobody reads."""
    # Nowhere further than within four words, which is what processors shuffle at once.
    order = [4 * (QUAD * quad + i) + min(digit, 1) for quad in range(QUAD) for digit in range(4) for i in range(QUAD)]
    value = builder.shuffle_vector(
        builder.bitcast(words, _BYTES), ir.Constant(_BYTES, ir.Undefined), ir.Constant(_PLACES, order)
    )
    builder.store(value, builder.bitcast(pointer, _BYTES.as_pointer()), align=4)


@intrinsic
def _scales(typingctx: Any, array: Any, at: Any) -> Any:
    """The 16 scales at the byte array[at]."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return load_value(builder, element_pointer(context, builder, array, *args), types.uint16)

    return Lanes(types.float32)(array, types.intp), codegen


@intrinsic
def _put_bfloat16(typingctx: Any, array: Any, at: Any, number: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        half = builder.trunc(builder.lshr(builder.bitcast(args[2], _I32), _I32(16)), _I16)
        pointer = element_pointer(context, builder, array, args[0], args[1])
        builder.store(half, builder.bitcast(pointer, _I16.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.float32), codegen


@inlined
def _put_scale(x, at, count, array, to):
    """The scale of the numbers x[at : at + count] goes to array[to]; returns what they are multiplied by."""
    scale = as_bfloat16(scale_of(largest_magnitude(x, at, count), STEPS) * np.float32(_FULL))
    _put_bfloat16(array, to, scale)
    return factor_of(scale, 1)


@intrinsic
def _put_key(typingctx: Any, array: Any, at: Any, x: Any, x_at: Any, count: Any, factor: Any) -> Any:
    """A word a vector from array[at] on: the codes of the numbers x[x_at : x_at + count], 0 where there are no more."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array_value, at, x_value, x_at, count, factor = args
        index = count.type
        four = ir.VectorType(ir.FloatType(), QUAD)
        source = element_pointer(context, builder, x, x_value, x_at)
        target = element_pointer(context, builder, array, array_value, at)
        factors = splat_value(builder, factor, QUAD)
        places = ir.Constant(ir.VectorType(_I32, QUAD), list(range(QUAD)))
        words = builder.sdiv(builder.add(count, index(QUAD - 1)), index(QUAD))
        with Loop(builder, words, []) as loop:
            done = builder.mul(loop.i, index(QUAD))
            pointer = builder.bitcast(builder.gep(source, [done]), four.as_pointer())
            left = splat_value(builder, builder.trunc(builder.sub(count, done), _I32), QUAD)
            are_there = builder.icmp_signed("<", places, left)
            numbers = builder.select(are_there, builder.load(pointer, align=4), ir.Constant(four, [0.0] * QUAD))
            codes = rounded_value(builder, numbers, factors, ZERO_CODE)
            store_bytes(builder, codes, builder.gep(target, [builder.mul(loop.i, index(_VECTOR))]))
            loop.again([])
        return context.get_dummy_value()

    n = types.intp
    return types.void(array, n, x, n, n, types.float32), codegen


_put_values = code_putter(0)


@intrinsic
def _put_query(typingctx: Any, q: Any, at: Any, count: Any, factor: Any, room: Any, to: Any) -> Any:
    """The digits of the numbers q[at : at + count] into room from _DIGITS on, and what sums with them begin with."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        q_value, at, count, factor, room_value, to = args
        index = count.type
        source = element_pointer(context, builder, q, q_value, at)
        target = element_pointer(context, builder, room, room_value, to)
        factors = splat_value(builder, factor)
        places = ir.Constant(_WORDS, list(range(LANES)))
        vectors = builder.sdiv(builder.add(count, index(LANES - 1)), index(LANES))
        with Loop(builder, vectors, [constant(0)] * 2) as loop:
            done = builder.mul(loop.i, index(LANES))
            left = splat_value(builder, builder.trunc(builder.sub(count, done), _I32))
            numbers = _vector_at(builder, builder.gep(source, [done]), _FLOATS)
            numbers = builder.select(
                builder.icmp_signed("<", places, left), numbers, ir.Constant(_FLOATS, [0.0] * LANES)
            )
            # 128 more, so that the second byte is the high digit; less 128, the first is the low one.
            words = builder.xor(rounded_value(builder, numbers, factors, 128), constant(128))
            low = builder.ashr(builder.shl(words, constant(24)), constant(24))
            high = builder.ashr(builder.shl(words, constant(16)), constant(24))
            _store_digits(builder, words, builder.gep(target, [builder.add(index(_DIGITS), done)]))
            loop.again([builder.add(a, b) for a, b in zip(loop.values, (low, high), strict=True)])
        for place, sums in enumerate(loop.results, 1):
            first = call_llvm(builder, f"llvm.vector.reduce.add.v{LANES}i32", [sums], _I32)
            pointer = builder.bitcast(builder.gep(target, [index(place)]), _I32.as_pointer())
            builder.store(builder.mul(first, _I32(-ZERO_CODE)), pointer, align=4)
        return context.get_dummy_value()

    n = types.intp
    return types.void(q, n, n, types.float32, room, n), codegen


@intrinsic
def _put_weights(typingctx: Any, room: Any, at: Any, weights: Any, factor: Any) -> Any:
    """The digits of 16 weights into room[at : at + 16]."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element_pointer(context, builder, room, args[0], args[1])
        _store_digits(builder, rounded_value(builder, args[2], args[3]), pointer)
        return context.get_dummy_value()

    return types.void(room, types.intp, weights, factor), codegen


@inlined
def write_kv8(sizes, cache, slot, position, layer, qkv, at, first_head, last_head):
    """As `attention.write_kv`, each head rounded by its largest magnitude."""
    keys, values = cache.keys, cache.values
    page, place = cache.tables[slot, position // LANES], position % LANES
    D, C, Dv = sizes.head_dim, sizes.n_embd, sizes.value_stride
    nothing = splat(qkv, 0.0)
    for head in range(first_head, last_head):
        k = page * sizes.key_page + (layer * sizes.n_head + head) * sizes.key_head
        v = page * sizes.value_page + (layer * sizes.n_head + head) * sizes.value_head
        source = at + C + head * D
        scale = k + sizes.key_head - _SCALES + 2 * place
        _put_key(keys, k + QUAD * place, qkv, source, D, _put_scale(qkv, source, D, keys, scale))
        source += C
        v += place // QUAD * QUAD * Dv + place % QUAD * LANES
        factor = splat(qkv, _put_scale(qkv, source, D, keys, scale + 2 * LANES))
        for d in range(0, D, LANES):
            _put_values(values, v + d * QUAD, keep_first(load(qkv, source + d), D - d, nothing), factor)


@inlined
def attend8(
    sizes, cache, slot, position, rows, layer, q, q_at, room, y_at, first_head, last_head
):  # fmt: skip
    """As `attention.attend`. Weights of positions that a row does not see are 0, whatever lies there in memory."""
    keys, values, tables = cache.keys, cache.values, cache.tables
    D, H, Dv, S, Qs = sizes.head_dim, sizes.n_head, sizes.value_stride, sizes.scores_stride, sizes.qkv_stride
    scores, factors, sums = sizes.scores_at, sizes.inverses_at, sizes.chains_at
    queries, Q = sizes.queries_at, _DIGITS + Dv
    words = (D + QUAD - 1) // QUAD
    heads = last_head - first_head
    root = _LOG2_E / np.sqrt(D)
    for head in range(heads):
        for r in range(rows):
            at, to = q_at + r * Qs + (first_head + head) * D, queries + (head * rows + r) * Q
            largest = largest_magnitude(q, at, D)
            # By a scale of 0, which zeros have and what is almost zero, what is not to be seen would be a NaN; and all
            # scores are 0 then, by any scale.
            worth = np.float32(scale_of(largest, _QUERY_STEPS) * root)
            room[to] = worth if worth != 0 else np.float32(1)
            _put_query(q, at, D, factor_of(largest, _QUERY_STEPS), room, to)

    pages = (position + rows + LANES - 1) // LANES
    begin = (layer * H + first_head) * sizes.key_head
    p = 0
    while p < pages:
        wanted = 4 if rows == 1 else 2
        together = wanted if p + wanted <= pages else 1
        k0 = tables[slot, p] * sizes.key_page + begin
        k1 = k2 = k3 = k0
        if together > 1:
            k1 = tables[slot, p + 1] * sizes.key_page + begin
        if together > 2:
            k2 = tables[slot, p + 2] * sizes.key_page + begin
            k3 = tables[slot, p + 3] * sizes.key_page + begin
        for head in range(heads):
            at, to = queries + head * rows * Q, scores + head * rows * S + p * LANES
            on = head * sizes.key_head
            if together == 4:
                _scores_1x4(room, at, 0, keys, k0 + on, k1 + on, k2 + on, k3 + on, words, to, 0)
            elif together == 2:
                _scores_4x2(room, at, Q, keys, k0 + on, k1 + on, 0, 0, words, to, S)
            else:
                for r in range(rows):
                    _scores_1x1(room, at + r * Q, 0, keys, k0 + on, 0, 0, 0, words, to + r * S, 0)
        p += together

    nothing, lowest = splat(room, 0.0), splat(room, -np.inf)
    if pages == 1 and rows == 1:  # all that the smallest models have: without a wait for memory a fifth faster
        scales = tables[slot, 0] * sizes.key_page + (layer * H + first_head + 1) * sizes.key_head - 2 * LANES
        for head in range(heads):
            at, query = scores + head * S, queries + head * Q
            seen = keep_first(load(room, at), position + 1, lowest)
            scale = splat(room, room[query])
            e = exp2(multiply(subtract(seen, splat(room, highest(larger(lowest, seen)))), scale))
            weights = keep_first(multiply(e, _scales(keys, scales + head * sizes.key_head)), position + 1, nothing)
            largest = highest_magnitude(weights)
            room[factors + head] = scale_of(largest, _WEIGHT_STEPS) / np.float64(total(e))
            _put_weights(room, at, weights, splat(room, factor_of(largest, _WEIGHT_STEPS)))
    else:
        # Each loop for all heads and rows before the next one, so that the processor works on several of them at once.
        for head in range(heads):
            for r in range(rows):
                at, count = scores + (head * rows + r) * S, position + r + 1
                last = (count - 1) // LANES * LANES
                store(room, at + last, keep_first(load(room, at + last), count - last, lowest))
                top = lowest
                for i in range(at, at + count, LANES):
                    top = larger(top, load(room, i))
                room[queries + (head * rows + r) * Q + _MOST] = highest(top)
        for head in range(heads):
            place = layer * H + first_head + head
            scales, v = (place + 1) * sizes.key_head - 2 * LANES, place * sizes.value_head
            for r in range(rows):
                at, query, count = scores + (head * rows + r) * S, queries + (head * rows + r) * Q, position + r + 1
                scale = splat(room, room[query])
                most, sums_of, heaviest = splat(room, room[query + _MOST]), nothing, nothing
                for i in range(0, count, LANES):
                    page = tables[slot, i // LANES]
                    # Memory has nothing to do here. With more lines asked for it is no faster.
                    prefetch(values, page * sizes.value_page + v)
                    e = exp2(multiply(subtract(load(room, at + i), most), scale))
                    sums_of = add(sums_of, e)
                    weights = multiply(e, _scales(keys, page * sizes.key_page + scales))
                    weights = keep_first(weights, count - i, nothing)
                    heaviest = larger_magnitude(heaviest, weights)
                    store(room, at + i, weights)
                largest = highest_magnitude(heaviest)
                room[query + _MOST] = largest
                room[factors + head * rows + r] = scale_of(largest, _WEIGHT_STEPS) / np.float64(total(sums_of))
        for head in range(heads):
            for r in range(rows):
                at, end = scores + (head * rows + r) * S, position + r + 1
                factor = splat(room, factor_of(room[queries + (head * rows + r) * Q + _MOST], _WEIGHT_STEPS))
                for i in range(0, end, LANES):
                    _put_weights(room, at + i, load(room, at + i), factor)
                for i in range((end + LANES - 1) // LANES * LANES, pages * LANES, LANES):
                    store(room, at + i, nothing)

    for i in range(sums, sums + heads * rows * Dv, LANES):
        store(room, i, nothing)
    begin, size = slot * tables.shape[1], sizes.value_page
    for p in range(0, pages, VALUE_PAGES):
        n = min(VALUE_PAGES, pages - p)
        for head in range(heads):
            at, to = scores + head * rows * S + p * LANES, sums + head * rows * Dv
            v = (layer * H + first_head + head) * sizes.value_head
            j = 0
            while j < Dv:
                left = (Dv - j) // LANES
                on = v + j * QUAD
                if rows > 1:
                    if left >= 2:
                        _values_4x2(room, at, S, values, tables, begin + p, n, size, on, Dv, to + j)
                    else:
                        _values_4x1(room, at, S, values, tables, begin + p, n, size, on, Dv, to + j)
                    j += min(left, 2) * LANES
                elif left >= 4:
                    _values_1x4(room, at, 0, values, tables, begin + p, n, size, on, Dv, to + j)
                    j += 4 * LANES
                elif left >= 2:
                    _values_1x2(room, at, 0, values, tables, begin + p, n, size, on, Dv, to + j)
                    j += 2 * LANES
                else:
                    _values_1x1(room, at, 0, values, tables, begin + p, n, size, on, Dv, to + j)
                    j += LANES
    for head in range(heads):
        for r in range(rows):
            factor = splat(room, room[factors + head * rows + r])
            at = sums + (head * rows + r) * Dv
            to = y_at + r * sizes.x_stride + (first_head + head) * D
            for j in range(0, Dv, LANES):
                store(room, to + j, multiply(load(room, at + j), factor))


def write_kv(sizes, cache, slot, position, layer, qkv, at, first_head, last_head):
    """`write_kv8` where the cache is int8, else `attention.write_kv`; for kernels alone, which choose when they are
    compiled."""
    raise NotImplementedError("only compiled code can call write_kv")


def attend(sizes, cache, slot, position, rows, layer, q, q_at, room, y_at, first_head, last_head):  # fmt: skip
    """`attend8` where the cache is int8, else `attention.attend`; likewise."""
    raise NotImplementedError("only compiled code can call attend")


def _is_int8(cache: Any) -> bool:
    return cache.types[cache.fields.index("keys")].dtype == types.int8


@overload(write_kv, inline="always")
def _write_kv(sizes, cache, slot, position, layer, qkv, at, first_head, last_head):
    write = write_kv8 if _is_int8(cache) else attention.write_kv

    def chosen(sizes, cache, slot, position, layer, qkv, at, first_head, last_head):
        write(sizes, cache, slot, position, layer, qkv, at, first_head, last_head)

    return chosen


@overload(attend, inline="always")
def _attend(sizes, cache, slot, position, rows, layer, q, q_at, room, y_at, first_head, last_head):
    attend_kept = attend8 if _is_int8(cache) else attention.attend

    def chosen(sizes, cache, slot, position, rows, layer, q, q_at, room, y_at, first_head, last_head):
        attend_kept(sizes, cache, slot, position, rows, layer, q, q_at, room, y_at, first_head, last_head)

    return chosen
