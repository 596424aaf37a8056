"""How different two pictures look, to a network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from nodegraph import Context, NodeError, node
from nodegraph_nodes.types import Autoencoder, Image


@node(category="image/compare", lane="gpu", output_name="distance")
def perceptual_distance(context: Context, autoencoder: Autoencoder, reference: Image, image: Image) -> float:
    """Compare two pictures in the features of an autoencoder's encoder: 0 is equal, and noise weighs less than another shape.

    LPIPS's formula (Zhang et al. 2018, equation 1) without learned weights: at each of the encoder's levels, the squared
    difference of features of unit length, averaged over places and then over levels. Distances by different autoencoders
    do not compare.
    """
    if reference.shape[:2] != image.shape[:2]:
        raise NodeError(
            "The pictures have different sizes.",
            socket="image",
            expected=f"{reference.shape[1]} x {reference.shape[0]}",
            got=f"{image.shape[1]} x {image.shape[0]}",
            hint="Bring them to one size with image/resize_image.",
        )
    network = context.resident(autoencoder)
    pixels = torch.stack([reference[..., :3], image[..., :3]])
    sides = [side - side % autoencoder.downscale for side in pixels.shape[1:3]]
    if min(sides) == 0:
        raise NodeError("The pictures are too small for this autoencoder.", socket="image", got=str(tuple(image.shape[:2])))
    seen = _features(network, pixels[:, : sides[0], : sides[1]])
    levels = [(normalize(level[:1], dim=1) - normalize(level[1:], dim=1)).square().sum(1).mean() for level in seen]
    return float(torch.stack(levels).mean())


def _features(network: Any, pixels: Tensor) -> list[Tensor]:
    """What the encoder's levels see of pictures [B, H, W, 3]: a list of [B, C, h, w], float32."""
    seen: list[Tensor] = []

    def keep(module: Any, inputs: Any, output: Tensor) -> None:
        seen.append(output.float())

    handles = [block.register_forward_hook(keep) for block in network.module.encoder.down_blocks]
    try:
        network.encode(pixels)
    finally:
        for handle in handles:
            handle.remove()
    return seen
