"""Loading a model: from a file to recipes, and (on the device, when a node asks) from a recipe to a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field

from nodegraph import ModelFile, NodeError, loader, node
from nodegraph_nodes.diffusion.families import (
    LoadedAutoencoder,
    LoadedDenoiser,
    LoadedTextEncoder,
    ModelError,
    adapt,
    base_of,
    describe_model,
    load_autoencoder,
    load_denoiser,
    load_text_encoder,
)
from nodegraph_nodes.types import Autoencoder, Denoiser, Precision, Storage, TextEncoder


class Model(NamedTuple):
    denoiser: Denoiser
    text_encoder: TextEncoder
    autoencoder: Autoencoder


@node(category="diffusion/model")
def load_model(
    model: Annotated[
        ModelFile[Literal["checkpoint"]],
        Field(description="A model's name in the model folders: a diffusers folder, or a .safetensors or .gguf file."),
    ],
    precision: Annotated[Precision, Field(description="What networks compute in; auto is the device's best.")] = "auto",
    storage: Annotated[
        Storage,
        Field(
            description="How weights lie in memory: float8 and int8 take a quarter of float32, nf4 an eighth, and each rounds "
            "them more. Steps take longer."
        ),
    ] = "as_stored",
) -> Model:
    """Read what a model is: its three networks as recipes. The weights stay on disk until a node needs them."""
    try:
        return Model(*describe_model(model.path, model.digest, precision, storage))
    except ModelError as error:
        raise NodeError(f"The model {model.name!r} cannot be used: {error.problem}", socket="model") from None


@contextmanager
def _told_plainly() -> Iterator[None]:
    """A model that turns out unfit while it is loaded is the user's to replace, not the node's fault."""
    try:
        yield
    except ModelError as error:
        raise NodeError(f"The model cannot be loaded: {error}") from None


def _adapted(network: Any, recipe: Denoiser | TextEncoder | Autoencoder) -> None:
    with _told_plainly():
        adapt(network, recipe)


@loader(Denoiser, base=base_of, adapt=_adapted)
def denoiser_network(recipe: Denoiser, device: torch.device) -> LoadedDenoiser:
    """A denoiser's network on a device."""
    with _told_plainly():
        return load_denoiser(recipe, device)


@loader(TextEncoder, base=base_of, adapt=_adapted)
def text_encoder_network(recipe: TextEncoder, device: torch.device) -> LoadedTextEncoder:
    """A text encoder's network and tokenizer on a device."""
    with _told_plainly():
        return load_text_encoder(recipe, device)


@loader(Autoencoder, base=base_of, adapt=_adapted)
def autoencoder_network(recipe: Autoencoder, device: torch.device) -> LoadedAutoencoder:
    """An autoencoder's network on a device."""
    with _told_plainly():
        return load_autoencoder(recipe, device)
