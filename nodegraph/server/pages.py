"""The pages: the files that ship in `web/`, each under its own path, and what stands at `/`.

Only files that were there at the start have a path, so no path can lead elsewhere. They hold nothing of the user's, and
need no secret.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

from aiohttp import web

from nodegraph.server.problems import Refused, not_found
from nodegraph.server.security import Access

HOME = "/"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


def add_pages(app: web.Application, access: Access, folder: Path) -> list[tuple[str, str]]:
    """Add the routes of `/` and of the files that pages use; gives the routes, all of which are public."""
    app.router.add_get(HOME, _home(access, folder))
    paths = [HOME]
    for path in _files(folder):
        place = f"/{path.relative_to(folder).as_posix()}"
        app.router.add_get(place, _file(path, _TYPES[path.suffix]))
        paths.append(place)
    return [(method, path) for path in paths for method in ("GET", "HEAD")]


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        inside = path.is_file() and path.resolve().is_relative_to(folder.resolve())
        if path.suffix in _TYPES and inside and not hidden and "{" not in path.name:
            yield path


def _home(access: Access, folder: Path) -> Handler:
    async def home(request: web.Request) -> web.StreamResponse:
        """The page for whoever is signed in; a one-time code signs in and leaves the address bar; else the login page."""
        code = request.query.get("login")
        if code is not None and await access.is_let_in(request):
            return web.Response(status=303, headers={"Location": HOME})
        if code is not None and request.method == "GET" and not _is_prefetch(request):
            if access.codes.redeem(code):
                cookie = await access.new_session(request)
                return web.Response(status=303, headers={"Location": HOME, "Set-Cookie": cookie})
            if (refused := access.wrong(request)).status != 401:
                raise refused
        inside = code is None and await access.is_let_in(request)
        text = await _read(folder / ("index.html" if inside else "login.html"))
        return web.Response(status=200 if inside else 401, body=text, content_type="text/html", charset="utf-8")

    return home


def _is_prefetch(request: web.Request) -> bool:
    """Whether a browser loads the page in case somebody wants it; a code is not used up for that."""
    return any("prefetch" in request.headers.get(name, "").lower() for name in ("Sec-Purpose", "Purpose"))


def _file(path: Path, kind: str) -> Handler:
    async def file(request: web.Request) -> web.StreamResponse:
        body = await _read(path)
        tag = hashlib.sha256(body).hexdigest()[:32]
        headers = {"ETag": f'"{tag}"', "Cache-Control": "no-cache", "Content-Type": kind}
        given = request.if_none_match or ()
        if any(one.value in (tag, "*") for one in given):
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, headers=headers)

    return file


async def _read(path: Path) -> bytes:
    try:
        return await asyncio.to_thread(path.read_bytes)
    except FileNotFoundError:
        raise not_found("page") from None
    except OSError:
        raise Refused(500, "internal", "A file of this installation cannot be read.") from None
