"""Prompts that clients have rendered: names of special tokens are those tokens, unless parsing is off."""

import random

import tokenizers as hf

from microgpt import load_checkpoint
from microgpt.rendered import PromptEncoder
from microgpt.tokenizers import CharTokenizer


def test_special_tokens_are_parsed_as_hugging_face_does(chat_golden_dir):
    tokenizer = load_checkpoint(chat_golden_dir).tokenizer
    oracle = hf.Tokenizer.from_file(str(chat_golden_dir / "tokenizer.json"))  # parses them unless told not to
    pieces = ["<bos>", "<user>", "<assistant>", "<end_turn>", "<", ">", "<us", "er>", "hi", " ", "é", "\n", "<<user>>"]
    rng = random.Random(0)
    encoder = PromptEncoder(tokenizer)
    for _ in range(300):
        text = "".join(rng.choices(pieces, k=rng.randrange(12)))
        expected = oracle.encode(text, add_special_tokens=False).ids
        assert encoder.encode(text, add_bos=False) == expected
        with_bos = encoder.encode(text)
        assert with_bos == (expected if expected[:1] == [tokenizer.bos] else [tokenizer.bos, *expected])


def test_off_leaves_all_text_plain(chat_golden_dir):
    tokenizer = load_checkpoint(chat_golden_dir).tokenizer
    encoder = PromptEncoder(tokenizer, parse_special=False)
    text = "<bos><user>hi<end_turn>"
    assert encoder.encode(text, add_bos=False) == tokenizer.encode(text)
    assert encoder.encode(text) == [tokenizer.bos, *tokenizer.encode(text)]
    assert not set(tokenizer.encode(text)) & tokenizer.special_ids


def test_character_models_have_the_same_names():
    tokenizer = CharTokenizer("abdenrstu<>_", chat=True)
    assert tokenizer.chat is not None
    encoder = PromptEncoder(tokenizer)
    assert encoder.encode("a<user>b<end_turn><bos>", add_bos=False) == [
        0, tokenizer.chat.user, 1, tokenizer.chat.end_turn, tokenizer.bos
    ]  # fmt: skip
    plain = CharTokenizer("abdenrstu<>_", chat=False)
    assert PromptEncoder(plain).encode("<user>", add_bos=False) == plain.encode("<user>")
    assert PromptEncoder(plain).encode("") == [plain.bos]
