"""What SGLang's clients expect of a refusal: three shapes of body, and the event in place of one in a stream.

A refusal is raised as a `Refusal`, made by one of the functions here; any other HttpError gets its shape by its status.
"""

from pydantic_core import to_json

from serve import sse
from serve.errors import HttpError


class Refusal(HttpError):
    """An HttpError that knows its body."""

    def __init__(self, status: int, message: str, body: bytes):
        super().__init__(status, message)
        self.body = body


def native_error(message: str, status: int = 400) -> Refusal:
    """`{"error": {"message"}}`: what SGLang's own routes answer to a value that cannot be served."""
    return Refusal(status, message, to_json({"error": {"message": message}}))


def object_error(message: str, type: str = "Bad Request", status: int = 400) -> Refusal:
    """`{"object": "error", "message", "type", "param", "code"}`: a body that is not what the route takes."""
    return Refusal(status, message, _object(message, type, status))


def string_error(message: str) -> Refusal:
    """`{"error": message}`: a field whose type or name is not in the schema of /generate."""
    return Refusal(400, message, to_json({"error": message}))


def error_body(error: HttpError) -> bytes:
    """The body of any refusal: an HttpError with status 400 is about a value; others name their status."""
    if isinstance(error, Refusal):
        return error.body
    if error.status == 400:
        return native_error(error.message).body
    return _object(error.message, str(error.status), error.status)


def end_stream(error: HttpError) -> bytes:
    """The last events of a stream that is refused, or meets an error after its start."""
    type_ = "invalid_request_error" if error.status < 500 else "internal_server_error"
    problem = {"message": error.message, "type": type_, "code": error.status, "retryable": error.status in (429, 503)}
    return sse.event(to_json({"error": problem})) + sse.DONE


def _object(message: str, type_: str, status: int) -> bytes:
    return to_json({"object": "error", "message": message, "type": type_, "param": None, "code": status})
