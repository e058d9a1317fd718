"""Talking: streaming, stopping, trying again, editing, going on; conversations kept in the browser."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.driver import (
    Sent,
    ask,
    eventually,
    finished,
    greedy,
    metric,
    open_sampling,
    press,
    replies,
    send,
    set_knob,
    text_of,
    user_turns,
)
from tests.serve.server_process import ServerProcess

pytestmark = pytest.mark.browser


def test_the_banner_prints_the_pages_address(open_page: Open, server: ServerProcess):
    (address,) = re.findall(r"^  url +(\S+)$", "".join(server.out), re.MULTILINE)
    page = open_page(address)
    expect(page.get_by_role("heading", name="microgpt", exact=True)).to_be_visible()


def test_a_message_gets_a_reply_with_its_counts(page: Page):
    greedy(page)
    reply = ask(page, "what is 3 + 4?")
    assert text_of(reply) == "3 + 4 = 7."
    assert "what is 3 + 4?" in user_turns(page).first.inner_text()
    stats = reply.locator(".stats").inner_text()
    assert "token" in stats
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_have_value("")
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_be_focused()


def test_a_reply_grows_while_it_streams_and_stop_really_cancels(open_page: Open, slow_server: ServerProcess):
    page = open_page(slow_server)
    send(page, "go on")
    reply = replies(page).last
    eventually(lambda: len(text_of(reply)) > 20, page)
    assert reply.get_attribute("data-state") == "streaming"
    shown = len(text_of(reply))
    eventually(lambda: len(text_of(reply)) > shown + 20, page)
    assert metric(slow_server, "microgpt_running_sequences") == 1
    expect(reply.locator(".stats")).to_contain_text("tokens/s")
    press(page, "Stop")
    finished(reply, "stopped")
    kept = text_of(reply)
    eventually(lambda: metric(slow_server, "microgpt_running_sequences") == 0)
    page.wait_for_timeout(300)
    assert text_of(reply) == kept
    assert len(kept) > shown
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


def test_escape_stops_a_reply(open_page: Open, slow_server: ServerProcess):
    page = open_page(slow_server)
    send(page, "go on")
    eventually(lambda: len(text_of(replies(page).last)) > 5, page)
    page.keyboard.press("Escape")
    finished(replies(page).last, "stopped")
    eventually(lambda: metric(slow_server, "microgpt_running_sequences") == 0)


def test_shift_enter_breaks_the_line_and_enter_sends(page: Page):
    draft = page.get_by_role("textbox", name="Message", exact=True)
    draft.press_sequentially("one")
    draft.press("Shift+Enter")
    draft.press_sequentially("two")
    expect(draft).to_have_value("one\ntwo")
    draft.press("Enter")
    expect(user_turns(page)).to_have_count(1)
    assert "one\ntwo" in user_turns(page).first.inner_text()
    finished(replies(page).last)


def test_an_empty_message_cannot_be_sent(page: Page):
    send_button = page.get_by_role("button", name="Send", exact=True)
    draft = page.get_by_role("textbox", name="Message", exact=True)
    expect(send_button).to_be_disabled()
    for blank in ("   ", "\n\n"):
        draft.fill(blank)
        expect(send_button).to_be_disabled()
        draft.press("Enter")
    expect(user_turns(page)).to_have_count(0)


def test_regenerate_keeps_the_old_version(page: Page):
    reply = ask(page, "tell me about the sea")
    first = text_of(reply)
    set_knob(page, temperature="1.5")
    press(reply, "Regenerate")
    expect(replies(page).last.locator(".position")).to_have_text("2/2")
    second = text_of(finished(replies(page).last))
    press(replies(page).last, "Previous version")
    assert text_of(replies(page).last) == first
    expect(replies(page).last.locator(".position")).to_have_text("1/2")
    press(replies(page).last, "Next version")
    assert text_of(replies(page).last) == second


def test_editing_a_message_branches_and_the_old_branch_stays(page: Page):
    greedy(page)
    ask(page, "what is 3 + 4?")
    ask(page, "thank you")
    press(user_turns(page).first, "Edit")
    box = page.get_by_role("textbox", name="Edit message")
    expect(box).to_have_value("what is 3 + 4?")
    box.fill("what is 2 + 3?")
    press(page, "Send edited")
    expect(replies(page)).to_have_count(1)
    assert text_of(finished(replies(page).last)) == "2 + 3 = 5."
    press(user_turns(page).first, "Previous version")
    expect(replies(page)).to_have_count(2)
    assert text_of(replies(page).first) == "3 + 4 = 7."
    page.reload()
    expect(replies(page)).to_have_count(2)
    expect(user_turns(page).first.locator(".position")).to_have_text("1/2")


def test_an_edit_can_be_given_up(page: Page):
    ask(page, "hello")
    press(user_turns(page).first, "Edit")
    page.get_by_role("textbox", name="Edit message").fill("something else")
    press(page, "Cancel")
    assert "hello" in user_turns(page).first.inner_text()
    expect(user_turns(page).first.locator(".position")).to_be_hidden()


def test_continue_goes_on_where_the_reply_was_cut(page: Page):
    set_knob(page, max_tokens="4")
    reply = ask(page, "who are you?")
    cut = text_of(reply)
    set_knob(page, max_tokens="")
    press(reply, "Continue")
    eventually(lambda: len(text_of(replies(page).last)) > len(cut), page)
    whole = text_of(finished(replies(page).last))
    assert whole.startswith(cut.rstrip())
    # The random numbers depend on seed and position alone, so the parts joined are the reply in one piece.
    press(replies(page).last, "Replay")
    expect(replies(page).last.locator(".replay")).to_have_attribute("data-result", "identical")


def test_conversations_survive_a_reload_and_can_be_switched(page: Page):
    first = text_of(ask(page, "what is 3 + 4?"))
    press(page, "New chat")
    expect(replies(page)).to_have_count(0)
    second = text_of(ask(page, "hello!"))
    page.reload()
    expect(replies(page)).to_have_count(1)
    assert text_of(replies(page).first) == second
    conversations = page.get_by_role("list", name="Conversations").get_by_role("listitem")
    expect(conversations).to_have_count(2)
    page.get_by_role("list", name="Conversations").get_by_role("button", name="what is 3 + 4?", exact=True).click()
    assert text_of(replies(page).first) == first


def test_a_conversation_can_be_renamed(page: Page):
    ask(page, "hello")
    conversations = page.get_by_role("list", name="Conversations")
    press(conversations, "Rename hello")
    title = page.get_by_role("textbox", name="Title")
    title.fill("Greetings")
    title.press("Enter")
    expect(conversations.get_by_role("button", name="Greetings", exact=True)).to_be_visible()
    press(conversations, "Rename Greetings")
    page.get_by_role("textbox", name="Title").fill("Something else")
    page.keyboard.press("Escape")
    page.reload()
    expect(conversations.get_by_role("button", name="Greetings", exact=True)).to_be_visible()


def test_a_deleted_conversation_can_be_brought_back_until_then_it_is_gone(page: Page):
    ask(page, "hello")
    conversations = page.get_by_role("list", name="Conversations")
    press(conversations, "Delete hello")
    expect(conversations.get_by_role("button", name="hello", exact=True)).to_have_count(0)
    press(page, "Undo")
    expect(conversations.get_by_role("button", name="hello", exact=True)).to_be_visible()
    press(conversations, "Delete hello")
    page.reload()
    page.locator("html[data-state=ready]").wait_for()
    expect(conversations.get_by_role("button", name="hello", exact=True)).to_have_count(0)
    assert page.evaluate("Object.keys(localStorage).filter(key => key.startsWith('microgpt.conversation.'))") == []


def test_what_is_here_already_is_not_imported_again(page: Page, tmp_path: Path):
    ask(page, "hello!")
    with page.expect_download() as download:
        press(page, "Export")
    file = tmp_path / "export.json"
    download.value.save_as(file)
    page.locator("#import-file").set_input_files(file)
    expect(page.locator("#import-result")).to_contain_text("skipped 1")
    expect(page.get_by_role("list", name="Conversations").get_by_role("listitem")).to_have_count(1)


def test_each_conversation_keeps_its_draft(page: Page):
    draft = page.get_by_role("textbox", name="Message", exact=True)
    ask(page, "hello!")
    draft.fill("for the first")
    page.get_by_role("tab", name="Generate").click()
    press(page, "New chat")
    expect(draft).to_be_focused()
    expect(draft).to_have_value("")
    draft.fill("for a new one")
    page.reload()
    expect(draft).to_have_value("for the first")
    press(page, "New chat")
    expect(draft).to_have_value("for a new one")


def test_an_early_edit_says_which_version_keeps_the_later_messages(page: Page):
    ask(page, "hello!")
    ask(page, "thank you")
    press(user_turns(page).first, "Edit")
    page.get_by_role("textbox", name="Edit message").fill("what is 3 + 4?")
    press(page, "Send edited")
    expect(user_turns(page).first).to_contain_text("Version 1 keeps 2 later messages.")
    press(user_turns(page).first, "Previous version")
    expect(user_turns(page).first).not_to_contain_text("later messages")


def test_a_message_that_was_cut_says_so(page: Page):
    ask(page, "The cow says moo. " * 200)
    expect(user_turns(page)).to_contain_text("tokens of this message were cut")
    page.reload()
    expect(user_turns(page)).to_contain_text("tokens of this message were cut")


def test_export_and_import_bring_everything_back(page: Page, open_page: Open, tmp_path: Path):
    greedy(page)
    reply = ask(page, "what is 3 + 4?")
    press(reply, "Regenerate")
    expect(replies(page).last.locator(".position")).to_have_text("2/2")
    finished(replies(page).last)
    press(page, "New chat")
    ask(page, "hello!")
    with page.expect_download() as download:
        press(page, "Export")
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    exported = json.loads(file.read_text("utf-8"))
    assert (exported["format"], len(exported["conversations"])) == ("microgpt-conversations", 2)

    other = open_page()
    other.locator("#import-file").set_input_files(file)
    expect(other.locator("#import-result")).to_contain_text("2")
    conversations = other.get_by_role("list", name="Conversations")
    conversations.get_by_role("button", name="what is 3 + 4?", exact=True).click()
    assert text_of(replies(other).last) == "3 + 4 = 7."
    expect(replies(other).last.locator(".position")).to_have_text("2/2")
    with other.expect_download() as download:
        press(other, "Export")
    again = tmp_path / "again.json"
    download.value.save_as(again)
    by_title = {each["title"]: each["nodes"] for each in exported["conversations"]}
    assert {each["title"]: each["nodes"] for each in json.loads(again.read_text("utf-8"))["conversations"]} == by_title


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not JSON",
        b"[]",
        b"null",
        b'{"format": "microgpt-conversations"}',
        b'{"format": "microgpt-conversations", "version": 99, "conversations": []}',
        b'{"format": "microgpt-conversations", "version": 1, "conversations": [{"nodes": [{"parent": 7}]}]}',
        b'{"format": "microgpt-conversations", "version": 1, "conversations": [{"title": 1, "nodes": {}}]}',
        b'{"format": "microgpt-conversations", "version": 1, "conversations": [{"title": "a", "nodes": '
        b'[{"parent": 0, "role": "user", "text": "own parent"}]}]}',
        b'{"format": "microgpt-conversations", "version": 1, "conversations": [{"title": "a", "nodes": '
        b'[{"parent": -1, "role": "system", "text": "x"}]}]}',
        b"\xff\xfe\x00",
    ],
)
def test_a_file_that_is_no_export_is_refused_in_words_and_changes_nothing(page: Page, content: bytes, tmp_path: Path):
    ask(page, "hello")
    file = tmp_path / "file.json"
    file.write_bytes(content)
    before = page.evaluate("JSON.stringify(localStorage)")
    page.locator("#import-file").set_input_files(file)
    expect(page.locator("#import-result")).not_to_be_empty()
    assert page.evaluate("JSON.stringify(localStorage)") == before
    page.reload()
    expect(replies(page)).to_have_count(1)


def test_copy_puts_the_text_on_the_clipboard(page: Page):
    greedy(page)
    reply = ask(page, "what is 3 + 4?")
    press(reply, "Copy")
    eventually(lambda: page.evaluate("navigator.clipboard.readText()") == "3 + 4 = 7.", page)
    press(user_turns(page).first, "Copy")
    eventually(lambda: page.evaluate("navigator.clipboard.readText()") == "what is 3 + 4?", page)


def test_the_model_is_told_the_turns_before(page: Page):
    greedy(page)
    ask(page, "my name is Ada")
    assert text_of(ask(page, "what is my name?")) == "Your name is Ada."


def test_two_tabs_do_not_lose_each_others_conversations(page: Page):
    other = page.context.new_page()
    other.goto(page.url)
    other.locator("html[data-state=ready]").wait_for()
    ask(page, "hello")
    ask(other, "what is 3 + 4?")
    page.reload()
    conversations = page.get_by_role("list", name="Conversations")
    for title in ("hello", "what is 3 + 4?"):
        expect(conversations.get_by_role("button", name=title, exact=True)).to_be_visible()


# Sampling


@pytest.mark.parametrize(
    ("label", "value", "name", "sent"),
    [
        ("temperature", "0.25", "temperature", 0.25),
        ("top_k", "7", "top_k", 7),
        ("top_p", "0.9", "top_p", 0.9),
        ("min_p", "0.05", "min_p", 0.05),
        ("max_tokens", "9", "max_tokens", 9),
    ],
)
def test_sampling_controls_reach_the_request(page: Page, label: str, value: str, name: str, sent: float):
    requests = Sent(page)
    set_knob(page, **{label: value})
    ask(page, "hello")
    assert requests.knob(name) == sent
    page.reload()
    page.locator("html[data-state=ready]").wait_for()
    ask(page, "hello again")
    assert requests.knob(name) == sent, "kept over a reload"


def test_a_locked_seed_gives_the_same_reply_and_an_unlocked_one_another_request(page: Page):
    requests = Sent(page)
    set_knob(page, temperature="1.2", seed="7")
    dialog = open_sampling(page)
    dialog.get_by_role("checkbox", name="Lock seed").check()
    press(dialog, "Close")
    first = text_of(ask(page, "tell me a story"))
    press(page, "New chat")
    assert text_of(ask(page, "tell me a story")) == first
    assert requests.knob("seed") == 7
    open_sampling(page).get_by_role("checkbox", name="Lock seed").uncheck()
    press(dialog, "Close")
    seeds = set()
    for _ in range(3):
        press(page, "New chat")
        ask(page, "tell me a story")
        seeds.add(requests.knob("seed"))
    assert len(seeds) == 3


def test_presets_set_the_controls(page: Page):
    requests = Sent(page)
    seen = {}
    for preset in ("Greedy", "Careful", "Balanced", "Creative", "Wild"):
        dialog = open_sampling(page)
        dialog.get_by_role("radio", name=preset).check()
        press(dialog, "Close")
        press(page, "New chat")
        ask(page, "hello")
        seen[preset] = requests.knob("temperature")
    assert seen["Greedy"] == 0
    assert list(seen.values()) == sorted(seen.values())
    assert len(set(seen.values())) == 5


def test_values_out_of_range_are_told_before_they_are_sent(page: Page):
    requests = Sent(page)
    dialog = open_sampling(page)
    for label, value in (("Top-p", "7"), ("Temperature", "-1"), ("Max tokens", "0")):
        field = dialog.get_by_label(label).first
        field.fill(value)
        assert field.evaluate("field => field.matches(':invalid, [aria-invalid=true]')")
    press(dialog, "Close")
    ask(page, "hello")
    assert 0 < requests.knob("top_p") <= 1
    assert requests.knob("temperature") >= 0
