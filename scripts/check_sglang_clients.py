"""SGLang's own programs, unmodified, against our server: its frontend language, its benchmark, its router.

Makes an environment of their own on first use (some minutes, about 2 GB with a CPU build of torch), starts servers on
the model in output/ and prints a line a check; the exit code is 1 if one fails.

  python scripts/check_sglang_clients.py                     # everything, about two minutes
  python scripts/check_sglang_clients.py --only frontend
  python scripts/check_sglang_clients.py --venv ~/sglang --only router

frontend: gen, select, fork, stream, regex, roles and run_batch through RuntimeEndpoint, without and with an API key.
bench: sglang.bench_serving, backend sglang, streaming and not. router: sglang-router in front of two workers: generate,
stream, a hundred conversations whose turns should meet the same worker's prefix cache, then one worker is killed
under load: whatever had not begun to answer must still be answered, by the other one.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
ROOT = SCRIPTS.parent
sys.path[:0] = [str(SCRIPTS)]

import httpx  # noqa: E402
from sglang_clients import environment  # noqa: E402

PARTS = ("frontend", "bench", "router")
START_S = 180.0
_failed = 0


def check(name: str, holds: bool, seen: object = "") -> None:
    """Print one line, and remember a failure."""
    global _failed
    _failed += not holds
    shown = f": {seen}" if seen != "" else ""
    print(f"{'ok    ' if holds else 'FAILED'} {name}{shown}", flush=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose output goes to `log`; ended at the end."""
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


@contextlib.contextmanager
def worker(log: Path, *flags: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Our server: its address, once it is ready, and the process."""
    command = [sys.executable, "-m", "serve", "--port=0", "--rate-limit=off", "--rate-limit-info=off", *flags]
    with process(command, log) as child:
        deadline = time.monotonic() + START_S
        while not (found := re.search(r"  url +(http://\S+)", log.read_text())):
            if child.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server did not start: {log.read_text()[-1000:]}")
            time.sleep(0.1)
        yield found[1], child


def run(name: str, command: list[str], log: Path, limit_s: float = 300) -> str:
    """What a program says; its lines of checks are printed, and its failure counted."""
    with log.open("wb") as output:
        code = subprocess.run(command, stdout=output, stderr=output, timeout=limit_s, check=False).returncode
    text = log.read_text(errors="replace")
    for line in text.splitlines():
        if line.startswith(("ok    ", "FAILED")):
            print(line, flush=True)
    check(f"{name}: exit code {code}", code == 0, "" if code == 0 else text[-2000:])
    return text


def check_frontend(python: Path, logs: Path) -> None:
    program = [str(python), "-W", "ignore", str(SCRIPTS / "sglang_clients" / "frontend.py")]
    with worker(logs / "worker.log") as (url, _):
        run("frontend", [*program, url], logs / "frontend.log")
    with worker(logs / "worker.log", "--api-key=a-secret") as (url, _):
        run("frontend with an API key", [*program, url, "a-secret"], logs / "frontend.log")
        answer = httpx.post(f"{url}/generate", json={"text": "a"})
        check("without the key", answer.status_code == 401, answer.text)


def check_bench(python: Path, logs: Path) -> None:
    """bench_serving, which wants a tokenizer in Hugging Face's form: ours is, but for the file that says so."""
    tokenizer = logs / "tokenizer"
    tokenizer.mkdir()
    shutil.copy(ROOT / "output" / "tokenizer.json", tokenizer)
    (tokenizer / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with worker(logs / "worker.log") as (url, _):
        for flags in ([], ["--disable-stream"], ["--return-logprob"], ["--max-concurrency", "8"]):
            result = logs / f"bench{len(list(logs.glob('bench*.jsonl')))}.jsonl"
            command = [
                str(python), "-W", "ignore", "-m", "sglang.bench_serving", "--backend", "sglang", "--base-url", url,
                "--dataset-name", "random-ids", "--tokenizer", str(tokenizer), "--num-prompts", "200",
                "--random-input-len", "100", "--random-output-len", "100", "--disable-tqdm",
                "--output-file", str(result), *flags,
            ]  # fmt: skip
            name = " ".join(["bench_serving", *flags])
            run(name, command, logs / "bench.log")
            if result.exists():
                found = json.loads(result.read_text().splitlines()[-1])
                seen = (
                    f"{found['completed']} requests, {found['output_throughput']:,.0f} output tokens/s, "
                    f"first token {found['median_ttft_ms']:.1f} ms (median)"
                )
                check(f"{name}: all requests completed", found["completed"] == 200, seen)


def check_router(python: Path, logs: Path) -> None:
    port = free_port()
    with worker(logs / "a.log") as (a, first), worker(logs / "b.log") as (b, _):
        command = [
            str(python), "-m", "sglang_router.launch_router", "--worker-urls", a, b, "--policy", "cache_aware",
            "--host", "127.0.0.1", "--port", str(port), "--health-check-interval-secs", "2",
            "--prometheus-port", str(free_port()),
        ]  # fmt: skip
        with process(command, logs / "router.log"):
            asyncio.run(_use_router(f"http://127.0.0.1:{port}", a, b, first))


async def _use_router(router: str, a: str, b: str, first: subprocess.Popen[bytes]) -> None:
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(timeout=30, limits=limits) as client:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.HTTPError, ValueError):
                workers = (await client.get(f"{router}/workers")).json()["workers"]
                if [each["is_healthy"] for each in workers] == [True, True]:
                    break
            if time.monotonic() > deadline:
                check("router: knows both workers", False)
                return
            await asyncio.sleep(0.3)
        check("router: knows both workers", True)
        body = {"text": "<user>what is 3 + 4?<end_turn><assistant>", "sampling_params": {"temperature": 0}}
        answer = await client.post(f"{router}/generate", json=body)
        check("router: generate", answer.status_code == 200 and answer.json()["text"] == "3 + 4 = 7.", answer.text[:80])
        texts, done = [], False
        async with client.stream("POST", f"{router}/generate", json={**body, "stream": True}) as stream:
            async for line in stream.aiter_lines():
                if line == "data: [DONE]":
                    done = True
                elif line.startswith("data: "):
                    texts.append(json.loads(line[6:])["text"])
        check("router: stream", done and texts[-1] == "3 + 4 = 7.", texts)
        await _check_cache(client, router)
        load = {a: 0, b: 0}
        for url in load:
            load[url] = _requests(await client.get(f"{url}/metrics"))
        check("router: both workers had requests", min(load.values()) > 0, list(load.values()))
        await _kill_one(client, router, first)


def _requests(answer: httpx.Response) -> int:
    """How many /generate requests a worker has answered."""
    found = re.findall(r'microgpt_requests_total\{[^}]*route="/generate"[^}]*\} ([0-9.e+]+)', answer.text)
    return int(sum(map(float, found)))


async def _check_cache(client: httpx.AsyncClient, router: str) -> None:
    """Conversations of four turns: from the second turn on, most of a prompt was in the cache of its worker."""
    cached = total = 0

    async def converse(i: int) -> None:
        nonlocal cached, total
        text = f"<user>my name is number {i * 7919}, and I am here to talk about many things<end_turn><assistant>"
        for turn in range(4):
            body = {"text": text, "sampling_params": {"temperature": 0, "max_new_tokens": 30}}
            answer = (await client.post(f"{router}/generate", json=body)).json()
            if turn:
                cached += answer["meta_info"]["cached_tokens"]
                total += answer["meta_info"]["prompt_tokens"]
            text += f"{answer['text']}<end_turn><user>what is {turn} + {i % 7}?<end_turn><assistant>"

    for start in range(0, 100, 10):
        await asyncio.gather(*(converse(i) for i in range(start, start + 10)))
    check("router: later turns meet their prefix cache", cached > total / 2, f"{cached / total:.0%} of prompt tokens")


async def _kill_one(client: httpx.AsyncClient, router: str, first: subprocess.Popen[bytes]) -> None:
    """400 requests, half of them streams, while one worker is killed by SIGKILL. They begin unalike, or the router
    would send them all to one worker."""
    ends: Counter[str] = Counter()
    started = 0

    async def ask(i: int) -> None:
        nonlocal started
        body = {
            "text": f"{i * 7919 % 1000} of {i * 104729 % 1000} <user>tell me a story<end_turn><assistant>",
            "sampling_params": {"max_new_tokens": 300, "ignore_eos": True},
            "stream": i % 2 == 0,
        }
        started += 1
        begun = False
        try:
            async with client.stream("POST", f"{router}/generate", json=body) as answer:
                text = ""
                async for piece in answer.aiter_text():
                    begun = True
                    text += piece
            whole = "[DONE]" in text and '"finish_reason":{"type":"length"' in text if i % 2 == 0 else True
            if answer.status_code == 200 and whole and "error" not in text[:20]:
                ends["answered"] += 1
            elif answer.status_code == 200:
                ends["a stream was cut"] += 1
            else:
                ends[f"status {answer.status_code}"] += 1
        except httpx.HTTPError as error:
            ends["a stream was cut" if begun else type(error).__name__] += 1

    async def all_of_them() -> None:
        gate = asyncio.Semaphore(32)

        async def gated(i: int) -> None:
            async with gate:
                await ask(i)

        await asyncio.gather(*(gated(i) for i in range(400)))

    load = asyncio.create_task(all_of_them())
    while started < 150:
        await asyncio.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    await load
    cut = ends["a stream was cut"]
    held = ends["answered"] + cut == 400 and 0 < cut <= 32
    check("router: one of two workers killed under load; only streams that had begun are cut", held, dict(ends))
    answer = await client.post(f"{router}/generate", json={"text": "a", "sampling_params": {"max_new_tokens": 1}})
    check("router: goes on with one worker", answer.status_code == 200)


def main(argv: list[str] | None = None) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv-sglang", help="SGLang's environment")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--logs", type=Path, help="where logs go (default: a directory that is removed)")
    arguments = parser.parse_args(argv)
    parts = arguments.only.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"--only must be some of {','.join(PARTS)}, got {arguments.only!r}")
    os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here needs a hub, so nothing shall wait for one
    python = environment.ensure(arguments.venv)
    with tempfile.TemporaryDirectory() as name:
        logs = arguments.logs or Path(name)
        logs.mkdir(parents=True, exist_ok=True)
        for part in parts:
            {"frontend": check_frontend, "bench": check_bench, "router": check_router}[part](python, logs)
    print("all checks passed" if not _failed else f"{_failed} checks failed")
    return int(_failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
