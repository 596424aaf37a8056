"""Text inside picture files: PNG text chunks, XMP packets in JPEG and WebP. The pixels' bytes are not touched.

Formats: PNG (ISO/IEC 15948, iTXt), JPEG (ITU-T T.81, APP1), WebP container (RFC 9649), XMP part 3 (ISO 16684-1).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape, unescape

from nodegraph.sdk.errors import NodeError

PNG = b"\x89PNG\r\n\x1a\n"
_XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
_JPEG_SEGMENT = 65533 - len(_XMP_HEAD)
_LONGEST = 1 << 26  # bytes that a compressed text may unpack to
_NAMESPACE = "urn:nodegraph:xmp:1.0:"


def embed(data: bytes, media_type: str, texts: Mapping[str, str]) -> bytes:
    """`data` with the named texts inside. Media types that cannot carry any come back as they were.

    Raises NodeError when a JPEG cannot hold that much.
    """
    if not texts:
        return data
    match media_type:
        case "image/png":
            return _png(data, texts)
        case "image/jpeg":
            return _jpeg(data, _packet(texts))
        case "image/webp":
            return _webp(data, _packet(texts))
        case _:
            return data


def extract(data: bytes) -> dict[str, str]:
    """The texts inside a picture file: empty when there are none, or the file is of another kind, or broken."""
    try:
        if data.startswith(PNG):
            return dict(_png_texts(data))
        if data.startswith(b"\xff\xd8"):
            return _texts(next(_jpeg_packets(data), b""))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _texts(next((body for name, body in _riff(data) if name == b"XMP "), b""))
    except (struct.error, ValueError, IndexError, zlib.error):
        return {}
    return {}


# ---- PNG ----


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _png(data: bytes, texts: Mapping[str, str]) -> bytes:
    head = len(PNG) + 25  # IHDR is always first and 13 bytes long
    chunks = (_chunk(b"iTXt", key.encode("latin-1") + b"\0\0\0\0\0" + text.encode()) for key, text in texts.items())
    return data[:head] + b"".join(chunks) + data[head:]


def _png_texts(data: bytes) -> Iterator[tuple[str, str]]:
    at = len(PNG)
    while at + 8 <= len(data):
        (size,) = struct.unpack_from(">I", data, at)
        name, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        if name == b"iTXt":
            key, rest = body.split(b"\0", 1)
            _language, _translated, text = rest[2:].split(b"\0", 2)
            yield key.decode("latin-1"), (zlib.decompressobj().decompress(text, _LONGEST) if rest[0] else text).decode()
        elif name == b"tEXt":
            key, text = body.split(b"\0", 1)
            yield key.decode("latin-1"), text.decode("latin-1")
        elif name == b"IEND":
            return
        at += size + 12


# ---- XMP ----


def _packet(texts: Mapping[str, str]) -> bytes:
    body = "".join(f"<nodegraph:{key}>{escape(text)}</nodegraph:{key}>" for key, text in texts.items())
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:nodegraph="{_NAMESPACE}">{body}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def _texts(packet: bytes) -> dict[str, str]:
    found = re.findall(r"<nodegraph:([a-z_]+)>(.*?)</nodegraph:\1>", packet.decode("utf-8", "replace"), re.DOTALL)
    return {key: unescape(text) for key, text in found}


def _jpeg(data: bytes, packet: bytes) -> bytes:
    if len(packet) > _JPEG_SEGMENT:
        raise NodeError(
            "The workflow is too large to travel inside a JPEG.",
            expected=f"at most {_JPEG_SEGMENT:,} bytes",
            got=f"{len(packet):,}",
            hint="Save as PNG or WebP, or embed only the parameters.",
        )
    segment = b"\xff\xe1" + struct.pack(">H", len(_XMP_HEAD) + len(packet) + 2) + _XMP_HEAD + packet
    at = 2
    if data[2:4] == b"\xff\xe0":  # JFIF stays first
        at += 2 + struct.unpack_from(">H", data, 4)[0]
    return data[:at] + segment + data[at:]


def _jpeg_packets(data: bytes) -> Iterator[bytes]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        (size,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + size]
        if data[at + 1] == 0xE1 and body.startswith(_XMP_HEAD):
            yield body[len(_XMP_HEAD) :]
        at += 2 + size


# ---- WebP ----


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        (size,) = struct.unpack_from("<I", data, at + 4)
        yield data[at : at + 4], data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _webp(data: bytes, packet: bytes) -> bytes:
    chunks = list(_riff(data))
    if chunks[0][0] == b"VP8X":
        head = bytearray(chunks.pop(0)[1])
    else:
        width, height, alpha = _webp_size(*chunks[0])
        sizes = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
        head = bytearray(bytes([0x10 if alpha else 0, 0, 0, 0]) + sizes)
    head[0] |= 0x04
    rows = [(b"VP8X", bytes(head)), *chunks, (b"XMP ", packet)]
    body = b"".join(name + struct.pack("<I", len(part)) + part + b"\0" * (len(part) % 2) for name, part in rows)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _webp_size(name: bytes, body: bytes) -> tuple[int, int, bool]:
    """Width, height and whether there is alpha, from a bare VP8 or VP8L chunk."""
    if name == b"VP8L":
        (bits,) = struct.unpack_from("<I", body, 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bool(bits >> 28 & 1)
    width, height = struct.unpack_from("<HH", body, 6)
    return width & 0x3FFF, height & 0x3FFF, False
