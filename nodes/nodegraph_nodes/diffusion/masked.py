"""Latents of which only a part is to be repainted."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field
from torch.nn.functional import avg_pool2d

from nodegraph import NodeError, node
from nodegraph_nodes.types import Latent, Mask


@node(category="diffusion/autoencoder")
def masked_latent(
    latent: Latent,
    mask: Annotated[Mask, Field(description="As large as the picture. 1: repaint; 0: keep; between: the last steps only.")],
) -> Latent:
    """Repaint only a part of a picture: a place whose mask is 0.3 is repainted during the last 30 % of the schedule."""
    (height, width), (rows, columns) = latent.samples.shape[1:], mask.shape
    scale = rows // height
    if scale < 1 or (rows, columns) != (height * scale, width * scale):
        raise NodeError(
            "The mask does not fit the picture.",
            socket="mask",
            expected=f"as large as the picture: a multiple of {width} x {height}",
            got=f"{columns} x {rows}",
            hint="Use the mask of this very picture, or link mask/resize_mask before it.",
        )
    return replace(latent, mask=avg_pool2d(mask[None, None], scale)[0, 0])  # each latent position: the mean of its pixels
