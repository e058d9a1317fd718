"""The dialects' routes as raw ASGI: gate, rate limit, body, dialect, engine, answer; and every way it can go wrong."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

from microgpt import MicrogptError
from serve import sse
from serve.access import SCOPE_KEY, Access, Receive, Scope, Send, encode_headers, send_json, send_whole
from serve.body import WATCH_KEY, ClientDisconnected, read_body
from serve.dialects import Asked, Dialect, Operation, Reply, Route, Work
from serve.errors import HttpError, as_http_error
from serve.limits import RateLimiter
from serve.service import OFF_LOOP_BYTES, Generation, Service
from serve.settings import Settings

logger = logging.getLogger(__name__)

BEGUN_KEY = "microgpt.begun"
DISCARD_S = 1.0  # how long a refused request's body is awaited before its connection is closed
LOGGED_CHARS = 1000  # of a prompt, and of each reply, where they are logged
LAST_WORDS_S = 1.0  # how long a stream that timed out may take to accept its error event


class Begun(NamedTuple):
    """What has been done of a request before its ASGI application was called, in the scope as BEGUN_KEY: the client is
    charged, and the body is work, or cannot be. headers: of the answer."""

    headers: dict[str, str]
    outcome: Work | HttpError

    def work_or_raise(self) -> Work:
        if isinstance(self.outcome, HttpError):
            raise self.outcome
        return self.outcome


class Endpoint:
    """One route of one dialect that takes a body.

    Order of checks: accepting work at all, rate limit (before the body is read), media type, size, the body itself.
    """

    def __init__(
        self,
        dialect: Dialect,
        route: Route,
        service: Service,
        limiter: RateLimiter,
        *,
        max_body_bytes: int,
        request_timeout_s: float,
        log_prompts: bool,
    ):
        self.dialect = dialect
        self._route = route
        self.path = route.path
        self.service = service
        self._limiter = limiter
        self.max_body_bytes = max_body_bytes
        self.deadlines = Deadlines(request_timeout_s)
        self._log_prompts = log_prompts
        self.max_direct_bytes = -1 if log_prompts else min(OFF_LOOP_BYTES, max_body_bytes)  # of bodies, in serve.direct

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        access: Access = scope[SCOPE_KEY]
        access.route = self.path
        answer = _Answer(send, self.dialect, self.service)
        try:
            self.check_open()
        except HttpError as error:
            if self.service.draining:
                await self._discard_body(scope, receive)
            await answer.fail(error)
            return
        with self.service.accepted:
            await _guarded(self._serve(scope, receive, answer, access), answer, access)

    def check_open(self) -> None:
        """Raise HttpError 503 unless requests are served."""
        if self._route.generates or self.service.draining:
            self.service.check_accepting()

    def admit(self, scope: Scope, headers: dict[str, str]) -> None:
        """Charge the client and look at the head of its request; raises HttpError. `headers`, of the answer whatever it
        will be, are added to."""
        decision = self._limiter.check(scope)
        headers |= self._limiter.headers(decision)
        if not decision.allowed:
            raise HttpError(429, decision.message)
        self._route.check_headers(scope["headers"])

    def prepare(self, body: bytes) -> Work | Reply:
        """What the dialect makes of a small body. Raises HttpError, MicrogptError."""
        return self._route.prepare(self.service, body)

    async def _serve(self, scope: Scope, receive: Receive, answer: "_Answer", access: Access) -> None:
        work: Work | Reply | None = None
        if (begun := scope.get(BEGUN_KEY)) is None:
            self.admit(scope, answer.headers)
        else:
            answer.headers = begun.headers
            work = begun.work_or_raise()
        attempt = _Attempt(self.deadlines)
        try:
            with attempt:
                if work is None:
                    body = await read_body(scope, receive, self.max_body_bytes, self.service.body_room)
                attempt.watch(scope, receive)
                if work is None:
                    work = await self.service.prepare(self._route.prepare, body)
                if isinstance(work, Reply):
                    await answer.send_reply(work)
                    return
                access.prompt_tokens = work.num_prompt_tokens
                if self._log_prompts:
                    num_samples = sum(each.num_samples for each in work.requests)
                    access.prompts, access.replies = self._prompts(work), [""] * num_samples
                answer.refuses_in_stream = work.refuses_in_stream
                requests = work.requests
                if work.constraints:
                    requests = await self.service.compiled(requests, work.constraints)
                with self.service.start(
                    requests, wants_tokens=work.wants_tokens, survives_failures=work.survives_failures
                ) as generation:
                    try:
                        await self._answer(work, generation, answer, access.replies)
                    finally:
                        access.num_tokens = generation.num_tokens
                        access.first_token_at = generation.first_token_at
        except TimeoutError:
            if not attempt.has_body:  # the rest of it may still come
                access.note, limit = "timeout", f"{self.deadlines.limit_s:g} s"
                raise HttpError(408, f"receiving the body took longer than {limit}", {"Connection": "close"}) from None
            raise self.too_late(access) from None

    def too_late(self, access: Access) -> HttpError:
        """What a request is told whose time is up."""
        access.note = access.cancelled = "timeout"
        return HttpError(504, f"the request took longer than {self.deadlines.limit_s:g} s")

    async def _answer(
        self, work: Work, generation: Generation, answer: "_Answer", replies: list[str] | None = None
    ) -> None:
        """Wait for the engine and send: the whole, or pieces as they come. The beginnings of texts go to `replies`."""
        renderer, events = work.renderer, b""
        while not generation.done:
            news = await generation.news(whole=not work.stream)
            if work.wants_tokens:
                events = await self.service.render(renderer.push, news)
            else:
                events = b"".join([renderer.push(progress) for progress in news])
            if replies is not None:
                for progress in news:
                    replies[progress.index] = (replies[progress.index] + progress.text)[:LOGGED_CHARS]
            if work.stream and events and not generation.done:
                # The head goes out with the first piece: until then an error can still be a status.
                await answer.send_events(events)
        if work.stream:
            await answer.send_events(events + renderer.end_stream(), last=True)
        else:
            await answer.send_whole(renderer.body())

    def _prompts(self, work: Work) -> list[str]:
        """The beginnings of the prompts as text, equal ones once."""
        # Four bytes make a character at most, and a token at least one byte, if it is not special.
        prompts = dict.fromkeys(request.prompt_ids[: 4 * LOGGED_CHARS] for request in work.requests)
        return [self.service.tokenizer.decode(ids)[:LOGGED_CHARS] for ids in prompts]

    async def _discard_body(self, scope: Scope, receive: Receive) -> None:
        """Read on before a `Connection: close`: closing on unread data would reset the connection under the answer."""
        try:
            async with asyncio.timeout(DISCARD_S):
                await read_body(scope, receive, self.max_body_bytes, self.service.body_room)
        except (TimeoutError, HttpError, ClientDisconnected):
            pass


class OperationEndpoint:
    """One operation of one dialect."""

    def __init__(self, dialect: Dialect, operation: Operation, service: Service, settings: Settings):
        self._dialect = dialect
        self._operation = operation
        self._service = service
        self._settings = settings
        self._deadlines = Deadlines(settings.request_timeout_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        access: Access = scope[SCOPE_KEY]
        access.route = self._operation.path
        answer = _Answer(send, self._dialect, self._service)
        with self._service.accepted:
            await _guarded(self._serve(scope, receive, answer), answer, access)

    async def _serve(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        attempt = _Attempt(self._deadlines)
        try:
            with attempt:
                body = await read_body(scope, receive, self._settings.max_body_bytes, self._service.body_room)
                attempt.watch(scope, receive)
                self._deadlines.remove(attempt)  # what it waits for has limits of its own
                query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
                asked = Asked(self._settings, scope["path_params"], query, body)
                reply = await self._operation.run(self._service, asked)
        except TimeoutError:
            if attempt.has_body:
                raise
            limit = f"{self._deadlines.limit_s:g} s"
            raise HttpError(408, f"receiving the body took longer than {limit}", {"Connection": "close"}) from None
        await answer.send_reply(reply)


async def _guarded(serving: Awaitable[None], answer: "_Answer", access: Access) -> None:
    """Await `serving`; whatever it raises becomes the answer."""
    try:
        await serving
    except ClientDisconnected:
        note_departure(access)
    except Exception as error:
        await answer.fail(refusal(error, access))


def refusal(error: Exception, access: Access) -> HttpError:
    """What a client is told of what was raised while its request was served."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, MicrogptError):
        told = as_http_error(error)
        if told.status >= 500:  # a message about a client's mistake may quote what it sent
            access.note = str(error)
        return told
    logger.error("unexpected error in request %s", access.request_id, exc_info=error)
    return HttpError(500, "internal error")


def note_departure(access: Access) -> None:
    """The client of a request has left."""
    access.note, access.cancelled = "client disconnected", "disconnected"


class _Answer:
    """The answer to one request: knows whether it has begun, so that an error takes the form that is still possible."""

    def __init__(self, send: Send, dialect: Dialect, service: Service):
        self._send = send
        self._dialect = dialect
        self._service = service
        self._started = False
        self.refuses_in_stream = False
        self.headers: dict[str, str] = {}

    async def send_whole(self, body: bytes) -> None:
        await self._json(200, body)

    async def send_reply(self, reply: Reply) -> None:
        self._started = True
        await send_whole(self._send, reply.status, reply.body, reply.media_type, self._closing() | self.headers)

    async def send_events(self, events: bytes, *, last: bool = False) -> None:
        """Stream events, after the head if they are the first. Waits while the client reads slowly."""
        if not self._started:
            headers = encode_headers(sse.HEADERS | self._closing() | self.headers)
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            self._started = True
        await self._send({"type": "http.response.body", "body": events, "more_body": not last})

    async def fail(self, error: HttpError) -> None:
        """The error as a status if nothing was sent and it may be one, else as the stream's last event."""
        in_stream = error.in_stream or (self.refuses_in_stream and error.status == 400)
        if not self._started and not in_stream:
            self.headers |= error.headers
            await self._json(error.status, self._dialect.error_body(error))
            return
        try:
            async with asyncio.timeout(LAST_WORDS_S):
                await self.send_events(self._dialect.end_stream(error), last=True)
        except TimeoutError:
            logger.info("a client that does not read was left without its error event")

    async def _json(self, status: int, body: bytes) -> None:
        self._started = True
        await send_json(self._send, status, body, self._closing() | self.headers)

    def _closing(self) -> dict[str, str]:
        return self._service.closing_headers


class Attempt(Protocol):
    """What has a deadline."""

    def end(self, reason: type[Exception]) -> None:
        """End it, for a reason as good as `reason`."""
        ...


class Deadlines:
    """Ends attempts that take longer than limit_s.

    One timer for all of them: as they have the same limit, the oldest is due first. asyncio.timeout would start and
    cancel one for each request.
    """

    def __init__(self, limit_s: float):
        self.limit_s = limit_s
        self._due: dict[Attempt, float] = {}  # when, on the loop's clock; the oldest first
        self._timer: asyncio.TimerHandle | None = None

    def add(self, attempt: Attempt) -> None:
        loop = asyncio.get_running_loop()
        self._due[attempt] = loop.time() + self.limit_s
        if self._timer is None:
            self._timer = loop.call_later(self.limit_s, self._look)

    def remove(self, attempt: Attempt) -> None:
        self._due.pop(attempt, None)

    def _look(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._due:
            attempt, due = next(iter(self._due.items()))
            if due > loop.time():
                self._timer = loop.call_at(due, self._look)
                return
            del self._due[attempt]
            attempt.end(TimeoutError)


class _Attempt:
    """Cancels the task inside the `with` when its time is up, raising TimeoutError in its place, or ClientDisconnected
    when the client leaves. As asyncio.timeout does it.
    """

    __slots__ = ("_cancelling", "_deadlines", "_reason", "_task", "_unwatch", "has_body")

    def __init__(self, deadlines: Deadlines):
        self.has_body = False  # the client is watched from then on
        self._deadlines = deadlines
        self._reason: type[Exception] | None = None
        self._unwatch: Callable[[], Any] | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines.add(self)

    def watch(self, scope: Scope, receive: Receive) -> None:
        """End when the client leaves. The body must have been read."""
        self.has_body = True
        if (watch := scope.get(WATCH_KEY)) is not None:  # cheaper than a task
            watch(self._leave)
            self._unwatch = partial(watch, None)
        else:
            self._unwatch = asyncio.get_running_loop().create_task(self._wait(receive)).cancel

    async def _wait(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._leave()

    def _leave(self) -> None:
        self.end(ClientDisconnected)

    def end(self, reason: type[Exception]) -> None:
        """Cancel the task; `reason` is raised instead, unless there is one already."""
        if self._reason is None:
            self._reason = reason
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.remove(self)
        if self._unwatch is not None:
            self._unwatch()
        if self._reason is None:
            return
        if self._task.uncancel() <= self._cancelling and kind in (None, asyncio.CancelledError):
            raise self._reason from error
