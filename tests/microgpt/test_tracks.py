"""Samples made side by side in one slot are told of as if they had come one after another."""

import dataclasses
import random
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from microgpt import Checkpoint, Engine, Failed, Finished, GenerationRequest, SamplingParams, TokenEvent
from microgpt.backends.tracks import Tracks
from microgpt.checkpoint import StoredTensor
from microgpt.engine import build_engine, scheduler
from microgpt.engine.scheduler import samples_for_tracks
from microgpt.engine.sequence import Job
from microgpt.request import Event, FinishReason
from tests.microgpt import test_engine


@pytest.mark.parametrize("seed", range(50))
def test_tracks_are_told_in_the_order_of_samples_however_bursts_are_cut(seed: int) -> None:
    rng = random.Random(seed)
    num_tracks = rng.randint(2, 6)
    lengths = [[rng.randint(1, 5) for _ in range(rng.randint(1, 4))] for _ in range(num_tracks)]
    work = [[[100 * t + 10 * s + i for i in range(n)] for s, n in enumerate(track)] for t, track in enumerate(lengths)]
    whole = [token for track in work for sample in track for token in sample]
    flat = [n for track in lengths for n in track]
    every_end = [sum(flat[: i + 1]) for i in range(len(flat) - 1)]

    tracks = Tracks(range(7, 7 + num_tracks), 99)
    made = [0] * num_tracks  # tokens of each track
    told_ids: list[int] = []
    told_ends: list[int] = []
    while tracks.places:
        steps = rng.randint(1, 8)
        count = len(tracks.places)
        token_ids = [tracks.token_ids] * count if isinstance(tracks.token_ids, int) else tracks.token_ids
        positions = [tracks.positions] * count if isinstance(tracks.positions, int) else tracks.positions
        sampled = []
        for place, token_id, position in zip(tracks.places, token_ids, positions, strict=True):
            track = place - 7
            tokens, sizes = [token for sample in work[track] for token in sample], lengths[track]
            ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
            start = max([0, *(end for end in ends if end <= made[track])])
            assert position == made[track] - start
            assert token_id == (tokens[made[track] - 1] if position else 99)
            now = tokens[made[track] : made[track] + steps]
            sampled.append(
                (now, [end - made[track] for end in ends if made[track] < end <= made[track] + len(now)],
                 made[track] + len(now) == len(tokens))
            )  # fmt: skip
            made[track] += len(now)
        ids, ends = tracks.take(sampled)
        assert ids  # the first track that was not done has always made something
        told_ends += [len(told_ids) + end for end in ends]
        told_ids += ids
        # Nothing is held that could have been told.
        num_done = next((t for t in range(num_tracks) if made[t] < sum(lengths[t])), num_tracks - 1)
        assert len(told_ids) == sum(made[: num_done + 1])
    assert told_ids == whole
    assert told_ends == every_end


@pytest.mark.parametrize("num_samples", [2, 3, 15, 16, 17, 31, 32, 33, 100])
@pytest.mark.parametrize("limit", [1, 15, 250, 5000])
def test_no_track_has_fewer_samples_than_others_but_the_last(num_samples: int, limit: int) -> None:
    request = GenerationRequest("r", (0,), SamplingParams(), num_samples=num_samples)
    job = Job(request, 1, 0, limit, num_pages=1, most_shared=0)
    taken, num_tracks = samples_for_tracks(job, 16, 4192)
    assert 1 <= num_tracks <= 16
    assert num_tracks <= taken <= num_samples
    each = -(-taken // num_tracks)
    assert (num_tracks - 1) * each < taken
    assert each == 1 or each * limit * 4192 <= scheduler.SLOT_PRODUCTS


def drain(engine: Engine) -> list[Event]:
    events = test_engine.drain(engine)
    assert engine.stats.free_pages + engine.stats.cached_pages == engine.stats.num_pages
    return events


def told(events: Iterable[Event], request: GenerationRequest) -> list[tuple[Any, ...]]:
    """Of each sample: tokens, text, and how it ended."""
    parts: dict[int, list[Any]] = {i: [(), "", None] for i in range(request.num_samples)}
    for event in events:
        if event.request_id != request.id:
            continue
        part = parts[event.index]
        if isinstance(event, TokenEvent):
            assert part[2] is None
            part[0] += event.token_ids
            part[1] += event.text
        else:
            assert isinstance(event, Finished)
            assert part[2] is None
            part[2] = event.reason, event.matched, event.usage
    return [tuple(part) for part in parts.values()]


def alone(engine: Engine, request: GenerationRequest) -> list[tuple[Any, ...]]:
    """The same, each sample in a request of its own."""
    samples = []
    for i in range(request.num_samples):
        params = dataclasses.replace(request.params, seed=(request.params.seed + i) % 2**64)
        single = dataclasses.replace(request, params=params, num_samples=1)
        engine.add(single)
        samples += told(drain(engine), single)
    return samples


def random_document(rng: random.Random, vocab: int, name: str) -> GenerationRequest:
    params = SamplingParams(
        max_tokens=rng.choice([None, 1, 2, 9, 15]),
        temperature=rng.choice([0.0, 0.8, 1.5]),
        top_k=rng.choice([0, 5]),
        stop_token_ids=tuple(rng.sample(range(vocab), rng.choice([0, 1, vocab // 4]))),
        suppress_token_ids=tuple(rng.sample(range(vocab), rng.choice([0, 2]))),
        ignore_eos=rng.random() < 0.2,
        min_tokens=rng.choice([0, 0, 3]),
        logprobs=rng.random() < 0.1,
        presence_penalty=rng.choice([0.0, 0.0, 0.0, 0.5]),
        seed=rng.choice([2**64 - 3, rng.getrandbits(64)]),
    )
    prompt_ids = (rng.randrange(vocab),) * rng.choice([1, 1, 1, 3])
    return GenerationRequest(name, prompt_ids, params, num_samples=rng.choice([1, 2, 5, 16, 33, 70]))


@pytest.mark.parametrize("rng_name", ["default", "reference"])
@pytest.mark.parametrize(("num_slots", "burst_steps"), [(2, 256), (8, 256), (8, 7), (40, 256), (40, 4)])
def test_documents_are_the_same_alone_and_side_by_side(
    tiny_checkpoint: Checkpoint, num_slots: int, burst_steps: int, rng_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "BURST_STEPS", burst_steps)
    rng, vocab = random.Random(num_slots * burst_steps), tiny_checkpoint.config.vocab_size
    engine = build_engine(tiny_checkpoint, max_slots=num_slots, rng=rng_name, threads=2)
    reference = build_engine(tiny_checkpoint, max_slots=1, rng=rng_name, threads=1)
    for case in range(5):
        requests = [random_document(rng, vocab, f"{case}-{i}") for i in range(4)]
        for request in requests:
            engine.add(request)
        events = [] if case % 2 else engine.step()
        if case == 4:
            engine.retract()
        events += drain(engine)
        for request in requests:
            expected = alone(reference, request)
            for got, want in zip(told(events, request), expected, strict=True):
                assert got[:2] == want[:2]
                assert got[2][:2] == want[2][:2]
                assert got[2][2][:2] == want[2][2][:2]


def test_cancelled_documents_end_once_and_leave_no_pages(
    tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "BURST_STEPS", 5)
    engine = build_engine(tiny_checkpoint, max_slots=16, threads=2)
    token = tiny_checkpoint.config.vocab_size - 1
    for steps in range(6):
        engine.add(GenerationRequest("r", (token,), SamplingParams(seed=steps), num_samples=40))
        events: list[Event] = []
        for _ in range(steps):
            events += engine.step()
        engine.cancel("r")
        events += drain(engine)
        ends = Counter(event.index for event in events if isinstance(event, (Finished, Failed)))
        assert ends == Counter(range(40))
        assert any(isinstance(e, Finished) and e.reason is FinishReason.CANCELLED for e in events)


def test_documents_side_by_side_leave_every_free_slot_its_pages(tiny_checkpoint: Checkpoint) -> None:
    engine = build_engine(tiny_checkpoint, max_slots=8, threads=2)
    token = tiny_checkpoint.config.vocab_size - 1
    for i in range(3):
        engine.add(GenerationRequest(f"many{i}", (token,), SamplingParams(max_tokens=8), num_samples=64))
    engine.add(GenerationRequest("one", (token,), SamplingParams(max_tokens=1)))
    assert "one" in {event.request_id for event in engine.step()}
    drain(engine)


def test_one_slot_makes_all_documents_of_a_request(
    tiny_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "BURST_STEPS", 2)
    engine = build_engine(tiny_checkpoint, max_slots=32, threads=2)
    token = tiny_checkpoint.config.vocab_size - 1
    engine.add(GenerationRequest("r", (token,), SamplingParams(max_tokens=8), num_samples=32))
    events = engine.step()
    assert engine.stats.running == 1
    assert engine.stats.waiting == 0
    events += drain(engine)
    assert Counter(event.index for event in events if isinstance(event, Finished)) == Counter(range(32))


def test_numbers_that_are_not_finite_fail_each_document_once(tiny_checkpoint: Checkpoint) -> None:
    tensors = dict(tiny_checkpoint.tensors)
    table = tensors["wpe"].widened().copy()
    table[4] = np.nan
    tensors["wpe"] = StoredTensor("F32", table)
    engine = build_engine(dataclasses.replace(tiny_checkpoint, tensors=tensors), max_slots=16, threads=2)
    token = tiny_checkpoint.config.vocab_size - 1
    engine.add(GenerationRequest("bad", (token,), SamplingParams(), num_samples=20))
    engine.add(GenerationRequest("good", (token,), SamplingParams(max_tokens=3), num_samples=20))
    ends = Counter((e.request_id, e.index, type(e)) for e in drain(engine) if not isinstance(e, TokenEvent))
    assert ends == Counter([*(("bad", i, Failed) for i in range(20)), *(("good", i, Finished) for i in range(20))])
