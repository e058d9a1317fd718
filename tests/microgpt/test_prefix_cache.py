"""KV memory and the prefix cache: what is found is what was kept, no page is lost, and no answer changes."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from microgpt import (
    Checkpoint,
    Engine,
    Event,
    Failed,
    Finished,
    GenerationRequest,
    ModelConfig,
    SamplingParams,
    TokenEvent,
    build_engine,
    load_checkpoint,
)
from microgpt.backends import PAGE_TOKENS, Burst, Feed, page_count, pages_for
from microgpt.engine import scheduler
from microgpt.engine.kv_memory import KVMemory
from microgpt.engine.prefix_cache import PrefixCache

PAGE_BYTES = 2 * 2 * 16 * PAGE_TOKENS * 8  # of the `checkpoint` below in float64

Prefix = tuple[int, ...]


@dataclass
class Oracle:
    """Every cached prefix in a dictionary, with who uses it and when it was last used."""

    pages: dict[Prefix, int] = field(default_factory=dict)
    users: Counter[Prefix] = field(default_factory=Counter)
    last_used: dict[Prefix, int] = field(default_factory=dict)
    clock: int = 0

    def match(self, tokens: Sequence[int]) -> list[int]:
        found = []
        for prefix in prefixes(tokens):
            if prefix not in self.pages:
                break
            found.append(self.pages[prefix])
        return found

    def insert(self, tokens: Sequence[int], pages: Sequence[int]) -> None:
        for prefix, page in zip(prefixes(tokens), pages, strict=True):
            self.pages.setdefault(prefix, page)

    def use(self, tokens: Sequence[int]) -> None:
        self.users.update(prefixes(tokens))

    def release(self, tokens: Sequence[int]) -> None:
        self.clock += 1
        for prefix in prefixes(tokens):
            self.users[prefix] -= 1
            self.last_used[prefix] = self.clock

    def unused(self) -> list[Prefix]:
        return [prefix for prefix in self.pages if not self.users[prefix]]

    def evict(self) -> None:
        leaves = [p for p in self.unused() if not any(q[: len(p)] == p for q in self.pages if len(q) > len(p))]
        del self.pages[min(leaves, key=lambda prefix: self.last_used[prefix])]


def prefixes(tokens: Sequence[int]) -> Iterator[Prefix]:
    for end in range(PAGE_TOKENS, len(tokens) + 1, PAGE_TOKENS):
        yield tuple(tokens[:end])


@dataclass
class Running:
    """A sequence as the engine would run it: its page table, and how many of its tokens it has kept."""

    tokens: Prefix
    pages: list[int]
    num_shared: int
    kept_pages: list[int]


class Driver:
    """Runs sequences on a PrefixCache and an Oracle side by side."""

    def __init__(self, num_pages: int):
        self.memory = KVMemory(num_pages)
        self.cache = PrefixCache(self.memory)
        self.oracle = Oracle()
        self.running: list[Running] = []
        self.evictions = self.hits = 0

    def open(self, tokens: Prefix) -> None:
        memory, shared = self.memory, self.cache.match(tokens, len(tokens) // PAGE_TOKENS)
        assert shared == self.oracle.match(tokens)
        count = pages_for(len(tokens) + 5) - len(shared)
        if memory.available_beside(shared) < count:
            return
        memory.hold(shared)
        self.oracle.use(tokens[: len(shared) * PAGE_TOKENS])
        while memory.free_pages < count:
            self.cache.make_room(memory.free_pages + 1)
            self.oracle.evict()
            self.evictions += 1
            self.check()
        self.running.append(Running(tokens, shared + memory.take(count), len(shared), shared))
        self.hits += len(shared)

    def keep(self, sequence: Running, num_computed: int) -> None:
        num_full = num_computed // PAGE_TOKENS
        if num_full > len(sequence.kept_pages):
            tokens = sequence.tokens[: num_full * PAGE_TOKENS]
            kept_pages = self.cache.insert(tokens, sequence.pages[:num_full])
            self.memory.hold(kept_pages)
            self.memory.release(sequence.kept_pages)
            self.oracle.insert(tokens, sequence.pages[:num_full])
            self.oracle.release(tokens[: len(sequence.kept_pages) * PAGE_TOKENS])
            self.oracle.use(tokens)
            sequence.kept_pages = kept_pages
            assert kept_pages == self.oracle.match(tokens)

    def close(self, sequence: Running) -> None:
        self.running.remove(sequence)
        self.memory.release(sequence.pages[sequence.num_shared :])
        self.memory.release(sequence.kept_pages)
        self.oracle.release(sequence.tokens[: len(sequence.kept_pages) * PAGE_TOKENS])

    def check(self) -> None:
        memory, oracle = self.memory, self.oracle
        used = {page for sequence in self.running for page in (*sequence.pages, *sequence.kept_pages)}
        cached = {oracle.pages[prefix] for prefix in oracle.unused()}
        assert memory.cached_pages == len(cached)
        assert memory.available_beside(sorted(cached)) == memory.free_pages
        assert not used & cached
        assert memory.free_pages + memory.cached_pages + memory.running_pages == memory.num_pages
        for prefix in oracle.pages:
            assert self.cache.match(prefix, len(prefix) // PAGE_TOKENS) == oracle.match(prefix), (
                "something else was evicted"
            )


@pytest.mark.parametrize("seed", range(3))
def test_finds_what_a_dictionary_of_all_prefixes_finds_and_evicts_the_longest_unused_leaf(seed: int) -> None:
    rng = random.Random(seed)
    driver = Driver(num_pages=24)
    blocks = [tuple(rng.randrange(9) for _ in range(PAGE_TOKENS)) for _ in range(3)]
    for _ in range(400):
        action = rng.random()
        if action < 0.5 or not driver.running:
            tokens = sum(rng.choices(blocks, (6, 2, 1), k=rng.randrange(6)), ()) + (7,) * rng.randrange(PAGE_TOKENS)
            driver.open(tokens)
        else:
            sequence = rng.choice(driver.running)
            driver.keep(sequence, rng.choice([len(sequence.tokens), rng.randint(0, len(sequence.tokens))]))
            if action < 0.9:
                driver.close(sequence)
        driver.check()
        used = {page for running in driver.running for page in (*running.pages, *running.kept_pages)}
        assert driver.memory.running_pages == len(used)
    assert driver.evictions > 50
    assert driver.hits > 50


def test_page_count_holds_every_sequence_twice_or_what_the_bytes_allow_but_always_one_sequence() -> None:
    config = ModelConfig(vocab_size=100, n_embd=16, n_head=2, n_layer=3, block_size=40)
    assert page_count(config, 1000, 10, 10**9) == 2 * 10 * 3
    assert page_count(config, 1000, 10, 7005) == 7
    assert page_count(config, 2000, 10, 8000) == 4
    assert page_count(config, 1000, 10, 0) == 3


@pytest.fixture
def checkpoint(make_model: Any) -> Checkpoint:
    return load_checkpoint(make_model(block_size=120))


def build(checkpoint: Checkpoint, num_pages: int = 1000, prefix_cache: bool = True, max_slots: int = 4) -> Engine:
    # float64 leaves rounding no chance to tell batch shapes apart.
    kv_bytes = num_pages * PAGE_BYTES
    return build_engine(
        checkpoint, device="cpu", dtype="float64", max_slots=max_slots, kv_bytes=kv_bytes, prefix_cache=prefix_cache
    )


def check_pages(engine: Engine) -> None:
    stats = engine.stats
    assert stats.free_pages + stats.cached_pages + stats.running_pages == stats.num_pages
    assert min(stats.free_pages, stats.cached_pages, stats.running_pages) >= 0
    used = {page for sequence in engine._running.values() for page in (*sequence.pages, *sequence.kept_pages)}
    assert stats.running_pages == len(used)


def run(engine: Engine, *requests: GenerationRequest) -> list[Event]:
    for request in requests:
        engine.add(request)
    events: list[Event] = []
    while engine.has_work:
        events += engine.step()
        check_pages(engine)
    return events


def outputs(events: list[Event]) -> dict[str, tuple[int, ...]]:
    tokens: dict[str, tuple[int, ...]] = {}
    for event in events:
        if isinstance(event, TokenEvent):
            tokens[event.request_id] = tokens.get(event.request_id, ()) + event.token_ids
    return tokens


def num_cached(events: list[Event]) -> dict[str, int]:
    return {event.request_id: event.usage.num_cached for event in events if isinstance(event, Finished)}


def request(request_id: str, prompt: Sequence[int], max_tokens: int | None = 1, seed: int = 0) -> GenerationRequest:
    return GenerationRequest(request_id, tuple(prompt), SamplingParams(max_tokens=max_tokens, seed=seed))


def prompt(length: int, seed: int = 0) -> Prefix:
    rng = random.Random(seed)
    return tuple(rng.randrange(13) for _ in range(length))


def fed_tokens(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each call of the backend's `burst` feeds, as it is called."""
    fed: list[int] = []
    burst = engine.backend.burst

    def counting(feeds: Sequence[Feed], max_steps: int, time_limit_s: float) -> list[Burst]:
        fed.append(sum(len(feed.token_ids) for feed in feeds))
        return burst(feeds, max_steps, time_limit_s)

    monkeypatch.setattr(engine.backend, "burst", counting)
    return fed


def random_requests(rng: random.Random, count: int) -> list[GenerationRequest]:
    """Requests that share beginnings: prompts continue earlier prompts, repeat them or leave them half-way."""
    prompts: list[Prefix] = [prompt(1)]
    requests = []
    for i in range(count):
        beginning = rng.choice(prompts[-10:])
        beginning = beginning[: rng.choice([len(beginning), rng.randrange(len(beginning) + 1)])]
        ids = (beginning + prompt(rng.choice([1, 16, 40]), seed=i))[: rng.choice([119, 120])]
        prompts.append(ids)
        params = SamplingParams(
            temperature=rng.choice([0.0, 1.0]),
            seed=i,
            max_tokens=rng.choice([None, 1, 2, 20, 40]),
            stop_token_ids=rng.choice([(), (2,)]),
        )
        requests.append(GenerationRequest(f"r{i}", ids, params))
    return requests


@pytest.mark.parametrize(("num_pages", "prefill_tokens"), [(64, 512), (20, 512), (8, 512), (20, 30)])
def test_random_requests_get_the_same_answers_from_any_cache(
    checkpoint: Checkpoint, num_pages: int, prefill_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", prefill_tokens)
    rng = random.Random(num_pages)
    requests = random_requests(rng, 80)
    want = outputs(run(build(checkpoint, prefix_cache=False), *requests))
    engine = build(checkpoint, num_pages)
    ends: Counter[str] = Counter()
    got: dict[str, tuple[int, ...]] = {}
    cancelled: set[str] = set()
    live: set[str] = set()
    evictions: list[int] = []
    evict = engine._memory.evict
    monkeypatch.setattr(engine._memory, "evict", lambda: evictions.append(1) or evict())
    while requests or engine.has_work:
        for _ in range(rng.choice([0, 1, 5])):
            if requests:
                live.add(requests[0].id)
                engine.add(requests.pop(0))
        if live and rng.random() < 0.1:
            request_id = rng.choice(sorted(live))
            cancelled.add(request_id)
            engine.cancel(request_id)
            check_pages(engine)
        events = engine.step()
        check_pages(engine)
        for request_id, tokens in outputs(events).items():
            got[request_id] = got.get(request_id, ()) + tokens
        ended = [event.request_id for event in events if not isinstance(event, TokenEvent)]
        ends.update(ended)
        live.difference_update(ended)
    assert ends == Counter(f"r{i}" for i in range(80))
    for request_id, tokens in want.items():
        if request_id in cancelled:
            assert tokens[: len(got.get(request_id, ()))] == got.get(request_id, ())
        else:
            assert got[request_id] == tokens
    stats = engine.stats
    assert stats.running_pages == 0
    assert stats.cached_pages == len(engine._prefixes._nodes)
    assert stats.cached_tokens > 0
    assert evictions


def test_samples_of_one_prompt_compute_it_once(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = build(checkpoint, max_slots=8)
    fed = fed_tokens(engine, monkeypatch)
    ids = prompt(100)
    events = run(engine, *(request(f"s{i}", ids, 20, seed=i) for i in range(8)))
    assert fed[:2] == [100, 1 + 7 * 4]
    assert num_cached(events) == {f"s{i}": 96 if i else 0 for i in range(8)}
    assert engine.stats.cached_tokens == 7 * 96
    assert engine.stats.prompt_tokens == 8 * 100


def test_waiting_for_a_prefix_ends_with_the_sequence_that_computes_it(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", 20)
    engine = build(checkpoint)
    engine.add(request("first", prompt(100)))
    engine.add(request("second", (*prompt(50), 1)))
    engine.step()
    engine.step()
    assert (engine.stats.running, engine.stats.waiting) == (1, 1)
    engine.cancel("first")
    events = run(engine)
    assert num_cached(events) == {"first": 0, "second": 32}  # what 40 computed tokens fill


def test_the_next_turn_of_a_chat_computes_only_what_is_new(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = build(checkpoint)
    answer = outputs(run(engine, request("one", prompt(30), 40)))["one"]
    assert engine.stats.cached_pages == 69 // PAGE_TOKENS  # the last token sampled is not computed
    fed = fed_tokens(engine, monkeypatch)
    events = run(engine, request("two", (*prompt(30), *answer, 1, 2, 3)))
    assert num_cached(events) == {"two": 64}
    assert fed == [73 - 64]


def test_at_least_the_last_token_of_a_prompt_is_computed(checkpoint: Checkpoint) -> None:
    engine = build(checkpoint)
    answers = [run(engine, request(f"{i}", prompt(32), 5)) for i in range(2)]
    assert num_cached(answers[1]) == {"1": 16}
    assert outputs(answers[0])["0"] == outputs(answers[1])["1"]
    assert engine.stats.cached_pages == 2


def test_cancelled_requests_leave_what_they_computed(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "PREFILL_TOKENS", 20)
    engine = build(checkpoint)
    engine.add(request("half", prompt(100)))
    engine.step()
    engine.step()
    engine.cancel("half")
    assert num_cached(run(engine, request("next", prompt(100)))) == {"half": 0, "next": 32}


def test_failed_sequences_are_not_cached(checkpoint: Checkpoint) -> None:
    wte = checkpoint.tensors["wte"].bits.copy()
    wte[3] = np.nan
    tensors = {**checkpoint.tensors, "wte": type(checkpoint.tensors["wte"])("F32", wte)}
    engine = build(Checkpoint(checkpoint.path, checkpoint.config, tensors, checkpoint.tokenizer, checkpoint.meta))
    events = run(engine, request("bad", (1, 2) * 20 + (3,) * 30))
    assert [type(event) for event in events] == [Failed]
    assert engine.stats.free_pages == engine.stats.num_pages
    # The same pages serve the next sequence.
    good = GenerationRequest("good", (1, 2) * 20, SamplingParams(suppress_token_ids=(3,)))
    assert len(outputs(run(engine, good))["good"]) == 81


def test_a_request_that_waits_for_pages_is_not_overtaken(checkpoint: Checkpoint) -> None:
    engine = build(checkpoint, num_pages=8)
    engine.add(request("long", prompt(10), 60))  # 5 pages
    engine.add(request("longer", prompt(10, seed=1), 80))  # 6 pages
    engine.add(request("short", prompt(10, seed=2), 2))
    ends = [event.request_id for event in run(engine) if isinstance(event, Finished)]
    assert ends[0] == "long"


def test_a_context_that_no_prompt_can_reuse_is_not_cached(make_model: Any) -> None:
    engine = build(load_checkpoint(make_model(block_size=PAGE_TOKENS)))
    run(engine, *(request(f"{i}", (1,), None, seed=i) for i in range(5)))
    assert engine.stats.free_pages == engine.stats.num_pages


def test_without_the_cache_nothing_is_kept(checkpoint: Checkpoint) -> None:
    engine = build(checkpoint, prefix_cache=False)
    events = run(engine, *(request(f"{i}", prompt(100)) for i in range(3)))
    assert set(num_cached(events).values()) == {0}
    assert engine.stats.free_pages == engine.stats.num_pages
