"""Image sizes."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch.nn.functional import interpolate

from nodegraph import NodeError, node
from nodegraph_nodes.types import Image

Pixels = Annotated[int, Field(ge=0, le=16384, description="Pixels; 0 keeps the proportions.")]
Method = Literal["lanczos", "bicubic", "bilinear", "area", "nearest"]


class Size(NamedTuple):
    width: int
    height: int


@node(category="image/size")
def image_size(image: Image) -> Size:
    """Width and height of an image, in pixels."""
    return Size(image.shape[1], image.shape[0])


@node(category="image/size")
def resize_image(
    image: Image,
    width: Pixels = 0,
    height: Pixels = 0,
    method: Method = "lanczos",
    fit: Annotated[
        Literal["stretch", "contain", "cover"],
        Field(description="contain: as large as fits inside; cover: fills the size and is cut at the centre."),
    ] = "stretch",
) -> Image:
    """Resize an image. Shrinking filters properly whatever the method; transparency does not bleed."""
    old_height, old_width = image.shape[:2]
    if width == 0 and height == 0:
        raise NodeError(
            "Say how wide or how high the image is to be.", socket="width", expected="a width or a height", got="0 x 0"
        )
    width = width or max(1, round(old_width * height / old_height))
    height = height or max(1, round(old_height * width / old_width))
    if fit == "stretch":
        return resized(image, width, height, method)
    scales = (width / old_width, height / old_height)
    scale = min(scales) if fit == "contain" else max(scales)
    inner = resized(image, max(1, round(old_width * scale)), max(1, round(old_height * scale)), method)
    if fit == "contain":
        return inner
    top, left = (inner.shape[0] - height) // 2, (inner.shape[1] - width) // 2
    return inner[top : top + height, left : left + width].contiguous()


def resized(image: torch.Tensor, width: int, height: int, method: Method) -> torch.Tensor:
    if (height, width) == tuple(image.shape[:2]):
        return image
    pixels = image.movedim(-1, 0)[None]
    alpha = pixels[:, 3:]
    if alpha.shape[1]:  # premultiplied, so that hidden colours do not show at the edges
        pixels = torch.cat([pixels[:, :3] * alpha, alpha], 1)
    if method == "lanczos":
        pixels = _lanczos(_lanczos(pixels, height, 2), width, 3)
    elif method in ("area", "nearest"):
        pixels = interpolate(pixels, (height, width), mode="nearest-exact" if method == "nearest" else "area")
    else:
        pixels = interpolate(pixels, (height, width), mode=method, antialias=True, align_corners=False)
    if alpha.shape[1]:
        pixels = torch.cat([pixels[:, :3] / pixels[:, 3:].clamp_min(1e-6), pixels[:, 3:]], 1)
    return pixels[0].movedim(0, -1).clamp(0, 1).contiguous()


def _lanczos(pixels: torch.Tensor, size: int, axis: int) -> torch.Tensor:
    """Lanczos with three lobes along one axis (Turkowski 1990), widened when shrinking; edges repeat by renormalising."""
    old = pixels.shape[axis]
    if size == old:
        return pixels
    ratio = old / size
    width = max(1.0, ratio)
    centres = (torch.arange(size, dtype=torch.float64) + 0.5) * ratio - 0.5
    distance = (torch.arange(old, dtype=torch.float64)[None] - centres[:, None]) / width
    weights = torch.where(distance.abs() < 3, torch.sinc(distance) * torch.sinc(distance / 3), 0.0)
    weights = (weights / weights.sum(1, keepdim=True)).to(pixels)
    moved: torch.Tensor = torch.tensordot(pixels, weights, ([axis], [1]))
    return moved.movedim(-1, axis)
