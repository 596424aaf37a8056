"""Showing masks where they lie: over their pictures."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from nodegraph import Artifact, Color, node
from nodegraph_nodes.image import flatten
from nodegraph_nodes.image.color import rgba
from nodegraph_nodes.image.show import preview
from nodegraph_nodes.mask.size import same_size
from nodegraph_nodes.types import Image, Mask


@node(category="mask/show", output=True, view="image", output_name="preview")
def show_mask(
    mask: Mask,
    image: Annotated[Image | None, Field(description="The picture below; none: black.")] = None,
    color: Color = "#ff0000",
    opacity: Annotated[
        float, Field(ge=0, le=1, description="How much of the picture the colour hides where the mask is 1.")
    ] = 0.6,
) -> Artifact:
    """Show a mask in a colour over its picture, without saving it among the results."""
    ground = torch.zeros(*mask.shape, 3) if image is None else flatten(image)
    same_size(ground, mask, "mask", "image")
    strength = mask * (opacity if image is not None else 1.0)
    return preview(torch.lerp(ground, rgba(color)[:3].expand_as(ground), strength[..., None]))
