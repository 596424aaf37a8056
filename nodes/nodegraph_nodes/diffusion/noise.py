"""The Gaussian noise that a picture starts from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nodegraph import NodeError, Seed, node
from nodegraph_nodes.diffusion.samplers import initial_noise, varied_noise
from nodegraph_nodes.types import Denoiser, Latent

Pixels = Annotated[int, Field(ge=8, le=8192, description="Pixels; empty: the model's own size.")]


@node(category="diffusion/noise")
def sample_noise(
    denoiser: Denoiser,
    seed: Seed = 0,
    width: Pixels | None = None,
    height: Pixels | None = None,
    variation_seed: Annotated[Seed, Field(description="Another seed, whose picture the variation leans towards.")] = 0,
    variation_strength: Annotated[
        float,
        Field(ge=0, le=1, description="0: the seed's picture; 1: the variation seed's; a little: variations of the first."),
    ] = 0.0,
) -> Latent:
    """Sample noise of the model's latent shape, on the CPU, from the seed alone: the same on every device."""
    sizes = {"width": width or denoiser.native_size[0], "height": height or denoiser.native_size[1]}
    for name, size in sizes.items():
        if size % denoiser.size_multiple:
            raise NodeError(
                f"This model cannot make a picture {size} pixels in {name}.",
                socket=name,
                expected=f"a multiple of {denoiser.size_multiple}",
                got=str(size),
                hint=f"Try {max(1, round(size / denoiser.size_multiple)) * denoiser.size_multiple}.",
            )
    if denoiser.square and sizes["width"] != sizes["height"]:
        raise NodeError(
            "This model makes square pictures only.",
            socket="height",
            expected=str(sizes["width"]),
            got=str(sizes["height"]),
            hint="Give width and height the same value.",
        )
    shape = (denoiser.latent_channels, sizes["height"] // denoiser.downscale, sizes["width"] // denoiser.downscale)
    noise = initial_noise(seed, shape)
    if variation_strength > 0:
        noise = varied_noise(noise, initial_noise(variation_seed, shape), variation_strength)
    return Latent(noise, denoiser.family)


@node(category="diffusion/noise")
def noise_like(latent: Latent, seed: Seed = 0) -> Latent:
    """Sample noise of another latent's shape: for a second pass over a picture whose size was computed."""
    return Latent(initial_noise(seed, latent.samples.shape), latent.family)
