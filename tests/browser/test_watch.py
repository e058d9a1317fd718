"""The watch itself: everything that a page must not do is noted when a page does it."""

import pytest
from playwright.sync_api import Browser

from tests.browser.watch import Watch

pytestmark = pytest.mark.browser

ORIGIN = "http://page.test"
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self'; img-src *"
SCRIPT = """
console.error("an error");
console.warn("a warning");
alert("a dialog");
fetch("/elsewhere").catch(() => {});
owned("text");
setTimeout(() => { throw new Error("thrown") });
"""
BODY = """<!doctype html><title>bad</title><script src=/web/own.js></script><script>inline()</script>
<img src=https://evil.example/pixel.gif onerror=no()><a href=javascript:no()>x</a><iframe></iframe>"""


def watched(browser: Browser, body: str, script: str, failures: bool) -> list[str]:
    context = browser.new_context()
    watch = Watch(context, ORIGIN, failures)
    context.route("**/*", lambda route: route.fulfill(status=404))
    context.route(ORIGIN + "/web/own.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    answer = {"body": body, "content_type": "text/html", "headers": {"content-security-policy": POLICY}}
    context.route(ORIGIN + "/", lambda route: route.fulfill(**answer))
    page = context.new_page()
    page.goto(ORIGIN)
    page.wait_for_timeout(300)
    problems = watch.problems()
    context.close()
    return problems


@pytest.mark.parametrize("failures", [False, True])
def test_a_bad_page_is_caught_at_everything(browser: Browser, failures: bool):
    problems = "\n".join(watched(browser, BODY, SCRIPT, failures))
    for expected in (
        "console error: an error",
        "console warning: a warning",
        "dialog alert: a dialog",
        "strange path: http://page.test/elsewhere",
        "request to https://evil.example/pixel.gif",
        "a script ran: text",
        "error: thrown",
        "violation: script-src-elem blocked inline",
        "strange element: <img",
        "strange element: <a href",
        "strange element: <iframe",
    ):
        assert expected in problems
    assert ("Failed to load resource" in problems) != failures


def test_a_good_page_is_not(browser: Browser):
    assert watched(browser, "<!doctype html><title>good</title><script src=/web/own.js></script>", "", False) == []
