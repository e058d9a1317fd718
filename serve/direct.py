"""The direct way: a small request that came whole is answered by callbacks, past ASGI.

Endpoints, guards, limits, metrics and log are the same; what is saved are ASGI's messages, a task, and the layers of
calls around them: 20 of 70 us for a small generating request. Whatever is not plain goes the application's way, as all
requests of other servers and of tests do: a body in pieces, streams, constraints, log probabilities, what a guard would
refuse, a server that is loading or draining.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from serve.access import SCOPE_KEY, Access, AccessLayer, Scope
from serve.body import ClientDisconnected
from serve.dialects import Reply, Work
from serve.endpoint import BEGUN_KEY, Begun, Endpoint, note_departure, refusal
from serve.errors import HttpError
from serve.service import Generation


class Connection(Protocol):
    """Where a request has come from."""

    def respond(self, status: int, lines: bytes, body: bytes, is_last: bool) -> None:
        """Send the whole answer. lines: of its headers; is_last: whether they say that it is the connection's last."""
        ...

    def watch(self, on_leave: Callable[[], None] | None) -> None:
        """Have `on_leave` called when the client leaves, at once if it has; None: no longer."""
        ...


class DirectWay:
    """Which requests can go directly, and where.

    guards: whether a request may pass the layers around the endpoints.
    """

    def __init__(
        self,
        layer: AccessLayer,
        guards: Sequence[Callable[[Scope], bool]],
        endpoints: Mapping[tuple[str, str], Endpoint],
    ):
        self._layer = layer
        self._guards = tuple(guards)
        self._endpoints = {path.encode(): each for (method, path), each in endpoints.items() if method == "POST"}

    def endpoint(self, method: bytes, url: bytes) -> Endpoint | None:
        """Where a request may go directly, as far as its first line tells."""
        return self._endpoints.get(url) if method == b"POST" else None

    def take(self, endpoint: Endpoint, scope: Scope, body: bytes | bytearray, connection: Connection) -> bool:
        """Serve a request; False if its application has to: then the scope says what has been done of it."""
        if len(body) > endpoint.max_direct_bytes:
            return False
        for admits in self._guards:
            if not admits(scope):
                return False
        access = scope[SCOPE_KEY] = self._layer.begin(scope)
        access.route = endpoint.path
        return _Request(self._layer, endpoint, access, connection).begin(scope, bytes(body))


class _Request:
    """One request on the direct way."""

    __slots__ = ("_access", "_connection", "_endpoint", "_generation", "_headers", "_layer", "_renderer")

    def __init__(self, layer: AccessLayer, endpoint: Endpoint, access: Access, connection: Connection):
        self._layer = layer
        self._endpoint = endpoint
        self._access = access
        self._connection = connection
        self._headers: dict[str, str] = {}
        self._generation: Generation | None = None

    def begin(self, scope: Scope, body: bytes) -> bool:
        """Answer, or see that the engine's events will; False as `DirectWay.take` has it."""
        endpoint = self._endpoint
        try:
            endpoint.check_open()
            endpoint.admit(scope, self._headers)
            outcome = endpoint.prepare(body)
            if isinstance(outcome, Work) and outcome.is_plain:
                self._start(outcome)
                return True
        except Exception as error:
            outcome = refusal(error, self._access)
        if isinstance(outcome, Work) or (isinstance(outcome, HttpError) and outcome.in_stream):
            scope[BEGUN_KEY] = Begun(self._headers, outcome)
            return False
        if isinstance(outcome, Reply):
            self._respond(outcome.status, outcome.body, outcome.media_type)
        else:
            self._refuse(outcome)
        return True

    def _start(self, work: Work) -> None:
        endpoint = self._endpoint
        self._access.prompt_tokens = work.num_prompt_tokens
        self._renderer = work.renderer
        self._generation = generation = endpoint.service.start(work.requests)
        endpoint.service.accepted.__enter__()
        endpoint.deadlines.add(self)
        self._connection.watch(self._leave)
        generation.when_ended(self._finish)

    def _finish(self) -> None:
        """Everything has come."""
        assert self._generation is not None
        renderer = self._renderer
        try:
            for progress in self._generation.take():
                renderer.push(progress)
            body = renderer.body()
        except Exception as error:
            self._refuse(refusal(error, self._access))
        else:
            self._respond(200, body)

    def _leave(self) -> None:
        self.end(ClientDisconnected)

    def end(self, reason: type[Exception]) -> None:
        """Give up: the client has left, or the time is up."""
        if reason is ClientDisconnected:
            note_departure(self._access)
            self._close()
        else:
            self._refuse(self._endpoint.too_late(self._access))

    def _refuse(self, error: HttpError) -> None:
        self._headers |= error.headers
        self._respond(error.status, self._endpoint.dialect.error_body(error))

    def _respond(self, status: int, body: bytes, media_type: str = "application/json") -> None:
        access, headers = self._access, self._headers
        if self._endpoint.service.draining:
            headers = self._endpoint.service.closing_headers | headers
        lines = f"content-type: {media_type}\r\ncontent-length: {len(body)}\r\n"
        for name, value in headers.items():
            lines += f"{name.lower()}: {value}\r\n"
        lines += f"x-request-id: {access.request_id}\r\n"
        access.status = status
        self._connection.respond(status, lines.encode("latin-1"), body, "Connection" in headers)
        self._close()

    def _close(self) -> None:
        generation = self._generation
        if generation is not None:
            self._access.num_tokens = generation.num_tokens
            self._access.first_token_at = generation.first_token_at
            generation.close()
            self._connection.watch(None)
            self._endpoint.deadlines.remove(self)
            self._endpoint.service.accepted.__exit__()
        self._layer.end(self._access)
