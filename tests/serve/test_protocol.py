"""What never becomes a request: malformed, oversized and abandoned bytes on a real socket."""

import contextlib
import itertools
import json
import socket
import time
from pathlib import Path

import pytest

from tests.serve.server_process import ServerProcess, server_process
from tests.serve.test_many_connections import resident_kib

GOLDEN_DIR = Path(__file__).parents[1] / "golden"
HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def server():
    with server_process(GOLDEN_DIR / "chat_bpe", "--log-format=json", "--rate-limit=off") as server:
        yield server


def exchange(server: ServerProcess, data: bytes) -> bytes:
    """Everything that comes back until the server closes the connection."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        received = b""
        try:
            connection.sendall(data)
            while chunk := connection.recv(1 << 16):
                received += chunk
        except ConnectionError:
            pass
        return received


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /microgpt/v1/chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /microgpt/v1/chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"GET /health HTTP/1.1\r\nbad header\r\n\r\n",
    ],
)
def test_malformed_requests_are_400_in_json_with_an_id(server: ServerProcess, data: bytes) -> None:
    head, _, body = exchange(server, data).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"content-type: application/json" in head
    assert b"x-request-id: " in head
    assert json.loads(body) == {"error": "malformed HTTP request"}


def test_refusals_are_counted_and_logged(server: ServerProcess) -> None:
    def counted(status: int) -> int:
        answer = exchange(server, b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").decode()
        series = f'microgpt_requests_total{{method="other",route="unmatched",status="{status}"}} '
        return int(float(answer.partition(series)[2].partition("\n")[0] or 0))

    before = counted(400), counted(431)
    ids = set()
    for data in (b"hello\r\n\r\n", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n" + b"x-many: 1\r\n" * 129 + b"\r\n"):
        head = exchange(server, data).partition(b"\r\n\r\n")[0].decode()
        ids.add(head.partition("x-request-id: ")[2].partition("\r\n")[0])
    assert (counted(400), counted(431)) == (before[0] + 2, before[1] + 1)
    lines = {line["id"]: line for line in map(json.loads, server.err) if "id" in line}
    assert sorted(lines[request_id]["status"] for request_id in ids) == [400, 400, 431]


@pytest.mark.parametrize(
    "behind", [b"", b"\x00\x00\x0c\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64\x00\x04\x00\x00\xff\xff"]
)
def test_http_2_preface_is_505_in_json(server: ServerProcess, behind: bytes) -> None:
    head, _, body = exchange(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + behind).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 505 HTTP Version Not Supported")
    assert b"connection: close" in head
    assert json.loads(body) == {"error": "HTTP/2 is not spoken here, only HTTP/1.1"}


@pytest.mark.parametrize("cuts", [(), (30,), (140,), (-5,), (30, -10), tuple(range(1, 190))])
def test_offered_upgrade_to_another_protocol_is_ignored(server: ServerProcess, cuts: tuple[int, ...]) -> None:
    """As curl --http2 and Java's client make it, with a body."""
    body = b'{"num_samples": 3, "max_tokens": 2}'
    request = (
        b"POST /microgpt/v1/generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        b"Content-Length: %d\r\n\r\n" % len(body)
    ) + body
    edges = [0, *(cut % len(request) for cut in cuts), len(request)]
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(2):  # the connection lives on
            for start, end in itertools.pairwise(edges):
                connection.sendall(request[start:end])
                time.sleep(0.002)
            answer = b""
            while b"]}" not in answer:
                received = connection.recv(1 << 16)
                assert received, answer
                answer += received
            assert answer.startswith(b"HTTP/1.1 200")
            assert len(json.loads(answer.partition(b"\r\n\r\n")[2])["samples"]) == 3


def test_upgrade_to_a_web_socket_and_connect_are_refused_like_any_wrong_request(server: ServerProcess) -> None:
    offer = b"connection: close, upgrade\r\nupgrade: websocket\r\nsec-websocket-key: x\r\n\r\n"
    assert exchange(server, b"GET /chat HTTP/1.1\r\nhost: localhost\r\n" + offer).startswith(b"HTTP/1.1 404")
    for target in (b"localhost:80", b"/health"):
        answer = exchange(server, b"CONNECT " + target + b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 4")
    assert exchange(server, HEALTH.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "head",
    [b"x-long: " + b"a" * 200_000 + b"\r\n", b"x-many: 1\r\n" * 129, b"x-long: " + b"a" * 2_000_000],
)
def test_oversized_heads_are_431(server: ServerProcess, head: bytes) -> None:
    answer = exchange(server, b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + head + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""  # a reset may overtake it while we still send
    assert exchange(server, HEALTH.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")


def test_what_is_no_body_is_not_kept_however_much_comes(server: ServerProcess) -> None:
    """Trailers and the marks of chunks, while a request is read and after it was answered."""
    start = (
        b"POST /%b HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    before = resident_kib(server)
    for route in (b"microgpt/v1/generate", b"nowhere"):
        for begun in (b"2\r\n{}\r\n0\r\nx-long: ", b"2\r\n{}\r\n0\r\n", b"2;", b"", b"2\r\n{}\r\n0\r\nx: y\r\nx: "):
            host, port = server.url.removeprefix("http://").split(":")
            with socket.create_connection((host, int(port)), timeout=20) as connection:
                connection.sendall(start % route + begun)
                with contextlib.suppress(ConnectionError):
                    for _ in range(200):
                        connection.sendall(b"0" * 100_000)
                assert resident_kib(server) - before < 10_000
    assert exchange(server, HEALTH.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")).startswith(b"HTTP/1.1 200")


def test_trailers_are_ignored(server: ServerProcess) -> None:
    request = (
        b"POST /microgpt/v1/generate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + b"x: y\r\n" * 200 + b"\r\n"
    )
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        for _ in range(2):
            connection.sendall(request)
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")


def test_garbage_behind_a_request_does_not_disturb_its_answer(server: ServerProcess) -> None:
    body = b'{"num_samples": 3}'
    request = (
        b"POST /microgpt/v1/generate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % len(body)
    )
    head, _, answer = exchange(server, request + body + b"garbage\r\n\r\n").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert len(json.loads(answer)["samples"]) == 3


def test_pipelined_requests_are_dropped_and_the_connection_closed_after_the_first_answer(server: ServerProcess) -> None:
    answer = exchange(server, HEALTH * 4)
    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert b'"status"' in answer


def test_requests_behind_an_abandoned_one_are_dropped_in_silence(server: ServerProcess) -> None:
    body = b'{"num_samples": 50, "temperature": 5, "seed": 9}'
    request = (
        b"POST /microgpt/v1/generate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"x-request-id: dropped\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall((request + body) * 3)
    exchange(server, HEALTH.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
    assert server.stop() == 0
    assert not any("Traceback" in line or "unexpected error" in line for line in server.err)
    assert sum("dropped" in line for line in server.err) <= 1
