"""From pictures to latents."""

from __future__ import annotations

from nodegraph import Context, NodeError, node
from nodegraph_nodes.diffusion.tiling import encoded
from nodegraph_nodes.types import Autoencoder, Image, Latent


@node(category="diffusion/autoencoder", lane="gpu")
def encode(context: Context, autoencoder: Autoencoder, image: Image) -> Latent:
    """Encode an image into a latent with the autoencoder's encoder (the mean of its posterior). Transparency is ignored."""
    height, width = image.shape[:2]
    if height % autoencoder.downscale or width % autoencoder.downscale:
        raise NodeError(
            "The image's size does not fit this autoencoder.",
            socket="image",
            expected=f"multiples of {autoencoder.downscale}",
            got=f"{width} x {height}",
            hint="Link image/resize_image before it.",
        )
    network, pixels, tiles = context.resident(autoencoder), image[None, ..., :3], autoencoder.tiles
    if tiles is None:
        return Latent(network.encode(pixels)[0], autoencoder.family)
    samples = encoded(network, pixels, autoencoder.downscale, tiles, autoencoder.wrap, context.progress)[0]
    return Latent(samples, autoencoder.family)
