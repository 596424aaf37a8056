"""Pictures through masks."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from nodegraph import node
from nodegraph_nodes.mask.size import same_size
from nodegraph_nodes.types import Image, Mask


@node(category="mask/combine")
def composite(
    image: Annotated[Image, Field(description="Stays, to the bit, where the mask is 0.")],
    over: Annotated[Image, Field(description="Shows where the mask is 1.")],
    mask: Mask,
) -> Image:
    """Lay one picture over another where a mask says so."""
    same_size(image, over, "over", "image")
    same_size(image, mask, "mask", "image")
    share = mask[..., None]
    if image.shape[-1] == 3 and over.shape[-1] == 3:
        return torch.lerp(image, over, share)
    image, over = _with_opacity(image), _with_opacity(over)
    opacity = torch.lerp(image[..., 3:], over[..., 3:], share)
    colors = torch.lerp(image[..., :3] * image[..., 3:], over[..., :3] * over[..., 3:], share)  # hidden colours do not mix in
    mixed = torch.cat([colors / opacity.clamp_min(1e-6), opacity], -1).clamp(0, 1)
    return torch.where(share == 0, image, torch.where(share == 1, over, mixed))


@node(category="mask/make")
def mask_to_image(mask: Mask) -> Image:
    """A mask as a grey picture: white where it counts."""
    return mask[..., None].expand(-1, -1, 3).contiguous()


def _with_opacity(image: torch.Tensor) -> torch.Tensor:
    return image if image.shape[-1] == 4 else torch.cat([image, torch.ones_like(image[..., :1])], -1)
