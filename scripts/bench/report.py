"""Markdown tables, and where they go: standard output, and files when asked for."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def say(message: str) -> None:
    """Progress, on stderr."""
    print(message, file=sys.stderr, flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, its columns aligned; the first is text, the others are numbers."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * w if i == 0 else "-" * (w - 1) + ":") for i, w in enumerate(widths)]
    return "\n".join(line(row) for row in (header, rule, *rows))


def rate(tokens_per_s: float | None) -> str:
    """1234567 -> 1.23M, 23456 -> 23.5k, 345.6 -> 346; None -> a dash."""
    if tokens_per_s is None:
        return "-"
    for factor, unit in ((1e6, "M"), (1e3, "k")):
        if tokens_per_s >= factor:
            return (
                f"{tokens_per_s / factor:.3g}{unit}"
                if tokens_per_s < 100 * factor
                else f"{tokens_per_s / factor:.0f}{unit}"
            )
    return f"{tokens_per_s:.3g}"


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def facts(machine: Mapping[str, Any]) -> str:
    """`key: value` pairs on a line, for the head of a report."""
    return "; ".join(f"{key} {value}" for key, value in machine.items())


def add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measurement to FILE")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables to FILE, too")


def publish(arguments: argparse.Namespace, markdown: str, data: Mapping[str, Any]) -> None:
    """Print the tables; write the files that were asked for."""
    print(markdown)
    if arguments.markdown:
        arguments.markdown.write_text(markdown + "\n", "utf-8")
    if arguments.json:
        arguments.json.write_text(json.dumps(data, indent=1) + "\n", "utf-8")


def positive(text: str) -> float:
    """An option's value that must be above 0."""
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"must be > 0, got {text}")
    return value


def count(text: str) -> int:
    """An option's value that must be a whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be >= 1, got {text}")
    return value
