"""How a seamless picture looks beside itself."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from nodegraph import node
from nodegraph_nodes.types import Image

Times = Annotated[int, Field(ge=1, le=16)]
Share = Annotated[float, Field(ge=-1, le=1, description="Share of the side.")]


@node(category="image/layout")
def repeat_image(image: Image, columns: Times = 2, rows: Times = 2) -> Image:
    """Lay an image beside itself: where a texture has seams, they show."""
    return image.repeat(rows, columns, 1)


@node(category="image/layout")
def roll_image(image: Image, x: Share = 0.5, y: Share = 0.5) -> Image:
    """Move an image and let it come in again at the other side. With 0.5 the borders meet in the middle."""
    height, width = image.shape[:2]
    return torch.roll(image, (round(y * height), round(x * width)), (0, 1))
