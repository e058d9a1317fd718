"""POST /v1/score over HTTP: against the torch module, in all its forms, refusals that are always 400; and the routes of
embedding models."""

import math
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import torch

from microgpt import load_checkpoint
from microgpt.models.gpt import GPT
from tests.serve.asgi_driver import Served
from tests.serve.scripted_engine import ScriptedEngine, run
from tests.serve.server_process import server_process

CHECKPOINT = load_checkpoint("tests/golden/chat_bpe")
TOKENIZER, VOCAB, CONTEXT = CHECKPOINT.tokenizer, CHECKPOINT.config.vocab_size, CHECKPOINT.config.block_size
MODEL = GPT(CHECKPOINT.config).double()
MODEL.load_arrays({name: tensor.widened() for name, tensor in CHECKPOINT.tensors.items()})
GOOD: dict[str, Any] = {"query": "hello", "items": [" you", " me"], "label_token_ids": [5, 6, 7]}


@pytest.fixture(scope="module")
def web() -> Iterator[httpx.Client]:
    with server_process(CHECKPOINT.path) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def score(web: httpx.Client, **body: Any) -> Any:
    answer = web.post("/v1/score", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def encode(text: str) -> list[int]:
    return [TOKENIZER.bos, *TOKENIZER.encode(text)]


def oracle(prompts: Sequence[Sequence[int]], labels: Sequence[Sequence[int]]) -> list[list[float]]:
    """Log probabilities of what may come after each prompt."""
    rows = []
    with torch.no_grad():
        for prompt, ids in zip(prompts, labels, strict=True):
            logprobs = MODEL(torch.tensor([prompt]))[0, -1].log_softmax(-1)
            rows.append([float(logprobs[i]) for i in ids])
    return rows


def assert_close(found: list[list[float]], expected: list[list[float]]) -> None:
    assert [len(row) for row in found] == [len(row) for row in expected]
    for row, wanted in zip(found, expected, strict=True):
        assert row == pytest.approx(wanted, abs=1e-4, rel=1e-4)


def test_scores_are_probabilities_of_the_next_token(web: httpx.Client):
    found = score(web, **GOOD, return_token_logprobs=True, model="any name")
    prompts = [encode("hello you"), encode("hello me")]
    expected = oracle(prompts, [[5, 6, 7]] * 2)
    assert_close(found["token_logprobs"], expected)
    assert_close(found["scores"], [[math.exp(x) for x in row] for row in expected])
    num_tokens = sum(map(len, prompts))
    del found["scores"], found["token_logprobs"]
    assert found == {
        "object": "scoring",
        "model": "any name",
        "usage": {"prompt_tokens": num_tokens, "completion_tokens": 0, "total_tokens": num_tokens},
    }


def test_log_probabilities_come_only_if_asked_for(web: httpx.Client):
    found = score(web, **GOOD)
    assert set(found) == {"object", "scores", "model", "usage"}
    assert found["model"] == "default"


def test_softmax_over_the_labels(web: httpx.Client):
    (expected,) = oracle([encode("hello you")], [[5, 6, 7]])
    body = {"query": "hello", "items": " you", "label_token_ids": [5, 6, 7], "apply_softmax": True}
    for temperature in (1, 0.5, 3.0):
        weights = [math.exp(x / temperature) for x in expected]
        found = score(web, **body, temperature=temperature)["scores"]
        assert_close(found, [[weight / sum(weights) for weight in weights]])
    for temperature in (1e-300, 1e300):
        (row,) = score(web, **body, temperature=temperature)["scores"]
        assert sum(row) == pytest.approx(1)
        assert (max(row) == 1) == (temperature < 1)


def test_one_text_is_one_item(web: httpx.Client):
    assert score(web, **GOOD | {"items": " you"})["scores"] == score(web, **GOOD | {"items": [" you"]})["scores"]


def test_text_is_joined_before_it_is_tokenised_and_may_have_special_tokens(web: httpx.Client):
    for query, item in (("hel", "lo"), ("<user>hi<end", "_turn>"), ("<bos>", "x"), ("", "x"), ("x", "")):
        found = score(web, query=query, items=[item], label_token_ids=[9], return_token_logprobs=True)
        count = web.post("/tokenize", json={"prompt": query + item}).json()
        assert_close(found["token_logprobs"], oracle([count["tokens"]], [[9]]))
        assert found["usage"]["prompt_tokens"] == count["count"]


def test_ids_run_as_given_and_items_may_come_first(web: httpx.Client):
    query, items, labels = [1, 20, 30], [[40], [50, 60], []], [3, 2, 1]
    for item_first in (False, True):
        prompts = [item + query if item_first else query + item for item in items]
        found = score(
            web, query=query, items=items, label_token_ids=labels, item_first=item_first, return_token_logprobs=True
        )
        assert_close(found["token_logprobs"], oracle(prompts, [labels] * 3))
    first = score(web, query="hello", items=[" you"], label_token_ids=[5], item_first=True)["scores"]
    assert first == score(web, query=" you", items=["hello"], label_token_ids=[5])["scores"]


def test_labels_for_each_item_in_any_number_twice_too(web: httpx.Client):
    rng = random.Random(3)
    items = [[rng.randrange(VOCAB) for _ in range(5)] for _ in range(4)]
    labels = [rng.sample(range(VOCAB), 500), [7, 8, 7], list(range(VOCAB)), [0]]
    found = score(web, query=[1], items=items, label_token_ids=labels, return_token_logprobs=True)
    assert_close(found["token_logprobs"], oracle([[1, *item] for item in items], labels))
    assert sum(found["scores"][2]) == pytest.approx(1, abs=1e-4)
    assert found["usage"]["prompt_tokens"] == 4 * 6


def test_the_longest_prompt(web: httpx.Client):
    ids = [1 + i % 50 for i in range(CONTEXT - 1)]
    found = score(web, query=ids[:-1], items=[ids[-1:]], label_token_ids=[4], return_token_logprobs=True)
    assert_close(found["token_logprobs"], oracle([ids], [[4]]))
    message = refused(web.post("/v1/score", json={"query": ids, "items": [[1]], "label_token_ids": [4]}))
    assert message == f"The input ({CONTEXT} tokens) is longer than the model's context length ({CONTEXT} tokens)."


def test_the_same_scores_alone_and_among_many(web: httpx.Client):
    items = [f" number {i}" for i in range(200)]
    together = score(web, query="pick", items=items, label_token_ids=[5, 6])["scores"]
    for i in (0, 99, 199):
        assert score(web, query="pick", items=[items[i]], label_token_ids=[5, 6])["scores"] == [together[i]]


def refused(answer: httpx.Response) -> str:
    """The message of a 400."""
    error = answer.json()
    assert (answer.status_code, set(error)) == (400, {"object", "message", "type", "param", "code"}), answer.text
    assert (error["object"], error["param"], error["code"]) == ("error", None, 400)
    assert error["type"] in ("Bad Request", "BadRequestError")
    return error["message"]


BAD: list[Any] = [
    [],
    5,
    {},
    {"query": "a", "label_token_ids": [1]},
    {"items": ["a"], "label_token_ids": [1]},
    {"query": "a", "items": ["b"]},
    *(GOOD | {"query": wrong} for wrong in (5, True, {}, ["a"], [1.0], [True], [1], [[1]])),
    *(GOOD | {"items": wrong} for wrong in (5, True, {}, [], [1], [None], ["a", 1], [["a"]], [[1], "a"], [1.5], [[]])),
    *(GOOD | {"query": [1], "items": wrong} for wrong in ("a", ["a"], [1], [[1], [1.0]], [[-1]], [[VOCAB]], [[2**70]])),
    GOOD | {"query": [], "items": [[]]},
    GOOD | {"items": ["x"] * 257},
    GOOD | {"query": "x" * 5000},
    *(
        GOOD | {"label_token_ids": wrong}
        for wrong in (
            [], [[]], [[1], []], [[1]], [[1], [2], [3]], "a", 5, {}, [1.0], [True], ["a"], [None], [1, [2]], [-1],
            [VOCAB], [999999], [2**64], [[1], [VOCAB]],
        )
    ),
    *(
        GOOD | {name: wrong}
        for name in ("apply_softmax", "item_first", "return_token_logprobs")
        for wrong in (0, 1, "true", [], {}, 1.5)
    ),
    *(GOOD | {"model": wrong} for wrong in (1, True, [], {})),
    *(GOOD | {"temperature": wrong} for wrong in ("1", True, [], 0, -1, 0.5, 2, 1e300)),
    *(GOOD | {"apply_softmax": True, "temperature": wrong} for wrong in (0, -0.5, "1")),
    {"query": [1], "items": [[1]] * 33, "label_token_ids": list(range(VOCAB))},  # 8 x 33 requests of the engine
]  # fmt: skip


def test_bad_bodies_are_400_and_the_server_lives(web: httpx.Client):
    for body in BAD:
        assert refused(web.post("/v1/score", json=body)), body
    headers = {"content-type": "application/json"}
    for raw in (b"", b"{", b"\xff", b'{"query": NaN}', b"[" * 100_000, b'{"temperature": 1e999}'):
        assert refused(web.post("/v1/score", content=raw, headers=headers)), raw[:50]
    assert refused(web.post("/v1/score", content=b"{}", headers={"content-type": "text/plain"})).startswith(
        "Unsupported Media Type"
    )
    message = refused(web.post("/v1/score", json=GOOD | {"label_token_ids": [999999]}))
    assert message.startswith("Token ID 999999 is out of vocabulary")
    score(web, **GOOD)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"items": ["a"], "label_token_ids": [1]}, "query is required"),
        ({"query": "a", "label_token_ids": [1]}, "items is required"),
        (GOOD | {"query": 5}, "query must be a string or an array of integers, got 5"),
        (GOOD | {"query": [1, "a"]}, 'query[1] must be an integer, got "a"'),
        (GOOD | {"items": 5}, "items must be a string, or an array of strings or of arrays of integers, got 5"),
        (GOOD | {"items": []}, "items must not be empty"),
        (GOOD | {"items": ["a", 1]}, "items[1] must be a string, as query is, got 1"),
        (GOOD | {"query": [1], "items": [[1], "a"]}, 'items[1] must be an array of integers, as query is, got "a"'),
        (GOOD | {"query": [1], "items": [[1], [True]]}, "items[1][0] must be an integer, got true"),
        (
            GOOD | {"label_token_ids": 5},
            "label_token_ids must be an array of integers, or an array of such arrays, got 5",
        ),
        (GOOD | {"label_token_ids": [[1], [2, 1.5]]}, "label_token_ids[1][1] must be an integer, got 1.5"),
        (GOOD | {"label_token_ids": [[[1]]]}, "label_token_ids[0][0] must be an integer, got an array"),
        (GOOD | {"label_token_ids": [[1], []]}, "label_token_ids[1] must not be empty"),
        (GOOD | {"label_token_ids": []}, "label_token_ids must not be empty"),
    ],
)
def test_refusals_name_what_was_given(web: httpx.Client, body: dict[str, Any], message: str):
    assert refused(web.post("/v1/score", json=body)) == message


def test_null_stands_for_what_is_left_out(web: httpx.Client):
    names = ("apply_softmax", "item_first", "temperature", "return_token_logprobs", "model")
    assert score(web, **GOOD | dict.fromkeys(names)) == score(web, **GOOD)
    assert refused(web.post("/v1/score", json=GOOD | {"query": None}))


def test_scores_draw_on_the_budget_and_the_queue_of_what_generates():
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        statuses = [(await service.ask("/v1/score", b"{")).status for _ in range(11)]
        assert statuses == [400] * 10 + [429]

    run(CHECKPOINT, scenario, RATE_LIMIT="1/day")

    async def full(service: Served, engine: ScriptedEngine) -> None:
        engine.hold.clear()
        working = service.send("/microgpt/v1/generate", {"num_samples": 2, "max_tokens": 1})
        await service.ask("/health", method="GET")
        answer = await service.ask("/v1/score", GOOD)
        assert (answer.status, answer.json["code"], answer.json["type"]) == (503, 503, "503")
        assert int(answer.headers["retry-after"]) >= 1
        engine.hold.set()
        await working.done()

    run(CHECKPOINT, full, MAX_QUEUE="2")


def test_scores_that_an_administrator_ends_are_a_503(web: httpx.Client):
    """There is no part of an answer to give, and who asked did nothing wrong."""
    web.post("/pause_generation", json={"mode": "in_place"})
    try:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(web.post, "/v1/score", json=GOOD)
            while web.get("/get_load").json()[0]["num_reqs"] < len(GOOD["items"]):
                time.sleep(0.01)
            web.post("/abort_request", json={"abort_all": True})
            answer = asked.result(timeout=20)
    finally:
        web.post("/continue_generation", json={})
    error = {"object": "error", "message": "the request was aborted", "type": "503", "param": None, "code": 503}
    assert (answer.status_code, answer.json()) == (503, error)
    assert score(web, **GOOD)["scores"]


# Routes of embedding models

NO_EMBEDDINGS = (
    "This model does not appear to be an embedding model by default. "
    "Please add `--is-embedding` when launching the server or try another model."
)


@pytest.mark.parametrize("path", ["/encode", "/classify", "/v1/embeddings", "/v1/classify"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"text": "a", "input": "a"}', b"\xff"])
def test_routes_of_embedding_models_say_that_there_is_none(web: httpx.Client, path: str, body: bytes):
    answer = web.post(path, content=body, headers={"content-type": "application/json"})
    if path.startswith("/v1"):
        assert refused(answer) == NO_EMBEDDINGS
        assert answer.json()["type"] == "BadRequestError"
    else:
        assert (answer.status_code, answer.json()) == (400, {"error": {"message": NO_EMBEDDINGS}})
    assert web.get(path).status_code == 405


@pytest.mark.parametrize("path", ["/v1/rerank", "/vertex_generate", "/invocations", "/api/chat", "/v1/messages"])
def test_routes_that_are_not_there_are_404(web: httpx.Client, path: str):
    assert web.post(path, json={}).status_code == 404
