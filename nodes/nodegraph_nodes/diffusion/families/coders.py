"""Autoencoders as parts of whole models: what their configs say of latents, and their weights, in a folder or a single file."""

from typing import Any

import torch

from nodegraph_nodes.types import Autoencoder, Precision, PreviewFactors

from . import ldm_names
from .assemble import fill, skeleton
from .errors import BrokenModel
from .networks import KLAutoencoder
from .parts import Piece, absent, has_weights, part_tensors, prefix_of, read_pieces
from .source import ModelSource, read_header

_VAE_PREFIXES = (ldm_names.VAE, "vae.")


def autoencoder_of(
    family: str, source: ModelSource, vae: dict[str, Any], channels: int, scale: float, precision: Precision
) -> Autoencoder:
    """The recipe of an autoencoder by its config. channels: of its model's latents; scale: theirs, where the config has none.

    Raises BrokenModel for latents of other channels.
    """
    made = int(vae.get("latent_channels", channels))
    if made != channels:
        raise BrokenModel(str(source.path), f"its autoencoder makes latents of {made} channels, and the rest reads {channels}.")
    return Autoencoder(
        family,
        str(source.path),
        source.digest,
        channels,
        downscale_of(vae),
        shift=float(vae.get("shift_factor") or 0.0),
        scale=float(vae.get("scaling_factor", scale)),
        precision=precision,
    )


def downscale_of(vae: dict[str, Any]) -> int:
    """Pixels to a latent position, along a side."""
    return int(2 ** (len(vae["block_out_channels"]) - 1))


def plain_preview(channels: int) -> PreviewFactors:
    """Where nobody has measured how latents look: the first three channels as red, green and blue."""
    rows = [tuple(0.25 if colour == channel else 0.0 for colour in range(3)) for channel in range(channels)]
    return PreviewFactors(tuple((r, g, b) for r, g, b in rows), (0.5, 0.5, 0.5))


def load_vae(recipe: Autoencoder, source: ModelSource, config: dict[str, Any], dtype: torch.dtype) -> KLAutoencoder:
    """From the `vae` folder, or from a single file. Raises BrokenModel."""
    from diffusers import AutoencoderKL

    vae = skeleton(lambda: AutoencoderKL.from_config(config))
    if has_weights(source, "vae"):
        tensors = part_tensors(source, "vae")
    else:
        header = {} if source.is_folder else read_header(source.path)
        prefix = prefix_of(header, "decoder.conv_in.weight", *_VAE_PREFIXES)
        if prefix is None:
            raise absent(source, "autoencoder", "vae")
        names = {name: ldm_names.vae_name(name, config).removeprefix(ldm_names.VAE) for name in vae.state_dict()}
        tensors = read_pieces(source.path, {n: Piece(prefix + s) for n, s in names.items()}, network="autoencoder")
        tensors = {n: t.flatten(1) if ".attentions." in n and t.ndim == 4 else t for n, t in tensors.items()}
    return KLAutoencoder(recipe, fill(vae, tensors, recipe.path, "autoencoder", dtype, channels_last=True))
