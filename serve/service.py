"""Service: what the dialects share. Encodes messages, hands sequences to the engine, knows whether to accept work."""

import asyncio
import dataclasses
import gc
import itertools
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, TypeVar

from microgpt import (
    Checkpoint,
    CheckpointError,
    EngineFault,
    GenerationRequest,
    InvalidRequest,
    MicrogptError,
    Overloaded,
    SamplingParams,
    load_checkpoint,
)
from microgpt.chat import ChatPrompt, Message, chat_prompt
from microgpt.constraints.constraint import Constraint
from microgpt.rendered import PromptEncoder
from serve.body import BodyRoom
from serve.engine_client import EngineClient, EngineState, Generation, Progress
from serve.errors import HttpError, as_http_error
from serve.grammars import Grammars

__all__ = ["Generation", "Progress", "Service"]

T = TypeVar("T")
PauseMode = Literal["abort", "in_place", "retract"]

# Parsing and tokenising run at some MB/s: a longer body would hold up every other connection for milliseconds.
OFF_LOOP_BYTES = 16 * 1024
PROBE_S = 20.0  # how long the engine may take to make one token before it counts as stuck
PROBE_INTERVAL_S = 0.01
HUGE_BYTES = 256 * 1024  # takes a tenth of a second or more: such bodies have a thread of their own
MAX_PREPARING = 32  # bodies that wait for the same thread
OFF_LOOP_REPORTS = 128  # log probabilities of so many tokens take milliseconds to write, with 20 others beside each
MAX_BODIES_BYTES = 64 * 2**20
MAX_CONSTRAINTS = 64  # different ones in a request
INTERNAL = "\0"  # begins the ids that no client has given
FLUSH_POLL_S = 0.02


class _Accepted:
    """A context that counts the requests in it: those in work until they are answered. idle: there are none."""

    def __init__(self) -> None:
        self._count = 0
        self.idle = asyncio.Event()
        self.idle.set()

    def __enter__(self) -> None:
        self._count += 1
        self.idle.clear()

    def __exit__(self, *error: object) -> None:
        self._count -= 1
        if not self._count:
            self.idle.set()


class _Preparer:
    """A thread for what would hold up the event loop."""

    def __init__(self, name: str):
        self._thread = ThreadPoolExecutor(1, name)
        self._futures: set[Future[Any]] = set()

    @property
    def is_full(self) -> bool:
        """Whether no more should wait for it."""
        return len(self._futures) >= MAX_PREPARING

    async def run(self, call: Callable[..., T], *arguments: Any) -> T:
        """What `call` returns, when its turn has come."""
        future = self._thread.submit(call, *arguments)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return await asyncio.wrap_future(future)

    def close(self) -> bool:
        """Drop what waits; False if something is being worked on at this moment, which cannot be stopped."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        return not self._futures


class Service:
    """One model behind one engine.

    parse_special: whether special tokens are seen in prompts that clients have rendered. incremental_streams: whether
    streams that repeat all that they have sent, where their dialect knows both ways, send what is new alone.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        client: EngineClient,
        *,
        max_bodies_bytes: int = MAX_BODIES_BYTES,
        parse_special: bool = True,
        incremental_streams: bool = False,
    ):
        self.checkpoint = checkpoint
        self.tokenizer = checkpoint.tokenizer
        self.config = checkpoint.config
        self.client = client
        self._prompts = PromptEncoder(checkpoint.tokenizer, parse_special=parse_special)
        self.incremental_streams = incremental_streams
        self.draining = False
        self.body_room = BodyRoom(max_bodies_bytes)
        self._numbers = itertools.count()
        self._started_at = time.monotonic()
        self.accepted = _Accepted()
        self._preparer, self._huge_preparer = _Preparer("prepare"), _Preparer("prepare-huge")
        self._grammars = Grammars(self.tokenizer, self.config.vocab_size)
        self._probe: asyncio.Task[bool] | None = None
        self.model_path = str(checkpoint.path)
        self._updating = asyncio.Lock()  # one at a time: each has a second set of weights in memory
        self._updates: set[asyncio.Task[int]] = set()

    @property
    def max_queue(self) -> int:
        """Most sequences accepted at once; a request for more can never succeed."""
        return self.client.max_queue

    @property
    def uptime_s(self) -> float:
        return time.monotonic() - self._started_at

    @property
    def status(self) -> str:
        """ok, loading, draining or failed; work is accepted only when ok."""
        if self.client.state is EngineState.FAILED:
            return "failed"
        if self.draining:
            return "draining"
        return "ok" if self.client.state is EngineState.READY else "loading"

    @property
    def closing_headers(self) -> dict[str, str]:
        """Of all answers: while draining, connections are closed after them."""
        return {"Connection": "close"} if self.draining else {}

    def check_accepting(self) -> None:
        """Raise 503 unless new work is accepted. A full queue is told before anything is read: what is refused is to
        cost as little as it can."""
        if self.client.state is EngineState.READY and not self.draining:
            try:
                self.client.check_room()
            except Overloaded as error:
                raise as_http_error(error) from None
            return
        match self.status:
            case "loading":
                raise HttpError(503, "model is loading", {"Retry-After": "2"})
            case "draining":
                raise HttpError(503, "server is shutting down", {"Connection": "close"})
            case "failed":
                raise HttpError(503, "the engine has failed")

    async def is_generating(self, limit_s: float = PROBE_S) -> bool:
        """Whether the engine makes a token within limit_s. Those who ask at the same time share one attempt."""
        if self.status != "ok" or self.paused:
            return False
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._make_token(limit_s))
        return await asyncio.shield(self._probe)

    async def _make_token(self, limit_s: float) -> bool:
        prompt, params = (self.tokenizer.bos,), SamplingParams(max_tokens=1)
        num_before = self.client.num_tokens
        try:
            async with asyncio.timeout(limit_s):
                try:
                    with self.start([GenerationRequest(f"HEALTH_CHECK_{self.new_id()}", prompt, params)]) as generation:
                        await generation.news(whole=True)
                except Overloaded:  # no room for one more, so others' tokens have to tell
                    while self.client.num_tokens == num_before:
                        await asyncio.sleep(PROBE_INTERVAL_S)
        except (TimeoutError, MicrogptError):
            return False
        return True

    async def idle(self) -> None:
        """Returns when no accepted request is unanswered."""
        await self.accepted.idle.wait()

    async def prepare(self, prepare: Callable[["Service", bytes], T], body: bytes) -> T:
        """`prepare(self, body)`: what a dialect makes of a body, large ones off the event loop.

        Raises 503 when too many large ones wait already, or too many bytes of them.
        """
        size = len(body)
        if size <= OFF_LOOP_BYTES:
            return prepare(self, body)
        is_huge = size > HUGE_BYTES
        preparer = self._huge_preparer if is_huge else self._preparer
        if preparer.is_full:
            raise Overloaded("too many large requests are waiting to be read")
        self.body_room.take(size)
        try:
            if is_huge:
                return await preparer.run(_without_gc, prepare, self, body)
            return await preparer.run(prepare, self, body)
        finally:
            self.body_room.give_back(size)

    async def render(self, push: Callable[[Progress], bytes], news: Sequence[Progress]) -> bytes:
        """What a renderer makes of `news`, joined; where they report of many tokens, made off the event loop."""
        num_reports = sum([len(each.logprobs) + len(each.prompt_logprobs or ()) for each in news])
        if num_reports <= OFF_LOOP_REPORTS:
            return b"".join(map(push, news))
        return await self._preparer.run(lambda: b"".join(map(push, news)))

    def close(self) -> bool:
        """Drop what waits for a thread; False if a body, a constraint or weights are on one at this moment, which
        cannot be stopped."""
        is_idle = [self._preparer.close(), self._huge_preparer.close(), self._grammars.close(), not self._updates]
        return all(is_idle)

    def chat_prompt(self, messages: Sequence[Message]) -> ChatPrompt:
        """The prompt for `messages`. Raises InvalidRequest."""
        return chat_prompt(self.tokenizer, self.config.block_size, messages)

    def encode_prompt(self, text: str, *, add_bos: bool = True) -> list[int]:
        """Ids of a whole prompt that a client has rendered. add_bos: put BOS in front unless it is there."""
        return self._prompts.encode(text, add_bos=add_bos)

    def new_id(self) -> str:
        """An id that no other sequence of this server has, and that `abort` does not find."""
        return f"{INTERNAL}{next(self._numbers)}"

    async def compiled(
        self, requests: Sequence[GenerationRequest], constraints: Sequence[Constraint | None]
    ) -> list[GenerationRequest]:
        """`requests` with their constraints, one for each, compiled off the event loop; None: without.

        Raises InvalidRequest naming the field, Overloaded when too many constraints wait to be compiled.
        """
        different = dict.fromkeys(each for each in constraints if each is not None)
        if len(different) > MAX_CONSTRAINTS:
            raise InvalidRequest(f"constraints must be at most {MAX_CONSTRAINTS} different ones, got {len(different)}")
        grammars = {each: await self._grammars.compiled(each) for each in different}
        return [
            request if each is None else dataclasses.replace(request, constraint=grammars[each])
            for request, each in zip(requests, constraints, strict=True)
        ]

    def start(
        self, requests: Sequence[GenerationRequest], *, wants_tokens: bool = False, survives_failures: bool = False
    ) -> Generation:
        """Hand sequences to the engine, all or none. wants_tokens: whether Progress is to tell of tokens, beside their
        text; survives_failures: and of a sample's failure. Raises InvalidRequest, Overloaded, EngineFault."""
        return self.client.submit(requests, wants_tokens=wants_tokens, survives_failures=survives_failures)

    @property
    def weight_version(self) -> str:
        """Of the weights that made what has come so far; what an answer was made by is in its Progress."""
        return self.client.weight_version

    @property
    def paused(self) -> bool:
        """Whether generation is paused: requests are accepted, and wait."""
        return self.client.is_paused

    def abort(self, rid: str = "", *, all: bool = False) -> None:
        """End the request `rid`, if it is live, and then all whose ids begin with `rid`; or all requests.

        They are answered with what they have so far. Ids of `new_id` are nobody's to name.
        """
        live = self.client.live_ids
        if all:
            self.client.abort(live)
        elif rid in live and not rid.startswith(INTERNAL):
            self.client.abort([each for each in live if each.startswith(rid)])

    async def flush_cache(self, timeout_s: float = 0.0) -> bool:
        """Empty the prefix cache as soon as no request is running or waiting, within timeout_s; whether that was so."""
        deadline = time.monotonic() + timeout_s
        while not (is_done := await self.client.flush_cache()) and (left := deadline - time.monotonic()) > 0:
            await asyncio.sleep(min(FLUSH_POLL_S, left))
        return is_done

    async def pause(self, mode: PauseMode = "abort") -> None:
        """Generate nothing until `resume`; new requests wait, within the bounds that all have.

        mode: what becomes of those that are live: they are aborted, keep their place in memory, or give it back.
        """
        if mode == "abort":
            self.abort(all=True)
        await self.client.pause(retract=mode == "retract")

    async def resume(self) -> None:
        """Go on after `pause`."""
        await self.client.resume()

    async def update_weights(
        self, path: str | os.PathLike[str], version: str | None, *, abort_all: bool = False
    ) -> int:
        """Serve the weights of the model directory `path`; how many requests were frozen meanwhile and go on with them.

        They are loaded, checked and packed first, beside those that serve. Then requests in work end with the old ones,
        or are aborted, or, when generation is paused, go on with the new ones; new requests wait for them. Whoever
        awaits this may leave: it is finished all the same. Raises CheckpointError, InvalidRequest, EngineFault; then
        the old ones stay.
        """
        task = asyncio.create_task(self._update_weights(path, version, abort_all))
        self._updates.add(task)
        task.add_done_callback(self._updates.discard)
        return await asyncio.shield(task)

    async def _update_weights(self, path: str | os.PathLike[str], version: str | None, abort_all: bool) -> int:
        async with self._updating:
            checkpoint, swap = await asyncio.to_thread(self._pack, path)
            if abort_all:
                self.abort(all=True)
            num_frozen = await self.client.update_weights(swap, version)
            self.checkpoint, self.model_path = checkpoint, str(path)
            return num_frozen

    def _pack(self, path: str | os.PathLike[str]) -> tuple[Checkpoint, Callable[[], None]]:
        """The checkpoint at `path`, and what swaps its weights in. On a thread of its own."""
        engine = self.client.engine
        if engine is None:
            raise EngineFault("the engine is still loading")
        try:
            checkpoint = load_checkpoint(path)
            engine.check_weights(checkpoint)
            return checkpoint, engine.backend.pack(checkpoint)
        except MemoryError:
            raise CheckpointError(path, ["there is not enough memory to load it"]) from None

    async def update_version(self, version: str, *, abort_all: bool = False) -> None:
        """Rename the weights that serve; abort_all: requests in work end first, under the old name. Raises
        EngineFault."""
        if abort_all:
            self.abort(all=True)
            await self.client.update_weights(None, version)
        else:
            self.client.weight_version = version

    def get_weights(self, name: str, most: int) -> list[float]:
        """The first `most` values of a tensor, row by row. Raises InvalidRequest for a name that there is not."""
        tensor = self.checkpoint.tensors.get(name)
        if tensor is None:
            raise InvalidRequest(f"name must be one of {', '.join(self.config.tensor_shapes())}, got {name!r:.80}")
        return tensor.first(most)


def _without_gc(prepare: Callable[[Service, bytes], T], service: Service, body: bytes) -> T:
    """`prepare(service, body)` while no garbage is collected.

    A million little arrays in a body make the collector look at them all again and again, while the event loop waits
    for the interpreter's lock: for 0.46 s of a body of 4 MiB instead of 0.06.
    """
    gc.disable()
    try:
        return prepare(service, body)
    finally:
        gc.enable()
