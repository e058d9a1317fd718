"""API keys: what is open without one, that nothing else is however it is written, and which key opens what."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from microgpt import Checkpoint
from serve.access import App
from serve.app import ADMIN_PATHS
from serve.auth import OPEN_PATHS, KeyGuard
from serve.dialects import DIALECTS
from serve.static import StaticFiles
from tests.serve.asgi_driver import CHAT, GENERATE, JSON, Exchange, Served
from tests.serve.scripted_engine import ScriptedEngine, run
from tests.serve.server_process import ROOT, ServerProcess, server_process

KEY, ADMIN = "normal-key", "admin-key"
SENDS_KEY = '-H "Authorization: Bearer $API_KEY"'
FILES = {f"/web/{name}" for name in StaticFiles().sizes} - {"/web/index.html"}
# Every route that there is, a value for each path parameter.
ROUTES = {
    (method, re.sub(r"{[^}]*}", "x", route.path))
    for dialect in DIALECTS
    for route in (*dialect.routes, *dialect.operations)
    for method in route.methods
} | {("GET", path) for path in ("/health", "/metrics", "/", "/openapi.json", *FILES)}
OPEN = {"/", "/health", "/health_generate", "/ready", "/metrics", *FILES}


def bearer(*tokens: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + token.encode()) for token in tokens]


def ask(service: Served, method: str, path: str, *tokens: str) -> Any:
    return service.ask(path, {}, method=method, headers=[*JSON, *bearer(*tokens)])


def unauthorized(key: str) -> dict[str, str]:
    return {"error": f"Unauthorized: this needs the header Authorization: Bearer <{key}>"}


def is_refused(answer: Exchange, *keys: str) -> bool:
    """Whether the answer is a 401; it must say how to send one of `keys`, by default of all."""
    if answer.status != 401:
        return False
    assert answer.json in map(unauthorized, keys or ("API_KEY", "ADMIN_API_KEY"))
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/json"
    assert "x-request-id" in answer.headers
    return True


async def refused_paths(service: Served, *tokens: str) -> set[str]:
    """Of all routes, and of some that are none, which are refused; of one path all methods or none."""
    found: dict[str, set[bool]] = {}
    for method, path in sorted(ROUTES | {("GET", "/nothing"), ("POST", "/web"), ("GET", "/web/nothing.js")}):
        if path not in ADMIN_PATHS or not tokens:  # they would change the server
            found.setdefault(path, set()).add(is_refused(await ask(service, method, path, *tokens)))
    assert all(len(kinds) == 1 for kinds in found.values())
    return {path for path, kinds in found.items() if True in kinds}


def test_without_keys_nothing_is_refused(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        for method, path in ROUTES:
            if path not in ADMIN_PATHS:
                assert not is_refused(await ask(service, method, path, "any"))

    run(tiny_checkpoint, scenario)


def test_with_a_key_everything_but_the_open_paths_needs_it(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        everything = {path for _, path in ROUTES} | {"/nothing", "/web", "/web/nothing.js"}
        assert await refused_paths(service) == everything - OPEN
        assert not engine.seen or all(request.id.startswith("HEALTH_CHECK_") for request in engine.seen)
        assert await refused_paths(service, KEY) == set()

    run(tiny_checkpoint, scenario, API_KEY=KEY)


def test_an_admin_key_alone_closes_the_admin_paths_alone(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        assert {"/flush_cache", "/abort_request", "/pause_generation", "/update_weights_from_disk"} <= ADMIN_PATHS
        assert await refused_paths(service) == ADMIN_PATHS
        assert is_refused(await ask(service, "POST", "/flush_cache", KEY), "ADMIN_API_KEY")
        assert not is_refused(await ask(service, "POST", "/flush_cache", ADMIN))

    run(tiny_checkpoint, scenario, ADMIN_API_KEY=ADMIN)


def test_with_both_keys_each_opens_its_own(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        assert await refused_paths(service) == {path for _, path in ROUTES} - OPEN | {
            "/nothing", "/web", "/web/nothing.js"
        }  # fmt: skip
        for path, right, wrong, name in (
            (GENERATE, KEY, ADMIN, "API_KEY"),
            ("/flush_cache", ADMIN, KEY, "ADMIN_API_KEY"),
        ):
            assert not is_refused(await ask(service, "POST", path, right))
            assert is_refused(await ask(service, "POST", path, wrong), name)

    run(tiny_checkpoint, scenario, API_KEY=KEY, ADMIN_API_KEY=ADMIN)


def test_a_key_alone_opens_the_admin_paths_too(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        assert is_refused(await ask(service, "POST", "/flush_cache"), "API_KEY")
        assert not is_refused(await ask(service, "POST", "/flush_cache", KEY))

    run(tiny_checkpoint, scenario, API_KEY=KEY)


@pytest.mark.parametrize(
    ("lines", "passes"),
    [
        ([b"Bearer normal-key"], True),
        ([b"bearer normal-key"], True),
        ([b"BEARER  normal-key"], True),
        ([b"Bearer normal-key "], True),
        ([], False),
        ([b""], False),
        ([b"Bearer"], False),
        ([b"Bearer "], False),
        ([b"normal-key"], False),
        ([b"Basic normal-key"], False),
        ([b"Bearer normal-ke"], False),
        ([b"Bearer normal-keys"], False),
        ([b"Bearer Normal-Key"], False),
        ([b"Bearer normal-key, Bearer x"], False),
        ([b"Bearer\tnormal-key"], False),
        ([b"Bearer normal-\xc3\xa9"], False),
        ([b"Bearer " + b"x" * 60_000], False),
        ([b"Bearer normal-key", b"Bearer x"], False),
        ([b"Bearer x", b"Bearer normal-key"], False),
    ],
)
def test_forms_of_the_header(tiny_checkpoint: Checkpoint, lines: list[bytes], passes: bool):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        headers = [*JSON, *((b"authorization", line) for line in lines)]
        answer = await service.ask(GENERATE, {"max_tokens": 1}, headers=headers)
        assert is_refused(answer) != passes
        assert len(engine.seen) == passes

    run(tiny_checkpoint, scenario, API_KEY=KEY)


def test_options_needs_no_key_so_that_preflights_pass(tiny_checkpoint: Checkpoint):
    origin = b"https://page.example"
    preflight = [
        (b"origin", origin),
        (b"access-control-request-method", b"POST"),
        (b"access-control-request-headers", b"authorization,content-type"),
    ]

    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        assert (await service.ask(CHAT, method="OPTIONS", headers=preflight)).status == 200
        assert (await service.ask(CHAT, method="OPTIONS", headers=[])).status == 405
        refused = await service.ask(CHAT, {}, headers=[*JSON, (b"origin", origin)])
        assert is_refused(refused)
        assert refused.headers["access-control-allow-origin"] == origin.decode()

    run(tiny_checkpoint, scenario, API_KEY=KEY, CORS_ORIGINS=origin.decode())


def test_a_valid_key_is_not_rate_limited(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        for path, method in ((GENERATE, "POST"), ("/model_info", "GET"), ("/tokenize", "POST")):
            for _ in range(15):
                answer = await ask(service, method, path, KEY)
                assert answer.status in (200, 400)
                assert "ratelimit" not in answer.headers
        statuses = [(await ask(service, "GET", "/")).status for _ in range(5)]  # open, and without a key
        assert statuses == [200, 200, 429, 429, 429]
        assert [(await ask(service, "GET", "/", KEY)).status for _ in range(5)] == [200] * 5

    run(tiny_checkpoint, scenario, API_KEY=KEY, RATE_LIMIT="1/day", RATE_LIMIT_INFO="2/day")


def test_nothing_wraps_the_app_without_keys(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        app: Any = service.app
        while app is not None:
            assert not isinstance(app, KeyGuard)
            app = getattr(app, "app", None)

    run(tiny_checkpoint, scenario)


def test_other_protocols_than_http_are_closed():
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("not to be reached")

    async def send(message: Any) -> None:
        sent.append(message)

    guard: App = KeyGuard(app, api_key=KEY, admin_api_key=None, admin_paths=(), open_paths=OPEN_PATHS)  # pyright: ignore
    asyncio.run(guard({"type": "websocket", "path": "/health", "headers": []}, app, send))  # pyright: ignore
    assert sent == [{"type": "websocket.close", "code": 1008}]


# On the wire: ways to write a path that other servers have taken for another one.


@pytest.fixture(scope="module")
def guarded_server() -> Iterator[ServerProcess]:
    with server_process(ROOT / "tests/golden/names_char", f"--api-key={KEY}", f"--admin-api-key={ADMIN}") as server:
        yield server


def exchange(server: ServerProcess, target: bytes, *, key: str = "", method: bytes = b"POST") -> tuple[int, bytes]:
    """Status and body of the answer to a request with this target, as it is."""
    address = urlsplit(server.url)
    assert address.hostname is not None
    head = method + b" " + target + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    if key:
        head += b"Authorization: Bearer " + key.encode() + b"\r\n"
    with socket.create_connection((address.hostname, address.port or 0), timeout=20) as connection:
        connection.sendall(head + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]


TRICKS = [
    b"/health/../generate", b"/health/..;/generate", b"/health/%2e%2e/generate", b"/health%2f..%2fgenerate",
    b"/health/../microgpt/v1/generate", b"//microgpt/v1/generate", b"/./microgpt/v1/generate", b"//health",
    b"//health/../microgpt/v1/generate", b"/health//microgpt/v1/generate", b"/health;/microgpt/v1/generate",
    b"/health%00/../microgpt/v1/generate", b"/health\\..\\generate", b"/%2fhealth", b"/%6dicrogpt/v1/generate",
    b"/microgpt%2fv1%2fgenerate", b"/microgpt/v1/generate?/health", b"/microgpt/v1/generate#/health",
    b"/generate?path=/health", b"/HEALTH", b"/health/", b"/healthz", b"/health_generate/../generate", b"/ready/x",
    b"/metrics/../flush_cache", b"/web/../flush_cache", b"/web/../../flush_cache", b"/web/%2e%2e/flush_cache",
    b"/web/app.js/../../flush_cache", b"/web/..%2fflush_cache", b"/web/index.html", b"/web/", b"/web",
    b"http://localhost/microgpt/v1/generate", b"http://localhost/health/../generate",
    b"http://health/microgpt/v1/generate", b"http://user@localhost/generate", b"HTTP://localhost/flush_cache",
    b"/\xc0\xafhealth", b"/flush_cache%20", b"/flush%5fcache", b"/flush_cache/", b"*",
]  # fmt: skip


@pytest.mark.parametrize("target", TRICKS)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_no_way_to_write_a_path_goes_past_the_guard(guarded_server: ServerProcess, target: bytes, method: bytes):
    status, body = exchange(guarded_server, target, method=method)
    refused = [json.dumps(unauthorized(key), separators=(",", ":")).encode() for key in ("API_KEY", "ADMIN_API_KEY")]
    assert (status == 401 and body in refused) or status == 400, body
    # With the key of normal routes it is some answer, but never that of an admin's route.
    status, body = exchange(guarded_server, target, key=KEY, method=method)
    assert b"Cache flushed" not in body
    assert status < 500


@pytest.mark.parametrize("target", [b"/health", b"http://localhost/health", b"/%68ealth", b"/health?a=b", b"/metrics"])
def test_open_paths_are_open_on_the_wire(guarded_server: ServerProcess, target: bytes):
    assert exchange(guarded_server, target, method=b"GET")[0] == 200


def test_keys_open_on_the_wire_and_are_not_logged(guarded_server: ServerProcess):
    assert exchange(guarded_server, b"/microgpt/v1/generate", key=KEY)[0] == 200
    assert exchange(guarded_server, b"/flush_cache", key=ADMIN)[0] == 200
    assert exchange(guarded_server, b"/flush_cache", key=KEY)[0] == 401
    assert exchange(guarded_server, b"/model_info", key="wrong-key", method=b"GET")[0] == 401
    text = "".join([*guarded_server.out, *guarded_server.err])
    assert f"curl {guarded_server.url}/microgpt/v1/generate -H 'Content-Type: application/json' {SENDS_KEY} -d " in text
    assert "status=401" in text
    assert not any(key in text for key in (KEY, ADMIN, "wrong-key"))
