"""What only this page has: probabilities and branching, the context meter, the tokenizer lens, the server strip."""

import math
import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Open
from tests.browser.driver import (
    Sent,
    ask,
    eventually,
    finished,
    greedy,
    open_sampling,
    post,
    press,
    replies,
    send,
    set_knob,
    text_of,
)
from tests.serve.server_process import ServerProcess

pytestmark = pytest.mark.browser

ROLES = ("user", "assistant", "user", "assistant", "user", "assistant", "user")
LONG = "please tell me a long story about the sea and the moon"


def with_probabilities(page: Page, text: str = "tell me about the sea") -> Locator:
    """A reply in the probability view, its tokens the likeliest ones."""
    greedy(page)
    press(page, "Probabilities")
    reply = ask(page, text)
    reply.locator(".token").first.wait_for()
    return reply


# Probability view


def test_tokens_joined_are_the_reply_and_tinted_in_more_ways_than_colour(page: Page):
    reply = with_probabilities(page)
    tokens = reply.locator(".token")
    assert tokens.count() > 3
    plain = "".join(token.text_content() or "" for token in tokens.all())
    press(page, "Probabilities")
    assert plain.strip() == text_of(reply).strip()
    press(page, "Probabilities")
    levels = tokens.evaluate_all("tokens => [...new Set(tokens.map(token => token.dataset.level))]")
    assert all(level in "01234" for level in levels)
    # Without colour, levels still differ: by lines, weights or marks.
    looks = tokens.evaluate_all(
        """tokens => Object.fromEntries(tokens.map(token => {
          const style = getComputedStyle(token);
          return [token.dataset.level, [style.textDecorationStyle, style.textDecorationLine, style.borderBottomStyle,
            style.borderBottomWidth, style.textDecorationThickness, style.fontWeight, style.fontStyle].join()];
        }))"""
    )
    assert len(set(looks.values())) == len(looks), looks


def test_pointing_with_the_mouse_shows_ten_alternatives_that_the_server_confirms(page: Page, server: ServerProcess):
    requests = Sent(page)
    reply = with_probabilities(page)
    reply.locator(".token").nth(2).hover()
    popover = page.locator("#alternatives")
    popover.wait_for()
    shown = popover.locator(".alternative")
    # One more if the reply's own token is not among the ten likeliest.
    is_listed = popover.locator(".alternative[aria-current]").count() == 1 and shown.count() == 10
    expect(shown).to_have_count(10 if is_listed else 11)
    expect(popover.locator(".rank")).to_contain_text(re.compile(r"\d"))
    entropy = float(re.search(r"[\d.]+", popover.locator(".entropy").inner_text())[0])  # pyright: ignore
    assert 0 <= entropy <= math.log2(512)
    percents = [float(re.search(r"([\d.]+) ?%", text)[1]) for text in shown.all_inner_texts()]  # pyright: ignore
    assert percents == sorted(percents, reverse=True)
    assert 0 < sum(percents) <= 100.5
    # The log probabilities of a greedy sample are the model's own, which the page shows at any temperature.
    body = {**requests.bodies[-1], "stream": False, "return_logprob": True, "top_logprobs_num": 10}
    top = post(server, "/generate", body)["meta_info"]["output_top_logprobs"][2]
    for (logprob, _, _), percent in zip(top, percents[:10], strict=True):
        assert percent == pytest.approx(100 * math.exp(logprob), abs=0.06)


@pytest.mark.parametrize("size", [(1280, 800), (1280, 480), (375, 667)])
def test_the_alternatives_never_cover_their_token(open_page: Open, size: tuple[int, int]):
    page = open_page(viewport={"width": size[0], "height": size[1]})
    reply = with_probabilities(page)
    tokens = reply.locator(".token")
    for token in (tokens.first, tokens.last):
        token.click()
        popover = page.locator("#alternatives")
        expect(popover).to_be_visible()
        at, box = token.bounding_box(), popover.bounding_box()
        assert at is not None
        assert box is not None
        assert box["y"] >= at["y"] + at["height"] or box["y"] + box["height"] <= at["y"]
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= size[1]
        page.keyboard.press("Escape")


def test_touch_shows_the_alternatives_too(open_page: Open):
    page = open_page(has_touch=True, viewport={"width": 375, "height": 812}, is_mobile=True)
    reply = with_probabilities(page)
    reply.locator(".token").nth(1).tap()
    popover = page.locator("#alternatives")
    expect(popover).to_be_visible()
    box = popover.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 375
    assert box["y"] + box["height"] <= 812
    popover.locator(".alternative").nth(1).tap()
    expect(replies(page).last.locator(".position")).to_have_text("2/2")


def test_the_keyboard_walks_tokens_and_alternatives(page: Page):
    reply = with_probabilities(page)
    tokens = reply.locator(".token")
    tokens.first.focus()
    page.keyboard.press("ArrowRight")
    expect(tokens.nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(tokens.last).to_be_focused()
    page.keyboard.press("Home")
    expect(tokens.first).to_be_focused()
    assert tokens.evaluate_all("tokens => tokens.filter(token => token.tabIndex === 0).length") == 1
    page.keyboard.press("Enter")
    alternatives = page.locator("#alternatives .alternative")
    expect(alternatives.first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(alternatives.nth(1)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#alternatives")).to_be_hidden()
    expect(tokens.first).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(replies(page).last.locator(".position")).to_have_text("2/2")
    finished(replies(page).last)


def test_an_alternative_branches_by_token_ids(page: Page):
    requests = Sent(page)
    reply = with_probabilities(page)
    first = text_of(reply)
    tokens = reply.locator(".token").evaluate_all("tokens => tokens.map(token => token.textContent)")
    reply.locator(".token").nth(3).click()
    chosen = page.locator("#alternatives .alternative").nth(1)
    chosen.click()
    branch = replies(page).last
    expect(branch.locator(".position")).to_have_text("2/2")
    finished(branch).locator(".token").first.wait_for()
    pieces = branch.locator(".token").evaluate_all("tokens => tokens.map(token => token.textContent)")
    assert pieces[:3] == tokens[:3]
    assert pieces[3] != tokens[3]
    ids = requests.bodies[-1]["input_ids"]
    assert all(isinstance(each, int) for each in ids)
    assert len(ids) >= 4
    press(branch, "Previous version")
    assert text_of(replies(page).last) == first


# Context meter


def numbers(page: Page) -> dict[str, int]:
    return page.locator("#meter-text").evaluate(
        "element => Object.fromEntries(Object.entries(element.dataset).map(([name, value]) => [name, Number(value)]))"
    )


def test_the_meter_counts_every_cell_of_the_context(page: Page, server: ServerProcess):
    greedy(page)
    ask(page, "what is 3 + 4?")
    eventually(lambda: numbers(page)["prompt"] > 0, page)
    found = numbers(page)
    assert found["prompt"] + found["reply"] + found["free"] == 512
    assert found["dropped"] == 0
    page.get_by_role("textbox", name="Message", exact=True).fill("and what is 2 + 3? " * 3)
    eventually(lambda: numbers(page)["prompt"] > found["prompt"] + 10, page)
    messages = [
        {"role": "user", "content": "what is 3 + 4?"},
        {"role": "assistant", "content": "3 + 4 = 7."},
        {"role": "user", "content": ("and what is 2 + 3? " * 3).strip()},
    ]
    expected = {post(server, "/tokenize", {"messages": messages})["count"]}
    messages[-1]["content"] = "and what is 2 + 3? " * 3
    expected.add(post(server, "/tokenize", {"messages": messages})["count"])
    eventually(lambda: numbers(page)["prompt"] in expected, page)


def test_turns_that_will_not_fit_are_marked_before_they_are_dropped(page: Page, server: ServerProcess):
    said = []
    greedy(page)
    for text in (LONG, "thank you", "what is 3 + 4?"):
        said += [text, text_of(ask(page, text)).strip()]
    expect(page.locator(".turn.unfit")).to_have_count(0)
    draft = "and then what happened to them all? " * 12
    page.get_by_role("textbox", name="Message", exact=True).fill(draft)
    unfit = page.locator(".turn.unfit")
    eventually(lambda: unfit.count() > 0, page)
    expect(unfit.first).to_contain_text("The model no longer sees")
    promised = numbers(page)["dropped"]
    messages = [{"role": role, "content": text} for role, text in zip(ROLES, [*said, draft], strict=True)]
    answer = post(server, "/microgpt/v1/chat", {"messages": messages, "max_tokens": 1})
    assert promised == answer["tokens_dropped"] > 0
    page.get_by_role("textbox", name="Message", exact=True).fill("")
    expect(unfit).to_have_count(0)


def test_a_reply_that_fills_the_context_ends_and_says_so(page: Page, server: ServerProcess):
    """The default model, at a temperature at which it hardly ever ends, with a seed for which it does not."""
    prompt = post(server, "/tokenize", {"messages": [{"role": "user", "content": LONG * 15}]})["tokens"]
    room = 512 - len(prompt)
    params = {"temperature": 5, "max_new_tokens": room}
    seed = next(
        seed
        for seed in range(100)
        if len(
            post(server, "/generate", {"input_ids": prompt, "sampling_params": {**params, "sampling_seed": seed}})[
                "output_ids"
            ]
        )
        == room
    )
    set_knob(page, temperature="5", seed=str(seed))
    dialog = open_sampling(page)
    dialog.get_by_role("checkbox", name="Lock seed").check()
    press(dialog, "Close")
    reply = ask(page, LONG * 15)
    found = numbers(page)
    assert (found["prompt"], found["reply"], found["free"]) == (len(prompt), room, 0)
    assert "context" in reply.inner_text().lower()
    greedy(page)
    assert text_of(ask(page, "what is 3 + 4?")), "the conversation goes on"


# Tokenizer lens


def test_the_lens_shows_the_drafts_tokens_as_the_server_cuts_them(page: Page, server: ServerProcess):
    press(page, "Tokens")
    text = "Ünïcode 🙂 and  spaces"
    page.get_by_role("textbox", name="Message", exact=True).fill(text)
    expected = post(server, "/tokenize", {"prompt": text, "add_special_tokens": False})["tokens"]
    ids = page.locator("#lens .id")
    expect(ids).to_have_count(len(expected))
    assert [int(each) for each in ids.all_inner_texts()] == expected
    expect(page.locator("#lens-count")).to_contain_text(str(len(expected)))
    page.get_by_role("textbox", name="Message", exact=True).fill("")
    expect(ids).to_have_count(0)


# Server strip


def test_the_server_strip_shows_what_the_server_does(open_page: Open, slow_server: ServerProcess):
    page = open_page(slow_server)
    strip = page.get_by_role("region", name="Server")
    expect(strip).to_contain_text("Running")
    send(page, "go on")

    def running() -> str:
        return strip.evaluate("""strip => [...strip.querySelectorAll('dt')]
          .find(term => term.textContent.startsWith('Running')).nextElementSibling.textContent.trim()""")

    eventually(lambda: running().startswith("1"), page)
    eventually(lambda: re.search(r"Tokens/s\s*[1-9]", strip.inner_text()) is not None, page, 20)
    expect(strip.locator("svg").first).to_be_visible()
    press(page, "Stop")
    eventually(lambda: running().startswith("0"), page)
