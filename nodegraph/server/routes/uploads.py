"""Uploads: files of the user's that workflows are to read, sent at once or in pieces."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from functools import partial

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from nodegraph.artifacts.content import is_picture_name
from nodegraph.server.arriving import FOLDER, Kept, kept_files, media_type_by_name, remove_file
from nodegraph.server.file_names import safe_name
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.routes.artifacts import FileQuery, ThumbnailQuery, send_thumbnail
from nodegraph.server.routing import Call, Given, Raw, endpoint
from nodegraph.server.sending import SHOWN, open_below, send_file
from nodegraph.server.service import Server
from nodegraph.server.uploads import UploadState
from nodegraph.wire.files import Upload, UploadedFile, UploadedName, UploadId, UploadList, UploadStart

_ID, _NAME = {"id": UploadId}, {"name": UploadedName}
_OF_ARRIVED = ("file", "digest", "media_type", "width", "height")
_BYTES = "application/octet-stream"
_OFFSET = "Where the body goes on: as many bytes as have arrived."


class UploadQuery(BaseModel):
    """About a file that is sent at once."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="", max_length=1000, description="What it is called where it comes from.")


@endpoint(
    "POST",
    "/api/uploads",
    body=Raw(("image/*", _BYTES), "The file.", or_json=UploadStart),
    query=UploadQuery,
    answers={201: Upload},
    refuses=(408, 411, 507),
    tag="uploads",
)
async def start_upload(server: Server, call: Call) -> Given:
    """Send a file at once, as the body; or announce it as JSON, to send it in pieces to the `url` that comes back.

    Its kind is found by its content: pictures (PNG, JPEG, WebP, AVIF, GIF), safetensors, JSON, text and ZIP are taken. Where a
    picture is announced, by Content-Type or by name, nothing else is. The same content twice is one file.
    """
    start: UploadStart | None = call.body
    if start is not None:
        digest = None if start.sha256 is None else start.sha256.removeprefix("sha256:")
        state = await server.uploads.announce(_shown_name(start.name), start.bytes, digest, is_picture_name(start.name))
    else:
        state = await _received_at_once(server, call)
    upload = _view(state)
    return Given(upload, headers={"Location": upload.url, **_progress(state)})


async def _received_at_once(server: Server, call: Call) -> UploadState:
    name, size = call.query.name, call.request.content_length
    if size is None:
        raise Refused(411, "no_length", "Send Content-Length, or announce the file as JSON and send it in pieces.")
    if size == 0:
        raise Refused(422, "empty", "The file is empty.")
    picture = call.request.content_type.startswith("image/") or is_picture_name(name)
    state = await server.uploads.announce(_shown_name(name), size, None, picture)
    id_ = state.announced.id
    try:
        state, _ = await server.uploads.receive(id_, 0, size, call.request.content)
    except BaseException:  # nobody knows its id, so nobody can go on with it
        with contextlib.suppress(Refused):
            await server.uploads.remove(id_)
        raise
    await _told(server, state)
    return state


@endpoint("GET", "/api/uploads", answers={200: UploadList}, tag="uploads")
async def list_uploads(server: Server, call: Call) -> UploadList:
    """Uploads on their way, and the files that have arrived."""
    files = await asyncio.to_thread(kept_files, server.inputs)
    return UploadList(uploads=[_view(state) for state in await server.uploads.unfinished()], files=list(map(_kept, files)))


@endpoint("GET", "/api/uploads/{id}", types=_ID, answers={200: Upload}, tag="uploads")
async def get_upload(server: Server, call: Call) -> Given:
    """How an upload stands; of a finished one, for a day, what it became."""
    state = await server.uploads.state(call.id)
    return Given(_view(state), headers=_progress(state))


@endpoint("HEAD", "/api/uploads/{id}", types=_ID, answers={200: None}, tag="uploads")
async def head_upload(server: Server, call: Call) -> Given:
    """Where to go on, in the header Upload-Offset."""
    return Given(None, headers=_progress(await server.uploads.state(call.id)))


@endpoint(
    "PATCH",
    "/api/uploads/{id}",
    types=_ID,
    body=Raw((_BYTES,), "The next bytes of the file."),
    answers={204: None, 200: Upload},
    headers={"Upload-Offset": _OFFSET},
    refuses=(408, 409, 507),
    tag="uploads",
)
async def continue_upload(server: Server, call: Call) -> Given:
    """Send the next bytes. 204 says that more is to come, 200 that the file is complete, and what it became.

    When the connection breaks, what had arrived stays, also when the server is started anew: ask where to go on, and go on. A
    request that still seems to send gives way to a new one.
    """
    said = call.header("Upload-Offset") or ""
    if not (said.isascii() and said.isdigit() and len(said) < 20):
        raise Refused(400, "no_offset", "Say in the header Upload-Offset where the body goes on.")
    state, finished = await server.uploads.receive(call.id, int(said), call.request.content_length, call.request.content)
    if finished:
        await _told(server, state)
    if state.arrived is None:
        return Given(None, status=204, headers=_progress(state))
    return Given(_view(state), status=200, headers=_progress(state))


@endpoint("DELETE", "/api/uploads/{id}", types=_ID, answers={204: None}, tag="uploads")
async def delete_upload(server: Server, call: Call) -> None:
    """Give an upload up. A file that it became stays."""
    await server.uploads.remove(call.id)


# ---- files that have arrived ----


@endpoint(
    "GET",
    "/api/uploads/files/{name}",
    types=_NAME,
    query=FileQuery,
    answers={200: Raw((*sorted(SHOWN), _BYTES), "The file."), 206: Raw((*sorted(SHOWN), _BYTES), "A part."), 304: None},
    refuses=(412, 416),
    tag="uploads",
)
async def get_uploaded_file(server: Server, call: Call) -> web.StreamResponse:
    """An uploaded file."""
    name, media_type = _named(call)
    query: FileQuery = call.query
    file = await asyncio.to_thread(open_below, server.inputs, server.inputs / FOLDER / name)
    return await send_file(call.request, file, media_type, f'"{name}"', query.name)


@endpoint(
    "GET",
    "/api/uploads/files/{name}/thumbnail",
    types=_NAME,
    query=ThumbnailQuery,
    answers={200: Raw(("image/webp",), "A small picture."), 304: None},
    refuses=(422,),
    tag="uploads",
)
async def get_uploaded_thumbnail(server: Server, call: Call) -> web.StreamResponse:
    """A small picture of an uploaded picture."""
    name, _ = _named(call)
    query: ThumbnailQuery = call.query
    opened = partial(open_below, server.inputs, server.inputs / FOLDER / name)
    return await send_thumbnail(server, call.request, name.partition(".")[0], query.size, opened)


@endpoint("DELETE", "/api/uploads/files/{name}", types=_NAME, answers={204: None}, refuses=(507,), tag="uploads")
async def delete_uploaded_file(server: Server, call: Call) -> None:
    """Remove an uploaded file. Workflows that name it can no longer run."""
    name, _ = _named(call)
    try:
        gone = await asyncio.to_thread(remove_file, server.inputs, name)
    except OSError as error:
        raise Refused(507, "not_removed", f"The file cannot be removed ({error.strerror}).") from None
    if not gone:
        raise not_found("file")
    await asyncio.to_thread(server.thumbnails.forget, name.partition(".")[0])


def _named(call: Call) -> tuple[str, str]:
    name = str(call.path["name"])
    media_type = media_type_by_name(name)
    if media_type is None:
        raise not_found("file")
    return name, media_type


def _shown_name(name: str) -> str:
    """The name as it may be shown and saved under, whatever was sent; it never becomes a path."""
    return safe_name(name) if name else ""


async def _told(server: Server, state: UploadState) -> None:
    arrived = state.arrived
    assert arrived is not None
    about = {"file": arrived.file, "digest": arrived.digest, "media_type": arrived.media_type, "bytes": arrived.bytes}
    await server.store.tell([("upload_finished", None, {"id": state.announced.id, **about})])


def _progress(state: UploadState) -> dict[str, str]:
    offset, size = str(state.offset), str(state.announced.bytes)
    return {"Upload-Offset": offset, "Upload-Length": size, "Cache-Control": "no-store"}


def _view(state: UploadState) -> Upload:
    announced, arrived = state.announced, state.arrived
    return Upload(
        id=announced.id,
        url=f"/api/uploads/{announced.id}",
        state="arriving" if arrived is None else "complete",
        name=announced.name,
        bytes=announced.bytes,
        offset=state.offset,
        created=datetime.fromtimestamp(announced.created, UTC),
        **({} if arrived is None else {name: getattr(arrived, name) for name in _OF_ARRIVED}),
    )


def _kept(found: Kept) -> UploadedFile:
    return UploadedFile(
        name=found.name,
        file=f"{FOLDER}/{found.name}",
        url=f"/api/uploads/files/{found.name}",
        media_type=found.media_type,
        bytes=found.bytes,
        created=datetime.fromtimestamp(found.created, UTC),
    )
