"""The recorded answers of the original service, over the real app and the real engine: in process, and on a socket."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from microgpt import build_engine, load_checkpoint
from microgpt.text_stream import WHITE_SPACE
from serve.app import build_app
from serve.engine_client import EngineClient
from serve.limits import RateLimiter
from serve.service import Service
from serve.settings import load_settings
from tests.serve.server_process import server_process

GOLDEN_DIR = Path(__file__).parents[1] / "golden"
HEADERS = {"content-type": "application/json"}
Post = Callable[[str, bytes], httpx.Response]


def cases(model: str) -> list[Any]:
    golden = json.loads((GOLDEN_DIR / model / "golden.json").read_text("utf-8"))
    return golden["http"]


def by_name(case: dict[str, Any]) -> str:
    return case["name"]


def in_process(model: str) -> Iterator[Post]:
    """Posts to an app in this process, over httpx's ASGI transport."""
    checkpoint = load_checkpoint(GOLDEN_DIR / model)
    settings = load_settings(["--rate-limit=off"], {})
    with asyncio.Runner() as runner:
        client = EngineClient(
            lambda: build_engine(checkpoint, device="cpu", dtype="float64", rng="reference"),
            max_queue=settings.max_queue,
        )
        app = build_app(settings, Service(checkpoint, client), RateLimiter(settings.rate_limit))
        transport = httpx.ASGITransport(app=app)  # pyright: ignore[reportArgumentType]

        async def start() -> None:
            client.start()
            await client.built()

        async def post(path: str, body: bytes) -> httpx.Response:
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
                return await http.post(path, content=body, headers=HEADERS, timeout=60)

        runner.run(start())
        yield lambda path, body: runner.run(post(path, body))
        runner.run(client.stop())


@pytest.fixture(scope="module")
def chat_app() -> Iterator[Post]:
    yield from in_process("chat_bpe")


@pytest.fixture(scope="module")
def names_app() -> Iterator[Post]:
    yield from in_process("names_char")


@pytest.fixture(scope="module")
def chat_server() -> Iterator[Post]:
    """Posts to a server process."""
    with (
        server_process(GOLDEN_DIR / "chat_bpe", "--dtype=float64", "--rng=reference") as server,
        httpx.Client(base_url=server.url, headers=HEADERS, timeout=60) as http,
    ):
        yield lambda path, body: http.post(path, content=body)


def check(case: dict[str, Any], answer: httpx.Response) -> None:
    """What binds of a recorded case."""
    if case["name"] == "generate: positional array":
        assert answer.status_code == 422  # deliberately: bodies are objects
        return
    assert answer.status_code == case["status"], answer.text
    if case["status"] != 200:
        assert answer.headers["content-type"] == "application/json"
        assert set(answer.json()) == {"error"}
        if case.get("exact") is not False:
            assert answer.json() == json.loads(case["response_text"])
    elif "trace" in case and survives(case):
        assert answer.json()["tokens_dropped"] == case["trace"]["tokens_dropped"]


def survives(case: dict[str, Any]) -> bool:
    """Whether the original's truncation kept the last user turn whole: a user token stands behind the cut."""
    trace = case["trace"]
    full, prompt = trace["full_prompt"], trace["prompt"]
    last_user = max((i for i, token in enumerate(full) if token == 1), default=None)
    if last_user is None or len(full) == len(prompt):
        return True
    return len(full) - (len(prompt) - 1) <= last_user


@pytest.mark.parametrize("case", cases("chat_bpe"), ids=by_name)
def test_chat_model_in_process(chat_app: Post, case: dict[str, Any]):
    check(case, chat_app(case["path"], case["request_text"].encode()))


@pytest.mark.parametrize("case", [case for case in cases("names_char") if case["status"] != 200], ids=by_name)
def test_plain_model_in_process(names_app: Post, case: dict[str, Any]):
    check(case, names_app(case["path"], case["request_text"].encode()))


def test_chat_model_on_a_socket(chat_server: Post):
    for case in cases("chat_bpe"):
        check(case, chat_server(case["path"], case["request_text"].encode()))


def chat_cases() -> list[Any]:
    return [case for case in cases("chat_bpe") if "trace" in case]


def test_survival_is_told_apart():
    verdicts = {case["name"]: survives(case) for case in chat_cases() if case["trace"]["tokens_dropped"]}
    assert verdicts["chat: long history seed 42"]
    assert not verdicts["chat: one message longer than the context"]
    assert set(verdicts.values()) == {True, False}


@pytest.mark.parametrize("case", chat_cases(), ids=by_name)
def test_replies_equal_the_originals_tokens_where_the_rules_agree(chat_app: Post, case: dict[str, Any]):
    """With the original's defaults spelt out. A cap above ours, or a lost user turn, makes another answer."""
    trace = case["trace"]
    body = {"temperature": 0.8, **json.loads(case["request_text"])}
    room = 256 - len(trace["prompt"])
    if not survives(case) or len(trace["output_tokens"]) > room:
        pytest.skip("the rules differ here")
    body["max_tokens"] = max(1, min(trace["max_tokens"], room))
    if trace["max_tokens"] == 2**64 - 1:
        pytest.skip("the original generates nothing here")
    if case["name"] == "chat: special-token text in content":
        pytest.skip("the original reads <end_turn> in a message as the token; here a message is only text")
    answer = chat_app(case["path"], json.dumps({**body, "stream": True}).encode())
    final = json.loads(answer.text.split("\n\n")[-3].removeprefix("data: "))
    assert final["usage"]["prompt_tokens"] == len(trace["prompt"])
    assert final["content"] == trace["raw_text"].strip(WHITE_SPACE)


@pytest.mark.parametrize("stream", [False, True])
def test_buffered_and_streamed_answers_agree(chat_app: Post, stream: bool):
    bodies = [
        {"num_samples": n, "seed": seed, "temperature": temperature, "max_tokens": max_tokens}
        for n, seed, temperature, max_tokens in (
            (1, 2**63, 0.5, 40), (4, 11400714819323198485, 1.5, 30), (2, 3, 0, 20), (3, 2**64 - 1, 1000.0, 50),
        )
    ]  # fmt: skip
    for body in bodies:
        buffered = chat_app("/microgpt/v1/generate", json.dumps(body).encode()).json()
        text = chat_app("/microgpt/v1/generate", json.dumps({**body, "stream": True}).encode()).text
        *deltas, final = [json.loads(block.removeprefix("data: ")) for block in text.split("\n\n")[:-2]]
        joined = [""] * body["num_samples"]
        for event in deltas:
            joined[event["index"]] += event["delta"]
        assert joined == final["samples"] == buffered["samples"]
