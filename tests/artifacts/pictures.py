"""Picture files for tests, encoded by pillow: every format in its modes, plain and with metadata that others put there."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image, ImageCms

PIXELS = np.random.default_rng(0).integers(0, 256, (9, 13, 4), np.uint8)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FOREIGN_XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="foreign"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    """A picture as a file of this kind."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(mode: str) -> Image.Image:
    """A small picture of noise in this mode."""
    if mode == "I;16":
        return Image.fromarray(PIXELS.astype(np.uint16)[..., 0] * 257)
    return Image.fromarray(PIXELS).convert(mode)


def camera() -> Image.Exif:
    """Exif as cameras write it."""
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = 1
    return exif


def _moving(kind: str, **options: Any) -> bytes:
    frames = [pixels("RGBA").rotate(90 * turn) for turn in (1, 2)]
    return encoded(pixels("RGBA"), kind, save_all=True, append_images=frames, duration=100, **options)


def _files() -> dict[str, tuple[str, bytes]]:
    files: dict[str, tuple[str, bytes]] = {}
    modes = {
        "png": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "jpeg": ("L", "RGB", "CMYK"),
        "webp": ("RGB", "RGBA"),
        "avif": ("L", "RGB", "RGBA"),
    }
    for kind, known in modes.items():
        media_type = f"image/{kind}"
        for mode in known:
            files[f"{kind} {mode}"] = media_type, encoded(pixels(mode), kind)
        about = {"exif": camera(), "icc_profile": PROFILE}
        files[f"{kind} with Exif and a profile"] = media_type, encoded(pixels("RGB"), kind, **about)
        if kind != "png":
            files[f"{kind} with XMP"] = media_type, encoded(pixels("RGB"), kind, xmp=FOREIGN_XMP)
            files[f"{kind} with all"] = media_type, encoded(pixels("RGB"), kind, xmp=FOREIGN_XMP, **about)
    files["jpeg progressive"] = "image/jpeg", encoded(pixels("RGB"), "jpeg", progressive=True)
    files["webp lossless RGBA"] = "image/webp", encoded(pixels("RGBA"), "webp", lossless=True)
    files["avif lossless"] = "image/avif", encoded(pixels("RGB"), "avif", quality=100, subsampling="4:4:4")
    for kind in ("png", "webp", "avif"):
        files[f"{kind} moving"] = f"image/{kind}", _moving(kind)
    files["webp moving with all"] = "image/webp", _moving("webp", xmp=FOREIGN_XMP, exif=camera(), icc_profile=PROFILE)
    files["avif moving with all"] = "image/avif", _moving("avif", xmp=FOREIGN_XMP, exif=camera(), icc_profile=PROFILE)
    return files


FILES = _files()
PLAIN = {"png": "png RGB", "jpeg": "jpeg RGB", "webp": "webp RGB", "avif": "avif RGB"}
"""One plain file per format."""


def opened(data: bytes) -> Image.Image:
    """A picture with its first frame decoded."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def frames(data: bytes) -> list[tuple[str, tuple[int, int], bytes]]:
    """Every frame's mode, size and pixels."""
    picture = Image.open(io.BytesIO(data))
    found = []
    for number in range(getattr(picture, "n_frames", 1)):
        picture.seek(number)
        found.append((picture.mode, picture.size, picture.tobytes()))
    return found


def chunk(name: bytes, body: bytes) -> bytes:
    """A PNG chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_with(*chunks: bytes) -> bytes:
    """A PNG with these chunks behind its header."""
    data = FILES["png RGB"][1]
    return data[:33] + b"".join(chunks) + data[33:]
