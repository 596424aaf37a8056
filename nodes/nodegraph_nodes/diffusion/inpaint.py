"""Inpainting models: networks that are told the mask and the picture around it by input channels of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch.nn.functional import interpolate

from nodegraph import Context, NodeError, node
from nodegraph_nodes.diffusion.encode import encodable, samples_of
from nodegraph_nodes.types import Autoencoder, Guidance, Image, Mask

_MASKED = 0.5  # from this value of the mask on, the network is not shown the picture
_GREY = 0.5


@node(category="diffusion/guidance", lane="gpu")
def inpaint_guidance(
    context: Context,
    guidance: Guidance,
    autoencoder: Autoencoder,
    image: Annotated[Image, Field(description="The picture of which a part is painted.")],
    mask: Annotated[Mask, Field(description="As large as the image. From 0.5 on it is painted: such a model knows no shades.")],
) -> Guidance:
    """Tell an inpainting model (one of 9 input channels) which part to paint, and what lies around it.

    Further channels are the mask, at each latent position the pixel at its top left, and the latent of the picture with grey
    where it is masked: as such models were trained (Rombach et al. 2022) and as diffusers' StableDiffusionInpaintPipeline does,
    with the mean of the autoencoder's posterior instead of a sample.
    """
    pixels = encodable(autoencoder, image)
    height, width = image.shape[:2]
    if mask.shape != (height, width):
        raise NodeError(
            "This has another size than the image.",
            socket="mask",
            expected=f"{width} x {height}",
            got=f"{mask.shape[1]} x {mask.shape[0]}",
            hint="Link mask/resize_mask before it.",
        )
    if guidance.positive.family != autoencoder.family:
        got, hint = guidance.positive.family, "Everything in a run comes from one model."
        message = "This was made for another kind of model."
        raise NodeError(message, socket="guidance", expected=autoencoder.family, got=got, hint=hint)
    hard = (mask >= _MASKED).to(pixels)
    hidden = torch.where(hard[..., None] > 0, _GREY, pixels)
    latent = samples_of(context, autoencoder, hidden)
    small = interpolate(hard[None, None], latent.shape[1:], mode="nearest")[0]
    return replace(guidance, concat=torch.cat([small.to(latent), latent]))
