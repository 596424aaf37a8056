"""Answers that are files: conditions, ranges, and headers under which no browser takes a file for a page of this server.

The system copies from the file to the connection; nothing is read here but what goes between several ranges.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from aiohttp import web

from nodegraph.server.file_names import attachment, safe_name
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.ranges import Range, may_send_part, names_tag, wanted_ranges

SHOWN = frozenset({"image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "text/plain", "application/json"})
"""What a browser may show; everything else is saved."""

FOREVER = "private, max-age=31536000, immutable"
ASKED = "private, no-cache"
"""For what may change: kept, and asked for each time whether it is still the same."""

CAREFUL = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Whatever is in the file: no script runs, no type is guessed, and no other site has it."""

_PIECE = 1 << 18
_PIECE_SECONDS = 60.0
"""How long a client may take for a piece; while the system copies, nobody else sees that it does not read."""


def open_below(folder: Path, path: Path) -> BinaryIO:
    """A regular file in a folder, open. Raises Refused (404) for links, for folders, and for what links lead out to."""
    try:
        real = os.path.realpath(path.parent)
        if Path(real) != Path(os.path.realpath(folder)) / path.parent.relative_to(folder):
            raise not_found("file")
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except (OSError, ValueError):
        raise not_found("file") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise not_found("file")
    return os.fdopen(handle, "rb")


async def send_file(
    request: web.Request, file: BinaryIO, media_type: str, tag: str, name: str | None, kept: str = FOREVER
) -> web.StreamResponse:
    """An open file as the answer to GET or HEAD, and the file closed.

    tag: its strong entity tag. name: to be saved under. kept: how long browsers may keep it.
    """
    try:
        size = os.fstat(file.fileno()).st_size
        headers = {**CAREFUL, "ETag": tag, "Cache-Control": kept, "Accept-Ranges": "bytes"}
        if request.headers.get("If-Match") is not None and not names_tag(request.headers["If-Match"], tag, weak=False):
            raise Refused(412, "changed", headers={"ETag": tag})
        if names_tag(request.headers.get("If-None-Match"), tag, weak=True):
            return web.Response(status=304, headers=headers)
        shown = media_type if media_type in SHOWN else "application/octet-stream"
        if name is not None or shown != media_type or shown not in SHOWN:
            headers["Content-Disposition"] = attachment(safe_name(name or "file", media_type))
        ranges = None
        if request.method == "GET" and may_send_part(request.headers.get("If-Range"), tag):
            ranges = wanted_ranges(request.headers.get("Range"), size)
        if ranges == ():
            raise Refused(416, "no_such_range", f"There are {size} bytes.", headers={"Content-Range": f"bytes */{size}"})
        kind = "text/plain; charset=utf-8" if shown == "text/plain" else shown
        return await _send(request, file, size, kind, headers, ranges)
    finally:
        file.close()


async def _send(
    request: web.Request, file: BinaryIO, size: int, kind: str, headers: Mapping[str, str], ranges: tuple[Range, ...] | None
) -> web.StreamResponse:
    answer = web.StreamResponse(status=200 if ranges is None else 206, headers=headers)
    if ranges is not None and len(ranges) > 1:
        return await _send_parts(request, answer, file, size, kind, ranges)
    part = Range(0, size) if ranges is None else ranges[0]
    if ranges is not None:
        answer.headers["Content-Range"] = part.header(size)
    answer.headers["Content-Type"] = kind
    answer.content_length = part.end - part.start
    await answer.prepare(request)
    if request.method == "GET":
        await _copy(request, file, part)
    await answer.write_eof()
    return answer


async def _send_parts(
    request: web.Request, answer: web.StreamResponse, file: BinaryIO, size: int, kind: str, ranges: tuple[Range, ...]
) -> web.StreamResponse:
    """Several ranges as multipart/byteranges (RFC 9110, 14.6)."""
    boundary = secrets.token_hex(16)
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {part.header(size)}\r\n\r\n".encode() for part in ranges
    ]
    end = f"\r\n--{boundary}--\r\n".encode()
    answer.headers["Content-Type"] = f"multipart/byteranges; boundary={boundary}"
    answer.content_length = sum(map(len, heads)) + sum(part.end - part.start for part in ranges) + len(end)
    await answer.prepare(request)
    for head, part in zip(heads, ranges, strict=True):
        await answer.write(head)
        await _copy(request, file, part)
    await answer.write(end)
    await answer.write_eof()
    return answer


async def _copy(request: web.Request, file: BinaryIO, part: Range) -> None:
    loop, place = asyncio.get_running_loop(), part.start
    while place < part.end:
        if (transport := request.transport) is None:
            raise ConnectionResetError("the client has gone")
        size = min(_PIECE, part.end - place)
        try:
            async with asyncio.timeout(_PIECE_SECONDS):
                sent = await loop.sendfile(transport, file, place, size)
        except TimeoutError:
            transport.abort()
            raise ConnectionResetError("the client does not read") from None
        if sent != size:
            raise ConnectionResetError("the file has become shorter")
        place += size
