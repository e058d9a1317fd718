"""Metrics: what the server counts, in the text format of Prometheus.

Requests add to plain integers, which costs about 1 us each; everything is put into prometheus-client's form only when
it is asked for. The engine's state is read at that moment, too: single integers and lengths, which another thread may
read at any time. So a scrape never waits for a step, and sums of what was read may be off by what one step moves.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.registry import Collector

import microgpt
from serve.engine_client import EngineClient
from serve.histogram import Histogram
from serve.load import load_of

__all__ = ["CONTENT_TYPE", "UNMATCHED", "Metrics"]

UNMATCHED = "unmatched"  # the route of requests that no route takes
CANCEL_REASONS = ("disconnected", "timeout")
# A tiny model answers in a fraction of a millisecond; REQUEST_TIMEOUT_S is 60 unless set.
SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60,
)  # fmt: skip


TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384)


class Metrics(Collector):
    """What one app counts, in a registry of its own. Used on the event loop alone.

    model_name: what is served at the moment. num_active: HTTP requests that have begun and not ended.
    """

    def __init__(self, client: EngineClient, model_name: Callable[[], str] = str):
        self._client = client
        self._model_name = model_name
        self.num_active = 0
        self._generating_seconds = Histogram(SECONDS)
        self._prompt_tokens = Histogram(TOKENS)
        self._generated_tokens = Histogram(TOKENS)
        self._requests: dict[tuple[str, str, int | None], int] = {}
        self._request_seconds: dict[str, Histogram] = {}
        self._first_token_seconds = Histogram(SECONDS)
        self._cancelled: dict[str, int] = dict.fromkeys(CANCEL_REASONS, 0)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self.expect(UNMATCHED, "GET", 404)

    def expect(self, route: str, method: str, status: int = 200) -> None:
        """Let a series be there before it counts anything, so that its first increase is seen."""
        self._requests.setdefault((route, method, status), 0)
        self._request_seconds.setdefault(route, Histogram(SECONDS))

    def add_request(
        self,
        route: str,
        method: str,
        status: int | None,
        duration_s: float,
        first_token_s: float | None = None,
        cancelled: str = "",
        prompt_tokens: int | None = None,
        num_tokens: int | None = None,
    ) -> None:
        """Count a request that has ended.

        route: a template. status: None if no answer was begun. first_token_s: from its arrival. cancelled: why it was
        given up, one of CANCEL_REASONS, if it was. prompt_tokens, num_tokens: of all its sequences, if the engine
        worked for it.
        """
        key = (route, method, status)
        self._requests[key] = self._requests.get(key, 0) + 1
        seconds = self._request_seconds.get(route)
        if seconds is None:
            seconds = self._request_seconds[route] = Histogram(SECONDS)
        seconds.observe(duration_s)
        if first_token_s is not None:
            self._first_token_seconds.observe(first_token_s)
        if cancelled:
            self._cancelled[cancelled] += 1
        if prompt_tokens is not None and num_tokens is not None:
            self._generating_seconds.observe(duration_s)
            self._prompt_tokens.observe(prompt_tokens)
            self._generated_tokens.observe(num_tokens)

    def render(self) -> bytes:
        """Everything, as CONTENT_TYPE."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Everything, for prometheus-client."""
        yield from self._http()
        yield from self._engine()
        yield from self._sglang()

    def _http(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "microgpt_requests", "HTTP requests that have ended", labels=("route", "method", "status")
        )
        for (route, method, status), count in self._requests.items():
            requests.add_metric((route, method, "none" if status is None else str(status)), count)
        yield requests
        durations = HistogramMetricFamily(
            "microgpt_request_seconds", "time from a request's head to the end of its answer", labels=("route",)
        )
        for route, seconds in self._request_seconds.items():
            durations.add_metric((route,), _buckets(seconds), seconds.total)
        yield durations
        yield _histogram(
            "microgpt_first_token_seconds",
            "time from a request's head to its first token, of requests that have ended",
            self._first_token_seconds,
        )
        cancelled = CounterMetricFamily(
            "microgpt_cancelled_requests", "requests given up: the client left, or time ran out", labels=("reason",)
        )
        for reason, count in self._cancelled.items():
            cancelled.add_metric((reason,), count)
        yield cancelled
        yield CounterMetricFamily(
            "microgpt_rate_limited_requests",
            "requests refused with 429",
            sum(count for (_, _, status), count in self._requests.items() if status == 429),
        )

    def _engine(self) -> Iterator[Metric]:
        client, engine = self._client, self._client.engine
        stats = engine.stats if engine is not None else None
        running = stats.running if stats else 0
        yield GaugeMetricFamily("microgpt_running_sequences", "sequences that the engine works on", running)
        yield GaugeMetricFamily(
            "microgpt_queued_sequences",
            "sequences accepted that wait for a slot, or for their turn in one",
            max(0, client.in_flight - running),
        )
        yield _histogram("microgpt_batch_size", "sequences that got tokens, by engine step", client.batch_sizes)
        yield _histogram(
            "microgpt_token_gap_seconds",
            "time between tokens of a sequence; of tokens that come together, their share of the time since the last",
            client.token_gaps,
        )
        yield CounterMetricFamily(
            "microgpt_generated_tokens", "tokens sampled for clients, final stop tokens included", client.num_tokens
        )
        yield CounterMetricFamily(
            "microgpt_prompt_tokens",
            "tokens of the prompts that the engine has begun, each sample's counted",
            stats.prompt_tokens if stats else 0,
        )
        yield CounterMetricFamily(
            "microgpt_prefix_cache_hit_tokens",
            "prompt tokens that the prefix cache had, or the sequence before in the same slot",
            stats.cached_tokens if stats else 0,
        )
        pages = GaugeMetricFamily("microgpt_kv_pages", "pages of KV memory, by who holds them", labels=("state",))
        free, cached = (stats.free_pages, stats.cached_pages) if stats else (0, 0)
        used = max(0, stats.num_pages - free - cached) if stats else 0  # read once each, so that they add up
        for state, count in (("free", free), ("cached", cached), ("running", used)):
            pages.add_metric((state,), count)
        yield pages
        info = GaugeMetricFamily(
            "microgpt_build_info",
            "always 1; empty labels while the model loads",
            labels=("version", "backend", "device", "dtype"),
        )
        backend = engine.backend if engine is not None else None
        about = ("", "", "")
        if backend is not None:
            about = (type(backend).__name__.removesuffix("Backend").lower(), backend.device, backend.dtype)
        info.add_metric((microgpt.__version__, *about), 1)
        yield info

    def _sglang(self) -> Iterator[Metric]:
        """The same and more by the names that SGLang's dashboards and routers read."""
        client, load, model = self._client, load_of(self._client), self._model_name()
        for name, meaning, value in (
            ("num_running_reqs", "sequences that the engine works on", load.running),
            ("num_queue_reqs", "sequences accepted that wait for a slot", load.waiting),
            ("num_used_tokens", "tokens of KV memory that running sequences hold", load.used_tokens),
            ("max_total_num_tokens", "tokens of KV memory in all", load.max_tokens),
            ("token_usage", "share of KV memory that running sequences hold", load.token_usage),
            ("gen_throughput", "tokens sampled within the last whole second", load.tokens_per_s),
            ("cache_hit_rate", "share of prompt tokens since the start that the prefix cache had", load.cache_hit_rate),
            ("http_requests_active", "HTTP requests that have begun and not ended", self.num_active),
        ):
            gauge = GaugeMetricFamily(f"sglang:{name}", meaning, labels=("model_name",))
            gauge.add_metric((model,), value)
            yield gauge
        for name, meaning, value in (
            ("num_requests", "sequences that have ended", client.num_ended),
            ("num_aborted_requests", "sequences that were given up", client.num_aborted),
            ("prompt_tokens", "tokens of the prompts that the engine has begun", load.prompt_tokens),
            ("generation_tokens", "tokens sampled for clients", client.num_tokens),
            ("cached_tokens", "prompt tokens that the prefix cache had", load.cached_tokens),
        ):
            counter = CounterMetricFamily(f"sglang:{name}", meaning, labels=("model_name",))
            counter.add_metric((model,), value)
            yield counter
        for name, meaning, histogram in (
            ("time_to_first_token_seconds", "as microgpt_first_token_seconds", self._first_token_seconds),
            ("inter_token_latency_seconds", "as microgpt_token_gap_seconds", client.token_gaps),
            ("e2e_request_latency_seconds", "time of requests that the engine worked for", self._generating_seconds),
            ("queue_time_seconds", "time that sequences which have ended had waited for a slot", client.queue_times),
            ("prompt_tokens_histogram", "prompt tokens by request, over its sequences", self._prompt_tokens),
            ("generation_tokens_histogram", "tokens sampled by request, over its sequences", self._generated_tokens),
        ):
            found = HistogramMetricFamily(f"sglang:{name}", meaning, labels=("model_name",))
            found.add_metric((model,), _buckets(histogram), histogram.total)
            yield found
        yield from self._sglang_http()

    def _sglang_http(self) -> Iterator[Metric]:
        requests: dict[tuple[str, str], int] = {}
        responses = CounterMetricFamily(
            "sglang:http_responses", "answers begun", labels=("endpoint", "status_code", "method")
        )
        for (route, method, status), count in self._requests.items():
            requests[route, method] = requests.get((route, method), 0) + count
            if status is not None:
                responses.add_metric((route, str(status), method), count)
        ended = CounterMetricFamily(
            "sglang:http_requests", "HTTP requests that have ended", labels=("endpoint", "method")
        )
        for labels, count in requests.items():
            ended.add_metric(labels, count)
        yield from (ended, responses)


def _histogram(name: str, meaning: str, histogram: Histogram) -> Metric:
    return HistogramMetricFamily(name, meaning, _buckets(histogram), histogram.total)


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    """(bound, how many values are <= it), as prometheus-client wants them."""
    found, total = [], 0
    for bound, count in zip(_names(histogram.bounds), histogram.counts, strict=True):
        total += count
        found.append((bound, total))
    return found


def _names(bounds: Iterable[float]) -> list[str]:
    return [*(f"{bound:g}" for bound in bounds), "+Inf"]
