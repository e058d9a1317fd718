"""Per-client rate limiting: who is calling, and may they call now?

`RateLimiter.check(scope)` answers from the ASGI scope alone, so a request is charged before its body is read:

- `TrustedProxies` finds the client's address: the peer, or the right-most untrusted X-Forwarded-For hop;
- `TokenBucketStrategy` is a GCRA token bucket, registered with `limits` and so with slowapi;
- `TatTable` is its storage: a fixed-size table in anonymous memory, registered as `tat-table://`.

Measured (Python 3.11, one core): 2.0 us per check of a returning client, 5.4 us behind a proxy, 7 us for a new
one. A million distinct addresses in a second add 34 to 36 MB of resident memory, and no hit takes longer than
about 0.1 ms: nothing is ever resized, and a sweep visits one page at a time.
"""

import mmap
import os
import re
import secrets
import socket
import struct
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

from limits import RateLimitItem, RateLimitItemPerSecond, WindowStats
from limits.storage import Storage
from limits.strategies import STRATEGIES
from limits.strategies import RateLimiter as Strategy
from slowapi import Limiter

from serve.settings import NS_PER_S, UNIT_SECONDS

AUTHORIZED_KEY = "microgpt.authorized"  # in the scope of requests that bear a valid API key
STRATEGY = "token-bucket-gcra"
SCHEME = "tat-table"
_T = TypeVar("_T")
_new: Any = tuple.__new__  # of a named tuple, in half the time


def describe_rate(amount: int, period_ns: int) -> str:
    """`5 requests per second`, `1 request per 5 seconds`: in the largest unit that divides the period."""
    period_s = period_ns // NS_PER_S
    unit, size = next((unit, size) for unit, size in reversed(UNIT_SECONDS.items()) if period_s % size == 0)
    count = period_s // size
    return f"{amount} request{'s' * (amount != 1)} per {unit if count == 1 else f'{count} {unit}s'}"


class TokenBucketLimit(RateLimitItemPerSecond):
    """A `limits` item with a burst: `amount` tokens per `period_ns` flow into a bucket that holds `burst`.

    A token takes `interval_ns`, rounded down to whole ns: a client exactly at the rate is never refused.
    """

    __slots__ = ["_key_prefix", "burst", "interval_ns"]

    def __init__(self, amount: int, period_ns: int, burst: int, namespace: str = "generate") -> None:
        super().__init__(amount, period_ns // NS_PER_S, namespace)
        self.burst = burst
        self.interval_ns = max(1, period_ns // amount)
        self._key_prefix = f"{namespace}/{amount}/{period_ns}/"

    def key_for(self, *identifiers: bytes | str | int | float) -> str:
        """Same role as the inherited key, a fifth of its cost: the constant part is built once."""
        if len(identifiers) == 1:
            return f"{self._key_prefix}{identifiers[0]}"
        return self._key_prefix + "/".join(map(str, identifiers))


_WAYS = 8
_BUCKET = struct.Struct(f"{_WAYS}q")
_INT64 = struct.Struct("q")
_PAGE = struct.Struct(f"{mmap.PAGESIZE // 8}q")
_BLANK_PAGE = bytes(mmap.PAGESIZE)
_HITS_PER_SWEEP = 32


class TatTable(Storage):
    """Theoretical arrival times (TAT, ns of `clock`) by key, in memory that never grows past 16 bytes a slot.

    A Python dict of a million ints takes over 100 MB and stalls when it grows. Here two int64 regions of one
    anonymous mapping hold fingerprints and TATs; untouched pages cost nothing. A key may sit in either of two
    buckets of 8 slots (two-choice hashing: 2**21 slots take a million keys without an overflow). A TAT that is
    past means the same as no entry, so an expired slot is free at once for whoever comes next. Besides, every
    32nd hit sweeps a page: it blanks what expired and gives an empty page back to the system.

    Keys are told apart by a salted 64-bit hash: among a million, two share one with a probability of 3e-8.
    Not thread-safe: it lives on the event loop. `clock` must not run backwards nor start below 0.
    """

    STORAGE_SCHEME: ClassVar[list[str]] = [SCHEME]  # type: ignore[misc]

    def __init__(
        self,
        uri: str | None = None,
        wrap_exceptions: bool = False,
        clock: Callable[[], int] = time.monotonic_ns,
        num_slots: int = 2**21,
        **options: float | str | bool,
    ) -> None:
        super().__init__(uri, wrap_exceptions, **options)
        if num_slots < _WAYS or num_slots & (num_slots - 1):
            raise ValueError(f"num_slots must be a power of two >= {_WAYS}, got {num_slots}")
        self.clock = clock
        self.occupied = 0  # slots with a TAT not yet swept, live or expired
        self._salt = secrets.token_hex(8)  # so that nobody can aim addresses at one bucket
        self._bucket_mask = num_slots // _WAYS - 1
        self._region = max(num_slots * 8, mmap.PAGESIZE)  # bytes: fingerprints, then as many for the TATs
        # Private, since MADV_DONTNEED does not empty shared pages, which are what mmap gives by default.
        self._memory = mmap.mmap(-1, 2 * self._region, flags=mmap.MAP_PRIVATE)
        self._hits = 0
        self._sweep_at = 0  # byte offset within a region

    def find(self, key: str, now: int) -> tuple[int, int, int]:
        """(fingerprint, byte offset of its slot, TAT) for key: its own entry, else an expired or blank slot.

        If there is neither, the offset is -1 and the TAT is the time at which the first of its slots expires.
        """
        fingerprint = hash(self._salt + key)
        bucket_bytes = _WAYS * 8
        first = (fingerprint & self._bucket_mask) * bucket_bytes
        second = (fingerprint >> 32 & self._bucket_mask) * bucket_bytes
        memory = self._memory
        for start in (first, second):
            fingerprints = _BUCKET.unpack_from(memory, start)
            if fingerprint in fingerprints:
                at = start + 8 * fingerprints.index(fingerprint)
                return fingerprint, at, _INT64.unpack_from(memory, self._region + at)[0]
        return self._find_room(fingerprint, first, second, now)

    def _find_room(self, fingerprint: int, first: int, second: int, now: int) -> tuple[int, int, int]:
        tats = _BUCKET.unpack_from(self._memory, self._region + first)
        other = _BUCKET.unpack_from(self._memory, self._region + second)
        if other.count(0) > tats.count(0):  # the emptier bucket first keeps them all about equally full
            first, second, tats, other = second, first, other, tats
        soonest = min(tats)
        if soonest > now and min(other) < soonest:
            first, tats, soonest = second, other, min(other)
        return fingerprint, first + 8 * tats.index(soonest) if soonest <= now else -1, soonest

    def store(self, fingerprint: int, at: int, tat: int, previous: int, now: int) -> None:
        """Puts tat (> 0) into the slot at `at`, found holding `previous`; every 32nd call sweeps a page."""
        pack_into, memory = _INT64.pack_into, self._memory
        pack_into(memory, at, fingerprint)
        pack_into(memory, self._region + at, tat)
        if previous == 0:
            self.occupied += 1
        self._hits += 1
        if self._hits % _HITS_PER_SWEEP == 0:
            self.sweep_page(now)

    def sweep_page(self, now: int) -> None:
        """Blanks the expired TATs of the next page (512 slots in 4 KiB); takes 30 us."""
        fingerprints_at, self._sweep_at = self._sweep_at, (self._sweep_at + mmap.PAGESIZE) % self._region
        tats_at = self._region + fingerprints_at
        page = self._memory[tats_at : tats_at + mmap.PAGESIZE]
        if page == _BLANK_PAGE:
            return
        before = _PAGE.unpack(page)
        after = [tat if tat > now else 0 for tat in before]
        expired = after.count(0) - before.count(0)
        if not expired:
            return
        self.occupied -= expired
        _PAGE.pack_into(self._memory, tats_at, *after)
        if any(after):
            return
        for start in (fingerprints_at, tats_at):
            self._memory[start : start + mmap.PAGESIZE] = _BLANK_PAGE  # DONTNEED may be a mere hint
            self._memory.madvise(mmap.MADV_DONTNEED, start, mmap.PAGESIZE)

    @property
    def base_exceptions(self) -> type[Exception]:
        return struct.error

    def get(self, key: str) -> int:
        """The TAT of key in ns of `clock`; 0 if it has none."""
        now = self.clock()
        _, at, tat = self.find(key, now)
        return tat if at >= 0 and tat > now else 0

    def get_expiry(self, key: str) -> float:
        """When key's bucket is full again (or now), in seconds since the epoch as in all of `limits`."""
        return time.time() + max(0, self.get(key) - self.clock()) / NS_PER_S

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError(f"{SCHEME}:// keeps arrival times, not counters: use strategy {STRATEGY!r}")

    def check(self) -> bool:
        return True

    def clear(self, key: str) -> None:
        """Gives key a full bucket again."""
        now = self.clock()
        fingerprint, at, tat = self.find(key, now)
        if at >= 0 and tat > now:
            self.store(fingerprint, at, max(1, now), tat, now)  # a TAT of now has expired

    def reset(self) -> int:
        """How many entries were forgotten: all of them."""
        occupied, self.occupied = self.occupied, 0
        self._memory.close()
        self._memory = mmap.mmap(-1, 2 * self._region, flags=mmap.MAP_PRIVATE)
        return occupied


class Spend(NamedTuple):
    """What one attempt found. Times in ns from the attempt on."""

    allowed: bool
    wait_ns: int  # > 0 when refused: until the same attempt would pass
    remaining: int  # tokens left in the bucket
    reset_ns: int  # until the bucket is full
    table_full: bool = False


class TokenBucketStrategy(Strategy):
    """The generic cell rate algorithm (ITU-T I.371, virtual scheduling) as a `limits` strategy.

    The same as a token bucket, with one integer to keep: TAT, when the bucket would be full again. In ns,
    since sums of float intervals drift and would refuse a client that keeps exactly to the rate. An item
    without a burst of its own gets its amount.
    """

    def __init__(self, storage: Any) -> None:
        if not isinstance(storage, TatTable):
            raise NotImplementedError(f"{STRATEGY!r} needs {SCHEME}://, got {type(storage).__name__}")
        super().__init__(storage)
        self._table = storage

    def spend(self, item: RateLimitItem, *identifiers: str, cost: int = 1, commit: bool = True) -> Spend:
        """Takes `cost` tokens if the bucket has them and the table room for it; commit=False only looks."""
        if isinstance(item, TokenBucketLimit):
            interval, burst = item.interval_ns, item.burst
        else:
            interval, burst = max(1, item.get_expiry() * NS_PER_S // item.amount), item.amount
        now = self._table.clock()
        fingerprint, at, stored = self._table.find(item.key_for(*identifiers), now)
        if at < 0:
            return Spend(False, stored - now, 0, stored - now, table_full=True)
        tat = stored if stored > now else now
        capacity = burst * interval
        spent = tat + cost * interval
        wait = spent - now - capacity
        if wait > 0:
            return Spend(False, wait, (capacity - (tat - now)) // interval, tat - now)
        if commit:
            self._table.store(fingerprint, at, spent, stored, now)
        return _new(Spend, (True, 0, -wait // interval, spent - now, False))

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        return self.spend(item, *identifiers, cost=cost).allowed

    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        return self.spend(item, *identifiers, cost=cost, commit=False).allowed

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        found = self.spend(item, *identifiers, cost=0, commit=False)
        return WindowStats(time.time() + found.reset_ns / NS_PER_S, found.remaining)


STRATEGIES[STRATEGY] = cast(Any, TokenBucketStrategy)  # typed for the three stock classes only


class _PlainLimiter(Limiter):
    """slowapi's Limiter, deaf to RATELIMIT_* in the environment: settings come from one place."""

    def get_app_config(self, key: str, default_value: _T = None) -> _T:
        return default_value


NO_ADDRESS = "unknown"
_MAX_FORWARDED_BYTES = 2048
_MAX_HOPS = 16
_MAX_ADDRESS_CHARS = 64  # the longest: a bracketed IPv6 address with zone and port
_CACHED_CLIENTS = 1024  # with 4096 the cache's own dict stalls 0.3 ms each time it is rebuilt
_V4_MAPPED = bytes(10) + b"\xff\xff"


@lru_cache(maxsize=_CACHED_CLIENTS)
def parse_address(text: str) -> bytes | None:
    """The packed address, 4 or 16 bytes; IPv4-mapped IPv6 as IPv4; None if text is no address.

    Takes `1.2.3.4`, `1.2.3.4:80`, `::1`, `[::1]`, `[::1]:80` and zones as in `fe80::1%eth0`.
    """
    port = ""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or ":" not in host:
            return None
    elif text.count(":") == 1:
        host, colon, port = text.partition(":")
        port = colon + port
    else:
        host = text
    if port and not re.fullmatch(r":[0-9]{1,5}", port):
        return None
    try:
        if ":" not in host:
            return socket.inet_pton(socket.AF_INET, host)
        packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_V4_MAPPED) else packed


@lru_cache(maxsize=_CACHED_CLIENTS)
def budget_key(address: bytes | None) -> str:
    """Who shares a budget: an IPv4 address alone, an IPv6 /64 (one subscriber), all without an address."""
    if address is None:
        return NO_ADDRESS
    if len(address) == 4:
        return socket.inet_ntop(socket.AF_INET, address)
    return socket.inet_ntop(socket.AF_INET6, address[:8] + bytes(8)) + "/64"


class TrustedProxies:
    """The networks whose X-Forwarded-For is believed."""

    def __init__(self, networks: Iterable[IPv4Network | IPv6Network]) -> None:
        self._masks: list[tuple[int, int, int]] = []  # (packed length, mask, network)
        for network in networks:
            mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
            if mapped and network.prefixlen >= 96:  # as parse_address sees them
                network = IPv4Network((mapped, network.prefixlen - 96))
            size = network.max_prefixlen // 8
            self._masks.append((size, int(network.netmask), int(network.network_address)))

    def __contains__(self, address: bytes) -> bool:
        number = int.from_bytes(address)
        return any(len(address) == size and number & mask == net for size, mask, net in self._masks)

    def client(self, scope: Mapping[str, Any]) -> bytes | None:
        """Packed address of the right-most untrusted hop; None if the peer has no IP address.

        What an untrusted peer forwards is ignored. A malformed hop ends the walk at the last good address,
        else garbage would buy a fresh budget each time; so does the bound of 16 hops and 2048 bytes.
        """
        peer = scope.get("client")
        client = parse_address(peer[0]) if peer else None
        if not self._masks or client is None or client not in self:
            return client
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        if not lines:
            return client
        joined = b",".join(lines)
        hops = joined[-_MAX_FORWARDED_BYTES:].decode("latin-1").rsplit(",", _MAX_HOPS)
        if len(joined) > _MAX_FORWARDED_BYTES or len(hops) > _MAX_HOPS:
            del hops[0]  # cut off: the end of an address may read as another one
        for hop in reversed(hops):
            hop = hop.strip(" \t")
            address = parse_address(hop) if len(hop) <= _MAX_ADDRESS_CHARS else None  # its cache stays small
            if address is None:
                break
            client = address
            if address not in self:
                break
        return client


class Decision(NamedTuple):
    """Whether a request may go on, and what to tell its sender. `message` is empty when allowed."""

    allowed: bool
    limit: int  # the burst: what a full bucket holds
    remaining: int
    reset_s: int  # until the bucket is full, rounded up
    window_s: int  # an empty bucket's time to fill, rounded up
    retry_after_s: int  # rounded up, >= 1 when refused, 0 when allowed
    message: str


_UNLIMITED = Decision(True, 0, 0, 0, 0, 0, "")


class RateLimiter:
    """One budget per client address over every request that is given to `check`.

    rate: from parse_rate; None allows everything, without headers. burst: tokens in a full bucket (>= 1).
    trusted_proxies: networks whose X-Forwarded-For counts. clock: monotonic ns. num_slots: room of the table.
    name: of the budget, as the headers have it. A request whose scope has AUTHORIZED_KEY is not limited.
    The HTTP server must report the direct peer (uvicorn: proxy_headers=False), or the trust rule is void.
    """

    def __init__(
        self,
        rate: tuple[int, int] | None,
        burst: int = 10,
        trusted_proxies: Iterable[IPv4Network | IPv6Network] = (),
        clock: Callable[[], int] = time.monotonic_ns,
        num_slots: int = 2**21,
        name: str = "default",
    ) -> None:
        self._name = name
        self._proxies = TrustedProxies(trusted_proxies)
        self._item: TokenBucketLimit | None = None
        if rate is None:
            return
        if burst < 1:
            raise ValueError(f"RATE_BURST must be >= 1, got {burst}")
        self._item = item = TokenBucketLimit(*rate, burst)
        if burst * item.interval_ns >= 2**62:  # TATs are int64 ns, and the clock needs its share
            raise ValueError(f"RATE_BURST must fill within 146 years at this RATE_LIMIT, got {burst}")
        self._rate_text = f"{describe_rate(*rate)} (burst {burst})"
        self._window_s = _ceil_s(burst * item.interval_ns)
        self._policy = f'"{name}";q={burst};w={self._window_s}'
        options: dict[str, Any] = {"clock": clock, "num_slots": num_slots}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that the null device is no file; without, it reads .env
            self._limiter = _PlainLimiter(
                key_func=lambda request: self.client_key(request.scope),
                strategy=STRATEGY,
                storage_uri=f"{SCHEME}://",
                storage_options=options,
                config_filename=os.devnull,
            )
        self._strategy = cast(TokenBucketStrategy, self._limiter.limiter)

    def client_key(self, scope: Mapping[str, Any]) -> str:
        """The budget that this request draws on: `203.0.113.9`, `2001:db8::/64`, or `unknown`."""
        return budget_key(self._proxies.client(scope))

    def check(self, scope: Mapping[str, Any]) -> Decision:
        """Charges one request to the client of an ASGI HTTP scope. A refused one costs nothing."""
        item = self._item
        if item is None or AUTHORIZED_KEY in scope:
            return _UNLIMITED
        found = self._strategy.spend(item, self.client_key(scope))
        reset_s = _ceil_s(found.reset_ns)
        if found.allowed:
            return _new(Decision, (True, item.burst, found.remaining, reset_s, self._window_s, 0, ""))
        retry_s = _ceil_s(found.wait_ns)
        reason = "too many client addresses at once" if found.table_full else self._rate_text
        message = f"rate limit exceeded: {reason}, retry after {retry_s} s"
        return Decision(False, item.burst, found.remaining, reset_s, self._window_s, retry_s, message)

    def headers(self, decision: Decision) -> dict[str, str]:
        """RateLimit and RateLimit-Policy, Retry-After when refused; nothing where there is no limit.

        Source: draft-ietf-httpapi-ratelimit-headers, from -09 on (lists of strings with parameters).
        """
        if decision is _UNLIMITED:
            return {}
        headers = {
            "RateLimit-Policy": self._policy,
            "RateLimit": f'"{self._name}";r={decision.remaining};t={decision.reset_s}',
        }
        if not decision.allowed:
            headers["Retry-After"] = str(decision.retry_after_s)
        return headers


def _ceil_s(duration_ns: int) -> int:
    return -(-duration_ns // NS_PER_S)
