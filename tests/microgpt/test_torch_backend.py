"""The torch backend: sampling inside bursts, against recomputing the whole sequence for every token."""

import numpy as np
import pytest
import torch

from microgpt import Checkpoint, InvalidRequest, SamplingParams
from microgpt.backends import PAGE_TOKENS, Feed, pages_for
from microgpt.backends.torch_backend import TorchBackend
from microgpt.engine import build_engine
from microgpt.models.gpt import GPT
from microgpt.sampling import CounterGenerator, next_token

EVERYTHING = {
    "min_p": 0.01,
    "repetition_penalty": 1.4,
    "frequency_penalty": 0.3,
    "presence_penalty": -0.4,
    "logit_bias": ((2, 1.5), (5, -3.0)),
}


def recomputed(checkpoint: Checkpoint, prompt: list[int], params: SamplingParams, count: int) -> tuple[int, ...]:
    model = GPT(checkpoint.config).double()
    model.load_arrays({name: tensor.widened() for name, tensor in checkpoint.tensors.items()})
    generator, output = CounterGenerator(params.seed), []
    for _ in range(count):
        with torch.no_grad():
            logits = model(torch.tensor([prompt + output]))[0, -1].numpy()
        position = len(prompt) + len(output)
        output.append(
            next_token(
                logits,
                params,
                len(output),
                lambda position=position: generator.uniform(position),
                prompt_ids=prompt,
                output_ids=output,
            )
        )
        if output[-1] in params.end_token_ids:
            break
    return tuple(output)


@pytest.mark.parametrize("knobs", [{}, EVERYTHING, {**EVERYTHING, "temperature": 0.0}, {"repetition_penalty": 0.6}])
def test_bursts_sample_as_the_reference_does_also_after_a_shared_prefix(
    tiny_checkpoint: Checkpoint, knobs: dict[str, float]
) -> None:
    config, rng = tiny_checkpoint.config, np.random.default_rng(3)
    backend = TorchBackend(tiny_checkpoint, "cpu", "float64", "default", 4, 1 << 24)
    prefix = rng.integers(0, config.vocab_size, PAGE_TOKENS).tolist()
    tails = [rng.integers(0, config.vocab_size, 3).tolist() for _ in range(3)]
    params = [SamplingParams(seed=i, stop_token_ids=(3,), min_tokens=4, **knobs) for i in range(3)]  # pyright: ignore
    params.append(SamplingParams(temperature=0))
    count = config.block_size - len(prefix) - 3 + 1
    own = pages_for(config.block_size) - 1  # pages beside the shared one
    for slot, q in enumerate(params):
        pages = [0, *range(1 + slot * own, 1 + (slot + 1) * own)]
        backend.open(slot, q, count, pages, prompt_ids=prefix + tails[min(slot, 2)])
    backend.burst([Feed(3, prefix, 0, False)], 1, 10.0)  # fills the page that all share
    feeds = [Feed(slot, tails[min(slot, 2)], len(prefix), True) for slot in range(4)]
    first = backend.burst(feeds, 5, 100.0)
    going = [s for s, burst in enumerate(first) if burst.token_ids[-1] not in params[s].end_token_ids]
    at = len(prefix) + 3 + 4
    later = backend.burst([Feed(s, first[s].token_ids[-1:], at, True) for s in going], 100, 100.0)
    got = {slot: burst.token_ids for slot, burst in enumerate(first)}
    for slot, burst in zip(going, later, strict=True):
        got[slot] += burst.token_ids
    for slot, q in enumerate(params):
        assert got[slot] == recomputed(tiny_checkpoint, prefix + tails[min(slot, 2)], q, count)


def test_ignored_end_tokens_do_not_end_a_burst(tiny_checkpoint: Checkpoint) -> None:
    backend = TorchBackend(tiny_checkpoint, "cpu", "float64", "default", 1, 1 << 24)
    every_id = tuple(range(tiny_checkpoint.config.vocab_size))
    for ignore, expected in ((True, 9), (False, 1)):
        backend.open(0, SamplingParams(stop_token_ids=every_id, ignore_eos=ignore), 9, [0])
        [burst] = backend.burst([Feed(0, [1], 0, True)], 100, 100.0)
        assert len(burst.token_ids) == expected


@pytest.mark.parametrize("dtype", ["int8", "w8a8"])
def test_whole_numbers_are_for_the_kernels_alone(tiny_checkpoint: Checkpoint, dtype: str) -> None:
    with pytest.raises(InvalidRequest, match=f"dtype {dtype} needs the numba backend"):
        build_engine(tiny_checkpoint, dtype=dtype, backend="torch")
