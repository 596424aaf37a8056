"""Masks out of a picture's colours and opacity."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from nodegraph import Color, node
from nodegraph_nodes.types import Image, Mask

Channel = Annotated[
    Literal["brightness", "alpha", "red", "green", "blue"],
    Field(description="What of the picture is the mask. alpha is its opacity."),
]


@node(category="mask/make")
def mask_from_color(
    image: Image,
    color: Annotated[Color, Field(description="Its opacity does not matter.")] = "#ffffff",
    tolerance: Annotated[
        float, Field(ge=0, le=1, description="How far each of red, green and blue may be off; 0: only this colour.")
    ] = 0.0,
) -> Mask:
    """1 where the picture has this colour: for maps whose colours are labels, and for sketches."""
    wanted = image.new_tensor([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    distance = (image[..., :3] - wanted).abs().amax(-1)
    return (distance <= tolerance + 0.5 / 255).float()  # half a step of 8 bits: colours of files are no finer


@node(category="mask/make")
def mask_from_alpha(image: Image) -> Mask:
    """A picture's opacity: 1 where it is, 0 where it is transparent; 1 everywhere if it has no transparency."""
    return image[..., 3].contiguous() if image.shape[-1] == 4 else torch.ones(image.shape[:2])


@node(category="mask/make")
def mask_from_channel(image: Image, channel: Channel = "brightness") -> Mask:
    """A picture's brightness, or one of its channels, as a mask, to the bit."""
    if channel == "alpha":
        opacity: Mask = mask_from_alpha(image)
        return opacity
    if channel == "brightness":
        return luminance(image)
    return image[..., ("red", "green", "blue").index(channel)].contiguous()


@node(category="mask/make")
def mask_from_range(
    image: Image,
    channel: Channel = "brightness",
    low: Annotated[float, Field(ge=0, le=1, description="From here on it counts.")] = 0.5,
    high: Annotated[float, Field(ge=0, le=1, description="Up to here it counts.")] = 1.0,
    softness: Annotated[
        float, Field(ge=0, le=1, description="How far beyond both ends it fades to 0; 0 makes a hard mask.")
    ] = 0.0,
) -> Mask:
    """1 where the picture's brightness, or one of its channels, lies between two values."""
    values = mask_from_channel(image, channel)
    outside = torch.maximum(low - values, values - high)
    return (1 - outside / softness).clamp(0, 1) if softness else (outside <= 0).float()


def luminance(image: Image) -> Mask:
    """Brightness of [H, W, C]: Rec. 601 weights, as greyscale files are made; what is grey already stays to the bit."""
    red, green, blue = image[..., :3].unbind(-1)
    weighted = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.where((red == green) & (green == blue), red, weighted)
