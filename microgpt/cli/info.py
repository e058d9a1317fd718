"""`microgpt info`: the card of a model directory, without running it."""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from microgpt.checkpoint import WEIGHTS, Checkpoint, load_checkpoint
from microgpt.tokenizers import Tokenizer

SUMMARY = "show what is in a model directory"
DESCRIPTION = (
    "Check a model directory and show its card: sizes, tokenizer, special tokens, and with --tensors the weights."
)
EXAMPLES = """\
examples:
  microgpt info output
  microgpt info output --tensors"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="DIR", help="the model directory")
    parser.add_argument("--tensors", action="store_true", help="also list every tensor: shape, dtype, range")


def run(arguments: argparse.Namespace) -> int:
    checkpoint = load_checkpoint(arguments.model)
    for name, value in _card(checkpoint).items():
        print(f"{name:<15} {value}")
    if arguments.tensors:
        print()
        Console(highlight=False, markup=False).print(_tensors(checkpoint))
    return 0


def _card(checkpoint: Checkpoint) -> dict[str, str]:
    config, tokenizer = checkpoint.config, checkpoint.tokenizer
    size = (checkpoint.path / WEIGHTS).stat().st_size
    return {
        "model": str(checkpoint.path),
        "parameters": f"{config.num_parameters:,}",
        "sizes": f"n_embd {config.n_embd}, n_head {config.n_head}, n_layer {config.n_layer}",
        "context": f"{config.block_size} tokens",
        "weights": f"{checkpoint.stored_dtype}, {size / 1e6:.2f} MB on disk",
        "chat": "yes" if checkpoint.is_chat else "no",
        "tokenizer": f"{_tokenizer_kind(checkpoint)}, {config.vocab_size} ids",
        "special tokens": _special_tokens(tokenizer),
    }


def _tokenizer_kind(checkpoint: Checkpoint) -> str:
    """What --tokenizer would have been: characters, or byte-level BPE."""
    return "characters" if "chars" in checkpoint.meta else "byte-level BPE"


def _special_tokens(tokenizer: Tokenizer) -> str:
    return ", ".join(f"{tokenizer.token_name(i)} = {i}" for i in sorted(tokenizer.special_ids))


def _tensors(checkpoint: Checkpoint) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("tensor")
    table.add_column("shape")
    table.add_column("dtype")
    for name in ("least", "greatest", "std"):
        table.add_column(name, justify="right")
    for name in checkpoint.config.tensor_shapes():
        tensor = checkpoint.tensors[name]
        values = tensor.widened()
        numbers = (values.min(), values.max(), np.std(values, dtype=np.float64))
        shape = " x ".join(map(str, values.shape))
        table.add_row(name, shape, tensor.dtype, *(f"{number:.4f}" for number in numbers))
    return table
