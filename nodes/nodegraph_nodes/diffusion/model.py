"""Loading a model: from a file to recipes, and (on the device, when a node asks) from a recipe to a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field

from nodegraph import ModelFile, NodeError, loader, node
from nodegraph_nodes.diffusion.families import (
    LoadedAutoencoder,
    LoadedDenoiser,
    LoadedTextEncoder,
    ModelError,
    NotPrompted,
    UndecidedFamily,
    adapt,
    base_of,
    describe_autoencoder,
    describe_model,
    load_denoiser,
    load_text_encoder,
)
from nodegraph_nodes.diffusion.families import load_autoencoder as load_autoencoder_network
from nodegraph_nodes.diffusion.families.kinds import AUTOENCODER, CHECKPOINT, DENOISER
from nodegraph_nodes.diffusion.unfit import unfit
from nodegraph_nodes.types import Autoencoder, Denoiser, Precision, Storage, TextEncoder

PartPrecision = Annotated[Literal["same", "auto", "float32", "bfloat16", "float16"], Field(description="same: as precision.")]


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
    text_encoder_precision: PartPrecision = "same",
    autoencoder_precision: PartPrecision = "same",
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
        denoiser, text_encoder, autoencoder = describe_model(model.path, model.digest, precision, storage)
    except ModelError as error:
        raise unfit(model, "model", error, CHECKPOINT, DENOISER) from None
    if text_encoder_precision != "same":
        text_encoder = replace(text_encoder, precision=text_encoder_precision)
    if autoencoder_precision != "same":
        autoencoder = replace(autoencoder, precision=autoencoder_precision)
    return Model(denoiser, text_encoder, autoencoder)


@node(category="diffusion/model")
def load_autoencoder(
    model: Annotated[
        ModelFile[Literal["autoencoder", "checkpoint"]],
        Field(
            description="A VAE's name in the model folders: a .safetensors file, a diffusers folder, or a whole model's name."
        ),
    ],
    family: Annotated[
        Literal["auto", "sd1", "sd2", "sdxl"],
        Field(description="Whose latents it makes. auto reads its config; a bare file does not tell."),
    ] = "auto",
    precision: Annotated[Precision, Field(description="What it computes in; auto is float32.")] = "auto",
) -> Autoencoder:
    """Read an autoencoder (VAE) of its own, to be used in place of a model's."""
    try:
        return describe_autoencoder(model.path, model.digest, None if family == "auto" else family, precision)
    except UndecidedFamily as error:
        raise NodeError(
            f"The autoencoder {model.name!r} does not tell which models it is for.",
            socket="family",
            expected="sd1, sd2 or sdxl",
            got="auto",
            hint=error.hint,
        ) from None
    except ModelError as error:
        raise unfit(model, "autoencoder", error, AUTOENCODER, CHECKPOINT) from None


@node(category="diffusion/model")
def set_prediction(
    denoiser: Denoiser,
    prediction: Annotated[
        Literal["epsilon", "v"], Field(description="What the network was trained to predict: the noise, or v.")
    ] = "v",
    zero_terminal_snr: Annotated[
        bool, Field(description="It was trained from pure noise on (zero terminal SNR, Lin et al. 2023).")
    ] = False,
) -> Denoiser:
    """Say what a model predicts, where its file does not tell or tells wrongly: grey or burnt noise is a sign of that."""
    if denoiser.process.kind != "variance_preserving":
        raise NodeError(
            "What this model predicts is fixed by its kind.",
            socket="denoiser",
            expected="a Stable Diffusion 1, 2 or XL model",
            got=denoiser.family,
        )
    return replace(denoiser, prediction=prediction, process=replace(denoiser.process, zero_terminal_snr=zero_terminal_snr))


@contextmanager
def told_plainly() -> Iterator[None]:
    """A model that turns out unfit while it is loaded is the user's to replace, not the node's fault."""
    try:
        yield
    except NotPrompted as error:
        raise NodeError(f"{error.path}: {error.problem}", hint=f"Use {error.node} in place of the prompt.") from None
    except ModelError as error:
        raise NodeError(f"The model cannot be loaded: {error}") from None


def _adapted(network: Any, recipe: Denoiser | TextEncoder | Autoencoder) -> None:
    with told_plainly():
        adapt(network, recipe)


@loader(Denoiser, base=base_of, adapt=_adapted)
def denoiser_network(recipe: Denoiser, device: torch.device) -> LoadedDenoiser:
    """A denoiser's network; the arbiter brings it onto the device."""
    with told_plainly():
        return load_denoiser(recipe, device, placed=False)


@loader(TextEncoder, base=base_of, adapt=_adapted)
def text_encoder_network(recipe: TextEncoder, device: torch.device) -> LoadedTextEncoder:
    """A text encoder's network and tokenizer; the arbiter brings it onto the device."""
    with told_plainly():
        return load_text_encoder(recipe, device, placed=False)


@loader(Autoencoder, base=base_of, adapt=_adapted)
def autoencoder_network(recipe: Autoencoder, device: torch.device) -> LoadedAutoencoder:
    """An autoencoder's network; the arbiter brings it onto the device."""
    with told_plainly():
        return load_autoencoder_network(recipe, device, placed=False)
