"""The routes of embedding models, which this one is not: SGLang's answer for a model that generates."""

from serve.dialects.base import Asked, Operation, Reply
from serve.dialects.sglang.bodies import bad_value
from serve.dialects.sglang.errors import native_error
from serve.service import Service

NO_EMBEDDINGS = (
    "This model does not appear to be an embedding model by default. "
    "Please add `--is-embedding` when launching the server or try another model."
)


async def refuse_native(service: Service, asked: Asked) -> Reply:
    """400, as SGLang's own routes say it."""
    raise native_error(NO_EMBEDDINGS)


async def refuse(service: Service, asked: Asked) -> Reply:
    """400, as the routes below /v1 say it."""
    raise bad_value(NO_EMBEDDINGS)


OPERATIONS = (
    Operation("/encode", "Refused: no embedding model", refuse_native, ("POST",)),
    Operation("/classify", "Refused: no embedding model", refuse_native, ("POST",)),
    Operation("/v1/embeddings", "Refused: no embedding model", refuse, ("POST",)),
    Operation("/v1/classify", "Refused: no embedding model", refuse, ("POST",)),
)
