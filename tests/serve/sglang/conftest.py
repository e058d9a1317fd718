"""One server for all tests of the package: it is a second's start."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from microgpt import Checkpoint, load_checkpoint
from tests.serve.server_process import server_process


@pytest.fixture(scope="session")
def chat_checkpoint(chat_golden_dir: Path) -> Checkpoint:
    """A BPE chat model of 1024 tokens, context 256."""
    return load_checkpoint(chat_golden_dir)


@pytest.fixture(scope="session")
def server(chat_golden_dir: Path) -> Iterator[httpx.Client]:
    """A client of a real server with that model."""
    with server_process(chat_golden_dir) as process, httpx.Client(base_url=process.url, timeout=60) as client:
        yield client
