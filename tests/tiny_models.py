"""Tiny random Stable-Diffusion-1-shaped models, built from configs alone: no network, no downloads.

Weights are turned up where random initialisation would leave a prompt without effect on the picture, so that a test which
ought to tell two prompts apart can.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from nodegraph_nodes.diffusion.families.clip_tokenizer import byte_letters

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SIZE = 64  # pixels; 8 x 8 latent positions
LATENT_SHAPE = (4, 8, 8)


def tiny_sd1(*, prediction: str = "epsilon", seed: int = 0) -> StableDiffusionPipeline:
    """A 64-pixel pipeline with a U-Net of 1.1M parameters. prediction: epsilon or v_prediction."""
    torch.manual_seed(seed)
    pipeline = StableDiffusionPipeline(
        vae=_tiny_vae(),
        text_encoder=_tiny_text_encoder(),
        tokenizer=byte_tokenizer(),
        unet=_tiny_unet(),
        scheduler=DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type=prediction),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    for network in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        network.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def byte_tokenizer() -> Any:
    """A 514-token CLIP tokenizer: bytes only, no merges."""
    letters = byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    ids = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=ids, merges=[], model_max_length=77, pad_token="<|endoftext|>")


def save_single_file(pipeline: StableDiffusionPipeline, path: Path, drop: str = "") -> Path:
    """The pipeline as one LDM-layout file, with its configs in the sidecar folder. drop: leave out tensors that contain it."""
    tensors = pipeline_to_ldm(pipeline)
    save_file({name: t for name, t in tensors.items() if not drop or drop not in name}, path)
    sidecar = path.with_suffix(".config")
    pipeline.unet.save_config(sidecar / "unet")
    pipeline.vae.save_config(sidecar / "vae")
    pipeline.scheduler.save_config(sidecar / "scheduler")
    pipeline.text_encoder.config.save_pretrained(sidecar / "text_encoder")
    pipeline.tokenizer.save_pretrained(sidecar / "tokenizer")
    return path


def _tiny_unet() -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=2,
        sample_size=LATENT_SHAPE[1],
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=32,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    with torch.no_grad():
        unet.conv_out.weight.mul_(3)
        for name, parameter in unet.named_parameters():
            if "attn2.to_v" in name or "attn2.to_out" in name:
                parameter.mul_(3)
    return unet


def _tiny_vae() -> AutoencoderKL:
    vae = AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=LATENT_SHAPE[0],
        norm_num_groups=32,
        sample_size=SIZE,
        scaling_factor=0.18215,
    )
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(2)
    return vae


def _tiny_text_encoder() -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=514,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=77,
            projection_dim=32,
            hidden_act="quick_gelu",
            bos_token_id=512,
            eos_token_id=513,
            pad_token_id=513,
        )
    )


# ---- the original checkpoint layout, written from diffusers' side -------------------------------------------------------

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def pipeline_to_ldm(pipeline: StableDiffusionPipeline) -> dict[str, Tensor]:
    """All weights under their LDM names. That diffusers' own single-file loader reads them is tested beside ours."""
    unet, vae = pipeline.unet, pipeline.vae
    tensors = {_ldm_unet(name, unet.config): t for name, t in unet.state_dict().items()}
    for name, tensor in vae.state_dict().items():
        convolution = "attentions" in name and tensor.ndim == 2
        tensors[_ldm_vae(name, vae.config)] = tensor[:, :, None, None] if convolution else tensor
    for name, tensor in pipeline.text_encoder.state_dict().items():
        tensors["cond_stage_model.transformer.text_model." + name.removeprefix("text_model.")] = tensor
    return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def _ldm_unet(name: str, config: Mapping[str, Any]) -> str:
    prefix, layers = "model.diffusion_model.", config["layers_per_block"]
    match = re.match(r"(?:(down|up)_blocks\.(\d+)|mid_block)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name)
    if match is None:
        stem, leaf = name.rsplit(".", 1)
        return f"{prefix}{_TOP[stem]}.{leaf}"
    way, level, kind, index, rest = match[1], int(match[2] or 0), match[3], int(match[4]), match[5]
    if kind == "resnets":
        rest = re.sub("^[a-z_0-9]+", lambda part: _RESNET[part[0]], rest)
    if way is None:
        return f"{prefix}middle_block.{2 * index if kind == 'resnets' else 1}.{rest}"
    if kind == "downsamplers":
        return f"{prefix}input_blocks.{(level + 1) * (layers + 1)}.0.op.{rest.split('.')[-1]}"
    if kind == "upsamplers":
        slot = 2 if "CrossAttn" in config["up_block_types"][level] else 1
        return f"{prefix}output_blocks.{level * (layers + 1) + layers}.{slot}.{rest}"
    block = level * (layers + 1) + index + (1 if way == "down" else 0)
    return f"{prefix}{'input' if way == 'down' else 'output'}_blocks.{block}.{0 if kind == 'resnets' else 1}.{rest}"


def _ldm_vae(name: str, config: Mapping[str, Any]) -> str:
    last = len(config["up_block_types"]) - 1
    for pattern, replacement in (
        (r"conv_norm_out", "norm_out"),
        (r"conv_shortcut", "nin_shortcut"),
        (r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2"),
        (r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample"),
        (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
        (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
        (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    ):
        name = re.sub(pattern, replacement, name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"up.{last - int(m[1])}.block.{m[2]}", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    return "first_stage_model." + name
