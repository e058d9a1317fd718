"""What a dialect is: routes, each turning a body into work, and a way to render what comes back and what goes wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pydantic import BaseModel

from microgpt import GenerationRequest
from serve.errors import HttpError
from serve.service import Progress, Service


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

    wants_tokens: whether the renderer needs the tokens and log probabilities in Progress, beside the text.
    """

    requests: Sequence[GenerationRequest]
    renderer: Renderer
    stream: bool
    wants_tokens: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One generating route. The models and `stream_meaning` are what the OpenAPI schema shows.

    prepare: called on the event loop or, for a large body, on a worker thread; raises HttpError or MicrogptError for a
    body that cannot be served.
    """

    path: str
    summary: str
    prepare: Callable[[Service, bytes], Work]
    request_model: type[BaseModel]
    answer_model: type[BaseModel]
    stream_meaning: str
    methods: tuple[str, ...] = ("POST",)


@dataclass(frozen=True, slots=True)
class Dialect:
    """A way of speaking to the server over HTTP.

    error_body: the JSON of a refusal. end_stream: the last events of a stream that met an error after its start.
    """

    name: str
    routes: tuple[Route, ...]
    error_body: Callable[[HttpError], bytes]
    end_stream: Callable[[HttpError], bytes]
