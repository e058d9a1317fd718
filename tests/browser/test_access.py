"""For everyone: by keyboard alone, on a phone, magnified, dark, without motion, and by axe's rules in all states.

Pictures of the main states are taken on the way.
"""

import re
from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.driver import (
    ask,
    eventually,
    finished,
    greedy,
    open_sampling,
    press,
    replies,
    send,
    text_of,
    user_turns,
)
from tests.serve.server_process import ROOT, ServerProcess, server_process

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 375, "height": 812}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}
NARROW = {"viewport": {"width": 320, "height": 640}}
DARK = {"color_scheme": "dark"}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": DARK,
    "phone": PHONE,
    "phone-dark": {**PHONE, **DARK},
    "high-contrast": {"forced_colors": "active"},
}
Picture = Callable[[Page, str], None]


def check(page: Page) -> None:
    """Axe finds nothing, and nothing is wider than the window."""
    page.evaluate("Promise.all(document.getAnimations().map(animation => animation.finished.catch(() => null)))")
    found = Axe().run(page)
    problems = [
        f"{rule['id']} ({rule['impact']}): {node['target']} {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for rule in found.response["violations"]
        for node in rule["nodes"]
    ]
    assert not problems, "\n".join(problems)
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{wide} px wider than the window"


def talk(page: Page) -> None:
    ask(page, "my name is Ada")
    ask(page, "what is my name?")
    ask(page, "tell me about the sea")


@pytest.mark.parametrize("look", LOOKS)
class TestStates:
    """One state each, in every look."""

    def test_empty(self, open_page: Open, picture: Picture, look: str):
        page = open_page(**LOOKS[look])
        check(page)
        picture(page, f"empty-{look}")

    def test_conversation(self, open_page: Open, picture: Picture, look: str):
        page = open_page(**LOOKS[look])
        talk(page)
        page.get_by_role("textbox", name="Message", exact=True).fill("thank you")
        check(page)
        picture(page, f"conversation-{look}")
        press(replies(page).last, "Regenerate")
        finished(replies(page).last)
        check(page)
        press(user_turns(page).last, "Edit")
        check(page)

    def test_conversation_list(self, open_page: Open, picture: Picture, look: str):
        page = open_page(**LOOKS[look])
        ask(page, "hello")
        opener = page.get_by_role("button", name="Conversations", exact=True)
        if opener.is_visible():
            opener.click()
        conversations = page.get_by_role("list", name="Conversations")
        expect(conversations).to_be_visible()
        check(page)
        picture(page, f"conversations-{look}")
        press(conversations, "Rename hello")
        check(page)
        page.keyboard.press("Escape")
        press(conversations, "Delete hello")
        check(page)

    def test_streaming(self, open_page: Open, slow_server: ServerProcess, picture: Picture, look: str):
        page = open_page(slow_server, **LOOKS[look])
        send(page, "go on")
        eventually(lambda: len(text_of(replies(page).last)) > 20, page)
        check(page)
        picture(page, f"streaming-{look}")
        press(page, "Stop")

    def test_sampling_dialog(self, open_page: Open, picture: Picture, look: str):
        page = open_page(**LOOKS[look])
        expect(open_sampling(page)).to_be_visible()
        check(page)
        picture(page, f"sampling-{look}")

    def test_probabilities(self, open_page: Open, picture: Picture, look: str):
        page = open_page(**LOOKS[look])
        press(page, "Probabilities")
        reply = ask(page, "tell me about the sea")
        tokens = reply.locator(".token")
        tokens.first.wait_for()
        check(page)
        tokens.nth(min(4, tokens.count() - 1)).click()
        page.locator("#alternatives .alternative").nth(9).wait_for()
        check(page)
        picture(page, f"probabilities-{look}")

    def test_request_dialog(self, open_page: Open, picture: Picture, look: str):
        page = open_page(**LOOKS[look])
        reply = ask(page, "hello")
        press(reply, "Request")
        check(page)
        picture(page, f"request-{look}")
        page.keyboard.press("Escape")
        press(reply, "Replay")
        expect(reply.locator(".replay")).to_have_attribute("data-result", "identical")
        check(page)
        picture(page, f"replay-{look}")

    def test_overflow_and_lens(self, open_page: Open, picture: Picture, look: str):
        page = open_page(**LOOKS[look])
        press(page, "Tokens")
        greedy(page)
        for text in ("please tell me a long story about the sea and the moon", "thank you", "what is 3 + 4?"):
            ask(page, text)
        page.get_by_role("textbox", name="Message", exact=True).fill("and then what happened to them all? " * 12)
        eventually(lambda: page.locator(".turn.unfit").count() > 0, page)
        check(page)
        line = page.get_by_text("The model no longer sees").last
        line.evaluate("line => scrollTo(0, scrollY + line.getBoundingClientRect().top - 200)")
        picture(page, f"overflow-{look}")

    def test_samples(self, open_page: Open, picture: Picture, look: str):
        page = open_page(path="/#generate", **LOOKS[look])
        page.get_by_role("spinbutton", name="Samples").fill("12")
        press(page, "Generate")
        expect(page.locator(".sample[data-state=done]")).to_have_count(12, timeout=30_000)
        check(page)
        picture(page, f"samples-{look}")

    def test_lost_connection(self, open_page: Open, picture: Picture, look: str):
        page = open_page(failures=True, **LOOKS[look])
        ask(page, "hello")
        page.context.set_offline(True)
        send(page, "are you there?")
        expect(page.get_by_role("button", name="Try again")).to_be_visible()
        expect(page.locator("#connection")).to_be_visible(timeout=20_000)
        check(page)
        picture(page, f"lost-{look}")

    def test_too_many_requests(self, open_page: Open, picture: Picture, look: str):
        with server_process(ROOT / "output", RATE_LIMIT="1/60 seconds", RATE_BURST="1") as server:
            page = open_page(server, failures=True, **LOOKS[look])
            ask(page, "hello")
            send(page, "hello again")
            expect(page.locator(".notice")).to_contain_text("Sending again")
            check(page)
            picture(page, f"countdown-{look}")

    def test_key_dialog(self, open_page: Open, picture: Picture, look: str):
        with server_process(ROOT / "output", "--api-key=secret") as server:
            page = open_page(server, ready=False, failures=True, **LOOKS[look])
            dialog = page.get_by_role("dialog", name="API key")
            dialog.wait_for()
            check(page)
            picture(page, f"key-{look}")


# Keyboard


def tab_to(page: Page, name: str | re.Pattern[str], role: str = "button", backwards: bool = False) -> None:
    """Presses Tab until the focus is on the control with this role and name; the focus must be visible all the way."""
    target = page.get_by_role(role, name=name, exact=True)  # pyright: ignore[reportArgumentType]
    for _ in range(80):
        if target.count() and target.last.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Shift+Tab" if backwards else "Tab")
        outline = page.evaluate(
            """() => {
              const element = document.activeElement;
              if (element === document.body) return true;
              const style = getComputedStyle(element), box = element.getBoundingClientRect();
              const ring = (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1)
                || style.boxShadow !== "none";
              return ring && box.width > 0 && box.height > 0 ? true : element.outerHTML.slice(0, 200);
            }"""
        )
        assert outline is True, f"no visible focus: {outline}"
    raise AssertionError(f"no {role} {name!r} on the way of Tab")


def test_everything_by_keyboard_alone(page: Page):
    """Ask, look at probabilities, branch, regenerate, edit, open a dialog, replay, rename, delete, undo."""
    keys = page.keyboard
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_be_focused()
    keys.type("tell me about the sea")
    keys.press("Enter")
    finished(replies(page).last)
    tab_to(page, "Probabilities")
    keys.press("Enter")
    replies(page).last.locator(".token").first.wait_for()
    for _ in range(80):
        if page.evaluate("document.activeElement.classList.contains('token')"):
            break
        keys.press("Shift+Tab")
    keys.press("ArrowRight")
    keys.press("Enter")
    while page.evaluate("document.activeElement.ariaDisabled === 'true'"):  # the reply's own token
        keys.press("ArrowDown")
    keys.press("Enter")
    expect(replies(page).last.locator(".position")).to_have_text("2/2")
    finished(replies(page).last)
    tab_to(page, "Regenerate")
    keys.press("Enter")
    expect(replies(page).last.locator(".position")).to_have_text("3/3")
    finished(replies(page).last)
    tab_to(page, "Edit", backwards=True)
    keys.press("Enter")
    expect(page.get_by_role("textbox", name="Edit message")).to_be_focused()
    keys.press("Control+A")
    keys.type("what is 3 + 4?")
    tab_to(page, "Send edited")
    keys.press("Enter")
    expect(user_turns(page).first.locator(".position")).to_have_text("2/2")
    finished(replies(page).last)
    tab_to(page, re.compile("^Sampling"))
    keys.press("Enter")
    dialog = page.get_by_role("dialog", name="Sampling")
    expect(dialog).to_be_visible()
    for _ in range(12):  # the focus stays inside
        keys.press("Tab")
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    keys.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("button", name=re.compile("^Sampling"))).to_be_focused()
    tab_to(page, "Replay", backwards=True)
    keys.press("Enter")
    expect(page.locator(".replay").last).to_have_attribute("data-result", "identical")
    tab_to(page, "Rename tell me about the sea", backwards=True)
    keys.press("Enter")
    keys.press("Control+A")
    keys.type("Waves")
    keys.press("Enter")
    tab_to(page, "Delete Waves")
    keys.press("Enter")
    tab_to(page, "Undo")
    keys.press("Enter")
    tab_to(page, "Waves", backwards=True)
    tab_to(page, "Chat", role="tab")
    keys.press("ArrowRight")
    expect(page.get_by_role("tabpanel", name="Generate")).to_be_visible()


def test_focus_returns_to_where_it_was_after_a_dialog(page: Page):
    reply = ask(page, "hello")
    button = reply.get_by_role("button", name="Request", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Request")).to_be_visible()
    page.keyboard.press("Escape")
    expect(button).to_be_focused()


# Size


@pytest.mark.parametrize(
    "options",
    [
        PHONE,
        NARROW,
        {"viewport": {"width": 640, "height": 400}},
        {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2},
    ],
    ids=["phone", "320-px", "200-percent", "200-percent-sharp"],
)
def test_small_windows_show_everything(open_page: Open, options: dict[str, Any], picture: Picture):
    """A window of 1280 by 800 at 200 % is one of 640 by 400."""
    page = open_page(**options)
    reply = ask(page, "tell me about the sea")
    check(page)
    width, height = options["viewport"]["width"], options["viewport"]["height"]
    for control in (
        page.get_by_role("textbox", name="Message", exact=True),
        page.get_by_role("button", name="Send", exact=True),
    ):
        box = control.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height
    transcript = page.locator("#transcript").bounding_box()
    assert transcript is not None
    assert transcript["height"] > height / 4, "room to read in"
    press(reply, "Request")
    check(page)
    page.keyboard.press("Escape")
    open_sampling(page)
    check(page)
    picture(page, f"small-{width}")


def test_targets_on_a_phone_are_large_enough(open_page: Open):
    """WCAG 2.2, 2.5.8: 24 by 24 px; tokens in a text are excepted."""
    page = open_page(**PHONE)
    ask(page, "hello")
    small = page.get_by_role("button").evaluate_all(
        """buttons => buttons.filter(button => button.checkVisibility() && !button.closest(".reply-text"))
          .map(button => [button.ariaLabel || button.textContent, button.getBoundingClientRect()])
          .filter(([, box]) => box.width < 24 || box.height < 24)
          .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""
    )
    assert small == []


# Colours and motion


def background(page: Page) -> int:
    """How light the page is, 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    parts = re.findall(r"[\d.]+", colour)[:3]
    return round(sum(map(float, parts)) / 3)


def test_dark_and_light_follow_the_system_until_switched(open_page: Open):
    page = open_page(color_scheme="light")
    assert background(page) > 200
    page.emulate_media(color_scheme="dark")
    eventually(lambda: background(page) < 60, page)
    switch = page.get_by_role("button", name=re.compile("^Theme"))
    seen = {}
    for _ in range(3):
        switch.click()
        theme = page.locator("html").get_attribute("data-theme")
        page.wait_for_timeout(300)
        seen[theme] = background(page)
    assert set(seen) == {"system", "light", "dark"}
    assert seen["light"] > 200
    assert max(seen["dark"], seen["system"]) < 60
    while page.locator("html").get_attribute("data-theme") != "light":
        switch.click()
    page.reload()
    page.locator("html[data-state=ready]").wait_for()
    assert background(page) > 200, "kept over a reload"


def test_nothing_moves_where_motion_is_not_wanted(open_page: Open, slow_server: ServerProcess):
    page = open_page(slow_server, reduced_motion="reduce")
    send(page, "go on")
    eventually(lambda: len(text_of(replies(page).last)) > 5, page)
    moving = page.evaluate(
        """() => document.getAnimations().filter(animation => animation.playState === "running"
          && animation.effect.getComputedTiming().duration > 20)
          .map(animation => animation.animationName || animation.transitionProperty)"""
    )
    assert moving == []
    assert page.evaluate("getComputedStyle(document.querySelector('#transcript')).scrollBehavior") != "smooth"
    press(page, "Stop")


def test_one_message_per_finished_reply_is_announced(page: Page):
    page.evaluate(
        """() => {
          window.heard = [];
          new MutationObserver(() => {
            const text = document.querySelector("#announcer").textContent.trim();
            if (text) window.heard.push(text);
          }).observe(document.querySelector("#announcer"), {childList: true, characterData: true, subtree: true});
        }"""
    )
    ask(page, "what is 3 + 4?")
    ask(page, "hello")
    eventually(lambda: len(page.evaluate("heard")) >= 2, page)
    page.wait_for_timeout(300)
    heard = page.evaluate("heard")
    assert len(heard) == 2
    assert "3 + 4 = 7." in heard[0]
    live = page.locator("[aria-live=polite], [aria-live=assertive], [role=status], [role=alert], [role=log]")
    assert not live.evaluate_all(
        "regions => regions.filter(region => region.ariaLive !== 'off' && region.querySelector('.reply-text')).length"
    ), "text that streams must not be read out piece by piece"
