"""What a file is, by its bytes and not by its name: the few kinds that are taken in, and those that are turned away.

Turned away are files that run when they are opened (programs, scripts, pickles) and those that a browser would run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from nodegraph.artifacts.inside import Broken
from nodegraph.artifacts.picture_size import File, picture_size
from nodegraph.sdk.errors import NodeError
from nodegraph.store.files import check_safetensors

MEDIA_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".safetensors": "application/vnd.safetensors",
    ".zip": "application/zip",
    ".json": "application/json",
    ".txt": "text/plain",
}
"""The kinds that are taken in, by the ending that such files get."""

_HEAD = 4096
_LONGEST_JSON = 8 << 20
_LONGEST_SAFETENSORS_HEADER = 32 << 20
_LONGEST_TEXT = 64 << 20
_LARGEST_DIRECTORY = 16 << 20
_EXECUTABLE = (
    b"MZ",
    b"\x7fELF",
    b"#!",
    b"\xca\xfe\xba\xbe",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\0asm",
)
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_MARKUP = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)*<(?:!doctype|\?xml|html|head|body|svg|script|iframe|[a-z]+:svg)\b",
    re.IGNORECASE | re.DOTALL,
)
_PICTURE_NAME = re.compile(r"\.(png|jpe?g|webp|avif|gif)\Z", re.IGNORECASE)


class Content(NamedTuple):
    """A kind of file: its media type, the ending that it gets, and the size of a picture."""

    media_type: str
    ending: str
    width: int | None = None
    height: int | None = None


class Unwelcome(Exception):
    """A file that is not taken in: a code for programs, and why in a sentence."""

    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


def is_picture_name(name: str) -> bool:
    return _PICTURE_NAME.search(name) is not None


def picture_format(head: bytes) -> str | None:
    """Which picture format a file's first bytes are of: `png`, `jpeg`, `webp`, `avif`, `gif`."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        size = int.from_bytes(head[:4], "big")
        brands = head[8:12] + head[16 : min(size, 256)]
        if any(brands[i : i + 4] in (b"avif", b"avis") for i in range(0, len(brands), 4)):
            return "avif"
    return None


def media_type_of(file: BinaryIO) -> str:
    """The media type that a file's first bytes tell, for showing it; nothing is checked."""
    file.seek(0)
    head = file.read(16)
    found = picture_format(head + file.read(256))
    return f"image/{found}" if found else "application/octet-stream"


def recognise(path: Path, most_pixels: int, *, picture: bool = False) -> Content:
    """What a file is. picture: nothing but one is expected. Raises Unwelcome, OSError."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if format_ := picture_format(head):
            return _picture(file, format_, most_pixels)
        if picture:
            raise Unwelcome("no_picture", "This is no picture.", "Send a PNG, JPEG, WebP, AVIF or GIF file.")
        if head.startswith(_EXECUTABLE):
            raise Unwelcome("executable", "Programs and scripts are not taken.")
        if _PICKLE.match(head):
            raise _pickled()
        if head.startswith(b"PK\x03\x04"):
            return _zip(file)
        if _is_safetensors(head):
            return _safetensors(path)
        return _text(file, head)


def _picture(file: BinaryIO, format_: str, most_pixels: int) -> Content:
    try:
        size = picture_size(file, format_)
    except Broken as error:
        raise Unwelcome("broken_picture", f"The {format_.upper()} {error}.", "Send it again, whole.") from None
    if size.largest > most_pixels:
        message = f"The picture has {size.largest:,} pixels; at most {most_pixels:,} are taken."
        raise Unwelcome("too_many_pixels", message, "Make it smaller, or raise server.max_picture_pixels.")
    return _kind(".jpg" if format_ == "jpeg" else f".{format_}", size.width, size.height)


def _kind(ending: str, width: int | None = None, height: int | None = None) -> Content:
    return Content(MEDIA_TYPES[ending], ending, width, height)


def _pickled() -> Unwelcome:
    message = "This is a pickled file, which can run any code when it is opened."
    return Unwelcome("pickle", message, "Convert it to safetensors first.")


def _is_safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return head[8:10] in (b'{"', b"{}", b"{ ") and 2 <= length <= _LONGEST_SAFETENSORS_HEADER


def _safetensors(path: Path) -> Content:
    try:
        check_safetensors(path)
    except NodeError:
        message = "This looks like a safetensors file, but it is cut short or damaged."
        raise Unwelcome("broken_safetensors", message, "Send it again, whole.") from None
    return _kind(".safetensors")


# ---- ZIP ----


def _zip(file: BinaryIO) -> Content:
    try:
        pickled = any(name.lower().endswith((b".pkl", b".pickle")) for name in _names_in_zip(File(file)))
    except Broken as error:
        raise Unwelcome("broken_zip", f"The ZIP file {error}.", "Send it again, whole.") from None
    if pickled:  # as torch.save writes
        raise _pickled()
    return _kind(".zip")


def _names_in_zip(file: File) -> Iterator[bytes]:
    """The names in the central directory (APPNOTE 4.3.12); nothing is unpacked. Raises Broken."""
    tail_size = min(file.size, 65557)
    tail = file.at(file.size - tail_size, tail_size)
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or end + 22 > len(tail):
        raise Broken("is cut short")
    size, start = (int.from_bytes(tail[end + at : end + at + 4], "little") for at in (12, 16))
    if size > _LARGEST_DIRECTORY or start == 0xFFFFFFFF:
        raise Broken("holds more files than are looked at")
    directory, at = file.at(start, size), 0
    while at < size:
        if directory[at : at + 4] != b"PK\x01\x02" or at + 46 > size:
            raise Broken("is damaged")
        name, extra, comment = (int.from_bytes(directory[at + i : at + i + 2], "little") for i in (28, 30, 32))
        yield directory[at + 46 : at + 46 + name]
        at += 46 + name + extra + comment


# ---- text ----


def _text(file: BinaryIO, head: bytes) -> Content:
    if _MARKUP.match(head):
        raise Unwelcome("markup", "Pages and drawings in HTML, SVG or XML are not taken, as browsers run what is in them.")
    file.seek(0)
    data = file.read(_LONGEST_TEXT + 1)
    if len(data) <= _LONGEST_TEXT and b"\0" not in data:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
        else:
            return _kind(".json" if _is_json(text) else ".txt")
    hint = "Send a picture (PNG, JPEG, WebP, AVIF, GIF), safetensors, JSON, text in UTF-8, or ZIP."
    raise Unwelcome("unknown_content", "This is no kind of file that is taken.", hint)


def _is_json(text: str) -> bool:
    if len(text) > _LONGEST_JSON or text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
