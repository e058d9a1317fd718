"""`microgpt train`: text or conversations -> a model directory."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from microgpt.cli.interrupt import noted
from microgpt.errors import DataError
from microgpt.training.settings import CHAT_DEFAULTS, DEVICES, DTYPES, OPTIMIZERS, PLAIN_DEFAULTS, TrainSettings

if TYPE_CHECKING:
    from rich.progress import Progress

    from microgpt.training.run import History, Prepared

SUMMARY = "train a model from text files or conversations"
DESCRIPTION = """\
Train a model and write it to a directory that `microgpt` and the server can load.

Plain text has one document a line. With --chat, each line is a JSON list of turns,
{"role": "user" or "assistant", "content": "..."}.

Ctrl-C (or SIGTERM) saves the run; the same command with --resume goes on with it."""
EXAMPLES = """\
examples:
  microgpt train --input names.txt --output names
  microgpt train --chat --input chat.jsonl --output my-chat --dtype bfloat16
  microgpt train --chat --input mine.jsonl --init my-chat --output mine --lr 5e-4 --steps 500
  microgpt train --chat --input chat.jsonl --output my-chat --dtype bfloat16 --resume
  microgpt train --input poems.txt --output poems --tokenizer bpe --vocab-size 2048 \\
      --n-embd 128 --n-layer 4 --steps 10000 --checkpoint-every 1000

The run and its losses are recorded in OUTPUT/training.json, and drawn in OUTPUT/loss.png where matplotlib is
installed (pip install -e ".[plot]" in a clone)."""
PLAIN_LINE_EVERY_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    def default(name: str) -> str:
        plain, chat = PLAIN_DEFAULTS.get(name), CHAT_DEFAULTS.get(name)
        return f"default: {plain}, with --chat {chat}"

    data = parser.add_argument_group("data")
    data.add_argument("--input", nargs="+", type=Path, required=True, metavar="FILE", help="UTF-8 text or JSONL files")
    data.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the model goes")
    data.add_argument("--overwrite", action="store_true", help="replace a model or an unfinished run in OUTPUT")
    data.add_argument("--chat", action="store_true", help="the input is conversations")
    data.add_argument("--tokenizer", choices=("char", "bpe"), help=default("tokenizer"))
    data.add_argument("--vocab-size", type=int, metavar="N", help="most ids of a bpe tokenizer (default: 1024)")
    data.add_argument(
        "--init",
        type=Path,
        metavar="DIR",
        help="start from this model's weights, with its tokenizer and sizes (default: random weights)",
    )
    data.add_argument("--skip-long", action="store_true", help="leave out documents longer than the block")
    data.add_argument(
        "--held-out",
        type=float,
        default=0.05,
        metavar="F",
        help="share of the documents kept for the held-out loss, about 500 at most (default: 0.05)",
    )
    data.add_argument(
        "--loss-on",
        choices=("all", "mixed", "assistant"),
        default="all",
        help="learn to predict everything, only what an assistant says, or that and a fifth of the rest (default: all)",
    )

    model = parser.add_argument_group("model")
    model.add_argument("--n-embd", type=int, metavar="N", help=f"width ({default('n_embd')})")
    model.add_argument("--n-head", type=int, metavar="N", help=f"attention heads ({default('n_head')})")
    model.add_argument("--n-layer", type=int, metavar="N", help=f"layers ({default('n_layer')})")
    model.add_argument(
        "--block-size",
        type=int,
        metavar="N",
        help="context in tokens (default: fits the longest line, at most 256; with --chat 512)",
    )
    model.add_argument("--half", action="store_true", help="store the weights as float16, half the size")

    run = parser.add_argument_group("run")
    run.add_argument("--batch-size", type=int, metavar="N", help=f"documents a step ({default('batch_size')})")
    run.add_argument("--steps", type=int, metavar="N", help=f"optimiser steps ({default('steps')})")
    run.add_argument("--lr", type=float, help=f"highest learning rate ({default('lr')})")
    run.add_argument(
        "--warmup-steps",
        type=int,
        metavar="N",
        help=f"steps to reach it; it then falls to zero ({default('warmup_steps')}, at most steps / 10)",
    )
    run.add_argument(
        "--optimizer",
        choices=OPTIMIZERS,
        help=f"muon is Muon for the blocks' matrices and AdamW for the rest ({default('optimizer')})",
    )
    run.add_argument("--weight-decay", type=float, default=0.1, metavar="F", help="of the optimizer (default: 0.1)")
    run.add_argument("--clip", type=float, default=1.0, metavar="F", help="largest gradient norm (default: 1.0)")
    run.add_argument("--seed", type=int, default=0, help="of weights, data order and split (default: 0)")
    run.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="of matrix products; weights stay float32. bfloat16 is faster on CPUs with AMX and on GPUs",
    )
    run.add_argument("--device", choices=DEVICES, default="auto", help="auto is cuda where there is one (default)")
    run.add_argument(
        "--threads", type=int, metavar="N", help="CPU threads (default: all cores, or one where more do not help)"
    )
    run.add_argument("--eval-every", type=int, metavar="N", help="steps between held-out losses (default: steps / 20)")
    run.add_argument("--checkpoint-every", type=int, metavar="N", help="save a resumable state every N steps")
    run.add_argument(
        "--resume",
        action="store_true",
        help="go on with the run in OUTPUT; data and settings must be as they were, --steps included",
    )
    run.add_argument("--keep-state", action="store_true", help="keep training_state.pt after the last step")


def run(arguments: argparse.Namespace) -> int:
    values = vars(arguments)
    settings = TrainSettings(
        **{field.name: values[field.name] for field in fields(TrainSettings) if field.name != "input"},
        input=tuple(arguments.input),
    )
    if settings.init is None:
        settings.completed()  # complain about settings before torch is imported
    from microgpt.training.run import holds_model, train
    from microgpt.training.state import STATE

    obstacle = None if arguments.resume or arguments.overwrite else holds_model(settings)
    if obstacle:
        raise DataError(obstacle)
    with noted(signal.SIGINT, signal.SIGTERM, then=_say_stopping) as wish, _console() as console:
        history = train(settings, console, lambda: wish.is_made, arguments.resume)
    if history is None:
        assert wish.number is not None
        print(f"stopped; the same command with --resume goes on from {settings.output / STATE}")
        return 128 + wish.number
    print(_summary(settings, history))
    return 0


def _say_stopping() -> None:
    print("stopping after this step ...", file=sys.stderr, flush=True)


def _summary(settings: TrainSettings, history: "History") -> str:
    recent = history.losses[-100:]
    losses = f"loss {sum(recent) / len(recent):.4f} over the last {len(recent)} steps"
    hint = ""
    if history.held_out:
        final = history.held_out[-1][1]
        losses += f", held out {final:.4f}"
        best_step, best = min(history.held_out, key=lambda pair: pair[1])
        if best < 0.98 * final:  # learned by heart: less of it would have been more
            hint = f"note:      held out was {best:.4f} after {best_step} steps; fewer --steps may be better\n"
    command = "chat" if settings.chat else "generate"
    return (
        f"done in {_clock(history.seconds)}: {losses} (nats per token), {history.tokens_per_s:,.0f} tokens/s\n{hint}"
        f"try it:    microgpt {command} {settings.output}\n"
        f"serve it:  python -m serve --model-dir {settings.output}"
    )


@contextmanager
def _console() -> Iterator["_Lines"]:
    """A progress bar on a terminal, a line every few seconds elsewhere."""
    if not sys.stdout.isatty():
        yield _Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(None), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns) as progress:
        yield _Bar(progress)


class _Lines:
    """Watches a run and prints plain lines."""

    def __init__(self) -> None:
        self._steps = 0
        self._recent: list[tuple[float, int, int]] = []  # (time, steps done, tokens run), newest last
        self._printed_at = time.monotonic()

    def prepared(self, run: "Prepared", steps_done: int) -> None:
        self._steps = run.settings.steps or 0
        config, settings = run.config, run.settings
        for name, count in run.counts.items():
            if count:
                self.say(f"{name}: {count:,}")
        self.say(
            f"model: {config.num_parameters:,} parameters, vocab {config.vocab_size} ({settings.tokenizer}), "
            f"n_embd {config.n_embd}, n_head {config.n_head}, n_layer {config.n_layer}, block {config.block_size}"
        )
        self.say(f"run: {self._steps} steps of {settings.batch_size} documents, {settings.dtype} on {run.device}")
        if steps_done:
            self.say(f"resumed after step {steps_done}")

    def stepped(self, history: "History") -> None:
        now, done = time.monotonic(), len(history.losses)
        self._recent.append((now, done, history.num_tokens))
        del self._recent[:-100]
        self.show(history, now)

    def show(self, history: "History", now: float) -> None:
        if now - self._printed_at < PLAIN_LINE_EVERY_S and len(history.losses) < self._steps:
            return
        self._printed_at = now
        pace = self.pace()
        left = (self._steps - len(history.losses)) / pace[1] if pace[1] else 0.0
        self.say(f"step {len(history.losses)}/{self._steps}: {self.numbers(history)}, {_clock(left)} left")

    def numbers(self, history: "History") -> str:
        recent = history.losses[-20:]
        text = f"loss {sum(recent) / len(recent):.4f}"
        if history.held_out:
            text += f", held out {history.held_out[-1][1]:.4f}"
        return f"{text}, {self.pace()[0]:,.0f} tokens/s"

    def pace(self) -> tuple[float, float]:
        """(tokens, steps) a second over the last steps; zeros at first."""
        (begin, first, tokens), (end, last, more) = self._recent[0], self._recent[-1]
        if end <= begin:
            return 0.0, 0.0
        return (more - tokens) / (end - begin), (last - first) / (end - begin)

    def evaluated(self, history: "History") -> None:
        """Nothing by itself: the next line shows the new held-out loss."""

    def saved(self, steps_done: int) -> None:
        self.say(f"saved after step {steps_done}")

    def say(self, line: str) -> None:
        print(line, flush=True)


class _Bar(_Lines):
    """Watches a run and draws a progress bar on a terminal."""

    def __init__(self, progress: "Progress") -> None:
        super().__init__()
        self._progress = progress
        self._task = progress.add_task("reading the data", total=None)

    def prepared(self, run: "Prepared", steps_done: int) -> None:
        super().prepared(run, steps_done)
        self._progress.reset(self._task, total=self._steps, completed=steps_done, description="first steps")

    def show(self, history: "History", now: float) -> None:
        self._progress.update(self._task, completed=len(history.losses), description=self.numbers(history))

    def saved(self, steps_done: int) -> None:
        """A line per save would push the bar down the screen; only the end of a run is announced."""

    def say(self, line: str) -> None:
        self._progress.console.print(line, highlight=False, markup=False)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
