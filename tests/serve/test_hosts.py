"""Host and Origin: pages of the web do not get through to a server on the loopback interface."""

import asyncio
from typing import Any

import pytest

from microgpt import Checkpoint
from serve.hosts import is_loopback
from tests.serve.asgi_driver import CHAT, GENERATE, JSON, Exchange, served
from tests.serve.scripted_engine import ScriptedEngine, as_engine

ONE = {"max_tokens": 1}


def ask(checkpoint: Checkpoint, asked: list[dict[str, Any]], **environ: str) -> list[Exchange]:
    """The answers of one fresh service; `asked`: method, path and body, and headers beside content-type."""

    async def scenario() -> list[Exchange]:
        engine = as_engine(ScriptedEngine(checkpoint))
        async with served(checkpoint, lambda: engine, environ=environ) as service:
            return [
                await service.ask(
                    how.get("path", GENERATE),
                    how.get("body", ONE),
                    method=how.get("method", "POST"),
                    headers=JSON + [(name.encode(), value.encode("latin-1")) for name, value in how["headers"]],
                )
                for how in asked
            ]

    return asyncio.run(scenario())


def statuses(checkpoint: Checkpoint, *headers: dict[str, str], **environ: str) -> list[int]:
    return [answer.status for answer in ask(checkpoint, [{"headers": h.items()} for h in headers], **environ)]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True), ("LocalHost.", True), ("127.0.0.1", True), ("127.255.1.2", True), ("::1", True),
        ("[::1]", True), ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("::", False), ("10.0.0.1", False),
        ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("evil.example", False), ("", False),
        ("2130706433", False), ("127.1", False),
    ],
)  # fmt: skip
def test_is_loopback(host: str, expected: bool):
    assert is_loopback(host) == expected


OURS = ["localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:8080", "127.9.9.9", "[::1]", "[::1]:80"]
THEIRS = ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.7", "x",
          "localhost@evil.example", "evil.example#localhost", "[::2]", "[::1", "", "\xff", "0.0.0.0"]  # fmt: skip


@pytest.mark.parametrize("bound_to", ["127.0.0.1", "localhost", "::1"])
def test_a_server_on_the_loopback_interface_answers_to_loopback_names_alone(tiny_checkpoint: Checkpoint, bound_to: str):
    hosts = [*OURS, *THEIRS, *OURS]
    expected = [200] * len(OURS) + [403] * len(THEIRS) + [200] * len(OURS)
    assert statuses(tiny_checkpoint, *({"host": host} for host in hosts), HOST=bound_to) == expected


def test_refusal_names_header_rule_and_value_on_every_route_and_reaches_no_engine(tiny_checkpoint: Checkpoint):
    headers = [("host", "evil.example:8080"), ("x-request-id", "the-id")]
    routes = [("POST", GENERATE), ("POST", CHAT), ("GET", "/health"), ("HEAD", "/"), ("GET", "/no"), ("OPTIONS", CHAT)]
    asked = [{"method": method, "path": path, "headers": headers} for method, path in routes]
    for answer in ask(tiny_checkpoint, asked):
        assert answer.status == 403
        assert answer.error == 'Host must be a loopback name or in ALLOWED_HOSTS, got "evil.example:8080"'
        assert answer.headers["x-request-id"] == "the-id"


def test_every_host_line_must_be_ours(tiny_checkpoint: Checkpoint):
    pairs = [[("host", "localhost"), ("host", "evil.example")], [("host", "evil.example"), ("host", "localhost")]]
    assert [answer.status for answer in ask(tiny_checkpoint, [{"headers": pair} for pair in pairs])] == [403, 403]


def test_request_without_host_comes_from_no_browser(tiny_checkpoint: Checkpoint):
    assert statuses(tiny_checkpoint, {}) == [200]


def test_allowed_hosts_add_to_the_loopback_names(tiny_checkpoint: Checkpoint):
    hosts = [
        "chat.example.org",
        "Chat.Example.org:443",
        "192.0.2.7",
        "localhost:1",
        "example.org",
        "a.chat.example.org",
    ]
    found = statuses(tiny_checkpoint, *({"host": host} for host in hosts), ALLOWED_HOSTS="chat.example.org, 192.0.2.7")
    assert found == [200, 200, 200, 200, 403, 403]
    assert statuses(tiny_checkpoint, *({"host": host} for host in THEIRS), ALLOWED_HOSTS="*") == [200] * len(THEIRS)


def test_a_server_for_others_answers_to_any_name_unless_names_are_allowed(tiny_checkpoint: Checkpoint):
    hosts = ({"host": "chat.example.org"}, {"host": "localhost"}, {"host": "evil.example"})
    assert statuses(tiny_checkpoint, *hosts, HOST="0.0.0.0") == [200, 200, 200]
    assert statuses(tiny_checkpoint, *hosts, HOST="0.0.0.0", ALLOWED_HOSTS="chat.example.org") == [200, 403, 403]


def test_pages_from_elsewhere_may_not_have_anything_computed(tiny_checkpoint: Checkpoint):
    ours = ["http://localhost:8080", "http://127.0.0.1:3000", "https://[::1]"]
    theirs = ["https://evil.example", "null", "http://localhost.evil.example", "localhost", "", "http://["]
    headers = [{"host": "localhost:8080", "origin": origin} for origin in ours + theirs]
    assert statuses(tiny_checkpoint, *headers) == [200] * len(ours) + [403] * len(theirs)
    (refused,) = ask(tiny_checkpoint, [{"headers": headers[len(ours)].items()}])
    assert refused.error == (
        'Origin must be a loopback name or in ALLOWED_HOSTS or CORS_ORIGINS, got "https://evil.example"'
    )


def test_pages_from_elsewhere_may_be_shown_what_costs_nothing(tiny_checkpoint: Checkpoint):
    asked = [
        {"method": method, "path": "/health", "headers": [("host", "localhost"), ("origin", "https://evil.example")]}
        for method in ("GET", "HEAD")
    ]
    assert [answer.status for answer in ask(tiny_checkpoint, asked)] == [200, 200]


def test_pages_from_elsewhere_may_not_change_the_server_by_a_link(tiny_checkpoint: Checkpoint):
    def status_of(path: str, *headers: tuple[str, str], **environ: str) -> int:
        asked = {"method": "GET", "path": path, "headers": [("host", "localhost:8080"), *headers]}
        return ask(tiny_checkpoint, [asked], **environ)[0].status

    page = ("origin", "https://page.example")
    elsewhere = ("sec-fetch-site", "cross-site")
    assert [status_of(path, elsewhere) for path in ("/flush_cache", "/freeze_gc", "/get_weights_by_name")] == [403] * 3
    for path in ("/start_profile", "/stop_profile"):
        assert [status_of(path), status_of(path, ("sec-fetch-site", "none"))] == [200, 200]  # typed, or no browser
        assert status_of(path, ("sec-fetch-site", "same-origin")) == 200
        assert [status_of(path, ("sec-fetch-site", site)) for site in ("cross-site", "same-site")] == [403, 403]
        assert status_of(path, elsewhere, page) == 403
        assert status_of(path, elsewhere, page, CORS_ORIGINS="https://page.example") == 200
    assert status_of("/health", elsewhere) == 200


def test_origins_that_may_call_are_those_of_cors_and_allowed_hosts(tiny_checkpoint: Checkpoint):
    headers = [
        {"host": "localhost", "origin": origin}
        for origin in ("https://a.example", "https://b.example:8443", "http://a.example", "https://c.example")
    ]
    environ = {"CORS_ORIGINS": "https://a.example", "ALLOWED_HOSTS": "b.example"}
    assert statuses(tiny_checkpoint, *headers, **environ) == [200, 200, 403, 403]
    assert statuses(tiny_checkpoint, *headers, CORS_ORIGINS="*") == [200] * 4


def test_origin_is_checked_wherever_host_is(tiny_checkpoint: Checkpoint):
    headers = [
        {"host": "chat.example.org", "origin": "https://chat.example.org"},
        {"host": "chat.example.org", "origin": "https://evil.example"},
    ]
    assert statuses(tiny_checkpoint, *headers, HOST="0.0.0.0", ALLOWED_HOSTS="chat.example.org") == [200, 403]
    assert statuses(tiny_checkpoint, *headers, HOST="0.0.0.0") == [200, 200]
