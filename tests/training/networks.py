"""Networks for nodes that are called as functions: loaded once each, as the engine would."""

import functools
from pathlib import Path
from typing import Any

from nodegraph import Context
from nodegraph_nodes.diffusion.families import adapt, base_of, load_autoencoder, load_denoiser, load_text_encoder
from nodegraph_nodes.types import Autoencoder, Denoiser, TextEncoder

_LOAD = {Denoiser: load_denoiser, TextEncoder: load_text_encoder, Autoencoder: load_autoencoder}


@functools.cache
def _loaded(recipe: Any) -> Any:
    return _LOAD[type(recipe)](recipe, "cpu")


def load(recipe: Any) -> Any:
    network = _loaded(base_of(recipe))
    adapt(network, recipe)
    return network


def context(folder: Path, **more: Any) -> Context:
    return Context(scratch_root=folder / "scratch", models_root=folder / "models", load=load, **more)
