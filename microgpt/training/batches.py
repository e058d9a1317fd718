"""Documents -> batches: which documents a step sees, and how they lie side by side without seeing each other.

Served prompts begin at position 0, so every document does in training. A batch is a flat run of tokens: documents of
like length form groups, a group is a padded (documents, length) rectangle, and the rectangles follow each other.
Attention runs rectangle by rectangle with plain causal masks, everything else on the flat run at once.

Measured on two cores with AMX (n_embd 192, 6 heads, 6 layers, vocabulary 1024, conversations of 40 to 400 tokens),
useful tokens a second: rows of 512 with a block-diagonal mask 6,500 in float32 and 11,300 in bfloat16; one rectangle
padded to the longest 6,000 in bfloat16; these groups 8,700 in float32 and 14,500 in bfloat16 (15,100 as trainer.py
shares them out between threads).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from microgpt.training.corpus import Documents

# A group may waste this many padding tokens before a new group begins. A group costs a handful of kernel calls a
# layer; that many tokens cost about as much.
_MAX_PADDING = 64
# Flat lengths are multiples of this: oneDNN compiles its bfloat16 matrix products anew for every length it meets.
_ROUND_TO = 256


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens to run and tokens to predict.

    ids, positions: (N,) int64. groups: (documents, length) of each rectangle, in order; the products sum to N.
    rows: (M,) int64, the flat places whose next token counts. targets: (M,) int64, those tokens.
    num_tokens: how many of the N are tokens of documents, not padding.
    """

    ids: Tensor
    positions: Tensor
    groups: tuple[tuple[int, int], ...]
    rows: Tensor
    targets: Tensor
    num_tokens: int


class BatchOrder:
    """Which documents each step sees: a pure function of (seed, step), so that a resumed run needs no generator.

    Every pass over the documents is shuffled anew. Of the documents with an optional BOS, those at odd places of the
    shuffled pass go without it: half of them, others in each pass.
    """

    def __init__(self, documents: Documents, batch_size: int, seed: int):
        self.documents = documents
        self.batch_size = batch_size
        self._seed = seed
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def shards(self, step: int, count: int) -> list[Batch]:
        """The documents of training step `step` (from 0) as `count` batches of about equal work, fewer if need be."""
        n = len(self.documents)
        chosen, without_bos = [], []
        for place in range(step * self.batch_size, (step + 1) * self.batch_size):
            epoch, index = divmod(place, n)
            if epoch != self._epoch:
                self._epoch, self._order = epoch, np.random.default_rng([self._seed, epoch]).permutation(n)
            document = int(self._order[index])
            chosen.append(document)
            without_bos.append(index % 2 == 1 and bool(self.documents.bos_optional[document]))
        by_length = sorted(range(len(chosen)), key=lambda i: self._length(chosen[i]))
        hands = [by_length[i::count] for i in range(min(count, len(chosen)))]
        return [make_batch(self.documents, [chosen[i] for i in h], [without_bos[i] for i in h]) for h in hands]

    def _length(self, document: int) -> int:
        return int(self.documents.starts[document + 1] - self.documents.starts[document])


def fixed_batches(documents: Documents, batch_size: int) -> list[Batch]:
    """All documents once, every second one without its optional BOS; the same batches at every call."""
    # Neighbours in length share a batch, which keeps the padding low; for a sum over all of them it changes nothing.
    by_length = np.argsort(np.diff(documents.starts), kind="stable").tolist()
    return [
        make_batch(
            documents,
            by_length[i : i + batch_size],
            [d % 2 == 1 and bool(documents.bos_optional[d]) for d in by_length[i : i + batch_size]],
        )
        for i in range(0, len(by_length), batch_size)
    ]


def make_batch(documents: Documents, chosen: list[int], without_bos: list[bool]) -> Batch:
    """One batch of the chosen documents; without_bos says which of them drop their leading BOS."""
    spans = [
        (int(documents.starts[d]) + drop, int(documents.starts[d + 1]))
        for d, drop in zip(chosen, without_bos, strict=True)
    ]
    spans.sort(key=lambda span: span[0] - span[1])  # longest first; stable
    groups = _group([end - start - 1 for start, end in spans])
    used = sum(count * length for count, length in groups)
    filler = -used % _ROUND_TO
    ids, positions = np.zeros(used + filler, np.int64), np.zeros(used + filler, np.int64)
    rows, targets = [], []
    place, span = 0, iter(spans)
    for count, length in groups:
        for _ in range(count):
            start, end = next(span)
            n = end - start - 1
            ids[place : place + n] = documents.ids[start : end - 1]
            positions[place : place + length] = np.arange(length)
            counted = np.flatnonzero(documents.counted[start + 1 : end])
            rows.append(place + counted)
            targets.append(documents.ids[start + 1 : end][counted])
            place += length
    if filler:
        groups.append((filler, 1))  # documents of one token: attention over them costs nothing
    return Batch(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        groups=tuple(groups),
        rows=torch.from_numpy(np.concatenate(rows)),
        targets=torch.from_numpy(np.concatenate(targets).astype(np.int64)),
        num_tokens=sum(end - start - 1 for start, end in spans),
    )


def _group(lengths: list[int]) -> list[tuple[int, int]]:
    """(documents, padded length) of consecutive groups, for lengths in descending order."""
    groups: list[tuple[int, int]] = []
    wasted = 0
    for length in lengths:
        if groups and wasted + groups[-1][1] - length <= _MAX_PADDING:
            count, longest = groups[-1]
            groups[-1] = (count + 1, longest)
            wasted += longest - length
        else:
            groups.append((1, length))
            wasted = 0
    return groups
