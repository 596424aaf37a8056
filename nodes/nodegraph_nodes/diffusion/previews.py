"""What a run shows while it is at work: colours from a linear map, or pictures of a tiny autoencoder's decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import interpolate

from nodegraph import ModelFile, NodeError, node
from nodegraph_nodes.diffusion.families import ModelError, UndecidedFamily, describe_tiny, latents_of
from nodegraph_nodes.diffusion.predict import preview_image
from nodegraph_nodes.types import Autoencoder, Denoiser

LARGEST_SIDE = 512
"""Of a preview in pixels: a larger picture is shown smaller."""


@node(category="diffusion/model")
def load_preview_decoder(
    model: Annotated[
        ModelFile[Literal["preview"]],
        Field(description="A TAESD's name in the model folders (vae_approx): a .safetensors file, or a diffusers folder."),
    ],
    family: Annotated[
        Literal["auto", "sd1", "sdxl", "sd3", "flux"],
        Field(description="Whose latents it takes; sd1 is for 2 as well. auto goes by their channels and the file's name."),
    ] = "auto",
) -> Autoencoder:
    """Read a tiny autoencoder (TAESD), to watch runs with. It decodes in a moment, and roughly."""
    try:
        return describe_tiny(model.path, model.digest, None if family == "auto" else family)
    except UndecidedFamily as error:
        raise NodeError(
            f"The tiny autoencoder {model.name!r} does not tell which models it is for.",
            socket="family",
            expected="a family",
            got="auto",
            hint=error.hint,
        ) from None
    except ModelError as error:
        raise NodeError(f"The tiny autoencoder {model.name!r} cannot be used: {error.problem}", socket="model") from None


@node(category="diffusion/model")
def preview_with(
    denoiser: Denoiser,
    autoencoder: Annotated[Autoencoder, Field(description="A tiny one; a whole one makes every step longer.")],
) -> Denoiser:
    """Decode the picture in progress with an autoencoder, while somebody looks. The results stay the same."""
    if latents_of(autoencoder.family) != latents_of(denoiser.family) or autoencoder.latent_channels != denoiser.latent_channels:
        raise NodeError(
            "This autoencoder was made for another kind of model.",
            socket="autoencoder",
            expected=f"{denoiser.family}, {denoiser.latent_channels} channels",
            got=f"{autoencoder.family}, {autoencoder.latent_channels} channels",
        )
    return replace(denoiser, preview_decoder=replace(autoencoder, tiles=None))


def in_progress(samples: Tensor, denoiser: Denoiser, resident: Callable[[Any], Any]) -> Tensor:
    """A picture of normalised latents [C, h, w] for a preview: [H, W, 3], 0..1. resident: loads the preview decoder."""
    decoder = denoiser.preview_decoder
    if decoder is None:
        return preview_image(samples, denoiser)
    most = LARGEST_SIDE // decoder.downscale
    height, width = samples.shape[1:]
    if max(height, width) > most:
        share = most / max(height, width)
        size = max(1, round(height * share)), max(1, round(width * share))
        samples = interpolate(samples[None], size, mode="area")[0]
    picture: Tensor = resident(decoder).decode(samples[None])[0]
    return picture
