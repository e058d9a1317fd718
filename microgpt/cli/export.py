"""`microgpt export`: copy a model directory, with the weights in another precision."""

import argparse
from pathlib import Path
from typing import Any

from microgpt.checkpoint import META, WEIGHTS, Checkpoint, check_writable, load_checkpoint, save_checkpoint
from microgpt.errors import DataError

SUMMARY = "copy a model, as float16 with --half"
DESCRIPTION = """\
Copy a model directory: the checked weights, meta.json and the tokenizer, nothing else.

With --half the weights become float16, half the size of float32; without, float32."""
EXAMPLES = """\
examples:
  microgpt export --half my-chat output
  microgpt export output elsewhere"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SRC", help="the model directory to read")
    parser.add_argument("target", type=Path, metavar="DST", help="the directory to write; it must not hold a model yet")
    parser.add_argument("--half", action="store_true", help="store the weights as float16")


def run(arguments: argparse.Namespace) -> int:
    source, target = arguments.source, arguments.target
    checkpoint = load_checkpoint(source)
    if (target / META).exists() or (target / WEIGHTS).exists():
        raise DataError(f"{target} already holds a model: choose another DST, or remove it first")
    check_writable(target, "DST")
    arrays = {name: tensor.widened() for name, tensor in checkpoint.tensors.items()}
    save_checkpoint(
        target, checkpoint.config, arrays, checkpoint.tokenizer, "F16" if arguments.half else "F32", _extra(checkpoint)
    )
    before, after = ((path / WEIGHTS).stat().st_size / 1e6 for path in (source, target))
    print(f"{target}: {before:.2f} MB of {checkpoint.stored_dtype} became {after:.2f} MB")
    return 0


def _extra(checkpoint: Checkpoint) -> dict[str, Any]:
    """The keys of meta.json that save_checkpoint does not write by itself."""
    known = {"vocab_size", "n_embd", "n_head", "n_layer", "block_size", *checkpoint.tokenizer.meta()}
    return {name: value for name, value in checkpoint.meta.items() if name not in known}
