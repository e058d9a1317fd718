"""Score the default chat model on the held-out prompts of `eval_prompts.json`.

Facts, sums, names, memory and don't-know are checked against the tables the training data was made from. Every
other reply needs a reader's verdict, kept in `eval_verdicts.json` by prompt and reply; without one it counts as
not sensible and is listed as unjudged. In prompts of several turns the model answers every turn itself, and the
last reply is scored.

    python scripts/eval_default_model.py --model output
    python scripts/eval_default_model.py --url http://127.0.0.1:8080 --markdown scores.md
    python scripts/eval_default_model.py --model output --collect     # add unjudged replies to the verdicts file
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chat_data import facts
from chat_data.creative import name_pool
from chat_data.holdout import PROMPTS_PATH, load_prompts
from chat_data.unknown import MARKERS

from microgpt import MicrogptError

Messages = list[dict[str, str]]
Reply = Callable[[Messages, float, int], str]  # messages, temperature, seed -> the assistant's reply
Check = dict[str, Any]
Verdicts = dict[str, dict[str, str | None]]

VERDICTS_PATH = Path(__file__).resolve().parent / "eval_verdicts.json"
SENSIBLE, NOT_SENSIBLE = "sensible", "not"
# The topics that must be right nearly always; the others count toward the whole.
STRICT_TOPICS = ("sums", "capitals", "opposites", "memory")
STRICT_TARGET, WHOLE_TARGET = 0.95, 0.85
_LONGEST_REPLY_WORDS = 120


# --- checkers: a reply and the check's parameters -> whether the reply is right -----------------------------------


def _has(reply: str, words: str) -> bool:
    """Whether the reply has the words in it as whole words; `a|b` means one of several."""
    return any(re.search(rf"(?<!\w){re.escape(w)}(?!\w)", reply, re.IGNORECASE) for w in words.split("|"))


def _says(reply: str, check: Check) -> bool:
    return all(_has(reply, words) for words in check["words"])


def _sum(reply: str, check: Check) -> bool:
    stated = re.findall(r"=\s*(\d+)", reply) or re.findall(r"\d+", reply)[-1:]
    return bool(stated) and all(int(n) == check["a"] + check["b"] for n in stated)


def _capital(reply: str, check: Check) -> bool:
    right = facts.CAPITALS[check["of"]]
    return _has(reply, right) and not any(_has(reply, c) for c in facts.COUNTRY_OF_CAPITAL if c != right)


def _country(reply: str, check: Check) -> bool:
    right = facts.COUNTRY_OF_CAPITAL[check["of"]]
    wrong = [c for c in facts.CAPITALS if c != right]
    return _has(reply, "|".join((right, *facts.COUNTRY_ALIASES.get(right, ())))) and not any(
        _has(reply, c) for c in wrong
    )


def _opposite(reply: str, check: Check) -> bool:
    answer = re.split(r"\bis\b", reply)[-1]  # the asked word itself stands before the last "is"
    return any(_has(answer, word) for word in facts.ACCEPTED_OPPOSITES[check["of"]])


def _colour(reply: str, check: Check) -> bool:
    return _says(reply, {"words": list(facts.COLOUR_OF[check["of"]].split(" and "))})


def _mix(reply: str, check: Check) -> bool:
    made = facts.MIXES[frozenset({check["a"], check["b"]})]
    named = [c for c in facts.COLOURS if _has(reply, c)]
    return made in named and set(named) <= {made, check["a"], check["b"]}


def _maker(reply: str, check: Check) -> bool:
    return any(_has(reply, animal) for animal, sound in facts.SOUNDS.items() if sound == check["of"])


def _legs(reply: str, check: Check) -> bool:
    count = facts.LEGS[check["of"]]
    return _has(reply, f"{count}|{facts.NUMBER_WORDS[count]}" + ("|no" if count == 0 else ""))


def _fly(reply: str, check: Check) -> bool:
    refuses = re.search(r"\b(no|not|cannot|can't)\b", reply, re.IGNORECASE) is not None
    return _has(reply, "fly") and refuses is not facts.CAN_FLY[check["of"]]


def _neighbour(reply: str, check: Check) -> bool:
    ring = facts.DAYS if check["of"] in facts.DAYS else facts.MONTHS
    right = ring[(ring.index(check["of"]) + check["step"]) % len(ring)]
    return _has(reply, right) and not any(_has(reply, n) for n in ring if n not in (right, check["of"]))


def _names(reply: str, check: Check) -> bool:
    return any(_has(reply, name) for name in name_pool(check["of"])) and not _refuses(reply)


def _refuses(reply: str) -> bool:
    return any(marker in reply.lower().replace("’", "'") for marker in MARKERS)


CHECKERS: dict[str, Callable[[str, Check], bool]] = {
    "says": _says,
    "sum": _sum,
    "capital": _capital,
    "country": _country,
    "opposite": _opposite,
    "colour": _colour,
    "mix": _mix,
    "sound": lambda reply, check: _has(reply, facts.SOUNDS[check["of"]]),
    "maker": _maker,
    "baby": lambda reply, check: _has(reply, facts.BABIES[check["of"]]),
    "legs": _legs,
    "home": lambda reply, check: _has(reply, facts.HOMES[check["of"]]),
    "food": lambda reply, check: _has(reply, facts.FOODS[check["of"]]),
    "fly": _fly,
    "neighbour": _neighbour,
    "names": _names,
    "recall": lambda reply, check: _has(reply, check["value"]),
    "not_told": lambda reply, check: "not told" in reply.lower() or _refuses(reply),
    "dont_know": lambda reply, check: _refuses(reply),
}


def obvious_fault(reply: str) -> str | None:
    """Why a reply cannot be sensible whatever was asked (empty, cut off, endless, repeating), or None."""
    words = reply.lower().split()
    if not words:
        return "empty"
    if len(words) > _LONGEST_REPLY_WORDS:
        return "too long"
    if reply[-1] not in ".!?\"')":
        return "cut off"
    runs = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    if any(runs.count(run) > 2 for run in set(runs)):
        return "repeats itself"
    return None


# --- running ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """One prompt with the model's replies. `verdict` is "sensible", "not" or None where a reader must still judge;
    `by` says who decided."""

    id: str
    topic: str
    turns: list[str]
    replies: list[str]
    verdict: str | None
    by: str


def judge(prompt: dict[str, Any], reply: str, verdicts: Verdicts) -> tuple[str | None, str]:
    """The verdict on the reply to a prompt and who gave it: a checker, a screen or a reader."""
    check = prompt["check"]
    if check["kind"] != "judged":
        return (SENSIBLE if CHECKERS[check["kind"]](reply, check) else NOT_SENSIBLE), "checker"
    fault = obvious_fault(reply) or ("refuses" if _refuses(reply) else None)
    if fault:
        return NOT_SENSIBLE, f"screen: {fault}"
    return verdicts.get(prompt["id"], {}).get(reply), "reader"


def run(prompts: list[dict[str, Any]], reply: Reply, temperature: float, seed: int, verdicts: Verdicts) -> list[Result]:
    """Ask every prompt, each with a seed of its own, and judge the last replies."""
    results: list[Result] = []
    for number, prompt in enumerate(prompts):
        messages: Messages = []
        for turn in prompt["turns"]:
            messages.append({"role": "user", "content": turn})
            messages.append({"role": "assistant", "content": reply(messages, temperature, seed + number)})
        replies = [m["content"] for m in messages[1::2]]
        verdict, by = judge(prompt, replies[-1], verdicts)
        results.append(Result(prompt["id"], prompt["topic"], prompt["turns"], replies, verdict, by))
    return results


def library_reply(model_dir: str, dtype: str = "float32") -> Reply:
    """A Reply that runs the checkpoint in this process."""
    from microgpt import GenerationRequest, TokenEvent, load
    from microgpt.chat import Message, chat_params, chat_prompt

    engine = load(model_dir, device="cpu", dtype=dtype)

    def reply(messages: Messages, temperature: float, seed: int) -> str:
        turns = [Message(m["role"], m["content"]) for m in messages]  # type: ignore[arg-type]
        ids = chat_prompt(engine.tokenizer, engine.config.block_size, turns).ids
        params = chat_params(engine.tokenizer, len(ids), engine.config.block_size, temperature=temperature, seed=seed)
        engine.add(GenerationRequest("evaluation", ids, params))
        text = ""
        while engine.has_work:
            text += "".join(event.text for event in engine.step() if isinstance(event, TokenEvent))
        return text.strip()

    return reply


def http_reply(url: str) -> Reply:
    """A Reply that asks a running server; it waits where the server's rate limit says so."""

    def reply(messages: Messages, temperature: float, seed: int) -> str:
        body = json.dumps({"messages": messages, "temperature": temperature, "seed": seed}).encode()
        request = urllib.request.Request(
            f"{url.rstrip('/')}/microgpt/v1/chat", body, {"content-type": "application/json"}
        )
        while True:
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return json.load(answer)["content"]
            except urllib.error.HTTPError as error:
                if error.code != 429:
                    raise
                time.sleep(float(error.headers.get("Retry-After", "1")))

    return reply


# --- reporting ----------------------------------------------------------------------------------------------------


def scores(results: list[Result]) -> dict[str, tuple[int, int]]:
    """Topic -> (sensible replies, prompts), in order of first appearance; "all" is the total."""
    table: dict[str, tuple[int, int]] = {}
    for result in results:
        for key in (result.topic, "all"):
            good, count = table.get(key, (0, 0))
            table[key] = (good + (result.verdict == SENSIBLE), count + 1)
    table["all"] = table.pop("all")
    return table


def meets_targets(table: dict[str, tuple[int, int]]) -> bool:
    """Whether the strict topics and the whole reach their targets."""
    good, count = table["all"]
    return good / count >= WHOLE_TARGET and all(
        table[t][0] / table[t][1] >= STRICT_TARGET for t in STRICT_TOPICS if t in table
    )


def as_markdown(results: list[Result]) -> str:
    """Scores by topic, then every prompt and reply with its verdict."""
    lines = ["| topic | sensible | of | share |", "|---|---:|---:|---:|"]
    lines += [f"| {t} | {good} | {n} | {good / n:.1%} |" for t, (good, n) in scores(results).items()]
    lines += ["", "| prompt | what was said | reply | verdict |", "|---|---|---|---|"]
    for result in results:
        said = " / ".join(_cell(t) for t in result.turns)
        verdict = result.verdict or "unjudged"
        lines.append(f"| {result.id} | {said} | {_cell(result.replies[-1])} | {verdict} ({result.by}) |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def collect(results: list[Result], verdicts: Verdicts) -> int:
    """Add the unjudged replies to the verdicts with null in place of a verdict; returns how many were added."""
    waiting = [r for r in results if r.verdict is None]
    for result in waiting:
        verdicts.setdefault(result.id, {})[result.replies[-1]] = None
    return len(waiting)


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", help="model directory, run in this process")
    source.add_argument("--url", help="a running server, such as http://127.0.0.1:8080")
    parser.add_argument("--dtype", default="float32", help="of --model's arithmetic (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.5, help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="prompt i uses seed + i (default %(default)s)")
    parser.add_argument("--prompts", type=Path, default=PROMPTS_PATH, help="default: %(default)s")
    parser.add_argument("--verdicts", type=Path, default=VERDICTS_PATH, help="default: %(default)s")
    parser.add_argument(
        "--collect", action="store_true", help="add unjudged replies to the verdicts file, to be filled in"
    )
    parser.add_argument("--json", type=Path, help="write all results here")
    parser.add_argument("--markdown", type=Path, help="write scores and all replies here")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run, print, write what was asked for; exit code 0 if the targets are met, else 1, and 2 for no model."""
    arguments = parse_arguments(argv)
    verdicts: Verdicts = (
        json.loads(arguments.verdicts.read_text(encoding="utf-8")) if arguments.verdicts.exists() else {}
    )
    try:
        reply = library_reply(arguments.model, arguments.dtype) if arguments.model else http_reply(arguments.url)
    except MicrogptError as error:
        print(error, file=sys.stderr)
        return 2
    results = run(load_prompts(arguments.prompts), reply, arguments.temperature, arguments.seed, verdicts)
    for result in results:
        print(f"[{result.verdict or 'unjudged'}] {result.id}: {' / '.join(result.turns)}\n    -> {result.replies[-1]}")
    table = scores(results)
    print()
    for topic, (good, count) in table.items():
        print(f"{good:4d} of {count:4d}  {good / count:6.1%}  {topic}")
    print(f"{sum(r.verdict is None for r in results)} replies without a verdict count as not sensible")
    if arguments.json:
        arguments.json.write_text(
            json.dumps([asdict(r) for r in results], indent=1, ensure_ascii=False), encoding="utf-8"
        )
    if arguments.markdown:
        arguments.markdown.write_text(as_markdown(results), encoding="utf-8")
    if arguments.collect:
        added = collect(results, verdicts)
        arguments.verdicts.write_text(
            json.dumps(verdicts, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8"
        )
        print(f"{added} replies added to {arguments.verdicts}", file=sys.stderr)
    return 0 if meets_targets(table) else 1


if __name__ == "__main__":
    raise SystemExit(main())
