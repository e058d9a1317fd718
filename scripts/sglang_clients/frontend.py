"""SGLang's frontend language through RuntimeEndpoint. Runs in SGLang's environment: frontend.py URL [API_KEY].

Prints a line a check; exits with 1 if one fails. Answers are those of the default model, asked greedily.
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false
import json
import re
import sys

import sglang as sgl
from sglang.lang.chat_template import ChatTemplate, register_chat_template

# The model's own turns, as its tokenizer has them: special tokens in a whole prompt are parsed.
register_chat_template(
    ChatTemplate(
        name="microgpt",
        default_system_prompt=None,
        role_prefix_and_suffix={
            "system": ("", ""),
            "user": ("<user>", "<end_turn>"),
            "assistant": ("<assistant>", "<end_turn>"),
        },
    )
)


@sgl.function
def ask(s, question):
    s += sgl.user(question)
    s += sgl.assistant(sgl.gen("answer", max_tokens=64, temperature=0))


@sgl.function
def converse(s):
    s += sgl.system("")
    s += sgl.user("my name is Ada")
    s += sgl.assistant(sgl.gen("first", max_tokens=64, temperature=0))
    s += sgl.user("what is my name?")
    s += sgl.assistant(sgl.gen("second", max_tokens=64, temperature=0))


@sgl.function
def pick(s, question, choices):
    s += sgl.user(question)
    s += sgl.assistant(sgl.select("answer", choices=choices))


@sgl.function
def branch(s):
    s += sgl.user("what is 2 + 3?")
    forks = s.fork(3)
    for i, fork in enumerate(forks):
        fork += sgl.assistant(sgl.gen("answer", max_tokens=32, temperature=0.3 * i))
    forks.join()
    for i, fork in enumerate(forks):
        s[f"answer{i}"] = fork["answer"]
    s += sgl.assistant("Answers: " + " / ".join(fork["answer"] for fork in forks))


@sgl.function
def constrained(s):
    s += sgl.user("tell me something")
    s += sgl.assistant_begin()
    s += sgl.gen("address", max_tokens=64, regex=r"(25[0-5]|[1-9]?[0-9])(\.(25[0-5]|[1-9]?[0-9])){3}")
    s += " " + sgl.gen("number", max_tokens=16, dtype=int) + " " + sgl.gen("truth", max_tokens=8, dtype=bool)
    s += " " + sgl.gen("json", max_tokens=100, json_schema=json.dumps(SCHEMA))
    s += sgl.assistant_end()


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 10}, "old": {"type": "boolean"}},
    "required": ["name", "old"],
    "additionalProperties": False,
}


@sgl.function
def with_logprobs(s):
    s += sgl.user("what is 3 + 4?")
    s += sgl.assistant(
        sgl.gen("answer", max_tokens=16, temperature=0, return_logprob=True, top_logprobs_num=3,
                return_text_in_logprobs=True, logprob_start_len=0)
    )  # fmt: skip


@sgl.function
def stopped(s):
    s += sgl.user("what is 3 + 4?")
    s += sgl.assistant(sgl.gen("answer", max_tokens=64, temperature=0, stop="="))


def checks():
    """(name, whether it holds, what was seen)."""
    state = ask.run(question="what is 3 + 4?")
    yield "gen", state["answer"] == "3 + 4 = 7.", state["answer"]
    meta = state.get_meta_info("answer")
    yield "gen: meta_info", meta["finish_reason"]["type"] == "stop" and meta["completion_tokens"] > 3, meta
    state = converse.run()
    yield "roles, several turns", "Ada" in state["second"], state.text()
    # The other two methods of select take the first log probability for a number, where the protocol has null.
    choices = ["3 + 4 = 9.", "3 + 4 = 7.", "I do not know."]
    state = pick.run(question="what is 3 + 4?", choices=choices)
    yield "select", state["answer"] == "3 + 4 = 7.", state["answer"]
    state = branch.run()
    yield "fork", all("5" in state[f"answer{i}"] for i in range(3)), state.text()
    state = ask.run(question="what is 3 + 4?", stream=True)
    pieces = list(state.text_iter("answer"))
    yield "stream", "".join(pieces) == "3 + 4 = 7.", pieces
    state = ask.run(question="tell me a story", stream=True)
    pieces = list(state.text_iter("answer"))
    yield "stream, longer", "".join(pieces) == ask.run(question="tell me a story")["answer"], pieces
    state = constrained.run()
    yield "regex", bool(re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", state["address"])), state["address"]
    yield "dtype int", state["number"].strip().lstrip("+-").isdigit(), state["number"]
    yield "dtype bool", state["truth"] in ("True", "False"), state["truth"]
    is_fit = re.fullmatch(r'\{"name":"[^"]*","old":(true|false)\}', state["json"]) and json.loads(state["json"])
    yield "json_schema", bool(is_fit), state["json"]
    meta = with_logprobs.run().get_meta_info("answer")
    tops = meta["output_top_logprobs"]
    greedy = all(top[0][:2] == chosen[:2] for top, chosen in zip(tops, meta["output_token_logprobs"], strict=True))
    yield "logprobs", greedy and meta["input_token_logprobs"][0][0] is None, meta["output_token_logprobs"][:2]
    state = stopped.run()
    yield "stop", state["answer"] == "3 + 4 ", state["answer"]
    questions = [{"question": f"what is {i} + {j}?"} for i in range(1, 5) for j in range(1, 5)]
    states = ask.run_batch(questions, num_threads=8, progress_bar=False)
    right = sum(str(i + j) in states[4 * (i - 1) + j - 1]["answer"] for i in range(1, 5) for j in range(1, 5))
    yield "run_batch", right >= 14, f"{right} of 16 sums are right"
    backend = sgl.global_config.default_backend
    yield "server_info, flush_cache", backend.get_server_info()["status"] == "ready", ""
    backend.flush_cache()


def main(url, api_key=None):
    """The exit code."""
    endpoint = sgl.RuntimeEndpoint(url, api_key=api_key, chat_template_name="microgpt")
    sgl.set_default_backend(endpoint)
    failed = 0
    for name, holds, seen in checks():
        failed += not holds
        print(f"{'ok    ' if holds else 'FAILED'} frontend: {name}" + ("" if holds else f": {seen!r}"), flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
