"""Families: one module per model architecture. A new architecture is a new file here, never a new set of nodes.

`describe_model(path, digest)` turns a model on disk into recipes; `load_denoiser`, `load_text_encoder` and
`load_autoencoder` turn recipes into networks.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from nodegraph_nodes.types import Autoencoder, Denoiser, Precision, Storage, TextEncoder

from . import ldm_names
from .adapting import adapt, base_of, read_as_told
from .assemble import loading
from .classes import Classes, told_class, told_nothing
from .control import describe_control, load_control
from .dit import DIT
from .errors import BrokenModel, MissingTensors, ModelError, NotPrompted, UndecidedFamily, UnknownModel
from .family import Family, Recipes
from .flux import FLUX
from .kl import describe_autoencoder
from .ldm import LDM
from .loaded import (
    Hints,
    LoadedAutoencoder,
    LoadedControl,
    LoadedDenoiser,
    LoadedTextEncoder,
    Prompts,
    Residuals,
)
from .nearest import what_it_is
from .parts import denoiser_bytes, text_encoder_bytes
from .placing import place, take_off
from .precision import compute_dtype, decode_dtype, has_amx
from .sd1 import SD1
from .sd2 import SD2
from .sd3 import SD3
from .sdxl import SDXL, SDXL_REFINER
from .source import GGUF, ModelSource, read_header
from .starter import STARTER
from .tiny import describe_tiny, is_tiny, load_tiny

FAMILIES: tuple[Family, ...] = (STARTER, SD1, SD2, SDXL, SDXL_REFINER, SD3, FLUX, LDM, DIT)


def recognise(path: str | Path, digest: str) -> Family:
    """The family of a model on disk. Raises UnknownModel, or BrokenModel for a file that cannot be read at all."""
    source = ModelSource(Path(path), digest)
    if not source.path.exists():
        raise ModelError(str(path), "there is no such file or folder.")
    for family in FAMILIES:
        if family.recognise(source):
            return family
    if source.path.suffix == GGUF and any(name.startswith(ldm_names.UNET) for name in read_header(source.path)):
        raise ModelError(
            str(path),
            "this GGUF file holds the denoising network alone, without a text encoder and an autoencoder. Load a whole model "
            "of its family, and put this file in place of its denoiser with diffusion/denoiser_from_file.",
        )
    raise UnknownModel(str(path), [family.sought for family in FAMILIES], what_it_is(source))


def describe_model(path: str | Path, digest: str, precision: Precision = "auto", storage: Storage = "as_stored") -> Recipes:
    """The recipes of a model on disk, from its configs and headers alone. digest: of its content. Raises ModelError."""
    found = recognise(path, digest).describe(ModelSource(Path(path), digest), precision)
    return found._replace(
        denoiser=replace(found.denoiser, storage=storage), text_encoder=replace(found.text_encoder, storage=storage)
    )


def latents_of(family: str) -> str:
    """The family whose latents a family shares: SDXL's refiner goes on with the base's, SD 2 with SD 1's."""
    return next((known.latents for known in FAMILIES if known.name == family and known.latents), family)


def load_denoiser(recipe: Denoiser, device: torch.device | str, *, placed: bool = True) -> LoadedDenoiser:
    """The network of a recipe, on the device, or (not `placed`) still in the host's memory. Raises ModelError."""
    dtype = compute_dtype(recipe.precision, device, denoiser_bytes(ModelSource(Path(recipe.path), recipe.digest)))
    with loading(recipe.storage):
        network = _family_of(recipe).load_denoiser(base_of(recipe), torch.device(device), dtype)
    adapt(network, recipe)
    return network.to(device) if placed else network


def load_text_encoder(recipe: TextEncoder, device: torch.device | str, *, placed: bool = True) -> LoadedTextEncoder:
    """The network and tokenizer of a recipe, on the device, or (not `placed`) still in the host's memory. Raises ModelError."""
    dtype = compute_dtype(recipe.precision, device, text_encoder_bytes(ModelSource(Path(recipe.path), recipe.digest)))
    with loading(recipe.storage):
        network = _family_of(recipe).load_text_encoder(base_of(recipe), torch.device(device), dtype)
    adapt(network, recipe)
    return network.to(device) if placed else network


def outline(recipe: Denoiser | TextEncoder) -> Any:
    """The network of a recipe without its weights: what layers it has. Only headers are read. Raises ModelError."""
    family, meta = _family_of(recipe), torch.device("meta")
    with loading(outline=True):
        if isinstance(recipe, Denoiser):
            return family.load_denoiser(base_of(recipe), meta, torch.float32)
        return family.load_text_encoder(base_of(recipe), meta, torch.float32)


def check_reading(recipe: TextEncoder) -> None:
    """Raises ModelError where the layers to leave out, or the learned words, do not fit the encoder. Reads no weights.

    What is wrong with the encoder itself is told where it is loaded.
    """
    try:
        network = outline(recipe)
    except ModelError:
        return
    read_as_told(network, recipe)


def load_autoencoder(recipe: Autoencoder, device: torch.device | str, *, placed: bool = True) -> LoadedAutoencoder:
    """The network of a recipe, on the device, or (not `placed`) still in the host's memory. Raises ModelError."""
    dtype = decode_dtype(recipe.precision)
    tiny = is_tiny(ModelSource(Path(recipe.path), recipe.digest))
    load = load_tiny if tiny else _family_of(recipe).load_autoencoder
    network = load(base_of(recipe), torch.device(device), dtype)
    adapt(network, recipe)
    return network.to(device) if placed else network


def classes_of(recipe: Denoiser) -> Classes:
    """What a model that is told a class can be told. Raises ModelError."""
    known = _family_of(recipe).classes
    if known is None or recipe.conditioning != "class":
        raise ModelError(recipe.path, "this model is not told a class.")
    return known(recipe)


def _family_of(recipe: Denoiser | TextEncoder | Autoencoder) -> Family:
    for family in FAMILIES:
        if family.name == recipe.family:
            return family
    raise ModelError(recipe.path, f"this version has no family {recipe.family!r}.")


__all__ = [
    "FAMILIES",
    "BrokenModel",
    "Classes",
    "Family",
    "Hints",
    "LoadedAutoencoder",
    "LoadedControl",
    "LoadedDenoiser",
    "LoadedTextEncoder",
    "MissingTensors",
    "ModelError",
    "ModelSource",
    "NotPrompted",
    "Prompts",
    "Recipes",
    "Residuals",
    "UndecidedFamily",
    "UnknownModel",
    "adapt",
    "base_of",
    "check_reading",
    "classes_of",
    "compute_dtype",
    "decode_dtype",
    "describe_autoencoder",
    "describe_control",
    "describe_model",
    "describe_tiny",
    "has_amx",
    "latents_of",
    "load_autoencoder",
    "load_control",
    "load_denoiser",
    "load_text_encoder",
    "outline",
    "place",
    "recognise",
    "take_off",
    "told_class",
    "told_nothing",
]
