"""Text inside picture files: in text chunks of PNG, in the XMP of JPEG, WebP and AVIF. The pixels' bytes are not touched.

What else a file holds (Exif, colour profile, XMP of other programs) stays; texts under the same names give way to the new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nodegraph.artifacts import avif, jpeg, png, webp, xmp
from nodegraph.artifacts.inside import Broken, Inside
from nodegraph.sdk.errors import NodeError

_FORMATS: Mapping[
    str, tuple[Callable[[bytes], bool], Callable[[bytes, Mapping[str, str]], bytes], Callable[[bytes], Inside]]
] = {
    "png": (lambda data: data.startswith(png.SIGNATURE), png.embed, png.read),
    "jpeg": (lambda data: data.startswith(jpeg.SIGNATURE), jpeg.embed, jpeg.read),
    "webp": (webp.is_webp, webp.embed, webp.read),
    "avif": (avif.is_avif, avif.embed, avif.read),
}


def embed(data: bytes, media_type: str, texts: Mapping[str, str]) -> bytes:
    """`data` with the named texts inside. Media types that cannot carry any come back as they were.

    Raises NodeError for a file that is not what its media type says, or not whole.
    """
    name = media_type.removeprefix("image/")
    if not texts or name not in _FORMATS:
        return data
    try:
        return _FORMATS[name][1](data, texts)
    except Broken as error:
        message = f"The {name.upper()} {error}, so the workflow cannot travel inside."
        hint = 'Save as PNG, or choose to embed "none".'
        raise NodeError(message, hint=hint) from None


def format_of(data: bytes) -> str:
    """`png`, `jpeg`, `webp`, `avif`, or the empty string."""
    return next((name for name, (is_it, _, _) in _FORMATS.items() if is_it(data)), "")


def look_inside(data: bytes) -> Inside:
    """What a picture file holds beside its pixels: nothing, where it is of another kind."""
    name = format_of(data)
    return _FORMATS[name][2](data) if name else Inside()


def extract(data: bytes) -> dict[str, str]:
    """The texts inside a picture file: empty when there are none, or the file is of another kind, or broken."""
    inside = look_inside(data)
    found = {key: text for packet in inside.xmp for key, text in xmp.texts(packet).items()}
    return found | inside.texts
