"""One training run, from files to a model directory, resumable at any step."""

import ctypes
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from microgpt.checkpoint import META, WEIGHTS, check_writable, load_checkpoint, save_checkpoint
from microgpt.config import ModelConfig
from microgpt.errors import DataError
from microgpt.tokenizers import Tokenizer
from microgpt.tokenizers.bpe import FILE as BPE_FILE
from microgpt.training import corpus
from microgpt.training.settings import MAX_AUTO_BLOCK_SIZE, TrainSettings
from microgpt.training.state import STATE, read_state, save_state
from microgpt.training.trainer import Trainer

RECORD = "training.json"
_MIN_SHARD_WORK = 5e8  # parameters * tokens


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a run is made of once the data is read: settings complete, sizes known."""

    settings: TrainSettings
    config: ModelConfig
    tokenizer: Tokenizer
    training: corpus.Documents
    held_out: corpus.Documents
    counts: dict[str, int]
    device: str


@dataclass
class History:
    """What has happened so far; mutable, kept in the state file and in training.json.

    losses: one a step. held_out: (steps done, loss). seconds: time in training, evaluation and saving included,
    across interruptions. num_tokens: document tokens run.
    """

    losses: list[float]
    held_out: list[tuple[int, float]]
    seconds: float = 0.0
    num_tokens: int = 0

    @property
    def tokens_per_s(self) -> float:
        return self.num_tokens / self.seconds if self.seconds else 0.0


class Observer(Protocol):
    """Who watches a run: the command line, a test."""

    def prepared(self, run: Prepared, steps_done: int) -> None: ...
    def stepped(self, history: History) -> None: ...
    def evaluated(self, history: History) -> None: ...
    def saved(self, steps_done: int) -> None: ...


def train(
    settings: TrainSettings, observer: Observer, should_stop: Callable[[], bool], resume: bool = False
) -> History | None:
    """Train as `settings` say and write the model directory; None when `should_stop` ended it early.

    should_stop is asked before every step; the run is then left resumable in settings.output. resume goes on with
    such a run. The directory ends with weights, meta.json, tokenizer files, training.json and, where matplotlib is
    installed, loss.png. Raises DataError for data, settings or a state that cannot be used, NumericalError when the
    loss stops being a number (the last saved state is kept).
    """
    start = load_checkpoint(settings.init) if settings.init else None
    settings = (settings.like(start) if start else settings).completed()
    # Read before the data is read, so that a mistaken --resume fails at once.
    state = _read_state(settings.output) if resume else None
    run = prepare(settings, start.tokenizer if start else None)
    check_writable(settings.output, "output")
    _keep_freed_memory()  # only now: what reading the data took can go back to the system
    threads = settings.threads or _num_threads(run)
    trainer = Trainer(run.config, run.settings, run.training, run.held_out, run.device, threads)
    if start is not None:
        trainer.model.load_arrays({name: tensor.widened() for name, tensor in start.tensors.items()})
    data = corpus.fingerprint(run.training, run.held_out)
    history = History([], [])
    if state is not None:
        _check_same_run(run.settings, data, state)
        trainer.load_state(state)
        history = History(**state["history"])
    observer.prepared(run, trainer.next_step)

    def save() -> None:
        values = {"settings": run.settings.to_json(), "data": data, "history": _as_dict(history)}
        save_state(settings.output, trainer.state() | values)
        _save_model(run, trainer)
        observer.saved(trainer.next_step)

    try:
        if not _loop(run.settings, trainer, history, observer, should_stop, save):
            return None
    finally:
        trainer.close()
    _finish(run, trainer, history)
    return history


def prepare(settings: TrainSettings, tokenizer: Tokenizer | None = None) -> Prepared:
    """Read the data, learn the tokenizer unless one is given, encode, split and size the model. settings: completed."""
    counts: Counter[str] = Counter()
    read = corpus.read_conversations if settings.chat else corpus.read_texts
    examples: list[corpus.Example] = list(read(settings.input, counts))
    if not examples:
        kind = "conversation with an assistant turn" if settings.chat else "non-empty line"
        raise DataError(f"{', '.join(map(str, settings.input))}: no {kind} to train on")
    assert settings.tokenizer
    if tokenizer is None:
        tokenizer = corpus.learn_tokenizer(examples, settings.tokenizer, settings.vocab_size, settings.chat)
    sides = corpus.split_held_out(examples, settings.held_out, settings.seed)

    def encode(block_size: int | None, counts: Counter[str]) -> list[corpus.Documents]:
        how = (block_size, settings.skip_long, settings.loss_on)
        return [corpus.encode_examples(side, tokenizer, *how, counts) for side in sides]

    block_size = settings.block_size
    if block_size is None:  # plain text: as long as the longest line, within reason
        longest = max(documents.longest for documents in encode(None, Counter())) - 1
        block_size = min(MAX_AUTO_BLOCK_SIZE, -(-longest // 8) * 8)
        settings = replace(settings, block_size=block_size)
    training, held_out = encode(block_size, counts)
    if not len(training):
        raise DataError(f"no document is left to train on: block_size {block_size} skips them all")
    counts |= {"training documents": len(training), "training tokens": training.num_tokens}
    counts |= {"held-out documents": len(held_out), "held-out tokens": held_out.num_tokens}
    assert settings.n_embd
    assert settings.n_head
    assert settings.n_layer
    config = ModelConfig(tokenizer.vocab_size, settings.n_embd, settings.n_head, settings.n_layer, block_size)
    if problems := config.problems():
        raise DataError("; ".join(problems))
    return Prepared(settings, config, tokenizer, training, held_out, dict(counts), _device(settings.device))


def _loop(
    settings: TrainSettings,
    trainer: Trainer,
    history: History,
    observer: Observer,
    should_stop: Callable[[], bool],
    save: Callable[[], None],
) -> bool:
    """Run the remaining steps; False when stopped early, after saving. Mutates trainer and history."""
    assert settings.eval_every
    before, began = history.seconds, time.monotonic()
    while trainer.next_step < trainer.steps:
        if should_stop():
            save()
            return False
        result = trainer.step()
        done = trainer.next_step
        history.losses.append(result.loss)
        history.num_tokens += result.num_tokens
        if done % settings.eval_every == 0 or done == trainer.steps:
            loss = trainer.evaluate()
            if loss is not None:
                history.held_out.append((done, loss))
                observer.evaluated(history)
        if settings.checkpoint_every and done % settings.checkpoint_every == 0 and done < trainer.steps:
            history.seconds = before + time.monotonic() - began
            save()
        history.seconds = before + time.monotonic() - began
        observer.stepped(history)
    return True


def _finish(run: Prepared, trainer: Trainer, history: History) -> None:
    """Write the finished model directory and remove the state, unless it is to be kept."""
    from microgpt.training.plot import save_loss_plot

    _save_model(run, trainer)
    output = run.settings.output
    record = {
        "settings": run.settings.to_json(),
        "model": {"parameters": run.config.num_parameters, "vocab_size": run.config.vocab_size},
        "data": run.counts,
        "final": {
            "loss": _mean(history.losses[-100:]),
            "held_out_loss": history.held_out[-1][1] if history.held_out else None,
            "seconds": round(history.seconds, 1),
            "tokens": history.num_tokens,
            "tokens_per_s": round(history.tokens_per_s),
        },
        "held_out_losses": [[step, round(loss, 5)] for step, loss in history.held_out],
        "losses": [[step, round(loss, 5)] for step, loss in averaged(history.losses)],
    }
    draft = output / (RECORD + ".tmp")
    draft.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
    os.replace(draft, output / RECORD)
    save_loss_plot(output, averaged(history.losses), history.held_out)
    if run.settings.keep_state:
        values = {"settings": run.settings.to_json(), "data": corpus.fingerprint(run.training, run.held_out)}
        save_state(output, trainer.state() | values | {"history": _as_dict(history)})
    else:
        (output / STATE).unlink(missing_ok=True)


def averaged(losses: list[float], points: int = 200) -> list[tuple[int, float]]:
    """(last step, mean loss) of at most about `points` runs of equally many steps."""
    width = max(1, -(-len(losses) // points))
    return [(min(i + width, len(losses)), _mean(losses[i : i + width])) for i in range(0, len(losses), width)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _save_model(run: Prepared, trainer: Trainer) -> None:
    """Write what can be served; a tokenizer file of another model that was there goes."""
    dtype = "F16" if run.settings.half else "F32"
    save_checkpoint(run.settings.output, run.config, trainer.model.to_arrays(), run.tokenizer, dtype)
    if run.settings.tokenizer == "char":
        (run.settings.output / BPE_FILE).unlink(missing_ok=True)


def _read_state(directory: Path) -> dict[str, Any]:
    """The state to resume from. Raises DataError, also where the last run was complete, which leaves a record alone."""
    if (directory / RECORD).exists() and not (directory / STATE).exists():
        raise DataError(
            f"{directory}: nothing to resume, its run is complete: --overwrite begins anew, with more --steps if you "
            f"like; --init {directory} with another --output trains on from its weights"
        )
    return read_state(directory)


def _check_same_run(settings: TrainSettings, data: str, state: dict[str, Any]) -> None:
    """Raises DataError unless the saved run had these settings and this data."""
    if changes := settings.changes_from(state["settings"]):
        raise DataError(f"cannot resume with other settings: {'; '.join(changes)}")
    if state["data"] != data:
        raise DataError("cannot resume: the contents of the input files changed since the run began")


def _as_dict(history: History) -> dict[str, Any]:
    return {
        "losses": list(history.losses),
        "held_out": list(history.held_out),
        "seconds": history.seconds,
        "num_tokens": history.num_tokens,
    }


def holds_model(settings: TrainSettings) -> str | None:
    """What a new run would overwrite in the output directory: a sentence, or None."""
    if (settings.output / STATE).exists():
        return f"{settings.output} holds an unfinished run: --resume goes on with it, --overwrite begins anew"
    if (settings.output / WEIGHTS).exists() or (settings.output / META).exists():
        return f"{settings.output} already holds a model: choose another --output, or add --overwrite"
    return None


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise DataError("device must be cpu or auto on this machine, got cuda: torch finds no CUDA device")
    return name


def _num_threads(run: Prepared) -> int:
    """How many shards a step is worth: all cores, or one where a shard would be too small.

    Shards take turns at Python's lock between operations, so tiny ones run slower together than one after the other:
    the default names model (6e7 parameters * tokens a step) 31,000 tokens/s on one thread, 14,000 on two.
    """
    assert run.settings.batch_size
    tokens = run.training.num_tokens / len(run.training) * run.settings.batch_size
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, int(tokens * run.config.num_parameters / _MIN_SHARD_WORK)))


def _keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next step instead of returning it to the system.

    Each step otherwise faults the same megabytes in again, page by page: an elementwise product of 16 MB takes 1.2 ms
    with this and 2.5 ms without. Elsewhere than on glibc nothing happens.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
            mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD
