"""Loading and saving pictures. Saving is pure: the node encodes, the runner puts the workflow inside and places the file."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError
from pydantic import Field

from nodegraph import Artifact, FilePath, NodeError, node
from nodegraph_nodes.pictures import MEDIA_TYPES, encode, from_pillow
from nodegraph_nodes.types import Image, Mask


class LoadedImage(NamedTuple):
    image: Annotated[Image, Field(description="RGB, without transparency.")]
    mask: Annotated[Mask, Field(description="The opacity: 1 where the picture is, 0 where it is transparent.")]


@node(category="image/file")
def load_image(path: FilePath) -> LoadedImage:
    """Load a picture file (PNG, JPEG, WebP and what else pillow reads), turned upright as its EXIF data says."""
    try:
        with Pillow.open(path) as picture:
            pixels = from_pillow(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError:
        raise NodeError(f"{path.name} is not a picture.", socket="path", hint="Use a PNG, JPEG or WebP file.") from None
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        message = f"The picture {path.name} cannot be read: {error}."
        raise NodeError(message, socket="path", hint="Use a whole PNG, JPEG or WebP file.") from None
    if pixels.shape[-1] == 4:
        return LoadedImage(pixels[..., :3].contiguous(), pixels[..., 3].contiguous())
    return LoadedImage(pixels, torch.ones(pixels.shape[:2]))


@node(category="image/file", output=True, output_name="file")
def save_image(
    image: Image,
    name: Annotated[
        str,
        Field(
            description="File name without ending. Fields: {workflow}, {node}, {index}, {digest}, and inputs such as {seed}."
        ),
    ] = "{workflow}-{digest}",
    format: Literal["png", "jpeg", "webp"] = "png",
    quality: Annotated[int, Field(ge=1, le=100, description="For JPEG and WebP.")] = 92,
    embed: Annotated[
        Literal["full", "parameters", "none"],
        Field(description="What travels in the file: the whole workflow, a readable text of its inputs, or nothing."),
    ] = "full",
) -> Artifact:
    """Save an image. Drop the file on `nodegraph run` and it runs again."""
    return Artifact(encode(image, format, quality, lossless=quality == 100), MEDIA_TYPES[format], name, embed)
