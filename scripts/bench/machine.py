"""What this machine can do at most: multiply-adds, and reading as much memory as a model's weights take."""

import functools
import os
import platform
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

_LANES = 16
_CHAINS = 8
_READ_STRIDE = _CHAINS * _LANES
_SECONDS = 0.2  # each kernel runs this long a few times over; the best counts, since a limit is looked for
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Bytes per second read from an array of one size, over and over, by one core and by all of them together."""

    one_core: float
    all_cores: float

    @property
    def best(self) -> float:
        return max(self.one_core, self.all_cores)


def num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_avx512() -> bool:
    """Whether this is an x86 processor with AVX-512."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and " avx512f " in cpuinfo.read_text()


def describe() -> dict[str, Any]:
    """Processor, cores and versions, for a report."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {
        "processor": model,
        "cores": num_cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numba": numba.__version__,
        "numpy": np.__version__,
        "commit": _commit(),
    }


def _commit() -> str:
    """The commit that is measured, with -dirty where files differ from it."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def flops(dtype: str, cores: int) -> float:
    """Multiply-adds per second times two, all `cores` at once, in float32 or float64 arithmetic."""
    one = np.float64(1) if dtype == "float64" else np.float32(1)
    best = 0.0
    for chains, kernel in _MULTIPLIERS.items():
        rate = _rate([lambda rounds, kernel=kernel: kernel(rounds, one)] * cores)
        best = max(best, rate * 2 * chains * _LANES)
    return best


def bandwidth(num_bytes: int, cores: int) -> Bandwidth:
    """How fast an array of `num_bytes` is summed, from whatever cache holds it; all cores read a part each."""
    words = max(_READ_STRIDE * cores, num_bytes // 4 // (_READ_STRIDE * cores) * (_READ_STRIDE * cores))
    array = np.ones(words, np.float32)
    parts = np.split(array, cores)
    one = _rate([lambda rounds: _read(rounds, array)]) * array.nbytes
    every = _rate([lambda rounds, part=part: _read(rounds, part) for part in parts]) * parts[0].nbytes
    return Bandwidth(one, every if cores > 1 else one)


def _rate(kernels: list[Callable[[int], Any]]) -> float:
    """Rounds per second, of all kernels together, each on a thread of its own; each is given a number of rounds."""
    kernels[0](1)  # compiled
    rounds = 1
    while True:
        start = time.perf_counter()
        kernels[0](rounds)
        if time.perf_counter() - start > _SECONDS / 10:
            break
        rounds *= 2
    rounds *= 10
    best = 0.0
    with ThreadPoolExecutor(len(kernels)) as pool:
        for _ in range(_TRIES):
            start = time.perf_counter()
            list(pool.map(lambda kernel: kernel(rounds), kernels))
            best = max(best, len(kernels) * rounds / (time.perf_counter() - start))
    return best


# --- kernels: chains of vector operations that do not wait for each other, written as LLVM IR so that their number
# --- is ours and not the compiler's choice. LLVM splits the vectors where registers are narrower.


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c of vectors, in one instruction where the processor has one."""
    kind = "f32" if a.type.element == ir.FloatType() else "f64"
    function_type = ir.FunctionType(a.type, [a.type] * 3)
    name = f"llvm.fmuladd.v{_LANES}{kind}"
    return builder.call(cgutils.get_or_insert_function(builder.module, function_type, name), [a, b, c])


def _vector(builder: Any, number: Any) -> Any:
    """The same number in every lane."""
    vector = ir.Constant(ir.VectorType(number.type, _LANES), ir.Undefined)
    for lane in range(_LANES):
        vector = builder.insert_element(vector, number, ir.IntType(32)(lane))
    return vector


def _sum(builder: Any, vectors: list[Any]) -> Any:
    """The sum of the first lanes: a use of every chain, so that none is left out."""
    lanes = [builder.extract_element(vector, ir.IntType(32)(0)) for vector in vectors]
    return functools.reduce(builder.fadd, lanes)


def _multiplier(chains: int) -> Any:
    """A function of (rounds, one) that does `chains` vector multiply-adds a round, in the type of `one`."""

    @intrinsic
    def multiply(typingctx: Any, rounds: Any, one: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            x = _vector(builder, args[1])
            sums = [cgutils.alloca_once_value(builder, x) for _ in range(chains)]
            with cgutils.for_range(builder, args[0]):
                for place in sums:
                    builder.store(_fma(builder, builder.load(place), x, x), place)
            return _sum(builder, [builder.load(place) for place in sums])

        return one(types.intp, one), codegen

    return numba.njit(nogil=True)(lambda rounds, one: multiply(rounds, one))  # type: ignore[call-arg]


@intrinsic
def _read_once(typingctx: Any, array: Any, one: Any) -> Any:
    """The sum of a float32 array whose size is a multiple of _READ_STRIDE."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0])
        x = _vector(builder, args[1])
        sums = [cgutils.alloca_once_value(builder, x) for _ in range(_CHAINS)]
        stop = data.nitems
        step = stop.type(_READ_STRIDE)
        with cgutils.for_range_slice(builder, stop.type(0), stop, step) as (start, _):
            for i, place in enumerate(sums):
                pointer = builder.gep(data.data, [builder.add(start, stop.type(i * _LANES))])
                words = builder.load(builder.bitcast(pointer, x.type.as_pointer()), align=4)
                builder.store(_fma(builder, words, x, builder.load(place)), place)
        return _sum(builder, [builder.load(place) for place in sums])

    return types.float32(array, types.float32), codegen


@numba.njit(nogil=True)
def _read(rounds: int, array: Any) -> Any:
    """Sums `array` `rounds` times. The factor depends on the sum before, so that no round can be left out."""
    result = np.float32(1)
    for _ in range(rounds):
        result = _read_once(array, np.float32(1) + np.float32(1e-30) * result)  # type: ignore[call-arg]
    return result


# Twelve chains suit 32 registers of 512 bits, six the narrower and fewer ones of other processors.
_MULTIPLIERS = {chains: _multiplier(chains) for chains in (12, 6)}
