"""Larger latents: the beginning of a second pass at a higher resolution."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field
from torch.nn.functional import interpolate

from nodegraph import node
from nodegraph_nodes.types import Latent


@node(category="upscale")
def upscale_latent(
    latent: Latent,
    factor: Annotated[float, Field(ge=0.125, le=8, description="How much wider and higher.")] = 2.0,
    method: Literal["nearest", "bilinear", "bicubic"] = "bicubic",
    multiple: Annotated[int, Field(ge=1, le=64, description="Positions: width and height become multiples of it.")] = 1,
) -> Latent:
    """Resample a latent. It looks soft or blocky by itself: denoise it again, from the middle of a schedule."""
    height, width = latent.samples.shape[1:]
    size = [max(1, round(side * factor / multiple)) * multiple for side in (height, width)]
    mode = "nearest-exact" if method == "nearest" else method
    samples = interpolate(latent.samples[None], size, mode=mode, antialias=method != "nearest" and factor < 1)[0]
    mask = None if latent.mask is None else interpolate(latent.mask[None, None], size, mode="bilinear")[0, 0]
    return replace(latent, samples=samples.contiguous(), mask=mask)
