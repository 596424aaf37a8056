"""Latents of which only a part is to be repainted."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn.functional import avg_pool2d

from nodegraph import NodeError, Seed, node
from nodegraph_nodes.diffusion.samplers import initial_noise
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


@node(category="diffusion/autoencoder")
def masked_content(
    latent: Annotated[Latent, Field(description="A latent with a mask, of diffusion/masked_latent.")],
    content: Annotated[
        Literal["original", "nothing", "noise"],
        Field(description="nothing: no picture at all, a plain grey or brown; noise: random detail, for a strength below 1."),
    ] = "nothing",
    seed: Annotated[Seed, Field(description="For noise.")] = 0,
) -> Latent:
    """What the masked part begins with, instead of what was there: matters where a run does not begin with pure noise.

    By the mask's value, so that a soft edge passes over. mask/infill before encoding fills it with colours of its surroundings.
    """
    if latent.mask is None:
        hint = "Link diffusion/masked_latent before it."
        raise NodeError(
            "This latent has no mask.", socket="latent", expected="a latent with a mask", got="one without", hint=hint
        )
    if content == "original":
        return latent
    samples = latent.samples
    other = initial_noise(seed, tuple(samples.shape)).to(samples) if content == "noise" else torch.zeros_like(samples)
    return replace(latent, samples=torch.lerp(samples, other, latent.mask))


@node(category="diffusion/autoencoder")
def unmasked_latent(latent: Latent) -> Latent:
    """A latent without its mask: what follows may change all of the picture."""
    return replace(latent, mask=None)
