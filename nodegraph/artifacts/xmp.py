"""XMP packets (ISO 16684-1): our texts as properties of our own namespace, beside whatever else a packet holds.

Reading goes through expat, which sees no tree and expands no entity; writing puts one `rdf:Description` into the packet.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from nodegraph.artifacts.inside import LONGEST_TEXT

OURS = "urn:nodegraph:xmp:1.0:"
NOTE = "http://ns.adobe.com/xmp/note/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_BEGIN, _END = f'<rdf:Description rdf:about="" xmlns:rdf="{_RDF}" xmlns:nodegraph="{OURS}">', "</rdf:Description>"
_EMPTY = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"></rdf:RDF></x:xmpmeta>'
_BASE64 = "_base64"
_UNFIT = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # characters that XML 1.0 cannot hold


def packet(texts: Mapping[str, str], before: bytes = b"", more: Mapping[str, str] | None = None, wrapped: bool = True) -> bytes:
    """A packet that holds these texts, and everything that the packet before it held beside texts of ours.

    `more` are notes of XMP itself (`HasExtendedXMP`). What was no packet before is not kept: there is nobody who could
    read it.
    """
    rows = [_row(key, text) for key, text in texts.items()]
    rows += [
        f"<xmpNote:{key} xmlns:xmpNote={quoteattr(NOTE)}>{escape(text)}</xmpNote:{key}>" for key, text in (more or {}).items()
    ]
    ours = f"{_BEGIN}{''.join(rows)}{_END}" if rows else ""
    old = without_ours(before)
    if old:
        opened = re.sub(r"<(([\w.-]+:)?RDF)\b([^<>]*)/>", r"<\1\3></\1>", old, count=1)
        at = max(match.start() for match in re.finditer(r"</([\w.-]+:)?RDF\s*>", opened))
        return (opened[:at] + ours + opened[at:]).encode()
    made = _EMPTY.replace("</rdf:RDF>", f"{ours}</rdf:RDF>")
    if wrapped:
        made = f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{made}<?xpacket end="w"?>'
    return made.encode("utf-8", "replace")


def _row(key: str, text: str) -> str:
    """One text as an element; what XML cannot hold (control characters) travels as base64."""
    text = text.encode("utf-8", "replace").decode()
    if _UNFIT.search(text):
        key, text = key + _BASE64, base64.b64encode(text.encode()).decode()
    return f"<nodegraph:{key}>{escape(text, {chr(13): '&#13;'})}</nodegraph:{key}>"


def without_ours(data: bytes) -> str:
    """A packet's text without our texts; empty where that leaves nothing, or the data was no packet that XML can read."""
    if not data or not _is_packet(text := _decoded(data)):
        return ""
    at = text.find(_BEGIN)
    while at >= 0:
        end = text.find(_END, at)
        text = text[:at] + text[end + len(_END) :] if end >= 0 else text[:at]
        at = text.find(_BEGIN)
    bare = re.sub(r"<\?.*?\?>", "", text).strip()
    return "" if bare == _EMPTY else text


def texts(data: bytes) -> dict[str, str]:
    """Our texts in a packet; what comes before damage is still given."""
    found = {}
    for key, text in properties(data, OURS).items():
        if key.endswith(_BASE64):
            try:
                found[key.removesuffix(_BASE64)] = base64.b64decode(text, validate=True).decode()
            except (binascii.Error, ValueError):
                continue
        else:
            found[key] = text
    return found


def properties(data: bytes, namespace: str) -> dict[str, str]:
    """The plain properties of one namespace, written as elements or as attributes."""
    found: dict[str, str] = {}
    inside: list[tuple[str, list[str]]] = []

    def begin(name: str, attributes: dict[str, str]) -> None:
        for key, value in attributes.items():
            if key.startswith(f"{namespace} "):
                found[key.rpartition(" ")[2]] = value
        if inside or name.startswith(f"{namespace} "):
            inside.append((name.rpartition(" ")[2], []))

    def end(name: str) -> None:
        if inside:
            key, parts = inside.pop()
            if not inside:
                found[key] = "".join(parts)

    def text(part: str) -> None:
        if inside:
            inside[0][1].append(part)

    _parse(_decoded(data), begin, end, text)
    return found


def _decoded(data: bytes) -> str:
    """A packet as text: UTF-8 as almost always, else UTF-16 by its first bytes."""
    data = data[:LONGEST_TEXT]
    kind = "utf-8"
    if data[:2] in (b"\xff\xfe", b"<\0"):
        kind = "utf-16-le"
    elif data[:2] in (b"\xfe\xff", b"\0<"):
        kind = "utf-16-be"
    text = data.decode(kind, "replace").lstrip("\ufeff").strip("\0 \t\r\n")
    return re.sub(r"\A<\?xml\s[^<>]{0,200}\?>\s*", "", text)


def _is_packet(text: str) -> bool:
    found: list[bool] = []

    def begin(name: str, attributes: dict[str, str]) -> None:
        if name == f"{_RDF} RDF":
            found.append(True)

    return _parse(text, begin, None, None) and bool(found)


class _Unwanted(Exception):
    """A packet declares entities: XMP has none, and they could grow without end."""


def _parse(text: str, begin: object, end: object, characters: object) -> bool:
    """Walk through XML with these handlers. False where it is not well-formed."""

    def refuse(*_: object) -> None:
        raise _Unwanted

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.EndElementHandler = begin, end  # type: ignore[assignment]
    parser.CharacterDataHandler = characters  # type: ignore[assignment]
    parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(text.encode("utf-8", "replace"), True)
    except (expat.ExpatError, _Unwanted):
        return False
    return True
