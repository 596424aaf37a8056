"""Masks of chance."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch.nn.functional import interpolate

from nodegraph import Seed, node
from nodegraph_nodes.mask.shapes import Side
from nodegraph_nodes.types import Mask


@node(category="mask/shape")
def noise_mask(
    width: Side = 512,
    height: Side = 512,
    scale: Annotated[
        float, Field(ge=1, le=1024, description="Pixels from one value to the next; between them it is smooth.")
    ] = 32.0,
    low: Annotated[float, Field(ge=0, le=1, description="Values here and below become 0.")] = 0.0,
    high: Annotated[
        float, Field(ge=0, le=1, description="Values here and above become 1; as low as `low`: a hard mask.")
    ] = 1.0,
    seed: Seed = 0,
) -> Mask:
    """Random blotches, or with a scale of 1 white noise: evenly distributed values, from the seed alone."""
    rows, columns = (max(1, round(side / scale)) for side in (height, width))
    values = torch.rand(rows, columns, generator=torch.Generator().manual_seed(seed))
    if (rows, columns) != (height, width):
        values = interpolate(values[None, None], (height, width), mode="bicubic", align_corners=False)[0, 0]
    return ((values - low) / max(high - low, 1e-6)).clamp(0, 1)
