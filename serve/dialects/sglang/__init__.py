"""SGLang's native HTTP protocol: generation, and what its clients ask of a server beside it."""

from serve.dialects.base import Dialect
from serve.dialects.sglang import control, embedding, generate, info, score, tokenizer
from serve.dialects.sglang.errors import end_stream, error_body

DIALECT = Dialect(
    name="sglang",
    routes=(generate.ROUTE, score.ROUTE, *tokenizer.ROUTES),
    error_body=error_body,
    end_stream=end_stream,
    operations=(*control.OPERATIONS, *control.QUESTIONS, *info.OPERATIONS, *embedding.OPERATIONS),
)
