"""What a family is: one architecture, as the functions that recognise, describe and load its models."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from nodegraph_nodes.types import Autoencoder, Denoiser, Precision, TextEncoder

from .classes import Classes
from .loaded import LoadedAutoencoder, LoadedDenoiser, LoadedTextEncoder
from .source import ModelSource


class Recipes(NamedTuple):
    """The three recipes of a model."""

    denoiser: Denoiser
    text_encoder: TextEncoder
    autoencoder: Autoencoder


@dataclass(frozen=True, slots=True)
class Family:
    """One architecture.

    sought: what `recognise` looks for, in words, for the error when no family fits. latents: the family whose latents it
    shares; empty: they are its own. `describe` reads configs and headers only. The loaders take the recipe, the device to
    compute on and the dtype to compute in, and leave the network in the host's memory. classes: what models that are told
    a class know.
    """

    name: str
    sought: str
    recognise: Callable[[ModelSource], bool]
    describe: Callable[[ModelSource, Precision], Recipes]
    load_denoiser: Callable[[Denoiser, torch.device, torch.dtype], LoadedDenoiser]
    load_text_encoder: Callable[[TextEncoder, torch.device, torch.dtype], LoadedTextEncoder]
    load_autoencoder: Callable[[Autoencoder, torch.device, torch.dtype], LoadedAutoencoder]
    latents: str = ""
    classes: Callable[[Denoiser], Classes] | None = None
