"""Masks from files."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nodegraph import FilePath, node
from nodegraph_nodes.image import load_image
from nodegraph_nodes.mask.picture import Channel, luminance
from nodegraph_nodes.types import Image, Mask


@node(category="mask/make")
def load_mask(
    path: Annotated[FilePath, Field(description="A painted mask, or any picture.", json_schema_extra={"format": "mask"})],
    channel: Channel = "brightness",
) -> Mask:
    """Load a mask: white counts, black does not. Greyscale PNG files keep their 8 or 16 bits."""
    image: Image
    opacity: Mask
    image, opacity = load_image(path)
    if channel == "alpha":
        return opacity
    if channel == "brightness":
        return luminance(image)
    return image[..., ("red", "green", "blue").index(channel)].contiguous()
