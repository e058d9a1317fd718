"""TrainSettings: every choice of a training run, checked, with defaults that depend on the kind of data."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from microgpt.checkpoint import Checkpoint
from microgpt.errors import DataError
from microgpt.tokenizers import CharTokenizer

DTYPES = ("float32", "bfloat16", "float64")
OPTIMIZERS = ("adamw", "muon")
DEVICES = ("auto", "cpu", "cuda")

# What None means, by kind of data. The plain model is for short lines such as names: a good one in about a minute
# on two cores. The chat model is about 3 million parameters, half an hour on two cores with bfloat16.
PLAIN_DEFAULTS: Mapping[str, Any] = {
    "tokenizer": "char", "n_embd": 64, "n_head": 4, "n_layer": 2,
    "batch_size": 64, "steps": 3000, "lr": 3e-3, "warmup_steps": 100, "optimizer": "adamw",
}  # fmt: skip
CHAT_DEFAULTS: Mapping[str, Any] = {
    "tokenizer": "bpe", "n_embd": 192, "n_head": 6, "n_layer": 6, "block_size": 512,
    "batch_size": 32, "steps": 5000, "lr": 2e-3, "warmup_steps": 200, "optimizer": "muon",
}  # fmt: skip
BPE_VOCAB_SIZE = 1024
MAX_AUTO_BLOCK_SIZE = 256

# Where a run's results go or how often they are written: free to change when a run is resumed.
_NOT_BINDING = frozenset({"input", "output", "checkpoint_every", "threads", "half", "keep_state"})


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The choices of a run. None means: decided by `completed`, from the kind of data or from the data."""

    input: tuple[Path, ...]
    output: Path
    chat: bool = False
    init: Path | None = None
    tokenizer: str | None = None
    vocab_size: int | None = None
    n_embd: int | None = None
    n_head: int | None = None
    n_layer: int | None = None
    block_size: int | None = None
    batch_size: int | None = None
    steps: int | None = None
    lr: float | None = None
    warmup_steps: int | None = None
    optimizer: str | None = None
    weight_decay: float = 0.1
    clip: float = 1.0
    seed: int = 0
    dtype: str = "float32"
    device: str = "auto"
    threads: int | None = None
    loss_on: str = "all"
    skip_long: bool = False
    held_out: float = 0.05
    eval_every: int | None = None
    checkpoint_every: int | None = None
    half: bool = False
    keep_state: bool = False

    def like(self, start: Checkpoint) -> "TrainSettings":
        """These settings with the tokenizer and sizes of the model that training starts from.

        Raises DataError naming a setting that asks for something else, or a model of another kind.
        """
        if self.chat and not start.is_chat:
            raise DataError(f"init must be a chat model for chat data, got {start.path}")
        found = {name: getattr(start.config, name) for name in ("n_embd", "n_head", "n_layer", "block_size")}
        found["tokenizer"] = "char" if isinstance(start.tokenizer, CharTokenizer) else "bpe"
        for name, value in found.items():
            if getattr(self, name) not in (None, value):
                raise DataError(f"{name} must be {value}, as in {start.path}, or absent, got {getattr(self, name)}")
        if self.vocab_size is not None:
            raise DataError(f"vocab_size must be absent with init, which has its tokenizer, got {self.vocab_size}")
        return replace(self, **found)

    def completed(self) -> "TrainSettings":
        """These settings with every default filled in, except those that the data decides (block_size of plain text).

        Raises DataError naming the first setting that cannot be used.
        """
        defaults = dict(CHAT_DEFAULTS if self.chat else PLAIN_DEFAULTS)
        filled = replace(self, **{name: value for name, value in defaults.items() if getattr(self, name) is None})
        if filled.tokenizer == "bpe" and filled.vocab_size is None:
            filled = replace(filled, vocab_size=BPE_VOCAB_SIZE)
        assert filled.steps is not None
        assert filled.warmup_steps is not None
        steps, warmup_steps = filled.steps, filled.warmup_steps
        if self.eval_every is None:
            filled = replace(filled, eval_every=max(1, steps // 20))
        if self.warmup_steps is None:  # a short trial run still warms up and decays
            filled = replace(filled, warmup_steps=min(warmup_steps, steps // 10))
        filled._check()
        return filled

    def _check(self) -> None:
        for name, low in _AT_LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= low:
                raise DataError(f"{name} must be >= {low}, got {value}")
        for name in ("lr", "clip"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise DataError(f"{name} must be > 0, got {value}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise DataError(f"{name} must be {' or '.join(choices)}, got {getattr(self, name)}")
        if not 0 <= self.held_out < 1:
            raise DataError(f"held_out must be in [0, 1), got {self.held_out}")
        if not 0 <= self.seed < 2**63:
            raise DataError(f"seed must be in [0, 2^63), got {self.seed}")
        assert self.n_embd
        assert self.n_head
        if self.n_embd % self.n_head:
            raise DataError(f"n_embd must be a multiple of n_head, got n_embd {self.n_embd} and n_head {self.n_head}")
        assert self.steps
        assert self.warmup_steps is not None
        if self.warmup_steps > self.steps:
            raise DataError(f"warmup_steps must be <= steps ({self.steps}), got {self.warmup_steps}")
        if self.tokenizer == "char" and self.vocab_size is not None:
            reason = "which has one id per character of the data"
            raise DataError(f"vocab_size must be absent for the char tokenizer, {reason}, got {self.vocab_size}")
        if self.loss_on != "all" and not self.chat:
            raise DataError(f"loss_on must be all for plain text, got {self.loss_on} (it needs --chat)")

    def to_json(self) -> dict[str, Any]:
        """All settings as JSON values; files by name alone, so that no machine's paths end up in a model directory."""
        values = asdict(self)
        del values["output"]
        init = self.init.name if self.init else None
        return values | {"input": [path.name for path in self.input], "init": init}

    def changes_from(self, saved: Mapping[str, Any]) -> list[str]:
        """One sentence for each setting that binds a resumed run and differs from `saved` (a `to_json`)."""
        now = self.to_json()
        return [
            f"{name} was {saved.get(name)}, now {now[name]}"
            for name in (field.name for field in fields(self))
            if name not in _NOT_BINDING and now[name] != saved.get(name)
        ]


_AT_LEAST = {
    "vocab_size": 261, "n_embd": 1, "n_head": 1, "n_layer": 1, "block_size": 2, "batch_size": 1, "steps": 1,
    "warmup_steps": 0, "weight_decay": 0, "threads": 1, "eval_every": 1, "checkpoint_every": 1,
}  # fmt: skip
_CHOICES = {
    "tokenizer": ("char", "bpe"),
    "dtype": DTYPES,
    "device": DEVICES,
    "optimizer": OPTIMIZERS,
    "loss_on": ("all", "mixed", "assistant"),
}
