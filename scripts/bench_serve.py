"""Measure the server under closed-loop clients, beside the Engine without HTTP.

A real `python -m serve` on random weights (or --model-dir) gets POST /microgpt/v1/generate, one sample of --tokens
tokens at temperature 0.8 with a seed of its own, from clients in another process, each on one kept connection, each
sending its next request when it has its answer. The Engine gets the same requests in this process, as many at a time.

    python scripts/bench_serve.py                                             # T0, T1, T3: about 4 minutes
    python scripts/bench_serve.py --shapes T3 --concurrency 32 --seconds 10 --json serve.json
    python scripts/bench_serve.py --model-dir output --modes streaming
    python scripts/bench_serve.py --cpu-per-request                           # against a bare FastAPI endpoint

A window lasts --seconds, and longer where two requests of each client take longer. Rates count what happened in it;
tokens are the server's own count (GET /metrics). CPU is user and system time of the whole process, by requests that
ended in the window: where it holds few requests, those cut by its ends matter. `first token` is from sending a request
to the first piece of its stream; `between tokens`, a stream's time from its first piece to its end by its tokens but
one; `between pieces`, what a reader waits for the next. The rate limit is off, everything else is on: request ids,
metrics, a log line for each request, written to a file.

--cpu-per-request: T0, one sample of 8 tokens, the rate limit on as well (and never reached), and in turns with it an
endpoint in FastAPI with a pydantic body and answer that does nothing, under the same uvicorn with uvloop and httptools;
once without uvicorn's access log, and once with it, as uvicorn runs by default.
"""

import argparse
import contextlib
import itertools
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from bench import machine
from bench.our_worker import TEMPERATURE, random_checkpoint
from bench.report import add_output_options, count, facts, percent, positive, publish, rate, say, table
from bench.shapes import DTYPES, SHAPES, names_of
from bench.worker import SCRIPTS

from microgpt import Engine, Failed, Finished, GenerationRequest, SamplingParams, TokenEvent, load_checkpoint
from microgpt.checkpoint import save_checkpoint
from microgpt.engine import build_engine

PATH = "/microgpt/v1/generate"
MODES = ("buffered", "streaming")
CPU_TOKENS = 8
_READY_LIMIT_S = 180.0  # the first start compiles kernels
_SPARE_S = 120.0  # how much longer than its window a client may take
_UNREACHED = ("--rate-limit=999999999/second", "--rate-burst=1000000")


@dataclass(frozen=True, slots=True)
class Cell:
    """One measurement. window: what the client found, see bench.load_client. engine: tokens/s without HTTP."""

    model: str
    concurrency: int
    mode: str
    window: dict[str, Any]
    engine: float

    @property
    def requests_per_s(self) -> float:
        return self.window["requests"] / self.window["elapsed_s"]

    @property
    def tokens_per_s(self) -> float:
        return self.window["tokens"] / self.window["elapsed_s"]

    def cpu_us(self, side: str) -> float | None:
        """CPU per request of `server` or `client`."""
        requests = self.window["requests"]
        return 1e6 * self.window[f"{side}_cpu_s"] / requests if requests else None


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line's options, lists as lists."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="T0,T1,T3", help="random models, some of T0 to T5 (default %(default)s)")
    parser.add_argument("--model-dir", type=Path, help="a model to serve instead")
    parser.add_argument("--concurrency", help="clients at once (default 1,8,32,128; with --cpu-per-request 1,8,32)")
    parser.add_argument("--modes", default=",".join(MODES), help="default %(default)s")
    parser.add_argument("--tokens", type=count, default=128, help="most tokens of a request (default %(default)s)")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="default %(default)s")
    parser.add_argument("--seconds", type=positive, default=5.0, help="least length of a window (default %(default)s)")
    parser.add_argument("--warm-up", type=positive, default=1.0, help="seconds before it (default %(default)s)")
    parser.add_argument("--cpu-per-request", action="store_true", help="compare with a bare FastAPI endpoint instead")
    parser.add_argument("--repeats", type=count, default=5, help="windows of each there; medians count (default 5)")
    add_output_options(parser)
    arguments = parser.parse_args(argv)
    concurrency = arguments.concurrency or ("1,8,32" if arguments.cpu_per_request else "1,8,32,128")
    try:
        arguments.concurrency = [count(number) for number in concurrency.split(",")]
        arguments.shapes = names_of(arguments.shapes, list(SHAPES), "--shapes")
        arguments.modes = names_of(arguments.modes, MODES, "--modes")
    except (ValueError, argparse.ArgumentTypeError) as error:
        parser.error(str(error))
    return arguments


class Process:
    """A server process, started from `directory`: its address and its id. It is up when it prints `ready`."""

    def __init__(self, command: list[str], directory: Path, ready: str, log: Path):
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, *command], cwd=directory, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        self.pid = self._process.pid
        try:
            if not self._is_up(ready):
                raise SystemExit(f"{' '.join(command)} did not start: {log.read_text()[-500:]}")
        except BaseException:  # Ctrl-C and SIGTERM among them
            self.close()
            raise

    def _is_up(self, ready: str) -> bool:
        """Whether it prints `ready` before its end and in time; notes its address."""
        assert self._process.stdout is not None
        started = time.monotonic()
        for line in self._process.stdout:
            if found := re.search(r"listening on http://([^:]+):(\d+)", line):
                self.host, self.port = found[1], int(found[2])
            if ready in line or time.monotonic() - started > _READY_LIMIT_S:
                return True
        return False

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def load(self, body: dict[str, Any], connections: int, warm_up_s: float, seconds: float) -> dict[str, Any]:
        """What clients that send `body` over and over find."""
        task = {
            "host": self.host, "port": self.port, "pid": self.pid, "path": PATH, "body": body,
            "connections": connections, "warm_up_s": warm_up_s, "seconds": seconds,
        }  # fmt: skip
        command = [sys.executable, "-m", "bench.load_client", json.dumps(task)]
        limit_s = warm_up_s + seconds + _SPARE_S
        done = subprocess.run(command, cwd=SCRIPTS, stdout=subprocess.PIPE, text=True, timeout=limit_s, check=True)
        return json.loads(done.stdout)


@contextlib.contextmanager
def serving(model_dir: Path, logs: Path, *flags: str) -> Iterator[Process]:
    """Our server, ready."""
    command = ["-m", "serve", f"--model-dir={model_dir.resolve()}", "--host=127.0.0.1", "--port=0", "--device=cpu"]
    process = Process([*command, *flags], SCRIPTS.parent, "  try ", logs / "serve.log")
    try:
        yield process
    finally:
        process.close()


def engine_rate(engine: Engine, concurrency: int, max_tokens: int, warm_up_s: float, seconds: float) -> float:
    """Tokens/s of the Engine alone, asked what the server is asked, `concurrency` requests at a time."""
    bos = engine.tokenizer.bos
    numbers = itertools.count(10**9)

    def add() -> None:
        seed = next(numbers)
        params = SamplingParams(max_tokens=max_tokens, temperature=TEMPERATURE, seed=seed, stop_token_ids=(bos,))
        engine.add(GenerationRequest(str(seed), (bos,), params))

    def run_for(duration_s: float, num_requests: int) -> float:
        tokens, finished, start = 0, 0, time.perf_counter()
        while (elapsed_s := time.perf_counter() - start) < duration_s or finished < num_requests:
            for event in engine.step():
                if isinstance(event, TokenEvent):
                    tokens += len(event.token_ids)
                elif isinstance(event, Finished):
                    finished += 1
                    add()
                elif isinstance(event, Failed):
                    raise event.error
        return tokens / elapsed_s

    for _ in range(concurrency):
        add()
    run_for(warm_up_s, 0)
    speed = run_for(seconds, 2 * concurrency)
    for seed in range(10**9, next(numbers)):
        engine.cancel(str(seed))
    engine.step()
    return speed


def measure(arguments: argparse.Namespace, name: str, model_dir: Path, logs: Path) -> list[Cell]:
    """Every cell of one model."""
    checkpoint = load_checkpoint(model_dir)
    max_tokens = min(arguments.tokens, checkpoint.config.block_size)
    engine = build_engine(checkpoint, device="cpu", dtype=arguments.dtype)
    cells = []
    queue = max(256, *arguments.concurrency)
    with serving(model_dir, logs, "--rate-limit=off", f"--max-queue={queue}", f"--dtype={arguments.dtype}") as server:
        for concurrency in arguments.concurrency:
            alone = engine_rate(engine, concurrency, max_tokens, arguments.warm_up, arguments.seconds)
            for mode in arguments.modes:
                body = {"max_tokens": max_tokens, "temperature": TEMPERATURE, "stream": mode == "streaming"}
                window = server.load(body, concurrency, arguments.warm_up, arguments.seconds)
                cell = Cell(name, concurrency, mode, window, alone)
                cells.append(cell)
                say(
                    f"{name} {mode}, {concurrency} clients: {rate(cell.requests_per_s)} requests/s, "
                    f"{rate(cell.tokens_per_s)} tokens/s, {percent(cell.tokens_per_s / alone)} of the Engine"
                )
    return cells


def render(cells: list[Cell]) -> str:
    """The report in Markdown."""
    rates = table(
        ["model", "clients", "mode", "requests/s", "tokens/s", "Engine", "of Engine", "server CPU", "client CPU",
         "errors"],
        [
            [
                cell.model, str(cell.concurrency), cell.mode, rate(cell.requests_per_s), rate(cell.tokens_per_s),
                rate(cell.engine), percent(cell.tokens_per_s / cell.engine), _time(cell.cpu_us("server")),
                _time(cell.cpu_us("client")), str(sum(cell.window["errors"].values())),
            ]
            for cell in cells
        ],
    )  # fmt: skip
    times = table(
        ["model", "clients", "mode", "request", "first token", "between tokens", "between pieces"],
        [
            [
                cell.model, str(cell.concurrency), cell.mode,
                *(_times(cell.window[key]) for key in ("total_s", "first_token_s", "per_token_s", "gap_s")),
            ]
            for cell in cells
        ],
    )  # fmt: skip
    return "\n\n".join(
        [facts(machine.describe()), "Rates, and CPU per request", rates, "Times: p50 / p95 / p99", times]
    )


def compare_cpu(arguments: argparse.Namespace, model_dir: Path, logs: Path) -> tuple[str, list[dict[str, Any]]]:
    """CPU per request of our server and of the bare endpoint, in turns; the report, and every window."""
    body = {"max_tokens": CPU_TOKENS, "temperature": TEMPERATURE, "num_samples": 1}
    rows, windows = [], []
    command = ["-m", "bench.bare_endpoint"]
    with (
        contextlib.closing(Process(command, SCRIPTS, "listening on", logs / "bare.log")) as bare,
        contextlib.closing(Process([*command, "logging"], SCRIPTS, "listening on", logs / "logging.log")) as logging,
        serving(model_dir, logs, *_UNREACHED) as ours,
    ):
        processes = {"microgpt": ours, "bare FastAPI": bare, "with its log": logging}
        for concurrency in arguments.concurrency:
            found: dict[str, list[float]] = {name: [] for name in processes}
            for _ in range(arguments.repeats):
                for name, process in processes.items():
                    window = process.load(body, concurrency, arguments.warm_up, arguments.seconds)
                    if window["errors"]:
                        raise SystemExit(f"{name} answered with errors: {window['errors']}")
                    windows.append({"server": name, "concurrency": concurrency, **window})
                    found[name].append(1e6 * window["server_cpu_s"] / window["requests"])
            ours_us, bare_us, logging_us = (statistics.median(values) for values in found.values())
            spread = " to ".join(f"{value:.0f}" for value in (min(found["microgpt"]), max(found["microgpt"])))
            rows.append(
                [str(concurrency), f"{ours_us:.0f}", spread, f"{bare_us:.0f}", f"{ours_us / bare_us:.2f}",
                 f"{logging_us:.0f}", f"{ours_us / logging_us:.2f}"]
            )  # fmt: skip
            say(f"{concurrency} clients: {ours_us:.0f}, bare {bare_us:.0f}, with its log {logging_us:.0f} us")
    header = ["clients", "microgpt, µs", "range", "bare FastAPI, µs", "ratio", "with its access log, µs", "ratio"]
    title = f"Server CPU per request, T0, one sample of {CPU_TOKENS} tokens, medians of {arguments.repeats}"
    return "\n\n".join([facts(machine.describe()), title, table(header, rows)]), windows


def write_random_model(shape_name: str, directory: Path) -> Path:
    """A directory with a random model of a shape."""
    checkpoint = random_checkpoint(SHAPES[shape_name], "F32")
    arrays = {name: tensor.widened() for name, tensor in checkpoint.tensors.items()}
    save_checkpoint(directory / shape_name, checkpoint.config, arrays, checkpoint.tokenizer)
    return directory / shape_name


def _time(microseconds: float | None) -> str:
    """834 µs, 12.3 ms."""
    if microseconds is None:
        return "-"
    return f"{microseconds:.0f} µs" if microseconds < 1000 else f"{microseconds / 1000:.3g} ms"


def _times(seconds: list[float]) -> str:
    """Percentiles in seconds or milliseconds."""
    if not seconds:
        return "-"
    factor, unit = (1, "s") if seconds[-1] >= 1 else (1000, "ms")
    return " / ".join(f"{factor * value:.3g}" for value in seconds) + f" {unit}"


def _end(number: int, frame: object) -> NoReturn:
    """SIGTERM ends the benchmark as Ctrl-C does: through what ends its servers."""
    raise SystemExit(128 + number)


def main(argv: list[str] | None = None) -> int:
    """Measure and report."""
    arguments = parse_arguments(argv)
    signal.signal(signal.SIGTERM, _end)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        data: dict[str, Any] = {"machine": machine.describe(), "seconds": arguments.seconds}
        if arguments.cpu_per_request:
            markdown, data["windows"] = compare_cpu(arguments, write_random_model("T0", directory), directory)
        else:
            cells: list[Cell] = []
            if arguments.model_dir is not None:
                cells += measure(arguments, arguments.model_dir.name, arguments.model_dir, directory)
            else:
                for shape in arguments.shapes:
                    cells += measure(arguments, shape, write_random_model(shape, directory), directory)
            markdown, data["tokens"] = render(cells), arguments.tokens
            data["cells"] = [asdict(cell) for cell in cells]
        publish(arguments, markdown, data)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
