"""The autoencoder with a codebook (van den Oord et al. 2017, Esser et al. 2021) of the first latent-diffusion models."""

from typing import Any

import torch
from torch import Tensor

from nodegraph_nodes.types import Autoencoder

from .on_device import OnDevice


class VQAutoencoder(OnDevice):
    """A diffusers VQModel: decoding takes the nearest entry of the codebook at each place; encoding leaves that out.

    Normalised latents are (raw - shift) * scale; pixels inside are -1..1.
    """

    def __init__(self, recipe: Autoencoder, vae: Any) -> None:
        self.family = recipe.family
        super().__init__(vae)
        self.shift = recipe.shift
        self.scale = recipe.scale
        self.downscale = recipe.downscale

    @torch.no_grad()
    def decode(self, samples: Tensor) -> Tensor:
        """Normalised latents [B, C, h, w] -> pixels [B, H, W, 3] float32, 0..1."""
        raw = (samples / self.scale + self.shift).to(self.place)
        pixels = self.module.decode(raw, return_dict=False)[0].float()
        return (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).contiguous()  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Pixels [B, H, W, 3], 0..1 -> normalised latents [B, C, h, w] float32. Nothing is random here: noise does nothing.

        Raises ValueError for a size it cannot encode.
        """
        height, width = pixels.shape[1:3]
        if height % self.downscale or width % self.downscale or pixels.shape[3] != 3:
            raise ValueError(
                f"This autoencoder takes RGB pictures whose sides are multiples of {self.downscale}, "
                f"but got {width} x {height} with {pixels.shape[3]} channels; crop or resize it first."
            )
        x = (pixels.permute(0, 3, 1, 2) * 2 - 1).to(self.place)
        raw = self.module.encode(x, return_dict=False)[0].float()
        return ((raw - self.shift) * self.scale).contiguous()  # type: ignore[no-any-return]
