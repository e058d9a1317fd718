"""A worker that runs microgpt's Engine on random weights: python -m bench.our_worker TASK.

TASK: {"shape": "T1", "backend": "numba", "dtype": "float32", "threads": 2, "staggered": false}.
"""

import random
import time
from pathlib import Path
from typing import Any

import numpy as np

import microgpt
from bench.shapes import PREFILL_TOKENS, Shape, wave_size
from bench.worker import repeat_for, serve
from microgpt import Checkpoint, Engine, Failed, Finished, GenerationRequest, ModelConfig, SamplingParams, TokenEvent
from microgpt.checkpoint import StoredDtype, StoredTensor
from microgpt.engine import build_engine
from microgpt.tokenizers import CharTokenizer

TEMPERATURE = 0.8
_STORED: dict[str, StoredDtype] = {"bfloat16": "BF16", "float16": "F16"}
_KV_MIB = 512


def build(checkpoint: Checkpoint, backend: str, dtype: str, batch: int) -> Engine:
    """An engine of `batch` slots. The one place that knows how a backend and a dtype are asked for."""
    config = checkpoint.config
    slot_bytes = 2 * 8 * config.n_layer * config.n_embd * config.block_size
    kv_bytes = max(_KV_MIB << 20, batch * slot_bytes)
    return build_engine(checkpoint, device="cpu", backend=backend, dtype=dtype, max_slots=batch, kv_bytes=kv_bytes)


def random_checkpoint(shape: Shape, stored: StoredDtype) -> Checkpoint:
    """A model of weights drawn from N(0, 0.02), made in memory, with a character tokenizer to match."""
    config = ModelConfig(shape.vocab_size, shape.n_embd, shape.n_head, shape.n_layer, shape.block_size)
    generator = np.random.default_rng(0)
    tensors = {}
    for name, size in config.tensor_shapes().items():
        weights = generator.standard_normal(size, np.float32) * np.float32(0.02)
        if stored == "F16":
            weights = weights.astype(np.float16)
        elif stored == "BF16":
            weights = (weights.view(np.uint32) >> 16).astype(np.uint16)  # truncated: these are random numbers anyway
        tensors[name] = StoredTensor(stored, weights)
    first = 0x10000  # past the surrogates, which are no characters
    tokenizer = CharTokenizer([chr(first + i) for i in range(shape.vocab_size - 1)], chat=False)
    return Checkpoint(Path("random"), config, tensors, tokenizer, {})


class OurEngine:
    """An Engine that is kept full.

    staggered: the first sequences end one after another, so that refills never coincide; otherwise all sequences
    are as long as each other, as in a peer's static batch.
    """

    def __init__(self, shape: Shape, task: dict[str, Any]):
        self._shape = shape
        self._backend, self._dtype = task["backend"], task["dtype"]
        self._staggered = task.get("staggered", False)
        self._checkpoint = random_checkpoint(shape, _STORED.get(self._dtype, "F32"))
        self._random = random.Random(0)
        self._num_requests = 0
        self._asked: list[str] = []
        self._engine = build(self._checkpoint, self._backend, self._dtype, 1)
        self.about = {"name": "microgpt", "version": microgpt.__version__}

    def start(self, batch: int) -> None:
        self._asked.clear()
        del self._engine  # its memory first
        self._engine = build(self._checkpoint, self._backend, self._dtype, batch)
        self._use_all_memory()

    def decode(self, batch: int, seconds: float) -> tuple[int, float]:
        wave = wave_size(self._shape, batch)
        self._cancel_all()
        if self._staggered:
            num_tokens = self._shape.num_tokens
            for i in range(wave):
                self._add(self._shape.num_prompt, num_tokens * (i + 1) // wave)
            self._run(wave, wave, 0)
        else:
            self._add_many(wave)
        # Staggered, any moment is as good as another; else a window has to hold whole waves.
        return self._run(wave, 1 if self._staggered else wave, seconds)

    def prefill(self, seconds: float) -> tuple[int, float]:
        self._cancel_all()

        def one_prompt() -> int:
            self._add(PREFILL_TOKENS, 1)
            while self._engine.has_work:
                self._step()
            return PREFILL_TOKENS

        return repeat_for(seconds, one_prompt)

    def _use_all_memory(self) -> None:
        """Fill KV memory with prompts that the prefix cache keeps, as it is in a server that has run for some seconds:
        the first use of memory costs much more than later ones (15 % of a step at T3, batch 32, on a virtual machine).
        """
        while True:
            num_free = self._engine.stats.free_pages
            self._add(self._shape.block_size - 1, 1)
            while self._engine.has_work:
                self._step()
            if (
                self._engine.stats.free_pages == num_free
            ):  # nothing is kept, or it has taken the place of something else
                return

    def _run(self, wave: int, multiple: int, seconds: float) -> tuple[int, float]:
        """(tokens, seconds) until `seconds` have passed and a multiple of `multiple` sequences has finished.

        A finished sequence is replaced at once, but for documents, which are asked for `wave` at a time.
        """
        at_a_time = wave if self._shape.num_prompt == 1 else 1
        tokens = finished = owed = 0
        start = time.perf_counter()
        while True:
            num_tokens, num_finished = self._step()
            tokens, finished, owed = tokens + num_tokens, finished + num_finished, owed + num_finished
            elapsed_s = time.perf_counter() - start
            if num_finished and finished % multiple == 0 and elapsed_s >= seconds:
                return tokens, elapsed_s
            while owed >= at_a_time:
                owed -= at_a_time
                self._add_many(at_a_time)

    def _step(self) -> tuple[int, int]:
        """(tokens sampled, sequences finished) in one step of the engine."""
        tokens = finished = 0
        for event in self._engine.step():
            if isinstance(event, TokenEvent):
                tokens += len(event.token_ids)
            elif isinstance(event, Finished):
                finished += 1
            elif isinstance(event, Failed):
                raise event.error
        return tokens, finished

    def _add_many(self, count: int) -> None:
        """Ask for `count` sequences: documents as the samples of one request."""
        if self._shape.num_prompt == 1:
            self._add(1, self._shape.num_tokens, count)
        else:
            for _ in range(count):
                self._add(self._shape.num_prompt, self._shape.num_tokens)

    def _add(self, num_prompt: int, num_tokens: int, num_samples: int = 1) -> None:
        """Ask for the continuation of random tokens, none of them shared with another prompt on purpose. One token
        (documents) is the last of the vocabulary, BOS, and only the seed differs."""
        vocab = self._shape.vocab_size
        prompt = [self._random.randrange(vocab) for _ in range(num_prompt)] if num_prompt > 1 else [vocab - 1]
        self._num_requests += 1
        params = SamplingParams(max_tokens=max(1, num_tokens), temperature=TEMPERATURE, seed=self._num_requests << 16)
        request_id = str(self._num_requests)
        self._engine.add(GenerationRequest(request_id, tuple(prompt), params, num_samples=num_samples))
        self._asked.append(request_id)

    def _cancel_all(self) -> None:
        """End what an earlier measurement left running."""
        for request_id in self._asked:  # most of them have ended long ago
            self._engine.cancel(request_id)
        self._asked.clear()
        while self._engine.has_work:
            self._step()


if __name__ == "__main__":
    serve(OurEngine)
