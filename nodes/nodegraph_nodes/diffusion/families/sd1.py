"""Stable Diffusion 1.x: a diffusers folder, or one .safetensors file in the original (LDM) layout, fully offline.

A single file says nothing about its architecture. Its configs are the ones shipped in sd1_config/, unless a folder
named `<file stem>.config` lies beside the file: any config found there (same layout) replaces the shipped one. That is
how to describe a v-prediction fine-tune (scheduler/scheduler_config.json) or a smaller network (unet/config.json ...).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodegraph_nodes.types import (
    Autoencoder,
    Denoiser,
    NoiseProcess,
    Precision,
    Prediction,
    PreviewFactors,
    TextEncoder,
)

from . import ldm_names
from .assemble import fill, skeleton
from .clip import ClipTextEncoder, ClipTower
from .clip_tokenizer import clip_tokenizer
from .errors import BrokenModel
from .family import Family, Recipes
from .networks import KLAutoencoder, UNetDenoiser
from .source import ModelSource, TensorInfo, read_header, read_json, read_tensors

NAME = "sd1"
_SHIPPED_CONFIG = Path(__file__).with_name("sd1_config")
_PIPELINES = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline")
_DIFFUSERS_WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")
_TRANSFORMERS_WEIGHTS = ("model.safetensors", "model.fp16.safetensors")
_PREDICTIONS: dict[str, Prediction] = {"epsilon": "epsilon", "v_prediction": "v"}

_PREVIEW = PreviewFactors(
    # A rough linear reading of SD 1 latents, rounded to what the eye can tell: the first channel carries brightness,
    # the second and third the warm-cool axes, the fourth an inverted warm tint. For previews only.
    factors=((0.15, 0.10, 0.10), (0.09, 0.14, 0.09), (-0.08, 0.09, 0.13), (-0.09, -0.13, -0.23)),
    bias=(0.5, 0.5, 0.5),
)


# ---- what the model says about itself ----


@dataclass(frozen=True, slots=True)
class Configs:
    """The four config files of a model, from its folder, its sidecar or the shipped ones."""

    unet: dict[str, Any]
    vae: dict[str, Any]
    text_encoder: dict[str, Any]
    scheduler: dict[str, Any]


def read_configs(source: ModelSource) -> Configs:
    """Raises BrokenModel where a folder lacks one."""
    names = ("unet/config", "vae/config", "text_encoder/config", "scheduler/scheduler_config")
    if source.is_folder:
        return Configs(*(source.json(f"{name}.json") for name in names))
    sidecar = source.path.with_suffix(".config")
    places = (next(f for f in (sidecar / f"{name}.json", _SHIPPED_CONFIG / f"{name}.json") if f.is_file()) for name in names)
    return Configs(*map(read_json, places))


def recognise(source: ModelSource) -> bool:
    if source.is_folder:
        return (
            source.has("model_index.json")
            and source.json("model_index.json").get("_class_name") in _PIPELINES
            and source.json("text_encoder/config.json").get("hidden_act") == "quick_gelu"  # SD 2 has "gelu"
        )
    header = read_header(source.path)
    return f"{ldm_names.UNET}input_blocks.0.0.weight" in header and any(n.startswith(ldm_names.CLIP) for n in header)


def describe(source: ModelSource, precision: Precision) -> Recipes:
    """Recipes of an SD 1 model from its configs and headers. Raises BrokenModel."""
    configs = read_configs(source)
    path, digest, channels = str(source.path), source.digest, int(configs.vae["latent_channels"])
    if (inputs := _input_channels(source, configs)) != channels:
        raise BrokenModel(
            path, f"its U-Net takes {inputs} channels instead of {channels}; inpainting models are not supported yet."
        )
    _check_weights(source, configs)
    downscale = 2 ** (len(configs.vae["block_out_channels"]) - 1)
    native = int(configs.unet["sample_size"]) * downscale
    return Recipes(
        Denoiser(
            NAME,
            path,
            digest,
            prediction=_prediction(path, configs.scheduler),
            process=_noise_process(configs.scheduler),
            latent_channels=channels,
            downscale=downscale,
            size_multiple=downscale,  # diffusers' U-Net pads odd sizes on the way up
            native_size=(native, native),
            preview=_PREVIEW,
            precision=precision,
        ),
        TextEncoder(NAME, path, digest, precision),
        Autoencoder(
            NAME,
            path,
            digest,
            channels,
            downscale,
            shift=0.0,
            scale=float(configs.vae.get("scaling_factor", 0.18215)),
            precision=precision,
        ),
    )


def _prediction(path: str, scheduler: dict[str, Any]) -> Prediction:
    name = scheduler.get("prediction_type", "epsilon")
    if name not in _PREDICTIONS:
        raise BrokenModel(path, f"its scheduler config has prediction_type {name!r}; known are epsilon and v_prediction.")
    return _PREDICTIONS[name]


def _noise_process(scheduler: dict[str, Any]) -> NoiseProcess:
    """A diffusers scheduler config -> the training noise process; what it does not say is as in SD 1."""
    return NoiseProcess(
        "variance_preserving",
        train_steps=int(scheduler.get("num_train_timesteps", 1000)),
        beta_schedule=str(scheduler.get("beta_schedule", "scaled_linear")),
        beta_start=float(scheduler.get("beta_start", 0.00085)),
        beta_end=float(scheduler.get("beta_end", 0.012)),
        trained_betas=tuple(map(float, scheduler.get("trained_betas") or ())),
        zero_terminal_snr=bool(scheduler.get("rescale_betas_zero_snr", False)),
    )


def _input_channels(source: ModelSource, configs: Configs) -> int:
    if source.is_folder:
        return int(configs.unet["in_channels"])
    return read_header(source.path)[f"{ldm_names.UNET}input_blocks.0.0.weight"].shape[1]


def _check_weights(source: ModelSource, configs: Configs) -> None:
    """Fail early on what headers alone can tell: missing or cut files, and a single file that is not SD 1 shaped."""
    if source.is_folder:
        for folder in ("unet", "vae"):
            read_header(source.weights(folder, *_DIFFUSERS_WEIGHTS))
        read_header(source.weights("text_encoder", *_TRANSFORMERS_WEIGHTS))
        return
    header = read_header(source.path)
    width, context = configs.unet["block_out_channels"][0], configs.unet["cross_attention_dim"]
    text = configs.text_encoder
    landmarks = {
        f"{ldm_names.UNET}input_blocks.0.0.weight": (width, configs.unet["in_channels"], 3, 3),
        f"{ldm_names.UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": (width, context),
        f"{ldm_names.clip_prefix(header)}embeddings.token_embedding.weight": (text["vocab_size"], text["hidden_size"]),
    }
    for name, shape in landmarks.items():
        found = header.get(name, TensorInfo("", ())).shape
        if found != shape:
            raise BrokenModel(
                str(source.path),
                f"{name} is {found or 'missing'} where {shape} is expected. If this is a Stable Diffusion 1 variant, "
                f"describe it with configs in {source.path.with_suffix('.config').name}/ beside the file.",
            )


# ---- its networks ----


def load_denoiser(recipe: Denoiser, device: torch.device, dtype: torch.dtype) -> UNetDenoiser:
    from diffusers import UNet2DConditionModel

    source = ModelSource(Path(recipe.path), recipe.digest)
    config = read_configs(source).unet
    unet = skeleton(lambda: UNet2DConditionModel.from_config(config))
    if source.is_folder:
        tensors = read_tensors(source.weights("unet", *_DIFFUSERS_WEIGHTS))
    else:
        names = {name: ldm_names.unet_name(name, config) for name in unet.state_dict()}
        tensors = read_tensors(source.path, names, network="U-Net")
    return UNetDenoiser(recipe, fill(unet, tensors, recipe.path, "U-Net", dtype)).to(device)


def load_autoencoder(recipe: Autoencoder, device: torch.device, dtype: torch.dtype) -> KLAutoencoder:
    from diffusers import AutoencoderKL

    source = ModelSource(Path(recipe.path), recipe.digest)
    config = read_configs(source).vae
    vae = skeleton(lambda: AutoencoderKL.from_config(config))
    if source.is_folder:
        stored = read_tensors(source.weights("vae", *_DIFFUSERS_WEIGHTS))
        tensors = {_current_vae_name(name): tensor for name, tensor in stored.items()}
    else:
        names = {name: ldm_names.vae_name(name, config) for name in vae.state_dict()}
        tensors = read_tensors(source.path, names, network="autoencoder")
    tensors = {name: _as_linear(name, tensor) for name, tensor in tensors.items()}
    return KLAutoencoder(recipe, fill(vae, tensors, recipe.path, "autoencoder", dtype)).to(device)


def _current_vae_name(name: str) -> str:
    """SD 1's own diffusers repositories were saved with these older attention names."""
    for old, new in ((".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0.")):
        name = name.replace(old, new)
    return name


def _as_linear(name: str, tensor: Tensor) -> Tensor:
    """Attention stored as 1 x 1 convolutions [O, I, 1, 1] -> [O, I]."""
    return tensor.flatten(1) if ".attentions." in name and tensor.ndim == 4 else tensor


def load_text_encoder(recipe: TextEncoder, device: torch.device, dtype: torch.dtype) -> ClipTextEncoder:
    from transformers import CLIPTextConfig, CLIPTextModel

    source = ModelSource(Path(recipe.path), recipe.digest)
    config = CLIPTextConfig(**read_configs(source).text_encoder)
    model = skeleton(lambda: CLIPTextModel(config))
    if source.is_folder:
        stored = read_tensors(source.weights("text_encoder", *_TRANSFORMERS_WEIGHTS))
        tensors = {name.removeprefix("text_model."): tensor for name, tensor in stored.items()}
    else:
        prefix = ldm_names.clip_prefix(read_header(source.path))
        names = {name: prefix + name for name in model.state_dict()}
        tensors = read_tensors(source.path, names, network="text encoder")
    model = fill(model, tensors, recipe.path, "text encoder", dtype)
    return ClipTextEncoder(NAME, [ClipTower(model, _tokenizer(source, config.max_position_embeddings))]).to(device)


def _tokenizer(source: ModelSource, length: int) -> Any:
    """The model's own tokenizer where it brings one, else CLIP's."""
    folder = (source.path if source.is_folder else source.path.with_suffix(".config")) / "tokenizer"
    if not folder.is_dir():
        return clip_tokenizer(length)
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder, local_files_only=True, model_max_length=length)


SD1 = Family(
    name=NAME,
    sought="a Stable Diffusion 1.x diffusers folder (model_index.json with a CLIP ViT-L text encoder), or a "
    ".safetensors file with model.diffusion_model.* and cond_stage_model.transformer.* tensors",
    recognise=recognise,
    describe=describe,
    load_denoiser=load_denoiser,
    load_text_encoder=load_text_encoder,
    load_autoencoder=load_autoencoder,
)
