"""Contact sheets."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field

from nodegraph import Color, NodeError, node
from nodegraph_nodes.types import Image


@node(category="image/layout")
def image_grid(
    images: list[Image],
    columns: Annotated[int, Field(ge=0, le=1000, description="0 makes the sheet about square.")] = 0,
    gap: Annotated[int, Field(ge=0, le=1000, description="Pixels between the images.")] = 4,
    background: Color = "#ffffff",
) -> Image:
    """Lay images out in rows on a sheet; each cell is as large as the largest image, smaller ones sit in the middle."""
    if not images:
        raise NodeError("There are no images to lay out.", socket="images", expected="at least one image", got="an empty list")
    columns = columns or math.ceil(math.sqrt(len(images)))
    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    red, green, blue, *rest = (int(background[i : i + 2], 16) / 255 for i in range(1, len(background), 2))
    opacity = rest[0] if rest else 1.0
    ground = torch.tensor([red * opacity, green * opacity, blue * opacity, opacity])  # premultiplied
    sheet = ground.expand(rows * (height + gap) - gap, columns * (width + gap) - gap, 4).clone()
    for i, image in enumerate(images):
        top = (i // columns) * (height + gap) + (height - image.shape[0]) // 2
        left = (i % columns) * (width + gap) + (width - image.shape[1]) // 2
        cell = sheet[top : top + image.shape[0], left : left + image.shape[1]]
        alpha = image[..., 3:] if image.shape[2] == 4 else torch.ones_like(image[..., :1])
        over = torch.cat([image[..., :3] * alpha, alpha], 2)
        cell.copy_(over + cell * (1 - alpha))
    if opacity == 1:
        return sheet[..., :3].contiguous()
    return torch.cat([sheet[..., :3] / sheet[..., 3:].clamp_min(1e-6), sheet[..., 3:]], 2)
