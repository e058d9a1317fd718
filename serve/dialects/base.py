"""What a dialect is: routes, each turning a body into work, and a way to render what comes back and what goes wrong."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pydantic import BaseModel

from microgpt import GenerationRequest
from microgpt.constraints.constraint import Constraint
from serve.body import Headers, check_media_type
from serve.errors import HttpError
from serve.service import Progress, Service
from serve.settings import Settings


class Renderer(Protocol):
    """Makes one answer out of the progress of its sequences. Buffered and streamed answers take the same pushes, one
    after the other; large ones on a worker thread."""

    def push(self, progress: Progress) -> bytes:
        """Take progress in; the stream events it is worth, possibly none, and none for a buffered answer."""
        ...

    def end_stream(self) -> bytes:
        """The last events of a stream, when every sequence has ended."""
        ...

    def body(self) -> bytes:
        """The buffered answer, when every sequence has ended."""
        ...


class Work(NamedTuple):
    """A validated HTTP request: sequences for the engine, how to render them, and whether as a stream.

    constraints: one for each of `requests` or None, not compiled yet; empty: no request has one. wants_tokens: whether
    the renderer needs the tokens and log probabilities in Progress, beside the text. survives_failures: whether the
    renderer wants to know of a sample that fails, and the others go on; else the failure is the request's.
    refuses_in_stream: whether a 400 that is found after this is answered as HttpError.in_stream says.
    """

    requests: Sequence[GenerationRequest]
    renderer: Renderer
    stream: bool
    wants_tokens: bool = False
    survives_failures: bool = False
    refuses_in_stream: bool = False
    constraints: Sequence[Constraint | None] = ()

    @property
    def is_plain(self) -> bool:
        """Whether it is texts alone, sent as a whole."""
        is_special = self.stream or self.constraints or self.wants_tokens or self.survives_failures
        return not is_special and not self.refuses_in_stream

    @property
    def num_prompt_tokens(self) -> int:
        """Over all sequences, each sample's counted."""
        return sum([len(request.prompt_ids) * request.num_samples for request in self.requests])


class Reply(NamedTuple):
    """A whole answer that no engine is needed for."""

    body: bytes
    status: int = 200
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Route:
    """One route that takes a body. The models and `stream_meaning` (none: never a stream) are what the OpenAPI schema
    shows; request_model may be a TypedDict.

    prepare: called on the event loop or, for a large body, on a worker thread; raises HttpError or MicrogptError for a
    body that cannot be served. check_headers: raises HttpError before the body is read. generates: whether the engine
    works for it: then it is refused while none does, and draws on the budget of RATE_LIMIT, else of RATE_LIMIT_INFO.
    """

    path: str
    summary: str
    prepare: Callable[[Service, bytes], Work | Reply]
    request_model: type
    answer_model: type[BaseModel]
    stream_meaning: str
    methods: tuple[str, ...] = ("POST",)
    check_headers: Callable[[Headers], None] = check_media_type
    generates: bool = True


class Asked(NamedTuple):
    """What an Operation is given. query: of names given twice the last. body: of methods that have one."""

    settings: Settings
    path_params: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Operation:
    """One route that looks at the server or changes it. It draws on the budget of RATE_LIMIT_INFO unless `limited` is
    false.

    run: called on the event loop; raises HttpError or MicrogptError. body: its model, for the OpenAPI schema; None
    without.
    """

    path: str
    summary: str
    run: Callable[[Service, Asked], Awaitable[Reply]]
    methods: tuple[str, ...] = ("GET",)
    limited: bool = True
    body: type | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """A way of speaking to the server over HTTP.

    error_body: the JSON of a refusal. end_stream: the last events of a stream that met an error after its start.
    """

    name: str
    routes: tuple[Route, ...]
    error_body: Callable[[HttpError], bytes]
    end_stream: Callable[[HttpError], bytes]
    operations: tuple[Operation, ...] = ()
