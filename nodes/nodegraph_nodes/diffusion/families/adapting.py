"""One network in memory for all recipes that differ in what can be put on and taken off again: patches, wrapping, tiles."""

from dataclasses import replace
from typing import Any, TypeVar

from nodegraph_nodes.types import Autoencoder, Denoiser, TextEncoder

from .clip import ClipTextEncoder
from .compiling import set_compiled
from .errors import ModelError
from .learned_words import read_words
from .lora import denoiser_index, text_index, wear
from .placing import held_still
from .starter import MiniLMTextEncoder
from .wrapping import set_wrap

R = TypeVar("R", Denoiser, TextEncoder, Autoencoder)


def base_of(recipe: R) -> R:
    """The recipe of the network as it is loaded from its file, with nothing put on."""
    if isinstance(recipe, Denoiser):
        return replace(recipe, patches=(), wrap="none", tiles=None, compiled="off", attention="auto", preview_decoder=None)
    if isinstance(recipe, TextEncoder):
        return replace(recipe, patches=(), embeddings=(), skip=0)
    return replace(recipe, wrap="none", tiles=None)


def adapt(network: Any, recipe: Denoiser | TextEncoder | Autoencoder) -> None:
    """Make a loaded network what a recipe with the same base says, from whatever it was. Raises ModelError."""
    changes = getattr(recipe, "patches", ()), getattr(recipe, "wrap", "none"), getattr(recipe, "compiled", "off")
    if vars(network).get(_CHANGES) == changes:  # its weights and layers stay
        _adapt(network, recipe)
        return
    with held_still(network):
        vars(network).pop(_CHANGES, None)
        _adapt(network, recipe)
        vars(network)[_CHANGES] = changes


_CHANGES = "_nodegraph_changes"
"""What of a recipe touches a network's layers, as it was when they were last touched."""


def _adapt(network: Any, recipe: Denoiser | TextEncoder | Autoencoder) -> None:
    if not isinstance(recipe, TextEncoder):
        # windows that go over the border see what lies across it; inside one of them there is no border
        wrap = "none" if recipe.tiles is not None else recipe.wrap
        if not set_wrap(network.module, wrap) and wrap != "none":
            raise ModelError(
                recipe.path,
                "a transformer knows where the picture's borders are, so its pictures cannot be seamless; tiles that wrap can: "
                "link diffusion/tile_denoiser after diffusion/seamless.",
            )
    if not isinstance(recipe, Autoencoder):
        wear(network, recipe.patches, text_index if isinstance(recipe, TextEncoder) else denoiser_index)
    if isinstance(recipe, Denoiser):
        varies = any(lora.curve for lora in recipe.patches)  # with every step: each would be compiled anew
        set_compiled(network.module, "off" if varies else recipe.compiled)
    if isinstance(recipe, TextEncoder):
        read_as_told(network, recipe)


def read_as_told(network: Any, recipe: TextEncoder) -> None:
    """Let a text encoder leave out layers and know words, as its recipe says. Raises ModelError where it cannot."""
    _leave_out(network, recipe)
    _learn(network, recipe)


def _leave_out(network: Any, recipe: TextEncoder) -> None:
    """Set how many of a CLIP encoder's last layers are left out."""
    if isinstance(network, ClipTextEncoder):
        used = min(tower.layers - tower.omitted for tower in network.towers)
        if recipe.skip >= used:
            raise ModelError(
                recipe.path,
                f"{recipe.skip} layers cannot be left out: its text encoder uses {used}; leave out at most {used - 1}.",
            )
        network.skip = recipe.skip
    elif recipe.skip:
        raise ModelError(recipe.path, "layers can be left out (clip skip) of CLIP text encoders only; this is another.")


def _learn(network: Any, recipe: TextEncoder) -> None:
    """Put the learned words beside a text encoder's own: its weights stay as they are."""
    if isinstance(network, ClipTextEncoder):
        network.words = read_words(recipe.embeddings, [tower.width for tower in network.towers])
    elif isinstance(network, MiniLMTextEncoder):
        found = read_words(recipe.embeddings, [network.width])
        network.words = {name: vectors for name, (vectors,) in found.items()}
    elif recipe.embeddings:
        raise ModelError(recipe.path, "learned words (embeddings) can be added to CLIP text encoders only; this is another.")
