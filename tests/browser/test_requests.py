"""Every reply remembers its exact request: copied commands run for real and say the same, replays are identical."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.driver import ask, eventually, greedy, press, replies, set_knob, text_of
from tests.serve.server_process import ServerProcess

pytestmark = pytest.mark.browser


def recipe(page: Page, kind: str) -> str:
    """The command for the last reply, by way of the clipboard."""
    press(replies(page).last, "Request")
    dialog = page.get_by_role("dialog", name="Request")
    dialog.get_by_role("tab", name=kind).or_(dialog.get_by_role("button", name=kind, exact=True)).first.click()
    press(dialog, "Copy request")
    shown = page.locator("#recipe").text_content()
    eventually(lambda: page.evaluate("navigator.clipboard.readText()") == shown, page)
    press(dialog, "Close")
    return shown or ""


def said(output: str) -> str:
    """The text of an answer, whole or streamed, in either API's form."""
    if output.startswith("data: "):
        events = [json.loads(line[6:]) for line in output.splitlines() if line.startswith("data: {")]
        answer = events[-1]
    else:
        answer = json.loads(output) if output.lstrip().startswith(("{", "[")) else {"text": output}
    answer = answer[0] if isinstance(answer, list) else answer
    return (answer.get("content") or answer.get("text") or answer["samples"][0]).strip()


TEXTS = ["tell me about the sea", 'it\'s "quoted" $HOME `x` \\ 🙂\nsecond line!']


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("view", ["plain", "Probabilities"])
def test_the_copied_curl_says_the_same(page: Page, text: str, view: str):
    set_knob(page, temperature="1.1")
    if view != "plain":
        press(page, view)
    reply = text_of(ask(page, text)).strip()
    done = subprocess.run(["bash", "-c", recipe(page, "curl")], capture_output=True, text=True, check=True, timeout=60)
    assert said(done.stdout) == reply


@pytest.mark.parametrize("text", TEXTS)
def test_the_copied_python_says_the_same(page: Page, text: str, tmp_path: Path):
    set_knob(page, temperature="1.1")
    reply = text_of(ask(page, text)).strip()
    script = tmp_path / "again.py"
    script.write_text(recipe(page, "Python"), "utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)
    assert reply in done.stdout or said(done.stdout) == reply


def test_a_replay_proves_itself_identical(page: Page):
    set_knob(page, temperature="1.3")
    reply = ask(page, "tell me a story")
    press(reply, "Replay")
    result = reply.locator(".replay")
    expect(result).to_have_attribute("data-result", "identical")
    expect(result).to_contain_text("dentical")
    page.reload()
    press(replies(page).last, "Replay")
    expect(replies(page).last.locator(".replay")).to_have_attribute("data-result", "identical")


def test_a_replay_that_differs_says_so(page: Page):
    """The check is real: a remembered reply that is not what the request gives is found out."""
    greedy(page)
    ask(page, "what is 3 + 4?")
    changed = page.evaluate(
        """() => {
          let changed = 0;
          for (const key of Object.keys(localStorage)) {
            const value = localStorage.getItem(key);
            if (value.includes("3 + 4 = 7.")) {
              localStorage.setItem(key, value.replaceAll("3 + 4 = 7.", "3 + 4 = 8."));
              changed++;
            }
          }
          return changed;
        }"""
    )
    assert changed == 1
    page.reload()
    press(replies(page).last, "Replay")
    expect(replies(page).last.locator(".replay")).to_have_attribute("data-result", "different")


def test_stopped_replies_replay_as_far_as_they_went(open_page: Open, slow_server: ServerProcess):
    page = open_page(slow_server)
    page.get_by_role("textbox", name="Message", exact=True).fill("go on")
    press(page, "Send")
    eventually(lambda: len(text_of(replies(page).last)) > 30, page)
    press(page, "Stop")
    reply = replies(page).last
    expect(reply).to_have_attribute("data-state", "stopped")
    press(reply, "Replay")
    expect(reply.locator(".replay")).to_have_attribute("data-result", "identical", timeout=60_000)


def test_samples_of_a_grid_replay_one_by_one(page: Page):
    page.get_by_role("tab", name="Generate").click()
    page.get_by_role("spinbutton", name="Samples").fill("4")
    press(page, "Generate")
    expect(page.locator(".sample[data-state=done]")).to_have_count(4, timeout=30_000)
    for i in range(4):
        sample = page.locator(".sample").nth(i)
        press(sample, "Replay")
        expect(sample.locator(".replay")).to_have_attribute("data-result", "identical")
