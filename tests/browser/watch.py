"""What the page must never do, noted while it is used."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Request

# The public HTTP API that the page may use, and its own files.
PATHS = ("/", "/generate", "/tokenize", "/detokenize", "/metrics", "/health", "/model_info")
PREFIXES = ("/web/", "/microgpt/v1/")
FAILED_LOAD = "Failed to load resource"

# Set before the page's own scripts run. Hostile texts call `owned`; a blocked attempt leaves a violation.
_SCRIPT = """
document.addEventListener("securitypolicyviolation",
  event => noteProblem(`violation: ${event.violatedDirective} blocked ${event.blockedURI} ${event.sample}`));
window.owned = what => noteProblem(`a script ran: ${what}`);
"""
# Elements that only markup made of text could have brought in.
_STRANGERS = """() => {
  const found = [];
  for (const element of document.querySelectorAll("*")) {
    const name = element.localName;
    if (["iframe", "object", "embed", "frame", "base", "audio", "video", "marquee", "math", "applet"].includes(name)
        || (name === "script" && new URL(element.src, location).pathname.startsWith("/web/") === false)
        || (name === "a" && !["http:", "https:", "blob:"].includes(element.protocol))
        || [...element.attributes].some(({name}) => name.startsWith("on")))
      found.push(element.outerHTML.slice(0, 200));
  }
  return found;
}"""


class Watch:
    """Notes what pages of a context do: scripts from texts, violations of the content policy, messages on the console,
    dialogs, and requests to anything but this server's page and public API.
    """

    def __init__(self, context: "BrowserContext", url: str, failures: bool):
        self._context = context
        self._origin = url
        self._failures = failures
        self._problems: list[str] = []
        self.requests: list[Request] = []
        context.expose_function("noteProblem", lambda problem: self._problems.append(problem))
        context.add_init_script(_SCRIPT)
        context.on("console", self._console)
        context.on("dialog", self._dialog)
        context.on("request", self._request)
        context.on("weberror", lambda error: self._problems.append(f"error: {error.error}"))
        context.on("page", lambda page: page.on("websocket", lambda socket: self._problems.append(socket.url)))

    def _console(self, message: "ConsoleMessage") -> None:
        if self._failures and message.text.startswith(FAILED_LOAD):
            return
        if message.type in ("error", "warning", "assert"):
            self._problems.append(f"console {message.type}: {message.text} {message.location}")

    def _dialog(self, dialog: "Dialog") -> None:
        self._problems.append(f"dialog {dialog.type}: {dialog.message}")
        dialog.dismiss()

    def _request(self, request: "Request") -> None:
        self.requests.append(request)
        parts = urlsplit(request.url)
        if parts.scheme == "blob" and request.url.startswith(f"blob:{self._origin}/"):
            return
        if f"{parts.scheme}://{parts.netloc}" != self._origin:
            self._problems.append(f"request to {request.url}")
        elif parts.path not in PATHS and not parts.path.startswith(PREFIXES):
            self._problems.append(f"request to a strange path: {request.url}")

    def problems(self) -> list[str]:
        """All that was noted so far, and what is wrong with the documents as they are now."""
        return self._problems + [problem for page in self._context.pages for problem in _document_problems(page)]


def _document_problems(page: "Page") -> list[str]:
    if page.url == "about:blank":
        return []
    return [f"strange element: {markup}" for markup in page.evaluate(_STRANGERS)]
