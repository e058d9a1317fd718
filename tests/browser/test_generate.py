"""Free generation: a prompt, a grid of samples that fill as they stream, and models without chat tokens."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.driver import Sent, eventually, metric, post, press, text_of
from tests.serve.server_process import ServerProcess

pytestmark = pytest.mark.browser


def generate(page: Page, num_samples: int, prompt: str = "") -> None:
    page.get_by_role("textbox", name="Prompt").fill(prompt)
    page.get_by_role("spinbutton", name="Samples").fill(str(num_samples))
    press(page, "Generate")


def samples(page: Page):
    return page.get_by_role("list", name="Samples").get_by_role("listitem")


def test_a_model_without_chat_tokens_opens_on_generation_alone(open_page: Open, plain_server: ServerProcess):
    page = open_page(plain_server)
    expect(page.get_by_role("tab", name="Chat")).to_be_hidden()
    expect(page.get_by_role("tab", name="Generate")).to_have_attribute("aria-selected", "true")
    generate(page, 6)
    expect(page.locator(".sample[data-state=done]")).to_have_count(6, timeout=30_000)
    texts = [text_of(samples(page).nth(i)) for i in range(6)]
    assert len(set(texts)) > 1
    assert all(texts)


def test_fifty_samples_fill_a_grid(page: Page):
    page.get_by_role("tab", name="Generate").click()
    generate(page, 50)
    expect(page.locator(".sample")).to_have_count(50)
    expect(page.locator(".sample[data-state=done]")).to_have_count(50, timeout=30_000)
    box = samples(page).first.bounding_box()
    second = samples(page).nth(1).bounding_box()
    assert box is not None
    assert second is not None
    assert second["y"] == box["y"], "side by side"


def test_a_prompt_is_continued(page: Page):
    requests = Sent(page)
    page.get_by_role("tab", name="Generate").click()
    generate(page, 2, "Once upon a time")
    expect(page.locator(".sample[data-state=done]")).to_have_count(2, timeout=30_000)
    assert "Once upon a time" in str(requests.bodies[-1]) or "input_ids" in requests.bodies[-1]


def test_a_sample_begins_with_its_prompt_and_marks_special_tokens(page: Page):
    page.get_by_role("tab", name="Generate").click()
    page.get_by_role("textbox", name="Prompt").fill("Hello")
    press(page, "Insert chat markers")
    prompt = "<user>Hello<end_turn><assistant>"
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value(prompt)
    generate(page, 1, prompt)
    expect(page.locator(".sample[data-state=done]")).to_have_count(1, timeout=30_000)
    assert (samples(page).first.locator(".given").text_content() or "") == prompt
    assert samples(page).first.locator(".given .special").all_inner_texts() == ["<user>", "<end_turn>", "<assistant>"]


def test_samples_fill_while_they_stream_and_stop_cancels_all(open_page: Open, slow_server: ServerProcess):
    page = open_page(slow_server, path="/#generate")
    generate(page, 8)
    eventually(lambda: len(text_of(samples(page).last)) > 5, page, 30)
    shown = len(text_of(samples(page).first))
    eventually(lambda: len(text_of(samples(page).first)) > shown, page)
    assert metric(slow_server, "microgpt_running_sequences") == 8
    press(page, "Stop")
    eventually(lambda: metric(slow_server, "microgpt_running_sequences") == 0)
    expect(page.locator(".sample[data-state=streaming]")).to_have_count(0)


@pytest.mark.parametrize("asked", ["0", "51", "-1", "1.5", ""])
def test_the_number_of_samples_is_kept_in_range(page: Page, asked: str):
    requests = Sent(page)
    page.get_by_role("tab", name="Generate").click()
    field = page.get_by_role("spinbutton", name="Samples")
    field.evaluate(
        "(field, value) => { field.value = value; field.dispatchEvent(new Event('input', {bubbles: true})); "
        "field.dispatchEvent(new Event('change', {bubbles: true})); }",
        asked,
    )
    press(page, "Generate")
    page.wait_for_timeout(500)
    for body in requests.bodies:
        number = body.get("num_samples", body.get("sampling_params", {}).get("n", 1))
        assert 1 <= number <= 50


def test_a_sample_is_what_the_server_says_to_anyone(page: Page, server: ServerProcess):
    page.get_by_role("tab", name="Generate").click()
    requests = Sent(page)
    generate(page, 1)
    expect(page.locator(".sample[data-state=done]")).to_have_count(1, timeout=30_000)
    body = {**requests.bodies[-1], "stream": False}
    answer = post(server, requests.paths[-1], body)
    whole = answer["samples"][0] if "samples" in answer else answer["text"]
    assert text_of(samples(page).first).strip() == whole.strip()


def test_the_tab_is_kept_in_the_address(page: Page):
    page.get_by_role("tab", name="Generate").click()
    assert page.url.endswith("#generate")
    page.reload()
    expect(page.get_by_role("tab", name="Generate")).to_have_attribute("aria-selected", "true")
    page.get_by_role("tab", name="Generate").press("ArrowLeft")
    expect(page.get_by_role("tab", name="Chat")).to_be_focused()
