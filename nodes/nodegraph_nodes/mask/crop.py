"""Painting on a cut-out: the masked part with its surroundings, at the size that a model likes, and back into the picture.

What goes back is laid over the original through the mask, so that all that the mask does not reach stays to the bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from pydantic import Field

from nodegraph import NodeError, Problem, node, socket
from nodegraph_nodes.image import resize_image
from nodegraph_nodes.mask.bounds import bounding_box
from nodegraph_nodes.mask.composite import composite
from nodegraph_nodes.mask.edge import feather_mask
from nodegraph_nodes.mask.size import same_size
from nodegraph_nodes.tensors import codec
from nodegraph_nodes.types import Image, Mask

CODEC = codec(lambda name: {"Crop": Crop}[name])


@socket(color="#a1887f", codec=CODEC)
@dataclass(frozen=True, slots=True)
class Crop:
    """Where a cut-out lies in its picture: left, top, width, height in pixels of that, which is full_width x full_height."""

    left: int
    top: int
    width: int
    height: int
    full_width: int
    full_height: int


Pixels = Annotated[int, Field(ge=0, le=8192, json_schema_extra={"x-unit": "px", "x-step": 8})]


class Cropped(NamedTuple):
    image: Annotated[Image, Field(description="The cut-out: paint on this.")]
    mask: Annotated[Mask, Field(description="The mask of the cut-out.")]
    crop: Annotated[Crop, Field(description="Where it came from: link it to mask/stitch.")]


def _one_size(values: dict[str, object]) -> list[Problem]:
    if values.get("megapixels") and (values.get("width") or values.get("height")):
        message = "The size of the cut-out is said twice."
        return [Problem("bad_value", message, socket="megapixels", expected="0 beside a width or a height")]
    return []


@node(category="mask/crop", check=_one_size)
def crop_to_mask(
    image: Image,
    mask: Annotated[Mask, Field(description="As large as the image. All that is above 0 lies in the cut-out.")],
    padding: Annotated[Pixels, Field(description="Surroundings on every side, for the model to see.")] = 32,
    context: Annotated[
        float, Field(ge=1, le=16, description="At least this many times as wide and high as what is masked.")
    ] = 1.5,
    minimum: Annotated[Pixels, Field(description="The cut-out is at least this wide and high, where the image is.")] = 0,
    width: Annotated[Pixels, Field(description="The cut-out is scaled to this width; 0: as the height and the shape say.")] = 0,
    height: Annotated[
        Pixels, Field(description="The cut-out is scaled to this height; 0: as the width and the shape say.")
    ] = 0,
    megapixels: Annotated[
        float, Field(ge=0, le=64, description="The cut-out is scaled to about so many million pixels; 0: not.")
    ] = 0.0,
    multiple: Annotated[int, Field(ge=1, le=256, description="The cut-out's width and height are multiples of it.")] = 16,
) -> Cropped:
    """Cut the masked part out of a picture, with some of its surroundings, at a size of its own. mask/stitch puts it back."""
    same_size(image, mask, "mask", "image")
    rows, columns = mask.shape
    box = bounding_box(mask)
    wanted = [max(side + 2 * padding, math.ceil(side * context), minimum, 1) for side in (box.width, box.height)]
    if width and height:  # the shape that the cut-out is to have, so that nothing is stretched
        wanted = [max(wanted[0], math.ceil(wanted[1] * width / height)), max(wanted[1], math.ceil(wanted[0] * height / width))]
    if not (width or height or megapixels):  # kept as it is, so the place itself has to fit
        wanted = [math.ceil(side / multiple) * multiple for side in wanted]
    left, across = _placed(box.left, box.width, wanted[0], columns)
    top, down = _placed(box.top, box.height, wanted[1], rows)
    crop = Crop(left, top, across, down, columns, rows)
    part = (slice(top, top + down), slice(left, left + across))
    size = _target(across, down, width, height, megapixels, multiple)
    resized: torch.Tensor = _resized(mask[part][..., None], *size)
    return Cropped(_resized(image[part], *size), resized[..., 0].contiguous(), crop)


def _placed(start: int, length: int, wanted: int, limit: int) -> tuple[int, int]:
    """Where a stretch of the wanted length lies that has this one in its middle, moved or cut to be within the limit."""
    wanted = min(wanted, limit)
    first = start + (length - wanted) // 2
    return min(max(first, 0), limit - wanted), wanted


def _target(across: int, down: int, width: int, height: int, megapixels: float, multiple: int) -> tuple[int, int]:
    """The size of the cut-out, in pixels."""
    if megapixels:
        scale = math.sqrt(megapixels * 1e6 / (across * down))
        width, height = round(across * scale), round(down * scale)
    elif width or height:
        width, height = width or round(across * height / down), height or round(down * width / across)
    else:
        width, height = across, down
    return max(1, round(width / multiple)) * multiple, max(1, round(height / multiple)) * multiple


@node(category="mask/crop")
def stitch(
    image: Annotated[Image, Field(description="The picture that the cut-out came from.")],
    painted: Annotated[Image, Field(description="The cut-out, painted; it may have any size.")],
    crop: Crop,
    mask: Annotated[
        Mask | None, Field(description="Where the painted shows: as large as the picture. None: all of the cut-out.")
    ] = None,
    feather: Annotated[
        float,
        Field(ge=0, le=200, description="Softens the mask's edge: standard deviation of the blur, in pixels of the picture."),
    ] = 0.0,
) -> Image:
    """Put a painted cut-out back. Wherever the softened mask is 0, and outside of the cut-out, the picture stays to the bit."""
    if image.shape[:2] != (crop.full_height, crop.full_width):
        raise NodeError(
            "The cut-out came from a picture of another size.",
            socket="image",
            expected=f"{crop.full_width} x {crop.full_height}",
            got=f"{image.shape[1]} x {image.shape[0]}",
            hint="Link the picture that mask/crop_to_mask had.",
        )
    part = (slice(crop.top, crop.top + crop.height), slice(crop.left, crop.left + crop.width))
    if mask is None:
        shown = _faded(crop, feather)
    else:
        same_size(image, mask, "mask", "image")
        shown = feather_mask(mask, feather)[part]
    result = composite(image[part], _resized(painted, crop.width, crop.height), shown)
    if result.shape[-1] > image.shape[-1]:  # what was painted is transparent in places
        image = torch.cat([image, torch.ones_like(image[..., :1])], -1)
    whole: torch.Tensor = image.clone()
    whole[part] = result
    return whole


def _faded(crop: Crop, feather: float) -> torch.Tensor:
    """1 in the cut-out, fading over three times `feather` pixels to its edges, but not to those of the picture."""
    reach = max(3 * feather, 1e-6)
    ramps = []
    for first, length, limit in ((crop.top, crop.height, crop.full_height), (crop.left, crop.width, crop.full_width)):
        places = torch.arange(length) + 0.5
        ramp = torch.ones(length)
        if first > 0:
            ramp = torch.minimum(ramp, places / reach)
        if first + length < limit:
            ramp = torch.minimum(ramp, (length - places) / reach)
        ramps.append(ramp)
    return torch.minimum(ramps[0][:, None], ramps[1])


def _resized(image: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """Smoothly: Lanczos for pictures, bilinear for masks [H, W, 1], whose edges must not ring."""
    if image.shape[:2] == (height, width):
        return image.contiguous()
    resized: torch.Tensor = resize_image(image, width, height, "bilinear" if image.shape[-1] == 1 else "lanczos")
    return resized
