"""From one model to another in the middle of a run: a base model begins, a refiner of the same latent space goes on."""

from __future__ import annotations

from dataclasses import replace

from nodegraph import NodeError, node
from nodegraph_nodes.diffusion.families.latent_spaces import same_latents
from nodegraph_nodes.types import Denoiser, DenoiseState, Latent


@node(category="diffusion/denoise")
def hand_over(state: DenoiseState, denoiser: Denoiser) -> DenoiseState:
    """Let another model go on with a run, as a refiner does. Its schedule has as many steps as the first model's."""
    _check(state.family, denoiser, "state")
    return replace(state, family=denoiser.family)


@node(category="diffusion/denoise")
def hand_over_latent(latent: Latent, denoiser: Denoiser) -> Latent:
    """Give a latent to another model of the same latent space."""
    _check(latent.family, denoiser, "latent")
    return replace(latent, family=denoiser.family)


def _check(family: str, denoiser: Denoiser, socket: str) -> None:
    if not same_latents(family, denoiser.family):
        raise NodeError(
            "These models do not share a latent space.",
            socket=socket,
            expected=f"one that {denoiser.family} understands",
            got=family,
            hint="Decode it to a picture with its own autoencoder, and encode that with the other's.",
        )
