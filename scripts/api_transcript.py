"""Rewrites the transcript in docs/api.md: starts a server, runs each curl command as printed, records what came.

    python scripts/api_transcript.py            # MODEL_DIR=output, port 8080

Needs curl and a free port 8080, since the commands in the documentation name it.
"""

import os
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "api.md"
BEGIN, END = "<!-- transcript: scripts/api_transcript.py -->", "<!-- end of transcript -->"
URL = "http://127.0.0.1:8080"

JSON = "-H 'content-type: application/json'"
LONG_STORY = (
    """python3 -c 'import json; print(json.dumps({"messages": [{"role": "user", "content": "hello"}, """
    """{"role": "assistant", "content": "Hi! " * 200}, {"role": "user", "content": "what is 2 + 3?"}]}))' """
    f"| curl -s {URL}/microgpt/v1/chat {JSON} -d @-"
)

CALLS: list[tuple[str, str]] = [
    ("Health", f"curl -s {URL}/health"),
    (
        "A reply, with its headers",
        f"""curl -si {URL}/microgpt/v1/chat {JSON} -d '{{"messages": [{{"role": "user", "content": "hello!"}}]}}'""",
    ),
    (
        "A later turn of a conversation",
        f"curl -s {URL}/microgpt/v1/chat {JSON} "
        """-d '{"seed": 7, "messages": [{"role": "user", "content": "my name is Ada"}, """
        """{"role": "assistant", "content": "Nice to meet you, Ada!"}, """
        """{"role": "user", "content": "what is my name?"}]}'""",
    ),
    (
        "Streaming a reply",
        f"curl -sN {URL}/microgpt/v1/chat {JSON} "
        """-d '{"stream": true, "messages": [{"role": "user", "content": "what is 3 + 4?"}]}'""",
    ),
    ("A conversation that outgrows the context", LONG_STORY),
    (
        "Documents sampled from nothing",
        f"""curl -s {URL}/microgpt/v1/generate {JSON} -d '{{"num_samples": 3, "max_tokens": 40}}'""",
    ),
    (
        "Streaming two samples",
        f"curl -sN {URL}/microgpt/v1/generate {JSON} "
        """-d '{"num_samples": 2, "max_tokens": 6, "top_k": 20, "top_p": 0.9, "stream": true}'""",
    ),
    (
        "Log probabilities, a bias and a stop",
        f"curl -s {URL}/microgpt/v1/chat {JSON} "
        """-d '{"messages": [{"role": "user", "content": "what is 3 + 4?"}], "temperature": 0, "stop": ".", """
        """"logit_bias": {"26": -9}, "logprobs": true, "top_logprobs": 2}'""",
    ),
    (
        "400: a bad value",
        f"""curl -si {URL}/microgpt/v1/generate {JSON} -d '{{"temperature": -0.5}}'""",
    ),
    ("400: bad JSON", f"curl -s {URL}/microgpt/v1/generate {JSON} -d '{{\"seed\": 1'"),
    ("422: a wrong type", f"""curl -s {URL}/microgpt/v1/generate {JSON} -d '{{"seed": "one"}}'"""),
    (
        "413: a body over the limit",
        f"head -c 5000000 /dev/zero | curl -s {URL}/microgpt/v1/chat {JSON} --data-binary @-",
    ),
    ("415: no JSON", f"curl -s {URL}/microgpt/v1/chat -d 'hello'"),
    ("404", f"curl -s {URL}/microgpt/v1/sing"),
    ("405", f"curl -si {URL}/microgpt/v1/chat"),
    (
        "429: the eleventh of eleven rapid requests",
        f"for i in $(seq 10); do curl -s -o /dev/null -w '%{{http_code}} ' {URL}/microgpt/v1/generate {JSON} "
        f"-d '{{\"max_tokens\": 1}}'; done; curl -si {URL}/microgpt/v1/generate {JSON} -d '{{\"max_tokens\": 1}}'",
    ),
]


def wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    """Returns once /health says 200. Raises SystemExit if the server ends or takes longer than a minute."""
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit(f"the server ended with code {process.returncode}")
        try:
            with urllib.request.urlopen(f"{URL}/health", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not become ready within 60 s")


def run_calls() -> str:
    """The transcript in Markdown."""
    parts = []
    for title, command in CALLS:
        time.sleep(2.2)  # a rested client: the budget is full again
        out = subprocess.run(["bash", "-c", command], capture_output=True, cwd=ROOT, check=False, timeout=60).stdout
        text = out.decode().replace("\r\n", "\n").rstrip("\n")
        fence = "````" if "```" in text else "```"
        parts.append(f"### {title}\n\n{fence}\n$ {command}\n{text}\n{fence}\n")
    return "\n".join(parts)


def main() -> None:
    environment = {**os.environ, "MODEL_DIR": "output", "PORT": "8080", "HOST": "127.0.0.1", "RATE_LIMIT": "5/second"}
    server = subprocess.Popen(
        [sys.executable, "-m", "serve"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_ready(server)
        transcript = run_calls()
    finally:
        server.terminate()
        server.wait(30)
    document = DOCUMENT.read_text("utf-8")
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if not pattern.search(document):
        raise SystemExit(f"{DOCUMENT} has no place for the transcript: {BEGIN} ... {END}")
    DOCUMENT.write_text(pattern.sub(lambda _: f"{BEGIN}\n\n{transcript}\n{END}", document), "utf-8")
    print(f"{len(CALLS)} calls recorded in {DOCUMENT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
