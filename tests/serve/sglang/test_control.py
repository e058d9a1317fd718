"""The control routes: requests end or wait, weights change between answers, and nothing is lost meanwhile."""

import asyncio
import itertools
import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from microgpt import (
    Checkpoint,
    Engine,
    Event,
    FinishReason,
    GenerationRequest,
    ModelConfig,
    SamplingParams,
    build_engine,
    load_checkpoint,
    save_checkpoint,
)
from microgpt.engine import scheduler
from microgpt.tokenizers import CharTokenizer
from serve.dialects.sglang.control import ADMIN_PATHS, FLUSHED, OPERATIONS
from serve.engine_client import Progress
from tests.conftest import random_arrays
from tests.serve.asgi_driver import GENERATE, Exchange, Served, eventually, served
from tests.serve.server_process import ServerProcess, server_process


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Model directories: `new` can replace `old`, the others cannot."""
    root = tmp_path_factory.mktemp("models")
    for name, chars, block_size, seed in (
        ("old", "abcdefgh \n", 96, 0),
        ("new", "abcdefgh \n", 96, 5),
        ("longer", "abcdefgh \n", 128, 5),
        ("others", "hgfedcba \n", 96, 5),
        ("broken", "abcdefgh \n", 96, 5),
        ("cut", "abcdefgh \n", 96, 5),
    ):
        tokenizer = CharTokenizer(chars, chat=True)
        config = ModelConfig(tokenizer.vocab_size, 16, 2, 2, block_size)
        save_checkpoint(root / name, config, random_arrays(config, seed), tokenizer)
    (root / "broken" / "weights.safetensors").write_bytes(bytes(range(256)) * 9)
    cut = root / "cut" / "weights.safetensors"
    cut.write_bytes(cut.read_bytes()[:-1])
    return {path.name: path for path in root.iterdir()}


# Over real HTTP


@pytest.fixture(scope="module")
def server(models: dict[str, Path]) -> Iterator[ServerProcess]:
    with server_process(models["old"], "--request-timeout-s=4", "--max-queue=60") as process:
        yield process


@pytest.fixture
def web(server: ServerProcess, models: dict[str, Path]) -> Iterator[httpx.Client]:
    """A client of a server that serves `old`, as its only client."""
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client
        client.post("/continue_generation", json={})
        client.post("/flush_cache?timeout=20")
        body = {"model_path": str(models["old"]), "weight_version": "default"}
        assert client.post("/update_weights_from_disk", json=body).status_code == 200


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def generate(web: httpx.Client, seed: int = 0, num_samples: int = 5) -> httpx.Response:
    return web.post(GENERATE, json={"num_samples": num_samples, "seed": seed, "max_tokens": 40})


def samples(web: httpx.Client, seed: int = 0) -> list[str]:
    answer = generate(web, seed)
    assert answer.status_code == 200, answer.text
    return answer.json()["samples"]


def cached_pages(web: httpx.Client) -> float:
    return float(re.search(r"^microgpt_kv_pages\{state=\"cached\"\} (\S+)", web.get("/metrics").text, re.M)[1])  # type: ignore


def waits(answer: Future[httpx.Response]) -> bool:
    time.sleep(0.3)
    return not answer.done()


def test_abort_request_is_answered_with_nothing_whatever_it_names(web: httpx.Client) -> None:
    for body in ({}, {"rid": "unknown"}, {"rid": None, "abort_all": None}, {"abort_all": True}, {"rid": "", "x": 1}):
        answer = web.post("/abort_request", json=body)
        assert (answer.status_code, answer.content) == (200, b"")


def test_flush_cache_empties_the_cache(web: httpx.Client) -> None:
    for method in ("GET", "POST"):
        samples(web)
        answer = web.request(method, "/flush_cache")
        assert (answer.status_code, answer.text) == (200, FLUSHED)
        assert answer.headers["content-type"].startswith("text/plain")
        assert cached_pages(web) == 0


@pytest.mark.parametrize("timeout", ["-1", "nan", "inf", "soon", ""])
def test_a_bad_timeout_of_flush_cache_is_refused(web: httpx.Client, timeout: str) -> None:
    answer = web.post("/flush_cache", params={"timeout": timeout})
    assert answer.status_code == 400
    assert "timeout must be >= 0 and finite" in answer.json()["message"]


def test_flush_cache_waits_as_long_as_it_may_for_those_in_work(web: httpx.Client, pool: ThreadPoolExecutor) -> None:
    assert web.post("/pause_generation", json={}).status_code == 200
    held = pool.submit(generate, web)
    assert waits(held)
    for timeout in ("0", "0.05"):
        refused = web.get("/flush_cache", params={"timeout": timeout})
        assert refused.status_code == 400
        assert "not flushed" in refused.text
    flushing = pool.submit(web.post, "/flush_cache?timeout=20")
    web.post("/continue_generation", json={})
    assert flushing.result().status_code == 200
    assert held.result().status_code == 200


@pytest.mark.parametrize("mode", ["abort", "retract", "in_place"])
def test_a_pause_holds_what_comes_until_generation_continues(
    web: httpx.Client, pool: ThreadPoolExecutor, mode: str
) -> None:
    expected = samples(web)
    answer = web.post("/pause_generation", json={"mode": mode})
    assert (answer.status_code, answer.json()) == (200, {"message": "Generation paused successfully.", "status": "ok"})
    held = pool.submit(generate, web)
    assert waits(held)
    answer = web.post("/continue_generation", json={})
    assert answer.json() == {"message": "Generation continued successfully.", "status": "ok"}
    assert held.result().json()["samples"] == expected


def test_held_requests_have_the_bounds_that_all_have(web: httpx.Client, pool: ThreadPoolExecutor) -> None:
    web.post("/pause_generation", json={})
    held = [pool.submit(generate, web, num_samples=50), pool.submit(generate, web, num_samples=3)]
    assert all(map(waits, held))
    full = generate(web)
    assert (full.status_code, "queue is full" in full.text) == (503, True)
    assert [each.result().status_code for each in held] == [504, 504]
    left = httpx.Client(base_url=str(web.base_url), timeout=0.3)
    with pytest.raises(httpx.ReadTimeout):
        generate(left, num_samples=50)
    left.close()
    while web.get("/get_load").json()[0]["num_reqs"]:  # until the server has seen that the client has gone
        time.sleep(0.01)
    again = pool.submit(generate, web, num_samples=50)
    assert waits(again)
    web.post("/continue_generation", json={})
    assert again.result().status_code == 200


def test_held_requests_are_ended_by_an_abort_of_all(web: httpx.Client, pool: ThreadPoolExecutor) -> None:
    web.post("/pause_generation", json={"mode": "in_place"})
    held = pool.submit(generate, web)
    assert waits(held)
    web.post("/abort_request", json={"abort_all": True})
    assert held.result().json() == {"samples": [""] * 5}


def test_new_weights_serve_under_their_version(web: httpx.Client, models: dict[str, Path]) -> None:
    old = samples(web)
    body = {"model_path": str(models["new"]), "weight_version": "step-1", "load_format": "auto", "manifest": {}}
    answer = web.post("/update_weights_from_disk", json=body)
    message = "Succeeded to update model weights. Weight version updated to step-1."
    assert (answer.status_code, answer.json()) == (
        200, {"success": True, "message": message, "num_paused_requests": 0},
    )  # fmt: skip
    assert web.get("/get_weight_version").json() == {"weight_version": "step-1"}
    assert samples(web) != old
    body = {"model_path": str(models["old"])}
    answer = web.post("/update_weights_from_disk", json=body)
    assert answer.json()["message"] == "Succeeded to update model weights."
    assert web.get("/get_weight_version").json() == {"weight_version": "step-1"}
    assert samples(web) == old


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "is not a directory"),
        ("longer", "sizes of the new weights"),
        ("others", "same tokens"),
        ("broken", "not a sound safetensors file"),
        ("cut", "not a sound safetensors file"),
        ("\0", "is not a directory"),
        ("x" * 5000, "cannot use the checkpoint"),
        ("", "is not a directory"),
        ("/dev/null", "is not a directory"),
    ],
)
def test_weights_that_do_not_fit_leave_the_old_ones_serving(
    web: httpx.Client, models: dict[str, Path], name: str, message: str
) -> None:
    old = samples(web)
    path = str(models.get(name, name or models["old"] / "nothing"))
    answer = web.post("/update_weights_from_disk", json={"model_path": path, "weight_version": "no"})
    assert answer.status_code == 400
    assert answer.json()["success"] is False
    assert answer.json()["num_paused_requests"] == 0
    assert message in answer.json()["message"]
    assert samples(web) == old
    assert web.get("/get_weight_version").json() == {"weight_version": "default"}


def test_another_load_format_is_refused(web: httpx.Client, models: dict[str, Path]) -> None:
    body = {"model_path": str(models["new"]), "load_format": "dummy"}
    answer = web.post("/update_weights_from_disk", json=body)
    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert "load_format must be auto or safetensors" in answer.json()["message"]


def test_the_version_can_be_changed_alone(web: httpx.Client) -> None:
    for body in ({"new_version": "v2"}, {"new_version": "v3", "abort_all_requests": False}):
        version = body["new_version"]
        answer = web.post("/update_weight_version", json=body)
        expected = {"success": True, "message": f"Weight version updated to {version}", "new_version": version}
        assert (answer.status_code, answer.json()) == (200, expected)
        assert web.get("/get_weight_version").json() == {"weight_version": version}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_weights_are_read_by_name(web: httpx.Client, models: dict[str, Path], method: str) -> None:
    for served_dir in ("old", "new"):
        web.post("/update_weights_from_disk", json={"model_path": str(models[served_dir])})
        values = load_checkpoint(models[served_dir]).tensors["layer1.mlp_fc1"].widened().reshape(-1)
        for given, count in (({}, 100), ({"truncate_size": 3}, 3), ({"truncate_size": 10**6}, values.size)):
            answer = web.request(method, "/get_weights_by_name", json={"name": "layer1.mlp_fc1", **given})
            assert answer.status_code == 200
            np.testing.assert_array_equal(np.array(answer.json(), np.float32), values[:count])
    answer = web.request(method, "/get_weights_by_name", json={"name": "nothing"})
    assert answer.status_code == 400
    assert "name must be one of wte, wpe" in answer.json()["error"]["message"]
    for size in (-1, 2**20 + 1):
        answer = web.request(method, "/get_weights_by_name", json={"name": "wte", "truncate_size": size})
        assert (answer.status_code, list(answer.json()["error"])) == (400, ["message"])


BODIES = {
    "/abort_request": [{"rid": 1}, {"rid": ["a"]}, {"abort_all": "yes"}, {"abort_all": 1}],
    "/pause_generation": [{"mode": "now"}, {"mode": 1}],
    "/continue_generation": [],
    "/update_weights_from_disk": [
        {}, {"model_path": 1}, {"model_path": None}, {"model_path": "x", "abort_all_requests": 1},
        {"model_path": "x", "weight_version": 1}, {"model_path": "x", "weight_version": "v" * 257},
    ],
    "/update_weight_version": [{}, {"new_version": 1}, {"new_version": "v", "abort_all_requests": "no"}],
    "/get_weights_by_name": [
        {}, {"name": 1}, {"name": "wte", "truncate_size": "5"}, {"name": "wte", "truncate_size": 1.0},
    ],
    "/load_lora_adapter": [{}, {"lora_name": "a"}, {"lora_name": "a", "lora_path": 1}],
    "/unload_lora_adapter": [{}, {"lora_name": None}],
}  # fmt: skip


def test_a_name_of_weights_that_is_too_long_is_refused_by_its_length(web: httpx.Client) -> None:
    answer = web.post("/update_weight_version", json={"new_version": "v" * 257})
    assert answer.status_code == 400
    assert answer.json()["message"].startswith('new_version must be a string of at most 256 characters, got "vvv')


NO_OBJECTS = [
    b"{",
    b"[]",
    b"1",
    b'"x"',
    b"null",
    b"\xff",
    b'{"a": NaN}',
    b'{"a": 1e999}',
    b'{"a": 1, "a": 2}',
    b"[" * 9999,
]


@pytest.mark.parametrize("path", BODIES)
def test_bad_bodies_are_400_with_an_error_object(web: httpx.Client, path: str) -> None:
    before = samples(web)
    for body in [*NO_OBJECTS, *BODIES[path]]:
        how: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = web.post(path, **how)
        assert answer.status_code == 400, (body, answer.text)
        error = answer.json()
        assert list(error) == ["object", "message", "type", "param", "code"]
        assert (error["object"], error["type"], error["param"], error["code"]) == ("error", "Bad Request", None, 400)
    assert samples(web) == before


def test_bodies_are_taken_whatever_their_media_type_and_bounded_in_size(web: httpx.Client) -> None:
    answer = web.post("/abort_request", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code == 200
    answer = web.post("/abort_request", content=b" " * 10_000_000)
    assert (answer.status_code, answer.json()["code"]) == (413, 413)


@pytest.mark.parametrize(
    "path",
    [
        "/configure_logging", "/start_profile", "/stop_profile", "/release_memory_occupation",
        "/resume_memory_occupation",
    ],
)  # fmt: skip
def test_what_programs_ask_for_in_passing_is_accepted_and_changes_nothing(web: httpx.Client, path: str) -> None:
    before = samples(web)
    assert web.post(path, json={"tags": ["weights"]}).status_code == 200
    assert samples(web) == before


def test_what_there_is_not_is_refused_by_name(web: httpx.Client) -> None:
    answer = web.post("/slow_down", json={})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("not supported by this server: ")


def test_adapters_are_refused_in_the_form_of_their_answers(web: httpx.Client) -> None:
    for path, body in (
        ("/load_lora_adapter", {"lora_name": "a", "lora_path": "b", "pinned": True}),
        ("/unload_lora_adapter", {"lora_name": "a"}),
    ):
        answer = web.post(path, json=body)
        assert answer.status_code == 400
        assert answer.json() == {
            "rid": None, "success": False, "loaded_adapters": {},
            "error_message": "LoRA adapters are not supported by this server",
        }  # fmt: skip


def test_the_garbage_collector_can_be_spared(web: httpx.Client) -> None:
    assert [web.request(method, "/freeze_gc").status_code for method in ("GET", "POST")] == [200, 200]


def test_the_openapi_document_shows_their_bodies(web: httpx.Client) -> None:
    paths = web.get("/openapi.json").json()["paths"]
    for path in BODIES:
        assert paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(set(names)) == len(names)


def test_all_that_changes_the_server_is_for_administrators() -> None:
    assert {operation.path for operation in OPERATIONS} == ADMIN_PATHS
    assert {"/flush_cache", "/abort_request", "/pause_generation", "/update_weights_from_disk"} < ADMIN_PATHS
    assert "/get_weight_version" not in ADMIN_PATHS


def test_a_paused_server_that_is_stopped_finishes_what_it_has_accepted(
    models: dict[str, Path], pool: ThreadPoolExecutor
) -> None:
    with server_process(models["old"]) as process:
        web = httpx.Client(base_url=process.url, timeout=30)
        web.post("/pause_generation", json={})
        held = pool.submit(generate, web)
        assert waits(held)
        assert process.stop() == 0
        assert held.result().status_code == 200


# In one process, with the engine in view


@pytest.fixture
def checkpoint(models: dict[str, Path]) -> Checkpoint:
    return load_checkpoint(models["old"])


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token a step, so that requests are in work for a while."""
    monkeypatch.setattr(scheduler, "BURST_STEPS", 1)


class Brake:
    """Lets an engine make so many steps and then, but for what is cancelled, none until it is released."""

    def __init__(self, steps: int):
        self.steps = steps
        self.is_released = False

    def on(self, engine: Engine) -> Engine:
        step = engine.step

        def braked() -> list[Event]:
            if not self.is_released and not engine.is_paused and not engine._cancelled:
                if not self.steps:
                    time.sleep(0.001)
                    return []
                self.steps -= 1
            return step()

        engine.step = braked
        return engine


def build(checkpoint: Checkpoint, brake: Brake | None = None) -> Engine:
    engine = build_engine(checkpoint, backend="numba", threads=1, max_slots=4)
    return brake.on(engine) if brake else engine


def asked(name: str, seed: int = 0, **knobs: Any) -> GenerationRequest:
    params = SamplingParams(**{"seed": seed, "max_tokens": 60, "ignore_eos": True, **knobs})
    return GenerationRequest(name, (seed % 9, *range(8)) * 3, params)


Tokens = tuple[int, ...]


async def finish(running: Served, request: GenerationRequest) -> tuple[Tokens, Progress]:
    """All tokens of a request of one sample, and its last progress."""
    tokens: list[int] = []
    with running.service.start([request], wants_tokens=True) as generation:
        while True:
            for progress in await generation.news():
                tokens += progress.token_ids
                if progress.end is not None:
                    assert progress.end.usage.completion_tokens == len(tokens)
                    return tuple(tokens), progress


def start(running: Served, request: GenerationRequest) -> "asyncio.Task[tuple[Tokens, Progress]]":
    return asyncio.create_task(finish(running, request))


async def post(running: Served, path: str, body: Any) -> Exchange:
    answer = await running.ask(path, body)
    assert answer.status == 200, answer.body
    return answer


def alone(checkpoint: Checkpoint, seeds: range) -> dict[int, Tokens]:
    """What a model answers to each seed when it is asked for nothing else."""

    async def ask() -> dict[int, Tokens]:
        async with served(checkpoint, lambda: build(checkpoint)) as running:
            return {seed: (await finish(running, asked("x", seed)))[0] for seed in seeds}

    return asyncio.run(ask())


async def in_work(running: Served, count: int = 1) -> None:
    """Returns once so many more tokens have come."""
    before = running.client.num_tokens
    async with asyncio.timeout(60):
        while running.client.num_tokens < before + count:
            await asyncio.sleep(0.001)


def check_nothing_runs(running: Served) -> None:
    engine = running.client.engine
    assert engine is not None
    stats = engine.stats
    assert stats.running == stats.waiting == stats.running_pages == 0
    assert stats.free_slots == stats.num_slots
    assert stats.free_pages + stats.cached_pages == stats.num_pages
    assert running.client.in_flight == 0
    assert running.client.live_ids == []


def test_an_abort_ends_the_request_it_names_and_those_whose_ids_begin_so(checkpoint: Checkpoint, slow: None) -> None:
    async def scenario() -> None:
        async with served(checkpoint, lambda: build(checkpoint)) as running:
            await post(running, "/pause_generation", {"mode": "in_place"})
            names = ("job", "job_0", "jobs", "jo", "other")
            tasks = {name: start(running, asked(name)) for name in names}
            internal = running.send(GENERATE, {"max_tokens": 5})
            await eventually(lambda: running.client.in_flight == 6)
            for rid in ("j", "jobs_1", "", "\0", "\x000"):  # none is live, or nobody's to name
                await post(running, "/abort_request", {"rid": rid})
            await post(running, "/abort_request", {"rid": "job"})
            for name in ("job", "job_0", "jobs"):
                tokens, progress = await tasks[name]
                assert tokens == ()
                assert progress.end is not None
                assert progress.end.reason is FinishReason.CANCELLED
                assert progress.end.queue_s is None, "it had no slot yet"
            assert not tasks["jo"].done()
            await post(running, "/continue_generation", {})
            for name in ("jo", "other"):
                tokens, progress = await tasks[name]
                assert len(tokens) == 60
            assert (await internal.done()).status == 200
            check_nothing_runs(running)

    asyncio.run(scenario())


def test_an_aborted_request_is_answered_with_what_it_has(checkpoint: Checkpoint, slow: None) -> None:
    expected = alone(checkpoint, range(1))[0]

    async def scenario() -> None:
        brake = Brake(10)
        async with served(checkpoint, lambda: build(checkpoint, brake)) as running:
            task = start(running, asked("job"))
            await in_work(running)
            await eventually(lambda: not brake.steps)
            await post(running, "/abort_request", {"rid": "job"})
            tokens, progress = await task
            assert progress.end is not None
            assert progress.end.reason is FinishReason.CANCELLED
            assert progress.end.queue_s is not None
            assert 0 < len(tokens) <= 10
            assert tokens == expected[: len(tokens)]

    asyncio.run(scenario())


@pytest.mark.parametrize("mode", ["retract", "in_place"])
def test_frozen_requests_go_on_as_if_nothing_had_been(checkpoint: Checkpoint, slow: None, mode: str) -> None:
    expected = alone(checkpoint, range(6))

    async def scenario() -> None:
        brake = Brake(10)
        async with served(checkpoint, lambda: build(checkpoint, brake)) as running:
            tasks = {seed: start(running, asked(f"r{seed}", seed)) for seed in expected}
            await eventually(lambda: not brake.steps)
            await post(running, "/pause_generation", {"mode": mode})
            brake.is_released = True
            await eventually(lambda: running.service.paused)
            engine = running.client.engine
            assert engine is not None
            assert engine.stats.running == (4 if mode == "in_place" else 0)
            num_tokens = running.client.num_tokens
            await asyncio.sleep(0.1)
            assert running.client.num_tokens == num_tokens
            await post(running, "/continue_generation", {})
            for seed, task in tasks.items():
                assert (await task)[0] == expected[seed]
            check_nothing_runs(running)

    asyncio.run(scenario())


def test_a_pause_that_aborts_ends_what_runs(checkpoint: Checkpoint, slow: None) -> None:
    async def scenario() -> None:
        brake = Brake(10)
        async with served(checkpoint, lambda: build(checkpoint, brake)) as running:
            tasks = [start(running, asked(f"r{seed}", seed, max_tokens=None)) for seed in range(9)]
            await eventually(lambda: not brake.steps)
            await post(running, "/pause_generation", {})
            ends = [(await task)[1].end for task in tasks]
            assert {end.reason for end in ends if end} == {FinishReason.CANCELLED}
            assert [end.queue_s is None for end in ends if end] == [False] * 4 + [True] * 5
            check_nothing_runs(running)

    asyncio.run(scenario())


def test_every_answer_under_swaps_is_that_of_the_weights_it_names(models: dict[str, Path], slow: None) -> None:
    old, new = (load_checkpoint(models[name]) for name in ("old", "new"))
    seeds = range(40)
    expected = {"old": alone(old, seeds), "new": alone(new, seeds)}
    assert all(expected["old"][seed] != expected["new"][seed] for seed in seeds)

    async def scenario() -> None:
        seen: list[str] = []
        async with served(old, lambda: build(old)) as running:
            await post(running, "/update_weight_version", {"new_version": "old"})
            swapping = True

            async def client(number: int) -> None:
                rng = random.Random(number)
                while swapping:
                    seed = rng.choice(seeds)
                    tokens, progress = await finish(running, asked(f"{number}", seed))
                    assert tokens == expected[progress.weight_version][seed]
                    seen.append(progress.weight_version)

            clients = [asyncio.create_task(client(number)) for number in range(7)]
            for turn in range(12):
                name = ("new", "old")[turn % 2]
                await in_work(running, 50)
                if turn % 3 == 2:
                    bad = await running.ask("/update_weights_from_disk", {"model_path": str(models["cut"])})
                    assert bad.status == 400
                body = {"model_path": str(models[name]), "weight_version": name}
                answer = await post(running, "/update_weights_from_disk", body)
                assert answer.json["num_paused_requests"] == 0
                assert running.service.model_path == str(models[name])
            swapping = False
            await asyncio.gather(*clients)
            check_nothing_runs(running)
        assert set(seen) == {"old", "new"}

    asyncio.run(scenario())


def test_weights_swapped_under_frozen_requests_are_what_they_go_on_with(models: dict[str, Path], slow: None) -> None:
    old, new = (load_checkpoint(models[name]) for name in ("old", "new"))
    expected = alone(old, range(3))

    async def scenario() -> None:
        brake = Brake(10)
        async with served(old, lambda: build(old, brake)) as running, served(new, lambda: build(new)) as fresh:
            tasks = {seed: start(running, asked(f"r{seed}", seed)) for seed in expected}
            await eventually(lambda: not brake.steps)
            await post(running, "/pause_generation", {"mode": "in_place"})
            brake.is_released = True
            late = start(running, asked("late", 5))
            body = {"model_path": str(models["new"]), "weight_version": "new"}
            answer = await post(running, "/update_weights_from_disk", body)
            assert answer.json["num_paused_requests"] == 3
            assert running.service.paused
            await post(running, "/continue_generation", {})
            for seed, task in tasks.items():
                tokens, progress = await task
                assert progress.weight_version == "new"
                count = next(i for i, pair in enumerate(zip(tokens, expected[seed], strict=True)) if len(set(pair)) > 1)
                # From where it was frozen, which is no later than that, the new model made it.
                request = asked(f"r{seed}", seed)
                found = []
                for kept in range(count + 1):
                    prompt = (*request.prompt_ids, *tokens[:kept])
                    params = SamplingParams(seed=seed, max_tokens=60 - kept, ignore_eos=True)
                    rest, _ = await finish(fresh, GenerationRequest("x", prompt, params))
                    found.append((*tokens[:kept], *rest) == tokens)
                assert any(found)
            tokens, progress = await late
            assert tokens == (await finish(fresh, asked("late", 5)))[0]
            check_nothing_runs(running)

    asyncio.run(scenario())


def test_aborted_requests_are_of_the_version_before_the_swap(models: dict[str, Path], slow: None) -> None:
    old = load_checkpoint(models["old"])
    expected = alone(old, range(5))

    async def scenario() -> None:
        brake = Brake(10)
        async with served(old, lambda: build(old, brake)) as running:
            for turn, (path, body) in enumerate(
                (
                    ("/update_weight_version", {"new_version": "v0"}),
                    ("/update_weights_from_disk", {"model_path": str(models["old"]), "weight_version": "v1"}),
                )
            ):
                before = running.service.weight_version
                brake.steps = 10
                tasks = {seed: start(running, asked(f"r{seed}", seed)) for seed in expected}
                await eventually(lambda: not brake.steps)
                await post(running, path, {**body, "abort_all_requests": True})
                for seed, task in tasks.items():
                    tokens, progress = await task
                    assert len(tokens) < 60
                    assert progress.weight_version == before
                    assert tokens == expected[seed][: len(tokens)]
                assert running.service.weight_version == f"v{turn}"

    asyncio.run(scenario())


def test_an_update_is_finished_also_when_its_client_leaves(models: dict[str, Path], slow: None) -> None:
    old = load_checkpoint(models["old"])

    async def scenario() -> None:
        async with served(old, lambda: build(old)) as running:
            tasks = [start(running, asked(f"r{seed}", seed)) for seed in range(9)]
            body = {"model_path": str(models["new"]), "weight_version": "new"}
            leaving = running.send("/update_weights_from_disk", body)
            flushing = running.send("/flush_cache", method="GET")
            await asyncio.sleep(0.01)
            leaving.disconnect()
            flushing.disconnect()
            await leaving.done()
            await flushing.done()
            await eventually(lambda: running.service.weight_version == "new")
            for task in tasks:
                assert (await task)[1].weight_version == "default"

    asyncio.run(scenario())


def test_updates_at_once_happen_one_after_the_other(models: dict[str, Path], slow: None) -> None:
    old = load_checkpoint(models["old"])

    async def scenario() -> None:
        async with served(old, lambda: build(old)) as running:
            tasks = [start(running, asked(f"r{seed}", seed)) for seed in range(9)]
            updates = [
                running.send("/update_weights_from_disk", {"model_path": str(models[name]), "weight_version": name})
                for name in ("new", "old", "new", "old", "new")
            ]
            for update in updates:
                assert (await update.done()).status == 200
            await asyncio.gather(*tasks)
            assert running.service.weight_version == "new"
            assert running.service.model_path == str(models["new"])

    asyncio.run(scenario())


def test_control_waits_for_the_engine_to_be_built_and_ends_with_it(models: dict[str, Path]) -> None:
    old = load_checkpoint(models["old"])

    async def scenario() -> None:
        async with served(old, lambda: build(old)) as running:
            await running.client.stop()
            for path, body in (
                ("/pause_generation", {}),
                ("/continue_generation", {}),
                ("/flush_cache", None),
                ("/update_weight_version", {"new_version": "v"}),
                ("/update_weights_from_disk", {"model_path": str(models["new"])}),
            ):
                answer = await running.ask(path, body)
                assert (answer.status, answer.json["code"]) == (503, 503), path

    asyncio.run(scenario())


def test_fifty_random_operations_under_load_leave_nothing_behind(models: dict[str, Path], slow: None) -> None:
    old = load_checkpoint(models["old"])

    async def scenario() -> None:
        rng = random.Random(6)
        counts = {"ended": 0, "left": 0}
        async with served(old, lambda: build(old)) as running:
            going = True

            async def client(number: int) -> None:
                own = random.Random(number)
                for turn in itertools.count():
                    if not going:
                        return
                    request = asked(f"{number}.{turn}", own.randrange(99), max_tokens=own.choice([1, 20, None]))
                    task = start(running, request)
                    if own.random() < 0.2:
                        await asyncio.sleep(own.random() * 0.02)
                        task.cancel()
                    try:
                        await task
                        counts["ended"] += 1
                    except asyncio.CancelledError:
                        counts["left"] += 1

            clients = [asyncio.create_task(client(number)) for number in range(12)]
            for _ in range(50):
                path, body = rng.choice(
                    [
                        ("/pause_generation", {"mode": rng.choice(["abort", "retract", "in_place"])}),
                        ("/continue_generation", {}),
                        ("/abort_request", {"rid": rng.choice([*running.client.live_ids, "nobody"])}),
                        ("/abort_request", {"abort_all": True}),
                        ("/flush_cache?timeout=0.02", None),
                        ("/update_weights_from_disk", {"model_path": str(models[rng.choice(["old", "new", "cut"])])}),
                        ("/update_weight_version", {"new_version": "v"}),
                    ]
                )
                running.send(path, body)  # without waiting: they overlap
                await asyncio.sleep(rng.random() * 0.02)
            await post(running, "/continue_generation", {})
            await in_work(running, 50)
            going = False
            async with asyncio.timeout(60):
                await asyncio.gather(*clients)
            assert (await running.ask("/flush_cache?timeout=5", None)).status == 200
            check_nothing_runs(running)
            assert running.client.engine is not None
            assert running.client.engine.stats.cached_pages == 0
            assert min(counts.values()) > 0, counts

    asyncio.run(scenario())
