"""Models: which there are, and whether one is whole. Folders are told by name: where they lie is nobody's business."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from aiohttp import web

from nodegraph.jobs.live import Passing
from nodegraph.sdk.errors import Problem
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.routes.artifacts import ThumbnailQuery, send_thumbnail
from nodegraph.server.routing import Call, Raw, endpoint
from nodegraph.server.sending import ASKED, open_below
from nodegraph.server.service import Server
from nodegraph.store import Digests
from nodegraph.store.models import ModelInfo, Verified, list_models, verify_model
from nodegraph.wire.models import ModelList, ModelName, ModelVerified, ModelView
from nodegraph.wire.problems import rows

_TOLD_SECONDS = 0.25
_ENDING = ".safetensors"
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".preview.png")


class _Stopped(Exception):
    """The server is being stopped."""


@endpoint("GET", "/api/models", answers={200: ModelList}, tag="models")
async def get_models(server: Server, call: Call) -> ModelList:
    """The models in all folders that are searched."""
    found = await asyncio.to_thread(_listed, server)
    return ModelList(models=await asyncio.to_thread(lambda: [_view(info, server) for info in found]))


@endpoint(
    "GET",
    "/api/models/{name}/thumbnail",
    types={"name": ModelName},
    query=ThumbnailQuery,
    answers={200: Raw(("image/webp",), "A small picture."), 304: None},
    headers={"If-None-Match": "The ETag of a copy that is there already: then 304 comes."},
    refuses=(422,),
    tag="models",
)
async def get_model_thumbnail(server: Server, call: Call) -> web.StreamResponse:
    """A small picture of what a model makes: of the picture that lies beside it, or in its folder."""
    query: ThumbnailQuery = call.query
    found = await asyncio.to_thread(_picture, server, str(call.path["name"]))
    if found is None:
        raise not_found("picture")
    opened = partial(open_below, found.path.parent, found.path)
    return await send_thumbnail(server, call.request, found.identity, query.size, opened, ASKED)


@endpoint(
    "POST",
    "/api/models/{name}/verify",
    types={"name": ModelName},
    answers={200: ModelVerified},
    refuses=(409, 503),
    tag="models",
)
async def verify_a_model(server: Server, call: Call) -> ModelVerified:
    """Read a model whole, and compare it with what is known of it. The answer comes when it has been read.

    Until then `model_progress` events say how far it is; `model_verified` says how it ended, also to those who did not ask.
    """
    name = str(call.path["name"])
    if server.verifying.locked():
        raise Refused(409, "busy", "A model is being read already.", headers={"Retry-After": "10"})
    async with server.verifying:
        found = await asyncio.to_thread(_listed, server)
        info = next((info for info in found if name in (info.name, info.name.removesuffix(".safetensors"))), None)
        if info is None:
            raise not_found("model")
        try:
            verified = await asyncio.to_thread(_verified, server, info, _progress(server, info))
        except _Stopped:
            raise Refused(503, "stopping", "The server is being stopped.") from None
    shown = ModelVerified(
        model=_view(verified.info, server),
        ok=not verified.problems,
        compared_with=list(verified.against),
        problems=rows(_told(problem, server) for problem in verified.problems),
    )
    await server.store.tell([("model_verified", None, {"model": info.name, "ok": shown.ok})])
    return shown


def _listed(server: Server) -> list[ModelInfo]:
    return list_models(server.session.roots.models, _digests(server))


def _verified(server: Server, info: ModelInfo, progress: Callable[[int], None]) -> Verified:
    digests = _digests(server)
    try:
        return verify_model(info, digests, progress)
    finally:
        digests.remember()


def _digests(server: Server) -> Digests:
    return Digests(server.data / "digests.json")


def _progress(server: Server, info: ModelInfo) -> Callable[[int], None]:
    """Tells listeners how far the reading is, from the thread that reads."""
    loop, done, told = asyncio.get_running_loop(), 0, 0.0

    def more(size: int) -> None:
        nonlocal done, told
        if server.draining:
            raise _Stopped
        done += size
        if (now := time.monotonic()) - told >= _TOLD_SECONDS:
            told = now
            data = {"job": None, "model": info.name, "done": min(done, info.size_bytes), "total": info.size_bytes}
            loop.call_soon_threadsafe(server.hub.passing, Passing("", info.name, "model_progress", data))

    return more


def _view(info: ModelInfo, server: Server) -> ModelView:
    return ModelView(
        name=info.name,
        kind=info.kind,
        family=info.family,
        bytes=info.size_bytes,
        folder=info.root.name,
        digest=f"sha256:{info.sha256}" if info.sha256 else None,
        thumbnail=f"/api/models/{quote(info.name, safe='')}/thumbnail" if _picture(server, info.name) else None,
        trouble=None if info.trouble is None else _without_places(info.trouble, server.session.roots.models),
    )


class _Picture(NamedTuple):
    """A picture of what a model makes; `identity` changes with it."""

    path: Path
    identity: str


def _picture(server: Server, name: str) -> _Picture | None:
    """The picture beside the model that is found by a name, or in its folder."""
    for root in server.session.roots.models:
        with contextlib.suppress(OSError, ValueError):  # too long, or with characters that no name has
            model = root / name
            if not model.resolve().is_relative_to(root.resolve()) or not (model.is_dir() or model.suffix == _ENDING):
                continue
            if model.exists():
                return next(filter(None, map(_regular, _pictures_of(model))), None)
    return None


def _pictures_of(model: Path) -> Iterator[Path]:
    start = model.name.removesuffix(_ENDING)
    yield from (model.with_name(f"{start}{ending}") for ending in _PICTURES)
    if model.is_dir():
        yield from (model / name for name in ("preview.png", "grid.png"))


def _regular(path: Path) -> _Picture | None:
    with contextlib.suppress(OSError):
        if stat.S_ISREG((about := path.lstat()).st_mode):
            told = f"{path}\0{about.st_size}\0{about.st_mtime_ns}"
            return _Picture(path, hashlib.sha256(told.encode(errors="replace")).hexdigest())
    return None


def _told(problem: Problem, server: Server) -> Problem:
    return replace(problem, message=_without_places(problem.message, server.session.roots.models))


def _without_places(text: str, roots: Iterable[Path]) -> str:
    """A text that names the searched folders by their last part."""
    places = {str(place): root.name for root in roots for place in (root, root.resolve())}
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(place, places[place])
    return text
