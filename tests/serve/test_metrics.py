"""GET /metrics: complete from the start, equal to what the clients counted themselves, bounded, documented."""

import asyncio
import re
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

import microgpt
from microgpt import Checkpoint, Engine, GenerationRequest, NumericalError, SamplingParams, TokenEvent
from microgpt.engine import build_engine
from serve.engine_client import EngineClient, Generation
from serve.histogram import Histogram, RecentRate
from serve.metrics import Metrics
from tests.serve.asgi_driver import CHAT, GENERATE, JSON, Served, eventually, served
from tests.serve.scripted_engine import ScriptedEngine, run

API_MD = Path(__file__).parents[2] / "docs" / "api.md"
HELLO = {"messages": [{"role": "user", "content": "abc"}]}
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(service: Served) -> Series:
    """Every series by name and labels; histograms must be sound."""
    answer = await service.ask("/metrics", method="GET", headers=[])
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    return parse(answer.body.decode())


def parse(text: str) -> Series:
    found: Series = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
        buckets: dict[frozenset[tuple[str, str]], list[float]] = {}
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                rest = frozenset(item for item in sample.labels.items() if item[0] != "le")
                buckets.setdefault(rest, []).append(sample.value)
        for rest, values in buckets.items():
            assert values == sorted(values)
            assert values[-1] == found[f"{family.name}_count", rest]
    return found


def value(series: Series, name: str, **labels: str) -> float:
    return series[f"microgpt_{name}", frozenset(labels.items())]


def sglang(series: Series, name: str, model_name: str = "", **labels: str) -> float:
    """Of the series under SGLang's names. All have the model's, but for those of HTTP."""
    return series[f"sglang:{name}", frozenset((labels or {"model_name": model_name}).items())]


def requests(series: Series) -> Counter[tuple[str, str, str]]:
    """(route, method, status) of all that was counted."""
    found: Counter[tuple[str, str, str]] = Counter()
    for (name, labels), count in series.items():
        if name == "microgpt_requests_total" and count:
            by_name = dict(labels)
            found[by_name["route"], by_name["method"], by_name["status"]] = int(count)
    return found


def test_everything_is_there_before_the_first_request(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        series = await scrape(service)
        for (name, labels), count in series.items():
            expected = 0.0
            if name == "microgpt_build_info":
                expected = 1.0
            elif name == "sglang:max_total_num_tokens":
                expected = 10 * 16
            elif name == "sglang:http_requests_active":
                expected = 1.0  # this one
            elif name == "microgpt_kv_pages":
                expected = {"free": 6.0, "cached": 4.0, "running": 0.0}[dict(labels)["state"]]
            assert count == expected, (name, labels)
        for route in (GENERATE, CHAT):
            assert value(series, "requests_total", route=route, method="POST", status="200") == 0
            assert value(series, "request_seconds_count", route=route) == 0
        assert value(series, "requests_total", route="/metrics", method="GET", status="200") == 0
        for reason in ("disconnected", "timeout"):
            assert value(series, "cancelled_requests_total", reason=reason) == 0
        for name in ("num_requests", "num_aborted_requests", "prompt_tokens", "generation_tokens", "cached_tokens"):
            assert sglang(series, f"{name}_total", str(tiny_checkpoint.path)) == 0
        value(series, "build_info", version=microgpt.__version__, backend="simplenamespace", device="cpu",
              dtype="float32")  # fmt: skip

    run(tiny_checkpoint, scenario)


def test_loading_has_all_series_too(tiny_checkpoint: Checkpoint):
    release = threading.Event()

    def build() -> Engine:
        release.wait(10)
        return build_engine(tiny_checkpoint)

    async def main() -> None:
        async with served(tiny_checkpoint, build, wait=False) as service:
            before = await scrape(service)
            assert value(before, "build_info", version=microgpt.__version__, backend="", device="", dtype="") == 1
            release.set()
            await service.client.built()
            after = await scrape(service)
        about = {"version": microgpt.__version__, "backend": "numba", "device": "cpu", "dtype": "float32"}
        assert value(after, "build_info", **about) == 1
        named = {name for name, _ in before}
        assert named == {name for name, _ in after}

    asyncio.run(main())


def test_values_equal_a_client_side_tally(tiny_checkpoint: Checkpoint):
    asked: Counter[tuple[str, str, str]] = Counter()
    tokens_in = tokens_out = answered = sequences = 0

    async def main() -> None:
        nonlocal tokens_in, tokens_out, answered, sequences

        async with served(tiny_checkpoint, lambda: build_engine(tiny_checkpoint)) as service:

            async def one(i: int) -> None:
                """The same work streamed, which says how many tokens it was, and buffered; then something refused."""
                nonlocal tokens_in, tokens_out, answered, sequences
                num_samples = 1 + i % 3 if i % 2 else 1
                path, body = (GENERATE, {"num_samples": num_samples}) if i % 2 else (CHAT, dict(HELLO))
                body |= {"seed": i, "max_tokens": 1 + i % 7}
                streamed = await service.ask(path, body | {"stream": True})
                usage = streamed.events[-1]["usage"]
                buffered = await service.ask(path, body)
                assert (streamed.status, buffered.status) == (200, 200)
                asked[path, "POST", "200"] += 2
                answered += 2
                sequences += 2 * num_samples
                tokens_in += 2 * num_samples * usage["prompt_tokens"]
                tokens_out += 2 * usage["completion_tokens"]
                for refused, route, method, how in (
                    (await service.ask(path, b"{"), path, "POST", "400"),
                    (await service.ask(path, {"seed": "x"}), path, "POST", "422"),
                    (await service.ask(f"/no/{i}"), "unmatched", "POST", "404"),
                    (await service.ask("/health", method="HEAD", headers=[]), "/health", "HEAD", "200"),
                ):
                    assert refused.status == int(how)
                    asked[route, method, how] += 1

            await asyncio.gather(*(one(i) for i in range(40)))
            series = await scrape(service)
            assert requests(series) == asked
            assert value(series, "generated_tokens_total") == tokens_out
            assert value(series, "prompt_tokens_total") == tokens_in
            assert value(series, "first_token_seconds_count") == answered
            # Of each sequence, all tokens but those of its first piece have a gap.
            assert 0 <= value(series, "token_gap_seconds_count") <= tokens_out - sequences
            for route in (GENERATE, CHAT):
                here = sum(count for (name, _, _), count in asked.items() if name == route)
                assert value(series, "request_seconds_count", route=route) == here
            spent = sum(value(series, "request_seconds_sum", route=route) for route in (GENERATE, CHAT))
            assert 0 < value(series, "first_token_seconds_sum") <= spent
            assert value(series, "running_sequences") == value(series, "queued_sequences") == 0
            stats = service.client.engine.stats  # pyright: ignore[reportOptionalMemberAccess]
            pages = {state: value(series, "kv_pages", state=state) for state in ("free", "cached", "running")}
            assert pages == {"free": stats.free_pages, "cached": stats.cached_pages, "running": 0}
            assert sum(pages.values()) == stats.num_pages
            assert value(series, "prefix_cache_hit_tokens_total") == stats.cached_tokens

            def named(name: str) -> float:
                return sglang(series, name, str(tiny_checkpoint.path))

            assert named("num_requests_total") == sequences
            assert named("num_aborted_requests_total") == 0
            assert named("prompt_tokens_total") == tokens_in
            assert named("generation_tokens_total") == tokens_out
            assert named("cached_tokens_total") == stats.cached_tokens
            assert named("cache_hit_rate") == stats.cached_tokens / tokens_in
            assert named("max_total_num_tokens") == stats.num_pages * 16
            assert named("num_running_reqs") == named("num_queue_reqs") == named("num_used_tokens") == 0
            for name in ("time_to_first_token_seconds", "e2e_request_latency_seconds", "prompt_tokens_histogram",
                         "generation_tokens_histogram"):  # fmt: skip
                assert named(f"{name}_count") == answered
            assert named("prompt_tokens_histogram_sum") == tokens_in
            assert named("generation_tokens_histogram_sum") == tokens_out
            assert named("queue_time_seconds_count") == sequences
            assert named("inter_token_latency_seconds_count") == value(series, "token_gap_seconds_count")
            for (route, method, status), count in asked.items():
                labels = {"endpoint": route, "method": method}
                assert sglang(series, "http_responses_total", status_code=status, **labels) == count
                assert sglang(series, "http_requests_total", **labels) >= count

    asyncio.run(main())


def test_batch_sizes_are_of_steps(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        await service.ask(GENERATE, {"num_samples": 3, "max_tokens": 5})
        await service.ask(GENERATE, {"num_samples": 1, "max_tokens": 1})
        series = await scrape(service)
        # A token each to every sequence in each step: 5 steps of 3, then one of 1.
        assert value(series, "batch_size_count") == 6
        assert value(series, "batch_size_sum") == 16
        assert value(series, "batch_size_bucket", le="1") == 1
        assert value(series, "batch_size_bucket", le="2") == 1
        assert value(series, "batch_size_bucket", le="4") == 6
        assert value(series, "token_gap_seconds_count") == 3 * 4

    run(tiny_checkpoint, scenario)


def test_the_recent_rate_is_of_the_last_whole_second():
    rate = RecentRate()
    assert rate.per_second(100.0) == 0
    rate.add(3, 100.1)
    rate.add(4, 100.9)
    assert rate.per_second(100.99) == 0
    assert rate.per_second(101.0) == rate.per_second(101.9) == 7
    rate.add(5, 101.95)
    assert rate.per_second(101.99) == 7
    assert rate.per_second(102.5) == 5
    assert rate.per_second(103.0) == 0
    rate.add(1, 200.0)
    assert rate.per_second(202.5) == 0


def test_tokens_that_come_together_share_the_time_since_the_last(tiny_checkpoint: Checkpoint):
    client = EngineClient(lambda: build_engine(tiny_checkpoint), max_queue=1)
    requests = [GenerationRequest("a", (0,), SamplingParams()), GenerationRequest("b", (0,), SamplingParams(), {}, 2)]
    generation = Generation(client, requests)
    for request_id, index, num_tokens, now in (
        ("a", 0, 3, 10.0), ("b", 0, 1, 12.0), ("a", 0, 4, 12.0), ("b", 1, 1, 12.25), ("b", 0, 1, 12.5),
        ("a", 0, 1, 13.0),
    ):  # fmt: skip
        generation._put(TokenEvent(request_id, (0,) * num_tokens, "", index), now)
    gaps = client.token_gaps
    assert (sum(gaps.counts), gaps.total) == (6, 2.0 + 0.5 + 1.0)
    assert sum(gaps.counts[: gaps.bounds.index(0.5) + 1]) == 5  # 0.5 five times, then 1.0
    assert (generation.first_token_at, generation.num_tokens) == (10.0, 11)


def test_running_and_queued_sequences(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.hold.clear()
        working = service.send(GENERATE, {"num_samples": 5, "max_tokens": 1})
        await eventually(lambda: len(engine.live) == 1)
        series = await scrape(service)
        assert value(series, "running_sequences") == 5
        assert value(series, "queued_sequences") == 0
        assert requests(series) == {}
        service.client._thread._num_live += 2  # accepted, not yet taken
        assert value(await scrape(service), "queued_sequences") == 2
        engine.hold.set()
        await working.done()

    run(tiny_checkpoint, scenario)


def test_labels_are_bounded_whatever_clients_send(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        async def everything_odd(i: int) -> None:
            odd = f"BREW{i}"
            for path in (f"/{i}", GENERATE, f"{GENERATE}/{i}", "/health", '/"\n\\', "/metrics"):
                await service.ask(path, method=odd, headers=[(b"x-request-id", str(i).encode())])
            await service.ask(GENERATE, b"{", headers=[*JSON, (b"host", str(i).encode())])

        await everything_odd(0)
        await scrape(service)
        before = set(await scrape(service))
        for i in range(1, 20):
            await everything_odd(i)
        after = await scrape(service)
        assert set(after) == before
        assert value(after, "requests_total", route="unmatched", method="other", status="404") == 60
        assert value(after, "requests_total", route="/metrics", method="other", status="405") == 20

    run(tiny_checkpoint, scenario)


def test_requests_that_were_given_up(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.hold.clear()
        leaving = [service.send(GENERATE, {"stream": stream}) for stream in (False, True, False)]
        await eventually(lambda: len(engine.live) == 3)
        for exchange in leaving:
            exchange.disconnect()
            await exchange.done()
        late = await service.ask(CHAT, HELLO)
        assert late.status == 504
        engine.hold.set()
        assert (await service.ask(GENERATE, {"max_tokens": 1})).status == 200
        series = await scrape(service)
        assert sglang(series, "num_aborted_requests_total", str(tiny_checkpoint.path)) == 4
        assert sglang(series, "num_requests_total", str(tiny_checkpoint.path)) == 5
        assert value(series, "cancelled_requests_total", reason="disconnected") == 3
        assert value(series, "cancelled_requests_total", reason="timeout") == 1
        assert requests(series) == {
            (GENERATE, "POST", "none"): 3, (CHAT, "POST", "504"): 1, (GENERATE, "POST", "200"): 1,
        }  # fmt: skip
        assert value(series, "generated_tokens_total") == 1

    run(tiny_checkpoint, scenario, REQUEST_TIMEOUT_S="0.2")


def test_rate_limited_and_failed_requests(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.failing = NumericalError("logits are not finite")
        statuses = Counter([(await service.ask(GENERATE, {"max_tokens": 3})).status for _ in range(14)])
        assert statuses == {500: 10, 429: 4}
        series = await scrape(service)
        assert value(series, "rate_limited_requests_total") == 4
        assert requests(series) == {(GENERATE, "POST", "500"): 10, (GENERATE, "POST", "429"): 4}

    run(tiny_checkpoint, scenario, RATE_LIMIT="1/minute")


def test_a_scrape_is_never_limited_and_answers_when_the_engine_has_failed(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        engine.broken = ZeroDivisionError("planted")
        assert (await service.ask(GENERATE, {})).status == 503
        await eventually(lambda: service.service.status == "failed")
        for i in range(30):
            assert value(await scrape(service), "requests_total", route="/metrics", method="GET", status="200") == i

    run(tiny_checkpoint, scenario, RATE_LIMIT="1/minute")


def test_apps_do_not_share_what_they_count(tiny_checkpoint: Checkpoint):
    async def busy(service: Served, engine: ScriptedEngine) -> None:
        await service.ask(GENERATE, {"max_tokens": 2})
        assert requests(await scrape(service)) == {(GENERATE, "POST", "200"): 1}

    async def idle(service: Served, engine: ScriptedEngine) -> None:
        assert requests(await scrape(service)) == {}

    run(tiny_checkpoint, busy)
    run(tiny_checkpoint, idle)


def test_the_table_in_the_documentation_is_what_the_code_has(tiny_checkpoint: Checkpoint):
    client = EngineClient(lambda: build_engine(tiny_checkpoint), max_queue=1)
    expected = []
    for family in Metrics(client).collect():
        suffix = "_total" if family.type == "counter" else ""
        samples = [sample for sample in family.samples if not sample.name.endswith(("_sum", "_count"))]
        labels = ", ".join(f"`{label}`" for label in samples[0].labels if label != "le")
        expected.append((f"`{family.name}{suffix}`", family.type, labels, family.documentation))
    section = API_MD.read_text("utf-8").split("## GET /metrics")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`(?:microgpt_|sglang:)\w+`) \| (\w+) \| (.*?) ?\| (.*) \|$", section, re.MULTILINE)
    assert rows == expected


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=6, unique=True).map(sorted),
    st.lists(st.tuples(st.floats(0, 200), st.integers(1, 5))),
)
def test_histogram_counts_like_a_slow_one(bounds: list[float], observed: list[tuple[float, int]]):
    histogram = Histogram(bounds)
    for seen, times in observed:
        histogram.observe(seen, times)
    every = [seen for seen, times in observed for _ in range(times)]
    for i, bound in enumerate(bounds):
        assert sum(histogram.counts[: i + 1]) == sum(seen <= bound for seen in every)
    assert sum(histogram.counts) == len(every)
    assert histogram.total == pytest.approx(sum(every))
