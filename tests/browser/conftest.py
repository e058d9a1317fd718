"""The chat page in a real browser, against real servers.

Needs the `browser` extra and a Chromium: CHROMIUM names its program, /usr/bin/chromium by default. With SCREENSHOTS
set to a directory, the tests leave pictures of the page's main states there.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.models import long_model, slow_model, speaking_model
from tests.browser.watch import Watch
from tests.serve.server_process import ROOT, ServerProcess, server_process

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

# Without the extra there is nothing to collect: `pytest -m browser` then fails for having run no test.
collect_ignore_glob = [] if importlib.util.find_spec("playwright") else ["test_*.py"]

DESKTOP = {"width": 1280, "height": 800}


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=15_000)  # nothing takes as long, but on a busy machine
    with sync_playwright() as playwright:
        program = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """The default model; no rate limit."""
    with server_process(ROOT / "output") as running:
        yield running


@pytest.fixture(scope="session")
def long_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A random chat model with a context of 4,096 that goes on until it is full: thousands of tokens a second."""
    with server_process(long_model(tmp_path_factory.mktemp("long") / "model")) as running:
        yield running


@pytest.fixture(scope="session")
def slow_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, hundreds of tokens a second: a reply takes long enough to do something meanwhile."""
    return slow_model(tmp_path_factory.mktemp("slow") / "model")


@pytest.fixture(scope="session")
def slow_server(slow_model_dir: Path) -> Iterator[ServerProcess]:
    with server_process(slow_model_dir) as running:
        yield running


@pytest.fixture(scope="session")
def plain_server() -> Iterator[ServerProcess]:
    """A model of names, without chat tokens."""
    with server_process(ROOT / "tests" / "golden" / "names_char") as running:
        yield running


@pytest.fixture(scope="session")
def hostile_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A model that says hostile things."""
    from tests.browser.hostile import HOSTILE

    texts = [text for text in HOSTILE if 0 < len(text) < 300]
    with server_process(speaking_model(tmp_path_factory.mktemp("hostile") / "model", texts)) as running:
        yield running


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: "Browser", server: ServerProcess) -> "Iterator[Open]":
    """Opens the page of a server (the default model's) in a fresh profile and waits until it is ready.

    Whatever the page does that it must not, see Watch, fails the test at its end.
    """
    contexts: list[tuple[BrowserContext, Watch]] = []

    def open_(
        at: ServerProcess | str = server, *, path: str = "/", ready: bool = True, failures: bool = False, **options: Any
    ) -> "Page":
        """failures: whether requests may fail, as the browser says on its console. options: of the context."""
        url = at if isinstance(at, str) else at.url
        context = browser.new_context(
            **{"viewport": DESKTOP, "permissions": ["clipboard-read", "clipboard-write"], **options}
        )
        context.set_default_timeout(15_000)
        watch = Watch(context, url, failures)
        contexts.append((context, watch))
        page = context.new_page()
        page.goto(url + path)
        if ready:
            page.locator("html[data-state=ready]").wait_for()
        return page

    yield open_
    problems = []
    for context, watch in contexts:
        problems += watch.problems()
        context.close()
    assert not problems


@pytest.fixture
def page(open_page: Open) -> "Page":
    """The page of the default model."""
    return open_page()


@pytest.fixture
def picture() -> "Callable[[Page, str], None]":
    """Saves a picture of what is to be seen as `<name>.png`, if pictures are wanted."""
    directory = os.environ.get("SCREENSHOTS")

    def save(page: "Page", name: str) -> None:
        if directory:
            page.screenshot(path=Path(directory) / f"{name}.png", animations="disabled")

    return save
