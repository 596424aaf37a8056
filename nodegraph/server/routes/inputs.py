"""Files that workflows may read: what a file input can name, wherever it lies below the configured roots, and the files."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from nodegraph.artifacts.content import MEDIA_TYPES, is_picture_name, media_type_of
from nodegraph.server.input_files import InputFile, input_files, open_input
from nodegraph.server.routes.artifacts import send_thumbnail
from nodegraph.server.routing import Call, Raw, endpoint
from nodegraph.server.sending import ASKED, SHOWN, send_file
from nodegraph.server.service import Server
from nodegraph.wire.inputs import InputList, InputRow

_BYTES = "application/octet-stream"
_CONDITION = {"If-None-Match": "The ETag of a copy that is there already: then 304 comes."}


class InputsQuery(BaseModel):
    """Which files."""

    model_config = ConfigDict(extra="forbid")

    text: str | None = Field(default=None, max_length=500, description="Part of the name.")
    limit: int = Field(default=100, ge=1, le=500)
    cursor: str | None = Field(
        default=None, max_length=5000, pattern=r"^[0-9]{1,20}:", description="`next` of the page before."
    )


class NamedQuery(BaseModel):
    """Which file."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=4096, description="What a file input says.")


class SmallQuery(NamedQuery):
    """Which picture, and how large the small one is to be."""

    size: int = Field(default=256, ge=16, le=1024, description="Its longer side in pixels, rounded up.")


@endpoint("GET", "/api/inputs", query=InputsQuery, answers={200: InputList}, tag="inputs")
async def list_inputs(server: Server, call: Call) -> InputList:
    """The files that a file input may name, the newest first: uploads, and what lies in the folders that are configured."""
    query: InputsQuery = call.query
    files = await asyncio.to_thread(input_files, server.session.roots)
    if query.text:
        files = [file for file in files if query.text.casefold() in file.name.casefold()]
    if query.cursor is not None:
        modified, _, name = query.cursor.partition(":")
        files = [file for file in files if file.order > (-int(modified), name)]
    page = files[: query.limit]
    following = f"{page[-1].modified}:{page[-1].name}" if len(files) > query.limit else None
    return InputList(files=list(map(_row, page)), next=following)


@endpoint(
    "GET",
    "/api/inputs/file",
    query=NamedQuery,
    answers={200: Raw((*sorted(SHOWN), _BYTES), "The file."), 206: Raw((*sorted(SHOWN), _BYTES), "A part."), 304: None},
    headers=_CONDITION,
    refuses=(404, 412, 416),
    tag="inputs",
)
async def get_input_file(server: Server, call: Call) -> web.StreamResponse:
    """A file that an input may name. It may change, so ask with its ETag whether it has."""
    query: NamedQuery = call.query
    file, identity = await asyncio.to_thread(open_input, server.session.roots, query.name)
    media_type = await asyncio.to_thread(media_type_of, file)
    shown = None if media_type in SHOWN else PurePosixPath(query.name).name
    return await send_file(call.request, file, media_type, f'"{identity}"', shown, ASKED)


@endpoint(
    "GET",
    "/api/inputs/thumbnail",
    query=SmallQuery,
    answers={200: Raw(("image/webp",), "A small picture."), 304: None},
    headers=_CONDITION,
    refuses=(404, 422),
    tag="inputs",
)
async def get_input_thumbnail(server: Server, call: Call) -> web.StreamResponse:
    """A small picture of a picture that an input may name."""
    query: SmallQuery = call.query
    file, identity = await asyncio.to_thread(open_input, server.session.roots, query.name)
    file.close()
    opened = partial(_opened, server, query.name)
    return await send_thumbnail(server, call.request, identity, query.size, opened, ASKED)


def _opened(server: Server, name: str) -> BinaryIO:
    return open_input(server.session.roots, name)[0]


def _row(file: InputFile) -> InputRow:
    said = quote(file.name)
    suffix = PurePosixPath(file.name).suffix.lower()
    return InputRow(
        name=file.name,
        url=f"/api/inputs/file?name={said}",
        media_type=MEDIA_TYPES.get({".jpeg": ".jpg"}.get(suffix, suffix), _BYTES),
        bytes=file.bytes,
        modified=datetime.fromtimestamp(file.modified / 1e9, UTC),
        thumbnail=f"/api/inputs/thumbnail?name={said}" if is_picture_name(file.name) else None,
    )
