"""The chat page: a fixed table of files, read and compressed once at the start, and who gets the page at `/`."""

import gzip
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePath

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response

from serve.access import Scope

INDEX = "index.html"
# SGLang's own answer, which its clients look for at `/`.
INDEX_JSON = b'"SGLang is running"'
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; font-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "cache-control": "no-cache",  # kept, but asked about each time: a new version shows at once
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_OF_BODIES = ("content-type", "content-encoding")
_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?", re.ASCII)
_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')


@dataclass(frozen=True, slots=True)
class _Variant:
    """One form in which a file is sent, with all headers of its answer."""

    body: bytes
    headers: Mapping[str, str]

    def response(self, headers: Headers) -> Response:
        """The body, or 304 if the request's If-None-Match shows that the client has it."""
        if _matches(headers.getlist("if-none-match"), self.headers["etag"]):
            kept = {name: value for name, value in self.headers.items() if name not in _OF_BODIES}
            return Response(status_code=304, headers=kept)
        return Response(self.body, headers=self.headers)


class StaticFiles:
    """The files of a directory as they were at the start, by their names alone.

    A path is looked up in the table and nowhere else, so none can lead out of the directory. Files of other kinds than
    MEDIA_TYPES lists are not served. Raises FileNotFoundError if there is no index.html.
    """

    def __init__(self, directory: Traversable | None = None):
        directory = directory or resources.files("serve") / "web"
        files = {file.name: file.read_bytes() for file in directory.iterdir() if _kind(file.name) in MEDIA_TYPES}
        if INDEX not in files:
            raise FileNotFoundError(f"{directory} has no {INDEX}")
        self.sizes = {name: len(data) for name, data in files.items()}
        self._page = _variants(INDEX, files.pop(INDEX), vary="accept, accept-encoding")
        self._table = {name: _variants(name, data, vary="accept-encoding") for name, data in files.items()}

    def index(self, scope: Scope) -> Response:
        """What `/` answers: the page to those who ask for HTML at least as much as for JSON, else INDEX_JSON."""
        headers = Headers(scope=scope)
        accept = _qualities(headers.getlist("accept"))
        html = _quality(accept, "text/html", "text/*")
        if html > 0 and html >= _quality(accept, "application/json", "application/*", "*/*"):
            return self._answer(self._page, headers)
        return Response(INDEX_JSON, media_type="application/json", headers={"vary": "accept"})

    def asset(self, scope: Scope) -> Response:
        """The file that the route's `name` means. Raises HTTPException with 404 if there is none."""
        variants = self._table.get(scope["path_params"]["name"])
        if variants is None:
            raise HTTPException(404)
        return self._answer(variants, Headers(scope=scope))

    def _answer(self, variants: Mapping[str, _Variant], headers: Headers) -> Response:
        accept = _qualities(headers.getlist("accept-encoding"))
        wants_gzip = _quality(accept, "gzip", "*")
        gzipped = wants_gzip > 0 and wants_gzip >= accept.get("identity", 0)
        return variants.get("gzip" if gzipped else "", variants[""]).response(headers)


def _variants(name: str, data: bytes, vary: str) -> dict[str, _Variant]:
    """The forms of a file by content coding: as it is (""), and gzip where that is shorter."""
    digest = hashlib.sha256(data).hexdigest()[:20]
    headers = {"content-type": MEDIA_TYPES[_kind(name)], "vary": vary, **_HEADERS}
    variants = {"": _Variant(data, headers | {"etag": f'"{digest}"'})}
    if len(packed := gzip.compress(data, mtime=0)) < len(data):
        # A strong tag names bytes, so each coding has its own.
        variants["gzip"] = _Variant(packed, headers | {"etag": f'"{digest}-gzip"', "content-encoding": "gzip"})
    return variants


def _kind(name: str) -> str:
    return PurePath(name).suffix


def _qualities(lines: Iterable[str]) -> dict[str, float]:
    """The items of Accept or Accept-Encoding in lower case with their q values; other parameters are passed over."""
    found = {}
    for item in ",".join(lines).lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        quality = next((value for key, _, value in (p.partition("=") for p in parameters) if key == "q"), "1")
        if name and _QUALITY.fullmatch(quality):
            found[name] = float(quality)
    return found


def _quality(qualities: Mapping[str, float], *names: str) -> float:
    """The q value of the first of `names` that is listed, most specific first; 0 if none is."""
    return next((qualities[name] for name in names if name in qualities), 0)


def _matches(lines: Iterable[str], etag: str) -> bool:
    """Whether If-None-Match is `*` or lists `etag`, weak or strong."""
    header = ",".join(lines).strip()
    return header == "*" or etag in _ENTITY_TAG.findall(header)
