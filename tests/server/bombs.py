"""Files made to do harm: small ones that unpack to huge ones, and ones that are two things at once."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from typing import Any

from PIL import Image


def picture(format_: str = "PNG", size: tuple[int, int] = (40, 30), **more: Any) -> bytes:
    """A picture of a gradient, so that each pixel is told from the others."""
    made, pixels = io.BytesIO(), Image.linear_gradient("L").resize(size).convert("RGB")
    pixels.save(made, format_, **more)
    return made.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *extra: bytes, data: bytes = b"") -> bytes:
    """A PNG with a header that says its size, and whatever is to be in it."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", data or zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + body + chunk(b"IEND", b"")


def zeros(mebibytes: int) -> bytes:
    """So much, compressed to a thousandth."""
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(mebibytes)), packer.flush()])


def text_bomb() -> bytes:
    """A small PNG whose compressed text unpacks to 512 MiB."""
    return png(1, 1, chunk(b"zTXt", b"workflow\0\0" + zeros(512)), data=zlib.compress(b"\0\0\0\0"))


def profile_bomb() -> bytes:
    """A small PNG whose colour profile unpacks to 512 MiB."""
    return png(1, 1, chunk(b"iCCP", b"icc\0\0" + zeros(512)), data=zlib.compress(b"\0\0\0\0"))


def large_webp() -> bytes:
    """A WebP that says that it has 16,384 x 16,384 pixels."""
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + (16383).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", len(body)) + body


def resized(data: bytes, old: bytes, new: bytes) -> bytes:
    """A file with its size in the header changed."""
    assert data.count(old) >= 1
    return data.replace(old, new)


def large_avif() -> bytes:
    made = picture("AVIF", (40, 30))
    return resized(made, struct.pack(">II", 40, 30), struct.pack(">II", 60_000, 60_000))


def large_jpeg() -> bytes:
    return resized(picture("JPEG", (40, 30)), struct.pack(">HH", 30, 40), struct.pack(">HH", 60_000, 60_000))


def large_gif_frame() -> bytes:
    """A GIF of 1 x 1 whose first frame has 65,535 x 65,535."""
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"," + struct.pack("<4HB", 0, 0, 65535, 65535, 0) + b"\2\0;"


def pickled() -> bytes:
    return pickle.dumps({"weights": list(range(100))}, protocol=2)


def torch_archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("archive/data.pkl", pickled())
    return made.getvalue()


def archive(**files: str) -> bytes:
    """A zip of these files, the same at any time: tests are named after it, in several processes alike."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as packed:
        for name, text in files.items():
            packed.writestr(zipfile.ZipInfo(name), text)
    return made.getvalue()


def safetensors(size: int = 16) -> bytes:
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (size, size)
    return struct.pack("<Q", len(header)) + header + bytes(size)
