"""What packs say of their nodes: a text and its pictures, from the pack's own folder `docs`. No pack is imported for it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel, Field

from nodegraph.artifacts.content import picture_format
from nodegraph.sdk.documentation import MOST_PICTURE_BYTES, MOST_TEXT_BYTES, PICTURE_NAME, PICTURES, docs_folder
from nodegraph.sdk.errors import PackError
from nodegraph.sdk.pack import installed_packs
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.ranges import names_tag
from nodegraph.server.routes.nodes import Part
from nodegraph.server.routing import Call, Raw, endpoint
from nodegraph.server.sending import CAREFUL, open_below
from nodegraph.server.service import Server
from nodegraph.store.ledger import digest_of

PictureName = Annotated[str, Field(pattern=PICTURE_NAME)]


class NodeDocumentation(BaseModel):
    """A node's documentation: Markdown, and where the pictures lie that it shows, by the names that it uses."""

    markdown: str
    pictures: dict[str, str]


@endpoint(
    "GET",
    "/api/nodes/{pack}/{name}/documentation",
    types={"pack": Part, "name": Part},
    answers={200: NodeDocumentation},
    tag="nodes",
)
async def get_documentation(server: Server, call: Call) -> NodeDocumentation:
    """What the pack says of a node, where the catalog says `docs`."""
    pack, name = str(call.path["pack"]), str(call.path["name"])
    if f"{pack}/{name}" not in (await server.catalog()).nodes:
        raise not_found("node type")
    return await asyncio.to_thread(_documentation, pack, name)


@endpoint(
    "GET",
    "/api/packs/{pack}/docs/{file}",
    types={"pack": Part, "file": PictureName},
    answers={200: Raw(tuple(sorted(set(PICTURES.values()))), "A picture."), 304: None},
    headers={"If-None-Match": "The ETag of a copy that is there already: then 304 comes."},
    tag="nodes",
)
async def get_picture(server: Server, call: Call) -> web.Response:
    """A picture of a pack's documentation."""
    data, media_type = await asyncio.to_thread(_picture, str(call.path["pack"]), str(call.path["file"]))
    tag = f'"{digest_of(data)}"'
    headers = {**CAREFUL, "ETag": tag, "Cache-Control": "private, no-cache"}
    if names_tag(call.header("If-None-Match"), tag, weak=True):
        return web.Response(status=304, headers=headers)
    return web.Response(body=data, content_type=media_type, headers=headers)


def _documentation(pack: str, name: str) -> NodeDocumentation:
    folder = _folder(pack)
    try:
        text = _read(folder, f"{name}.md", MOST_TEXT_BYTES).decode()
    except UnicodeDecodeError:
        raise Refused(404, "not_found", f"The documentation of {pack}/{name} is not UTF-8.") from None
    names = sorted(file.name for file in folder.iterdir() if re.match(PICTURE_NAME, file.name) and file.name in text)
    return NodeDocumentation(markdown=text, pictures={name: f"/api/packs/{quote(pack)}/docs/{name}" for name in names})


def _picture(pack: str, name: str) -> tuple[bytes, str]:
    """A picture and its media type. What is no picture of the kind that its name says is not there."""
    folder = _folder(pack)
    data = _read(folder, name, MOST_PICTURE_BYTES)
    media_type = PICTURES[Path(name).suffix]
    if f"image/{picture_format(data)}" != media_type:
        raise not_found("picture")
    return data, media_type


def _folder(pack: str) -> Path:
    try:
        point = installed_packs().get(pack)
    except PackError:
        point = None
    folder = docs_folder(point) if point is not None else None
    if folder is None:
        raise not_found("documentation")
    return folder


def _read(folder: Path, name: str, most: int) -> bytes:
    with open_below(folder, folder / name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise not_found("documentation")
    return data
