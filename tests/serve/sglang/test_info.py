"""What SGLang's clients ask of a server: every route and field, its type and its truth."""

import asyncio
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import microgpt
from microgpt import load_checkpoint
from microgpt.engine import Stats
from serve.dialects.sglang import embedding, info, score, tokenizer
from serve.settings import load_settings, public_values
from tests.serve.asgi_driver import GENERATE, Served, eventually, served
from tests.serve.scripted_engine import ScriptedEngine, as_engine, run
from tests.serve.server_process import server_process

API_MD = Path(__file__).parents[3] / "docs" / "api.md"
CHECKPOINT = load_checkpoint("tests/golden/chat_bpe")
# By these SGLang's frontend chooses a chat template, looking at the model's path.
TEMPLATE_PATTERNS = (
    "deepseek-(v3|r1)", "orion", "janus", "dbrx.*instruct", "vicuna|llava-v1.5|llava-next-video-7b", "llama-2.*chat",
    "codellama.*instruct", "pixtral|(mistral|mixtral).*instruct", "llama-3.*instruct", "tinyllama", "qwen.*vl",
    "glm-4v", "qwen.*(chat|instruct)", "llava", "yi-vl", "yi-1.5.*chat", "gemma-4.*it", "gemma.*it|gemma-3", "minicpm-",
    "c4ai-command-r", "granite.*instruct", "internvl2_5", "intern-s1|interns1",
)  # fmt: skip


@pytest.fixture(scope="module")
def web() -> Iterator[httpx.Client]:
    flags = ("--api-key=secret-one", "--admin-api-key=secret-two", "--max-queue=99", "--cors-origins=http://a,http://b")
    headers = {"Authorization": "Bearer secret-one"}
    with (
        server_process(CHECKPOINT.path, *flags) as server,
        httpx.Client(base_url=server.url, timeout=60, headers=headers) as client,
    ):
        yield client


def get(web: httpx.Client, path: str) -> Any:
    answer = web.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def types(value: Any) -> Any:
    """A JSON value with each scalar replaced by its type."""
    if isinstance(value, dict):
        return {name: types(item) for name, item in value.items()}
    return [types(item) for item in value] if isinstance(value, list) else type(value)


# Health


def test_probes_of_a_server_that_is_well(web: httpx.Client):
    for path in ("/health_generate", "/ready", "/ping"):
        answer = web.get(path)
        assert (answer.status_code, answer.content) == (200, b""), path
        assert web.head(path).status_code == 200
        assert web.post(path).status_code == 405


def test_health_generate_makes_one_token():
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        assert (await service.ask("/health_generate", method="GET")).status == 200
        (request,) = engine.seen
        assert request.id.startswith("HEALTH_CHECK_")
        assert (request.prompt_ids, request.params.max_tokens) == ((CHECKPOINT.tokenizer.bos,), 1)

    run(CHECKPOINT, scenario)


def test_probes_at_the_same_time_share_one_token():
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.hold.clear()
        probes = [service.send("/health_generate", method="GET") for _ in range(50)]
        await eventually(lambda: len(engine.live) == 1)
        probes[0].disconnect()
        assert not (await probes[0].done()).messages
        engine.hold.set()
        assert {(await probe.done()).status for probe in probes[1:]} == {200}
        assert len(engine.seen) == 1
        assert (await service.ask("/health_generate", method="GET")).status == 200
        assert len(engine.seen) == 2

    run(CHECKPOINT, scenario)


def test_an_engine_that_is_stuck_fails_the_probe(monkeypatch: pytest.MonkeyPatch):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.hold.clear()
        assert not await service.service.is_generating(0.1)
        await eventually(lambda: not engine.live)
        engine.hold.set()
        assert await service.service.is_generating(5)

    run(CHECKPOINT, scenario)


def test_a_full_queue_is_well_as_long_as_tokens_come():
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.hold.clear()
        working = service.send(GENERATE, {"num_samples": 2, "max_tokens": 200})
        await eventually(lambda: len(engine.live) == 1)
        assert not await service.service.is_generating(0.1)
        engine.hold.set()
        assert await service.service.is_generating(5)
        assert len(engine.seen) == 1
        await working.done()

    run(CHECKPOINT, scenario, MAX_QUEUE="2", step_s=0.005)


def test_probes_of_a_server_that_loads_fails_pauses_or_shuts_down():
    async def statuses(service: Served) -> dict[str, int]:
        paths = ("/health_generate", "/ready", "/ping")
        return {path: (await service.ask(path, method="GET", headers=[])).status for path in paths}

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        all_503 = {"/health_generate": 503, "/ready": 503, "/ping": 503}
        service.client.is_paused = True
        assert await statuses(service) == all_503 | {"/ping": 200}
        service.client.is_paused = False
        service.service.draining = True
        assert await statuses(service) == all_503
        service.service.draining = False
        assert await statuses(service) == dict.fromkeys(all_503, 200)
        engine.broken = ZeroDivisionError("planted")
        await service.ask(GENERATE, {})
        await eventually(lambda: service.service.status == "failed")
        assert await statuses(service) == all_503

    run(CHECKPOINT, scenario)

    async def loading() -> None:
        import threading

        release = threading.Event()

        def build() -> Any:
            release.wait(20)
            return as_engine(ScriptedEngine(CHECKPOINT))

        async with served(CHECKPOINT, build, wait=False) as service:
            assert set((await statuses(service)).values()) == {503}
            info = (await service.ask("/server_info", method="GET", headers=[])).json
            assert (info["status"], info["max_total_num_tokens"]) == ("loading", 0)
            assert (await service.ask("/get_load", method="GET", headers=[])).json[0]["num_reqs"] == 0
            release.set()
            await service.client.built()

    asyncio.run(loading())


# Info


def test_model_info(web: httpx.Client):
    path = str(CHECKPOINT.path)
    expected = {
        "model_path": path,
        "served_model_name": path,
        "tokenizer_path": path,
        "is_generation": True,
        "preferred_sampling_params": None,
        "weight_version": "default",
        "load_format": "safetensors",
        "reasoning_parser": None,
        "tool_call_parser": None,
        "disaggregation_mode": "null",
        "has_image_understanding": False,
        "has_audio_understanding": False,
        "model_type": "microgpt",
        "architectures": ["GPT"],
    }
    for route in ("/model_info", "/get_model_info"):
        assert get(web, route) == expected


def test_the_usual_model_path_selects_no_chat_template_of_other_models():
    default = load_settings([], {}).model_dir
    for name in (default, "microgpt", "/srv/microgpt/output"):
        assert not any(re.search(pattern, name, re.IGNORECASE) for pattern in TEMPLATE_PATTERNS)


TEXTS = (
    "model_path", "served_model_name", "tokenizer_path", "load_format", "weight_version", "disaggregation_mode",
    "schedule_policy", "status", "version", "launch_command", "frontend",
)  # fmt: skip
NUMBERS = (
    "context_length", "max_req_input_len", "max_running_requests", "max_queued_requests", "max_total_num_tokens",
    "tp_size", "dp_size", "pp_size",
)  # fmt: skip
SWITCHES = ("is_embedding", "skip_tokenizer_init", "enable_metrics")


def test_server_info(web: httpx.Client):
    for route in ("/server_info", "/get_server_info"):
        info = get(web, route)
        assert types(info) == {
            **types(public_values(load_settings([], {"CORS_ORIGINS": "http://a,http://b"}))),
            **dict.fromkeys(TEXTS, str),
            **dict.fromkeys(NUMBERS, int),
            **dict.fromkeys(SWITCHES, bool),
            "startup_time": float,
            "kv_events": type(None),
            "internal_states": [
                {
                    "last_gen_throughput": float,
                    "effective_max_running_requests_per_dp": int,
                    "memory_usage": {"token_capacity": int},
                    "weight_version": str,
                }
            ],
        }  # fmt: skip
        assert info["model_path"] == info["served_model_name"] == info["tokenizer_path"] == str(CHECKPOINT.path)
        assert (info["context_length"], info["max_req_input_len"]) == (256, 255)
        assert (info["status"], info["version"], info["max_queued_requests"]) == ("ready", microgpt.__version__, 99)
        assert info["max_total_num_tokens"] >= info["max_running_requests"] > 0
        assert info["max_total_num_tokens"] == info["internal_states"][0]["memory_usage"]["token_capacity"]
        assert info["port"] == web.base_url.port
        assert 0 < time.time() - info["startup_time"] < 300


def test_server_info_tells_no_secrets_and_how_to_start_another(web: httpx.Client):
    for route in ("/server_info", "/metrics", "/openapi.json", "/model_info"):
        assert "secret" not in web.get(route).text
    info = get(web, "/server_info")
    assert "api_key" not in info
    words = info["launch_command"].split()
    assert words[:3] == ["python", "-m", "serve"]
    again = public_values(load_settings(words[3:], {}))
    assert again == {name: info[name] for name in again}


def test_models(web: httpx.Client):
    models = get(web, "/v1/models")
    (card,) = models.pop("data")
    assert models == {"object": "list"}
    created = card.pop("created")
    assert isinstance(created, int)
    assert 0 <= time.time() - created < 300
    path = str(CHECKPOINT.path)
    assert card == {
        "id": path, "object": "model", "owned_by": "sglang", "root": path, "parent": None, "max_model_len": 256,
    }  # fmt: skip
    assert get(web, f"/v1/models/{path}")["id"] == path
    for name in ("gpt-4", path + "/", "a b", "x'y", "%F0%9F%99%82"):
        answer = web.get(f"/v1/models/{name}")
        assert answer.status_code == 404
        message = answer.json()["error"].pop("message")
        assert message.startswith("The model '")
        assert message.endswith("' does not exist")
        assert answer.json() == {
            "error": {"message": message, "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
        }
    assert web.get("/v1/models/gpt-4").json()["error"]["message"] == "The model 'gpt-4' does not exist"


# Load

CORE = {
    "timestamp": str, "dp_rank": int, "num_running_reqs": int, "num_waiting_reqs": int,
    "num_waiting_uncached_tokens": int, "num_used_tokens": int, "num_total_tokens": int, "num_active_tokens": int,
    "num_prealloc_ready_tokens": int, "max_total_num_tokens": int, "max_running_requests": int, "token_usage": float,
    "gen_throughput": float, "cache_hit_rate": float, "utilization": float, "total_prefill_uncached_tokens": int,
    "total_prefill_busy_us": type(None), "decode_moments": type(None),
}  # fmt: skip
AGGREGATE = {
    "total_running_reqs": int, "total_waiting_reqs": int, "total_reqs": int, "total_tokens": int,
    "avg_token_usage": float, "avg_throughput": float, "avg_utilization": float,
}  # fmt: skip
SECTIONS = {"memory": {"token_capacity": int}, "queues": {"waiting": int}}


def test_loads(web: httpx.Client):
    loads = get(web, "/v1/loads")
    assert types(loads) == {
        "timestamp": str, "version": str, "accelerator": str, "num_accelerators": int, "dp_rank_count": int,
        "loads": [CORE | SECTIONS], "aggregate": AGGREGATE,
    }  # fmt: skip
    assert abs(datetime.fromisoformat(loads["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=5)
    assert (loads["accelerator"], loads["num_accelerators"], loads["dp_rank_count"]) == ("cpu", 0, 1)
    assert loads["loads"][0]["max_total_num_tokens"] == get(web, "/server_info")["max_total_num_tokens"]


@pytest.mark.parametrize(
    ("include", "sections"),
    [("core", []), ("memory", ["memory"]), ("queues,core", ["queues"]), ("spec,lora,disagg", []), ("all", SECTIONS)],
)
def test_loads_by_section(web: httpx.Client, include: str, sections: Any):
    (load,) = get(web, f"/v1/loads?include={include}")["loads"]
    assert types(load) == CORE | {name: SECTIONS[name] for name in sections}


def test_loads_of_other_ranks_are_none(web: httpx.Client):
    assert len(get(web, "/v1/loads?dp_rank=0")["loads"]) == 1
    assert get(web, "/v1/loads?dp_rank=1")["loads"] == []
    assert get(web, f"/v1/loads?dp_rank={'9' * 5000}")["loads"] == []


@pytest.mark.parametrize(
    "query",
    ["include=", "include=cores", "include=core,,memory", "include=ALL", "include=%00", "include=%F0%9F%99%82",
     "format=", "format=xml", "dp_rank=-1", "dp_rank=x", "dp_rank=1.0", "dp_rank=%D9%A3"],
)  # fmt: skip
def test_bad_queries_of_loads_are_400(web: httpx.Client, query: str):
    answer = web.get(f"/v1/loads?{query}")
    assert answer.status_code == 400
    error = answer.json()
    assert query.split("=")[0] in error.pop("message")
    assert error == {"object": "error", "type": "BadRequestError", "param": None, "code": 400}


def test_loads_for_prometheus(web: httpx.Client):
    answer = web.get("/v1/loads?format=prometheus")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = {}
    for family in text_string_to_metric_families(answer.text):
        (sample,) = family.samples
        assert (family.type, sample.labels) == ("gauge", {"dp_rank": "0"})
        found[sample.name] = sample.value
    numbers = [name for name, kind in CORE.items() if kind in (int, float) and name != "dp_rank"]
    assert set(found) == {f"sglang:{name}" for name in numbers}
    assert found["sglang:max_total_num_tokens"] == get(web, "/server_info")["max_total_num_tokens"]


def test_get_load(web: httpx.Client):
    (load,) = get(web, "/get_load")
    assert types(load) == {"dp_rank": int, "num_reqs": int, "num_waiting_reqs": int, "num_tokens": int}


def test_loads_tell_what_the_engine_does(monkeypatch: pytest.MonkeyPatch):
    stats = Stats(running=5, waiting=1, free_slots=3, num_slots=8, free_pages=5, cached_pages=2, running_pages=3,
                  num_pages=10, prompt_tokens=40, cached_tokens=10, waiting_tokens=7)  # fmt: skip
    monkeypatch.setattr(ScriptedEngine, "stats", property(lambda engine: stats))

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        async def ask(path: str) -> Any:
            return (await service.ask(path, method="GET", headers=[])).json

        service.client._thread._num_live = 7  # accepted, two of them without a slot
        assert (await ask("/get_load")) == [{"dp_rank": 0, "num_reqs": 7, "num_waiting_reqs": 2, "num_tokens": 48 + 7}]
        loads = await ask("/v1/loads")
        (load,) = loads["loads"]
        del load["timestamp"]
        assert load == {
            "dp_rank": 0, "num_running_reqs": 5, "num_waiting_reqs": 2, "num_waiting_uncached_tokens": 7,
            "num_used_tokens": 48, "num_total_tokens": 55, "num_active_tokens": 48, "num_prealloc_ready_tokens": 0,
            "max_total_num_tokens": 160, "max_running_requests": 8, "token_usage": 0.3, "gen_throughput": 0.0,
            "cache_hit_rate": 0.25, "utilization": 0.625, "total_prefill_uncached_tokens": 30,
            "total_prefill_busy_us": None, "decode_moments": None,
            "memory": {"token_capacity": 160}, "queues": {"waiting": 2},
        }  # fmt: skip
        assert loads["aggregate"] == {
            "total_running_reqs": 5, "total_waiting_reqs": 2, "total_reqs": 7, "total_tokens": 55,
            "avg_token_usage": 0.3, "avg_throughput": 0.0, "avg_utilization": 0.625,
        }  # fmt: skip
        service.client._thread._num_live = 0

    run(CHECKPOINT, scenario)


def test_prefix_cache_and_throughput_are_seen():
    with server_process(CHECKPOINT.path) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        message = {"messages": [{"role": "user", "content": "hello there, how are you today? " * 4}], "max_tokens": 1}
        for _ in range(2):
            assert client.post("/microgpt/v1/chat", json=message).status_code == 200
        (load,) = get(client, "/v1/loads")["loads"]
        count = client.post("/tokenize", json={"messages": message["messages"]}).json()["count"]
        cached = (count - 1) // 16 * 16
        assert cached > 0
        assert load["cache_hit_rate"] == cached / (2 * count)
        assert load["total_prefill_uncached_tokens"] == 2 * count - cached
        deadline = time.monotonic() + 20
        while not (rate := get(client, "/v1/loads")["loads"][0]["gen_throughput"]):
            assert time.monotonic() < deadline
            client.post(GENERATE, json={"max_tokens": 50})
        assert rate >= 1
        assert get(client, "/server_info")["internal_states"][0]["last_gen_throughput"] >= 0


def test_wrong_methods_are_405(web: httpx.Client):
    for path in ("/model_info", "/get_server_info", "/get_load", "/v1/loads", "/v1/models", "/v1/models/x"):
        answer = web.post(path, json={})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET"), path


# Documentation


def test_the_documentation_names_every_route_and_every_field():
    text = API_MD.read_text("utf-8")
    for section, models in (
        ("## Tokenizer", (tokenizer.TokenizeBody, tokenizer.DetokenizeBody)),
        ("## POST /v1/score", (score.ScoreBody, score.Scores)),
    ):
        words = text.split(section)[1].split("\n## ")[0]
        for model in models:
            assert all(f"`{name}`" in words or f'"{name}"' in words for name in model.model_fields)
    for operation in (*info.OPERATIONS, *embedding.OPERATIONS):
        assert operation.path.replace("{name:path}", "{id}") in text
    words = text.split("## Health and information")[1].split("\n## ")[0]
    for name in (*TEXTS, *NUMBERS, *SWITCHES, *CORE, *AGGREGATE, *SECTIONS):
        assert f"`{name}`" in words
