"""Fixtures for everything: golden models, and tiny random models made on the spot."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microgpt import Checkpoint, ModelConfig, load_checkpoint, save_checkpoint
from microgpt.tokenizers import CharTokenizer, Tokenizer

GOLDEN_DIR = Path(__file__).parent / "golden"


@pytest.fixture(scope="session", params=["names_char", "chat_bpe"])
def golden_dir(request: pytest.FixtureRequest) -> Path:
    """A directory with a checkpoint and golden.json; every test that asks for it runs on both."""
    return GOLDEN_DIR / request.param


@pytest.fixture(scope="session")
def golden(golden_dir: Path) -> dict[str, Any]:
    """The parsed golden.json of `golden_dir`."""
    return json.loads((golden_dir / "golden.json").read_text("utf-8"))


@pytest.fixture(scope="session")
def chat_golden_dir() -> Path:
    return GOLDEN_DIR / "chat_bpe"


@pytest.fixture(scope="session")
def chat_golden(chat_golden_dir: Path) -> dict[str, Any]:
    return json.loads((chat_golden_dir / "golden.json").read_text("utf-8"))


def random_arrays(config: ModelConfig, seed: int = 0, scale: float = 0.4) -> dict[str, np.ndarray]:
    """Weights drawn from N(0, scale): large enough that every token matters to the next one."""
    rng = np.random.default_rng(seed)
    return {
        name: (rng.standard_normal(shape) * scale).astype(np.float32) for name, shape in config.tensor_shapes().items()
    }


MakeModel = Callable[..., Path]


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Writes a random character model and returns its directory.

    chars: the table. chat: whether it has the turn tokens. Sizes default to something tiny.
    """

    def make(
        chars: str = "abcdefgh \n",
        chat: bool = True,
        n_embd: int = 16,
        n_head: int = 2,
        n_layer: int = 2,
        block_size: int = 32,
        seed: int = 0,
        tokenizer: Tokenizer | None = None,
        name: str = "model",
    ) -> Path:
        tokenizer = tokenizer or CharTokenizer(chars, chat)
        config = ModelConfig(tokenizer.vocab_size, n_embd, n_head, n_layer, block_size)
        save_checkpoint(tmp_path / name, config, random_arrays(config, seed), tokenizer)
        return tmp_path / name

    return make


@pytest.fixture
def tiny_checkpoint(make_model: MakeModel) -> Checkpoint:
    """A loaded random chat model of 13 characters, context 32."""
    return load_checkpoint(make_model())
