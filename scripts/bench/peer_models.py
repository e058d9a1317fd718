"""Random GPT-2 models for the peers, in each peer's own form: python -m bench.peer_models FORM SHAPE DIRECTORY.

FORM: one of MAKERS. What a form is made from is made first. Runs in the
peers' environment, in a process of its own, so that the engine that is measured shares nothing with the converter.
"""
# pyright: reportMissingImports=false
# The peers are not in our environment, where the checker runs.

import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.shapes import SHAPES, Shape
from bench.worker import SCRIPTS


def model_in_form(form: str, shape: Shape, directory: Path) -> Path:
    """Where the model of a shape lies in a form; it is made, by a process of its own, if it is not there yet."""
    path = directory / f"{shape.name}-{form}"
    if not path.exists():
        command = [sys.executable, "-m", "bench.peer_models", form, shape.name, str(directory)]
        done = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise RuntimeError(f"conversion to {form} failed: {lines[-1] if lines else done.returncode}")
    return path


def make_transformers(shape: Shape, path: Path, directory: Path) -> None:
    """GPT2LMHeadModel with weights from N(0, 0.02), and a tokenizer of words t0, t1, ... that converters ask for."""
    import tokenizers
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    last = shape.vocab_size - 1
    config = GPT2Config(
        vocab_size=shape.vocab_size,
        n_positions=shape.block_size,
        n_embd=shape.n_embd,
        n_layer=shape.n_layer,
        n_head=shape.n_head,
        n_inner=4 * shape.n_embd,
        activation_function="relu",  # as ours: a peer is not to pay for GELU
        bos_token_id=last,
        eos_token_id=last,
    )
    GPT2LMHeadModel(config).eval().save_pretrained(path)
    words = {f"t{i}": i for i in range(shape.vocab_size)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token=f"t{last}"))
    special = f"t{last}"
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=special, eos_token=special, unk_token=special
    ).save_pretrained(path)


def make_ctranslate2(shape: Shape, path: Path, directory: Path) -> None:
    """float32 weights; ctranslate2 quantizes as it loads."""
    import ctranslate2

    source = model_in_form("transformers", shape, directory)
    ctranslate2.converters.TransformersConverter(str(source)).convert(str(path))


def make_openvino(shape: Shape, path: Path, directory: Path) -> None:
    """A stateful model in float32; OpenVINO narrows to bfloat16 as it loads."""
    from optimum.exporters.openvino import main_export

    source = model_in_form("transformers", shape, directory)
    main_export(str(source), path, task="text-generation-with-past", stateful=True, convert_tokenizer=False)


def make_openvino_int8(shape: Shape, path: Path, directory: Path) -> None:
    """Weights in int8, a scale per row."""
    import nncf
    import openvino

    source = model_in_form("openvino", shape, directory)
    shutil.copytree(source, path, ignore=shutil.ignore_patterns("openvino_model.*"))
    model = openvino.Core().read_model(source / "openvino_model.xml")
    compressed = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
    openvino.save_model(compressed, path / "openvino_model.xml", compress_to_fp16=False)


def make_gguf(shape: Shape, path: Path, directory: Path, quantized: bool = False) -> None:
    """llama.cpp's file, weights in float32 or, `quantized`, in Q8_0: int8 with a scale per 32."""
    import gguf
    import numpy as np

    path.mkdir()
    writer = gguf.GGUFWriter(path / "model.gguf", "gpt2")
    writer.add_context_length(shape.block_size)
    writer.add_embedding_length(shape.n_embd)
    writer.add_block_count(shape.n_layer)
    writer.add_feed_forward_length(4 * shape.n_embd)
    writer.add_head_count(shape.n_head)
    writer.add_layer_norm_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{i}" for i in range(shape.vocab_size)])
    writer.add_token_types([gguf.TokenType.NORMAL] * shape.vocab_size)
    writer.add_token_merges(["t 0"])
    writer.add_bos_token_id(shape.vocab_size - 1)
    writer.add_eos_token_id(shape.vocab_size - 1)
    generator = np.random.default_rng(0)

    def add(name: str, *size: int) -> None:
        weights = generator.standard_normal(size, np.float32) * np.float32(0.02)
        if quantized and len(size) == 2 and name != "position_embd.weight":
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(weights, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, weights)

    n = shape.n_embd
    add("token_embd.weight", shape.vocab_size, n)
    add("position_embd.weight", shape.block_size, n)
    for layer in range(shape.n_layer):
        for name, size in (
            ("attn_norm", (n,)),
            ("attn_qkv", (3 * n, n)),
            ("attn_output", (n, n)),
            ("ffn_norm", (n,)),
            ("ffn_up", (4 * n, n)),
            ("ffn_down", (n, 4 * n)),
        ):
            add(f"blk.{layer}.{name}.weight", *size)
            add(f"blk.{layer}.{name}.bias", size[0])
    add("output_norm.weight", n)
    add("output_norm.bias", n)
    add("output.weight", shape.vocab_size, n)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make_gguf_int8(shape: Shape, path: Path, directory: Path) -> None:
    """The same in int8."""
    make_gguf(shape, path, directory, quantized=True)


MAKERS: dict[str, Callable[[Shape, Path, Path], None]] = {
    "transformers": make_transformers,
    "ctranslate2": make_ctranslate2,
    "openvino": make_openvino,
    "openvino-int8": make_openvino_int8,
    "gguf": make_gguf,
    "gguf-int8": make_gguf_int8,
}


def main(arguments: list[str]) -> None:
    """Make one model. It gets its name when it is complete, so that an interrupted one is made again."""
    form, shape, directory = arguments[0], SHAPES[arguments[1]], Path(arguments[2])
    directory.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix="draft-", dir=directory)) / form
    MAKERS[form](shape, draft, directory)
    with contextlib.suppress(OSError):  # another process was first
        draft.rename(directory / f"{shape.name}-{form}")
    shutil.rmtree(draft.parent)


if __name__ == "__main__":
    main(sys.argv[1:])
