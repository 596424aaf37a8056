"""An autoencoder and a text encoder that take no time: means of pixels, and letters."""

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate

from nodegraph import Context
from nodegraph_nodes.types import Autoencoder, Conditioning, Denoiser, TextEncoder

AUTOENCODER = Autoencoder("starter", "nowhere", "a", 3, 2, 0.0, 1.0)
TEXT_ENCODER = TextEncoder("starter", "nowhere", "t")
WIDTH, LENGTH = 8, 12


class TinyAutoencoder:
    """A latent is the mean of 2 x 2 pixels, as -1..1."""

    family = "starter"

    def __init__(self):
        self.encoded = 0

    def encode(self, pixels, noise=None):
        self.encoded += len(pixels)
        return avg_pool2d(pixels.permute(0, 3, 1, 2), 2) * 2 - 1

    def decode(self, samples):
        return (interpolate(samples.float(), scale_factor=2) / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)


class TinyTextEncoder:
    """A row for each letter, zeros behind."""

    family, max_tokens = "starter", LENGTH

    def __init__(self):
        self.texts = []

    def encode(self, texts):
        self.texts += texts
        return [self._one(text) for text in texts]

    def _one(self, text):
        states = torch.zeros(LENGTH, WIDTH)
        for row, letter in enumerate(("^" + text)[:LENGTH]):
            states[row] = torch.randn(WIDTH, generator=torch.Generator().manual_seed(ord(letter)))
        return Conditioning(states, "starter", states.sum(0) / 4)


class TinyDenoiser:
    """Holds a network, as loaded denoisers do."""

    def __init__(self, module: nn.Module):
        self.module = module


def context(folder, denoiser=None, **more):
    """A context that knows these, and its autoencoder and text encoder."""
    networks = {Autoencoder: TinyAutoencoder(), TextEncoder: TinyTextEncoder(), Denoiser: denoiser}
    return Context(scratch_root=folder, load=lambda recipe: networks[type(recipe)], **more), networks
