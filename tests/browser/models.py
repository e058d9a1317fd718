"""Models for the browser tests, with random weights, that never end a reply by themselves."""

import json
import string
from pathlib import Path

import numpy as np
import tokenizers

from microgpt import ModelConfig, save_checkpoint
from microgpt.tokenizers import CharTokenizer, Tokenizer, train_bpe
from microgpt.tokenizers.bpe import BpeTokenizer

CHARS = string.ascii_letters + string.digits + " .,;:!?'\n"


def save_endless_model(
    directory: Path,
    tokenizer: Tokenizer,
    *,
    n_embd: int,
    n_layer: int,
    block_size: int,
    favoured: tuple[int, ...] = (),
) -> Path:
    """A random chat model whose replies go on until the context is full; `favoured` ids are likelier than others.

    The first feature of every token's embedding is a large constant that nothing changes, so the first column of
    lm_head is a bias: far down for special tokens.
    """
    config = ModelConfig(tokenizer.vocab_size, n_embd, n_embd // 32, n_layer, block_size)
    rng = np.random.default_rng(7)
    arrays = {}
    for name, shape in config.tensor_shapes().items():
        arrays[name] = (rng.standard_normal(shape) * (0.5 / np.sqrt(shape[1]))).astype(np.float32)
        if name.endswith(("attn_wo", "mlp_fc2")):
            arrays[name][0] = 0  # leaves the first feature as it is
    arrays["wte"][:, 0] = 1
    arrays["wpe"][:, 0] = 0
    bias = np.zeros(tokenizer.vocab_size, np.float32)
    bias[list(favoured)] = 1
    bias[list(tokenizer.special_ids)] = -20
    arrays["lm_head"][:, 0] = bias
    save_checkpoint(directory, config, arrays, tokenizer)
    return directory


def long_model(directory: Path) -> Path:
    """A context of 4,096 tokens, one character each."""
    return save_endless_model(directory, CharTokenizer(CHARS, True), n_embd=128, n_layer=2, block_size=4096)


def slow_model(directory: Path) -> Path:
    """The same, large enough that a reply takes seconds."""
    return save_endless_model(directory, CharTokenizer(CHARS, True), n_embd=256, n_layer=4, block_size=4096)


def speaking_model(directory: Path, texts: list[str]) -> Path:
    """A model whose every second token or so is one of `texts`, whole."""
    tokenizer = train_bpe(["some text to learn pairs from, not much of it"], 280, chat=True)
    tokenizer.save(directory.parent)
    described = json.loads((directory.parent / "tokenizer.json").read_text("utf-8"))
    first = tokenizer.vocab_size
    texts = [text for text in texts if text not in described["model"]["vocab"]]  # would get the ids that they have
    described["added_tokens"] += [
        {
            "id": first + i,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": False,
        }
        for i, text in enumerate(texts)
    ]
    speaking = BpeTokenizer(tokenizers.Tokenizer.from_str(json.dumps(described)), chat=True)
    favoured = tuple(range(first, first + len(texts)))
    return save_endless_model(directory, speaking, n_embd=64, n_layer=2, block_size=512, favoured=favoured)
