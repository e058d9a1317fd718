"""What the page shows and does when the server is starting, busy, shutting down, gone, or asks for a key."""

import json
import re
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Open
from tests.browser.driver import (
    Sent,
    ask,
    eventually,
    finished,
    greedy,
    metric,
    press,
    replies,
    send,
    text_of,
    user_turns,
)
from tests.serve.server_process import ROOT, ServerProcess, server_process

pytestmark = pytest.mark.browser

KEY = "a-very-secret-key"


def test_429_counts_down_and_sends_again_by_itself(open_page: Open):
    with server_process(ROOT / "output", RATE_LIMIT="1/4 seconds", RATE_BURST="1") as server:
        page = greedy(open_page(server, failures=True))
        requests = Sent(page)
        ask(page, "what is 3 + 4?")
        send(page, "what is 2 + 3?")
        notice = page.locator(".notice")
        expect(notice).to_contain_text(re.compile(r"Sending again in [1-4] s"))
        first = notice.inner_text()
        eventually(lambda: notice.count() == 0 or notice.inner_text() != first, page)
        assert text_of(finished(replies(page).last)) == "2 + 3 = 5."
        expect(notice).to_have_count(0)
        assert requests.bodies[-1] == requests.bodies[-2]
        expect(user_turns(page)).to_have_count(2)


def test_a_countdown_can_be_given_up(open_page: Open):
    with server_process(ROOT / "output", RATE_LIMIT="1/60 seconds", RATE_BURST="1") as server:
        page = open_page(server, failures=True)
        requests = Sent(page)
        ask(page, "what is 3 + 4?")
        send(page, "what is 2 + 3?")
        press(page.locator(".notice"), "Cancel")
        eventually(lambda: replies(page).last.get_attribute("data-state") != "streaming", page)
        expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
        assert len(requests.bodies) == 2


@contextmanager
def busy(server: ServerProcess) -> Iterator[None]:
    """Someone else's endless request, which fills a queue of one."""
    body = json.dumps({"messages": [{"role": "user", "content": "go on"}], "stream": True}).encode()
    request = urllib.request.Request(server.url + "/microgpt/v1/chat", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.readline()
        yield


def test_503_says_so_and_trying_again_helps(open_page: Open, slow_model_dir: Path):
    with server_process(slow_model_dir, MAX_QUEUE="1") as server:
        page = open_page(server, failures=True)
        with busy(server):
            send(page, "hello")
            notice = page.locator(".notice")
            expect(notice).to_be_visible()
            assert notice.get_attribute("role") == "alert"
        eventually(lambda: metric(server, "microgpt_running_sequences") == 0)
        if (again := page.get_by_role("button", name="Try again")).count():
            again.click()
        eventually(lambda: len(text_of(replies(page).last)) > 10, page, 30)
        press(page, "Stop")


def test_a_server_that_is_still_loading_is_waited_for(open_page: Open):
    with server_process(ROOT / "output", ready=False) as server:
        server.wait_until_listening()
        page = open_page(server, ready=False, failures=True)
        page.locator("html[data-state=ready]").wait_for(timeout=120_000)
        greedy(page)
        assert text_of(ask(page, "what is 3 + 4?")) == "3 + 4 = 7."


def test_a_server_that_dies_in_mid_reply_and_comes_back(open_page: Open, slow_model_dir: Path):
    """What was said so far is kept and marked, the connection's loss is told, and the conversation goes on after."""
    with server_process(slow_model_dir) as first:
        page = open_page(first, failures=True)
        send(page, "go on")
        reply = replies(page).last
        eventually(lambda: len(text_of(reply)) > 20, page)
        first.process.kill()
        finished(reply, "lost")
        kept = text_of(reply)
        assert len(kept) > 20
        expect(page.locator("#connection")).to_contain_text("Connection lost")
        first.process.wait(10)
        port = first.url.rsplit(":", 1)[1]
    with server_process(slow_model_dir, f"--port={port}") as second:
        assert second.url == first.url
        page.locator("html[data-state=ready]").wait_for(timeout=30_000)
        expect(page.locator("#connection")).to_be_hidden()
        assert text_of(reply) == kept
        send(page, "again")
        eventually(lambda: len(text_of(replies(page).last)) > 20, page)
        press(page, "Stop")
        finished(replies(page).last, "stopped")
        expect(user_turns(page)).to_have_count(2)


def test_a_message_that_could_not_be_sent_can_be_sent_again(open_page: Open):
    page = greedy(open_page(failures=True))
    page.context.set_offline(True)
    send(page, "what is 3 + 4?")
    expect(user_turns(page)).to_have_count(1)
    again = page.get_by_role("button", name="Try again")
    expect(again).to_be_visible()
    page.context.set_offline(False)
    again.click()
    assert text_of(finished(replies(page).last)) == "3 + 4 = 7."
    expect(user_turns(page)).to_have_count(1)


def test_a_server_that_shuts_down_lets_the_reply_end(open_page: Open, slow_model_dir: Path):
    with server_process(slow_model_dir, SHUTDOWN_GRACE_S="1") as server:
        page = open_page(server, failures=True)
        send(page, "go on")
        reply = replies(page).last
        eventually(lambda: len(text_of(reply)) > 20, page)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        eventually(lambda: reply.get_attribute("data-state") in ("lost", "failed"), page, 20)
        stopping.join()
        assert len(text_of(reply)) > 20


# API key


@pytest.fixture(scope="module")
def key_server() -> Iterator[ServerProcess]:
    with server_process(ROOT / "output", f"--api-key={KEY}") as running:
        yield running


def test_a_key_is_asked_for_and_kept_for_the_session_alone(open_page: Open, key_server: ServerProcess):
    page = open_page(key_server, ready=False, failures=True)
    dialog = page.get_by_role("dialog", name="API key")
    dialog.wait_for()
    field = dialog.get_by_label("API key")
    assert field.get_attribute("type") == "password"
    field.fill("wrong")
    press(dialog, "Use key")
    expect(dialog).to_be_visible()
    field.fill(KEY)
    press(dialog, "Use key")
    expect(dialog).to_be_hidden()
    page.locator("html[data-state=ready]").wait_for()
    assert text_of(ask(page, "what is 3 + 4?"))
    assert KEY not in page.evaluate("JSON.stringify(localStorage)")
    assert KEY not in page.evaluate("document.cookie + location.href + document.documentElement.outerHTML")
    assert page.evaluate("sessionStorage.getItem('microgpt.key')") == KEY
    page.reload()
    assert text_of(ask(page, "what is 2 + 3?"))
    with page.expect_download() as download:
        press(page, "Export")
    assert KEY not in download.value.path().read_text("utf-8")


def test_the_copied_request_names_the_key_but_does_not_show_it(open_page: Open, key_server: ServerProcess):
    page = open_page(key_server, ready=False, failures=True)
    page.evaluate("key => sessionStorage.setItem('microgpt.key', key)", KEY)
    page.reload()
    page.locator("html[data-state=ready]").wait_for()
    reply = ask(page, "hello")
    press(reply, "Request")
    recipe = page.locator("#recipe").inner_text()
    assert KEY not in recipe
    assert "authorization: bearer" in recipe.lower()
