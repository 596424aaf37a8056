"""Stable Diffusion XL: the base (CLIP ViT-L and OpenCLIP bigG side by side) and the refiner (bigG alone, an aesthetic score).

Both are told sizes beside the prompt; see networks.UNetDenoiser. An empty prompt is all zeros to the base.
"""

from nodegraph_nodes.types import PreviewFactors

from . import ldm_names
from .clip_loading import TowerPlan
from .errors import BrokenModel
from .source import ModelSource, read_header
from .unet_configs import Configs
from .unet_family import Architecture, family_of

PIPELINES = ("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline")

PREVIEW = PreviewFactors(
    # A rough linear reading of SDXL latents, rounded to what the eye can tell: the first channel carries brightness, the second
    # red against blue, the third a yellow-green tint, the fourth inverted brightness with a warm tint. For previews only.
    factors=((0.20, 0.21, 0.22), (-0.15, 0.0, 0.05), (0.06, 0.06, -0.02), (-0.18, -0.14, -0.11)),
    bias=(0.53, 0.5, 0.5),
)


def _has_first_encoder(source: ModelSource) -> bool:
    return source.has("text_encoder/config.json")


def _lacks_first_encoder(source: ModelSource) -> bool:
    return not _has_first_encoder(source) and source.has("text_encoder_2/config.json")


def _refuse_edm(source: ModelSource, configs: Configs) -> Configs:
    """Some files of SDXL's shape were trained on another noise process, which would only give noise here."""
    header = read_header(source.path)
    if not configs.prediction_is_said and any(mark in header for mark in ("edm_mean", "edm_vpred.sigma_max")):
        raise BrokenModel(
            str(source.path), "it was trained as an EDM model (Playground v2.5 or the like), which is not supported."
        )
    return configs


def _big_g(prefix: str) -> TowerPlan:
    """OpenCLIP ViT-bigG: the states of its last layer but one, not normed, and the pooled prompt."""
    return TowerPlan(
        "OpenCLIP ViT-bigG",
        (prefix,),
        "text_encoder_2",
        "tokenizer_2",
        openclip=True,
        omitted=1,
        normed=False,
        pools=True,
        projected=True,
        pad="!",
    )


SDXL = family_of(
    Architecture(
        name="sdxl",
        sought="a Stable Diffusion XL diffusers folder (with two text encoders), or a .safetensors file with "
        "model.diffusion_model.*, conditioner.embedders.0.transformer.* and conditioner.embedders.1.model.* tensors",
        pipelines=PIPELINES,
        is_folder=_has_first_encoder,
        towers=(
            TowerPlan("CLIP ViT-L", (ldm_names.XL_CLIP,), omitted=1, normed=False),
            _big_g(ldm_names.XL_OPEN_CLIP),
        ),
        preview=PREVIEW,
        told_sizes=True,
        zeros_for_empty=True,
        marks=_refuse_edm,
    )
)
SDXL_REFINER = family_of(
    Architecture(
        name="sdxl_refiner",
        sought="a Stable Diffusion XL refiner's diffusers folder (with text_encoder_2 alone), or a .safetensors file with "
        "model.diffusion_model.* and conditioner.embedders.0.model.* tensors",
        pipelines=PIPELINES,
        is_folder=_lacks_first_encoder,
        towers=(_big_g(ldm_names.XL_ONLY_OPEN_CLIP),),
        preview=PREVIEW,
        latents="sdxl",
        told_sizes=True,
        zeros_for_empty=True,
    )
)
