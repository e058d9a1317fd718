"""The torch backend: reference, fallback, and the road to GPUs.

It promises the same bits only at a fixed batch shape: BLAS picks its summation order by the number of rows.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from microgpt.backends.base import PAGE_TOKENS, Burst, Feed, page_count, pages_for
from microgpt.backends.torch_sampler import TorchSampler
from microgpt.checkpoint import Checkpoint
from microgpt.constraints.matcher import Mask
from microgpt.errors import InvalidRequest, NumericalError
from microgpt.logprobs import TokenLogprobs
from microgpt.models.gpt import GPT
from microgpt.params import SamplingParams

# Below this many parameters one thread computes: OpenMP's hand-offs gain 1.4x at best (2 cores, 180k parameters,
# 64 sequences), and cost 20x as soon as another process, or our own HTTP loop, wants one of the cores.
_ONE_THREAD_BELOW = 10_000_000

_LOGIT_ROWS = 64  # rows of prompts whose logits are there at a time

_DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(slots=True)
class _Row:
    """A sequence's part of one step: the tokens to feed, and where."""

    feed: int  # index of the burst's feed
    slot: int
    token_ids: Sequence[int]
    start: int
    sample: bool
    first_scored: int = 0
    scored_ids: Sequence[int] = ()
    allowed: Mask | None = None

    @property
    def end(self) -> int:
        return self.start + len(self.token_ids)


class TorchBackend:
    """GPT with its KV memory in two tensors (n_layer, places, n_head, head_dim): page i is places [16 i, 16 (i + 1)).

    Only places of positions that a sequence has computed are ever read, so pages need no wiping between owners.
    """

    sample_slots = 0

    def __init__(self, checkpoint: Checkpoint, device: str, dtype: str, rng: str, max_slots: int, kv_bytes: int):
        self.config = config = checkpoint.config
        self.device = _pick_device(device)
        self.dtype = dtype
        if config.num_parameters < _ONE_THREAD_BELOW:
            torch.set_num_threads(1)  # for the whole process: torch has no narrower switch
        self._model = self._new_model(checkpoint)
        self.num_slots = max_slots
        page_bytes = 2 * config.n_layer * config.n_embd * PAGE_TOKENS * _DTYPES[dtype].itemsize
        self.num_pages = page_count(config, page_bytes, max_slots, kv_bytes)
        shape = (config.n_layer, self.num_pages * PAGE_TOKENS, config.n_head, config.head_dim)
        self._keys = torch.empty(shape, dtype=_DTYPES[dtype], device=self.device)
        self._values = torch.empty(shape, dtype=_DTYPES[dtype], device=self.device)
        # (num_slots, positions): the place of each position of a slot's sequence
        width = pages_for(config.block_size) * PAGE_TOKENS
        self._places = torch.zeros((max_slots, width), dtype=torch.long, device=self.device)
        self._sampler = TorchSampler(max_slots, config.vocab_size, self.device, rng)
        self._going: list[_Row] = []  # what the last burst's feeds go on with

    def num_tracks(self, slot: int) -> int:
        return 1

    def open(
        self,
        slot: int,
        params: SamplingParams,
        limit: int,
        pages: Sequence[int],
        prompt_ids: Sequence[int] = (),
        samples: range = range(1),
        output_ids: Sequence[int] = (),
        num_tracks: int = 1,
    ) -> None:
        assert len(samples) == num_tracks == 1
        self._sampler.open(slot, params, limit, prompt_ids, samples.start, output_ids)
        places = torch.tensor(pages)[:, None] * PAGE_TOKENS + torch.arange(PAGE_TOKENS)  # (pages, 16)
        self._places[slot, : places.numel()] = places.flatten()

    def burst(self, feeds: Sequence[Feed], max_steps: int, time_limit_s: float) -> list[Burst]:
        return self._burst(
            [
                _Row(i, f.slot, f.token_ids, f.start, f.sample, f.first_scored, f.scored_ids, f.allowed)
                for i, f in enumerate(feeds)
            ],
            max_steps,
            time_limit_s,
        )

    def go_on(self, max_steps: int, time_limit_s: float) -> list[Burst]:
        return self._burst(self._going, max_steps, time_limit_s)

    @torch.inference_mode()
    def _burst(self, rows: list[_Row], max_steps: int, time_limit_s: float) -> list[Burst]:
        """A burst of one row for each feed."""
        deadline = time.monotonic() + time_limit_s
        sampled: list[list[int]] = [[] for _ in rows]
        reports: list[list[TokenLogprobs]] = [[] for _ in rows]
        scores: list[tuple[TokenLogprobs, ...]] = [()] * len(rows)
        errors: dict[int, NumericalError] = {}
        assert max_steps == 1 or all(row.allowed is None for row in rows)
        for step in range(max_steps):
            tokens, logprobs = self._step(rows, scores)
            going: list[_Row] = []
            for row, token, report in zip(rows, tokens, logprobs, strict=True):
                if isinstance(token, NumericalError):
                    errors[row.feed] = token
                elif token is not None:
                    sampled[row.feed].append(token)
                    if report is not None:
                        reports[row.feed].append(report)
                    if self._sampler.goes_on(row.slot, token):
                        going.append(_Row(row.feed, row.slot, (token,), row.end, True))
            rows = going
            if not rows or step + 1 == max_steps or time.monotonic() >= deadline:
                break
        self._going, goes_on = rows, {row.feed for row in rows}
        return [
            Burst(tuple(tokens), errors.get(i), (), tuple(logprobs), scores[i], i in goes_on)
            for i, (tokens, logprobs) in enumerate(zip(sampled, reports, strict=True))
        ]

    def pack(self, checkpoint: Checkpoint) -> Callable[[], None]:
        """A second model, which takes the place of the first."""
        assert checkpoint.config == self.config
        model = self._new_model(checkpoint)

        def swap() -> None:
            self._model = model

        return swap

    def _new_model(self, checkpoint: Checkpoint) -> GPT:
        model = GPT(checkpoint.config).to(self.device, _DTYPES[self.dtype]).requires_grad_(False).eval()
        model.load_arrays({name: tensor.widened() for name, tensor in checkpoint.tensors.items()})
        return model

    def _step(
        self, rows: list[_Row], scores: list[tuple[TokenLogprobs, ...]]
    ) -> tuple[list[int | NumericalError | None], list[TokenLogprobs | None]]:
        """Feed all rows; per row the sampled id, None if it does not sample, or what went wrong; and what is reported
        of the id. Puts what is reported of rows' scored ids into `scores`, by feed."""
        states = self._forward(rows)  # (R, C), R = all tokens of all rows
        ends = list(itertools.accumulate(len(row.token_ids) for row in rows))
        x = states[torch.tensor(ends, device=self.device) - 1]  # (rows, C)
        sampling = [i for i, row in enumerate(rows) if row.sample]
        logits = self._model.lm_head(x[sampling]).double() if sampling else x.new_empty(0, self.config.vocab_size)
        # A NaN at any of a sequence's positions reaches its last row, so checking that row finds it.
        sound = torch.isfinite(x).all(dim=1)
        sound[sampling] &= torch.isfinite(logits).all(dim=1)
        for i, row in enumerate(rows):
            if row.scored_ids:
                first = ends[i] - len(row.token_ids) + row.first_scored
                scored = self._score(row, states[first : first + len(row.scored_ids)])
                if scored is None:
                    sound[i] = False
                else:
                    scores[row.feed] = scored
        results: list[int | NumericalError | None] = [None] * len(rows)
        slots, positions = [rows[i].slot for i in sampling], [rows[i].end for i in sampling]
        reports: list[TokenLogprobs | None] = [None] * len(rows)
        tokens = self._sampler.sample(slots, positions, logits, [rows[i].allowed for i in sampling])
        for i, token, report in zip(sampling, tokens, self._sampler.logprobs(slots, tokens, logits), strict=True):
            results[i], reports[i] = token, report
        for i in torch.nonzero(~sound).flatten().tolist():
            results[i] = NumericalError("the model produced numbers that are not finite")
        return results, reports

    def _score(self, row: _Row, states: Tensor) -> tuple[TokenLogprobs, ...] | None:
        """What is reported of a row's scored ids, given the states (scored ids, C) that they follow; None if one of
        their logits is not finite."""
        reports: list[TokenLogprobs] = []
        for part in range(0, len(states), _LOGIT_ROWS):
            logits = self._model.lm_head(states[part : part + _LOGIT_ROWS]).double()
            if not torch.isfinite(logits).all():
                return None
            reports += self._sampler.prompt_logprobs(row.slot, row.scored_ids[part : part + _LOGIT_ROWS], logits)
        return tuple(reports)

    def _forward(self, rows: list[_Row]) -> Tensor:
        """The final hidden states (R, C) of all R tokens of all rows, whose K and V are written."""
        device = self.device
        lengths = [len(row.token_ids) for row in rows]
        ids = torch.tensor([t for row in rows for t in row.token_ids], device=device)
        positions = torch.tensor([p for row in rows for p in range(row.start, row.end)], device=device)
        slots = torch.tensor([row.slot for row in rows for _ in row.token_ids], device=device)
        single = [i for i, length in enumerate(lengths) if length == 1]
        offsets = list(itertools.accumulate(lengths, initial=0))[:-1]
        decode = torch.tensor([offsets[i] for i in single], dtype=torch.long, device=device)
        written = self._places[slots, positions]  # (R,)
        read, visible = self._reading(slots[decode], positions[decode])
        x = self._model.embed(ids, positions)  # (R, C), R = all tokens of all rows
        for layer, block in enumerate(self._model.blocks()):
            q, k, v = block.qkv(x)  # (R, H, D)
            keys, values = self._keys[layer], self._values[layer]  # (places, H, D)
            keys[written] = k
            values[written] = v
            y = torch.empty_like(q)
            if single:
                y[decode] = _attend_decode(q[decode], keys[read], values[read], visible)
            for i, row in enumerate(rows):
                if lengths[i] > 1:
                    part = slice(offsets[i], offsets[i] + lengths[i])
                    places = self._places[row.slot, : row.end]
                    y[part] = _attend_chunk(q[part], keys[places], values[places])
            x = block.finish(x, y.flatten(1))
        return x

    def _reading(self, slots: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """What queries at `positions` of `slots`, both (N,), read: the places (N, L) of positions 0, 1, ..., and which
        of these each query sees. Past a query's position comes its own place again: never one of somebody else, as NaN
        there times a weight of 0 would be NaN."""
        columns = torch.arange(int(positions.max()) + 1 if len(positions) else 0, device=positions.device)
        columns, own = columns[None], positions[:, None]
        return self._places[slots[:, None], columns.minimum(own)], columns <= own


def _attend_decode(q: Tensor, keys: Tensor, values: Tensor, visible: Tensor) -> Tensor:
    """Attention of one query per sequence: q (N, H, D) over keys and values (N, L, H, D), as far as `visible` (N, L)
    says -> (N, H, D)."""
    k, v = keys.transpose(1, 2), values.transpose(1, 2)  # (N, H, L, D)
    return F.scaled_dot_product_attention(q[:, :, None], k, v, attn_mask=visible[:, None, None]).squeeze(2)


def _attend_chunk(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention of a prefill chunk: q (T, H, D) at the last T of L positions over their keys and values (L, H, D) ->
    (T, H, D)."""
    T, L = len(q), len(keys)
    visible = torch.ones(T, L, dtype=torch.bool, device=q.device).tril(L - T)
    q, k, v = (t.transpose(0, 1) for t in (q, keys, values))  # (H, T or L, D)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=visible).transpose(0, 1)


def _pick_device(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise InvalidRequest("device must be auto or cpu on this machine, got cuda: torch finds no CUDA device")
    return device
