"""Small pictures of large ones. The one place of the server that decodes pictures, and the only one that knows pillow.

Import it where it is needed: pillow takes its time. What a file says of its size is believed only up to a limit, and decoders
are limited to the formats that nodes write.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from PIL import Image, ImageOps, UnidentifiedImageError, features

_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF")
_WEBP = features.check("webp")

MEDIA_TYPE = "image/webp" if _WEBP else "image/jpeg"

Image.MAX_IMAGE_PIXELS = None  # `thumbnail` asks before anything is decoded, and has a limit of its own


class NoThumbnail(Exception):
    """A file of which no small picture can be made; the message is a sentence that says why."""


def thumbnail(file: BinaryIO, size: int, most_pixels: int) -> bytes:
    """A picture that fits into a square of `size` pixels, upright, as WebP. Raises NoThumbnail."""
    try:
        with Image.open(file, formats=_FORMATS) as picture:
            if picture.width * picture.height > most_pixels:
                raise NoThumbnail(f"The picture has more than {most_pixels:,} pixels.")
            picture.thumbnail((size, size), reducing_gap=2.0)  # before turning it: what is small is turned quickly
            return _encoded(_plain(ImageOps.exif_transpose(picture)))
    except NoThumbnail:
        raise
    except UnidentifiedImageError:
        raise NoThumbnail("This is no picture of a kind that is shown.") from None
    except MemoryError:
        raise NoThumbnail("There is not enough memory for this picture.") from None
    except Exception:  # decoders raise all sorts for damaged files: struct.error, SyntaxError, KeyError, their own
        raise NoThumbnail("The picture is damaged.") from None


def _plain(picture: Image.Image) -> Image.Image:
    """The picture as RGB or RGBA, of 8 bits."""
    if picture.mode.startswith("I"):
        picture = picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    with_alpha = picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info
    return picture.convert("RGBA" if with_alpha else "RGB")


def _encoded(picture: Image.Image) -> bytes:
    made = io.BytesIO()
    if _WEBP:
        picture.save(made, "WEBP", quality=80, method=4)
    else:
        ground = Image.new("RGB", picture.size, "white")
        ground.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
        ground.save(made, "JPEG", quality=85)
    return made.getvalue()
