"""What a denoiser may be told beside words: where which region lies, or a picture with a hole in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from nodegraph_nodes.diffusion.families import LoadedAutoencoder
from nodegraph_nodes.diffusion.families.layouts import TOKENS, layout_shares
from nodegraph_nodes.training.data import Example

GREY = 0.5  # of what is hidden, as `diffusion/inpaint.py` has it


@dataclass(frozen=True, slots=True)
class Regions:
    """How much of each place of a layout a region covers: [B, regions, h, w], 0..1.

    Places are the latent's, for further input channels, or TOKENS x TOKENS, for attention.
    """

    regions: int
    attended: bool

    def of(self, examples: Sequence[Example], pixels: Tensor, latents: Tensor, seeds: Sequence[int]) -> Tensor:
        maps = [example.layout if example.layout is not None else torch.zeros(pixels.shape[1:3]) for example in examples]
        size = (TOKENS, TOKENS) if self.attended else (latents.shape[2], latents.shape[3])
        return layout_shares(torch.stack(maps), self.regions, size)


@dataclass(frozen=True, slots=True)
class Holes:
    """A random mask and the latent of the picture without what it hides: [B, 1 + C, h, w], as `inpaint_guidance` makes them."""

    autoencoder: LoadedAutoencoder

    def of(self, examples: Sequence[Example], pixels: Tensor, latents: Tensor, seeds: Sequence[int]) -> Tensor:
        height, width = pixels.shape[1:3]
        masks = torch.stack([random_mask(height, width, seed) for seed in seeds]).to(pixels)
        hidden = torch.where(masks[..., None] > 0, GREY, pixels)
        latent = self.autoencoder.encode(hidden).to(latents)
        small = interpolate(masks[:, None], latent.shape[2:], mode="nearest")
        return torch.cat([small.to(latent), latent], 1)


Further = Regions | Holes


def random_mask(height: int, width: int, seed: int) -> Tensor:
    """What is to be painted: [height, width] float32, 0 or 1. A rectangle or two, strokes of a brush, a half, or all of it."""
    random = np.random.default_rng((seed, 77))
    mask = np.zeros((height, width), np.float32)
    kind = random.choice(4, p=[0.45, 0.3, 0.15, 0.1])
    if kind == 0:
        for _ in range(random.integers(1, 3)):
            tall, wide = (int(side * random.uniform(0.2, 0.8)) + 1 for side in (height, width))
            top, left = random.integers(0, height - tall + 1), random.integers(0, width - wide + 1)
            mask[top : top + tall, left : left + wide] = 1
    elif kind == 1:
        y, x = np.mgrid[:height, :width]
        place = random.uniform(0, 1, 2) * (height, width)
        direction, radius = random.uniform(0, 2 * math.pi), random.uniform(0.05, 0.15) * min(height, width) + 1
        for _ in range(random.integers(15, 60)):
            mask[(y - place[0]) ** 2 + (x - place[1]) ** 2 <= radius**2] = 1
            direction += random.normal(0, 0.6)
            place = np.clip(place + radius * np.array([np.sin(direction), np.cos(direction)]), 0, (height - 1, width - 1))
    elif kind == 2:
        along, half = int(random.integers(2)), int(random.integers(2))
        mask[tuple(slice(None) if axis != along else _half(mask.shape[axis], half) for axis in range(2))] = 1
    else:
        mask[:] = 1
    return torch.from_numpy(mask)


def _half(side: int, second: int) -> slice:
    return slice(side // 2, None) if second else slice(0, side // 2)
