"""Model directories: weights.safetensors + meta.json (+ tokenizer.json) <-> Checkpoint.

Loading checks everything and reports all problems at once, so that a broken directory is mended in one go.
"""

import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors
import safetensors.numpy

from microgpt.config import ModelConfig
from microgpt.errors import CheckpointError, DataError
from microgpt.tokenizers import FORMATS, Tokenizer

WEIGHTS = "weights.safetensors"
META = "meta.json"
StoredDtype = Literal["F32", "F16", "BF16"]
_NUMPY = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}  # BF16 as raw bits


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A weight as the file has it: `bits` is float32, float16, or (BF16) the upper 16 bits of a float32 as uint16."""

    dtype: StoredDtype
    bits: np.ndarray  # (output, input)

    def widened(self) -> np.ndarray:
        """The values as float32, exact for every stored dtype."""
        if self.dtype == "BF16":
            return (self.bits.astype(np.uint32) << 16).view(np.float32)
        return self.bits.astype(np.float32)

    def first(self, most: int) -> list[float]:
        """The first `most` values, row by row."""
        return StoredTensor(self.dtype, self.bits.reshape(-1)[:most]).widened().tolist()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checked model directory. Arrays are read-only by convention; the tokenizer matches the vocabulary."""

    path: Path
    config: ModelConfig
    tensors: Mapping[str, StoredTensor]
    tokenizer: Tokenizer
    meta: Mapping[str, Any]

    @property
    def stored_dtype(self) -> str:
        """F32, F16, BF16, or e.g. F16/F32 when tensors differ."""
        return "/".join(sorted({tensor.dtype for tensor in self.tensors.values()}))

    @property
    def is_chat(self) -> bool:
        return self.tokenizer.chat is not None


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint in directory `path`. Raises CheckpointError with every problem found."""
    directory = Path(path)
    try:
        return _load(directory)
    except OSError as error:  # a path too long, a parent that may not be looked into
        raise CheckpointError(directory, [f"{directory}: {error.strerror or error}"]) from None


def _load(directory: Path) -> Checkpoint:
    if not directory.is_dir():
        raise CheckpointError(directory, [f"{directory} is not a directory"])
    problems: list[str] = []
    meta = _read_meta(directory, problems)
    tensors = _read_weights(directory / WEIGHTS, problems)
    config, tokenizer = None, None
    if meta is not None:
        config, found = ModelConfig.from_meta(meta)
        problems += [f"{META}: {problem}" for problem in found]
        tokenizer = _read_tokenizer(directory, meta, problems)
    if config and tensors is not None:
        problems += _tensor_problems(config, tensors)
    if config and tokenizer and tokenizer.vocab_size != config.vocab_size:
        problems.append(f"{META}: vocab_size is {config.vocab_size}, but the tokenizer has {tokenizer.vocab_size} ids")
    if problems or meta is None or tensors is None or config is None or tokenizer is None:
        raise CheckpointError(directory, problems)
    return Checkpoint(directory, config, tensors, tokenizer, meta)


def save_checkpoint(
    path: str | os.PathLike[str],
    config: ModelConfig,
    arrays: Mapping[str, np.ndarray],
    tokenizer: Tokenizer,
    dtype: Literal["F32", "F16"] = "F32",
    extra_meta: Mapping[str, Any] | None = None,
) -> None:
    """Write a model directory, created if need be, that `load_checkpoint` accepts.

    arrays: float arrays by tensor name, exactly those of `config`. extra_meta: further keys for meta.json.
    Each file is replaced atomically. Raises CheckpointError if the arrays do not fit the config or, narrowed to
    `dtype`, are not finite; nothing is written then.
    """
    directory = Path(path)
    narrowed = {name: np.ascontiguousarray(array, _NUMPY[dtype]) for name, array in arrays.items()}
    problems = [f"{META}: {problem}" for problem in config.problems()]
    problems += _tensor_problems(config, {name: StoredTensor(dtype, array) for name, array in narrowed.items()})
    if tokenizer.vocab_size != config.vocab_size:
        problems.append(f"{META}: vocab_size is {config.vocab_size}, the tokenizer has {tokenizer.vocab_size} ids")
    if problems:
        raise CheckpointError(directory, problems)
    meta = {name: getattr(config, name) for name in ("vocab_size", "n_embd", "n_head", "n_layer", "block_size")}
    meta |= tokenizer.meta() | dict(extra_meta or {})
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer.save(directory)
    _replace(directory / WEIGHTS, safetensors.numpy.save(narrowed))
    _replace(directory / META, (json.dumps(meta, ensure_ascii=False, indent=2) + "\n").encode())


def check_writable(directory: Path, name: str) -> None:
    """Raise DataError, which calls it `name`, unless files can be put into a directory, or where it is to be made:
    better before an afternoon's work than after it. Nothing is left there."""
    path = directory.absolute()
    try:
        tempfile.TemporaryFile(dir=next(each for each in (path, *path.parents) if each.exists())).close()
    except OSError as error:
        raise DataError(f"{name} must be a directory that can be written, got {directory}: {error.strerror}") from None


def _replace(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader, or a crash, sees the old file or the new one."""
    draft = path.with_name(path.name + ".tmp")
    draft.write_bytes(data)
    os.replace(draft, path)


def _read_meta(directory: Path, problems: list[str]) -> dict[str, Any] | None:
    try:
        meta = json.loads((directory / META).read_text("utf-8"))
    except FileNotFoundError:
        problems.append(f"{META}: file is missing")
    except (OSError, ValueError, RecursionError) as error:
        problems.append(f"{META}: not readable as JSON: {error}")
    else:
        if isinstance(meta, dict):
            return meta
        problems.append(f"{META}: must be a JSON object, got {type(meta).__name__}")
    return None


def _read_tokenizer(directory: Path, meta: Mapping[str, Any], problems: list[str]) -> Tokenizer | None:
    for known in FORMATS:
        if known.claims(directory, meta):
            tokenizer, found = known.load(directory, meta)
            problems += found
            return tokenizer
    problems.append(f"{META}: neither `chars` in it nor a tokenizer.json beside it")
    return None


def _read_weights(path: Path, problems: list[str]) -> dict[str, StoredTensor] | None:
    """The tensors of a safetensors file, without copies of the data and without importing torch."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        reason = "file is missing" if isinstance(error, FileNotFoundError) else f"not readable: {error.strerror}"
        problems.append(f"{WEIGHTS}: {reason}")
        return None
    try:
        # The library checks the header: its length, JSON, dtypes, offsets against shapes and against the file.
        entries = safetensors.deserialize(raw)
    except safetensors.SafetensorError as error:
        problems.append(f"{WEIGHTS}: not a sound safetensors file of {len(raw)} bytes: {error}")
        return None
    tensors = {}
    for name, entry in entries:
        if entry["dtype"] not in _NUMPY:
            problems.append(f"{WEIGHTS}: {name} must be F32, F16 or BF16, got {entry['dtype']}")
            continue
        if len(entry["shape"]) != 2 or not all(entry["shape"]):
            problems.append(f"{WEIGHTS}: {name} must have two dimensions, got shape {str(entry['shape'])[:60]}")
            continue
        bits = np.frombuffer(entry["data"], _NUMPY[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = StoredTensor(entry["dtype"], bits)
    return tensors


def _tensor_problems(config: ModelConfig, tensors: Mapping[str, StoredTensor]) -> list[str]:
    """Missing, extra, misshapen and non-finite tensors, in the order of the model."""
    problems = []
    shapes = config.tensor_shapes()
    for name, shape in shapes.items():
        if name not in tensors:
            problems.append(f"{WEIGHTS}: {name} is missing, expected shape {list(shape)}")
            continue
        found = tensors[name].bits.shape
        if found != shape:
            problems.append(f"{WEIGHTS}: {name} must have shape {list(shape)}, got {list(found)}")
        elif bad := _count_non_finite(tensors[name]):
            problems.append(f"{WEIGHTS}: {name} has {bad} non-finite values among {math.prod(shape)}")
    extra = [name for name in tensors if name not in shapes]
    problems += [f"{WEIGHTS}: {name} is not a tensor of this model" for name in extra[:10]]
    if len(extra) > 10:
        problems.append(f"{WEIGHTS}: {len(extra) - 10} more tensors are not of this model")
    return problems


def _count_non_finite(tensor: StoredTensor) -> int:
    """How many values are infinite or NaN; BF16 by its exponent bits, so that nothing is widened."""
    if tensor.dtype == "BF16":
        return int(np.count_nonzero((tensor.bits & 0x7F80) == 0x7F80))
    return int(tensor.bits.size - np.count_nonzero(np.isfinite(tensor.bits)))
