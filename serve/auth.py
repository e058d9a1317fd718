"""API keys: who may call what, decided before anything else looks at a request.

Everything needs a key but the paths that are listed as open. The decision is made on the path that requests are routed
by, and by equality alone: a path that is written in another way is another path, which is not open.
"""

import hmac
from collections.abc import Awaitable, Collection
from hashlib import sha256

from serve.access import App, Receive, Scope, Send, send_json
from serve.errors import error_body
from serve.limits import AUTHORIZED_KEY

# Without a key, for probes, scrapes and pages that ask for one.
OPEN_PATHS = frozenset(("/", "/health", "/health_generate", "/ready", "/metrics"))
UNAUTHORIZED = error_body("Unauthorized: this needs the header Authorization: Bearer <API_KEY>")
ADMIN_UNAUTHORIZED = error_body("Unauthorized: this needs the header Authorization: Bearer <ADMIN_API_KEY>")
_SCHEME = b"bearer"


class KeyGuard:
    """Answers 401 to requests without the key that they need. Wraps an ASGI app.

    api_key: opens every path but those of admin_paths, if there is an admin_api_key, which alone opens them. One of the
    two may be None: without an api_key all but admin_paths are open to everyone, without an admin_api_key the api_key
    opens these, too. open_paths need no key; neither does OPTIONS.
    """

    def __init__(
        self,
        app: App,
        *,
        api_key: str | None,
        admin_api_key: str | None,
        admin_paths: Collection[str],
        open_paths: Collection[str],
    ):
        self.app = app
        self._key = _digest(api_key.encode()) if api_key else None
        self._admin_key = _digest(admin_api_key.encode()) if admin_api_key else None
        self._admin_paths = frozenset(admin_paths)
        self._open_paths = frozenset(open_paths)
        assert not self._admin_paths & self._open_paths

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return _close(send)
        if not self.admits(scope):
            body = ADMIN_UNAUTHORIZED if self._is_admins(scope) else UNAUTHORIZED
            return send_json(send, 401, body, {"WWW-Authenticate": "Bearer"})
        return self.app(scope, receive, send)

    def admits(self, scope: Scope) -> bool:
        """Whether a request may pass; if it bears the key that it needs, its scope says so from then on."""
        key = self._admin_key if self._is_admins(scope) else self._key
        if key is None:
            return True
        if _bears(scope, key):
            scope[AUTHORIZED_KEY] = True
            return True
        return scope["path"] in self._open_paths or scope["method"] == "OPTIONS"

    def _is_admins(self, scope: Scope) -> bool:
        """Whether a request needs the admin_api_key."""
        return self._admin_key is not None and scope["path"] in self._admin_paths


async def _close(send: Send) -> None:
    """Nothing but HTTP is served here: a WebSocket that some server would let through ends before it begins."""
    await send({"type": "websocket.close", "code": 1008})


def _bears(scope: Scope, key: bytes) -> bool:
    """Whether a request has exactly one Authorization header, and its bearer token is the one whose digest is `key`.

    Takes as long for every wrong token of a length: what is compared are digests.
    """
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1:
        return False
    scheme, _, token = given[0].partition(b" ")
    return scheme.lower() == _SCHEME and hmac.compare_digest(_digest(token.strip(b" ")), key)


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()
