"""What jobs made: files by the digest of their content, small pictures of them, and what they carry."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import BinaryIO

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from nodegraph.artifacts import read_metadata
from nodegraph.artifacts.content import media_type_of
from nodegraph.artifacts.kept import path_of
from nodegraph.artifacts.reading import TITLES
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.ranges import names_tag
from nodegraph.server.routing import Call, Raw, endpoint
from nodegraph.server.sending import CAREFUL, FOREVER, SHOWN, open_below, send_file
from nodegraph.server.service import Server
from nodegraph.server.thumbnails import rounded
from nodegraph.wire.files import ArtifactDigest, FoundSettings, PictureMetadata

_DIGEST = {"digest": ArtifactDigest}
_FILE = Raw((*sorted(SHOWN), "application/octet-stream"), "The file.")
_PART = Raw((*_FILE.media_types, "multipart/byteranges"), "Parts of the file.")
_CONDITIONS = {
    "Range": "Parts of the file: bytes=0-99, bytes=-500, bytes=0-9,20-29.",
    "If-Range": "The ETag: without it being so, the whole file comes.",
    "If-None-Match": "The ETag of a copy that is there already: then 304 comes.",
    "If-Match": "The ETag that the file must have: else 412 comes.",
}
_LARGEST_PICTURE = 256 << 20
_MOST_TEXT = 16 << 20


class FileQuery(BaseModel):
    """How to hand a file out."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, min_length=1, max_length=1000, description="Save it under this name.")


class ThumbnailQuery(BaseModel):
    """How large the small picture is to be."""

    model_config = ConfigDict(extra="forbid")

    size: int = Field(
        default=256, ge=16, le=1024, description="Its longer side in pixels, rounded up to 64, 128, 256, 512 or 1024."
    )


@endpoint(
    "GET",
    "/api/artifacts/{digest}",
    types=_DIGEST,
    query=FileQuery,
    answers={200: _FILE, 206: _PART, 304: None},
    headers=_CONDITIONS,
    refuses=(412, 416),
    tag="artifacts",
)
async def get_artifact(server: Server, call: Call) -> web.StreamResponse:
    """A file by its digest. It never changes, so it may be kept for ever; its ETag is the digest."""
    query: FileQuery = call.query
    number = _number(call)
    media_type = await _media_type(server, number)
    file = await asyncio.to_thread(_opened, server, number)
    if media_type is None:
        media_type = await asyncio.to_thread(media_type_of, file)
    return await send_file(call.request, file, media_type, _tag(number), query.name)


@endpoint(
    "HEAD",
    "/api/artifacts/{digest}",
    types=_DIGEST,
    query=FileQuery,
    answers={200: None, 304: None},
    headers={name: about for name, about in _CONDITIONS.items() if "Match" in name},
    refuses=(412,),
    tag="artifacts",
)
async def head_artifact(server: Server, call: Call) -> web.StreamResponse:
    """What GET says of a file, without the file."""
    return await get_artifact.handler(server, call)  # type: ignore[no-any-return]


@endpoint(
    "GET",
    "/api/artifacts/{digest}/thumbnail",
    types=_DIGEST,
    query=ThumbnailQuery,
    answers={200: Raw(("image/webp",), "A small picture."), 304: None},
    headers={"If-None-Match": _CONDITIONS["If-None-Match"]},
    refuses=(422,),
    tag="artifacts",
)
async def get_thumbnail(server: Server, call: Call) -> web.StreamResponse:
    """A small picture of a picture, upright."""
    query: ThumbnailQuery = call.query
    number = _number(call)
    return await send_thumbnail(server, call.request, number, query.size, partial(_opened, server, number))


@endpoint(
    "GET",
    "/api/artifacts/{digest}/metadata",
    types=_DIGEST,
    answers={200: PictureMetadata},
    refuses=(413,),
    tag="artifacts",
)
async def get_metadata(server: Server, call: Call) -> PictureMetadata:
    """What a picture carries: the workflow and settings of the program that made it, whichever it was."""
    number = _number(call)
    async with server.working:  # the file is read whole
        return await asyncio.to_thread(lambda: _metadata(_opened(server, number)))


async def send_thumbnail(
    server: Server, request: web.Request, digest: str, size: int, opened: partial[BinaryIO], kept: str = FOREVER
) -> web.StreamResponse:
    """The thumbnail of the picture that `opened` opens, as an answer. kept: how long browsers may keep it."""
    from nodegraph.server.small_pictures import NoThumbnail

    headers = {**CAREFUL, "ETag": f'"{digest}-{rounded(size)}"', "Cache-Control": kept}
    if names_tag(request.headers.get("If-None-Match"), headers["ETag"], weak=True):
        return web.Response(status=304, headers=headers)
    try:
        made = await server.thumbnails.get(digest, size, opened)
    except NoThumbnail as error:
        raise Refused(422, "no_thumbnail", str(error)) from None
    return web.Response(body=made.data, content_type=made.media_type, headers=headers)


def _number(call: Call) -> str:
    return str(call.path["digest"]).removeprefix("sha256:")


def _tag(number: str) -> str:
    return f'"sha256:{number}"'


def _opened(server: Server, number: str) -> BinaryIO:
    path = path_of(server.artifacts, number)
    if path is None:
        raise not_found("artifact")
    return open_below(server.artifacts, path)


async def _media_type(server: Server, number: str) -> str | None:
    query = "SELECT media_type FROM artifacts WHERE digest = ?"
    row = await server.store.read(lambda connection: connection.execute(query, (f"sha256:{number}",)).fetchone())
    return None if row is None else str(row[0])


def _metadata(file: BinaryIO) -> PictureMetadata:
    with file:
        data = file.read(_LARGEST_PICTURE + 1)
    if len(data) > _LARGEST_PICTURE:
        raise Refused(413, "too_large", "The file is too large to be read for this.")
    read = read_metadata(data)
    found, left, notes = [], _MOST_TEXT, list(read.notes)
    for one in read.found:
        texts = {}
        for name, text in one.texts.items():
            if len(text) <= left:
                texts[name] = text
                left -= len(text)
            else:
                notes.append(f"The text {name[:80]!r} is too long to be shown.")
        found.append(FoundSettings(program=one.program, title=TITLES[one.program], texts=texts))
    return PictureMetadata(format=read.format, found=found, notes=notes)
