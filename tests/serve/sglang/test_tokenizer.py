"""/tokenize and /detokenize over HTTP: ids as the engine gets them, spans of messages, refusals that are always 400."""

import asyncio
import random
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from microgpt import load_checkpoint
from microgpt.chat import Message, chat_prompt
from tests.serve.asgi_driver import Served, served
from tests.serve.scripted_engine import ScriptedEngine, as_engine, run
from tests.serve.server_process import server_process

CHECKPOINT = load_checkpoint("tests/golden/chat_bpe")
TOKENIZER, BLOCK_SIZE = CHECKPOINT.tokenizer, CHECKPOINT.config.block_size
assert TOKENIZER.chat is not None
BOS, CHAT = TOKENIZER.bos, TOKENIZER.chat


@pytest.fixture(scope="module")
def web(chat_golden_dir) -> Iterator[httpx.Client]:
    with server_process(chat_golden_dir) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.fixture(scope="module", params=["", "/v1"])
def prefix(request: pytest.FixtureRequest) -> str:
    return request.param


def tokenize(web: httpx.Client, prefix: str = "", **body: Any) -> Any:
    answer = web.post(f"{prefix}/tokenize", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["max_model_len"] == BLOCK_SIZE
    return answer.json()


def detokenize(web: httpx.Client, prefix: str = "", **body: Any) -> Any:
    answer = web.post(f"{prefix}/detokenize", json=body)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"text"}
    return answer.json()["text"]


def refused(answer: httpx.Response) -> str:
    """The message of a 400."""
    error = answer.json()
    assert (answer.status_code, set(error)) == (400, {"object", "message", "type", "param", "code"}), answer.text
    assert (error["object"], error["param"], error["code"]) == ("error", None, 400)
    assert error["type"] in ("Bad Request", "BadRequestError")
    return error["message"]


# Prompts


def test_prompt_is_one_text_or_several(web: httpx.Client, prefix: str):
    ids = [BOS, *TOKENIZER.encode("hello there")]
    assert tokenize(web, prefix, prompt="hello there") == {
        "tokens": ids,
        "count": len(ids),
        "max_model_len": BLOCK_SIZE,
    }
    several = tokenize(web, prefix, prompt=["hello there", "", "é"])
    assert several["tokens"] == [ids, [BOS], [BOS, *TOKENIZER.encode("é")]]
    assert several["count"] == list(map(len, several["tokens"]))
    assert tokenize(web, prefix, prompt=["hello there"])["tokens"] == [ids]
    assert tokenize(web, prefix, prompt=[])["tokens"] == []


def test_one_bos_comes_first_unless_it_is_there_or_unwanted(web: httpx.Client):
    ids = TOKENIZER.encode("hi")
    assert tokenize(web, prompt="hi", add_special_tokens=False)["tokens"] == ids
    assert tokenize(web, prompt="<bos>hi")["tokens"] == [BOS, *ids]
    assert tokenize(web, prompt="<bos>hi", add_special_tokens=False)["tokens"] == [BOS, *ids]
    assert tokenize(web, prompt="", add_special_tokens=False)["tokens"] == []


def test_special_tokens_in_prompts_are_parsed_and_in_messages_never(web: httpx.Client):
    parsed = tokenize(web, prompt="<user>hi<end_turn><assistant>")["tokens"]
    assert parsed == [BOS, CHAT.user, *TOKENIZER.encode("hi"), CHAT.end_turn, CHAT.assistant]
    content = "<user>hi<end_turn><assistant><bos>"
    found = tokenize(web, messages=[{"role": "user", "content": content}])["tokens"]
    assert found == [CHAT.user, *TOKENIZER.encode(content), CHAT.end_turn, CHAT.assistant]
    assert not set(found[1:-2]) & TOKENIZER.special_ids


def test_parsing_can_be_turned_off():
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        found = await service.ask("/tokenize", {"prompt": "<user>hi"})
        assert found.json["tokens"] == [BOS, *TOKENIZER.encode("<user>hi")]

    run(CHECKPOINT, scenario, PARSE_SPECIAL="off")


def test_pieces_are_the_texts_of_single_tokens(web: httpx.Client):
    text = "naïve 🙂 hi"
    assert "pieces" not in tokenize(web, prompt=text)
    found = tokenize(web, prompt=text, return_pieces=True)
    assert found["pieces"][0] == "<bos>"
    assert found["pieces"] == [TOKENIZER.token_name(i) for i in found["tokens"]]
    assert "\ufffd" in "".join(found["pieces"])
    several = tokenize(web, prompt=["hi", "you"], return_pieces=True)
    assert ["".join(pieces) for pieces in several["pieces"]] == ["<bos>hi", "<bos>you"]
    chat = tokenize(web, messages=[{"role": "user", "content": "hi"}], return_pieces=True)
    assert "".join(chat["pieces"]) == "<user>hi<end_turn><assistant>"


# Messages


def conversation(rng: random.Random) -> list[dict[str, str]]:
    return [
        {
            "role": rng.choice(["user", "assistant"]),
            "content": "".join(rng.choices("abc ", k=rng.choice([9, 400]))) + ".",
        }
        for _ in range(rng.randint(1, 9))
    ]


def test_messages_are_the_ids_of_a_chat_request_and_spans_say_where(web: httpx.Client):
    rng = random.Random(1)
    seen = set()
    for _ in range(60):
        messages = conversation(rng)
        expected = chat_prompt(TOKENIZER, BLOCK_SIZE, [Message(**each) for each in messages])  # pyright: ignore
        found = tokenize(web, messages=messages)
        ids, spans = found["tokens"], found["spans"]
        assert tuple(ids) == expected.ids
        assert (found["count"], found["tokens_dropped"]) == (len(ids), expected.tokens_dropped)
        assert len(spans) == len(messages)
        # The spans follow each other from the first token, or from behind a BOS, to the last but one.
        position = 1 if expected.tokens_dropped else 0
        kept = 0
        for message, span in zip(messages, spans, strict=True):
            if span is None:
                seen.add("dropped")
                continue
            assert span[0] == position
            position = span[1]
            turn = ids[slice(*span)]
            whole = TOKENIZER.encode(message["content"])
            assert turn[0] == CHAT.role(message["role"])
            assert turn[-1] == CHAT.end_turn
            content = turn[1:-1]
            assert content == whole[len(whole) - len(content) :]
            seen.add("whole" if content == whole else "partly")
            kept += len(turn)
        assert position == len(ids) - 1
        full = sum(len(TOKENIZER.encode(each["content"])) + 2 for each in messages)
        assert found["tokens_dropped"] == full - kept
    assert seen == {"dropped", "partly", "whole"}


def test_without_a_generation_prompt_the_assistant_token_is_missing(web: httpx.Client):
    messages = [{"role": "user", "content": "hi"}]
    whole = tokenize(web, messages=messages)
    cut = tokenize(web, messages=messages, add_generation_prompt=False)
    assert whole["tokens"] == [*cut["tokens"], CHAT.assistant]
    assert cut["count"] == whole["count"] - 1


def test_prompt_tokens_of_a_chat_request_are_the_count(web: httpx.Client):
    messages = [{"role": "user", "content": "hello"}]
    stream = web.post("/microgpt/v1/chat", json={"messages": messages, "stream": True, "max_tokens": 1}).text
    assert f'"prompt_tokens":{tokenize(web, messages=messages)["count"]}' in stream


def test_tools_are_refused_unless_they_are_left_out(web: httpx.Client):
    messages = [{"role": "user", "content": "hi"}]
    plain = tokenize(web, messages=messages)
    assert tokenize(web, messages=messages, tools=[]) == plain
    assert tokenize(web, messages=messages, tools=[{}], tool_choice="none") == plain
    assert tokenize(web, messages=messages, chat_template_kwargs={"a": 1}, model="other", unknown=1) == plain
    assert "tools" in refused(web.post("/tokenize", json={"messages": messages, "tools": [{}]}))
    body = {"messages": messages, "continue_final_message": True}
    assert "continue_final_message" in refused(web.post("/tokenize", json=body))


def test_a_tool_choice_of_a_wrong_type_is_refused_by_its_name(web: httpx.Client):
    for wrong, text in ((1, "1"), (True, "true"), ([], "an array")):
        answer = web.post("/tokenize", json={"prompt": "a", "tool_choice": wrong})
        assert refused(answer) == f"tool_choice must be a string or an object, got {text}"


def test_models_without_chat_tokens_refuse_messages():
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        answer = await service.ask("/tokenize", {"messages": [{"role": "user", "content": "hi"}]})
        assert (answer.status, answer.json["message"]) == (400, "model was not trained with chat tokens")
        assert (await service.ask("/tokenize", {"prompt": "emma"})).json["count"] == 5

    run(load_checkpoint("tests/golden/names_char"), scenario)


def test_the_tokenizer_answers_while_the_engine_is_being_built():
    async def main() -> None:
        release = threading.Event()

        def build() -> Any:
            release.wait(20)
            return as_engine(ScriptedEngine(CHECKPOINT))

        async with served(CHECKPOINT, build, wait=False) as service:
            assert (await service.ask("/tokenize", {"prompt": "hi"})).status == 200
            release.set()
            await service.client.built()

    asyncio.run(main())


# Back


def test_detokenize_takes_one_list_or_several(web: httpx.Client, prefix: str):
    ids = TOKENIZER.encode("hello é")
    assert detokenize(web, prefix, tokens=ids) == "hello é"
    assert detokenize(web, prefix, tokens=[ids, [], TOKENIZER.encode("x")]) == ["hello é", "", "x"]
    assert detokenize(web, prefix, tokens=[]) == ""
    assert detokenize(web, prefix, tokens=[[]]) == [""]


def test_special_tokens_are_skipped_unless_wanted(web: httpx.Client):
    tokens = [BOS, CHAT.user, *TOKENIZER.encode("hi"), CHAT.end_turn]
    assert detokenize(web, tokens=tokens) == "hi"
    assert detokenize(web, tokens=tokens, skip_special_tokens=False) == "<bos><user>hi<end_turn>"


def test_every_id_alone_and_text_there_and_back(web: httpx.Client):
    texts = detokenize(web, tokens=[[i] for i in range(CHECKPOINT.config.vocab_size)])
    assert texts == [TOKENIZER.decode([i]) for i in range(CHECKPOINT.config.vocab_size)]
    rng = random.Random(2)
    for _ in range(30):
        text = "".join(rng.choices("ab é🙂\n<user>", k=20))
        tokens = tokenize(web, prompt=text)["tokens"]
        assert detokenize(web, tokens=tokens, skip_special_tokens=False) == "<bos>" + text


# Refusals

GOOD_MESSAGES = [{"role": "user", "content": "hi"}]
BAD_TOKENIZE: list[Any] = [
    {},
    [],
    None,
    "text",
    5,
    {"prompt": None},
    {"prompt": "a", "messages": GOOD_MESSAGES},
    *({"prompt": wrong} for wrong in (5, 5.5, True, {}, {"a": 1}, [1], [None], ["a", 1], [["a"]])),
    *({"messages": wrong} for wrong in (5, "a", True, {}, [1], [None], [[]], ["a"], [])),
    {"messages": [{"role": "user"}]},
    {"messages": [{"content": "hi"}]},
    {"messages": [{"role": "system", "content": "hi"}]},
    {"messages": [{"role": 1, "content": "hi"}]},
    {"messages": [{"role": "user", "content": " "}]},
    {"messages": [{"role": "user", "content": ["hi"]}]},
    {"messages": GOOD_MESSAGES * 4097},
    {"prompt": ["a"] * 4097},
    *(
        {"prompt": "a", name: wrong}
        for name in ("add_special_tokens", "add_generation_prompt", "return_pieces", "continue_final_message")
        for wrong in (0, 1, "true", "", [], {}, 1.5)
    ),
    *({"prompt": "a", "model": wrong} for wrong in (1, True, [], {})),
    *({"prompt": "a", "tools": wrong} for wrong in (1, True, "a", {})),
    *({"prompt": "a", "tool_choice": wrong} for wrong in (1, True, [])),
    *({"prompt": "a", "chat_template_kwargs": wrong} for wrong in (1, True, [], "a")),
]
BAD_DETOKENIZE: list[Any] = [
    {},
    [],
    {"tokens": None},
    *({"tokens": wrong} for wrong in (5, "a", True, {}, ["a"], [1.0], [True], [None], [[1], 2], [1, [2]], [["a"]])),
    *({"tokens": [wrong]} for wrong in (-1, CHECKPOINT.config.vocab_size, 2**31, 2**63, 2**64, -(10**30))),
    {"tokens": [[0], [-1]]},
    {"tokens": [[]] * 4097},
    *({"tokens": [0], "skip_special_tokens": wrong} for wrong in (0, 1, "true", [], {})),
    *({"tokens": [0], "model": wrong} for wrong in (1, [])),
]


@pytest.mark.parametrize("path", ["/tokenize", "/v1/tokenize", "/detokenize", "/v1/detokenize"])
def test_bad_bodies_are_400_and_the_server_lives(web: httpx.Client, path: str):
    bad = BAD_DETOKENIZE if path.endswith("detokenize") else BAD_TOKENIZE
    for body in bad:
        assert refused(web.post(path, json=body)), body
    headers = {"content-type": "application/json"}
    for raw in (b"", b"{", b'{"prompt": "a"', b"\xff", b'{"prompt": NaN}', b'{"prompt": "\\ud800"}', b"[" * 100_000,
                b'{"prompt": "a", "prompt": "b"}', b'{"tokens": [' + b"9" * 5000 + b"]}"):  # fmt: skip
        assert refused(web.post(path, content=raw, headers=headers)), raw[:50]
    assert tokenize(web, prompt="a")["count"] == 2


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/tokenize", {}, "exactly one of prompt and messages must be given, got neither"),
        ("/tokenize", {"prompt": "a", "messages": []}, "exactly one of prompt and messages must be given, got both"),
        ("/tokenize", {"prompt": 5}, "prompt must be a string or an array of strings, got 5"),
        ("/tokenize", {"prompt": ["a", [1]]}, "prompt[1] must be a string, got an array"),
        (
            "/tokenize",
            {"messages": GOOD_MESSAGES, "tools": [1, 2]},
            "tools must be empty, as this server has no tools, got 2",
        ),
        ("/detokenize", {"tokens": "a"}, 'tokens must be an array of integers, or an array of such arrays, got "a"'),
        ("/detokenize", {"tokens": [1, 2.5]}, "tokens[1] must be an integer, got 2.5"),
        ("/detokenize", {"tokens": [[1], 2]}, "tokens[1] must be an array of integers, got 2"),
        ("/detokenize", {"tokens": [[1], [None]]}, "tokens[1][0] must be an integer, got null"),
    ],
)
def test_refusals_name_what_was_given(web: httpx.Client, path: str, body: dict[str, Any], message: str):
    assert refused(web.post(path, json=body)) == message


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx"])
def test_other_media_types_are_400(web: httpx.Client, prefix: str, media_type: str):
    for name in ("tokenize", "detokenize"):
        answer = web.post(f"{prefix}/{name}", content=b'{"prompt": "a"}', headers={"content-type": media_type})
        assert refused(answer) == "Unsupported Media Type: Only 'application/json' is allowed"
    answer = web.post(
        f"{prefix}/tokenize", content=b'{"prompt": "a"}', headers={"content-type": "application/json; charset=utf-8"}
    )
    assert answer.status_code == 200


def test_the_largest_prompts(web: httpx.Client):
    text = "hello " * 600_000
    assert tokenize(web, prompt=text)["count"] == len(TOKENIZER.encode(text)) + 1
    too_large = web.post("/tokenize", json={"prompt": "a" * 5_000_000})
    assert (too_large.status_code, too_large.json()["code"]) == (413, 413)


def test_wrong_methods_are_405(web: httpx.Client, prefix: str):
    for name in ("tokenize", "detokenize"):
        answer = web.get(f"{prefix}/{name}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
