"""Stable Diffusion 3 and 3.5: a diffusers folder, or one .safetensors file in the original layout.

A single file may hold the CLIPs and T5 or not; what it lacks is looked for in the folder beside it (see `parts`). Without T5
its states are zeros, as in diffusers: the model works, and follows long prompts less well.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodegraph_nodes.types import Autoencoder, Denoiser, Precision, TextEncoder

from . import sd3_names
from .coders import autoencoder_of, downscale_of, load_vae, plain_preview
from .family import Family, Recipes
from .flow_parts import flow_process, load_transformer, transformer_config, vae_config
from .joint_text import CLIP_G, CLIP_G_PREFIX, CLIP_L, CLIP_L_PREFIX, SD3TextEncoder, load_clip, load_t5
from .loaded import Hints, Prompts
from .networks import KLAutoencoder
from .on_device import OnDevice
from .parts import check_part, part_config, prefix_of, reads
from .source import ModelSource, read_header

NAME = "sd3"
_SHIFT, _SCALE = 0.0609, 1.5305  # of the published autoencoder's latents
_TEXT_LENGTH = 256  # T5 tokens


def recognise(source: ModelSource) -> bool:
    if source.is_folder:
        index = source.json("model_index.json") if source.has("model_index.json") else {}
        return str(index.get("_class_name")).startswith("StableDiffusion3")
    return prefix_of(read_header(source.path), sd3_names.LANDMARK, *sd3_names.PREFIXES) is not None


@reads
def describe(source: ModelSource, precision: Precision) -> Recipes:
    """Recipes of an SD 3 model from its configs and headers. Raises BrokenModel."""
    if source.is_folder:
        check_part(source, "transformer")
        check_part(source, "vae")
    config, vae = transformer_config(source, sd3_names), vae_config(source, _SHIFT, _SCALE)
    scheduler = part_config(source, "scheduler/scheduler_config.json", lambda: {"shift": 3.0})
    path, digest, channels, patch = str(source.path), source.digest, int(config["in_channels"]), int(config["patch_size"])
    downscale = downscale_of(vae)
    native = int(config["sample_size"])
    return Recipes(
        Denoiser(
            NAME,
            path,
            digest,
            prediction="flow",
            process=flow_process(scheduler, patch, native),
            latent_channels=channels,
            downscale=downscale,
            size_multiple=downscale * patch,
            native_size=(native * downscale, native * downscale),
            preview=plain_preview(channels),
            precision=precision,
            largest_side=int(config["pos_embed_max_size"]) * patch * downscale,
        ),
        TextEncoder(NAME, path, digest, precision),
        autoencoder_of(NAME, source, vae, channels, _SCALE, precision),
    )


def load_denoiser(recipe: Denoiser, device: torch.device, dtype: torch.dtype) -> "SD3Denoiser":
    from diffusers import SD3Transformer2DModel

    return SD3Denoiser(recipe, load_transformer(SD3Transformer2DModel, recipe, sd3_names, dtype))


class SD3Denoiser(OnDevice):
    """A diffusers SD3Transformer2DModel; it is told 1000 t."""

    def __init__(self, recipe: Denoiser, transformer: Any) -> None:
        self.family = recipe.family
        self.prediction = recipe.prediction
        super().__init__(transformer)

    @torch.no_grad()
    def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
        """x [B, C, h, w] at one timestep per item -> the network's raw output [B, C, h, w] float32."""
        place = self.place
        assert prompts.pooled is not None
        output = self.module(
            hidden_states=x.to(place),
            timestep=torch.tensor(timesteps, device=place.device, dtype=torch.float32),
            encoder_hidden_states=prompts.states.to(place),
            pooled_projections=prompts.pooled.to(place),
            return_dict=False,
        )[0]
        return output.float().contiguous()  # type: ignore[no-any-return]


def load_autoencoder(recipe: Autoencoder, device: torch.device, dtype: torch.dtype) -> KLAutoencoder:
    source = ModelSource(Path(recipe.path), recipe.digest)
    return load_vae(recipe, source, vae_config(source, _SHIFT, _SCALE), dtype)


def load_text_encoder(recipe: TextEncoder, device: torch.device, dtype: torch.dtype) -> SD3TextEncoder:
    source = ModelSource(Path(recipe.path), recipe.digest)
    clip_l = load_clip(source, "", CLIP_L_PREFIX, CLIP_L, dtype, projected=True)
    clip_g = load_clip(source, "_2", CLIP_G_PREFIX, CLIP_G, dtype, projected=True)
    width = int(transformer_config(source, sd3_names)["joint_attention_dim"])
    return SD3TextEncoder(NAME, clip_l, clip_g, load_t5(source, "_3", dtype), width, _TEXT_LENGTH)


SD3 = Family(
    name=NAME,
    sought="a Stable Diffusion 3 diffusers folder, or a .safetensors file with joint_blocks.* tensors",
    recognise=recognise,
    describe=describe,
    load_denoiser=load_denoiser,
    load_text_encoder=load_text_encoder,
    load_autoencoder=load_autoencoder,
)
