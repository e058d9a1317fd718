"""Compare the Engine with other engines from PyPI: same shapes, same work, one run, ratios.

Peers have random GPT-2 models of our shapes and run in an environment of their own (--venv), which is made when it is
absent. Prompts, lengths, temperature and batches are those of bench_decode.py, and nothing stops early. Each engine
is a process that keeps its model loaded; the windows go round, ours and each peer's in turn, and medians count. A peer
has several configurations (workers, threads); its best one counts. What fails is reported, and the rest goes on.

    python scripts/bench_peers.py --venv ~/peers                                   # everything: about an hour
    python scripts/bench_peers.py --venv ~/peers --shapes T1 --batches 1,8 --seconds 1 --repeats 1
    python scripts/bench_peers.py --venv ~/peers --peers ctranslate2 --ours numba:float32,numba:int8 --json peers.json
    python scripts/bench_peers.py --venv ~/peers --peers ctranslate2,llama-cpp     # builds llama.cpp from source
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import machine, peer_environment
from bench.report import add_output_options, count, facts, positive, publish, rate, say, table
from bench.shapes import BACKENDS, BATCHES, DTYPES, PREFILL_TOKENS, SHAPES, Shape, names_of
from bench.worker import Sample, Worker, WorkerError

OURS = "microgpt"
PEERS = ("ctranslate2", "openvino", "transformers", "llama-cpp")
PREFILL = "prefill"
_WARM_UP_S = 0.5


@dataclass(frozen=True, slots=True)
class Contender:
    """One engine in one configuration."""

    engine: str  # OURS, or one of PEERS
    precision: str
    configuration: str
    module: str
    python: str
    task: Mapping[str, Any]
    environment: Mapping[str, str] = field(default_factory=dict)
    largest_batch: int = sys.maxsize

    @property
    def name(self) -> str:
        return f"{self.engine} {self.precision} {self.configuration}"


@dataclass(slots=True)
class Score:
    """What a contender did at one load: a batch size, or PREFILL. Either rates or an error."""

    shape: str
    load: str
    contender: Contender
    rates: list[float] = field(default_factory=list)
    error: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.rates) if self.rates and not self.error else None


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line's options, lists as lists."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, required=True, help="the peers' environment; their models go there, too")
    parser.add_argument(
        "--ours", default="numba:float32,numba:bfloat16,numba:int8,numba:w8a8", help="default %(default)s"
    )
    parser.add_argument("--peers", default=",".join(PEERS[:3]), help=f"some of {','.join(PEERS)} (default %(default)s)")
    parser.add_argument("--shapes", default=",".join(SHAPES), help="default %(default)s")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)), help="default %(default)s")
    parser.add_argument("--seconds", type=positive, default=2.0, help="least length of a window (default %(default)s)")
    parser.add_argument("--repeats", type=count, default=3, help="windows per number; medians count (default 3)")
    parser.add_argument("--time-limit", type=positive, default=180.0, help="seconds for a window (default %(default)s)")
    parser.add_argument("--static", action="store_true", help="OpenVINO also with static batches, which are slower")
    parser.add_argument("--no-prefill", action="store_true", help=f"leave out prompts of {PREFILL_TOKENS}")
    add_output_options(parser)
    arguments = parser.parse_args(argv)
    try:
        arguments.peers = names_of(arguments.peers, PEERS, "--peers")
        known = [f"{backend}:{dtype}" for backend in BACKENDS for dtype in DTYPES]
        arguments.ours = names_of(arguments.ours, known, "--ours")
        arguments.shapes = [SHAPES[name] for name in names_of(arguments.shapes, list(SHAPES), "--shapes")]
        arguments.batches = [count(batch) for batch in arguments.batches.split(",")]
    except (ValueError, argparse.ArgumentTypeError) as error:
        parser.error(str(error))
    arguments.venv = arguments.venv.expanduser().resolve()
    return arguments


def contenders(arguments: argparse.Namespace, python: Path, shape: Shape) -> list[Contender]:
    """All that take part, ours first."""
    found = []
    for name in arguments.ours:
        backend, dtype = name.split(":")
        task = {"shape": shape.name, "backend": backend, "dtype": dtype}
        found.append(Contender(OURS, dtype, backend, "bench.our_worker", sys.executable, task))
    models = str(arguments.venv / "bench-models")
    cores = machine.num_cores()
    for peer, precision, configuration, options in _peer_configurations(cores, arguments.static):
        if peer in arguments.peers:
            task = {"shape": shape.name, "peer": peer, "precision": precision, "models": models, **options}
            # By itself ctranslate2 may take AVX2 where the processor has AVX-512.
            environment = {"CT2_FORCE_CPU_ISA": "AVX512"} if peer == "ctranslate2" and machine.has_avx512() else {}
            largest_batch = 1 if peer == "llama-cpp" else sys.maxsize  # its Python side runs one sequence at a time
            module = "bench.peer_worker"
            found.append(
                Contender(peer, precision, configuration, module, str(python), task, environment, largest_batch)
            )
    return found


def _peer_configurations(cores: int, static: bool) -> Iterable[tuple[str, str, str, dict[str, Any]]]:
    """(peer, precision, configuration in words, options of its worker)."""
    splits = [(1, cores), (cores, 1)] if cores > 1 else [(1, 1)]
    for precision in ("float32", "int8"):
        for workers, threads in splits:
            words = f"{workers}x{threads}"  # workers x threads
            yield "ctranslate2", precision, words, {"workers": workers, "threads": threads}
    for precision in ("float32", "bfloat16", "int8"):
        for threads in sorted({cores, 1}, reverse=True):
            yield "openvino", precision, f"1x{threads}", {"threads": threads, "attention": "paged"}
        if static:
            yield "openvino", precision, f"1x{cores} static", {"threads": cores, "attention": "sdpa"}
    yield "transformers", "float32", f"1x{cores}", {"threads": cores}
    for precision in ("float32", "int8"):
        yield "llama-cpp", precision, f"1x{cores}", {"threads": cores}


def run_shape(arguments: argparse.Namespace, shape: Shape, everyone: list[Contender]) -> list[Score]:
    """Every load of a shape for all contenders, their windows taken in turn."""
    workers: dict[str, Worker] = {}
    errors: dict[str, str] = {}
    scores: list[Score] = []
    try:
        for contender in everyone:
            say(f"{shape.name}: starting {contender.name}")
            try:
                workers[contender.name] = Worker(
                    contender.python, contender.module, contender.task, contender.environment, arguments.time_limit
                )
            except WorkerError as error:
                errors[contender.name] = str(error)
                say(f"  failed: {error}")
        for batch in arguments.batches:
            scores += _run_load(
                arguments, shape, str(batch), batch, everyone, workers, errors, lambda w, s, b=batch: w.decode(b, s)
            )
        if shape.has_prefill and not arguments.no_prefill:
            scores += _run_load(arguments, shape, PREFILL, 1, everyone, workers, errors, lambda w, s: w.prefill(s))
    finally:
        for worker in workers.values():
            worker.close()
    return scores


def _run_load(
    arguments: argparse.Namespace,
    shape: Shape,
    load: str,
    batch: int,
    everyone: list[Contender],
    workers: dict[str, Worker],
    errors: dict[str, str],
    measure: Callable[[Worker, float], Sample],
) -> list[Score]:
    """Scores of one load. A contender that fails leaves `workers`, its reason stays in `errors`."""
    scores = {c.name: Score(shape.name, load, c, error=errors.get(c.name, "")) for c in everyone}

    def attempt(name: str, action: Callable[[Worker], Sample | None]) -> Sample | None:
        if name not in workers:
            return None
        try:
            return action(workers[name])
        except WorkerError as error:
            del workers[name]
            errors[name] = scores[name].error = str(error)
            say(f"{shape.name} {load}: {name} failed: {error}")
            return None

    names = [c.name for c in everyone if batch <= c.largest_batch]
    for name in names:
        attempt(name, lambda worker: worker.start(batch))
    for name in names:
        attempt(name, lambda worker: measure(worker, _WARM_UP_S))
    for _ in range(arguments.repeats):
        for name in names:
            sample = attempt(name, lambda worker: measure(worker, arguments.seconds))
            if sample is not None:
                scores[name].rates.append(sample.rate)
    for score in scores.values():
        if score.median is not None:
            say(f"{shape.name} {load}: {score.contender.name} {rate(score.median)} tokens/s")
    return list(scores.values())


def best(scores: Iterable[Score], ours: bool, precision: str | None) -> Score | None:
    """The fastest of ours or of the peers', of one precision or of any."""
    fitting = [
        score
        for score in scores
        if score.median is not None
        and (score.contender.engine == OURS) == ours
        and precision in (None, score.contender.precision)
    ]
    return max(fitting, key=lambda score: score.median or 0.0, default=None)


def ratio_rows(scores: list[Score]) -> list[dict[str, Any]]:
    """For each shape, load and precision class: our best, the peers' best, and their ratio."""
    rows = []
    for shape, load in dict.fromkeys((score.shape, score.load) for score in scores):
        group = [score for score in scores if (score.shape, score.load) == (shape, load)]
        for precision in ("float32", None):
            mine, theirs = best(group, True, precision), best(group, False, precision)
            my_speed, their_speed = mine and mine.median, theirs and theirs.median
            rows.append(
                {
                    "shape": shape,
                    "load": load,
                    "precision": precision or "any",
                    "ours": mine and mine.contender.name,
                    "ours_tokens_per_s": my_speed,
                    "peer": theirs and theirs.contender.name,
                    "peer_tokens_per_s": their_speed,
                    "ratio": my_speed / their_speed if my_speed and their_speed else None,
                }
            )
    return rows


def render(scores: list[Score], versions: Mapping[str, str]) -> str:
    """The report in Markdown: ratios, then everything, then what failed."""
    parts = [facts(machine.describe()), facts(versions), "Our best against the best peer, tokens/s"]
    header = ["shape", "load", "precision", "ours", "tokens/s", "best peer", "tokens/s", "ratio"]
    rows = [
        [
            row["shape"],
            _load_words(row["load"]),
            row["precision"],
            (row["ours"] or "-").removeprefix(f"{OURS} "),
            rate(row["ours_tokens_per_s"]),
            row["peer"] or "-",
            rate(row["peer_tokens_per_s"]),
            f"{row['ratio']:.2f}" if row["ratio"] else "-",
        ]
        for row in ratio_rows(scores)
    ]
    parts += [table(header, rows), "Every configuration (workers x threads), tokens/s"]
    loads = list(dict.fromkeys((score.shape, score.load) for score in scores))
    names = list(dict.fromkeys(score.contender.name for score in scores))
    found = {(score.contender.name, score.shape, score.load): score for score in scores}
    header = ["engine", *(f"{shape} {_load_words(load)}" for shape, load in loads)]
    parts.append(table(header, [[name, *(_cell(found.get((name, *load))) for load in loads)] for name in names]))
    failures = dict.fromkeys(f"- {s.shape} {s.contender.name}: {s.error}" for s in scores if s.error)
    if failures:
        parts += ["Failed", "\n".join(failures)]
    return "\n\n".join(parts)


def _load_words(load: str) -> str:
    return PREFILL if load == PREFILL else f"batch {load}"


def _cell(score: Score | None) -> str:
    return "-" if score is None else "failed" if score.error else rate(score.median)


def main(argv: list[str] | None = None) -> int:
    """Measure, report, return the exit code: 1 if no ratio could be formed."""
    arguments = parse_arguments(argv)
    python = peer_environment.ensure(arguments.venv, "llama-cpp" in arguments.peers)
    scores: list[Score] = []
    for shape in arguments.shapes:
        scores += run_shape(arguments, shape, contenders(arguments, python, shape))
    versions = peer_environment.versions(python)
    data = {
        "machine": machine.describe(),
        "peers": versions,
        "seconds": arguments.seconds,
        "ratios": ratio_rows(scores),
        "scores": [
            {
                "shape": score.shape,
                "load": score.load,
                "engine": score.contender.engine,
                "precision": score.contender.precision,
                "configuration": score.contender.configuration,
                "tokens_per_s": score.rates,
                "median": score.median,
                "error": score.error,
            }
            for score in scores
        ],
    }
    publish(arguments, render(scores, versions), data)
    return 0 if any(row["ratio"] for row in data["ratios"]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
