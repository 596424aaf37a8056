"""The models of the latent-diffusion paper (Rombach et al. 2022): told a prompt, a class, or nothing.

Folders of diffusers' LDMTextToImagePipeline (bert, unet, vqvae) and LDMPipeline (unet, vqvae). A unet with
`num_class_embeds`, or a folder class_embedder/ with a table `embedding.weight` that the unet attends to, makes a model that is
told a class. The paper's ImageNet model is read as one file, too, where that table is `cond_stage_model.embedding.weight`.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodegraph_nodes.types import Autoencoder, Denoiser, Precision, TextEncoder, Told

from . import ldm_names
from .assemble import fill, skeleton
from .classes import Classes, known_classes
from .coders import autoencoder_of, downscale_of, plain_preview
from .errors import BrokenModel, NotPrompted
from .family import Family, Recipes
from .ldm_networks import LDMDenoiser, LDMTextEncoder
from .networks import KLAutoencoder
from .parts import Piece, check_part, has_weights, part_config, part_tensors, read_pieces, reads
from .scheduler_config import prediction_of, process_of
from .source import ModelSource, read_header
from .vq import VQAutoencoder

NAME = "ldm"
_TEXT, _OTHER = "LDMTextToImagePipeline", "LDMPipeline"
_TABLE = "cond_stage_model.embedding.weight"

# The paper's class-conditional ImageNet model (configs/latent-diffusion/cin256-v2.yaml).
_UNET: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 64,
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": [192, 384, 576, 960],
    "down_block_types": ["DownBlock2D"] + ["CrossAttnDownBlock2D"] * 3,
    "up_block_types": ["CrossAttnUpBlock2D"] * 3 + ["UpBlock2D"],
    "layers_per_block": 2,
    "attention_head_dim": 1,  # the number of heads, in spite of its name
    "cross_attention_dim": 512,
}
_VQ: dict[str, Any] = {
    "_class_name": "VQModel",
    "block_out_channels": [128, 256, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 3,
    "up_block_types": ["UpDecoderBlock2D"] * 3,
    "layers_per_block": 2,
    "latent_channels": 3,
    "vq_embed_dim": 3,
    "num_vq_embeddings": 8192,
    "sample_size": 256,
    "scaling_factor": 1.0,
}
_SCHEDULER: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.0015, "beta_end": 0.0195}


# ---- what the model says about itself ----


def recognise(source: ModelSource) -> bool:
    if source.is_folder:
        return source.has("model_index.json") and source.json("model_index.json").get("_class_name") in (_TEXT, _OTHER)
    header = read_header(source.path)
    return f"{ldm_names.UNET}input_blocks.0.0.weight" in header and _TABLE in header


@reads
def describe(source: ModelSource, precision: Precision) -> Recipes:
    """Recipes of a model from its configs and headers. Raises BrokenModel."""
    conditioning: Told = "prompt" if _pipeline(source) == _TEXT else "class" if _table_rows(source) else "none"
    for part in ("unet", "vqvae", *(["bert"] if conditioning == "prompt" else [])) if source.is_folder else ():
        check_part(source, part)
    unet, vqvae = _unet_config(source), _vqvae_config(source)
    scheduler = part_config(source, "scheduler/scheduler_config.json", None if source.is_folder else _SCHEDULER.copy)
    path, digest, channels = str(source.path), source.digest, int(unet["in_channels"])
    downscale = downscale_of(vqvae)
    # Only the conditional U-Net of diffusers pads odd sizes on the way up.
    steps_down = 0 if _is_conditional(unet) else len(unet["block_out_channels"]) - 1
    native = int(unet["sample_size"]) * downscale
    return Recipes(
        Denoiser(
            NAME,
            path,
            digest,
            prediction=prediction_of(scheduler, path),
            process=process_of(scheduler),
            latent_channels=channels,
            downscale=downscale,
            size_multiple=downscale * 2**steps_down,
            native_size=(native, native),
            preview=plain_preview(channels),
            precision=precision,
            conditioning=conditioning,
        ),
        TextEncoder(NAME, path, digest, precision),
        autoencoder_of(NAME, source, vqvae, channels, 0.18215, precision),
    )


def classes(recipe: Denoiser) -> Classes:
    """What a model that is told a class can be told."""
    source = ModelSource(Path(recipe.path), recipe.digest)
    return known_classes(_table_rows(source), part_config(source, "model_index.json", dict))


def _pipeline(source: ModelSource) -> str:
    return str(source.json("model_index.json").get("_class_name")) if source.is_folder else _OTHER


def _unet_config(source: ModelSource) -> dict[str, Any]:
    return part_config(source, "unet/config.json", None if source.is_folder else _UNET.copy)


def _vqvae_config(source: ModelSource) -> dict[str, Any]:
    return part_config(source, "vqvae/config.json", None if source.is_folder else _VQ.copy)


def _is_conditional(unet: dict[str, Any]) -> bool:
    return unet.get("_class_name") == "UNet2DConditionModel"


def _table_rows(source: ModelSource) -> int:
    """How many classes the model has embeddings for; 0 if it is not told a class."""
    if not source.is_folder:
        return read_header(source.path)[_TABLE].shape[0]
    if has_weights(source, "class_embedder"):
        return len(_embedding(source))
    return int(_unet_config(source).get("num_class_embeds") or 0)


def _embedding(source: ModelSource) -> Tensor:
    """The table of embeddings that the unet attends to: [rows, D]."""
    if not source.is_folder:
        return read_pieces(source.path, {_TABLE: Piece(_TABLE)})[_TABLE]
    stored = part_tensors(source, "class_embedder")
    if "embedding.weight" not in stored:
        raise BrokenModel(str(source.path), "class_embedder/ has no tensor embedding.weight.")
    return stored["embedding.weight"]


# ---- its networks ----


def load_denoiser(recipe: Denoiser, device: torch.device, dtype: torch.dtype) -> LDMDenoiser:
    from diffusers import UNet2DConditionModel, UNet2DModel

    source = ModelSource(Path(recipe.path), recipe.digest)
    config = _unet_config(source)
    kind = UNet2DConditionModel if _is_conditional(config) else UNet2DModel
    unet = skeleton(lambda: kind.from_config(config))
    if source.is_folder:
        tensors = _current(part_tensors(source, "unet"))
    else:
        pieces = {name: Piece(ldm_names.unet_name(name, config)) for name in unet.state_dict()}
        tensors = read_pieces(source.path, pieces, network="U-Net")
    table = None
    if not source.is_folder or has_weights(source, "class_embedder"):
        table = _embedding(source).to(dtype)
    unet = fill(unet, tensors, recipe.path, "U-Net", dtype, channels_last=True)
    return LDMDenoiser(recipe, unet, attends=_is_conditional(config), table=table)


def load_autoencoder(recipe: Autoencoder, device: torch.device, dtype: torch.dtype) -> VQAutoencoder | KLAutoencoder:
    from diffusers import AutoencoderKL, VQModel

    source = ModelSource(Path(recipe.path), recipe.digest)
    config = _vqvae_config(source)
    is_kl = config.get("_class_name") == "AutoencoderKL"
    vae = skeleton(lambda: (AutoencoderKL if is_kl else VQModel).from_config(config))
    if source.is_folder:
        tensors = _current(part_tensors(source, "vqvae"))
    else:
        pieces = {name: Piece(ldm_names.vae_name(name, config)) for name in vae.state_dict()}
        tensors = _current(read_pieces(source.path, pieces, network="autoencoder"))
    vae = fill(vae, tensors, recipe.path, "autoencoder", dtype, channels_last=True)
    return (KLAutoencoder if is_kl else VQAutoencoder)(recipe, vae)


def _current(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Attention under diffusers' present names, and as matrices: these models were saved long ago."""

    def renamed(name: str) -> str:
        if ".attentions." in name:
            for old, new in ((".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0.")):
                name = name.replace(old, new)
        return name

    flat = {name: ".attentions." in name and t.ndim == 4 and ".proj_" not in name for name, t in tensors.items()}
    return {renamed(name): t.flatten(1) if flat[name] else t for name, t in tensors.items()}


def load_text_encoder(recipe: TextEncoder, device: torch.device, dtype: torch.dtype) -> LDMTextEncoder:
    source = ModelSource(Path(recipe.path), recipe.digest)
    if _pipeline(source) != _TEXT:
        raise NotPrompted(recipe.path, "a class" if _table_rows(source) else "nothing")
    from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel
    from transformers import BertTokenizer

    config = LDMBertConfig(**part_config(source, "bert/config.json"))
    model = skeleton(lambda: LDMBertModel(config))
    model = fill(model, part_tensors(source, "bert"), recipe.path, "text encoder", dtype)
    tokenizer = BertTokenizer.from_pretrained(source.path / "tokenizer", local_files_only=True)
    return LDMTextEncoder(NAME, model, tokenizer)


LDM = Family(
    name=NAME,
    sought="a folder of diffusers' LDMTextToImagePipeline or LDMPipeline, or a .safetensors file of the latent-diffusion "
    f"paper's ImageNet model with {_TABLE}",
    recognise=recognise,
    describe=describe,
    load_denoiser=load_denoiser,
    load_text_encoder=load_text_encoder,
    load_autoencoder=load_autoencoder,
    classes=classes,
)
