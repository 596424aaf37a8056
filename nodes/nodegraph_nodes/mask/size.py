"""Sizes of masks: a mask counts for a picture of its own size, and is resized only where somebody says so."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from nodegraph import NodeError, node
from nodegraph_nodes.image import resize_image
from nodegraph_nodes.types import Mask

Pixels = Annotated[int, Field(ge=0, le=16384, description="Pixels; 0 keeps the proportions.")]


@node(category="mask/edge")
def resize_mask(
    mask: Mask,
    width: Pixels = 0,
    height: Pixels = 0,
    fit: Annotated[
        Literal["stretch", "contain", "cover"],
        Field(description="contain: as large as fits inside; cover: fills the size and is cut at the centre."),
    ] = "stretch",
) -> Mask:
    """Resize a mask, smoothly. With the same size and fit as image/resize_image it stays over its picture."""
    resized: Mask = resize_image(mask[..., None], width, height, "bilinear", fit)
    return resized[..., 0].contiguous()


def same_size(picture: torch.Tensor, other: torch.Tensor, socket: str, what: str) -> None:
    """Refuse `other`, a mask or an image on this socket, where it has another size than `picture`, which is called `what`."""
    (height, width), (rows, columns) = picture.shape[:2], other.shape[:2]
    if (height, width) != (rows, columns):
        node_type = "mask/resize_mask" if other.ndim == 2 else "image/resize_image"
        raise NodeError(
            f"This has another size than the {what}.",
            socket=socket,
            expected=f"{width} x {height}",
            got=f"{columns} x {rows}",
            hint=f"Link {node_type} before it.",
        )
