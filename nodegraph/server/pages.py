"""What browsers are given: the page at `/` for whoever is signed in, else the login page, and the files that pages use.

The files hold nothing of the user's, and need no secret.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlencode

from aiohttp import web

from nodegraph.server.assets import PREFIX, TYPES, Assets, Page
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.security import Access, policy

HOME = "/"

_KEPT = "public, max-age=31536000, immutable"
_ASKED_EACH_TIME = "no-cache"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_pages(app: web.Application, access: Access, folder: Path) -> list[tuple[str, str]]:
    """Add the routes of `/` and of the files that pages use; gives the routes, all of which are public."""
    assets = Assets(folder)
    app.router.add_get(HOME, _home(access, assets))
    app.router.add_get(f"{PREFIX}{{path:.+}}", _below(assets))
    paths = [HOME, f"{PREFIX}{{path}}"]
    for path in sorted(folder.iterdir()):  # what the login page uses, by names that stay
        if path.suffix in TYPES and not path.name.startswith(".") and "{" not in path.name:
            app.router.add_get(f"/{path.name}", _file(assets, path.name))
            paths.append(f"/{path.name}")
    return [(method, path) for path in paths for method in ("GET", "HEAD")]


def _home(access: Access, assets: Assets) -> Handler:
    async def home(request: web.Request) -> web.StreamResponse:
        """The page for whoever is signed in; a one-time code signs in and leaves the address bar; else the login page."""
        code = request.query.get("login")
        if code is not None and await access.is_let_in(request):
            return web.Response(status=303, headers={"Location": _without_code(request)})
        if code is not None and request.method == "GET" and not _is_prefetch(request):
            if access.codes.redeem(code):
                cookie = await access.new_session(request)
                return web.Response(status=303, headers={"Location": _without_code(request), "Set-Cookie": cookie})
            if (refused := access.wrong(request)).status != 401:
                raise refused
        inside = code is None and await access.is_let_in(request)
        page = await _page(assets, "index.html" if inside else "login.html")
        return web.Response(
            status=200 if inside else 401,
            text=page.text,
            content_type="text/html",
            charset="utf-8",
            headers={"Content-Security-Policy": policy(page.scripts)},
        )

    return home


def _without_code(request: web.Request) -> str:
    """The same address without the code: always a path of this server."""
    left = [(name, value) for name, value in request.query.items() if name != "login"]
    return f"{HOME}?{urlencode(left)}" if left else HOME


def _is_prefetch(request: web.Request) -> bool:
    """Whether a browser loads the page in case somebody wants it; a code is not used up for that."""
    return any("prefetch" in request.headers.get(name, "").lower() for name in ("Sec-Purpose", "Purpose"))


def _below(assets: Assets) -> Handler:
    async def below(request: web.Request) -> web.StreamResponse:
        return await _sent(request, assets, request.match_info["path"])

    return below


def _file(assets: Assets, name: str) -> Handler:
    async def file(request: web.Request) -> web.StreamResponse:
        return await _sent(request, assets, name)

    return file


async def _sent(request: web.Request, assets: Assets, path: str) -> web.StreamResponse:
    """A file; one that the present version names may be kept for ever, any other is asked for each time."""
    try:
        body, kind, present = await asyncio.to_thread(_read, assets, path)
    except OSError:
        raise _unreadable() from None
    tag = hashlib.sha256(body).hexdigest()[:32]
    headers = {"ETag": f'"{tag}"', "Cache-Control": _KEPT if present else _ASKED_EACH_TIME, "Content-Type": kind}
    given = request.if_none_match or ()
    if any(one.value in (tag, "*") for one in given):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, headers=headers)


def _read(assets: Assets, path: str) -> tuple[bytes, str, bool]:
    file, kind, present = assets.find(path)
    with file:
        return file.read(), kind, present


async def _page(assets: Assets, name: str) -> Page:
    try:
        return await asyncio.to_thread(assets.page, name)
    except FileNotFoundError:
        raise not_found("page") from None
    except (OSError, UnicodeDecodeError):
        raise _unreadable() from None


def _unreadable() -> Refused:
    return Refused(500, "internal", "A file of this installation cannot be read.")
