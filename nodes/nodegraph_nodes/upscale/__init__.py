"""The upscale pack: larger pictures, from latents or from pixels, by a filter or by a network."""

from nodegraph_nodes.upscale.latent import upscale_latent
from nodegraph_nodes.upscale.model import load_upscaler, upscale_image, upscaler_network
from nodegraph_nodes.upscale.pixels import scale_image

__all__ = ["load_upscaler", "scale_image", "upscale_image", "upscale_latent", "upscaler_network"]
