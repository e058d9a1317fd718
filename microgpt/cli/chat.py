"""`microgpt chat`: a conversation in the terminal."""

import argparse
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microgpt.chat import Message, chat_params, chat_prompt
from microgpt.cli.interrupt import noted
from microgpt.cli.sampling_options import add_sampling_options, sampling_knobs
from microgpt.errors import InvalidRequest
from microgpt.params import BOUNDS, MAX_SEED
from microgpt.request import Failed, GenerationRequest, TokenEvent
from microgpt.text_stream import TrimStream

if TYPE_CHECKING:
    from microgpt.engine import Engine

SUMMARY = "talk to a chat model in the terminal"
DESCRIPTION = """\
Talk to a chat model. Replies are streamed; Ctrl-C stops one, Ctrl-D leaves.

In the conversation: /clear forgets it, /retry draws another reply, /seed N sets the seed, /help, /quit."""
EXAMPLES = """\
examples:
  microgpt chat output
  microgpt chat output --temperature 0.8 --seed 7
  echo "Hello!" | microgpt chat output"""
HELP = """\
/clear     forget the conversation
/retry     draw another reply to your last message
/seed N    use this seed from now on
/help      this
/quit      leave, as Ctrl-D does; Ctrl-C stops a reply"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="DIR", help="the model directory")
    add_sampling_options(parser)


def run(arguments: argparse.Namespace) -> int:
    knobs = sampling_knobs(arguments)
    from microgpt.engine import load

    engine = load(arguments.model, device=arguments.device, dtype=arguments.dtype)
    if engine.tokenizer.chat is None:
        raise InvalidRequest(f"{arguments.model}: the model was not trained with chat tokens; try `microgpt generate`")
    interactive = sys.stdin.isatty()
    if interactive:
        import readline  # noqa: F401  gives input() line editing and history

        print(f"{arguments.model}: {engine.config.num_parameters:,} parameters. /help for help, Ctrl-D leaves.")
    conversation = Conversation(engine, knobs)
    while True:
        try:
            line = input("> " if interactive else "")
        except EOFError:
            if interactive:
                print()
            return 0
        except KeyboardInterrupt:
            print("\n(Ctrl-D or /quit leaves)")
            continue
        if line.strip() == "/quit":
            return 0
        answer(conversation, line.strip())


def answer(conversation: "Conversation", line: str) -> None:
    """Do what one line asks for: a command, or a message to reply to. Prints; mutates the conversation."""
    command, _, argument = line.partition(" ")
    if not line:
        return
    if not line.startswith("/"):
        # What a terminal sent that is not UTF-8 arrives as lone surrogates, which are no text.
        conversation.messages.append(Message("user", line.encode("utf-8", "replace").decode()))
        reply_to(conversation)
    elif command == "/clear":
        conversation.messages.clear()
        print("(forgotten)")
    elif command == "/retry":
        if conversation.retry():
            print(f"(seed {conversation.knobs['seed']})")
            reply_to(conversation)
        else:
            print("(nothing to retry yet)")
    elif command == "/seed":
        set_seed(conversation, argument)
    elif command == "/help":
        print(HELP)
    else:
        print(f"(no command {command}; /help lists them)")


def set_seed(conversation: "Conversation", argument: str) -> None:
    """Take a seed from what was typed, or say what a seed is."""
    try:
        seed = int(argument)
    except ValueError:
        seed = -1
    if BOUNDS["seed"].admits(seed):
        conversation.knobs["seed"] = seed
        conversation.seed_is_new = True
        print(f"(seed {seed})")
    else:
        print(f"(seed must be an integer {BOUNDS['seed']}, got {argument!r})")


def reply_to(conversation: "Conversation") -> None:
    """Stream a reply to the terminal; Ctrl-C ends it and keeps what has come."""

    def write(text: str) -> None:
        print(text, end="", flush=True)

    with noted(signal.SIGINT) as wish:
        dropped = conversation.reply(write, lambda: wish.is_made)
    print(" (stopped)" if wish.is_made else "")
    if dropped:
        print(f"(the model no longer sees the first {dropped} tokens)")


@dataclass
class Conversation:
    """Turns so far, and how the next is sampled; mutable.

    knobs: SamplingParams' arguments by name, seed among them. seed_is_new: no reply was drawn with it yet.
    """

    engine: "Engine"
    knobs: dict[str, Any]
    messages: list[Message] = field(default_factory=list)
    seed_is_new: bool = True
    _ids: count = field(default_factory=count)

    def reply(self, write: Callable[[str], None], should_stop: Callable[[], bool]) -> int:
        """How many tokens of the conversation did not fit; the reply goes to `write` piece by piece.

        It becomes the last message, also when should_stop (asked at each step of the engine) cut it short. If the
        model fails, the messages stay as they were and the engine's error is raised.
        """
        engine = self.engine
        prompt = chat_prompt(engine.tokenizer, engine.config.block_size, self.messages)
        params = chat_params(engine.tokenizer, len(prompt.ids), engine.config.block_size, **self.knobs)
        request = GenerationRequest(f"reply {next(self._ids)}", prompt.ids, params)
        engine.add(request)
        trim, pieces = TrimStream(), []
        while engine.has_work:
            if should_stop():
                engine.cancel(request.id)
            for event in engine.step():
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, TokenEvent) and (piece := trim.push(event.text)):
                    pieces.append(piece)
                    write(piece)
        self.messages.append(Message("assistant", "".join(pieces)))
        self.seed_is_new = False
        return prompt.tokens_dropped

    def retry(self) -> bool:
        """Take the last reply back and move on to the next seed, or to one just set; False when there is no reply."""
        if not self.messages or self.messages[-1].role != "assistant":
            return False
        self.messages.pop()
        if not self.seed_is_new:
            self.knobs["seed"] = (self.knobs["seed"] + 1) % (MAX_SEED + 1)
        return True
