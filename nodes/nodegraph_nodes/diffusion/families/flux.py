"""FLUX.1 dev and schnell: a diffusers folder, or one .safetensors file in the original layout.

Outside `FluxDenoiser` a latent is [16, h, w] as everywhere; the network reads patches of 2 x 2 with their positions. A single
file may be the transformer alone; what it lacks is looked for in the folder beside it (see `parts`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodegraph_nodes.types import Autoencoder, Denoiser, Precision, TextEncoder

from . import flux_names
from .coders import autoencoder_of, downscale_of, load_vae, plain_preview
from .errors import BrokenModel
from .family import Family, Recipes
from .flow_parts import flow_process, load_transformer, transformer_config, vae_config
from .joint_text import CLIP_L, CLIP_L_PREFIX, FluxTextEncoder, load_clip, load_t5
from .loaded import Hints, Prompts
from .networks import KLAutoencoder
from .on_device import OnDevice
from .parts import absent, check_part, part_config, prefix_of, reads
from .source import ModelSource, read_header

NAME = "flux"
_PIPELINES = ("FluxPipeline", "FluxImg2ImgPipeline", "FluxInpaintPipeline")
_SHIFT, _SCALE = 0.1159, 0.3611  # of the published autoencoder's latents
_NATIVE = 128  # latent positions a side: 1024 pixels
_PATCH = 2
_DEV_TEXT_LENGTH, _SCHNELL_TEXT_LENGTH = 512, 256  # T5 tokens
_DEV_SCHEDULER = {"use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}
_DEFAULT_GUIDANCE = 3.5


def recognise(source: ModelSource) -> bool:
    if source.is_folder:
        return source.has("model_index.json") and source.json("model_index.json").get("_class_name") in _PIPELINES
    header = read_header(source.path)
    prefix = prefix_of(header, flux_names.LANDMARK, *flux_names.PREFIXES)
    return prefix is not None and f"{prefix}vector_in.in_layer.weight" in header  # FLUX.2 and Chroma have none


@reads
def describe(source: ModelSource, precision: Precision) -> Recipes:
    """Recipes of a FLUX.1 model from its configs and headers. Raises BrokenModel."""
    if source.is_folder:
        check_part(source, "transformer")
        check_part(source, "vae")
    config, vae = transformer_config(source, flux_names), vae_config(source, _SHIFT, _SCALE)
    path, digest, channels = str(source.path), source.digest, int(vae["latent_channels"])
    if int(config["in_channels"]) != channels * _PATCH**2:
        raise BrokenModel(
            path,
            f"its transformer takes {config['in_channels']} channels where {channels * _PATCH**2} are expected; "
            "the Fill and Control variants of FLUX.1 are not supported yet.",
        )
    usual = _DEV_SCHEDULER if config.get("guidance_embeds") else {"shift": 1.0}
    scheduler = part_config(source, "scheduler/scheduler_config.json", usual.copy)
    downscale = downscale_of(vae)
    return Recipes(
        Denoiser(
            NAME,
            path,
            digest,
            prediction="flow",
            process=flow_process(scheduler, _PATCH, _NATIVE),
            latent_channels=channels,
            downscale=downscale,
            size_multiple=downscale * _PATCH,
            native_size=(_NATIVE * downscale, _NATIVE * downscale),
            preview=plain_preview(channels),
            precision=precision,
        ),
        TextEncoder(NAME, path, digest, precision),
        autoencoder_of(NAME, source, vae, channels, _SCALE, precision),
    )


def load_denoiser(recipe: Denoiser, device: torch.device, dtype: torch.dtype) -> "FluxDenoiser":
    from diffusers import FluxTransformer2DModel

    return FluxDenoiser(recipe, load_transformer(FluxTransformer2DModel, recipe, flux_names, dtype))


class FluxDenoiser(OnDevice):
    """A diffusers FluxTransformer2DModel. A network distilled from a guided one (dev) is told the scale `Hints.distilled`."""

    def __init__(self, recipe: Denoiser, transformer: Any) -> None:
        self.family = recipe.family
        self.prediction = recipe.prediction
        super().__init__(transformer)
        self._train_steps = recipe.process.train_steps
        self._is_distilled = bool(transformer.config.guidance_embeds)

    @torch.no_grad()
    def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
        """x [B, C, h, w] at one timestep per item -> the network's raw output [B, C, h, w] float32."""
        place = self.place
        height, width = x.shape[2:]
        guidance = None
        if self._is_distilled:
            scales = (_DEFAULT_GUIDANCE,) * len(x) if hints is None else hints.distilled
            guidance = torch.tensor(scales, device=place.device, dtype=torch.float32)
        assert prompts.pooled is not None
        output = self.module(
            hidden_states=packed(x).to(place),
            timestep=torch.tensor(timesteps, device=place.device, dtype=torch.float32) / self._train_steps,
            guidance=guidance,
            encoder_hidden_states=prompts.states.to(place),
            pooled_projections=prompts.pooled.to(place),
            txt_ids=torch.zeros(prompts.states.shape[1], 3, device=place.device),
            img_ids=positions(height // _PATCH, width // _PATCH).to(place.device),
            return_dict=False,
        )[0]
        return unpacked(output.float(), height, width).contiguous()


def packed(x: Tensor) -> Tensor:
    """Patches of 2 x 2 as tokens: [B, C, h, w] -> [B, h/2 * w/2, C * 4]."""
    batch, channels, height, width = x.shape
    if height % _PATCH or width % _PATCH:
        raise ValueError(f"FLUX.1 takes latents with even sides, but got {width} x {height}.")
    x = x.reshape(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return x.reshape(batch, (height // 2) * (width // 2), channels * 4)


def unpacked(tokens: Tensor, height: int, width: int) -> Tensor:
    """The reverse of `packed`: [B, h/2 * w/2, C * 4] -> [B, C, h, w]."""
    batch, _, channels = tokens.shape
    x = tokens.reshape(batch, height // 2, width // 2, channels // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return x.reshape(batch, channels // 4, height, width)


def positions(rows: int, columns: int) -> Tensor:
    """A token's place: [rows * columns, 3], of 0, its row and its column."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([torch.zeros_like(row), row, column], -1).reshape(-1, 3).float()


def load_autoencoder(recipe: Autoencoder, device: torch.device, dtype: torch.dtype) -> KLAutoencoder:
    source = ModelSource(Path(recipe.path), recipe.digest)
    return load_vae(recipe, source, vae_config(source, _SHIFT, _SCALE), dtype)


def load_text_encoder(recipe: TextEncoder, device: torch.device, dtype: torch.dtype) -> FluxTextEncoder:
    source = ModelSource(Path(recipe.path), recipe.digest)
    clip = load_clip(source, "", CLIP_L_PREFIX, CLIP_L, dtype, projected=False)
    t5 = load_t5(source, "_2", dtype)
    if t5 is None:
        raise absent(source, "T5 text encoder", "text_encoder_2", "tokenizer_2")
    length = _DEV_TEXT_LENGTH if transformer_config(source, flux_names).get("guidance_embeds") else _SCHNELL_TEXT_LENGTH
    return FluxTextEncoder(NAME, clip, t5, length)


FLUX = Family(
    name=NAME,
    sought="a FLUX.1 diffusers folder, or a .safetensors file with double_blocks.* and vector_in.* tensors",
    recognise=recognise,
    describe=describe,
    load_denoiser=load_denoiser,
    load_text_encoder=load_text_encoder,
    load_autoencoder=load_autoencoder,
)
