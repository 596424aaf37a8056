"""Tiny SDXL-shaped models. The two encoders have unequal widths: where they agree, a loader that mixes them up goes unseen."""

from typing import Any

import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline, StableDiffusionXLPipeline

from tiny_models import LATENT_SHAPE, at_rest, byte_tokenizer, tiny_clip, tiny_scheduler, tiny_unet, tiny_vae

_TIME = 8  # numbers per size that the U-Net is told


def tiny_sdxl(*, prediction: str = "epsilon", seed: int = 0, channels: int = 4) -> Any:
    """Encoders of widths 32 and 48, a projection to 40; three layers each, so that leaving out the last leaves two."""
    torch.manual_seed(seed)
    kind = StableDiffusionXLPipeline if channels == LATENT_SHAPE[0] else StableDiffusionXLInpaintPipeline
    return at_rest(
        kind(
            vae=tiny_vae(0.13025),
            text_encoder=tiny_clip(layers=3),
            tokenizer=byte_tokenizer(),
            text_encoder_2=tiny_clip(48, "gelu", projection=40, layers=3),
            tokenizer_2=byte_tokenizer("!"),
            unet=_unet(6, 80, in_channels=channels),
            scheduler=tiny_scheduler(prediction),
            force_zeros_for_empty_prompt=True,
        )
    )


def tiny_refiner(*, seed: int = 1) -> Any:
    """The refiner: the second encoder alone, an aesthetic score in place of the target size."""
    torch.manual_seed(seed)
    return at_rest(
        StableDiffusionXLImg2ImgPipeline(
            vae=tiny_vae(0.13025),
            text_encoder=None,
            tokenizer=None,
            text_encoder_2=tiny_clip(48, "gelu", projection=40, layers=3),
            tokenizer_2=byte_tokenizer("!"),
            unet=_unet(5, 48, transformer_layers_per_block=2),
            scheduler=tiny_scheduler(),
            requires_aesthetics_score=True,
            force_zeros_for_empty_prompt=False,
        )
    )


def _unet(sizes: int, width: int, **options: Any) -> Any:
    unet = tiny_unet(
        **{
            "cross_attention_dim": width,
            "attention_head_dim": (2, 4),
            "use_linear_projection": True,
            "transformer_layers_per_block": (1, 2),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": _TIME,
            "projection_class_embeddings_input_dim": sizes * _TIME + 40,
            **options,
        }
    )
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if name.startswith("add_embedding"):
                parameter.mul_(3)  # or sizes and the pooled prompt would hardly show
    return unet
