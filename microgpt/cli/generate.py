"""`microgpt generate`: samples from a model, from nothing or from the beginning of a text."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from microgpt.cli.sampling_options import add_sampling_options, sampling_knobs
from microgpt.errors import InvalidRequest
from microgpt.params import SamplingParams
from microgpt.request import Failed, Finished, GenerationRequest, TokenEvent
from microgpt.text_stream import WHITE_SPACE

if TYPE_CHECKING:
    from microgpt.engine import Engine

SUMMARY = "print samples"
DESCRIPTION = """\
Print samples of a model: whole documents, begun from nothing or from --prompt.

Sample i is drawn with seed + i, as the server's /microgpt/v1/generate does: the same command prints the same text."""
EXAMPLES = """\
examples:
  microgpt generate names -n 10 --temperature 0.8
  microgpt generate names --prompt mar --seed 7
  microgpt generate output -n 1 --max-tokens 100 --top-k 40"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="DIR", help="the model directory")
    parser.add_argument("-n", "--num-samples", type=int, default=5, metavar="N", help="how many (default: 5)")
    parser.add_argument("--prompt", default="", metavar="TEXT", help="what every sample begins with (default: nothing)")
    add_sampling_options(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.num_samples < 1:
        raise InvalidRequest(f"num_samples must be >= 1, got {arguments.num_samples}")
    knobs = sampling_knobs(arguments)
    from microgpt.engine import load

    engine = load(arguments.model, device=arguments.device, dtype=arguments.dtype)
    tokenizer = engine.tokenizer
    unknown = sorted({char for char in arguments.prompt if not tokenizer.encode(char)})
    if unknown:
        print(f"not in the model's vocabulary, and skipped: {' '.join(unknown)}", file=sys.stderr)
    prompt = (tokenizer.bos, *tokenizer.encode(arguments.prompt))
    special_text = {tokenizer.chat.end_turn: "\n"} if tokenizer.chat else {}
    params = SamplingParams(**knobs, stop_token_ids=(tokenizer.bos,))
    engine.add(GenerationRequest("samples", prompt, params, special_text, arguments.num_samples))
    _print_in_order(engine, arguments.num_samples, arguments.prompt)
    return 0


def _print_in_order(engine: "Engine", num_samples: int, prompt: str) -> None:
    """Run the engine dry; print each sample as soon as it and all before it are complete."""
    texts = [prompt] * num_samples
    complete = [False] * num_samples
    printed = 0
    while engine.has_work:
        for event in engine.step():
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Finished):
                complete[event.index] = True
            elif isinstance(event, TokenEvent):
                texts[event.index] += event.text
        while printed < num_samples and complete[printed]:
            text = texts[printed].strip(WHITE_SPACE)
            # Samples of several lines are told apart by an empty one.
            print(text + "\n" if "\n" in text else text, flush=True)
            printed += 1
