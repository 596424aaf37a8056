"""Colours behind and in pictures."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import Color, node
from nodegraph_nodes.types import Image


@node(category="image/color")
def flatten(image: Image, color: Annotated[Color, Field(description="Its opacity does not matter.")] = "#ffffff") -> Image:
    """Lay a picture with transparency over a colour; one without stays as it is."""
    if image.shape[-1] == 3:
        return image
    return torch.lerp(rgba(color)[:3].expand_as(image[..., :3]), image[..., :3], image[..., 3:])


def rgba(color: str) -> Tensor:
    """A colour `#rrggbb` or `#rrggbbaa` as [4], 0..1."""
    return torch.tensor([int(color[i : i + 2], 16) / 255 for i in range(1, len(color), 2)] + [1.0] * (len(color) == 7))
