"""From pictures to latents."""

from __future__ import annotations

from torch import Tensor

from nodegraph import Context, NodeError, node
from nodegraph_nodes.diffusion.tiling import encoded
from nodegraph_nodes.types import Autoencoder, Image, Latent


@node(category="diffusion/autoencoder", lane="gpu")
def encode(context: Context, autoencoder: Autoencoder, image: Image) -> Latent:
    """Encode an image into a latent with the autoencoder's encoder (the mean of its posterior)."""
    return Latent(samples_of(context, autoencoder, encodable(autoencoder, image)), autoencoder.family)


def samples_of(context: Context, autoencoder: Autoencoder, pixels: Tensor) -> Tensor:
    """The normalised latent [C, h, w] of pixels [H, W, 3], in tiles where the recipe says so."""
    network, tiles = context.resident(autoencoder), autoencoder.tiles
    if tiles is None:
        samples: Tensor = network.encode(pixels[None])[0]
        return samples
    return encoded(network, pixels[None], autoencoder.downscale, tiles, autoencoder.wrap, context.progress)[0]


def encodable(autoencoder: Autoencoder, image: Image) -> Image:
    """The picture as [H, W, 3]. Raises NodeError where its size does not fit, or parts of it are transparent."""
    height, width = image.shape[:2]
    if height % autoencoder.downscale or width % autoencoder.downscale:
        raise NodeError(
            "The image's size does not fit this autoencoder.",
            socket="image",
            expected=f"multiples of {autoencoder.downscale}",
            got=f"{width} x {height}",
            hint="Link image/fit_to_multiple or image/resize_image before it.",
        )
    if image.shape[-1] == 4 and bool((image[..., 3] < 1).any()):
        raise NodeError(
            "The image has transparent places, and a model sees none.",
            socket="image",
            expected="an opaque image",
            got=f"an opacity of {image[..., 3].min().item():g} in places",
            hint="Link image/flatten before it; mask/mask_from_alpha says where it was transparent.",
        )
    return image[..., :3]
