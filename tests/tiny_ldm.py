"""Tiny random models of the latent-diffusion paper, and a DiT, from configs alone; all in eval mode."""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiTPipeline,
    DiTTransformer2DModel,
    LDMTextToImagePipeline,
    UNet2DConditionModel,
    UNet2DModel,
    VQModel,
)
from diffusers.pipelines.deprecated.latent_diffusion_uncond.pipeline_latent_diffusion_uncond import LDMPipeline
from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel
from safetensors.torch import save_file
from tiny_models.ldm import ldm_unet_name, vae_to_ldm
from torch import Tensor
from transformers import BertTokenizer

CLASSES = 10
BETAS = {"beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear"}
NAMES = {"0": "tench, Tinca tinca", "1": "goldfish", "7": "giant panda, panda"}


def scheduler() -> DDIMScheduler:
    """DDIM at our `simple` spacing, to a clean picture."""
    return DDIMScheduler(**BETAS, clip_sample=False, timestep_spacing="trailing")


def tiny_unconditional(seed: int = 0) -> LDMPipeline:
    torch.manual_seed(seed)
    return _ready(LDMPipeline(vqvae=_vq(), unet=_unet(), scheduler=scheduler()))


def tiny_labelled(seed: int = 0) -> LDMPipeline:
    """A U-Net with an embedding per class, and one for none."""
    torch.manual_seed(seed)
    return _ready(LDMPipeline(vqvae=_vq(), unet=_unet(num_class_embeds=CLASSES + 1), scheduler=scheduler()))


def tiny_text(seed: int = 0) -> LDMTextToImagePipeline:
    torch.manual_seed(seed)
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(code) for code in range(97, 123)]
    words = {token: i for i, token in enumerate([*marks, *letters, *("##" + letter for letter in letters)])}
    bert = LDMBertModel(
        LDMBertConfig(
            vocab_size=len(words), d_model=32, encoder_layers=2, encoder_ffn_dim=64, encoder_attention_heads=4, head_dim=8
        )
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=32,
        sample_size=64,
    )
    with torch.no_grad():
        bert.model.embed_tokens.weight.mul_(30)
    unet = attending_unet(channels=4)
    tokenizer = BertTokenizer(vocab=words, model_max_length=77)
    return _ready(LDMTextToImagePipeline(vqvae=vae, bert=bert, tokenizer=tokenizer, unet=unet, scheduler=scheduler()))


def tiny_dit(seed: int = 0) -> DiTPipeline:
    torch.manual_seed(seed)
    transformer = DiTTransformer2DModel(
        sample_size=8,
        num_layers=2,
        patch_size=2,
        attention_head_dim=8,
        num_attention_heads=4,
        in_channels=4,
        out_channels=8,
        attention_bias=True,
        activation_fn="gelu-approximate",
        num_embeds_ada_norm=1000,
        norm_type="ada_norm_zero",
        norm_elementwise_affine=False,
    )
    with torch.no_grad():
        for name, parameter in transformer.named_parameters():
            if "norm1" in name or "proj_out" in name:
                parameter.mul_(3)
    vae = AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=32,
        sample_size=64,
    )
    return _ready(DiTPipeline(transformer=transformer, vae=vae, scheduler=scheduler()))


def attending_unet(channels: int = 3, width: int = 32) -> UNet2DConditionModel:
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(32, 64),
        layers_per_block=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=1,
        cross_attention_dim=width,
    )
    with torch.no_grad():
        unet.conv_out.weight.mul_(3)
        for name, parameter in unet.named_parameters():
            if "attn2.to_v" in name or "attn2.to_out" in name:
                parameter.mul_(5)
    return unet.eval()


def save_imagenet(path: Path, seed: int = 0) -> tuple[UNet2DConditionModel, VQModel, Tensor]:
    """The paper's ImageNet model in small: one file in the original layout, with configs beside it.

    Returns its parts: the U-Net, the autoencoder and the table of class embeddings.
    """
    torch.manual_seed(seed)
    unet, vae, table = attending_unet(width=24), _vq().eval(), torch.randn(1001, 24)
    tensors = {ldm_unet_name(name, unet.config): tensor for name, tensor in unet.state_dict().items()}
    tensors |= vae_to_ldm(vae)
    tensors["cond_stage_model.embedding.weight"] = table
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, path)
    unet.save_config(path.with_suffix(".config") / "unet")
    vae.save_config(path.with_suffix(".config") / "vqvae")
    return unet, vae, table


def _unet(**options: Any) -> UNet2DModel:
    unet = UNet2DModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=32,
        attention_head_dim=8,
        **options,
    )
    with torch.no_grad():
        unet.conv_out.weight.mul_(3)
    return unet


def _vq() -> VQModel:
    vae = VQModel(
        block_out_channels=(32, 32, 64),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=3,
        num_vq_embeddings=64,
        norm_num_groups=32,
        sample_size=32,
        scaling_factor=0.7,
    )
    with torch.no_grad():
        vae.quantize.embedding.weight.normal_()
        vae.decoder.conv_out.weight.mul_(2)
    return vae


def _ready(pipeline: Any) -> Any:
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
