"""Brightness apart from colour."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import NodeError, node
from nodegraph_nodes.image.filters import as_image, flat, luma
from nodegraph_nodes.types import Image

_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
"""Linear sRGB to CIE XYZ, D65 (IEC 61966-2-1)."""
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27


@node(category="image/preprocess")
def luminance(
    image: Image,
    measure: Annotated[
        Literal["lightness", "luma", "value"],
        Field(
            description="lightness: as the eye sees it (CIE L*); luma: the weighted mean of the channels; value: the largest."
        ),
    ] = "lightness",
    gamma: Annotated[float, Field(ge=0.1, le=10, description="Above 1 darkens middle tones.")] = 1.0,
) -> Image:
    """How bright a picture is, in grey: what recolouring control networks read."""
    planes = flat(image)
    if measure == "luma":
        grey = luma(planes)
    else:
        grey = planes.amax(0) if measure == "value" else to_lab(planes)[0] / 100
    return as_image(grey.clamp(0, 1) ** gamma)


@node(category="image/preprocess")
def recolor(image: Image, colors: Annotated[Image, Field(description="A picture of the same size.")]) -> Image:
    """Give a picture the colours of another, and leave its brightness as it is (in CIE L*a*b*)."""
    if image.shape[:2] != colors.shape[:2]:
        (height, width), (other_height, other_width) = image.shape[:2], colors.shape[:2]
        raise NodeError(
            "The two pictures have different sizes.",
            socket="colors",
            expected=f"{width} x {height}",
            got=f"{other_width} x {other_height}",
            hint="Bring them to one size with image/resize_image.",
        )
    mixed = torch.cat([to_lab(flat(image))[:1], to_lab(flat(colors))[1:]])
    return from_lab(mixed).clamp(0, 1).movedim(0, -1).contiguous()


def to_lab(planes: Tensor) -> Tensor:
    """sRGB [3, H, W], 0..1 -> CIE L*a*b* (1976, D65): L 0..100, a and b about -128..127."""
    linear = torch.where(planes <= 0.04045, planes / 12.92, ((planes.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)
    matrix = planes.new_tensor(_TO_XYZ)
    ratio = torch.einsum("ij,jhw->ihw", matrix, linear) / matrix.sum(1)[:, None, None]  # of the white point
    f = torch.where(ratio > _EPSILON, ratio.clamp_min(_EPSILON) ** (1 / 3), (_KAPPA * ratio + 16) / 116)
    return torch.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def from_lab(lab: Tensor) -> Tensor:
    """The way back; colours that sRGB does not have lie outside 0..1."""
    y = (lab[0] + 16) / 116
    f = torch.stack([y + lab[1] / 500, y, y - lab[2] / 200])
    ratio = torch.where(f**3 > _EPSILON, f**3, (116 * f - 16) / _KAPPA)
    matrix = lab.new_tensor(_TO_XYZ)
    linear = torch.einsum("ij,jhw->ihw", torch.linalg.inv(matrix), ratio * matrix.sum(1)[:, None, None])
    return torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)
