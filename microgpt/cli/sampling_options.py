"""The options that `generate` and `chat` share: how to sample, and what to run on."""

import argparse
from typing import Any

from microgpt.params import BOUNDS, Bounds


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--temperature", type=float, default=0.5, metavar="T", help="0 is greedy (default: 0.5)")
    parser.add_argument("--seed", type=int, default=42, metavar="N", help="the same seed, the same text (default: 42)")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="most tokens to sample (default: what fits)")
    parser.add_argument("--top-k", type=int, default=0, metavar="K", help="only the K likeliest tokens (default: all)")
    parser.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        metavar="P",
        help="only the likeliest tokens that reach this probability together (default: 1)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (default: auto)")
    parser.add_argument("--dtype", default="float32", help="of the arithmetic, e.g. float64 (default: float32)")


def sampling_knobs(arguments: argparse.Namespace) -> dict[str, Any]:
    """SamplingParams' arguments, checked before a model is loaded. Raises InvalidRequest."""
    names = ("temperature", "seed", "max_tokens", "top_k", "top_p")
    knobs = {name: getattr(arguments, name) for name in names}
    ranges = BOUNDS | {"max_tokens": Bounds(1)}  # no tokens are no text
    for name, value in knobs.items():
        ranges[name].checked(name, value)
    return knobs
