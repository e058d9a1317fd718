"""/generate over HTTP: prompts and their forms, sampling, stops, samples, ids of requests, and what answers say."""

import random
import re
from typing import Any

import httpx
import pytest

from microgpt import Checkpoint, GenerationRequest, SamplingParams, TokenEvent, build_engine
from serve.dialects.sglang.schema import GenerateFields, SamplingFields
from tests.serve.asgi_driver import Served, eventually
from tests.serve.scripted_engine import ScriptedEngine, run
from tests.serve.server_process import server_process
from tests.serve.sglang.generating import check, generate, refused, strict_json, visible_text

LONG = "the quick brown fox said hello to what is 2 + 3? "


@pytest.fixture(scope="module")
def ask(server: httpx.Client, chat_checkpoint: Checkpoint) -> Any:
    """Answers that have been checked; lists of them too."""

    def ask(prompt: Any = "what is", **fields: Any) -> Any:
        sampling = {name: fields.pop(name) for name in list(fields) if name not in TOP_LEVEL}
        if "input_ids" not in fields:
            fields["text"] = prompt
        found = generate(server, sampling_params=sampling, **fields)
        for answer in found if isinstance(found, list) else [found]:
            check(chat_checkpoint.tokenizer, answer, **sampling)
        return found

    return ask


TOP_LEVEL = {
    "text", "input_ids", "input_tokens", "add_special_tokens", "rid", "return_logprob", "return_prompt_token_ids",
    "cache_salt", "extra_key", "session_id",
}  # fmt: skip


def test_text_begins_with_bos_once(server: httpx.Client, chat_checkpoint: Checkpoint) -> None:
    tokenizer = chat_checkpoint.tokenizer

    def prompt_of(**body: Any) -> list[int]:
        answer = generate(server, return_prompt_token_ids=True, sampling_params={"max_new_tokens": 0}, **body)
        assert answer["meta_info"]["prompt_tokens"] == len(answer["prompt_token_ids"])
        return answer["prompt_token_ids"]

    hello = tokenizer.encode("hello")
    assert prompt_of(text="hello") == [tokenizer.bos, *hello]
    assert prompt_of(text="<bos>hello") == [tokenizer.bos, *hello]
    assert prompt_of(text="hello", add_special_tokens=False) == hello
    assert prompt_of(text="") == [tokenizer.bos]
    assert tokenizer.chat is not None
    assert prompt_of(text="<user>hello<end_turn>") == [
        tokenizer.bos, tokenizer.chat.user, *hello, tokenizer.chat.end_turn,
    ]  # fmt: skip


def test_ids_run_as_given_and_win_over_text(server: httpx.Client, chat_checkpoint: Checkpoint) -> None:
    for field in ("input_ids", "input_tokens"):
        body = {field: [5, 300, 0, 7], "text": "something else", "return_prompt_token_ids": True}
        assert generate(server, **body)["prompt_token_ids"] == [5, 300, 0, 7]


def test_text_and_its_ids_are_the_same_prompt(ask: Any, chat_checkpoint: Checkpoint) -> None:
    tokenizer = chat_checkpoint.tokenizer
    ids = [tokenizer.bos, *tokenizer.encode(LONG)]
    from_text = ask(LONG, temperature=1, sampling_seed=3)
    assert ask(input_ids=ids, temperature=1, sampling_seed=3)["output_ids"] == from_text["output_ids"]


def test_put_is_post_and_any_content_type_will_do(server: httpx.Client) -> None:
    body = b'{"text": "hi", "sampling_params": {"max_new_tokens": 2, "temperature": 0}}'
    want = server.post("/generate", content=body, headers={"content-type": "application/json"}).json()["output_ids"]
    for method, headers in (("PUT", {}), ("POST", {}), ("POST", {"content-type": "text/plain"})):
        answer = server.request(method, "/generate", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.json()["output_ids"] == want
    assert server.get("/generate").status_code == 405


def test_one_prompt_is_answered_with_an_object_and_several_with_a_list(ask: Any) -> None:
    assert isinstance(ask("a"), dict)
    assert isinstance(ask(input_ids=[1]), dict)
    assert [len(found) for found in (ask(["a"]), ask(["a", "b"]), ask(input_ids=[[1]]), ask("a", n=3))] == [1, 2, 1, 3]


def test_a_batch_answers_each_prompt_as_if_it_were_alone(ask: Any) -> None:
    prompts = ["hello", "what is 2 + 3?", "", LONG]
    together = ask(prompts, temperature=0, max_new_tokens=20)
    assert [each["output_ids"] for each in together] == [
        ask(prompt, temperature=0, max_new_tokens=20)["output_ids"] for prompt in prompts
    ]


def test_lists_give_each_prompt_its_own(server: httpx.Client, chat_checkpoint: Checkpoint) -> None:
    found = generate(
        server,
        text=["a", "b"],
        sampling_params=[{"max_new_tokens": 2}, {"max_new_tokens": 3, "ignore_eos": True}],
        rid=["one", "two"],
        return_logprob=[True, False],
        logprob_start_len=[0, -1],
        top_logprobs_num=[2, 0],
        token_ids_logprob=[[5, 6], None],
        cache_salt=["x", "y"],
        extra_key=["", "z"],
        lora_path=[None, None],
    )
    metas = [each["meta_info"] for each in found]
    assert [meta["id"] for meta in metas] == ["one", "two"]
    assert metas[1]["completion_tokens"] == 3
    assert len(metas[0]["input_token_logprobs"]) == metas[0]["prompt_tokens"]
    assert [len(entries) for entries in metas[0]["output_top_logprobs"]] == [2] * metas[0]["completion_tokens"]
    assert not any("logprob" in name for name in metas[1])


def test_samples_are_prompt_major_with_seeds_in_order_and_fresh_rids(ask: Any) -> None:
    found = ask(["a", "b"], n=3, sampling_seed=10, max_new_tokens=12, rid="mine")
    alone = [
        ask(prompt, sampling_seed=seed, max_new_tokens=12)["output_ids"] for prompt in "ab" for seed in (10, 11, 12)
    ]
    assert [each["output_ids"] for each in found] == alone
    rids = {each["meta_info"]["id"] for each in found}
    assert len(rids) == 6
    assert all(re.fullmatch("[0-9a-f]{32}", rid) for rid in rids)


@pytest.mark.parametrize("seed", [0, 5, -1, -(2**63), 2**63 - 1])
def test_a_seed_repeats_and_none_does_not(ask: Any, seed: int) -> None:
    def outputs(**sampling: Any) -> list[int]:
        return ask("what", max_new_tokens=30, ignore_eos=True, **sampling)["output_ids"]

    first = outputs(sampling_seed=seed)
    assert outputs(sampling_seed=seed) == first
    assert outputs(seed=seed) == first
    assert outputs(seed=7, sampling_seed=seed) == first
    assert outputs(seed=seed, sampling_seed=None) == first
    assert outputs() != outputs()


def test_seeds_wrap_around(ask: Any) -> None:
    last = ask("what", n=2, sampling_seed=-1, max_new_tokens=20)
    assert last[1]["output_ids"] == ask("what", sampling_seed=0, max_new_tokens=20)["output_ids"]


def test_null_is_left_out(server: httpx.Client, chat_checkpoint: Checkpoint) -> None:
    sampling: dict[str, Any] = dict.fromkeys(SamplingFields.__annotations__)
    del sampling["max_new_tokens"]  # for which null has a meaning of its own
    body = dict.fromkeys(GenerateFields.__annotations__)
    plain = generate(server, text="what", sampling_params={"sampling_seed": 1})
    nulls = generate(server, **body | {"text": "what", "sampling_params": sampling | {"sampling_seed": 1}})
    assert nulls["output_ids"] == plain["output_ids"]
    assert generate(server, **body | {"text": "what"})["meta_info"]["finish_reason"]["type"] in ("stop", "length")


def test_most_tokens(server: httpx.Client) -> None:
    def lengths(num_prompt: int, **sampling: Any) -> tuple[int, int]:
        rng = random.Random(num_prompt)
        ids = [rng.randrange(4, 1024) for _ in range(num_prompt)]
        answer = generate(server, input_ids=ids, sampling_params={"ignore_eos": True, **sampling})
        return len(answer["output_ids"]), answer["meta_info"]["finish_reason"]["length"]

    assert lengths(4) == (128, 128)
    assert lengths(200) == (56, 56)
    assert lengths(255) == (1, 1)
    assert lengths(4, max_new_tokens=None) == (251, 251)
    assert lengths(255, max_new_tokens=None) == (0, 0)
    assert lengths(4, max_new_tokens=252) == (252, 252)
    assert lengths(255, max_new_tokens=1) == (1, 1)
    assert lengths(255, max_new_tokens=0) == (0, 0)


def test_more_than_the_context_holds_is_refused(server: httpx.Client) -> None:
    longer = "The input (256 tokens) is longer than the model's context length (256 tokens)."
    assert refused(server, input_ids=[5] * 256) == longer
    assert refused(server, input_ids=[[1], [5] * 256], sampling_params={"max_new_tokens": 0}) == longer
    message = refused(server, input_ids=[5] * 200, sampling_params={"max_new_tokens": 57})
    assert message.startswith(
        "Requested token count exceeds the model's maximum context length of 256 tokens. "
        "You requested a total of 257 tokens: "
    )


def test_eos_ends_an_answer_unless_it_is_ignored(ask: Any, chat_checkpoint: Checkpoint) -> None:
    chat, bos = chat_checkpoint.tokenizer.chat, chat_checkpoint.tokenizer.bos
    assert chat is not None
    for eos in (bos, chat.end_turn):
        bias = {str(eos): 100}
        answer = ask("a", logit_bias=bias, max_new_tokens=5)
        assert answer["meta_info"]["finish_reason"] == {"type": "stop", "matched": eos}
        assert (answer["output_ids"], answer["text"]) == ([eos], "")
        assert ask("a", logit_bias=bias, max_new_tokens=5, ignore_eos=True)["output_ids"] == [eos] * 5
        late = ask("a", logit_bias=bias, max_new_tokens=5, min_new_tokens=3)
        assert len(late["output_ids"]) == 4
        assert eos not in late["output_ids"][:3]


def test_special_tokens_are_shown_when_asked_for_but_not_the_one_that_ends(
    ask: Any, chat_checkpoint: Checkpoint
) -> None:
    chat, bos = chat_checkpoint.tokenizer.chat, chat_checkpoint.tokenizer.bos
    assert chat is not None
    knobs = {"logit_bias": {str(chat.user): 100}, "max_new_tokens": 3}
    assert ask("a", **knobs)["text"] == ""
    assert ask("a", skip_special_tokens=False, **knobs)["text"] == "<user>" * 3
    knobs = {"logit_bias": {str(bos): 100}, "max_new_tokens": 3, "skip_special_tokens": False}
    assert ask("a", **knobs)["text"] == ""
    assert ask("a", no_stop_trim=True, **knobs)["text"] == "<bos>"
    assert ask("a", ignore_eos=True, **knobs)["text"] == "<bos>" * 3


def test_stop_token_ids_end_an_answer_and_are_cut_off(ask: Any, chat_checkpoint: Checkpoint) -> None:
    plain = ask(LONG, sampling_seed=2, max_new_tokens=60, ignore_eos=True)["output_ids"]
    stop = plain[20]
    first = plain.index(stop)
    knobs: dict[str, Any] = {"sampling_seed": 2, "max_new_tokens": 60, "stop_token_ids": [stop, 1023]}
    trimmed, kept = ask(LONG, **knobs), ask(LONG, no_stop_trim=True, **knobs)
    for answer in (trimmed, kept):
        assert answer["meta_info"]["finish_reason"] == {"type": "stop", "matched": stop}
        assert answer["output_ids"] == plain[: first + 1]
    assert kept["text"] == trimmed["text"] + visible_text(chat_checkpoint.tokenizer, [stop])
    assert ask(LONG, ignore_eos=True, **knobs)["output_ids"] == plain


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("no_stop_trim", [False, True])
def test_stop_strings_across_tokens(ask: Any, chat_checkpoint: Checkpoint, seed: int, no_stop_trim: bool) -> None:
    """Strings cut out of what the model says, wherever its tokens end."""
    tokenizer = chat_checkpoint.tokenizer
    plain = ask(LONG, sampling_seed=seed, max_new_tokens=80, ignore_eos=True)
    rng = random.Random(seed)
    at = rng.randrange(5, len(plain["text"]) - 8)
    stops = [plain["text"][at : at + rng.randrange(1, 8)], "\u0000never"]
    answer = ask(LONG, sampling_seed=seed, max_new_tokens=80, ignore_eos=True, stop=stops, no_stop_trim=no_stop_trim)
    end = plain["text"].index(stops[0]) + len(stops[0])
    assert answer["meta_info"]["finish_reason"] == {"type": "stop", "matched": stops[0]}
    assert answer["text"] == plain["text"][: end if no_stop_trim else end - len(stops[0])]
    num_tokens = next(
        n for n in range(1, 81) if stops[0] in visible_text(tokenizer, plain["output_ids"][:n])
    )  # the token that completes it is the last
    assert answer["output_ids"] == plain["output_ids"][:num_tokens]
    assert (
        ask(LONG, sampling_seed=seed, max_new_tokens=80, ignore_eos=True, stop=stops[0])["text"]
        == plain["text"][: end - len(stops[0])]
    )


def test_stop_patterns(ask: Any, chat_checkpoint: Checkpoint) -> None:
    plain = ask(LONG, sampling_seed=4, max_new_tokens=80, ignore_eos=True)
    pattern = "[aeiou][^aeiou ]{2}"
    first = re.search(pattern, plain["text"])
    assert first is not None
    for given in (pattern, ["never{3}", pattern]):
        knobs: dict[str, Any] = {"sampling_seed": 4, "max_new_tokens": 80, "ignore_eos": True, "stop_regex": given}
        answer = ask(LONG, **knobs)
        assert answer["meta_info"]["finish_reason"] == {"type": "stop", "matched": pattern}
        assert answer["text"] == plain["text"][: first.start()]
        kept = ask(LONG, no_stop_trim=True, **knobs)["text"]
        assert plain["text"].startswith(kept)
        assert re.search(pattern, kept)


def test_empty_stops_are_none(ask: Any) -> None:
    knobs: dict[str, Any] = {"sampling_seed": 1, "max_new_tokens": 9}
    plain = ask("what", **knobs)["output_ids"]
    for empty in ("", [], [""]):
        assert ask("what", stop=empty, stop_regex=empty, stop_token_ids=[], **knobs)["output_ids"] == plain


@pytest.mark.parametrize("cold", [0, 0.0, 1e-7])
def test_a_temperature_near_0_is_greedy(ask: Any, cold: float) -> None:
    assert ask(LONG, temperature=cold)["output_ids"] == ask(LONG, top_k=1)["output_ids"]


def test_knobs_reach_the_sampler(server: httpx.Client, chat_checkpoint: Checkpoint) -> None:
    """Each against the engine's own answer with the same SamplingParams."""
    engine = build_engine(chat_checkpoint, device="cpu")
    tokenizer = chat_checkpoint.tokenizer
    prompt = (tokenizer.bos, *tokenizer.encode(LONG))
    assert tokenizer.chat is not None
    cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"temperature": 0.3}, {"temperature": 0.3}),
        ({"temperature": 2}, {"temperature": 2.0}),
        ({"top_p": 0.5}, {"top_p": 0.5}),
        ({"top_k": 3}, {"top_k": 3}),
        ({"top_k": -1}, {}),
        ({"top_k": 1 << 30}, {}),
        ({"min_p": 0.2}, {"min_p": 0.2}),
        ({"frequency_penalty": 2}, {"frequency_penalty": 2.0}),
        ({"presence_penalty": -1.5}, {"presence_penalty": -1.5}),
        ({"repetition_penalty": 1.7}, {"repetition_penalty": 1.7}),
        ({"logit_bias": {"72": 4, "0080": -100}}, {"logit_bias": {72: 4.0, 80: -100.0}}),
        ({"min_new_tokens": 40}, {"min_tokens": 40}),
    ]
    for asked, knobs in cases:
        params = SamplingParams(max_tokens=40, seed=6, stop_token_ids=(tokenizer.chat.end_turn, tokenizer.bos), **knobs)
        engine.add(GenerationRequest("r", prompt, params))
        want: list[int] = []
        while engine.has_work:
            for event in engine.step():
                want += event.token_ids if isinstance(event, TokenEvent) else ()
        sampling = {"max_new_tokens": 40, "sampling_seed": 6, **asked}
        assert generate(server, text=LONG, sampling_params=sampling)["output_ids"] == want, asked


def test_rids(server: httpx.Client) -> None:
    def rids(**body: Any) -> list[str]:
        found = generate(server, sampling_params={"max_new_tokens": 1}, **body)
        return [each["meta_info"]["id"] for each in (found if isinstance(found, list) else [found])]

    assert rids(text="a", rid="job") == ["job"]
    assert rids(text="a", rid="job") == ["job"]  # the first one has ended
    assert rids(text=["a", "b"], rid="job") == ["job_0", "job_1"]
    assert rids(text=["a"], rid=["Ünïcode \U0001f600"]) == ["Ünïcode \U0001f600"]
    (fresh,) = rids(text="a")
    assert re.fullmatch("[0-9a-f]{32}", fresh)


def test_the_rid_of_a_live_request_is_refused(tiny_checkpoint: Checkpoint) -> None:
    """Until that one has ended."""
    body = {"input_ids": [5], "rid": "job", "sampling_params": {"max_new_tokens": 2}}

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.hold.clear()
        first = service.send("/generate", body)
        await eventually(lambda: bool(engine.live))
        for again in (body, {"text": ["a", "b"], "rid": ["other", "job"]}):
            second = await service.ask("/generate", again)
            assert second.status == 400
            assert second.json["error"]["message"] == "id must be unique among live requests, got 'job' again"
            (error,) = (await service.ask("/generate", again | {"stream": True})).events
            assert error["error"]["code"] == 400
        engine.hold.set()
        assert (await first.done()).json["meta_info"]["id"] == "job"
        assert (await service.ask("/generate", body)).json["meta_info"]["id"] == "job"

    run(tiny_checkpoint, scenario)


def test_what_is_accepted_and_ignored_changes_nothing(server: httpx.Client) -> None:
    knobs = {"sampling_seed": 1, "max_new_tokens": 20}
    plain = generate(server, text="what", sampling_params=knobs)["output_ids"]
    harmless = {
        "model": "x", "priority": 3, "routing_key": "r", "conversation_id": "c", "custom_labels": {"a": "b"},
        "no_logs": True, "log_metrics": True, "background": False, "require_reasoning": False, "return_bytes": False,
        "return_entropy": True, "return_routed_experts": False, "data_parallel_rank": 0, "routed_dp_rank": 1,
        "bootstrap_host": "h", "bootstrap_port": 5, "bootstrap_room": [1], "modalities": ["text"], "session_id": "tag",
        "image_data": None, "lora_path": None, "return_hidden_states": False, "custom_logit_processor": None,
        "something_new": [1, {"a": None}],
        "sampling_params": knobs | {
            "spaces_between_special_tokens": False, "custom_params": {"a": 1}, "beam_width": 1, "watermark": {},
            "regex": None, "json_schema": "", "ebnf": "", "structural_tag": "",
        },
    }  # fmt: skip
    assert generate(server, text="what", **harmless)["output_ids"] == plain


@pytest.mark.parametrize("field", ["cache_salt", "extra_key"])
def test_salts_keep_the_prefix_cache_apart(server: httpx.Client, field: str) -> None:
    prompt = list(range(100, 180))

    def cached(**body: Any) -> int:
        answer = generate(server, input_ids=prompt, sampling_params={"max_new_tokens": 1}, **body)
        return answer["meta_info"]["cached_tokens"]

    for salt in (f"{field}-one", f"{field}-two"):
        assert cached(**{field: salt}) == 0
        assert cached(**{field: salt}) > 0
    cached(cache_salt=f"{field}-ab", extra_key="c")
    assert cached(cache_salt=f"{field}-a", extra_key="bc") == 0


def test_cached_tokens_are_told_and_never_all(server: httpx.Client) -> None:
    prompt = list(range(300, 364))
    found = [generate(server, input_ids=prompt, sampling_params={"max_new_tokens": 1})["meta_info"] for _ in range(2)]
    assert found[0]["cached_tokens"] == 0
    assert 0 < found[1]["cached_tokens"] < found[1]["prompt_tokens"]


def test_special_tokens_in_text_can_be_left_unparsed(chat_golden_dir: Any, chat_checkpoint: Checkpoint) -> None:
    tokenizer = chat_checkpoint.tokenizer
    with server_process(chat_golden_dir, "--no-parse-special") as process:
        body = {"text": "<user>hi", "return_prompt_token_ids": True, "sampling_params": {"max_new_tokens": 0}}
        ids = strict_json(httpx.post(f"{process.url}/generate", json=body).content)["prompt_token_ids"]
    assert ids == [tokenizer.bos, *tokenizer.encode("<user>hi")]
