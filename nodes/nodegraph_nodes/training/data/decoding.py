"""Picture files as 8-bit pixels: whatever a decoder understands becomes RGB or RGBA, else it is an UnreadablePicture."""

from __future__ import annotations

import io
import warnings

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

Pixels = npt.NDArray[np.uint8]

LARGEST = 400_000_000
"""Pixels of a picture: what has more is taken for a decompression bomb."""

_FEWEST = 2  # pixels of a side: what is smaller shows nothing


class UnreadablePicture(Exception):
    """A picture that cannot be used. file: its name in its source; why: for a person."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file}: {why}")
        self.file, self.why = file, why

    def __reduce__(self) -> tuple[object, ...]:
        return UnreadablePicture, (self.file, self.why)


def decode_picture(data: bytes, file: str) -> Pillow.Image:
    """A picture file as a pillow image, RGB or, where it has transparency, RGBA; turned as its EXIF says.

    16-bit greys are scaled to 8 bits; of a moving picture the first frame is taken. Raises UnreadablePicture.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pillow warns of what is large or odd; what matters is raised below
        try:
            picture = _opened(data, file)
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            return _eight_bits(picture)
        except UnreadablePicture:
            raise
        except Exception as error:  # decoders raise OSError, ValueError, SyntaxError, struct.error, EOFError ...
            raise UnreadablePicture(file, _why(error)) from None


def picture_size(data: bytes, file: str) -> tuple[int, int]:
    """(width, height) as it is shown, from the file's header alone. Raises UnreadablePicture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = _opened(data, file)
            turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        except UnreadablePicture:
            raise
        except Exception as error:
            raise UnreadablePicture(file, _why(error)) from None
    width, height = picture.size
    return (height, width) if turned else (width, height)


def decode_layout(data: bytes, file: str) -> Pillow.Image:
    """A segmentation map as a pillow image of mode L: numbers of regions. Raises UnreadablePicture."""
    try:
        picture = _opened(data, file)
        picture.load()
    except UnreadablePicture:
        raise
    except Exception as error:
        raise UnreadablePicture(file, _why(error)) from None
    if picture.mode == "P":
        return Pillow.fromarray(np.array(picture))  # the indices, not the palette's colours
    if picture.mode in ("L", "1"):
        return picture.convert("L") if picture.mode == "L" else picture.point(lambda value: value and 1, "L")
    why = f"a layout has one number per pixel (a grey or palette PNG), this one is {picture.mode}"
    raise UnreadablePicture(file, why)


def _opened(data: bytes, file: str) -> Pillow.Image:
    if not data:
        raise UnreadablePicture(file, "the file is empty")
    picture = Pillow.open(io.BytesIO(data))
    width, height = picture.size
    if width * height > LARGEST:
        raise UnreadablePicture(file, f"{width} x {height} pixels are too many")
    if min(width, height) < _FEWEST:
        raise UnreadablePicture(file, f"{width} x {height} pixels show nothing")
    return picture


def _eight_bits(picture: Pillow.Image) -> Pillow.Image:
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        deep = np.array(picture, dtype=np.float64)
        if picture.mode == "F":
            deep = deep * 65535 if deep.max(initial=0) <= 1 else deep
        picture = Pillow.fromarray((np.clip(np.nan_to_num(deep), 0, 65535) / 257).round().astype(np.uint8))
    transparent = picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info
    return picture.convert("RGBA" if transparent else "RGB")


def _why(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "this is no picture that can be read"
    if isinstance(error, Pillow.DecompressionBombError):
        return "it has too many pixels"
    text = str(error).split("\n")[0]
    return text[:160] or type(error).__name__
