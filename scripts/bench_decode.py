"""Measure how fast the Engine decodes, and how near that is to what this machine can do.

Random weights; prompts of 8 random tokens, each continued to min(block_size - 8, 256) tokens more at temperature 0.8
over the full vocabulary; a finished sequence is replaced at once, so that the batch stays full. T0 stands for a model
of short documents: it is asked for 32 of them at once, from one token. A window holds whole sequences only.

    python scripts/bench_decode.py                                         # everything: about 15 minutes
    python scripts/bench_decode.py --shapes T1,T3 --batches 1,8 --seconds 1
    python scripts/bench_decode.py --backends numba --dtypes float32,int8 --json decode.json --markdown decode.md

Limits, measured first: FLOP/s of multiply-adds on all cores at once; and how fast an array as large as the weights is
read over and over, from whatever cache holds it, by one core or by all, whichever is faster. `of FLOP limit` counts
two operations per weight that is multiplied and four per position, layer and column of attention. `of bandwidth` is
the share of the rate at which weights, K and V could be read: at batch 1 as fast as an array as large as the weights
is, at others as one as large as all that a step reads. The first share over the second is the most of the FLOP limit
that reading allows.
"""

import argparse
import statistics
import sys
from dataclasses import asdict, dataclass
from typing import Any

from bench import machine
from bench.report import add_output_options, count, facts, percent, positive, publish, rate, say, table
from bench.shapes import BACKENDS, BATCHES, DTYPES, PREFILL_TOKENS, SHAPES, Shape, names_of
from bench.worker import Worker, WorkerError

_WARM_UP_S = 0.5


@dataclass(frozen=True, slots=True)
class Result:
    """A measurement and what it means. batch 0 stands for the prefill of one prompt."""

    backend: str
    dtype: str
    shape: str
    batch: int
    tokens_per_s: float | None = None
    step_us: float | None = None
    of_flops: float | None = None
    of_bandwidth: float | None = None
    error: str = ""


class Limits:
    """This machine's limits, each measured when it is first asked for."""

    def __init__(self) -> None:
        self.cores = machine.num_cores()
        self.flops: dict[str, float] = {}
        self.bandwidth: dict[str, machine.Bandwidth] = {}

    def flops_for(self, dtype: str) -> float:
        """Of the arithmetic behind a dtype: float64's own, and float32's for all others."""
        wide = "float64" if dtype == "float64" else "float32"
        if wide not in self.flops:
            say(f"measuring multiply-adds in {wide}")
            self.flops[wide] = machine.flops(wide, self.cores)
        return self.flops[wide]

    def bandwidth_for(self, shape: Shape, dtype: str, batch: int) -> machine.Bandwidth:
        num_bytes = shape.weight_bytes(dtype) if batch == 1 else step_bytes(shape, dtype, batch)
        key = f"{shape.name} {dtype}" + ("" if batch == 1 else f", batch {batch}")
        if key not in self.bandwidth:
            say(f"measuring bandwidth at {num_bytes / 1e6:.3g} MB")
            self.bandwidth[key] = machine.bandwidth(num_bytes, self.cores)
        return self.bandwidth[key]


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line's options, lists as lists."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", default="numba", help=f"some of {','.join(BACKENDS)} (default %(default)s)")
    parser.add_argument("--shapes", default=",".join(SHAPES), help="default %(default)s")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)), help="default %(default)s")
    parser.add_argument("--dtypes", default="float32", help=f"some of {','.join(DTYPES)} (default %(default)s)")
    parser.add_argument("--seconds", type=positive, default=3.0, help="least length of a window (default %(default)s)")
    parser.add_argument("--repeats", type=count, default=3, help="windows per number; medians count (default 3)")
    parser.add_argument("--time-limit", type=positive, default=300.0, help="seconds for a window (default %(default)s)")
    parser.add_argument("--no-prefill", action="store_true", help=f"leave out prompts of {PREFILL_TOKENS}")
    parser.add_argument(
        "--staggered", action="store_true", help="let the sequences end one after another instead of all together"
    )
    add_output_options(parser)
    arguments = parser.parse_args(argv)
    try:
        arguments.backends = names_of(arguments.backends, BACKENDS, "--backends")
        arguments.dtypes = names_of(arguments.dtypes, DTYPES, "--dtypes")
        arguments.shapes = [SHAPES[name] for name in names_of(arguments.shapes, list(SHAPES), "--shapes")]
        arguments.batches = [count(batch) for batch in arguments.batches.split(",")]
    except (ValueError, argparse.ArgumentTypeError) as error:
        parser.error(str(error))
    return arguments


def measure(arguments: argparse.Namespace, backend: str, dtype: str, shape: Shape, limits: Limits) -> list[Result]:
    """Every batch size of a model on a backend, then its prefill; failures are results, too."""
    task = {"shape": shape.name, "backend": backend, "dtype": dtype, "staggered": arguments.staggered}
    results: list[Result] = []
    try:
        worker = Worker(sys.executable, "bench.our_worker", task, time_limit_s=arguments.time_limit)
    except WorkerError as error:
        return [Result(backend, dtype, shape.name, batch, error=str(error)) for batch in arguments.batches]
    try:
        for batch in arguments.batches:
            worker.start(batch)
            worker.decode(batch, _WARM_UP_S)
            speed = statistics.median(worker.decode(batch, arguments.seconds).rate for _ in range(arguments.repeats))
            results.append(decode_result(backend, dtype, shape, batch, speed, limits))
            say(f"{backend} {dtype} {shape.name} batch {batch}: {rate(speed)} tokens/s")
        if shape.has_prefill and not arguments.no_prefill:
            worker.start(1)
            worker.prefill(_WARM_UP_S)
            speed = statistics.median(worker.prefill(arguments.seconds).rate for _ in range(arguments.repeats))
            share = speed * shape.flops_per_prompt_token / limits.flops_for(dtype)
            results.append(Result(backend, dtype, shape.name, 0, speed, of_flops=share))
            say(f"{backend} {dtype} {shape.name} prefill: {rate(speed)} tokens/s")
    except WorkerError as error:
        batch = arguments.batches[len(results)] if len(results) < len(arguments.batches) else 0
        results.append(Result(backend, dtype, shape.name, batch, error=str(error)))
        say(f"{backend} {dtype} {shape.name}: {error}")
    finally:
        worker.close()
    return results


def step_bytes(shape: Shape, dtype: str, batch: int) -> int:
    """What a decode step of `batch` sequences reads of weights, K and V."""
    return shape.weight_bytes(dtype) + round(batch * shape.kv_bytes(dtype))


def decode_result(backend: str, dtype: str, shape: Shape, batch: int, speed: float, limits: Limits) -> Result:
    """A decode speed (tokens/s) with its shares of the limits."""
    of_bandwidth = speed / batch * step_bytes(shape, dtype, batch) / limits.bandwidth_for(shape, dtype, batch).best
    of_flops = speed * shape.flops_per_token / limits.flops_for(dtype)
    return Result(backend, dtype, shape.name, batch, speed, 1e6 * batch / speed, of_flops, of_bandwidth)


def render(arguments: argparse.Namespace, results: list[Result], limits: Limits) -> str:
    """The report in Markdown."""
    parts = [facts(machine.describe()), "Limits"]
    rows = [[f"multiply-adds, {dtype}", f"{flops / 1e9:.0f} GFLOP/s", "-"] for dtype, flops in limits.flops.items()]
    for name, found in limits.bandwidth.items():
        rows.append([f"reading {name}", f"{found.one_core / 1e9:.1f} GB/s", f"{found.all_cores / 1e9:.1f} GB/s"])
    parts.append(table(["limit", "one core", f"{limits.cores} cores"], [_all_cores_last(row) for row in rows]))
    for title, wanted in (("Decoding", True), (f"Prefill of {PREFILL_TOKENS} tokens", False)):
        rows = [_row(result) for result in results if bool(result.batch) == wanted]
        if rows:
            header = ["shape", "backend", "dtype", "batch", "tokens/s", "µs/step", "of FLOP limit", "of bandwidth"]
            parts += [title, table(header, rows)]
    failures = [f"- {r.backend} {r.dtype} {r.shape} batch {r.batch or '-'}: {r.error}" for r in results if r.error]
    if failures:
        parts += ["Failed", "\n".join(failures)]
    return "\n\n".join(parts)


def _all_cores_last(row: list[str]) -> list[str]:
    """Multiply-adds are measured on all cores only."""
    return [row[0], "-", row[1]] if row[2] == "-" else row


def _row(result: Result) -> list[str]:
    step = (
        "-" if result.step_us is None else f"{result.step_us:.3g}" if result.step_us < 1000 else f"{result.step_us:.0f}"
    )
    speed = "failed" if result.error else rate(result.tokens_per_s)
    return [
        result.shape,
        result.backend,
        result.dtype,
        str(result.batch or 1),
        speed,
        step,
        percent(result.of_flops),
        percent(result.of_bandwidth),
    ]


def main(argv: list[str] | None = None) -> int:
    """Measure, report, return the exit code: 1 if nothing could be measured."""
    arguments = parse_arguments(argv)
    limits = Limits()
    results: list[Result] = []
    for shape in arguments.shapes:
        for backend in arguments.backends:
            for dtype in arguments.dtypes:
                results += measure(arguments, backend, dtype, shape, limits)
    data: dict[str, Any] = {
        "machine": machine.describe(),
        "seconds": arguments.seconds,
        "repeats": arguments.repeats,
        "staggered": arguments.staggered,
        "flops": limits.flops,
        "bandwidth": {name: asdict(found) for name, found in limits.bandwidth.items()},
        "results": [asdict(result) for result in results],
    }
    publish(arguments, render(arguments, results, limits), data)
    return 0 if any(result.tokens_per_s for result in results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
