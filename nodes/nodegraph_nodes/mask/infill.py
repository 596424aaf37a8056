"""Taking things out of pictures: what is masked is filled with what is around it."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from nodegraph import Color, NodeError, Seed, node
from nodegraph_nodes.image.color import rgba
from nodegraph_nodes.image.infill import filled
from nodegraph_nodes.image.pad import InfillMethod
from nodegraph_nodes.mask.size import same_size
from nodegraph_nodes.types import Image, Mask


@node(category="mask/fill")
def infill(
    image: Image,
    mask: Annotated[Mask, Field(description="What is filled; where it is between 0 and 1 the picture shines through.")],
    method: InfillMethod = "smooth",
    color: Annotated[Color, Field(description="For the method of that name.")] = "#808080",
    seed: Annotated[Seed, Field(description="For patches and noise.")] = 0,
) -> Image:
    """Fill the masked part of a picture with what lies around it, for a model to begin with. The rest stays to the bit."""
    same_size(image, mask, "mask", "image")
    hole = mask > 0
    if hole.all() and method not in ("color", "noise"):
        raise NodeError(
            "The mask covers the whole image: there is nothing to fill it with.",
            socket="mask",
            expected="some places where it is 0",
            got=f"{mask.min().item():g} or more everywhere",
            hint="Shrink the mask with mask/grow_mask or mask/threshold_mask, or use the method color or noise.",
        )
    result = filled(image, hole, method, rgba(color)[: image.shape[-1]], seed)
    return torch.lerp(image, result, mask[..., None])
