"""The chat page's files: what is served, in which form, under which headers, and to whom `/` is the page."""

import asyncio
import gzip
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from microgpt import Checkpoint
from serve.static import INDEX_JSON, StaticFiles
from tests.serve.asgi_driver import Exchange, Served
from tests.serve.scripted_engine import ScriptedEngine, run
from tests.serve.server_process import ROOT

WEB = ROOT / "serve" / "web"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
# What the page's answer must say, whatever the page is.
PROTECTION = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; font-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-cache",
}
FILES = {
    "index.html": b"<!doctype html><title>page</title>" + b"<p>text</p>" * 50,
    "app.js": b"export const one = 1;\n" * 50,
    "look.css": b"p { color: black }\n" * 50,
    "mark.svg": b"<svg/>",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def answer(files: StaticFiles, path: str, **headers: str) -> Exchange:
    """What `files` answer to a GET of `/` or `/web/<name>`; header names with _ for -."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope)
        if path == "/":
            response = files.index(request.scope)
        else:
            request.scope["path_params"] = {"name": path.removeprefix("/web/")}
            response = files.asset(request.scope)
        await response(scope, receive, send)

    async def exchange() -> Exchange:
        lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return await Exchange(app, "GET", path, [b""], lines).done()

    return asyncio.run(exchange())


@pytest.mark.parametrize(
    ("accept", "is_html"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML; Charset=utf-8", True),
        ("text/*", True),
        ("text/html;q=0.001", True),
        ("application/json, text/html", True),
        ("application/json;q=0.5, text/html;q=0.5", True),
        ("text/html;q=0.2, */*;q=0.1", True),
        ("*/*", False),
        ("", False),
        ("text/plain", False),
        ("application/json", False),
        ("application/json, text/html;q=0.9", False),
        ("text/html;q=0.2, */*;q=0.8", False),
        ("text/html;q=0, */*", False),
        ("text/html;q=0.000", False),
        ("text/*, text/html;q=0", False),
        ("text/html;q=nan", False),
        ("text/html;q=7", False),
        ("text/html;q=-1", False),
        ("text/htmlx", False),
        (";;q=1,,=", False),
    ],
)
def test_index_is_the_page_for_those_who_ask_for_html_at_least_as_much_as_for_json(
    directory: Path, accept: str, is_html: bool
):
    found = answer(StaticFiles(directory), "/", accept=accept)
    assert found.status == 200
    assert "accept" in found.headers["vary"].split(", ")
    if is_html:
        assert (found.body, found.headers["content-type"]) == (FILES["index.html"], "text/html; charset=utf-8")
    else:
        assert (found.body, found.headers["content-type"]) == (INDEX_JSON, "application/json")


def test_index_without_accept_is_json(directory: Path):
    assert answer(StaticFiles(directory), "/").json == "SGLang is running"


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/web/app.js", "text/javascript; charset=utf-8"),
        ("/web/look.css", "text/css; charset=utf-8"),
        ("/web/mark.svg", "image/svg+xml"),
    ],
)
def test_every_file_has_its_media_type_and_the_protecting_headers(directory: Path, path: str, media_type: str):
    found = answer(StaticFiles(directory), path, accept="text/html")
    assert found.headers["content-type"] == media_type
    assert found.headers["content-length"] == str(len(found.body))
    assert PROTECTION.items() <= found.headers.items()
    assert "accept-encoding" in found.headers["vary"].split(", ")


@pytest.mark.parametrize(
    ("accept_encoding", "gzipped"),
    [
        ("gzip, deflate, br, zstd", True),
        ("GZip;q=0.1", True),
        ("*", True),
        ("identity;q=0.5, gzip", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("*, gzip;q=0", False),
        ("gzip;q=0.5, identity", False),
    ],
)
def test_files_are_compressed_for_those_who_take_gzip(directory: Path, accept_encoding: str, gzipped: bool):
    found = answer(StaticFiles(directory), "/web/app.js", accept_encoding=accept_encoding)
    assert ("content-encoding" in found.headers) == gzipped
    body = gzip.decompress(found.body) if gzipped else found.body
    assert body == FILES["app.js"]
    assert len(found.body) == int(found.headers["content-length"])


def test_a_file_that_does_not_get_shorter_is_sent_as_it_is(directory: Path):
    found = answer(StaticFiles(directory), "/web/mark.svg", accept_encoding="gzip")
    assert (found.body, "content-encoding" in found.headers) == (FILES["mark.svg"], False)


def test_entity_tags_name_bytes(directory: Path):
    files = StaticFiles(directory)
    plain, packed = answer(files, "/web/app.js"), answer(files, "/web/app.js", accept_encoding="gzip")
    assert plain.headers["etag"] != packed.headers["etag"]
    assert plain.headers["etag"] == answer(StaticFiles(directory), "/web/app.js").headers["etag"]
    (directory / "app.js").write_bytes(b"export const two = 2;\n" * 50)
    assert plain.headers["etag"] == answer(files, "/web/app.js").headers["etag"], "read once, at the start"
    assert plain.headers["etag"] != answer(StaticFiles(directory), "/web/app.js").headers["etag"]


@pytest.mark.parametrize("accept_encoding", ["", "gzip"])
@pytest.mark.parametrize("path", ["/", "/web/app.js"])
def test_what_the_client_has_is_not_sent_again(directory: Path, path: str, accept_encoding: str):
    files = StaticFiles(directory)
    full = answer(files, path, accept="text/html", accept_encoding=accept_encoding)
    tag = full.headers["etag"]
    for condition in (tag, f"W/{tag}", f'"other", {tag}', f'{tag},"other"', "*"):
        same = answer(files, path, accept="text/html", accept_encoding=accept_encoding, if_none_match=condition)
        assert (same.status, same.body) == (304, b"")
        assert {name: full.headers[name] for name in ("etag", "vary", *PROTECTION)}.items() <= same.headers.items()
        assert not [name for name in same.headers if name in ("content-length", "content-type", "content-encoding")]
    for condition in ('"other"', tag.strip('"'), tag[:-2] + '"', "", "**"):
        changed = answer(files, path, accept="text/html", accept_encoding=accept_encoding, if_none_match=condition)
        assert (changed.status, changed.body) == (200, full.body)


def test_only_kinds_of_the_page_are_served_and_none_below_the_directory(directory: Path):
    for name in ("notes.txt", "app.py", ".app.js.swp", "app.js~", "__init__.pyc"):
        (directory / name).write_bytes(b"secret")
    (directory / "more").mkdir()
    (directory / "more" / "deep.js").write_bytes(b"secret")
    assert StaticFiles(directory).sizes == {name: len(data) for name, data in FILES.items()}


def test_a_directory_without_a_page_is_refused(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"has no index\.html"):
        StaticFiles(tmp_path)


# As served


def test_served_page_and_assets_are_the_files_of_the_package(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        page = await service.ask("/", method="GET", headers=[(b"accept", BROWSER.encode())])
        assert (page.status, page.body) == (200, (WEB / "index.html").read_bytes())
        assert PROTECTION.items() <= page.headers.items()
        for path in WEB.iterdir():
            found = await service.ask(f"/web/{path.name}", method="GET", headers=[])
            expected = (404, None) if path.name == "index.html" else (200, path.read_bytes())
            assert (found.status, found.body if found.status == 200 else None) == expected, path

    run(tiny_checkpoint, scenario)


@pytest.mark.parametrize("accept", [BROWSER, "*/*"])
def test_head_has_the_headers_of_get(tiny_checkpoint: Checkpoint, accept: str):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        headers = [(b"accept", accept.encode())]
        got = await service.ask("/", method="GET", headers=headers)
        head = await service.ask("/", method="HEAD", headers=headers)
        assert got.status == head.status == 200
        assert got.headers | {"x-request-id": ""} == head.headers | {"x-request-id": ""}

    run(tiny_checkpoint, scenario)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_static_routes_are_read_only(tiny_checkpoint: Checkpoint, method: str):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        for path in ("/", "/web/index.html"):
            refused = await service.ask(path, method=method)
            assert refused.status == 405
            assert set(refused.headers["allow"].split(", ")) == {"GET", "HEAD"}

    run(tiny_checkpoint, scenario)


@pytest.mark.parametrize(
    "path",
    [
        "/web",
        "/web/",
        "/web/index.html",
        "/web/../settings.py",
        "/web/..",
        "/web/.",
        "/web/./index.html",
        "/web//index.html",
        "/web/..\\settings.py",
        "/web/%2e%2e%2fsettings.py",
        "/web/index.html\0",
        "/web/index.html\0.js",
        "/web/index.html/",
        "/web/INDEX.HTML",
        "/web/index.html ",
        "/web/\udcff",
        "/web//etc/passwd",
        "/web/C:\\windows\\win.ini",
        "/web/__proto__",
        "/serve/web/index.html",
        "/index.html",
        "/web/" + "a" * 60000,
    ],
)
def test_nothing_but_the_names_in_the_table_is_found(tiny_checkpoint: Checkpoint, path: str):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await service.app({**scope, "path": path}, receive, send)  # some are no text that could be encoded

        missing = await Exchange(app, "GET", "/", [b""], []).done()
        assert missing.status == 404
        assert missing.error.startswith("no such route: /")

    run(tiny_checkpoint, scenario)


def test_requests_are_counted_by_route_and_not_by_what_was_asked_for(tiny_checkpoint: Checkpoint):
    async def scenario(service: Served, engine: ScriptedEngine) -> None:
        for path in ("/", "/web/main.js", "/web/nothing"):
            await service.ask(path, method="GET", headers=[(b"accept", BROWSER.encode())])
        counted = (await service.ask("/metrics", method="GET", headers=[])).body.decode()
        for route, status, count in (("/", 200, 1), ("/web/{name}", 200, 1), ("/web/{name}", 404, 1)):
            assert f'microgpt_requests_total{{method="GET",route="{route}",status="{status}"}} {count}.0' in counted, (
                counted
            )

    run(tiny_checkpoint, scenario)


# As shipped


def test_the_page_is_small():
    sizes = StaticFiles().sizes
    assert sum(sizes.values()) <= 110_000, sizes


def test_a_wheel_has_every_file_of_the_page(tmp_path: Path):
    for name in ("microgpt", "serve"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    build = "from setuptools.build_meta import build_wheel; build_wheel('.')"
    done = subprocess.run([sys.executable, "-c", build], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("serve/web/")}
    assert packed == {f"serve/web/{path.name}" for path in WEB.iterdir()}
