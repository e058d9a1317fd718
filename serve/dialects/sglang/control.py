"""What SGLang's operators do to a running server: end requests, pause, empty the cache, replace the weights.

What programs call in passing, and this server has nothing of (a profiler, memory to lend), is accepted and does
nothing; what its callers count on (LoRA adapters, slowing down) is refused by name, with 400.
"""

import gc
import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from microgpt import CheckpointError, InvalidRequest
from serve.dialects.base import Asked, Operation, Reply
from serve.dialects.sglang.bodies import parse_body
from serve.dialects.sglang.errors import native_error, object_error
from serve.errors import shown
from serve.service import Service

FLUSHED = (
    "Cache flushed.\nPlease check backend logs for more details. "
    "(When there are running or waiting requests, the operation will not be performed.)\n"
)
NOT_FLUSHED = "Cache not flushed: requests are running or waiting.\n"
LOAD_FORMATS = ("auto", "safetensors")
MAX_WEIGHTS = 1 << 20  # values in one answer
MAX_VERSION = 256  # characters, in every answer


class _Body(BaseModel):
    """Unknown fields are ignored, null stands for a field that is left out."""

    model_config = ConfigDict(strict=True, extra="ignore", protected_namespaces=())


class AbortBody(_Body):
    rid: str = Field("", description="of a live request: it ends, and all whose ids begin so")
    abort_all: bool = Field(False, description="end all requests")


class PauseBody(_Body):
    mode: Literal["abort", "retract", "in_place"] = Field("abort", description="what becomes of live requests")


class Nothing(_Body):
    """No fields."""


class WeightsBody(_Body):
    model_path: str = Field(description="a model directory of the same sizes and the same tokens")
    load_format: str = Field("auto", description="auto or safetensors")
    abort_all_requests: bool = Field(False, description="end live requests first, in place of waiting for them")
    weight_version: str | None = Field(
        None, max_length=MAX_VERSION, description="their name; left out: as the old ones"
    )


class VersionBody(_Body):
    new_version: str = Field(max_length=MAX_VERSION, description="what the weights are called from now on")
    abort_all_requests: bool = Field(True, description="end live requests first")


class NamedBody(_Body):
    name: str = Field(description="of a tensor of the checkpoint")
    truncate_size: int = Field(100, description=f"most values, in [0, {MAX_WEIGHTS}]")


class LoadAdapterBody(_Body):
    lora_name: str
    lora_path: str


class UnloadAdapterBody(_Body):
    lora_name: str


async def abort_request(service: Service, asked: Asked) -> Reply:
    """End requests: they are answered with what they have."""
    body = parse_body(AbortBody, asked.body)
    if body.rid or body.abort_all:
        service.abort(body.rid, all=body.abort_all)
    return Reply(b"")


async def flush_cache(service: Service, asked: Asked) -> Reply:
    """Empty the prefix cache, as soon as nothing runs or waits, within `timeout` seconds."""
    given = asked.query.get("timeout", "0")
    try:
        timeout_s = float(given)
    except ValueError:
        timeout_s = math.nan
    if not 0 <= timeout_s < math.inf:
        raise object_error(f"timeout must be >= 0 and finite, got {shown(given)}")
    is_flushed = await service.flush_cache(timeout_s)
    return _text(FLUSHED if is_flushed else NOT_FLUSHED, 200 if is_flushed else 400)


async def pause_generation(service: Service, asked: Asked) -> Reply:
    """Generate nothing until /continue_generation; requests are accepted, and wait."""
    await service.pause(parse_body(PauseBody, asked.body or b"{}").mode)
    return _json({"message": "Generation paused successfully.", "status": "ok"})


async def continue_generation(service: Service, asked: Asked) -> Reply:
    """Go on after /pause_generation."""
    parse_body(Nothing, asked.body or b"{}")
    await service.resume()
    return _json({"message": "Generation continued successfully.", "status": "ok"})


async def update_weights_from_disk(service: Service, asked: Asked) -> Reply:
    """Serve the weights of another model directory, once they are loaded and checked as a whole."""
    body = parse_body(WeightsBody, asked.body)
    try:
        if body.load_format not in LOAD_FORMATS:
            expected = " or ".join(LOAD_FORMATS)
            raise InvalidRequest(f"load_format must be {expected}, got {shown(body.load_format)}")
        num_frozen = await service.update_weights(
            body.model_path, body.weight_version, abort_all=body.abort_all_requests
        )
    except (CheckpointError, InvalidRequest) as error:
        return _json({"success": False, "message": str(error), "num_paused_requests": 0}, 400)
    message = "Succeeded to update model weights."
    if body.weight_version is not None:
        message += f" Weight version updated to {body.weight_version}."
    return _json({"success": True, "message": message, "num_paused_requests": num_frozen})


async def update_weight_version(service: Service, asked: Asked) -> Reply:
    """Call the weights that serve something else."""
    body = parse_body(VersionBody, asked.body)
    await service.update_version(body.new_version, abort_all=body.abort_all_requests)
    message = f"Weight version updated to {body.new_version}"
    return _json({"success": True, "message": message, "new_version": body.new_version})


async def get_weight_version(service: Service, asked: Asked) -> Reply:
    """What the weights that serve are called."""
    return _json({"weight_version": service.weight_version})


async def get_weights_by_name(service: Service, asked: Asked) -> Reply:
    """The first values of a tensor of the checkpoint that is served, row by row."""
    body = parse_body(NamedBody, asked.body)
    if not 0 <= body.truncate_size <= MAX_WEIGHTS:
        raise native_error(f"truncate_size must be in [0, {MAX_WEIGHTS}], got {shown(body.truncate_size)}")
    return _json(service.get_weights(body.name, body.truncate_size))


async def freeze_gc(service: Service, asked: Asked) -> Reply:
    """Let garbage collections pass over what is there now."""
    gc.collect()
    gc.freeze()
    return _text("Garbage collection frozen.\n")


async def accept(service: Service, asked: Asked) -> Reply:
    """Nothing, for what programs ask for in passing and this server has no use for."""
    return _text("Nothing to do.\n")


def _absent(what: str) -> Callable[[Service, Asked], Any]:
    """The refusal of a route for something that this server does not have."""

    async def refuse(service: Service, asked: Asked) -> Reply:
        raise native_error(f"not supported by this server: {what}")

    return refuse


def _no_adapters(model: type[BaseModel]) -> Callable[[Service, Asked], Any]:
    """The refusal of a LoRA route, in the form of its answers."""

    async def refuse(service: Service, asked: Asked) -> Reply:
        parse_body(model, asked.body)
        message = "LoRA adapters are not supported by this server"
        return _json({"rid": None, "success": False, "error_message": message, "loaded_adapters": {}}, 400)

    return refuse


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(to_json(value), status)


def _text(text: str, status: int = 200) -> Reply:
    return Reply(text.encode(), HTTPStatus(status), "text/plain; charset=utf-8")


_POST, _BOTH = ("POST",), ("GET", "POST")

OPERATIONS = (
    Operation("/abort_request", "End requests", abort_request, _POST, body=AbortBody),
    Operation("/flush_cache", "Empty the prefix cache", flush_cache, _BOTH),
    Operation("/pause_generation", "Generate nothing for now", pause_generation, _POST, body=PauseBody),
    Operation("/continue_generation", "Go on after a pause", continue_generation, _POST, body=Nothing),
    Operation("/update_weights_from_disk", "Serve other weights", update_weights_from_disk, _POST, body=WeightsBody),
    Operation("/update_weight_version", "Rename the weights", update_weight_version, _POST, body=VersionBody),
    Operation("/get_weights_by_name", "Values of a tensor", get_weights_by_name, _BOTH, body=NamedBody),
    Operation("/freeze_gc", "Spare the garbage collector", freeze_gc, _BOTH),
    Operation("/configure_logging", "Accepted, does nothing", accept, _POST),
    Operation("/start_profile", "Accepted, does nothing", accept, _BOTH),
    Operation("/stop_profile", "Accepted, does nothing", accept, _BOTH),
    Operation("/release_memory_occupation", "Accepted, does nothing", accept, _POST),
    Operation("/resume_memory_occupation", "Accepted, does nothing", accept, _POST),
    Operation("/slow_down", "Refused", _absent("slowing the model down"), _BOTH),
    Operation("/load_lora_adapter", "Refused", _no_adapters(LoadAdapterBody), _POST, body=LoadAdapterBody),
    Operation("/unload_lora_adapter", "Refused", _no_adapters(UnloadAdapterBody), _POST, body=UnloadAdapterBody),
)
# Which of all routes only an administrator may use.
ADMIN_PATHS = frozenset(operation.path for operation in OPERATIONS)
# What anybody may ask.
QUESTIONS = (Operation("/get_weight_version", "Name of the weights", get_weight_version),)
