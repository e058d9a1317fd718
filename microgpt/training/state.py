"""The resumable state of an unfinished run: one file in the output directory, replaced atomically."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from microgpt.errors import DataError

STATE = "training_state.pt"
_FORMAT = 1


def save_state(directory: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists and dicts) so that a crash leaves the old file or the new one."""
    directory.mkdir(parents=True, exist_ok=True)
    draft = directory / (STATE + ".tmp")
    torch.save({"format": _FORMAT, **state}, draft)
    os.replace(draft, directory / STATE)


def read_state(directory: Path) -> dict[str, Any]:
    """What `save_state` wrote, on the CPU. Raises DataError when there is nothing to resume or it is damaged."""
    path = directory / STATE
    try:
        # weights_only: a state file is data; it must not be able to run code.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{directory}: nothing to resume, there is no {STATE}") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise DataError(f"{path}: not a readable training state: {str(error).splitlines()[0]}") from None
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise DataError(f"{path}: not a training state of this version")
    return state
