"""Size conditioning: what SDXL is told of a picture's size and crop beside the prompt (Podell et al. 2023, section 2.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import NodeError, node
from nodegraph_nodes.types import Conditioning

Side = Annotated[int, Field(ge=1, le=16384, description="Of the training pictures to resemble: small is blurry.")]
Crop = Annotated[int, Field(ge=0, le=16384, description="Pixels cut off there in training; 0 centres the subject.")]
Target = Annotated[int, Field(ge=0, le=16384, description="Of the picture that is being made; 0: the same as width or height.")]


@node(category="diffusion/prompt")
def size_conditioning(
    conditioning: Conditioning,
    width: Side = 1024,
    height: Side = 1024,
    crop_top: Crop = 0,
    crop_left: Crop = 0,
    target_width: Target = 0,
    target_height: Target = 0,
    aesthetic_score: Annotated[
        float, Field(ge=0, le=10, description="For the refiner only: 6 is usual for a prompt, 2.5 for a negative one.")
    ] = 6.0,
) -> Conditioning:
    """Tell SDXL a size, a crop and a target size beside the prompt; without this node they are the picture's, uncropped."""
    size = (height, width, crop_top, crop_left)
    if conditioning.family == "sdxl":
        sizes = torch.tensor([*map(float, size), float(target_height or height), float(target_width or width)])
    elif conditioning.family == "sdxl_refiner":
        sizes = torch.tensor([*map(float, size), aesthetic_score])
    else:
        raise NodeError(
            "Only SDXL and its refiner are told sizes.",
            socket="conditioning",
            expected="a prompt encoded for sdxl or sdxl_refiner",
            got=conditioning.family,
            hint="Leave this node out.",
        )
    parts = tuple(_with_sizes(part, sizes) for part in conditioning.others)
    return replace(_with_sizes(conditioning, sizes), others=parts)


def _with_sizes(part: Conditioning, sizes: Tensor) -> Conditioning:
    return replace(part, extra={**part.extra, "time_ids": sizes})
