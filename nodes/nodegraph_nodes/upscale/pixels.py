"""Larger pictures by a filter alone."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nodegraph import NodeError, node
from nodegraph_nodes.image.size import Method, resized
from nodegraph_nodes.types import Image

_LARGEST = 32768


@node(category="upscale")
def scale_image(
    image: Image,
    factor: Annotated[float, Field(gt=0, le=16, description="How much wider and higher.")] = 2.0,
    method: Annotated[
        Method,
        Field(description="lanczos is sharpest, bicubic softer, bilinear softest, area averages, nearest keeps hard pixels."),
    ] = "lanczos",
    multiple: Annotated[int, Field(ge=1, le=256, description="Width and height become multiples of it.")] = 1,
) -> Image:
    """Make an image larger or smaller by a factor."""
    height, width = image.shape[:2]
    sides = [max(1, round(side * factor / multiple)) * multiple for side in (width, height)]
    if max(sides) > _LARGEST:
        raise NodeError(
            "The image would be too large.", socket="factor", expected=f"at most {_LARGEST} pixels a side", got=str(max(sides))
        )
    return resized(image, sides[0], sides[1], method)
