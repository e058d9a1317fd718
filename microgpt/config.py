"""ModelConfig: the sizes of a model, and every rule that follows from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Upper bounds keep a damaged meta.json from asking for absurd amounts of memory. They are far above the
# models that this project is for (about 100 million parameters at most).
_LIMITS = {
    "vocab_size": 1 << 24,
    "n_embd": 1 << 16,
    "n_head": 1 << 12,
    "n_layer": 1 << 10,
    "block_size": 1 << 20,
}


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The sizes of a GPT: learned positions, pre-norm blocks, ReLU MLP of 4 * n_embd, untied lm_head."""

    vocab_size: int
    n_embd: int
    n_head: int
    n_layer: int
    block_size: int

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_head

    @property
    def num_parameters(self) -> int:
        return sum(rows * columns for rows, columns in self.tensor_shapes().values())

    def tensor_shapes(self) -> dict[str, tuple[int, int]]:
        """Name -> (output, input) dimensions of every weight, in the order they are used."""
        n, shapes = self.n_embd, {}
        shapes["wte"] = (self.vocab_size, n)
        shapes["wpe"] = (self.block_size, n)
        for i in range(self.n_layer):
            for name in ("attn_wq", "attn_wk", "attn_wv", "attn_wo"):
                shapes[f"layer{i}.{name}"] = (n, n)
            shapes[f"layer{i}.mlp_fc1"] = (4 * n, n)
            shapes[f"layer{i}.mlp_fc2"] = (n, 4 * n)
        shapes["lm_head"] = (self.vocab_size, n)
        return shapes

    def problems(self) -> list[str]:
        """What is wrong with these sizes, a sentence each; empty when the model can exist."""
        found = []
        for name, limit in _LIMITS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= limit:
                found.append(f"{name} must be an integer in [1, {limit}], got {value!r}")
        if not found and self.n_embd % self.n_head:
            found.append(f"n_embd must be a multiple of n_head, got n_embd {self.n_embd} and n_head {self.n_head}")
        return found

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> tuple["ModelConfig | None", list[str]]:
        """(config, []) for a sound meta.json object, else (None, problems)."""
        found = [f"{name} is missing" for name in _LIMITS if name not in meta]
        if found:
            return None, found
        config = cls(**{name: meta[name] for name in _LIMITS})
        found = config.problems()
        return (None, found) if found else (config, [])
