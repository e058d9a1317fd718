"""The CPU backend: equal to the torch module, and the same bits for a sequence in any company."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from microgpt import (
    Checkpoint,
    Engine,
    Failed,
    Finished,
    GenerationRequest,
    ModelConfig,
    PromptScored,
    SamplingParams,
    TokenEvent,
)
from microgpt.backends import Feed, numba_backend, pages_for
from microgpt.backends.numba_backend import NumbaBackend
from microgpt.checkpoint import StoredTensor
from microgpt.engine import build_engine, scheduler
from microgpt.models.gpt import GPT
from microgpt.tokenizers import CharTokenizer

SHAPES = [  # n_embd, n_head, n_layer, block_size, vocab_size
    (16, 4, 1, 16, 27),
    (60, 3, 2, 50, 61),  # nothing is a whole number of vectors
    (64, 4, 2, 100, 300),
    (35, 7, 1, 40, 40),  # heads of five: an odd one out
    (96, 2, 1, 64, 100),  # heads of three vectors
]


def checkpoint_of(shape: tuple[int, ...], dtype: str = "F32", seed: int = 0) -> Checkpoint:
    n_embd, n_head, n_layer, block_size, vocab_size = shape
    config = ModelConfig(vocab_size, n_embd, n_head, n_layer, block_size)
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, sizes in config.tensor_shapes().items():
        values = (rng.standard_normal(sizes) * 0.15).astype(np.float32)
        tensors[name] = (
            StoredTensor("F16", values.astype(np.float16)) if dtype == "F16" else StoredTensor("F32", values)
        )
    tokenizer = CharTokenizer([chr(0x100 + i) for i in range(vocab_size - 1)], chat=False)
    return Checkpoint(None, config, tensors, tokenizer, {})  # pyright: ignore[reportArgumentType]


def pages(config: ModelConfig, slot: int) -> list[int]:
    per = pages_for(config.block_size)
    return list(range(slot * per, (slot + 1) * per))


@pytest.fixture(params=[1, 2, 3])
def num_threads(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_greedy_tokens_have_the_highest_logits_of_the_torch_module(shape, dtype: str, num_threads: int) -> None:
    checkpoint = checkpoint_of(shape)
    config = checkpoint.config
    model = GPT(config).double()
    model.load_arrays({name: tensor.widened() for name, tensor in checkpoint.tensors.items()})
    backend = NumbaBackend(checkpoint, dtype, "default", 6, 1 << 24, num_threads)
    rng = np.random.default_rng(1)
    for count in (1, 6):
        prompts = [
            rng.integers(0, config.vocab_size, rng.integers(1, config.block_size)).tolist() for _ in range(count)
        ]
        for slot, prompt in enumerate(prompts):
            limit = min(20, config.block_size - len(prompt) + 1)
            backend.open(slot, SamplingParams(temperature=0), limit, pages(config, slot))
        bursts = backend.burst([Feed(s, p, 0, True) for s, p in enumerate(prompts)], 256, 100)
        for prompt, burst in zip(prompts, bursts, strict=True):
            ids = [*prompt, *burst.token_ids]
            logits = model(torch.tensor([ids[:-1]]))[0, len(prompt) - 1 :].detach().numpy()
            shortfall = logits.max(axis=1) - logits[np.arange(len(logits)), burst.token_ids]
            assert shortfall.max() < (1e-9 if dtype == "float64" else 1e-4)
    backend.close()


def rounded_to_int8(x: torch.Tensor) -> torch.Tensor:
    """Each row's numbers rounded to 127 steps on either side of zero, the largest magnitude being the last."""
    scale = x.abs().amax(dim=-1, keepdim=True) / 127
    return torch.where(scale > 0, (x / scale).round() * scale, x)


def rounded_by_head(x: torch.Tensor, head_dim: int) -> torch.Tensor:
    """Keys or values, those of each head on their own, in steps of a bfloat16 that is no smaller than must be."""
    heads = x.unflatten(-1, (-1, head_dim))
    scale = (heads.abs().amax(dim=-1, keepdim=True) / 127 * (1 + 2**-7)).float()
    scale = (scale.view(torch.int32) & -(1 << 16)).view(torch.float32).double()
    return torch.where(scale > 0, (heads / scale).round() * scale, heads).flatten(-2)


@pytest.mark.parametrize("shape", SHAPES)
def test_w8a8_is_the_torch_module_with_what_is_multiplied_rounded_to_int8(shape) -> None:
    checkpoint = checkpoint_of(shape)
    config = checkpoint.config
    model = GPT(config).double()
    model.load_arrays({name: tensor.widened() for name, tensor in checkpoint.tensors.items()})
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.data = rounded_to_int8(module.weight.data)
            module.register_forward_pre_hook(lambda _, inputs: rounded_to_int8(inputs[0]))
        if name.endswith(("attn_wk", "attn_wv")):
            module.register_forward_hook(lambda *call: rounded_by_head(call[2], config.head_dim))
    engine = build_engine(checkpoint, dtype="w8a8", threads=1)
    ids = np.random.default_rng(1).integers(0, config.vocab_size, config.block_size)
    engine.add(GenerationRequest("x", tuple(ids.tolist()), SamplingParams(max_tokens=0, prompt_logprobs_start=0)))
    [scored] = [event for event in engine.step() if isinstance(event, PromptScored)]
    found = [one.chosen for one in scored.logprobs if one]
    logits = model(torch.from_numpy(ids[None, :-1]))[0]
    right = logits.log_softmax(-1).detach().numpy()[np.arange(len(ids) - 1), ids[1:]]
    # Queries and the weights of positions have 16 bits. The median of the first ones, since a number halfway between
    # two steps may go to the other one in float64, and all that come later see it.
    assert np.median(np.abs(found - right)[:16]) < 5e-5


def run(engine: Engine, requests: list[GenerationRequest], rng: np.random.Generator) -> dict[str, list[Any]]:
    """All requests to their ends, added at random moments; sampled ids by request, and their log probabilities."""
    outputs: dict[str, list[Any]] = {request.id: [] for request in requests}
    left, ended = list(requests), set()
    while left or engine.has_work:
        while left and (rng.random() < 0.5 or not engine.has_work):
            engine.add(left.pop())
        for event in engine.step():
            if isinstance(event, TokenEvent):
                outputs[event.request_id] += event.token_ids
                if event.logprobs:
                    outputs.setdefault(f"{event.request_id} logprobs", []).extend(event.logprobs)
            else:
                assert isinstance(event, Finished | Failed)
                assert event.request_id not in ended
                ended.add(event.request_id)
    assert ended == {request.id for request in requests}
    return outputs


def random_requests(config: ModelConfig, count: int, rng: np.random.Generator) -> Iterator[GenerationRequest]:
    beginning = rng.integers(0, config.vocab_size, config.block_size).tolist()
    for i in range(count):
        shared = int(rng.integers(0, config.block_size // 2))
        own = rng.integers(0, config.vocab_size, rng.integers(1, config.block_size // 2)).tolist()
        yield GenerationRequest(
            f"r{i}",
            tuple((beginning[:shared] + own)[: config.block_size - 1]),
            SamplingParams(
                temperature=float(rng.choice([0, 0.8, 1.3])),
                top_k=int(rng.choice([0, 5])),
                top_p=float(rng.choice([1, 0.9])),
                seed=int(rng.integers(0, 2**32)),
                max_tokens=int(rng.integers(1, 30)),
                stop_token_ids=tuple(rng.integers(0, config.vocab_size, 2).tolist()),
                **random_adjustments(config, rng),
                logprobs=bool(i % 3 == 0),
                top_logprobs=i % 5,
                logprob_token_ids=(3,) * (i % 2),
            ),
        )


def random_adjustments(config: ModelConfig, rng: np.random.Generator) -> dict[str, Any]:
    """None at all for half of the requests."""
    if rng.random() < 0.5:
        return {}
    return {
        "min_p": float(rng.choice([0, 0.1])),
        "repetition_penalty": float(rng.choice([1, 0.7, 1.5])),
        "frequency_penalty": float(rng.choice([0, 0.8])),
        "presence_penalty": float(rng.choice([0, -0.6])),
        "logit_bias": dict.fromkeys(rng.integers(0, config.vocab_size, 3).tolist(), 1.25),
    }


@pytest.mark.parametrize("dtype", ["float32", "int8", "w8a8", "bfloat16"])
@pytest.mark.parametrize("shape", SHAPES[1:3])
def test_a_request_gets_the_same_tokens_alone_and_in_any_company(
    shape,
    dtype: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint = checkpoint_of(shape)
    rng = np.random.default_rng(2)
    requests = list(random_requests(checkpoint.config, 40, rng))
    alone_engine = build_engine(checkpoint, dtype=dtype, max_slots=1, prefix_cache=False, threads=1)
    alone = {}
    for request in requests:
        alone |= run(alone_engine, [request], rng)
    for trial in range(12):
        monkeypatch.setattr(numba_backend, "_COLUMN_BYTES", int(rng.choice([0, 1 << 30])))
        monkeypatch.setattr(numba_backend, "_LONE_COLUMN_BYTES", int(rng.choice([0, 1 << 30])))
        monkeypatch.setattr(scheduler, "PREFILL_TOKENS", int(rng.choice([1, 7, 64, 512])))
        monkeypatch.setattr(scheduler, "BURST_STEPS", int(rng.choice([1, 3, 256])))
        engine = build_engine(
            checkpoint,
            dtype=dtype,
            max_slots=int(rng.choice([2, 8, 33])),
            prefix_cache=bool(trial % 2),
            threads=int(rng.choice([1, 2, 3])),
        )
        rng.shuffle(requests)  # pyright: ignore[reportArgumentType]
        assert run(engine, requests, rng) == alone, trial
        engine.backend.close()  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("dtype", ["float32", "w8a8"])
@pytest.mark.parametrize("shape", SHAPES)
def test_keys_values_and_last_states_have_the_same_bits_in_any_chunks_and_on_any_team(shape, dtype: str) -> None:
    checkpoint = checkpoint_of(shape)
    config = checkpoint.config
    rng = np.random.default_rng(3)
    prompts = [rng.integers(0, config.vocab_size, config.block_size - 1).tolist() for _ in range(3)]

    def computed(cuts: list[int], num_threads: int, together: int) -> bytes:
        backend = NumbaBackend(checkpoint, dtype, "default", 4, 1 << 24, num_threads)
        for slot in range(together):
            backend.open(slot, SamplingParams(temperature=0), 2, pages(config, slot))
        edges = [0, *cuts, len(prompts[0])]
        for start, end in itertools.pairwise(edges):
            last = end == len(prompts[0])
            backend.burst([Feed(s, prompts[s][start:end], start, last) for s in range(together)], 1, 100)
        per, sizes = pages_for(config.block_size), backend._sizes
        found = (
            backend._cache.keys[: per * sizes.key_page].tobytes()
            + backend._cache.values[: per * sizes.value_page].tobytes()
            + backend._feeds.last[: sizes.n_embd].tobytes()
        )
        backend.close()
        return found

    expected = computed([], 1, 1)
    for _ in range(12):
        cuts = sorted(set(rng.integers(1, config.block_size - 1, rng.integers(0, 5)).tolist()))
        assert computed(cuts, int(rng.integers(1, 4)), int(rng.integers(1, 4))) == expected, cuts


@pytest.mark.parametrize("dtype", ["float32", "w8a8"])
def test_one_sequence_decoded_by_all_threads_has_the_bits_of_one_thread(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit_of_columns in ("_COLUMN_BYTES", "_LONE_COLUMN_BYTES", "_SOLO_PRODUCTS"):
        monkeypatch.setattr(numba_backend, limit_of_columns, 0)
    # Of two shapes and teams each thread has whole heads; the last has more weights than the cores' caches.
    for shape in [*SHAPES, (96, 3, 2, 40, 70), (96, 3, 1, 24, 8192)]:
        checkpoint = checkpoint_of(shape)
        tokens, states = [], []
        for num_threads in (1, 2, 3):
            backend = NumbaBackend(checkpoint, dtype, "default", 2, 1 << 24, num_threads)
            limit = checkpoint.config.block_size - 2
            backend.open(0, SamplingParams(seed=5), limit, pages(checkpoint.config, 0))
            found = [*backend.burst([Feed(0, [1, 2, 3], 0, True)], 4, 100)[0].token_ids]
            while len(found) < limit:
                found += backend.burst([Feed(0, found[-1:], 2 + len(found), True)], 5, 100)[0].token_ids
            tokens.append(found)
            states.append(backend._cache.keys.tobytes() + backend._cache.values.tobytes())
            backend.close()
        assert tokens[0] == tokens[1] == tokens[2]
        assert states[0] == states[1] == states[2]


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"min_tokens": 9},
        {"suppress_token_ids": (5, 6, 7)},
        {"temperature": 0},
        {"top_k": 4},
        {"min_p": 0.05},
        {"logprobs": True, "top_logprobs": 2},
        {"frequency_penalty": 0.5},
    ],
    ids=lambda knobs: next(iter(knobs), "plain"),
)
def test_what_ends_a_sequence_ends_it_for_all_threads_that_decode_it(
    knobs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit_of_columns in ("_COLUMN_BYTES", "_LONE_COLUMN_BYTES", "_SOLO_PRODUCTS"):
        monkeypatch.setattr(numba_backend, limit_of_columns, 0)
    checkpoint = checkpoint_of(SHAPES[2])
    found = []
    for num_threads in (1, 2, 3):
        engine = build_engine(checkpoint, max_slots=1, threads=num_threads, prefix_cache=False)
        outputs: dict[tuple[str, int], list[Any]] = {}
        for i in range(30):
            params = SamplingParams(seed=i, max_tokens=1 + i, stop_token_ids=tuple(range(i, 300, 20)), **knobs)
            engine.add(GenerationRequest(str(i), (1, i), params, num_samples=1 + i % 5 // 4))
            while engine.has_work:
                for event in engine.step():
                    if isinstance(event, TokenEvent):
                        told = list(event.logprobs or event.token_ids)
                        outputs.setdefault((event.request_id, event.index), []).extend(told)
        found.append(outputs)
        engine.backend.close()  # pyright: ignore[reportAttributeAccessIssue]
    are_full = {len(outputs) == 1 + int(request_id) for (request_id, _), outputs in found[0].items()}
    assert are_full == {True, False}  # some end by their limit, some before
    assert found[1] == found[0]
    assert found[2] == found[0]


@pytest.mark.parametrize("broken_id", [3, 150, 299])  # of the first, the second and the last thread's share
def test_a_logit_that_is_not_finite_fails_the_one_sequence_that_all_threads_decode(
    broken_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit_of_columns in ("_COLUMN_BYTES", "_LONE_COLUMN_BYTES", "_SOLO_PRODUCTS"):
        monkeypatch.setattr(numba_backend, limit_of_columns, 0)
    checkpoint = checkpoint_of(SHAPES[2])
    head = checkpoint.tensors["lm_head"].bits.copy()
    head[broken_id, 0] = np.nan
    broken = dataclasses.replace(checkpoint, tensors={**checkpoint.tensors, "lm_head": StoredTensor("F32", head)})
    for num_threads in (1, 2, 3):
        engine = build_engine(broken, max_slots=1, threads=num_threads)
        for i in range(3):
            engine.add(GenerationRequest(str(i), (1, 2), SamplingParams()))
            (event,) = [event for _ in range(3) for event in engine.step()]
            assert isinstance(event, Failed)
        engine.backend.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_a_checkpoint_in_16_bits_stays_narrow_and_gives_the_bits_of_its_float32_values() -> None:
    narrow = checkpoint_of(SHAPES[1], "F16")
    wide = Checkpoint(
        narrow.path,
        narrow.config,
        {name: StoredTensor("F32", tensor.widened()) for name, tensor in narrow.tensors.items()},
        narrow.tokenizer,
        narrow.meta,
    )
    states = []
    for checkpoint in (narrow, wide):
        backend = NumbaBackend(checkpoint, "float32", "default", 1, 1 << 24, 1)
        backend.open(0, SamplingParams(), 20, pages(checkpoint.config, 0))
        ids = backend.burst([Feed(0, [1, 2, 3], 0, True)], 20, 100)[0].token_ids
        states.append((ids, backend._cache.keys.tobytes(), backend._feeds.last.tobytes()))
    assert states[0] == states[1]
    assert NumbaBackend(narrow, "float32", "default", 1, 1 << 24, 1)._weights.matrices.itemsize == 2


@pytest.mark.parametrize("dtype", ["float32", "w8a8"])
def test_numbers_that_are_not_finite_fail_their_sequence_alone(dtype: str) -> None:
    checkpoint = checkpoint_of(SHAPES[2])
    broken = {name: tensor.bits.copy() for name, tensor in checkpoint.tensors.items()}
    broken["wte"][7] = np.nan
    tensors = {name: StoredTensor("F32", bits) for name, bits in broken.items()}
    engine = build_engine(
        Checkpoint(checkpoint.path, checkpoint.config, tensors, checkpoint.tokenizer, {}), dtype=dtype, max_slots=4,
        threads=2,
    )  # fmt: skip
    healthy = build_engine(checkpoint, dtype=dtype, max_slots=4, threads=2)
    params = SamplingParams(seed=1, max_tokens=10, suppress_token_ids=(7,))
    good = [GenerationRequest(f"good{i}", (i, i + 1), params) for i in range(3)]
    for _ in range(3):  # again, so that a new sequence gets the pages of the failed one
        for request in (*good, GenerationRequest("bad", (3, 7, 5), params)):
            engine.add(request)
        outputs: dict[str, list[int]] = {}
        failed = []
        while engine.has_work:
            for event in engine.step():
                if isinstance(event, TokenEvent):
                    outputs.setdefault(event.request_id, []).extend(event.token_ids)
                elif isinstance(event, Failed):
                    failed.append(event.request_id)
        assert failed == ["bad"]
        assert outputs == run(healthy, good, np.random.default_rng(0))
