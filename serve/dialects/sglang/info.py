"""What SGLang's clients and routers ask of a server: is it well, what does it serve, how busy is it."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

import microgpt
from serve.dialects.base import Asked, Operation, Reply
from serve.dialects.sglang.bodies import bad_value
from serve.errors import rust_debug
from serve.load import Load, load_of
from serve.service import Service
from serve.settings import launch_command, public_values

SECTIONS = ("core", "memory", "spec", "lora", "disagg", "queues", "all")
FORMATS = ("json", "prometheus")
TEXT = "text/plain; version=0.0.4; charset=utf-8"


async def health_generate(service: Service, asked: Asked) -> Reply:
    """200 once the engine has made a token, 503 if it does not."""
    return _empty(await service.is_generating())


async def ready(service: Service, asked: Asked) -> Reply:
    """200 while requests are accepted and worked on."""
    return _empty(service.status == "ok" and not service.paused)


async def ping(service: Service, asked: Asked) -> Reply:
    """200 while requests are accepted, be generation paused or not."""
    return _empty(service.status == "ok")


async def model_info(service: Service, asked: Asked) -> Reply:
    """What is served. The model's path is what SGLang's frontend chooses a chat template by."""
    path = service.model_path
    return _json(
        {
            "model_path": path,
            "served_model_name": path,
            "tokenizer_path": path,
            "is_generation": True,
            "preferred_sampling_params": None,
            "weight_version": service.weight_version,
            "load_format": "safetensors",
            "reasoning_parser": None,
            "tool_call_parser": None,
            "disaggregation_mode": "null",
            "has_image_understanding": False,
            "has_audio_understanding": False,
            "model_type": "microgpt",
            "architectures": ["GPT"],
        }
    )


async def server_info(service: Service, asked: Asked) -> Reply:
    """Every setting but the secrets, under our names and under SGLang's, and what the engine has room for."""
    load, path = load_of(service.client), service.model_path
    return _json(
        public_values(asked.settings)
        | {
            "model_path": path,
            "served_model_name": path,
            "tokenizer_path": path,
            "context_length": service.config.block_size,
            "max_req_input_len": service.config.block_size - 1,
            "max_running_requests": load.max_running,
            "max_queued_requests": service.max_queue,
            "max_total_num_tokens": load.max_tokens,
            "tp_size": 1,
            "dp_size": 1,
            "pp_size": 1,
            "load_format": "safetensors",
            "weight_version": service.weight_version,
            "disaggregation_mode": "null",
            "is_embedding": False,
            "skip_tokenizer_init": False,
            "enable_metrics": True,
            "schedule_policy": "fcfs",
            "status": "ready" if service.status == "ok" else service.status,
            "version": microgpt.__version__,
            "startup_time": time.time() - service.uptime_s,
            "launch_command": launch_command(asked.settings),
            "frontend": "python",
            "kv_events": None,
            "internal_states": [
                {
                    "last_gen_throughput": float(load.tokens_per_s),
                    "effective_max_running_requests_per_dp": load.max_running,
                    "memory_usage": {"token_capacity": load.max_tokens},
                    "weight_version": service.weight_version,
                }
            ],
        }
    )


async def get_load(service: Service, asked: Asked) -> Reply:
    """The load as routers of old poll it."""
    load = load_of(service.client)
    return _json(
        [
            {
                "dp_rank": 0,
                "num_reqs": load.running + load.waiting,
                "num_waiting_reqs": load.waiting,
                "num_tokens": load.used_tokens + load.waiting_tokens,
            }
        ]
    )


async def loads(service: Service, asked: Asked) -> Reply:
    """The load by sections, as JSON or in Prometheus's text format."""
    include = asked.query.get("include", "all").split(",")
    for section in include:
        if section not in SECTIONS:
            raise bad_value(f"include must be of {', '.join(SECTIONS)}, got {rust_debug(section)}")
    form = asked.query.get("format", "json")
    if form not in FORMATS:
        raise bad_value(f"format must be one of {', '.join(FORMATS)}, got {rust_debug(form)}")
    rank = asked.query.get("dp_rank") or "0"
    if not (rank.isascii() and rank.isdigit()):
        raise bad_value(f"dp_rank must be an integer >= 0, got {rust_debug(rank)}")
    load = load_of(service.client)
    core, timestamp = _core(load), datetime.now(UTC).isoformat()
    ranks = [core] if int(rank[:9]) == 0 else []
    if form == "prometheus":
        return Reply(_prometheus(core).encode() if ranks else b"", media_type=TEXT)
    sections: dict[str, Any] = {}
    if {"memory", "all"} & set(include):
        sections["memory"] = {"token_capacity": load.max_tokens}
    if {"queues", "all"} & set(include):
        sections["queues"] = {"waiting": load.waiting}
    device = service.client.engine.backend.device if service.client.engine is not None else ""
    return _json(
        {
            "timestamp": timestamp,
            "version": microgpt.__version__,
            "accelerator": device,
            "num_accelerators": int(device.startswith("cuda")),
            "dp_rank_count": 1,
            "loads": [{"timestamp": timestamp, **each, **sections} for each in ranks],
            "aggregate": {
                "total_running_reqs": load.running,
                "total_waiting_reqs": load.waiting,
                "total_reqs": load.running + load.waiting,
                "total_tokens": load.used_tokens + load.waiting_tokens,
                "avg_token_usage": load.token_usage,
                "avg_throughput": float(load.tokens_per_s),
                "avg_utilization": core["utilization"],
            },
        }
    )


async def models(service: Service, asked: Asked) -> Reply:
    """The one model that is served."""
    return _json({"object": "list", "data": [_card(service)]})


async def model(service: Service, asked: Asked) -> Reply:
    """The card of a model by its name, which may have slashes."""
    card, name = _card(service), asked.path_params["name"]
    if name != card["id"]:
        error = {
            "message": f"The model {_quoted(name)} does not exist",
            "type": "invalid_request_error",
            "param": "model",
            "code": "model_not_found",
        }
        return _json({"error": error}, 404)
    return _json(card)


def _card(service: Service) -> dict[str, Any]:
    return {
        "id": service.model_path,
        "object": "model",
        "created": int(time.time() - service.uptime_s),
        "owned_by": "sglang",
        "root": service.model_path,
        "parent": None,
        "max_model_len": service.config.block_size,
    }


def _core(load: Load) -> dict[str, Any]:
    """What every report of a rank has. Nothing measures the last three."""
    return {
        "dp_rank": 0,
        "num_running_reqs": load.running,
        "num_waiting_reqs": load.waiting,
        "num_waiting_uncached_tokens": load.waiting_tokens,
        "num_used_tokens": load.used_tokens,
        "num_total_tokens": load.used_tokens + load.waiting_tokens,
        "num_active_tokens": load.used_tokens,
        "num_prealloc_ready_tokens": 0,
        "max_total_num_tokens": load.max_tokens,
        "max_running_requests": load.max_running,
        "token_usage": load.token_usage,
        "gen_throughput": float(load.tokens_per_s),
        "cache_hit_rate": load.cache_hit_rate,
        "utilization": load.running / load.max_running if load.max_running else 0.0,
        "total_prefill_uncached_tokens": load.prompt_tokens - load.cached_tokens,
        "total_prefill_busy_us": None,
        "decode_moments": None,
    }


def _prometheus(core: Mapping[str, Any]) -> str:
    """The numbers of a report as gauges."""
    found = []
    for name, value in core.items():
        if value is not None and name != "dp_rank":
            found += [f"# TYPE sglang:{name} gauge", f'sglang:{name}{{dp_rank="{core["dp_rank"]}"}} {value}']
    return "\n".join(found) + "\n"


def _quoted(name: str) -> str:
    return f"'{rust_debug(name)[1:-1]}'"


def _empty(is_well: bool) -> Reply:
    return Reply(b"", 200 if is_well else 503, "text/plain")


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(to_json(value, inf_nan_mode="null"), status)


def _both(old: str, new: str, summary: str, run: Any) -> tuple[Operation, Operation]:
    return Operation(new, summary, run), Operation(old, f"{summary}, under its old name", run)


OPERATIONS = (
    Operation("/health_generate", "Whether a token can be made", health_generate),
    Operation("/ready", "Whether requests are worked on", ready, limited=False),
    Operation("/ping", "Whether requests are accepted", ping),
    *_both("/get_model_info", "/model_info", "What is served", model_info),
    *_both("/get_server_info", "/server_info", "The server's settings", server_info),
    Operation("/get_load", "The load in four numbers", get_load),
    Operation("/v1/loads", "The load in detail", loads),
    Operation("/v1/models", "The models", models),
    Operation("/v1/models/{name:path}", "One model", model),
)
