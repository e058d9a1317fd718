"""A worker that runs a peer on random GPT-2 weights, in the peers' environment: python -m bench.peer_worker TASK.

TASK: {"shape": "T1", "peer": "ctranslate2", "precision": "float32", "workers": 1, "threads": 2, "models": DIRECTORY}.
All sample at temperature 0.8 over the full vocabulary, and none may stop early.
"""
# pyright: reportMissingImports=false
# The peers are not in our environment, where the checker runs.

import itertools
import math
import random
import time
from abc import ABC, abstractmethod
from collections import deque
from pathlib import Path
from typing import Any

from bench.peer_models import model_in_form
from bench.shapes import PREFILL_TOKENS, Shape
from bench.worker import Measurable, repeat_for, serve

TEMPERATURE = 0.8


class Prompts:
    """Random prompts of a shape; where a prompt is one token, it is always the same."""

    def __init__(self, shape: Shape):
        self._shape = shape
        self._random = random.Random(0)

    def take(self, count: int, length: int | None = None) -> list[list[int]]:
        """`count` prompts of `length` tokens, by default as long as the shape says."""
        length = length or self._shape.num_prompt
        vocab = self._shape.vocab_size
        if length == 1:
            return [[vocab - 1]] * count
        return [[self._random.randrange(vocab) for _ in range(length)] for _ in range(count)]


class CTranslate2:
    """ctranslate2.Generator. Batches are cut into a part for each worker, and the next parts are queued already."""

    def __init__(self, shape: Shape, task: dict[str, Any]):
        import ctranslate2

        self._shape, self._prompts, self._workers = shape, Prompts(shape), task["workers"]
        path = model_in_form("ctranslate2", shape, Path(task["models"]))
        self._generator = ctranslate2.Generator(
            str(path),
            device="cpu",
            compute_type=task["precision"],
            inter_threads=task["workers"],
            intra_threads=task["threads"],
        )
        self._part_s = 0.0
        self.about = {"name": "ctranslate2", "version": ctranslate2.__version__}

    def start(self, batch: int) -> None:
        self._part_s = 0.0

    def decode(self, batch: int, seconds: float) -> tuple[int, float]:
        parts = min(self._workers, batch)
        size = math.ceil(batch / parts)
        num_tokens = self._shape.num_tokens
        # One part running and one waiting for each worker, or just the running one where that takes long.
        depth = 2 if self._part_s < seconds / 2 else 1
        start = time.perf_counter()
        pending = deque(self._submit(self._prompts.take(size), num_tokens) for _ in range(depth * parts))
        tokens = 0
        while pending:
            for result in pending.popleft():
                tokens += len(result.result().sequences_ids[0])
            if time.perf_counter() - start < seconds:
                pending.append(self._submit(self._prompts.take(size), num_tokens))
        elapsed_s = time.perf_counter() - start
        self._part_s = elapsed_s * parts * size * num_tokens / tokens
        return tokens, elapsed_s

    def prefill(self, seconds: float) -> tuple[int, float]:
        def one_prompt() -> int:
            for result in self._submit(self._prompts.take(1, PREFILL_TOKENS), 1):
                result.result()
            return PREFILL_TOKENS

        return repeat_for(seconds, one_prompt)

    def _submit(self, prompts: list[list[int]], num_tokens: int) -> list[Any]:
        return self._generator.generate_batch(
            [[f"t{i}" for i in prompt] for prompt in prompts],
            min_length=num_tokens,
            max_length=num_tokens,
            include_prompt_in_result=False,  # with it, the prompt would go through token by token
            sampling_topk=0,  # all
            sampling_temperature=TEMPERATURE,
            asynchronous=True,
        )


class _WaveByWave(ABC):
    """Decoding and prefill for an engine that takes a wave of prompts and returns when all of them are done."""

    _shape: Shape
    _prompts: Prompts

    @abstractmethod
    def _generate(self, prompts: list[list[int]], num_tokens: int) -> int:
        """How many tokens were sampled."""

    def start(self, batch: int) -> None:
        """Nothing has to be made ready."""
        return

    def decode(self, batch: int, seconds: float) -> tuple[int, float]:
        return repeat_for(seconds, lambda: self._generate(self._prompts.take(batch), self._shape.num_tokens))

    def prefill(self, seconds: float) -> tuple[int, float]:
        def one_prompt() -> int:
            self._generate(self._prompts.take(1, PREFILL_TOKENS), 1)
            return PREFILL_TOKENS

        return repeat_for(seconds, one_prompt)


class OpenVino(_WaveByWave):
    """openvino_genai.ContinuousBatchingPipeline (paged attention), or LLMPipeline (a static batch, sdpa)."""

    def __init__(self, shape: Shape, task: dict[str, Any]):
        import numpy as np
        import openvino
        import openvino_genai

        self._shape, self._prompts = shape, Prompts(shape)
        self._genai, self._paged = openvino_genai, task["attention"] == "paged"
        self._tensor = lambda ids: openvino.Tensor(np.array(ids, np.int64))
        self._num_requests = 0
        precision = task["precision"]
        form = "openvino-int8" if precision == "int8" else "openvino"
        path = model_in_form(form, shape, Path(task["models"]))
        properties: dict[str, Any] = {"INFERENCE_NUM_THREADS": task["threads"], "PERFORMANCE_HINT": "LATENCY"}
        if precision == "float32":  # by itself it would take bfloat16 where the processor has it, and K and V in int8
            properties |= {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
        elif precision == "bfloat16":
            properties |= {"INFERENCE_PRECISION_HINT": "bf16"}
        if self._paged:
            scheduler = openvino_genai.SchedulerConfig()
            scheduler.cache_size = 2  # GiB
            scheduler.max_num_seqs = 64
            scheduler.max_num_batched_tokens = 4096
            scheduler.enable_prefix_caching = False
            self._pipeline = openvino_genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", properties)
        else:
            self._pipeline = openvino_genai.LLMPipeline(str(path), "CPU", ATTENTION_BACKEND="SDPA", **properties)
        self.about = {"name": "openvino-genai", "version": openvino_genai.__version__}

    def _generate(self, prompts: list[list[int]], num_tokens: int) -> int:
        """How many tokens were sampled."""
        if self._paged:
            tensors = [self._tensor([prompt]) for prompt in prompts]
            results = self._pipeline.generate(tensors, [self._params(num_tokens) for _ in prompts])
            return sum(len(result.m_generation_ids[0]) for result in results)
        return sum(map(len, self._pipeline.generate(self._tensor(prompts), self._params(num_tokens)).tokens))

    def _params(self, num_tokens: int) -> Any:
        params = self._genai.GenerationConfig()
        params.do_sample = True
        params.temperature = TEMPERATURE
        params.max_new_tokens = params.min_new_tokens = num_tokens
        params.ignore_eos = True
        params.eos_token_id = self._shape.vocab_size - 1
        self._num_requests += 1
        params.rng_seed = self._num_requests
        return params


class Transformers(_WaveByWave):
    """transformers' generate on torch, a static batch."""

    def __init__(self, shape: Shape, task: dict[str, Any]):
        import torch
        import transformers

        torch.set_num_threads(task["threads"])
        self._shape, self._prompts, self._torch = shape, Prompts(shape), torch
        path = model_in_form("transformers", shape, Path(task["models"]))
        self._model = transformers.GPT2LMHeadModel.from_pretrained(path, dtype=getattr(torch, task["precision"])).eval()
        self._model.generation_config.eos_token_id = None  # nothing ends a sequence
        versions = f"{transformers.__version__}, torch {torch.__version__}"
        self.about = {"name": "transformers", "version": versions}

    def _generate(self, prompts: list[list[int]], num_tokens: int) -> int:
        """How many tokens were sampled."""
        ids = self._torch.tensor(prompts)
        with self._torch.inference_mode():
            output = self._model.generate(
                ids,
                attention_mask=self._torch.ones_like(ids),
                do_sample=True,
                temperature=TEMPERATURE,
                top_k=0,
                max_new_tokens=num_tokens,
                pad_token_id=0,
            )
        return output.shape[0] * (output.shape[1] - ids.shape[1])


class LlamaCpp:
    """llama_cpp.Llama, which generates one sequence at a time."""

    def __init__(self, shape: Shape, task: dict[str, Any]):
        import llama_cpp

        self._shape, self._prompts = shape, Prompts(shape)
        form = "gguf-int8" if task["precision"] == "int8" else "gguf"
        path = model_in_form(form, shape, Path(task["models"])) / "model.gguf"
        self._llama = llama_cpp.Llama(
            str(path),
            n_ctx=shape.block_size,
            n_batch=PREFILL_TOKENS,
            n_threads=task["threads"],
            n_threads_batch=task["threads"],
            verbose=False,
        )
        self.about = {"name": "llama-cpp-python", "version": llama_cpp.__version__}

    def start(self, batch: int) -> None:
        if batch > 1:
            raise ValueError(f"llama-cpp-python generates one sequence at a time, got a batch of {batch}")

    def decode(self, batch: int, seconds: float) -> tuple[int, float]:
        return repeat_for(seconds, lambda: self._generate(self._prompts.take(1)[0], self._shape.num_tokens))

    def prefill(self, seconds: float) -> tuple[int, float]:
        def one_prompt() -> int:
            self._generate(self._prompts.take(1, PREFILL_TOKENS)[0], 1)
            return PREFILL_TOKENS

        return repeat_for(seconds, one_prompt)

    def _generate(self, prompt: list[int], num_tokens: int) -> int:
        """How many tokens were sampled."""
        self._llama.reset()  # else it would keep what two prompts have in common
        tokens = self._llama.generate(prompt, top_k=0, top_p=1.0, min_p=0.0, temp=TEMPERATURE, repeat_penalty=1.0)
        return sum(1 for _ in itertools.islice(tokens, num_tokens))


PEERS: dict[str, Any] = {
    "ctranslate2": CTranslate2,
    "openvino": OpenVino,
    "transformers": Transformers,
    "llama-cpp": LlamaCpp,
}


def make(shape: Shape, task: dict[str, Any]) -> Measurable:
    """The peer that a task asks for."""
    return PEERS[task["peer"]](shape, task)


if __name__ == "__main__":
    serve(make)
