"""Edges and lines of a picture, as control networks want them: white on black."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from nodegraph import Problem, node
from nodegraph_nodes.image.filters import as_image, blurred, flat, luma, regions, slopes, sobel, thickened
from nodegraph_nodes.types import Image

Sigma = Annotated[float, Field(ge=0, le=50, json_schema_extra={"x-step": 0.1, "x-unit": "px"})]
_SCALES = (1.0, 2.0, 4.0)
_TIE = 1e-5  # equal slopes on both sides of an edge differ by rounding


def _thresholds_are_ordered(values: dict[str, object]) -> list[Problem]:
    low, high = values.get("low", 0.4), values.get("high", 0.8)
    if isinstance(low, float) and isinstance(high, float) and low > high:
        message = "The lower threshold is above the upper one."
        return [Problem("bad_value", message, socket="low", expected=f"at most {high:g}", got=f"{low:g}")]
    return []


@node(category="image/preprocess", check=_thresholds_are_ordered)
def canny(
    image: Image,
    low: Annotated[float, Field(ge=0, le=6, description="Edges go on where the slope is at least this ...")] = 0.4,
    high: Annotated[float, Field(ge=0, le=6, description="... if somewhere it is at least this. A step to white has 4.")] = 0.8,
    sigma: Annotated[Sigma, Field(description="Blur before; more leaves out finer edges.")] = 1.0,
) -> Image:
    """Find edges one pixel wide (Canny 1986).

    A Gaussian blur, Sobel's slope, its maxima across the edge, and of these all that hang together with a strong one.
    Thresholds are as ComfyUI's; those of OpenCV and A1111 are 255 times as high.
    """
    right, down = sobel(blurred(luma(flat(image)), sigma))
    slope = torch.hypot(right, down)
    edge = _is_maximum(slope, right, down) & (slope > 0)
    weak = edge & (slope >= low)
    region = regions(weak)
    strong = torch.unique(region[weak & (slope >= high)])
    return as_image((weak & torch.isin(region, strong)).float())


def _is_maximum(slope: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Where the slope is the largest of three along its direction, to the nearest of four. Of equal ones the first counts."""
    height, width = slope.shape
    around = pad(slope, (1, 1, 1, 1))
    angle = torch.atan2(down, right)
    sector = (
        torch.round(angle / (math.pi / 4)).long() % 4
    )  # 0: across a vertical edge; 1: down and right; 2: down; 3: down, left
    found = torch.zeros_like(slope, dtype=torch.bool)
    for number, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        before = around[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        after = around[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        found |= (sector == number) & (slope > before + _TIE) & (slope >= after - _TIE)
    return found


@node(category="image/preprocess")
def soft_edge(
    image: Image,
    strength: Annotated[float, Field(ge=0, le=10, description="1: a step from black to white is white.")] = 2.0,
) -> Image:
    """Find edges with their strength, from fine to coarse.

    The largest slope over colours and three scales, each normalised by its scale (Lindeberg 1998, equation 9), so that a
    step has the same strength at every one. A stand-in for learned detectors (HED, PiDiNet).
    """
    planes = flat(image)
    found = [_strength(planes, sigma) for sigma in _SCALES]
    return as_image(strength * torch.stack(found).amax((0, 1)))


def _strength(planes: Tensor, sigma: float) -> Tensor:
    return sigma * math.sqrt(2 * math.pi) * torch.hypot(*slopes(planes, sigma))


@node(category="image/preprocess")
def lineart(
    image: Image,
    sigma: Annotated[Sigma, Field(gt=0, description="Half the width of lines.")] = 1.0,
    sharpness: Annotated[float, Field(ge=0, le=200, description="How strongly lines stand out; p in the paper.")] = 20.0,
    threshold: Annotated[float, Field(ge=0, le=1, description="What is darker becomes line.")] = 0.8,
    softness: Annotated[float, Field(ge=0, le=1, description="How gently lines end; 0 is hard.")] = 0.1,
    tones: Annotated[float, Field(ge=0, le=1, description="How much dark areas count as well; 0 draws lines alone.")] = 0.0,
) -> Image:
    """Draw lines where a picture is darker than around, by an extended difference of Gaussians (Winnemöller et al. 2012).

    Equation 7 with k = 1.6: G + p (G - G_k), thresholded softly by equation 3; `tones` says how much of the first G is left,
    1 is the paper's. White lines on black.
    """
    grey = luma(flat(image))
    fine, coarse = blurred(grey, sigma), blurred(grey, 1.6 * sigma)
    sharpened = (1 - tones) + tones * fine + sharpness * (fine - coarse)
    if softness == 0:
        return as_image((sharpened < threshold).float())
    return as_image(-torch.tanh((sharpened - threshold).clamp_max(0) / softness))


@node(category="image/preprocess")
def scribble(
    image: Image,
    threshold: Annotated[float, Field(ge=0, le=1, description="How strong an edge has to be to be drawn.")] = 0.2,
    thickness: Annotated[int, Field(ge=0, le=50, description="Pixels that lines grow by on each side.")] = 2,
    sigma: Annotated[Sigma, Field(gt=0, description="Blur before; more leaves out finer edges.")] = 2.0,
) -> Image:
    """Draw edges as thick, hard lines, as with a felt pen: white on black."""
    drawn = (_strength(flat(image), sigma).amax(0) >= max(threshold, 1e-6)).float()
    return as_image(thickened(drawn, thickness))
