"""Hostile texts stay texts, wherever they come from: what Watch notes fails each of these tests at its end."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.driver import Sent, ended, finished, press, replies, send, set_knob, text_of, user_turns
from tests.browser.hostile import HOSTILE
from tests.serve.server_process import ServerProcess

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

assert len(set(HOSTILE)) >= 200
NUM_PARTS = 8
PARTS = [HOSTILE[i::NUM_PARTS] for i in range(NUM_PARTS)]


def shown(text: str) -> str:
    """What a text box and the page make of line breaks."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize("part", range(NUM_PARTS))
def test_as_user_text_with_everything_that_is_made_of_it(page: Page, part: int):
    """Turn, title, tokens of the draft, context meter, request dialog, reply."""
    requests = Sent(page)
    set_knob(page, max_tokens="3")
    for text in PARTS[part]:
        if not text.strip():
            continue
        press(page, "New chat")
        send(page, text)
        expect(replies(page)).to_have_count(1)
        reply = ended(replies(page).last)
        shown_text = user_turns(page).first.evaluate("turn => turn.textContent")
        assert shown(text).strip()[:500] in shown_text, text
        press(reply, "Request")
        page.locator("#recipe").wait_for()
        press(page.get_by_role("dialog", name="Request"), "Close")
        page.get_by_role("textbox", name="Message", exact=True).fill("")
    assert len(requests.bodies) >= len([text for text in PARTS[part] if text.strip()])


@pytest.mark.parametrize("part", range(NUM_PARTS))
def test_in_imported_files_as_titles_and_texts(page: Page, part: int, tmp_path: Path):
    conversations = [
        {
            "title": text,
            "created": 1,
            "updated": 1,
            "active": 0,
            "nodes": [
                {"parent": -1, "role": "user", "text": text, "active": 0, "at": 1},
                {"parent": 0, "role": "assistant", "text": text, "active": 0, "at": 1},
            ],
        }
        for text in PARTS[part]
    ]
    file = tmp_path / "import.json"
    file.write_text(json.dumps({"format": "microgpt-conversations", "version": 1, "conversations": conversations}))
    page.locator("#import-file").set_input_files(file)
    expect(page.locator("#import-result")).to_contain_text(str(len(conversations)))
    items = page.get_by_role("list", name="Conversations").get_by_role("listitem")
    expect(items).to_have_count(len(conversations))
    for i in range(items.count()):
        items.nth(i).get_by_role("button").first.click()
        expect(replies(page)).to_have_count(1)
    page.reload()
    expect(items).to_have_count(len(conversations))


@pytest.mark.parametrize("field", ["title", "created", "updated", "active", "text", "role", "parent", "at", "reply"])
def test_in_every_field_of_an_imported_file(page: Page, field: str, tmp_path: Path):
    values = [
        *HOSTILE[::9],
        None,
        -1,
        1e308,
        [],
        {},
        {"__proto__": {"polluted": 1}},
        True,
        [["<script>owned(1)</script>"]],
    ]
    conversations = []
    for value in values:
        node = {"parent": -1, "role": "user", "text": "hello", "active": 0, "at": 1}
        conversation = {"title": "t", "created": 1, "updated": 1, "active": 0, "nodes": [node]}
        (conversation if field in conversation else node)[field] = value
        conversations.append(conversation)
    file = tmp_path / "import.json"
    for each in [*([one] for one in conversations), conversations]:
        content = {
            "format": "microgpt-conversations",
            "version": 1,
            "conversations": each,
            "__proto__": {"polluted": 1},
        }
        file.write_text(json.dumps(content))
        page.locator("#import-file").set_input_files(file)
        expect(page.locator("#import-result")).not_to_be_empty()
    page.reload()
    page.locator("html[data-state=ready]").wait_for()
    assert page.evaluate("({}).polluted") is None
    send(page, "hello")
    finished(replies(page).last)


@pytest.mark.parametrize("stored", ["<script>owned(1)</script>", "{", "null", "[]", '{"nodes":[null]}', "7", ""])
def test_damaged_storage_does_not_stop_the_page(open_page: Open, stored: str):
    page = open_page()
    keys = ["microgpt.conversation.x", "microgpt.conversation.", "microgpt.sampling", "microgpt.view", "microgpt.theme"]
    page.evaluate("([keys, value]) => keys.forEach(key => localStorage.setItem(key, value))", [keys, stored])
    page.reload()
    page.locator("html[data-state=ready]").wait_for()
    send(page, "hello")
    finished(replies(page).last)


def test_as_model_output_in_every_view(open_page: Open, hostile_server: ServerProcess):
    page = open_page(hostile_server)
    set_knob(page, temperature="1", max_tokens="200")
    for view in ("plain", "Probabilities", "Tokens"):
        if view != "plain":
            press(page, view)
        for _ in range(3):
            press(page, "New chat")
            send(page, "speak")
            reply = finished(replies(page).last)
            assert "owned(" in text_of(reply)
    press(replies(page).last, "Copy")
    replies(page).last.locator(".token").first.focus()
    for _ in range(20):
        page.wait_for_timeout(100)  # scrolling, which closes the box, has come to its end
        page.keyboard.press("Enter")
        page.locator("#alternatives").wait_for()
        page.keyboard.press("Escape")
        page.keyboard.press("ArrowRight")


def test_as_samples(open_page: Open, hostile_server: ServerProcess):
    page = open_page(hostile_server, path="/#generate")
    page.get_by_role("spinbutton", name="Samples").fill("20")
    press(page, "Generate")
    expect(page.locator(".sample[data-state=done]")).to_have_count(20, timeout=30_000)
    assert "owned(" in page.locator("#grid").inner_text()


@pytest.mark.parametrize("part", range(NUM_PARTS))
def test_copied_requests_carry_them_to_the_shell_and_python_unharmed(page: Page, part: int, tmp_path: Path):
    """A shell and Python read the copied text as the page wrote it: nothing in it runs, nothing is lost."""
    requests = Sent(page)
    set_knob(page, max_tokens="2")
    for text in PARTS[part][::3]:
        if not text.strip() or len(text) > 2000:
            continue
        press(page, "New chat")
        send(page, text)
        reply = ended(replies(page).last)
        press(reply, "Request")
        recipe = page.locator("#recipe")
        recipe.wait_for()
        command = recipe.text_content() or ""
        words = (
            subprocess.run(
                ["bash", "-c", 'curl() { for word in "$@"; do printf "%s\\0" "$word"; done; }\n' + command],
                capture_output=True,
                cwd=tmp_path,
                check=True,
            )
            .stdout.decode()
            .split("\0")
        )
        assert {**requests.bodies[-1], "stream": True} in [{**_json(word), "stream": True} for word in words], text
        press(page.get_by_role("dialog", name="Request"), "Close")
    assert list(tmp_path.iterdir()) == []


def _json(word: str) -> dict[str, Any]:
    """The object that a word of the command is, if it is one."""
    try:
        found = json.loads(word)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}
