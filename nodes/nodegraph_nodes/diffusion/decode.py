"""From latents to pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nodegraph import Context, Inputs, NodeError, node
from nodegraph_nodes.diffusion.finite import picture_problem
from nodegraph_nodes.diffusion.tiling import decoded
from nodegraph_nodes.types import Autoencoder, Image, Latent


@node(category="diffusion/autoencoder", lane="gpu")
def decode(context: Context, autoencoder: Autoencoder, latent: Latent) -> Image:
    """Decode a latent into an image with the autoencoder's decoder."""
    _check_family(autoencoder, latent)
    network, tiles = context.resident(autoencoder), autoencoder.tiles
    if tiles is None:
        image: Image = network.decode(latent.samples[None])[0]
    else:
        image = decoded(network, latent.samples[None], autoencoder.downscale, tiles, autoencoder.wrap, context.progress)[0]
    if problem := picture_problem(image, latent.samples):
        raise problem
    return image.clamp(0, 1)


@decode.batched(key=lambda inputs: _fits(inputs.autoencoder, inputs.latent), limit=16)
def decode_many(calls: Sequence[Inputs]) -> list[Image | NodeError]:
    """Several latents of one size, in one pass. What is decoded in tiles is large, and stays alone."""
    autoencoder: Autoencoder = calls[0].autoencoder
    _check_family(autoencoder, calls[0].latent)
    samples = torch.stack([call.latent.samples for call in calls])  # [B, C, h, w]
    images = calls[0].context.resident(autoencoder).decode(samples).clamp(0, 1)
    return [  # apart, so that each can leave memory by itself
        picture_problem(image, one) or image.clone() for image, one in zip(images, samples, strict=True)
    ]


def _fits(autoencoder: Autoencoder, latent: Latent) -> tuple[object, ...] | None:
    return None if autoencoder.tiles else (autoencoder, latent.family, latent.samples.shape)


def _check_family(autoencoder: Autoencoder, latent: Latent) -> None:
    if latent.family != autoencoder.family:
        expected, got = autoencoder.family, latent.family
        raise NodeError("This latent was made for another kind of model.", socket="latent", expected=expected, got=got)
