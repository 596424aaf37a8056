"""Loading and saving pictures. Saving is pure: the node encodes, the runner puts the workflow inside and places the file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import torch
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError, features
from pydantic import Field

from nodegraph import Artifact, FilePath, NodeError, node
from nodegraph_nodes.pictures import MEDIA_TYPES, encode, from_pillow
from nodegraph_nodes.types import Image, Mask

_NO_AVIF = "The pillow that is installed here was built without AVIF."
_GET_AVIF = 'Install one that has it (pip install "pillow>=11.3"), or use PNG, JPEG or WebP.'


class LoadedImage(NamedTuple):
    image: Annotated[Image, Field(description="RGB, without transparency.")]
    mask: Annotated[Mask, Field(description="The opacity: 1 where the picture is, 0 where it is transparent.")]


@node(category="image/file")
def load_image(path: FilePath) -> LoadedImage:
    """Load a picture file (PNG, JPEG, WebP, AVIF and what else pillow reads), turned upright as its EXIF data says."""
    if _is_avif(path) and not features.check("avif"):
        raise NodeError(f"{path.name} is an AVIF file. {_NO_AVIF}", socket="path", hint=_GET_AVIF)
    try:
        with Pillow.open(path) as picture:
            pixels = from_pillow(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError:
        raise NodeError(f"{path.name} is not a picture.", socket="path", hint="Use a PNG, JPEG, WebP or AVIF file.") from None
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        message = f"The picture {path.name} cannot be read: {error}."
        raise NodeError(message, socket="path", hint="Use a whole PNG, JPEG, WebP or AVIF file.") from None
    if pixels.shape[-1] == 4:
        return LoadedImage(pixels[..., :3].contiguous(), pixels[..., 3].contiguous())
    return LoadedImage(pixels, torch.ones(pixels.shape[:2]))


def _is_avif(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head[4:] in (b"ftypavif", b"ftypavis")


@node(category="image/file", output=True, output_name="file")
def save_image(
    image: Image,
    name: Annotated[
        str,
        Field(
            description="File name without ending. Fields: {workflow}, {node}, {index}, {digest}, and inputs such as {seed}."
        ),
    ] = "{workflow}-{digest}",
    format: Literal["png", "jpeg", "webp", "avif"] = "png",
    quality: Annotated[int, Field(ge=1, le=100, description="For JPEG, WebP and AVIF.")] = 92,
    embed: Annotated[
        Literal["full", "parameters", "none"],
        Field(description="What travels in the file: the whole workflow, a readable text of its inputs, or nothing."),
    ] = "full",
) -> Artifact:
    """Save an image. Drop the file on `nodegraph run` and it runs again."""
    if format == "avif" and not features.check("avif"):
        raise NodeError(_NO_AVIF, socket="format", hint=_GET_AVIF)
    return Artifact(encode(image, format, quality, lossless=quality == 100), MEDIA_TYPES[format], name, embed)
