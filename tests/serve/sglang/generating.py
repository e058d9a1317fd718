"""/generate from a client's side: asking, reading streams, and what must be true of every answer."""

import json
import math
from typing import Any, NoReturn

import httpx

from microgpt.tokenizers import Tokenizer
from tests.serve.asgi_driver import parse_events

META = {
    "id", "finish_reason", "weight_version", "num_retractions", "prompt_tokens", "completion_tokens", "cached_tokens",
    "reasoning_tokens",
}  # fmt: skip
FINISHED_META = META | {
    "e2e_latency", "queue_time", "request_received_ts", "request_finished_ts", "response_sent_to_client_ts",
}  # fmt: skip


def _no_constant(name: str) -> NoReturn:
    raise AssertionError(f"{name} is not JSON")


def strict_json(text: str | bytes) -> Any:
    return json.loads(text, parse_constant=_no_constant)


def generate(web: httpx.Client, **body: Any) -> Any:
    """The answer, which must be one."""
    answer = web.post("/generate", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return strict_json(answer.content)


def stream(web: httpx.Client, **body: Any) -> list[Any]:
    """The events of a stream."""
    answer = web.post("/generate", json={**body, "stream": True})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream"
    return parse_events(answer.content)


def refused(web: httpx.Client, **body: Any) -> str:
    """The message of a 400 for a value; the same of a stream is an event."""
    answer = web.post("/generate", json=body)
    assert answer.status_code == 400, answer.text
    (error,) = stream(web, **body)
    message = strict_json(answer.content)["error"]["message"]
    assert strict_json(answer.content) == {"error": {"message": message}}
    assert error == {"error": {"message": message, "type": "invalid_request_error", "code": 400, "retryable": False}}
    return message


def visible_text(tokenizer: Tokenizer, ids: list[int], show_special: bool = False) -> str:
    """The slow way: every token's bytes, joined and decoded."""
    text = b""
    for i in ids:
        is_special = i in tokenizer.special_ids
        text += tokenizer.token_name(i).encode() if is_special and show_special else tokenizer.token_bytes(i)
    return text.decode("utf-8", "replace")


def check(tokenizer: Tokenizer, answer: Any, prompt_ids: list[int] | None = None, **sampling: Any) -> Any:
    """What must be true of a whole answer that was asked for with `sampling`; returns it."""
    assert {"text", "output_ids", "meta_info"} <= set(answer)
    meta, ids = answer["meta_info"], answer["output_ids"]
    assert set(meta) >= FINISHED_META
    assert meta["completion_tokens"] == len(ids)
    assert 0 <= meta["cached_tokens"] <= meta["prompt_tokens"] - 1
    if prompt_ids is not None:
        assert meta["prompt_tokens"] == len(prompt_ids)
    assert (meta["weight_version"], meta["num_retractions"], meta["reasoning_tokens"]) == ("default", 0, 0)
    assert 0 <= meta["queue_time"] <= meta["e2e_latency"] < 60
    assert ("first_token_latency" in meta) == bool(ids)
    if ids:
        assert meta["queue_time"] <= meta["first_token_latency"] <= meta["e2e_latency"]
    assert math.isclose(meta["request_finished_ts"], meta["request_received_ts"] + meta["e2e_latency"], rel_tol=1e-12)
    show_special = sampling.get("skip_special_tokens") is False
    keeps_stop = sampling.get("no_stop_trim", False)
    whole = visible_text(tokenizer, ids, show_special)
    reason = meta["finish_reason"]
    match reason["type"]:
        case "length":
            assert reason == {"type": "length", "length": sampling.get("max_new_tokens", 128)}
            assert len(ids) == reason["length"]
            assert answer["text"] == whole
        case "stop" if isinstance(reason["matched"], int):
            assert ids[-1] == reason["matched"]
            assert answer["text"] == (whole if keeps_stop else visible_text(tokenizer, ids[:-1], show_special))
        case "stop" if reason["matched"] in sampling.get("stop", ()):
            start = whole.index(reason["matched"])
            assert answer["text"] == whole[: start + len(reason["matched"]) * keeps_stop]
            assert reason["matched"] not in visible_text(tokenizer, ids[:-1], show_special)  # "through stop", no more
        case "stop":
            assert reason["matched"] in sampling["stop_regex"]
            assert whole.startswith(answer["text"])
        case other:
            raise AssertionError(other)
    return answer
