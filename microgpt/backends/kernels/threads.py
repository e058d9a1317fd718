"""What threads inside kernels need: atomics, a clock and a way to sleep, all without the GIL."""

import sys
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from microgpt.backends.kernels.compiling import part
from microgpt.backends.kernels.lanes import element_pointer

_I32, _I64, _POINTER = ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()
_CLOCK_MONOTONIC = 6 if sys.platform == "darwin" else 1
# A thread that waits spins this often before it yields its core at every look: about 20 us. Waits inside a step are
# shorter than that; and where another process holds the core that we wait for, spinning on would only be in its way.
SPINS = 4000
BARRIER_STEP = 16  # int64s between two threads' counts: lines are fetched in pairs


@intrinsic
def atomic_load(typingctx: Any, array: Any, index: Any) -> Any:
    """array[index] of int64, seen after everything its writer wrote before `atomic_store`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(element_pointer(context, builder, signature.args[0], *args), "acquire", 8)

    return types.int64(array, types.intp), codegen


def _storing(ordering: str) -> Any:
    @intrinsic
    def function(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = element_pointer(context, builder, signature.args[0], args[0], args[1])
            builder.store_atomic(args[2], pointer, ordering, 8)
            return context.get_dummy_value()

        return types.void(array, types.intp, types.int64), codegen

    return function


# array[index] = value, after everything written before it; `atomic_store` also before everything read after it.
atomic_publish, atomic_store = _storing("release"), _storing("seq_cst")


@intrinsic
def full_fence(typingctx: Any) -> Any:
    """No load after it happens before a store ahead of it."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


def _declared(builder: ir.IRBuilder, name: str, returns: ir.Type, arguments: list[ir.Type]) -> Any:
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(returns, arguments), name)


@intrinsic
def yield_core(typingctx: Any) -> Any:
    """sched_yield: let another thread have this core."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.call(_declared(builder, "sched_yield", _I32, []), [])
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def _clock_gettime(typingctx: Any, pair: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = element_pointer(context, builder, signature.args[0], args[0], _I64(0))
        function = _declared(builder, "clock_gettime", _I32, [_I32, _POINTER])
        builder.call(function, [_I32(_CLOCK_MONOTONIC), builder.bitcast(pointer, _POINTER)])
        return context.get_dummy_value()

    return types.void(pair), codegen


def _transfer(name: str) -> Any:
    @intrinsic
    def function(typingctx: Any, descriptor: Any, buffer: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointer = element_pointer(context, builder, signature.args[1], args[1], _I64(0))
            call = _declared(builder, name, _I64, [_I32, _POINTER, _I64])
            descriptor = builder.trunc(args[0], _I32)
            return builder.call(call, [descriptor, builder.bitcast(pointer, _POINTER), _I64(1)])

        return types.int64(types.int64, buffer), codegen

    return function


read_byte, write_byte = _transfer("read"), _transfer("write")


@part
def now_ns(pair: np.ndarray) -> int:
    """The monotonic clock, as time.monotonic_ns has it. pair: (2,) int64 scratch."""
    _clock_gettime(pair)
    return pair[0] * 1_000_000_000 + pair[1]


@part
def barrier(control: np.ndarray, at: int, thread: int, team: int) -> None:
    """Wait until all `team` threads are here, of which this one is `thread`.

    control[at + BARRIER_STEP * i]: how often thread i came. Nobody else writes there: two threads tell each other in
    the time that one line takes from core to core, half of what a counter that both add to needs.
    """
    if team == 1:
        return
    mine = at + BARRIER_STEP * thread
    now = control[mine] + 1
    atomic_publish(control, mine, now)
    for other in range(team):
        spins = 0
        while atomic_load(control, at + BARRIER_STEP * other) < now:
            spins += 1
            if spins > SPINS:
                yield_core()
