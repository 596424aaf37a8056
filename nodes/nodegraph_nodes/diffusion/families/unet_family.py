"""Families with a conditional U-Net told by CLIP: Stable Diffusion 1, 2 and XL share everything but what an Architecture says.

Each lies on disk as a diffusers folder or as one .safetensors file in the original (LDM) layout, with 4 input channels or,
for inpainting, 9: the latent, a mask, and the latent of the masked picture.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from nodegraph_nodes.types import Autoencoder, Denoiser, Precision, PreviewFactors, TextEncoder

from . import clip_loading, kl, ldm_names
from .assemble import fill, skeleton
from .clip import ClipTextEncoder
from .clip_loading import TowerPlan, load_tower, prefix_of
from .errors import BrokenModel
from .family import Family, Recipes
from .kl import load_kl
from .networks import KLAutoencoder, UNetDenoiser, lies_channels_last
from .source import ModelSource, TensorInfo, read_header, read_tensors
from .unet_configs import Configs, noise_process, prediction_of, read_configs

INPAINTING_CHANNELS = 5  # the mask and the masked picture's latent
_OTHER_CHANNELS = {5: "a depth-guided model", 7: "an upscaling model", 8: "an InstructPix2Pix model"}


@dataclass(frozen=True, slots=True)
class Architecture:
    """What sets one family with a U-Net apart.

    pipelines: names of diffusers' pipelines, among which `is_folder` tells. told_sizes: its U-Net is told sizes and the pooled
    prompt. latents: the family whose latents it shares, if not its own. zeros_for_empty: see ClipTextEncoder; what
    model_index.json says (force_zeros_for_empty_prompt) comes first. marks: what more a single file's weights tell (see sd2).
    """

    name: str
    sought: str
    pipelines: tuple[str, ...]
    is_folder: Callable[[ModelSource], bool]
    towers: tuple[TowerPlan, ...]
    preview: PreviewFactors
    latents: str = ""
    told_sizes: bool = False
    zeros_for_empty: bool = False
    marks: Callable[[ModelSource, Configs], Configs] | None = None

    @property
    def shipped(self) -> Path:
        return Path(__file__).with_name(f"{self.name}_config")


def family_of(architecture: Architecture) -> Family:
    """The family's functions."""
    return Family(
        name=architecture.name,
        sought=architecture.sought,
        recognise=partial(recognise, architecture),
        describe=partial(describe, architecture),
        load_denoiser=partial(load_denoiser, architecture),
        load_text_encoder=partial(load_text_encoder, architecture),
        load_autoencoder=partial(load_autoencoder, architecture),
        latents=architecture.latents or architecture.name,
    )


# ---- what the model says about itself ----


def recognise(architecture: Architecture, source: ModelSource) -> bool:
    """By the pipeline of a folder; by the names under which a single file has its U-Net and its text encoders."""
    if source.is_folder:
        return (
            source.has("model_index.json")
            and source.json("model_index.json").get("_class_name") in architecture.pipelines
            and architecture.is_folder(source)
        )
    header = read_header(source.path)
    return (
        f"{ldm_names.UNET}input_blocks.0.0.weight" in header
        and (ldm_names.LABELS in header) == architecture.told_sizes
        and all(prefix_of(tower, header) for tower in architecture.towers)
    )


def configs_of(architecture: Architecture, source: ModelSource) -> Configs:
    """Configs and what the file adds to them. Raises BrokenModel."""
    configs = read_configs(source, architecture.shipped, [tower.folder for tower in architecture.towers])
    if source.is_folder or architecture.marks is None:
        return configs
    return architecture.marks(source, configs)


def describe(architecture: Architecture, source: ModelSource, precision: Precision) -> Recipes:
    """Recipes of a model from its configs and headers. Raises BrokenModel."""
    configs = configs_of(architecture, source)
    name, path, digest, channels = architecture.name, str(source.path), source.digest, int(configs.vae["latent_channels"])
    further = int(configs.unet["in_channels"]) - channels
    if further not in (0, INPAINTING_CHANNELS):
        inputs = further + channels
        is_ = _OTHER_CHANNELS.get(inputs)
        raise BrokenModel(
            path,
            f"its U-Net takes {inputs} channels{f', as {is_} does' if is_ else ''}; known are {channels} and, for inpainting, "
            f"{channels + INPAINTING_CHANNELS}.",
        )
    _check_weights(architecture, source, configs)
    downscale = 2 ** (len(configs.vae["block_out_channels"]) - 1)
    native = int(configs.unet["sample_size"]) * downscale
    return Recipes(
        Denoiser(
            name,
            path,
            digest,
            prediction=prediction_of(path, configs.scheduler),
            process=noise_process(configs.scheduler),
            latent_channels=channels,
            downscale=downscale,
            size_multiple=downscale,  # diffusers' U-Net pads odd sizes on the way up
            native_size=(native, native),
            preview=architecture.preview,
            precision=precision,
            concat_channels=further,
        ),
        TextEncoder(name, path, digest, precision),
        Autoencoder(
            name,
            path,
            digest,
            channels,
            downscale,
            shift=0.0,
            scale=float(configs.vae.get("scaling_factor", 0.18215)),
            precision=precision,
        ),
    )


def _check_weights(architecture: Architecture, source: ModelSource, configs: Configs) -> None:
    """Fail early on what headers alone can tell: missing or cut files, and a single file that is shaped otherwise."""
    if source.is_folder:
        for folder, names in (("unet", kl.WEIGHTS), ("vae", kl.WEIGHTS)):
            _look_into(source, folder, names)
        for tower in architecture.towers:
            _look_into(source, tower.folder, clip_loading.WEIGHTS)
        return
    header = read_header(source.path)
    for name, shape in _landmarks(architecture, configs, header).items():
        found = header.get(name, TensorInfo("", ())).shape
        if found != shape:
            raise BrokenModel(
                str(source.path),
                f"{name} is {found or 'missing'} where {shape} is expected. If this is a variant of {architecture.name}, "
                f"describe it with configs in {source.path.with_suffix('.config').name}/ beside the file.",
            )


def _look_into(source: ModelSource, folder: str, names: tuple[str, ...]) -> None:
    for path in source.shards(folder, *names):
        read_header(path)


def _landmarks(architecture: Architecture, configs: Configs, header: Mapping[str, TensorInfo]) -> dict[str, tuple[int, ...]]:
    """Tensors of a single file whose shapes tell whether its configs describe it."""
    unet = configs.unet
    widths = unet["block_out_channels"]
    level = next(i for i, kind in enumerate(unet["down_block_types"]) if "CrossAttn" in kind)
    attention = f"down_blocks.{level}.attentions.0.transformer_blocks.0.attn2.to_k.weight"
    landmarks: dict[str, tuple[int, ...]] = {
        f"{ldm_names.UNET}input_blocks.0.0.weight": (widths[0], unet["in_channels"], 3, 3),
        ldm_names.unet_name(attention, unet): (widths[level], unet["cross_attention_dim"]),
    }
    if unet.get("addition_embed_type") == "text_time":
        size = (4 * widths[0], unet["projection_class_embeddings_input_dim"])
        landmarks[ldm_names.unet_name("add_embedding.linear_1.weight", unet)] = size
    for tower in architecture.towers:
        text = configs.text_encoders[tower.folder]
        landmarks[clip_loading.landmark(tower, header)] = (text["vocab_size"], text["hidden_size"])
    return landmarks


# ---- its networks ----


def load_denoiser(architecture: Architecture, recipe: Denoiser, device: torch.device, dtype: torch.dtype) -> UNetDenoiser:
    from diffusers import UNet2DConditionModel

    source = ModelSource(Path(recipe.path), recipe.digest)
    config: dict[str, Any] = dict(configs_of(architecture, source).unet)
    unet = skeleton(lambda: UNet2DConditionModel.from_config(config))
    if source.is_folder:
        tensors = source.read("unet", *kl.WEIGHTS)
    else:
        names = {name: ldm_names.unet_name(name, config) for name in unet.state_dict()}
        tensors = read_tensors(source.path, names, network="U-Net")
    last = lies_channels_last(unet, device)
    return UNetDenoiser(recipe, fill(unet, tensors, recipe.path, "U-Net", dtype, channels_last=last), last)


def load_text_encoder(
    architecture: Architecture, recipe: TextEncoder, device: torch.device, dtype: torch.dtype
) -> ClipTextEncoder:
    source = ModelSource(Path(recipe.path), recipe.digest)
    configs = configs_of(architecture, source)
    towers = [load_tower(source, plan, configs.text_encoders[plan.folder], recipe.path, dtype) for plan in architecture.towers]
    zeros = bool(configs.index.get("force_zeros_for_empty_prompt", architecture.zeros_for_empty))
    return ClipTextEncoder(recipe.family, towers, zeros_for_empty=zeros)


def load_autoencoder(
    architecture: Architecture, recipe: Autoencoder, device: torch.device, dtype: torch.dtype
) -> KLAutoencoder:
    return load_kl(recipe, kl.shipped_config(architecture.name), device, dtype)
