"""Tiny random Stable-Diffusion-shaped models, built from configs alone: no network, no downloads. SDXL's are in `xl`.

Weights are turned up where random initialisation would leave a prompt without effect on the picture, so that a test which
ought to tell two prompts apart can.
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from nodegraph_nodes.diffusion.families.clip_tokenizer import byte_letters
from tiny_models.ldm import pipeline_to_ldm

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SIZE = 64  # pixels; 8 x 8 latent positions
LATENT_SHAPE = (4, 8, 8)


def tiny_sd1(*, prediction: str = "epsilon", seed: int = 0, channels: int = 4) -> StableDiffusionPipeline:
    """A 64-pixel pipeline with a U-Net of 1.1M parameters. prediction: epsilon or v_prediction; channels: 9 for inpainting."""
    return _pipeline(seed, prediction, channels, tiny_clip, "<|endoftext|>")


def tiny_sd2(*, prediction: str = "v_prediction", seed: int = 0, channels: int = 4) -> StableDiffusionPipeline:
    """The same with what sets SD 2 apart: an OpenCLIP-like encoder, another width, linear projections, padding with "!"."""
    encoder = partial(tiny_clip, width=48, activation="gelu")
    options = {"cross_attention_dim": 48, "use_linear_projection": True, "attention_head_dim": (2, 4)}
    return _pipeline(seed, prediction, channels, encoder, "!", **options)


def tiny_scheduler(prediction: str = "epsilon") -> DDIMScheduler:
    return DDIMScheduler(**BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type=prediction)


def at_rest(pipeline: Any) -> Any:
    """For inference, without progress bars."""
    for network in pipeline.components.values():
        if isinstance(network, torch.nn.Module):
            network.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _pipeline(seed: int, prediction: str, channels: int, encoder: Any, pad: str, **unet: Any) -> StableDiffusionPipeline:
    torch.manual_seed(seed)
    kind = StableDiffusionPipeline if channels == LATENT_SHAPE[0] else StableDiffusionInpaintPipeline
    return at_rest(
        kind(
            vae=tiny_vae(),
            text_encoder=encoder(),
            tokenizer=byte_tokenizer(pad),
            unet=tiny_unet(in_channels=channels, **unet),
            scheduler=tiny_scheduler(prediction),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    )


def byte_tokenizer(pad: str = "<|endoftext|>") -> Any:
    """A 514-token CLIP tokenizer: bytes only, no merges."""
    letters = byte_letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    ids = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=ids, merges=[], model_max_length=77, pad_token=pad)


def save_single_file(pipeline: Any, path: Path, drop: str = "", dtype: torch.dtype = torch.float32) -> Path:
    """The pipeline as one LDM-layout file, with its configs in the sidecar folder. drop: leave out tensors that contain it."""
    tensors = pipeline_to_ldm(pipeline)
    save_file({name: t.to(dtype) for name, t in tensors.items() if not drop or drop not in name}, path)
    sidecar = path.with_suffix(".config")
    for name, component in pipeline.components.items():
        if isinstance(component, PreTrainedModel):
            component.config.save_pretrained(sidecar / name)
        elif isinstance(component, PreTrainedTokenizerBase):
            component.save_pretrained(sidecar / name)
        elif hasattr(component, "save_config"):
            component.save_config(sidecar / name)
    pipeline.save_config(sidecar)
    return path


def tiny_unet(**options: Any) -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        **{
            "block_out_channels": (32, 64),
            "layers_per_block": 2,
            "sample_size": LATENT_SHAPE[1],
            "cross_attention_dim": 32,
            "attention_head_dim": 4,
            "norm_num_groups": 32,
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            **options,
        }
    )
    with torch.no_grad():
        unet.conv_out.weight.mul_(3)
        for name, parameter in unet.named_parameters():
            if "attn2.to_v" in name or "attn2.to_out" in name:
                parameter.mul_(3)
    return unet


def tiny_vae(scale: float = 0.18215) -> AutoencoderKL:
    vae = AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=LATENT_SHAPE[0],
        norm_num_groups=32,
        sample_size=SIZE,
        scaling_factor=scale,
    )
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(2)
    return vae


def tiny_clip(width: int = 32, activation: str = "quick_gelu", projection: int | None = None, layers: int = 2) -> Any:
    """A CLIP text encoder; with a projection, a CLIPTextModelWithProjection."""
    kind = CLIPTextModel if projection is None else CLIPTextModelWithProjection
    return kind(
        CLIPTextConfig(
            vocab_size=514,
            hidden_size=width,
            intermediate_size=64,
            num_hidden_layers=layers,
            num_attention_heads=4,
            max_position_embeddings=77,
            projection_dim=projection or width,
            hidden_act=activation,
            bos_token_id=512,
            eos_token_id=513,
            pad_token_id=513,
        )
    )
