"""The upscale pack: larger pictures, from latents or from pixels."""

from nodegraph_nodes.upscale.latent import upscale_latent

__all__ = ["upscale_latent"]
