"""microgpt: a library for tiny GPTs. `load()` a checkpoint, drive an `Engine`, or use the pieces by module.

Names are imported on first use, so that `import microgpt` costs nothing and never imports torch by itself.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from microgpt.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
    from microgpt.config import ModelConfig
    from microgpt.engine import Engine, EngineThread, build_engine, load
    from microgpt.errors import (
        CheckpointError,
        ConstraintError,
        DataError,
        EngineFault,
        InvalidRequest,
        MicrogptError,
        NumericalError,
        Overloaded,
    )
    from microgpt.params import SamplingParams
    from microgpt.request import (
        Event,
        Failed,
        Finished,
        FinishReason,
        GenerationRequest,
        PromptScored,
        TokenEvent,
        Usage,
    )

__version__ = "0.1.0"

_HOMES = {
    "microgpt.checkpoint": ("Checkpoint", "load_checkpoint", "save_checkpoint"),
    "microgpt.config": ("ModelConfig",),
    "microgpt.engine": ("Engine", "EngineThread", "build_engine", "load"),
    "microgpt.errors": (
        "CheckpointError",
        "ConstraintError",
        "DataError",
        "EngineFault",
        "InvalidRequest",
        "MicrogptError",
        "NumericalError",
        "Overloaded",
    ),
    "microgpt.params": ("SamplingParams",),
    "microgpt.request": (
        "Event",
        "Failed",
        "Finished",
        "FinishReason",
        "GenerationRequest",
        "PromptScored",
        "TokenEvent",
        "Usage",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "ConstraintError",
    "DataError",
    "Engine",
    "EngineFault",
    "EngineThread",
    "Event",
    "Failed",
    "FinishReason",
    "Finished",
    "GenerationRequest",
    "InvalidRequest",
    "MicrogptError",
    "ModelConfig",
    "NumericalError",
    "Overloaded",
    "PromptScored",
    "SamplingParams",
    "TokenEvent",
    "Usage",
    "build_engine",
    "load",
    "load_checkpoint",
    "save_checkpoint",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'microgpt' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
