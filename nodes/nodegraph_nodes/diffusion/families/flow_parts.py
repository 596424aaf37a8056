"""What SD 3 and FLUX.1 share beside their text encoders: a shifted rectified flow, and an autoencoder of 16 channels."""

from typing import Any

import torch

from nodegraph_nodes.diffusion.schedules import shift_at
from nodegraph_nodes.types import Autoencoder, NoiseProcess, PreviewFactors, ShiftBySize

from . import ldm_names
from .assemble import fill, skeleton
from .networks import KLAutoencoder
from .parts import Piece, absent, has_weights, part_config, part_tensors, prefix_of, read_pieces
from .source import ModelSource, read_header

_VAE_PREFIXES = (ldm_names.VAE, "vae.")


def flow_process(scheduler: dict[str, Any], patch: int, native: int) -> NoiseProcess:
    """A diffusers flow-matching scheduler config -> the noise process. patch, native: in latent positions a side."""
    train_steps = int(scheduler.get("num_train_timesteps", 1000))
    if not scheduler.get("use_dynamic_shifting", False):
        return NoiseProcess("rectified_flow", train_steps, shift=float(scheduler.get("shift", 1.0)))
    by_size = ShiftBySize(
        base_shift=float(scheduler.get("base_shift", 0.5)),
        max_shift=float(scheduler.get("max_shift", 1.15)),
        base_tokens=int(scheduler.get("base_image_seq_len", 256)),
        max_tokens=int(scheduler.get("max_image_seq_len", 4096)),
        patch=patch,
        kind="linear" if scheduler.get("time_shift_type") == "linear" else "exponential",
    )
    return NoiseProcess("rectified_flow", train_steps, shift=shift_at(by_size, (native, native)), shift_by_size=by_size)


def vae_config(source: ModelSource, shift: float, scale: float) -> dict[str, Any]:
    """The autoencoder's config, or the one that both models were published with."""

    def published() -> dict[str, Any]:
        return {
            "block_out_channels": [128, 256, 512, 512],
            "down_block_types": ["DownEncoderBlock2D"] * 4,
            "up_block_types": ["UpDecoderBlock2D"] * 4,
            "layers_per_block": 2,
            "latent_channels": 16,
            "norm_num_groups": 32,
            "sample_size": 1024,
            "shift_factor": shift,
            "scaling_factor": scale,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
        }

    return part_config(source, "vae/config.json", published)


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


def plain_preview(channels: int) -> PreviewFactors:
    """Where nobody has measured how latents look: the first three channels as red, green and blue."""
    rows = [tuple(0.25 if colour == channel else 0.0 for colour in range(3)) for channel in range(channels)]
    return PreviewFactors(tuple((r, g, b) for r, g, b in rows), (0.5, 0.5, 0.5))
