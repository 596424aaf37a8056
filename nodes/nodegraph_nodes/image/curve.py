"""Tone curves."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import Curve, NodeError, Problem, curve_slopes, node
from nodegraph.sdk.curve import check_curve
from nodegraph_nodes.types import Image

Channel = Literal["rgb", "red", "green", "blue", "luma"]

STRAIGHT: Curve = [(0.0, 0.0), (1.0, 1.0)]
"""Changes nothing."""

LUMA = (0.2126, 0.7152, 0.0722)
"""ITU-R BT.709, item 3.2: how much of the luma each channel is; sRGB has its primaries."""


def _is_a_curve(values: dict[str, object]) -> list[Problem]:
    points = values.get("curve")
    try:
        check_curve(points if isinstance(points, list) else STRAIGHT, "curve")
    except NodeError as error:
        return [error.problem("", "bad_value")]
    return []


@node(category="image/color", check=_is_a_curve)
def adjust_curve(
    image: Image,
    curve: Annotated[Curve, Field(description="From dark to light: how bright each brightness becomes.")] = STRAIGHT,
    channel: Annotated[
        Channel, Field(description="luma changes brightness and keeps the differences between the channels.")
    ] = "rgb",
) -> Image:
    """Brighten, darken or bend tones with a curve. Transparency stays as it is."""
    pixels = image.clone()
    colors = pixels[..., :3]
    if channel == "rgb":
        colors.copy_(along(curve, colors))
    elif channel == "luma":
        luma = colors @ torch.tensor(LUMA).to(colors)
        colors.add_((along(curve, luma) - luma)[..., None])
    else:
        plane = colors[..., ("red", "green", "blue").index(channel)]
        plane.copy_(along(curve, plane))
    return pixels.clamp_(0, 1)


def along(curve: Curve, values: Tensor) -> Tensor:
    """The curve's y for each value: `nodegraph.curve_at` for tensors of any shape, in doubles: points may be close together."""
    columns = (*zip(*curve, strict=True), curve_slopes(curve))
    x, y, slopes = (torch.tensor(column, dtype=torch.float64, device=values.device) for column in columns)
    inside = values.double().contiguous().clamp(x[0], x[-1])
    i = (torch.searchsorted(x, inside, right=True) - 1).clamp(0, len(x) - 2)
    width = x[i + 1] - x[i]
    t = (inside - x[i]) / width
    start = (1 + 2 * t) * (1 - t) ** 2 * y[i] + t * (1 - t) ** 2 * width * slopes[i]
    end = t**2 * (3 - 2 * t) * y[i + 1] + t**2 * (t - 1) * width * slopes[i + 1]
    return (start + end).to(values)
