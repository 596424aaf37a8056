"""From latents to pictures."""

from __future__ import annotations

from nodegraph import Context, NodeError, node
from nodegraph_nodes.types import Autoencoder, Image, Latent


@node(category="diffusion/autoencoder", lane="gpu")
def decode(context: Context, autoencoder: Autoencoder, latent: Latent) -> Image:
    """Decode a latent into an image with the autoencoder's decoder."""
    if latent.family != autoencoder.family:
        expected, got = autoencoder.family, latent.family
        raise NodeError("This latent was made for another kind of model.", socket="latent", expected=expected, got=got)
    image: Image = context.resident(autoencoder).decode(latent.samples[None])[0]
    return image.clamp(0, 1)
