"""Parity with the original implementation: float64 and the reference generator reproduce its every number."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from microgpt import (
    Engine,
    Finished,
    FinishReason,
    GenerationRequest,
    SamplingParams,
    TokenEvent,
    load,
    load_checkpoint,
)
from microgpt.models.gpt import GPT


@pytest.fixture(scope="module")
def engine(golden_dir: Path) -> Engine:
    return load(golden_dir, device="cpu", dtype="float64", rng="reference")


def run(engine: Engine, requests: list[GenerationRequest]) -> dict[str, list[int]]:
    """Sampled ids by request, without the stop token."""
    outputs: dict[str, list[int]] = {request.id: [] for request in requests}
    for request in requests:
        engine.add(request)
    while engine.has_work:
        for event in engine.step():
            if isinstance(event, TokenEvent):
                outputs[event.request_id] += event.token_ids
            else:
                assert isinstance(event, Finished)
                if event.reason is FinishReason.STOP:
                    outputs[event.request_id].pop()
    return outputs


def is_bound(golden: dict[str, Any], case: dict[str, Any]) -> bool:
    """Everything but temperature <= 0 of the legacy engine, where it divided by zero."""
    return golden["engine"] == "current" or case["temperature"] > 0


def request_of(golden: dict[str, Any], case: dict[str, Any], request_id: str) -> GenerationRequest:
    legacy = golden["engine"] == "legacy"
    unconditional = "prompt" not in case
    return GenerationRequest(
        request_id,
        (golden["bos"],) if unconditional else tuple(case["prompt"]),
        SamplingParams(
            temperature=case["temperature"],
            seed=case["seed"],
            max_tokens=case["max_tokens"],
            min_tokens=0 if legacy or unconditional else 1,
            stop_token_ids=(golden["bos"],) if unconditional else tuple(case["stop"]),
            suppress_token_ids=() if legacy or unconditional else tuple(case["suppress"]),
        ),
    )


@pytest.mark.parametrize("section", ["generate", "prompt"])
def test_token_sequences_in_one_crowd(golden: dict[str, Any], engine: Engine, section: str) -> None:
    cases = {f"{section}-{i}": case for i, case in enumerate(golden[section]) if is_bound(golden, case)}
    assert len(cases) > 40
    outputs = run(engine, [request_of(golden, case, name) for name, case in cases.items()])
    for name, case in cases.items():
        assert outputs[name] == case["tokens"], name


def test_token_sequences_one_at_a_time(golden: dict[str, Any], engine: Engine) -> None:
    cases = [case for case in golden["prompt"] if is_bound(golden, case)][::9]
    for case in cases:
        assert run(engine, [request_of(golden, case, "alone")]) == {"alone": case["tokens"]}


def test_logits_to_1e_9(golden: dict[str, Any], golden_dir: Path) -> None:
    checkpoint = load_checkpoint(golden_dir)
    model = GPT(checkpoint.config).double()
    model.load_arrays({name: tensor.widened() for name, tensor in checkpoint.tensors.items()})
    for case in golden["logits"]:
        with torch.no_grad():
            logits = model(torch.tensor([case["tokens"]]))[0, -1].numpy()
        np.testing.assert_allclose(logits, case["logits"], rtol=0, atol=1e-9)


def test_texts_of_the_prompt_cases(golden: dict[str, Any], engine: Engine) -> None:
    for case in golden["prompt"]:
        assert engine.tokenizer.decode(case["tokens"]) == case["text"]
