"""The model shapes that are measured, and what a token of each costs."""

from collections.abc import Sequence
from dataclasses import dataclass

PREFILL_TOKENS = 512
DOCUMENTS = 32  # T0, a model of short names, is asked for this many samples at once

# Bytes per weight, as kept in memory. float16 and bfloat16 are widened in registers.
WEIGHT_BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "int8": 1, "w8a8": 1}
DTYPES = tuple(WEIGHT_BYTES)
BACKENDS = ("numba", "torch")
BATCHES = (1, 8, 32)


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model, and the work it is given: prompts of num_prompt tokens, each continued by num_tokens."""

    name: str
    n_embd: int
    n_head: int
    n_layer: int
    block_size: int
    vocab_size: int

    @property
    def num_prompt(self) -> int:
        return 1 if self.block_size <= 16 else 8

    @property
    def num_tokens(self) -> int:
        return min(self.block_size - self.num_prompt, 256)

    @property
    def has_prefill(self) -> bool:
        """Whether a prompt of PREFILL_TOKENS fits."""
        return self.block_size >= PREFILL_TOKENS

    @property
    def num_multiplied(self) -> int:
        """Weights that every token is multiplied with: all but the two embedding tables."""
        return 12 * self.n_layer * self.n_embd**2 + self.vocab_size * self.n_embd

    @property
    def mean_context(self) -> float:
        """Positions that a decode step of this work looks at, on average."""
        return self.num_prompt + (self.num_tokens + 1) / 2

    @property
    def flops_per_token(self) -> float:
        """Of a decode step: two for each weight, and four for each position, layer and column (q.k and p.v)."""
        return 2 * self.num_multiplied + 4 * self.mean_context * self.n_layer * self.n_embd

    @property
    def flops_per_prompt_token(self) -> float:
        """The same for one token of a prompt of PREFILL_TOKENS, whose last token alone needs lm_head."""
        inner = self.num_multiplied - self.vocab_size * self.n_embd
        context = (PREFILL_TOKENS + 1) / 2
        attention = 4 * context * self.n_layer * self.n_embd
        return 2 * inner + attention + 2 * self.vocab_size * self.n_embd / PREFILL_TOKENS

    def weight_bytes(self, dtype: str) -> int:
        """What a decode step reads of the weights."""
        return self.num_multiplied * WEIGHT_BYTES[dtype]

    def kv_bytes(self, dtype: str) -> float:
        """What a decode step reads of one sequence's K and V, on average; kept in the dtype of the arithmetic, but in
        int8, with a bfloat16 scale a head, beside int8 weights."""
        scaled = 1 + 2 * self.n_head / self.n_embd
        number = {"float64": 8, "int8": scaled, "w8a8": scaled}.get(dtype, 4)
        return 2 * self.n_layer * self.n_embd * self.mean_context * number


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("T0", 16, 4, 1, 16, 27),
        Shape("T1", 64, 4, 2, 256, 4096),
        Shape("T2", 128, 4, 4, 512, 4096),
        Shape("T3", 256, 8, 6, 1024, 4096),
        Shape("T4", 384, 8, 8, 1024, 8192),
        Shape("T5", 768, 12, 12, 1024, 50257),
    )
}


def wave_size(shape: Shape, batch: int) -> int:
    """How many sequences are asked for at once when `batch` of them run at a time."""
    return DOCUMENTS if shape.num_prompt == 1 else batch


def names_of(text: str, known: Sequence[str], what: str) -> list[str]:
    """The comma-separated names in `text`. Raises ValueError naming the first that is not in `known`."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise ValueError(f"{what} must be among {', '.join(known)}, got {name!r}")
    if not names:
        raise ValueError(f"{what} must name at least one of {', '.join(known)}")
    return names
