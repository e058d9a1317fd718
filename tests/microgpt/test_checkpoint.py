"""Loading model directories: what is sound loads exactly, and what is not is listed completely."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from microgpt import CheckpointError, ModelConfig, load_checkpoint, save_checkpoint
from microgpt.tokenizers import CharTokenizer, train_bpe


def problems_of(directory: Path) -> list[str]:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(directory)
    return list(caught.value.problems)


@pytest.fixture
def copy_of_golden(golden_dir: Path, tmp_path: Path) -> Path:
    return shutil.copytree(golden_dir, tmp_path / "copy")


def edit_meta(directory: Path, **changes: Any) -> None:
    meta = json.loads((directory / "meta.json").read_text("utf-8")) | changes
    (directory / "meta.json").write_text(json.dumps({k: v for k, v in meta.items() if v is not ...}), "utf-8")


def edit_weights(directory: Path, edit: Callable[[dict[str, np.ndarray]], Any]) -> None:
    path = directory / "weights.safetensors"
    arrays = safetensors.numpy.load_file(path)
    edit(arrays)
    safetensors.numpy.save_file(arrays, path)


def test_golden_checkpoints_load(golden_dir: Path, golden: dict[str, Any]) -> None:
    checkpoint = load_checkpoint(golden_dir)
    assert checkpoint.config.vocab_size == checkpoint.tokenizer.vocab_size == golden["vocab_size"]
    assert checkpoint.tokenizer.bos == golden["bos"]
    chat = checkpoint.tokenizer.chat
    found = chat and {"user": chat.user, "assistant": chat.assistant, "end_turn": chat.end_turn}
    assert found == golden["special"]
    weights = safetensors.numpy.load_file(golden_dir / "weights.safetensors")
    for name, tensor in checkpoint.tensors.items():
        np.testing.assert_array_equal(tensor.widened(), weights[name])


def test_round_trip_is_exact(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    first = load_checkpoint(make_model())
    arrays = {name: tensor.widened() for name, tensor in first.tensors.items()}
    save_checkpoint(tmp_path / "again", first.config, arrays, first.tokenizer, extra_meta={"note": "kept"})
    second = load_checkpoint(tmp_path / "again")
    assert second.config == first.config
    assert second.meta["note"] == "kept"
    assert second.tokenizer.encode("bad cafe") == first.tokenizer.encode("bad cafe")
    for name, tensor in second.tensors.items():
        np.testing.assert_array_equal(tensor.bits, first.tensors[name].bits)


def test_bpe_round_trip(tmp_path: Path, make_model: Callable[..., Path]) -> None:
    tokenizer = train_bpe(["hello there, hello world"] * 9, 300, chat=True)
    loaded = load_checkpoint(make_model(tokenizer=tokenizer)).tokenizer
    text = "hello <user> wörld 🙂 <end_turn>"
    assert loaded.encode(text) == tokenizer.encode(text)
    assert not set(loaded.encode(text)) & loaded.special_ids
    assert loaded.decode(loaded.encode(text)) == text


@pytest.mark.parametrize("stored", ["F16", "BF16"])
def test_narrow_tensors_are_widened_exactly(copy_of_golden: Path, stored: str) -> None:
    path = copy_of_golden / "weights.safetensors"
    arrays = safetensors.numpy.load_file(path)
    header, blobs, offset = {}, [], 0
    for name, array in arrays.items():
        bits = array.astype("<f2").view("<u2") if stored == "F16" else (array.view("<u4") >> 16).astype("<u2")
        blob = bits.tobytes()
        header[name] = {"dtype": stored, "shape": list(array.shape), "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    checkpoint = load_checkpoint(copy_of_golden)
    assert checkpoint.stored_dtype == stored
    for name, array in arrays.items():
        want = array.astype("<f2").astype("<f4") if stored == "F16" else (array.view("<u4") & 0xFFFF0000).view("<f4")
        np.testing.assert_array_equal(checkpoint.tensors[name].widened(), want)


def test_all_problems_are_reported_at_once(copy_of_golden: Path) -> None:
    def damage(arrays: dict[str, np.ndarray]) -> None:
        del arrays["lm_head"]
        arrays["surplus"] = np.zeros((2, 2), np.float32)
        arrays["wpe"] = np.zeros((3, 16), np.float32)
        arrays["layer0.attn_wq"][0, :2] = [np.nan, np.inf]

    edit_weights(copy_of_golden, damage)
    vocab = load_meta(copy_of_golden)["vocab_size"]
    edit_meta(copy_of_golden, vocab_size=vocab + 1)
    text = "\n".join(problems_of(copy_of_golden))
    n_embd = load_meta(copy_of_golden)["n_embd"]
    block = load_meta(copy_of_golden)["block_size"]
    for expected in (
        f"lm_head is missing, expected shape [{vocab + 1}, {n_embd}]",
        "surplus is not a tensor of this model",
        f"wpe must have shape [{block}, {n_embd}], got [3, 16]",
        "layer0.attn_wq has 2 non-finite values",
        f"wte must have shape [{vocab + 1}, {n_embd}], got [{vocab}, {n_embd}]",
        f"vocab_size is {vocab + 1}, but the tokenizer has {vocab} ids",
    ):
        assert expected in text
    assert all(line.startswith(("weights.safetensors: ", "meta.json: ")) for line in text.split("\n"))


def load_meta(directory: Path) -> dict[str, Any]:
    return json.loads((directory / "meta.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"n_head": 3}, "n_embd must be a multiple of n_head"),
        ({"n_head": 0}, "n_head must be an integer in [1, "),
        ({"n_layer": ...}, "n_layer is missing"),
        ({"n_embd": "16"}, "n_embd must be an integer in [1, 65536], got '16'"),
        ({"n_embd": True}, "n_embd must be an integer"),
        ({"block_size": 10**12}, "block_size must be an integer"),
        ({"vocab_size": 16.0}, "vocab_size must be an integer"),
        ({"special_tokens": ["user"]}, "special_tokens must be ['user', 'assistant', 'end_turn'] or absent"),
        ({"chars": "abc"}, "chars must be a list of one-character strings, got str"),
        ({"chars": ["ab", "c", 3]}, "chars[0] must be a one-character string, got 'ab'"),
        ({"chars": ["a", "b", "a"]}, "chars[2] repeats chars[0], 'a'"),
        ({"chars": ["\ud800"]}, "lone surrogate"),
    ],
)
def test_bad_meta_is_named(copy_of_golden: Path, change: dict[str, Any], expected: str) -> None:
    edit_meta(copy_of_golden, **change)
    assert any(expected in problem for problem in problems_of(copy_of_golden))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"vocab_size": NaN', "[" * 100_000, "\ud800"])
def test_meta_that_does_not_parse(copy_of_golden: Path, text: str) -> None:
    (copy_of_golden / "meta.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert any(problem.startswith("meta.json: ") for problem in problems_of(copy_of_golden))


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == ["meta.json: file is missing", "weights.safetensors: file is missing"]
    assert "is not a directory" in problems_of(tmp_path / "nowhere")[0]


def safetensors_damage() -> dict[str, Callable[[bytes], bytes]]:
    def header(raw: bytes, edit: Callable[[dict[str, Any]], Any]) -> bytes:
        n = struct.unpack("<Q", raw[:8])[0]
        parsed = json.loads(raw[8 : 8 + n])
        edit(parsed)
        text = json.dumps(parsed).encode()
        return struct.pack("<Q", len(text)) + text + raw[8 + n :]

    return {
        "empty": lambda raw: b"",
        "seven bytes": lambda raw: raw[:7],
        "header only": lambda raw: raw[:200],
        "truncated data": lambda raw: raw[:-5],
        "surplus data": lambda raw: raw + b"12345",
        "absurd header length": lambda raw: struct.pack("<Q", 1 << 60) + raw[8:],
        "header length past the end": lambda raw: struct.pack("<Q", len(raw)) + raw[8:],
        "header is not JSON": lambda raw: raw[:9] + b"!!" + raw[11:],
        "header is not an object": lambda raw: struct.pack("<Q", 2) + b"[]",
        "offsets overlap": lambda raw: header(raw, lambda h: h["wpe"].update(data_offsets=[0, 4])),
        "negative offset": lambda raw: header(raw, lambda h: h["wpe"].update(data_offsets=[-4, 4])),
        "shape against size": lambda raw: header(raw, lambda h: h["wpe"].update(shape=[1 << 40, 1 << 40])),
        "unknown dtype": lambda raw: header(raw, lambda h: h["wpe"].update(dtype="F31")),
        "random bytes": lambda raw: np.random.default_rng(0).bytes(4096),
    }


@pytest.mark.parametrize("kind", safetensors_damage())
def test_damaged_safetensors_is_one_clear_problem(copy_of_golden: Path, kind: str) -> None:
    path = copy_of_golden / "weights.safetensors"
    path.write_bytes(safetensors_damage()[kind](path.read_bytes()))
    problems = problems_of(copy_of_golden)
    assert any(problem.startswith("weights.safetensors: not a sound safetensors file") for problem in problems)


def test_integer_tensor_is_refused_by_name(copy_of_golden: Path) -> None:
    edit_weights(copy_of_golden, lambda arrays: arrays.update(wpe=arrays["wpe"].astype(np.int32)))
    assert "weights.safetensors: wpe must be F32, F16 or BF16, got I32" in problems_of(copy_of_golden)


def edit_tokenizer(**changes: Any) -> Callable[[str], str]:
    """An edit of tokenizer.json's text that sets keys, merging where the value is an object."""

    def edit(text: str) -> str:
        parsed = json.loads(text)
        for key, value in changes.items():
            parsed[key] = parsed[key] | value if key == "model" else value
        return json.dumps(parsed)

    return edit


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda t: "not json", "not readable as JSON"),
        (lambda t: "{}", "not a tokenizer"),
        (lambda t: t.replace('"<bos>"', '"<start>"'), "special token <bos> is missing"),
        (lambda t: t.replace('"<end_turn>"', '"<stop>"'), "special token <end_turn> is missing"),
        (
            lambda t: json.dumps(json.loads(t) | {"pre_tokenizer": {"type": "Whitespace"}}),
            "pre_tokenizer must be or contain ByteLevel, got 'Whitespace'",
        ),
        (lambda t: "[]", "not a tokenizer"),
        (edit_tokenizer(normalizer={"type": "NFC"}), "normalizer must be null for byte-level BPE, got 'NFC'"),
        (edit_tokenizer(model={"continuing_subword_prefix": "a"}), "model.continuing_subword_prefix must be null"),
        (edit_tokenizer(model={"end_of_word_suffix": "##"}), "model.end_of_word_suffix must be null"),
        (edit_tokenizer(model={"type": "WordPiece"}), "model.type must be BPE, got 'WordPiece'"),
    ],
)
def test_bad_tokenizer_json(chat_golden_dir: Path, tmp_path: Path, edit: Callable[[str], str], expected: str) -> None:
    directory = shutil.copytree(chat_golden_dir, tmp_path / "copy")
    text = (directory / "tokenizer.json").read_text("utf-8")
    (directory / "tokenizer.json").write_text(edit(text), "utf-8")
    assert any(p.startswith("tokenizer.json: ") and expected in p for p in problems_of(directory))


def test_model_without_any_tokenizer(chat_golden_dir: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(chat_golden_dir, tmp_path / "copy")
    (directory / "tokenizer.json").unlink()
    assert problems_of(directory) == ["meta.json: neither `chars` in it nor a tokenizer.json beside it"]


def test_saving_what_overflows_float16_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    tokenizer = CharTokenizer("ab", chat=False)
    config = ModelConfig(tokenizer.vocab_size, 4, 2, 1, 8)
    arrays = {name: np.full(shape, 1e6, np.float32) for name, shape in config.tensor_shapes().items()}
    with pytest.raises(CheckpointError, match="non-finite"), np.errstate(over="ignore"):
        save_checkpoint(tmp_path / "new", config, arrays, tokenizer, dtype="F16")
    assert not (tmp_path / "new").exists()


def test_truncation_padding_and_dropout_of_a_tokenizer_file_are_not_obeyed(
    chat_golden_dir: Path, tmp_path: Path
) -> None:
    directory = shutil.copytree(chat_golden_dir, tmp_path / "copy")
    plain = load_checkpoint(directory).tokenizer
    edit = edit_tokenizer(
        truncation={"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0},
        padding={
            "strategy": {"Fixed": 20},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 1,
            "pad_type_id": 0,
            "pad_token": "<user>",
        },
        model={"dropout": 0.5},
    )
    text = (directory / "tokenizer.json").read_text("utf-8")
    (directory / "tokenizer.json").write_text(edit(text), "utf-8")
    odd = load_checkpoint(directory).tokenizer
    for message in ("Hello there my friend, how are you?", "hi"):
        assert odd.encode(message) == plain.encode(message)


@pytest.mark.parametrize("shape", [[1] * 70, [0, 1 << 62, 4], [16], [0, 16]])
def test_tensors_of_odd_shapes_are_named(copy_of_golden: Path, shape: list[int]) -> None:
    path = copy_of_golden / "weights.safetensors"
    raw = path.read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + n])
    end, size = len(raw) - 8 - n, 4 * int(np.prod(shape, dtype=object))
    header["odd"] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + n :] + bytes(size))
    assert any(
        ("weights.safetensors: " in problem and "odd" in problem) or "sound" in problem
        for problem in problems_of(copy_of_golden)
    )


def test_a_path_that_is_too_long_is_a_problem_like_others(tmp_path: Path) -> None:
    assert "File name too long" in problems_of(tmp_path / ("a" * 300))[0]
