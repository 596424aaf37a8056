"""Where a mask ends, and how softly. Beyond the picture's border a mask goes on as it is there."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch.nn.functional import conv2d, pad

from nodegraph import node
from nodegraph_nodes.types import Mask


@node(category="mask/edge")
def grow_mask(
    mask: Mask,
    pixels: Annotated[int, Field(ge=-200, le=200, description="Pixels in all directions; below 0 the mask shrinks.")] = 8,
) -> Mask:
    """Grow or shrink a mask, with a round brush. Soft edges stay as soft as they are."""
    return _dilated(mask, pixels) if pixels >= 0 else -_dilated(-mask, -pixels)


@node(category="mask/edge")
def feather_mask(
    mask: Mask,
    radius: Annotated[
        float, Field(ge=0, le=200, description="Standard deviation of the blur in pixels: the rim is four times as wide.")
    ] = 4.0,
) -> Mask:
    """Soften a mask's edge: a Gaussian blur."""
    reach = math.ceil(4 * radius)
    if reach == 0:
        return mask
    distance = torch.arange(-reach, reach + 1, dtype=torch.float64)
    bell = torch.exp(-0.5 * (distance / radius) ** 2)
    weights = (bell / bell.sum()).to(mask)
    planes = pad(mask[None, None], (reach, reach, reach, reach), mode="replicate")
    planes = conv2d(conv2d(planes, weights[None, None, None]), weights[None, None, :, None])
    return planes[0, 0].clamp(0, 1)


@node(category="mask/edge")
def threshold_mask(mask: Mask, level: Annotated[float, Field(ge=0, le=1)] = 0.5) -> Mask:
    """Make a mask hard: 1 where it is at least this level, else 0."""
    return (mask >= level).float()


def _dilated(mask: torch.Tensor, radius: int) -> torch.Tensor:
    """The maximum over a disc around every pixel: row by row of the disc, each row as two overlapping runs of 2^k pixels."""
    height, width = mask.shape
    runs = [pad(mask, (radius, radius, radius, radius), value=-math.inf)]  # runs[k][:, x]: over the 2^k pixels from x on
    while 2 ** len(runs) <= 2 * radius + 1:
        step = 2 ** (len(runs) - 1)
        runs.append(torch.maximum(runs[-1][:, :-step], runs[-1][:, step:]))
    grown = mask
    for offset in range(-radius, radius + 1):
        half = math.isqrt(radius**2 - offset**2)
        level = (2 * half + 1).bit_length() - 1
        rows = runs[level][radius + offset :][:height]
        left, right = radius - half, radius + half + 1 - 2**level
        grown = torch.maximum(grown, torch.maximum(rows[:, left:][:, :width], rows[:, right:][:, :width]))
    return grown
