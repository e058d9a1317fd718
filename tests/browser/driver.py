"""What a user does on the page, in words; and what its server says meanwhile."""

import json
import re
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page, Request, expect

from tests.serve.server_process import ServerProcess

GENERATING = ("/microgpt/v1/chat", "/microgpt/v1/generate", "/generate")


def send(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Message", exact=True).fill(text)
    page.get_by_role("button", name="Send", exact=True).click()


def ask(page: Page, text: str) -> Locator:
    """Sends a message; the finished reply."""
    before = replies(page).count()
    send(page, text)
    expect(replies(page)).to_have_count(before + 1)
    return finished(replies(page).last)


def replies(page: Page) -> Locator:
    return page.locator(".turn.assistant")


def user_turns(page: Page) -> Locator:
    return page.locator(".turn.user")


def finished(reply: Locator, state: str = "done") -> Locator:
    expect(reply).to_have_attribute("data-state", state, timeout=30_000)
    return reply


def ended(reply: Locator) -> Locator:
    """The reply, however it ended."""
    expect(reply).to_have_attribute("data-state", re.compile("done|stopped|lost|failed"), timeout=30_000)
    return reply


def text_of(reply: Locator) -> str:
    return reply.locator(".reply-text").inner_text()


def press(within: Page | Locator, name: str) -> None:
    within.get_by_role("button", name=name, exact=True).click()


def open_sampling(page: Page) -> Locator:
    """The dialog, whose button also says what is set."""
    page.get_by_role("button", name=re.compile("^Sampling")).click()
    return page.get_by_role("dialog", name="Sampling")


def set_knob(page: Page, **values: str) -> None:
    """Opens the sampling dialog, fills its inputs by their labels (_ for a blank or -), and closes it."""
    dialog = open_sampling(page)
    for label, value in values.items():
        field = dialog.get_by_label(re.compile(label.replace("_", "[ -]"), re.IGNORECASE)).first
        field.fill(value)
    press(dialog, "Close")


def greedy(page: Page) -> Page:
    """The page, whose replies are now always the likeliest ones: its seeds are random unless locked."""
    dialog = open_sampling(page)
    dialog.get_by_role("radio", name="Greedy").check()
    press(dialog, "Close")
    return page


class Sent:
    """The bodies of generating requests that a page sends from now on."""

    def __init__(self, page: Page):
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        path = "/" + request.url.split("/", 3)[3]
        body: Any = request.post_data_json if request.method == "POST" and path in GENERATING else None
        if body is not None and not body.get("return_logprob"):  # that scores a reply which is there
            self.paths.append(path)
            self.bodies.append(body)

    def knob(self, name: str) -> Any:
        """A sampling parameter of the last request, whichever API it went to."""
        body = self.bodies[-1]
        names = {"max_tokens": ("max_tokens", "max_new_tokens"), "seed": ("seed", "sampling_seed")}.get(name, (name,))
        knobs = body.get("sampling_params", body)
        return next((knobs[each] for each in names if each in knobs), None)


def metric(server: ServerProcess, name: str) -> float:
    with urllib.request.urlopen(server.url + "/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if re.match(rf"{name}(\{{| )", line))


def eventually(condition: Callable[[], bool], page: Page | None = None, timeout_s: float = 10) -> None:
    """Returns once `condition` holds; with a page, its events are taken in meanwhile."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"never: {condition}"
        if page is not None:
            page.wait_for_timeout(20)
        else:
            time.sleep(0.02)


def post(server: ServerProcess, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(server.url + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
