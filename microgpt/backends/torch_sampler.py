"""Choosing tokens in torch, all rows at once, as `microgpt.sampling.reference` does it for one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from microgpt.constraints.matcher import Mask
from microgpt.logprobs import LOWEST_LOGPROB, TokenLogprobs
from microgpt.params import MAX_SEED, SamplingParams
from microgpt.sampling import GENERATORS, MOST_PENALISED, Generator


@dataclass(slots=True)
class _Slot:
    """Sampling state of the sequence in a slot. bias: (vocab,) float64; None without."""

    params: SamplingParams
    generator: Generator
    limit: int
    bias: Tensor | None
    num_sampled: int = 0


class TorchSampler:
    """The sampling state of every slot. The tensors that penalties need are made when the first sequence has some."""

    def __init__(self, num_slots: int, vocab_size: int, device: torch.device | str, rng: str):
        self._shape = (num_slots, vocab_size)
        self._device = device
        self._new_generator = GENERATORS[rng]
        self._slots: dict[int, _Slot] = {}
        self._in_prompt: Tensor | None = None  # (num_slots, vocab) bool
        self._in_output: Tensor | None = None  # (num_slots, vocab) int32, how often

    def open(
        self,
        slot: int,
        params: SamplingParams,
        limit: int,
        prompt_ids: Sequence[int],
        sample: int = 0,
        output_ids: Sequence[int] = (),
    ) -> None:
        """Give a slot to a new sequence. prompt_ids: all of its prompt, which penalties look at. sample: its index in
        the request, which is added to the seed. output_ids: what it has sampled already, in another slot."""
        bias = None
        if params.logit_bias:
            bias = torch.zeros(self._shape[1], dtype=torch.float64)
            ids, amounts = zip(*params.logit_bias, strict=True)
            bias[list(ids)] = torch.tensor(amounts, dtype=torch.float64)
            bias = bias.to(self._device)
        generator = self._new_generator((params.seed + sample) % (MAX_SEED + 1))
        if params.temperature:
            for position in range(len(prompt_ids), len(prompt_ids) + len(output_ids)):
                generator.uniform(position)  # what it has drawn: one generator has a state
        self._slots[slot] = _Slot(params, generator, limit, bias, len(output_ids))
        if params.has_penalties:
            if self._in_prompt is None or self._in_output is None:
                self._in_prompt = torch.zeros(self._shape, dtype=torch.bool, device=self._device)
                self._in_output = torch.zeros(self._shape, dtype=torch.int32, device=self._device)
            self._in_prompt[slot] = False
            self._in_prompt[slot, torch.tensor(prompt_ids, dtype=torch.long, device=self._device)] = True
            self._in_output[slot] = torch.bincount(
                torch.tensor(output_ids, dtype=torch.long, device=self._device), minlength=self._shape[1]
            )

    def goes_on(self, slot: int, token: int) -> bool:
        """Whether another token may follow the sampled `token`."""
        state = self._slots[slot]
        return token not in state.params.end_token_ids and state.num_sampled < state.limit

    def sample(
        self, slots: Sequence[int], positions: Sequence[int], z: Tensor, allowed: Sequence[Mask | None] = ()
    ) -> list[int]:
        """The next id of each slot's sequence, which will stand at its position and is counted as its output.

        z: (S, vocab) float64 logits, to which penalties, bias and masks are applied in place. slots are distinct.
        allowed: the mask of what may come in each row, None or left out: everything. A row that is not finite gets an
        arbitrary id.
        """
        if not slots:
            return []
        states = [self._slots[slot] for slot in slots]
        self._adjust(z, slots, states)
        _keep_allowed(z, allowed)
        tokens = self._choose(z, states, positions)
        penalised = [i for i, state in enumerate(states) if state.params.has_penalties]
        if penalised and self._in_output is not None:
            self._in_output[[slots[i] for i in penalised], [tokens[i] for i in penalised]] += 1
        for state in states:
            state.num_sampled += 1
        return tokens

    def logprobs(self, slots: Sequence[int], tokens: Sequence[int], z: Tensor) -> list[TokenLogprobs | None]:
        """What is reported of the tokens just sampled from z, as `sample` left it; None where nobody asked."""
        asked = [i for i, slot in enumerate(slots) if self._slots[slot].params.logprobs]
        reports: list[TokenLogprobs | None] = [None] * len(slots)
        if not asked:
            return reports
        params = [self._slots[slots[i]].params for i in asked]
        for i, report in zip(asked, token_logprobs(z[asked], params, [tokens[i] for i in asked]), strict=True):
            reports[i] = report
        return reports

    def prompt_logprobs(self, slot: int, tokens: Sequence[int], z: Tensor) -> list[TokenLogprobs]:
        """What is reported of neighbouring tokens of a slot's prompt, given the model's float64 logits for them."""
        return token_logprobs(z, [self._slots[slot].params] * len(tokens), tokens, is_prompt=True)

    def _adjust(self, z: Tensor, slots: Sequence[int], states: list[_Slot]) -> None:
        penalised = [i for i, state in enumerate(states) if state.params.has_penalties]
        if penalised and self._in_prompt is not None and self._in_output is not None:
            rows = [slots[i] for i in penalised]
            z[penalised] = _penalise(
                z[penalised], self._in_prompt[rows], self._in_output[rows], [states[i].params for i in penalised]
            )
        for i, state in enumerate(states):
            if state.bias is not None:
                z[i] += state.bias
            masked = state.params.suppress_token_ids
            if state.num_sampled < state.params.min_tokens:
                masked += state.params.end_token_ids
            if masked:
                z[i, list(masked)] = -torch.inf

    def _choose(self, z: Tensor, states: list[_Slot], positions: Sequence[int]) -> list[int]:
        greedy = z.shape[1] - 1 - z.flip(1).argmax(dim=1)  # the highest id of equal maxima
        temperatures = [state.params.temperature for state in states]
        if not any(temperatures):
            return greedy.tolist()
        uniforms = [
            state.generator.uniform(position) if state.params.temperature else 0.0
            for position, state in zip(positions, states, strict=True)
        ]
        drawn = _draw(z, [state.params for state in states], _column(uniforms, z))
        return torch.where(torch.tensor([t == 0 for t in temperatures], device=z.device), greedy, drawn).tolist()


def token_logprobs(
    z: Tensor, params: Sequence[SamplingParams], chosen: Sequence[int], is_prompt: bool = False
) -> list[TokenLogprobs]:
    """What is reported of each row's `chosen` id, given the float64 logits z (S, vocab) as `sample` left them; or, of
    prompts' tokens, the model's own, to which no temperature is applied."""
    temperatures = [1.0 if is_prompt else q.temperature or 1.0 for q in params]
    scaled = (z - z.amax(dim=1, keepdim=True)) / _column(temperatures, z)
    logprobs = scaled.log_softmax(dim=1).clamp(min=LOWEST_LOGPROB)
    most = min(max((q.top_logprobs for q in params), default=0), z.shape[1])
    # Of equal logits the higher id comes first, hence the flip before a stable sort.
    top_ids = z.shape[1] - 1 - z.flip(1).sort(dim=1, descending=True, stable=True).indices[:, :most] if most else None
    reports = []
    for i, q in enumerate(params):
        ids = top_ids[i, : q.top_logprobs].tolist() if top_ids is not None else []
        wanted = [chosen[i], *ids, *q.logprob_token_ids]
        first, *others = logprobs[i, torch.tensor(wanted, device=z.device)].tolist()
        top = tuple(zip(ids, others[: len(ids)], strict=True))
        reports.append(TokenLogprobs(first, top, tuple(others[len(ids) :])))
    return reports


def _keep_allowed(z: Tensor, allowed: Sequence[Mask | None]) -> None:
    """Rule out in place what the masks of the rows of z (S, V) lack."""
    rows = [i for i, mask in enumerate(allowed) if mask is not None]
    if rows:
        words = np.stack([mask for mask in allowed if mask is not None])
        bits = np.unpackbits(words.view(np.uint8), axis=1, count=z.shape[1], bitorder="little")  # (rows, V)
        z[rows] = z[rows].masked_fill(torch.from_numpy(bits == 0).to(z.device), -torch.inf)


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, device=like.device)[:, None]


def _penalise(z: Tensor, in_prompt: Tensor, in_output: Tensor, params: list[SamplingParams]) -> Tensor:
    """z (S, V) after the penalties for what is in the prompt (S, V) bool and in the output (S, V) counts."""
    repetition = _column([q.repetition_penalty for q in params], z)
    frequency = _column([q.frequency_penalty for q in params], z)
    presence = _column([q.presence_penalty for q in params], z)
    output = in_output > 0
    repeated = torch.where(z > 0, z / repetition, z * repetition).clamp(-MOST_PENALISED, MOST_PENALISED)
    z = torch.where((in_prompt | output) & (repetition != 1), repeated, z)
    return z - (in_output * frequency + output * presence)


def _draw(z: Tensor, params: list[SamplingParams], uniforms: Tensor) -> Tensor:
    """Ids (S,) drawn from float64 logits (S, V) by inverting the cumulative distribution at `uniforms` (S, 1)."""
    scale = _column([q.temperature or 1.0 for q in params], z)
    p = ((z - z.amax(dim=1, keepdim=True)) / scale).exp()  # the maximum first, so that no temperature overflows
    filtered = [i for i, q in enumerate(params) if q.top_k or q.top_p < 1]
    if filtered:
        p[filtered] = _filter(z[filtered], p[filtered], [params[i] for i in filtered])
    if any(q.min_p for q in params):
        p = p.masked_fill(p < _column([q.min_p for q in params], z), 0.0)  # the likeliest has exactly 1
    running = p.cumsum(dim=1)
    index = (running <= uniforms * running[:, -1:]).sum(dim=1)  # the first whose running sum exceeds it
    last_possible = p.shape[1] - 1 - (p.flip(1) > 0).int().argmax(dim=1)
    return torch.minimum(index, last_possible)


def _filter(z: Tensor, p: Tensor, params: list[SamplingParams]) -> Tensor:
    """p (S, V) with what top_k and top_p exclude set to 0."""
    V = z.shape[1]
    # Of equal logits the higher id comes first, hence the flip before a stable sort.
    order = V - 1 - z.flip(1).sort(dim=1, descending=True, stable=True).indices
    ranked = p.gather(1, order)
    top_k = torch.tensor([min(q.top_k, V) or V for q in params], device=z.device)[:, None]
    top_p = _column([q.top_p for q in params], z)
    ranked = ranked.masked_fill(torch.arange(V, device=z.device) >= top_k, 0.0)
    running = ranked.cumsum(dim=1)
    before = F.pad(running[:, :-1], (1, 0))  # probability of everything likelier
    ranked = ranked.masked_fill((before >= top_p * running[:, -1:]) & (top_p < 1), 0.0)
    return torch.zeros_like(p).scatter(1, order, ranked)
