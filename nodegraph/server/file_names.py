"""Names of files as others give them, made harmless: for a header, and for whichever system a file is saved on."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

SUFFIXES: dict[str, tuple[str, ...]] = {
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/webp": (".webp",),
    "image/avif": (".avif",),
    "image/gif": (".gif",),
    "text/plain": (".txt", ".md", ".csv", ".log"),
    "application/json": (".json",),
    "application/zip": (".zip",),
    "application/vnd.safetensors": (".safetensors",),
    "application/octet-stream": (".bin", ".safetensors"),
}
"""The endings that a file of a type may have; the first is given to one that has none of them."""

_LONGEST = 180  # bytes of a name without its ending: file systems take 255
_NOT_IN_NAMES = re.compile(r'[<>:"|?*\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\u200b-\u200f\ufeff]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\Z", re.IGNORECASE)


def safe_name(name: str, media_type: str | None = None) -> str:
    """A file name of which every system makes one file, in the folder that is meant, with an ending that fits its type."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name.encode("utf-8", "ignore").decode()))[-1]
    clean = _NOT_IN_NAMES.sub("_", last).strip(" .")
    own = re.search(r"(?<=.)\.[A-Za-z0-9]{1,11}\Z", clean)
    endings = SUFFIXES.get(media_type, (".bin",)) if media_type is not None else (own[0].lower() if own else "",)
    ending = next((one for one in endings if clean.lower().endswith(one)), None)
    stem = clean[: -len(ending)].rstrip(" .") if ending else clean
    if _RESERVED.match(stem.split(".")[0].strip()):
        stem = f"_{stem}"
    stem = stem.encode()[:_LONGEST].decode(errors="ignore").rstrip(" .")
    return (stem or "file") + (endings[0] if ending is None else ending)


def attachment(name: str) -> str:
    """Content-Disposition for saving under a name: RFC 6266, with RFC 8187 for what is not ASCII."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r'[%"\\]', "_", plain)
    shown = plain if re.search(r"[A-Za-z0-9]", plain.rpartition(".")[0]) else f"file{plain[plain.rfind('.') :]}"
    extended = f"; filename*=UTF-8''{quote(name, safe='!#$&+^`|~')}" if shown != name else ""
    return f'attachment; filename="{shown}"{extended}'
