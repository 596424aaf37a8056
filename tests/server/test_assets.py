"""The pages' files: named by a version that may be kept for ever, found though they came later, and none from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from nodegraph.server.pages import add_pages
from nodegraph.server.problems import Refused
from nodegraph.server.security import Access, add_headers
from nodegraph.settings import Settings

PAGE = """<!doctype html>
<html>
  <head>
    <link rel="stylesheet" href="/app/styles/tokens.css">
    <script type="importmap">
      { "imports": { "preact": "/app/vendor/preact.js" } }
    </script>
    <!-- modules -->
    <script type="module" src="/app/src/main.js"></script>
  </head>
</html>
"""
FILES = {
    "index.html": PAGE,
    "login.html": "<p>Sign in</p>",
    "login.js": "1",
    "icon.svg": "<svg/>",
    "styles/tokens.css": "a {}",
    "vendor/preact.js": "export const h = 1",
    "src/main.js": "import 'preact';\nimport {\n  t,\n} from './text/en.js';\nconst use = () => import('./tools/paint.js');",
    "src/tools/paint.js": "1",
    "src/text/en.js": "1",
    "src/text/de.js": "1",
    "src/.hidden.js": "1",
    "src/notes.txt": "1",
    ".secret/a.js": "1",
}

Client = TestClient[Any, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "web"
    for name, text in FILES.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    (tmp_path / "outside.js").write_text("outside")
    return made


@pytest.fixture
async def client(folder: Path) -> AsyncIterator[Client]:
    @web.middleware
    async def told(request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            return await handler(request)  # type: ignore[no-any-return]
        except Refused as refused:
            return refused.response()

    app = web.Application(middlewares=[told])
    app.on_response_prepare.append(add_headers)
    add_pages(app, Access(Settings(data=folder.parent), None), folder)
    async with TestClient(TestServer(app)) as made:
        yield made


async def version(client: Client) -> str:
    found = re.search(r'src="/app/([0-9a-f]+)/src/main.js"', await (await client.get("/")).text())
    assert found
    return found[1]


async def test_a_page_names_its_files_by_a_version_that_may_be_kept_for_ever(client: Client) -> None:
    answer = await client.get("/")
    text, now = await answer.text(), await version(client)
    assert answer.headers["Cache-Control"] == "no-store"
    assert set(re.findall(r'"/app/(\w+)/', text)) == {now}
    assert f'"preact": "/app/{now}/vendor/preact.js"' in text
    file = await client.get(f"/app/{now}/src/main.js")
    assert (await file.text(), file.content_type) == (FILES["src/main.js"], "text/javascript")
    assert file.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert file.headers["X-Content-Type-Options"] == "nosniff"


async def test_modules_are_preloaded_but_for_those_of_first_use(client: Client) -> None:
    text = await (await client.get("/")).text()
    named = re.findall(r'<link rel="modulepreload" href="/app/\w+/([^"]+)">', text)
    assert named == ["src/main.js", "vendor/preact.js", "src/text/en.js"]
    assert "<!-- modules -->" not in text


async def test_the_policy_lets_in_the_inline_script_of_the_page_and_nothing_else(client: Client) -> None:
    answer = await client.get("/")
    script = re.search(r'<script type="importmap">(.*?)</script>', await answer.text(), re.DOTALL)
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    page = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    file = dict(part.split(" ", 1) for part in (await client.get("/icon.svg")).headers["Content-Security-Policy"].split("; "))
    assert page.pop("script-src") == f"'self' 'sha256-{digest}'"
    assert file.pop("script-src") == "'self'"
    assert page == file
    assert page["default-src"] == "'none'"


async def test_an_edited_or_added_file_is_there_with_the_next_page_and_old_tabs_go_on(client: Client, folder: Path) -> None:
    before = await version(client)
    (folder / "src" / "main.js").write_text("import './more.js'")
    (folder / "src" / "more.js").write_text("2")
    now = await version(client)
    assert now != before
    assert "/src/more.js" in await (await client.get("/")).text()
    for place, kept in ((now, "immutable"), (before, "no-cache")):
        answer = await client.get(f"/app/{place}/src/more.js")
        assert (await answer.text(), kept in answer.headers["Cache-Control"]) == ("2", True)


async def test_a_file_without_a_version_is_asked_for_each_time(client: Client) -> None:
    first = await client.get("/app/styles/tokens.css")
    assert (first.status, first.headers["Cache-Control"]) == (200, "no-cache")
    again = await client.get("/app/styles/tokens.css", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    assert (await client.head("/app/src/main.js")).status == 200


async def test_the_login_page_keeps_its_names(client: Client) -> None:
    for name in ("login.js", "icon.svg"):
        assert (await client.get(f"/{name}")).status == 200
    assert (await client.get("/index.html")).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "../outside.js",
        "..%2foutside.js",
        "src/..%2f..%2foutside.js",
        "%2e%2e/outside.js",
        "src/%2e%2e/src/main.js",
        "%2fetc/passwd.js",
        "/src/main.js",
        "src//main.js",
        "src/main.js/",
        "src\\main.js",
        "src/main.js%00",
        "src/main.js%00.css",
        "src/.hidden.js",
        ".secret/a.js",
        "src/notes.txt",
        "index.html",
        "login.html",
        "src",
        "link.js",
        "linked/outside.js",
        "src/none.js",
    ],
)
@pytest.mark.parametrize("versioned", [False, True])
async def test_what_is_no_file_of_the_pages_is_not_found(client: Client, folder: Path, path: str, versioned: bool) -> None:
    (folder / "link.js").symlink_to(folder.parent / "outside.js")
    (folder / "linked").symlink_to(folder.parent)
    place = f"/app/{await version(client)}/{path}" if versioned else f"/app/{path}"
    answer = await client.get(URL(place, encoded=True))
    assert answer.status == 404
