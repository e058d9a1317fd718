"""Write the conversations the default chat model is trained on.

One JSON line a conversation, a list of {"role", "content"}; the same seed and count give the same bytes. Needs
nothing but Python. The wordings of `eval_prompts.json` and `eval_hard_prompts.json` are left out.

    python scripts/make_chat_data.py --output data/chat.jsonl
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from pathlib import Path

from chat_data.conversations import Writer
from chat_data.exchange import Exchange
from chat_data.holdout import HARD_PROMPTS_PATH, HeldOut, load_prompts

DEFAULT_CONVERSATIONS = 150_000
_REPORT_EVERY = 20_000


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="the JSONL file to write")
    parser.add_argument(
        "--conversations", type=int, default=DEFAULT_CONVERSATIONS, help="how many (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random stream (default %(default)s)")
    parser.add_argument(
        "--memory-share",
        type=float,
        default=0.3,
        help="share of the conversations in which something is told and asked back (default %(default)s)",
    )
    parser.add_argument(
        "--long-share",
        type=float,
        default=0.0,
        help="share of the conversations that fill most of a context of 512 tokens (default %(default)s)",
    )
    arguments = parser.parse_args(argv)
    if not 0 <= arguments.memory_share <= 1:
        parser.error(f"--memory-share must be in [0, 1], got {arguments.memory_share}")
    if not 0 <= arguments.long_share <= 1 - arguments.memory_share:
        parser.error(f"--long-share must be in [0, 1 - memory-share], got {arguments.long_share}")
    if arguments.conversations < 1:
        parser.error(f"--conversations must be >= 1, got {arguments.conversations}")
    return arguments


def as_line(turns: list[Exchange]) -> str:
    """The conversation as one JSON line without its newline."""
    messages: list[dict[str, str]] = []
    for turn in turns:
        messages += ({"role": "user", "content": turn.user}, {"role": "assistant", "content": turn.reply})
    return json.dumps(messages, ensure_ascii=False)


def main(argv: list[str] | None = None) -> int:
    """Write the file, report counts by topic on stderr, return the exit code."""
    arguments = parse_arguments(argv)
    held_out = HeldOut(load_prompts() + load_prompts(HARD_PROMPTS_PATH))
    writer = Writer(random.Random(arguments.seed), held_out, arguments.memory_share, arguments.long_share)
    counts: Counter[str] = Counter()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with arguments.output.open("w", encoding="utf-8") as file:
        for done, turns in enumerate(writer.conversations(arguments.conversations), 1):
            counts.update(turn.topic for turn in turns)
            file.write(as_line(turns) + "\n")
            if done % _REPORT_EVERY == 0:
                print(f"{done} of {arguments.conversations} conversations", file=sys.stderr)
    for topic, count in counts.most_common():
        print(f"{count:9d}  {topic}", file=sys.stderr)
    print(
        f"{counts.total():9d}  turns; {writer.skipped} messages left out because their wording is held out",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
