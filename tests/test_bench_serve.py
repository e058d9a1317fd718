"""bench_serve: its client reads answers however they are cut, and counts what the server counted; it ends whole."""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SCRIPTS = ROOT / "scripts"
GOLDEN_DIR = ROOT / "tests" / "golden"
HEAD = b"HTTP/1.1 200 OK\r\nx-request-id: a0\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


ANSWERS = {
    False: HEAD + b"Content-Length: 18\r\n\r\n" + b'{"samples":["ab"]}',
    True: HEAD
    + b"transfer-encoding: chunked\r\n\r\n"
    + b"".join(chunk(b'data: {"index":0,"delta":"%d"}\n\n' % i) for i in range(3))
    + chunk(b'data: {"samples":["012"],"usage":{"prompt_tokens":1,"completion_tokens":4}}\n\ndata: [DONE]\n\n')
    + chunk(b""),
}
BUSY = b'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 14\r\n\r\n{"error":"no"}'


class CuttingServer:
    """Answers every third request with 503, the others well, in pieces cut at random; checks what it is sent."""

    def __init__(self, stream: bool, seed: int):
        self.answered = {"200": 0, "503": 0}
        self._stream = stream
        self._random = random.Random(seed)
        self._seeds: set[int] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):  # the client has what it wanted
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            if head.startswith("GET /metrics"):
                tokens = f"microgpt_generated_tokens_total {4.0 * self.answered['200']}\n"
                writer.write(f"HTTP/1.1 200 OK\r\n\r\n{tokens}".encode())
                break
            length = int(head.lower().partition("content-length: ")[2].partition("\r")[0])
            seed = json.loads(await reader.readexactly(length))["seed"]
            assert seed not in self._seeds
            self._seeds.add(seed)
            is_busy = len(self._seeds) % 3 == 0
            answer = BUSY if is_busy else ANSWERS[self._stream]
            self.answered["503" if is_busy else "200"] += 1
            while answer:
                size = self._random.choice((1, 2, 5, 40, 1000))
                writer.write(answer[:size])
                answer = answer[size:]
                await asyncio.sleep(0)
                await writer.drain()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_client_counts_what_a_server_that_cuts_its_answers_has_sent(stream: bool, seed: int):
    async def main() -> tuple[dict[str, Any], dict[str, int]]:
        cutting = CuttingServer(stream, seed)
        server = await asyncio.start_server(cutting.serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        task = {
            "host": host, "port": port, "pid": os.getpid(), "path": "/", "body": {"stream": stream, "max_tokens": 4},
            "connections": 3, "warm_up_s": 0.01, "seconds": 0.5,
        }  # fmt: skip
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.load_client", json.dumps(task), cwd=SCRIPTS, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await client.communicate()
        server.close()
        await server.wait_closed()
        return json.loads(said), cutting.answered

    found, answered = asyncio.run(main())
    # Beside what ended in the window the server counts what the warm-up had, and what was on its way at the end.
    assert 0 < found["requests"] <= answered["200"]
    assert 0 < found["errors"]["503"] <= answered["503"]
    assert set(found["errors"]) == {"503"}
    assert abs(found["tokens"] - 4 * found["requests"]) <= 4 * 3 * 2
    assert found["total_s"] == sorted(found["total_s"])
    assert found["total_s"][0] > 0
    assert found["elapsed_s"] > 0.4
    for name in ("first_token_s", "gap_s", "per_token_s"):
        assert len(found[name]) == (3 if stream else 0)
    if stream:
        assert found["first_token_s"][0] <= found["total_s"][0]


def members(group: int) -> list[str]:
    """The command lines of the processes of a group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append((stat.parent / "cmdline").read_text().replace("\0", " "))
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at /proc")
@pytest.mark.parametrize("moment", ["while its server starts", "while it measures"])
def test_sigterm_ends_the_benchmark_and_its_servers(moment: str):
    command = [sys.executable, str(SCRIPTS / "bench_serve.py"), f"--model-dir={GOLDEN_DIR / 'names_char'}"]
    benchmark = subprocess.Popen(
        [*command, "--concurrency=1,2", "--modes=buffered", "--seconds=1", "--warm-up=0.1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        assert benchmark.stderr is not None
        if moment == "while it measures":
            while "1 clients" not in (line := benchmark.stderr.readline()):
                assert line, "it ended too early"
        while not any("-m serve" in command for command in members(benchmark.pid)):
            assert benchmark.poll() is None
            time.sleep(0.02)
        benchmark.terminate()
        assert benchmark.wait(30) == 128 + signal.SIGTERM
        assert members(benchmark.pid) == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(benchmark.pid, signal.SIGKILL)
        benchmark.communicate()


@pytest.mark.slow
def test_the_whole_benchmark_on_a_small_model(tmp_path: Path):
    def run(*flags: str) -> tuple[str, dict[str, Any]]:
        command = [sys.executable, str(SCRIPTS / "bench_serve.py"), "--seconds=0.5", "--warm-up=0.2", *flags]
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*command, f"--json={tmp_path / 'out.json'}"], capture_output=True, text=True, env=environ, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, json.loads((tmp_path / "out.json").read_text())

    table, data = run(f"--model-dir={GOLDEN_DIR / 'names_char'}", "--concurrency=1,4", "--tokens=5")
    assert "| names_char |" in table
    assert [(cell["concurrency"], cell["mode"]) for cell in data["cells"]] == [
        (1, "buffered"), (1, "streaming"), (4, "buffered"), (4, "streaming"),
    ]  # fmt: skip
    for cell in data["cells"]:
        window = cell["window"]
        assert window["errors"] == {}
        assert window["tokens"] / (window["requests"] + cell["concurrency"]) >= 1
        assert window["tokens"] <= 5 * (window["requests"] + 4 * cell["concurrency"])  # cut by the ends
        assert cell["engine"] > 0
    table, data = run("--cpu-per-request", "--concurrency=2", "--repeats=1")
    assert "bare FastAPI" in table
    assert [window["server"] for window in data["windows"]] == ["microgpt", "bare FastAPI", "with its log"]
    assert all(window["requests"] > 0 for window in data["windows"])
