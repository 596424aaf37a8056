"""Stable Diffusion 1.x: CLIP ViT-L's last states, 512 pixels."""

from nodegraph_nodes.types import PreviewFactors

from . import ldm_names
from .clip_loading import TowerPlan
from .source import ModelSource
from .unet_family import Architecture, family_of

PIPELINES = ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline")

PREVIEW = PreviewFactors(
    # A rough linear reading of SD 1 latents, rounded to what the eye can tell: the first channel carries brightness,
    # the second and third the warm-cool axes, the fourth an inverted warm tint. For previews only.
    factors=((0.15, 0.10, 0.10), (0.09, 0.14, 0.09), (-0.08, 0.09, 0.13), (-0.09, -0.13, -0.23)),
    bias=(0.5, 0.5, 0.5),
)


def has_clip_vit_l(source: ModelSource) -> bool:
    """SD 2 has the same pipelines, and an OpenCLIP text encoder, whose activation is another."""
    return source.json("text_encoder/config.json").get("hidden_act") == "quick_gelu"


ARCHITECTURE = Architecture(
    name="sd1",
    sought="a Stable Diffusion 1.x diffusers folder (model_index.json with a CLIP ViT-L text encoder), or a "
    ".safetensors file with model.diffusion_model.* and cond_stage_model.transformer.* tensors",
    pipelines=PIPELINES,
    is_folder=has_clip_vit_l,
    towers=(TowerPlan("CLIP ViT-L", (ldm_names.CLIP,)),),
    preview=PREVIEW,
)
SD1 = family_of(ARCHITECTURE)
