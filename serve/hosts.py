"""Which names this server answers to, against DNS rebinding.

A page on the web can give its own host name the address 127.0.0.1, and its scripts then speak to a server here as if it
were the page's own. Their requests still say whose they are: in Host, and in Origin.
"""

from collections.abc import Awaitable, Collection, Sequence
from urllib.parse import urlsplit

from serve.access import App, Receive, Scope, Send, send_json
from serve.errors import error_body, rust_debug
from serve.settings import is_loopback

_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_MAX_KNOWN = 1024  # header values remembered as good
_EVERYONE = "*"
_NO_PAGE_ELSEWHERE = (b"none", b"same-origin")  # values of Sec-Fetch-Site: typed or bookmarked, and our own page


class HostGuard:
    """Answers 403 to requests under names that are not this server's. Wraps an ASGI app.

    Host must be a loopback name or address, if the server listens on one, or one of `allowed_hosts`. Where something
    can be changed or computed, so must the host in Origin be, unless it is the same as in Host or among `origins`,
    whose pages may call. Ports are ignored. Without Host or Origin no browser has sent the request. changing: paths
    where a GET changes something. Links and images bring no Origin; Sec-Fetch-Site says that a page elsewhere has them.
    """

    def __init__(
        self,
        app: App,
        *,
        loopback: bool,
        allowed_hosts: Sequence[str],
        origins: Sequence[str],
        changing: Collection[str],
    ):
        self.app = app
        self._changing = frozenset(changing)
        self._loopback = loopback
        self._hosts = frozenset(allowed_hosts)
        self._origins = frozenset(origins)
        self._known: set[bytes] = set()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Not a coroutine function itself: a request that passes costs no frame more."""
        if scope["type"] != "http" or (wrong := self._wrong_name(scope)) is None:
            return self.app(scope, receive, send)
        return self._refuse(send, *wrong)

    def admits(self, scope: Scope) -> bool:
        """Whether a request may pass."""
        return self._wrong_name(scope) is None

    def _wrong_name(self, scope: Scope) -> tuple[str, bytes] | None:
        """The header with a name that is not ours, and its value; None if there is none."""
        host = origin = None
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
                if value not in self._known and not self._knows(value):
                    return "Host", value
            elif name == b"origin":
                origin = value
        if scope["method"] not in _SAFE_METHODS:
            if origin is not None and not self._admits(origin, host or b""):
                return "Origin", origin
        elif scope["path"] in self._changing and (origin is None or not self._admits(origin, host or b"")):
            for name, value in scope["headers"]:
                if name == b"sec-fetch-site" and value not in _NO_PAGE_ELSEWHERE:
                    return "Sec-Fetch-Site", value
        return None

    def _knows(self, host: bytes) -> bool:
        known = self._is_ours(_host_of("//" + host.decode("latin-1")))
        if known and len(self._known) < _MAX_KNOWN:
            self._known.add(host)
        return known

    def _admits(self, origin: bytes, host: bytes) -> bool:
        text = origin.decode("latin-1")
        if _EVERYONE in self._origins or text in self._origins:
            return True
        name = _host_of(text)
        return self._is_ours(name) or (name != "" and name == _host_of("//" + host.decode("latin-1")))

    def _is_ours(self, host: str) -> bool:
        return host in self._hosts or (self._loopback and is_loopback(host))

    async def _refuse(self, send: Send, name: str, value: bytes) -> None:
        rule = "a loopback name or in ALLOWED_HOSTS" if self._loopback else "in ALLOWED_HOSTS"
        if name == "Sec-Fetch-Site":
            rule = "none or same-origin for a GET that changes something"
        if name == "Origin":
            rule += " or CORS_ORIGINS"
        await send_json(send, 403, error_body(f"{name} must be {rule}, got {rust_debug(value.decode('latin-1'))}"))


def host_guard(
    app: App, host: str, allowed_hosts: Collection[str], origins: Sequence[str], changing: Collection[str]
) -> HostGuard | None:
    """What guards `app`; None if every name is allowed or the server listens for others and names none."""
    loopback = is_loopback(host)
    if _EVERYONE in allowed_hosts or not (loopback or allowed_hosts):
        return None
    return HostGuard(app, loopback=loopback, allowed_hosts=tuple(allowed_hosts), origins=origins, changing=changing)


def _host_of(url: str) -> str:
    """The host in lower case, without brackets and port; empty if there is none or it is malformed."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
