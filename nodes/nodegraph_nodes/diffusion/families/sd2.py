"""Stable Diffusion 2.x: OpenCLIP ViT-H's last states but one; 512 pixels predicting noise, or 768 predicting v.

The two have the same tensors. In a single file the spread of one late bias tells them apart, as ComfyUI does (its
supported_models.py, SD20); a scheduler config in `<file stem>.config/`, or the node `diffusion/set_prediction`, overrules that.
"""

from dataclasses import replace

from . import ldm_names
from .clip_loading import TowerPlan
from .sd1 import PIPELINES, PREVIEW, has_clip_vit_l
from .source import ModelSource, read_header, read_tensors
from .unet_configs import Configs
from .unet_family import Architecture, family_of

_TELLTALE = ldm_names.UNET + "output_blocks.11.1.transformer_blocks.0.norm1.bias"
_SPREAD = 0.09  # training towards v left this bias wider than that
_SIZES = {"v_prediction": 96, "epsilon": 64}  # latent positions that each was trained on


def guess_prediction(source: ModelSource, configs: Configs) -> Configs:
    """What a single file's U-Net predicts, and so at which size, where its configs do not say. Inpainting predicts noise."""
    prediction = str(configs.scheduler.get("prediction_type", "epsilon"))
    if not configs.prediction_is_said:
        wide = configs.unet["in_channels"] == configs.vae["latent_channels"] and _is_wide(source)
        prediction = "v_prediction" if wide else "epsilon"
    unet = configs.unet
    if "unet/config.json" not in configs.own:
        unet = {**unet, "sample_size": _SIZES.get(prediction, _SIZES["epsilon"])}
    return replace(configs, unet=unet, scheduler={**configs.scheduler, "prediction_type": prediction})


def _is_wide(source: ModelSource) -> bool:
    if _TELLTALE not in read_header(source.path):
        return False
    return bool(read_tensors(source.path, {"bias": _TELLTALE})["bias"].float().std(correction=0) > _SPREAD)


def _has_open_clip(source: ModelSource) -> bool:
    return not has_clip_vit_l(source)


SD2 = family_of(
    Architecture(
        name="sd2",
        sought="a Stable Diffusion 2.x diffusers folder (with an OpenCLIP ViT-H text encoder), or a .safetensors file with "
        "model.diffusion_model.* and cond_stage_model.model.* tensors",
        pipelines=PIPELINES,
        is_folder=_has_open_clip,
        towers=(
            # the second is SD Turbo's
            TowerPlan("OpenCLIP ViT-H", (ldm_names.OPEN_CLIP, ldm_names.XL_ONLY_OPEN_CLIP), openclip=True, pad="!"),
        ),
        preview=PREVIEW,
        latents="sd1",
        marks=guess_prediction,
    )
)
