"""Draw what scripts/bench_peers.py found: our speed over the best peer's, by shape and load.

  python scripts/bench_peers.py --venv peers --json peers.json
  python scripts/plot_peers.py peers.json --output docs/performance.png

Several files may be given, of different shapes. Needs matplotlib: pip install -e '.[plot]'.
"""

import argparse
import json
from pathlib import Path
from typing import Any

COLOURS = {"float32": "#3465a4", "any": "#f57900"}
LABELS = {"float32": "float32 against float32", "any": "best precision against best precision"}


def ratios(paths: list[Path]) -> list[dict[str, Any]]:
    """The rows that have a ratio, of all files, by shape; a later file replaces what an earlier one says."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for path in paths:
        for row in json.loads(path.read_text("utf-8"))["ratios"]:
            if row["ratio"]:
                rows[row["shape"], row["load"], row["precision"]] = row
    order = {"1": 0, "8": 1, "32": 2}
    return sorted(rows.values(), key=lambda row: (row["shape"], order.get(row["load"], 3)))


def draw(rows: list[dict[str, Any]], output: Path) -> None:
    """A bar for each ratio, on a logarithmic axis whose line at 1 is the best peer."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    places = list(dict.fromkeys((row["shape"], row["load"]) for row in rows))
    figure, axes = plt.subplots(figsize=(10, 4), constrained_layout=True)
    for offset, (precision, colour) in zip((-0.2, 0.2), COLOURS.items(), strict=True):
        found = {(row["shape"], row["load"]): row["ratio"] for row in rows if row["precision"] == precision}
        at = [i for i, place in enumerate(places) if place in found]
        heights = [found[places[i]] for i in at]
        axes.bar(
            [i + offset for i in at], [h - 1 for h in heights], 0.4, bottom=1, color=colour, label=LABELS[precision]
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator([0.5, 0.75, 1, 1.5, 2, 3, 4]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.axhline(1, color="black", linewidth=1)
    axes.grid(axis="y", linewidth=0.5, alpha=0.5)
    axes.set_xticks(range(len(places)), [f"{shape}\n{load}" for shape, load in places])
    axes.set_xlabel("shape, batch (or a prompt of 512)")
    axes.set_ylabel("microgpt over the best peer, tokens/s")
    axes.legend()
    figure.savefig(output, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="what bench_peers.py --json wrote")
    parser.add_argument("--output", type=Path, required=True, metavar="PNG", help="where the picture goes")
    arguments = parser.parse_args()
    rows = ratios(arguments.files)
    if not rows:
        parser.error("no ratio in these files")
    draw(rows, arguments.output)
    print(f"{len(rows)} ratios drawn to {arguments.output}")


if __name__ == "__main__":
    main()
