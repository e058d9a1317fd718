"""The process: how it starts, how it refuses to, and that a SIGTERM under load loses nothing that was accepted."""

import json
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serve.server_process import ServerProcess, server_process

GOLDEN_DIR = Path(__file__).parents[1] / "golden"
NUM_CLIENTS = 32
SIGTERM_RUNS = int(os.environ.get("SIGTERM_RUNS", "10"))  # 50 for docs/reliability.md


@dataclass
class Outcome:
    """One request as its client saw it; times on the monotonic clock."""

    kind: str  # complete, refused (503), unconnected, unanswered or broken
    started_at: float
    request_id: str
    detail: str = ""


class ClosedLoopClient(threading.Thread):
    """Sends one request after the other on a kept connection, until it is refused; every other pair of clients goes
    on until nobody listens any more."""

    def __init__(self, url: str, index: int):
        super().__init__(daemon=True)
        self.outcomes: list[Outcome] = []
        self._url, self._index, self._stream, self._rng = url, index, bool(index % 2), random.Random(index)
        self._going_on = ("complete", "refused") if index % 4 > 1 else ("complete",)

    def run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30, verify=False) as http:  # spares 32 loads of the CA store
            while not self.outcomes or self.outcomes[-1].kind in self._going_on:
                started_at = time.monotonic()
                request_id = f"client{self._index}-{len(self.outcomes)}-"
                kind, detail = self._request(http, request_id)
                self.outcomes.append(Outcome(kind, started_at, request_id, detail))

    def _request(self, http: httpx.Client, request_id: str) -> tuple[str, str]:
        body = {"messages": [{"role": "user", "content": "Hello, how are you?"}], "stream": self._stream,
                "seed": self._rng.getrandbits(64), "max_tokens": self._rng.randint(1, 60)}  # fmt: skip
        status = 0
        try:
            with http.stream("POST", "/microgpt/v1/chat", json=body, headers={"x-request-id": request_id}) as answer:
                status = answer.status_code
                text = answer.read().decode()
        except httpx.ConnectError as error:
            return "unconnected", str(error)
        except httpx.HTTPError as error:
            return "unanswered" if status == 0 else "broken", f"after status {status}: {error!r}"
        if status == 503:
            whole = answer.json() == {"error": "server is shutting down"} and answer.headers["connection"] == "close"
            return "refused" if whole else "broken", text
        if status != 200:
            return "broken", f"{status} {text}"
        if self._stream:
            whole = text.endswith("data: [DONE]\n\n") and '"finish_reason"' in text and '"error"' not in text
        else:
            whole = json.loads(text)["role"] == "assistant"
        return "complete" if whole else "broken", text[-200:]


@pytest.mark.parametrize("run", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in range(1, SIGTERM_RUNS))])
def test_sigterm_under_load_loses_no_accepted_request(run: int):
    with server_process(GOLDEN_DIR / "chat_bpe", "--log-format=json") as server:
        clients = [ClosedLoopClient(server.url, index) for index in range(NUM_CLIENTS)]
        for client in clients:
            client.start()
        deadline = time.monotonic() + 20
        while sum(len(client.outcomes) for client in clients) < 4 * NUM_CLIENTS and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(random.Random(run).uniform(0, 0.2))
        killed_at = time.monotonic()
        assert server.stop() == 0
        took_s = time.monotonic() - killed_at
        for client in clients:
            client.join(10)
            assert not client.is_alive()
    outcomes = [outcome for client in clients for outcome in client.outcomes]
    assert all(outcome.kind == "complete" or outcome.started_at > killed_at - 0.1 for outcome in outcomes)
    counts = Counter(outcome.kind for outcome in outcomes)
    print(f"\nSIGTERM: exit 0 after {took_s:.1f} s; " + ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())))
    log = "".join(server.err)
    # A connection can close while a request is on its way to it (RFC 9112, 9.3.1): that one was never accepted, and the
    # log of accepted requests does not know it.
    lost = [outcome for outcome in outcomes if outcome.kind == "unanswered" and outcome.request_id in log]
    assert not lost
    assert counts["unanswered"] <= NUM_CLIENTS / 4
    assert sum(outcome.request_id in log for outcome in outcomes) >= 4 * NUM_CLIENTS
    assert counts["broken"] == 0, [outcome for outcome in outcomes if outcome.kind == "broken"]
    assert counts["complete"] >= 4 * NUM_CLIENTS
    assert counts["refused"] + counts["unconnected"] + counts["unanswered"] >= NUM_CLIENTS
    assert took_s < 10
    assert "Traceback" not in "".join(server.err)


def connect(server: ServerProcess) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)))


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def server():
    with server_process(GOLDEN_DIR / "chat_bpe", "--log-format=json", "--request-timeout-s=20") as server:
        yield server


def test_banner_has_a_line_to_paste(server: ServerProcess):
    banner = "".join(server.out)
    assert "245,760 parameters, vocabulary 1,024, context 256, chat" in banner
    assert "cpu in float32" in banner
    assert f"curl {server.url}/microgpt/v1/chat" in banner


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_server_on_all_addresses_prints_one_that_works_and_warns_that_it_has_no_key(host: str):
    if host == "::" and not has_ipv6():
        pytest.skip("no IPv6 here")
    with server_process(GOLDEN_DIR / "names_char", f"--host={host}") as server:
        assert httpx.get(server.url + "/health").status_code == 200
        assert urlsplit(server.url).hostname in ("127.0.0.1", "::1")
        assert "".join(server.out).count(f"{server.url} and all other addresses of this machine\n") == 2
        assert "".join(server.err).count("no key is set: whoever reaches this server may use all of it") == 1


def test_the_printed_address_is_one_that_allowed_hosts_lets_through():
    with server_process(GOLDEN_DIR / "names_char", "--host=0.0.0.0", "--allowed-hosts=localhost, a.b") as server:
        assert httpx.get(server.url + "/health").status_code == 200
        assert urlsplit(server.url).hostname == "localhost"


def test_a_server_for_this_machine_alone_does_not_warn(server: ServerProcess):
    assert "key" not in "".join(server.err)
    assert "other addresses" not in "".join(server.out)


def test_client_that_closes_its_connection_frees_the_engine(server: ServerProcess):
    body = json.dumps({"num_samples": 50, "max_tokens": 256, "seed": 2**63, "temperature": 5}).encode()
    for stream in (b"", b'{"stream": true, '):
        payload = stream + body[1:] if stream else body
        with connect(server) as connection:
            connection.sendall(
                b"POST /microgpt/v1/generate HTTP/1.1\r\nhost: localhost\r\nx-request-id: gone-%d\r\n" % len(stream)
                + b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(payload)
                + payload
            )
            if stream:
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
            else:
                time.sleep(0.05)
    deadline = time.monotonic() + 10
    while sum('"note": "client disconnected"' in line for line in server.err) < 2:
        assert time.monotonic() < deadline, server.err
        time.sleep(0.01)
    tokens = [json.loads(line)["tokens"] for line in server.err if "client disconnected" in line]
    assert all(count < 50 * 256 for count in tokens)


def test_large_body_on_a_socket_is_refused_and_the_connection_lives(server: ServerProcess):
    with httpx.Client(base_url=server.url) as http:
        headers = {"content-type": "application/json"}
        assert http.post("/microgpt/v1/chat", content=b" " * (4 * 2**20 + 1), headers=headers).status_code == 413
        chunks = (b" " * 2**16 for _ in range(65))
        assert http.post("/microgpt/v1/chat", content=chunks, headers=headers).status_code == 413
        assert http.get("/health").status_code == 200


def test_port_in_use_exits_with_1_and_says_so(server: ServerProcess):
    port = server.url.rsplit(":", 1)[1]
    with server_process(GOLDEN_DIR / "names_char", f"--port={port}", ready=False) as second:
        assert second.process.wait(60) == 1
        time.sleep(0.1)
        assert "".join(second.err) == f"cannot listen on HOST 127.0.0.1, --port {port}: Address already in use\n"


def test_engine_that_cannot_be_built_exits_with_1(server: ServerProcess):
    with server_process(GOLDEN_DIR / "names_char", "--device=cuda", ready=False, CUDA_VISIBLE_DEVICES="") as broken:
        assert broken.process.wait(60) == 1
        time.sleep(0.1)
        assert "cannot build the engine: --device must be auto or cpu on this machine, got cuda" in "".join(broken.err)
        assert "Traceback" not in "".join(broken.err)


def test_sigterm_while_loading_exits_with_0():
    with server_process(GOLDEN_DIR / "names_char", ready=False) as server:
        server.wait_until_listening()
        assert httpx.get(server.url + "/health").status_code == 503
        assert server.stop() == 0


def test_second_signal_ends_at_once():
    with (
        server_process(GOLDEN_DIR / "chat_bpe", "--shutdown-grace-s=60", "--request-timeout-s=60") as server,
        connect(server) as connection,
    ):
        # A request whose body never comes: accepted, and never done.
        connection.sendall(
            b"POST /microgpt/v1/chat HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: 10\r\n\r\n"
        )
        time.sleep(0.2)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert server.process.poll() is None
        assert httpx.get(server.url + "/health").json()["status"] == "draining"
        started_at = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(5) == 128 + signal.SIGTERM
        assert time.monotonic() - started_at < 2


def test_grace_is_bounded_and_what_it_cuts_off_gets_an_error():
    # torch is the slower backend: the work below takes it seconds
    with server_process(GOLDEN_DIR / "chat_bpe", "--shutdown-grace-s=0.3", "--backend=torch") as server:
        answers = []
        body = {"num_samples": 50, "max_tokens": 256, "temperature": 5, "seed": 2**63}

        def ask() -> None:
            answers.append(httpx.post(server.url + "/microgpt/v1/generate", json=body, timeout=30))

        threads = [threading.Thread(target=ask) for _ in range(4)]  # seconds of work
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        started_at = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started_at < 5
        for thread in threads:
            thread.join(10)
        assert len(answers) == 4
        assert {answer.status_code for answer in answers} <= {200, 503}
        cut = [answer.json() for answer in answers if answer.status_code == 503]
        assert cut
        assert all(body == {"error": "the server is shutting down"} for body in cut)
