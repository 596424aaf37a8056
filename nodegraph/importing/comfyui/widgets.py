"""What the values of a node are called. ComfyUI writes them as a list in the order of the node's widgets.

Newer files name them (`widgets_values_named`); for older ones the order is known here for nodes that we map, and follows
for others from the inputs that are widgets, where their number agrees. What has no name is called `widget_0`, `widget_1` ...
"""

from __future__ import annotations

from typing import Any

AFTER = "control_after_generate"
_SEEDS = frozenset({"seed", "noise_seed"})
_AFTER_VALUES = frozenset({"fixed", "increment", "decrement", "randomize", "increment-wrap"})

WIDGETS: dict[str, tuple[str, ...]] = {
    name: tuple(text.split())
    for name, text in {
        "BasicScheduler": "scheduler steps denoise",
        "BetaSamplingScheduler": "steps alpha beta",
        "CFGGuider": "cfg",
        "CLIPLoader": "clip_name type device",
        "CLIPSetLastLayer": "stop_at_clip_layer",
        "CLIPTextEncode": "text",
        "CLIPVisionLoader": "clip_name",
        "Canny": "low_threshold high_threshold",
        "CheckpointLoaderSimple": "ckpt_name",
        "ComfySwitchNode": "switch",
        "ConditioningAverage": "conditioning_to_strength",
        "ConditioningSetArea": "width height x y strength",
        "ConditioningSetAreaPercentage": "width height x y strength",
        "ConditioningSetMask": "strength set_cond_area",
        "ConditioningSetTimestepRange": "start end",
        "ControlNetApply": "strength",
        "ControlNetApplyAdvanced": "strength start_percent end_percent",
        "ControlNetLoader": "control_net_name",
        "CreateVideo": "fps",
        "DifferentialDiffusion": "strength",
        "DualCLIPLoader": "clip_name1 clip_name2 type device",
        "EmptyFlux2LatentImage": "width height batch_size",
        "EmptyImage": "width height batch_size color",
        "EmptyLatentImage": "width height batch_size",
        "EmptySD3LatentImage": "width height batch_size",
        "ExponentialScheduler": "steps sigma_max sigma_min",
        "FeatherMask": "left top right bottom",
        "FluxGuidance": "guidance",
        "GetNode": "name",
        "GrowMask": "expand tapered_corners",
        "ImageCompositeMasked": "x y resize_source",
        "ImagePadForOutpaint": "left top right bottom feathering",
        "ImageScale": "upscale_method width height crop",
        "ImageScaleBy": "upscale_method scale_by",
        "ImageScaleToTotalPixels": "upscale_method megapixels resolution_steps",
        "ImageToMask": "channel",
        "InpaintModelConditioning": "noise_mask",
        "KSampler": f"seed {AFTER} steps cfg sampler_name scheduler denoise",
        "KSamplerAdvanced": f"add_noise noise_seed {AFTER} steps cfg sampler_name scheduler start_at_step end_at_step"
        " return_with_leftover_noise",
        "KSamplerSelect": "sampler_name",
        "KarrasScheduler": "steps sigma_max sigma_min rho",
        "LatentUpscale": "upscale_method width height crop",
        "LatentUpscaleBy": "upscale_method scale_by",
        "LoadImage": "image upload",
        "LoadImageMask": "image channel upload",
        "LoraLoader": "lora_name strength_model strength_clip",
        "LoraLoaderModelOnly": "lora_name strength_model",
        "ManualSigmas": "sigmas",
        "MarkdownNote": "text",
        "MaskComposite": "x y operation",
        "ModelSamplingAuraFlow": "shift",
        "ModelSamplingDiscrete": "sampling zsnr",
        "ModelSamplingFlux": "max_shift base_shift width height",
        "ModelSamplingSD3": "shift",
        "Note": "text",
        "PerpNegGuider": "cfg neg_scale",
        "PolyexponentialScheduler": "steps sigma_max sigma_min rho",
        "PrimitiveBoolean": "value",
        "PrimitiveFloat": "value",
        "PrimitiveInt": f"value {AFTER}",
        "PrimitiveNode": f"value {AFTER}",
        "PrimitiveString": "value",
        "PrimitiveStringMultiline": "value",
        "RandomNoise": f"noise_seed {AFTER}",
        "RepeatLatentBatch": "amount",
        "RescaleCFG": "multiplier",
        "SDTurboScheduler": "steps denoise",
        "SamplerCustom": f"add_noise noise_seed {AFTER} cfg",
        "SaveImage": "filename_prefix",
        "SetNode": "name",
        "SplitSigmas": "step",
        "StringConcatenate": "string_a string_b delimiter",
        "StringReplace": "string find replace",
        "UNETLoader": "unet_name weight_dtype",
        "UpscaleModelLoader": "model_name",
        "VAEDecodeTiled": "tile_size overlap temporal_size temporal_overlap",
        "VAEEncodeForInpaint": "grow_mask_by",
        "VAEEncodeTiled": "tile_size overlap temporal_size temporal_overlap",
        "VAELoader": "vae_name",
    }.items()
}
"""The widgets of core nodes in order."""

OUTPUTS: dict[str, tuple[str, ...]] = {
    "CheckpointLoaderSimple": ("MODEL", "CLIP", "VAE"),
    "LoadImage": ("IMAGE", "MASK"),
    "LoraLoader": ("MODEL", "CLIP"),
    "ControlNetApplyAdvanced": ("positive", "negative"),
    "GetImageSize": ("width", "height", "batch_size"),
    "ImagePadForOutpaint": ("IMAGE", "MASK"),
    "InpaintModelConditioning": ("positive", "negative", "latent"),
    "SamplerCustom": ("output", "denoised_output"),
    "SamplerCustomAdvanced": ("output", "denoised_output"),
    "SplitSigmas": ("high_sigmas", "low_sigmas"),
    **dict.fromkeys(("CLIPTextEncode", "ConditioningZeroOut", "FluxGuidance", "ConditioningCombine"), ("CONDITIONING",)),
    **dict.fromkeys(("ConditioningAverage", "ConditioningConcat", "ConditioningSetTimestepRange"), ("CONDITIONING",)),
    **dict.fromkeys(("KSampler", "KSamplerAdvanced", "EmptyLatentImage", "VAEEncode", "VAEEncodeForInpaint"), ("LATENT",)),
    **dict.fromkeys(("LatentUpscale", "LatentUpscaleBy", "LatentComposite", "SetLatentNoiseMask"), ("LATENT",)),
    **dict.fromkeys(("VAEDecode", "VAEDecodeTiled", "ImageScale", "ImageScaleBy", "ImageUpscaleWithModel"), ("IMAGE",)),
    **dict.fromkeys(("ImageInvert", "ImageScaleToTotalPixels"), ("IMAGE",)),
    "Canny": ("IMAGE",),
    "ControlNetApply": ("CONDITIONING",),
    **dict.fromkeys(("UNETLoader", "LoraLoaderModelOnly", "DifferentialDiffusion", "RescaleCFG"), ("MODEL",)),
    **dict.fromkeys(("ModelSamplingSD3", "ModelSamplingFlux", "ModelSamplingDiscrete"), ("MODEL",)),
    **dict.fromkeys(("ConditioningSetMask", "ConditioningSetArea", "ConditioningSetAreaPercentage"), ("CONDITIONING",)),
    **dict.fromkeys(("BasicGuider", "CFGGuider", "PerpNegGuider"), ("GUIDER",)),
    **dict.fromkeys(("BasicScheduler", "BetaSamplingScheduler", "KarrasScheduler", "ExponentialScheduler"), ("SIGMAS",)),
    **dict.fromkeys(("PolyexponentialScheduler", "SDTurboScheduler", "ManualSigmas"), ("SIGMAS",)),
    **dict.fromkeys(("CLIPLoader", "DualCLIPLoader", "CLIPSetLastLayer"), ("CLIP",)),
    "VAELoader": ("VAE",),
    "ControlNetLoader": ("CONTROL_NET",),
    "UpscaleModelLoader": ("UPSCALE_MODEL",),
}
"""Output names of core nodes: the API format has none."""


def named_values(type_: str, values: Any, named: Any, widgets: list[str]) -> dict[str, Any]:
    """A node's values by name. `widgets` are the names of its inputs that are widgets, as far as the file lists them."""
    if isinstance(values, dict):
        return dict(values)
    if not isinstance(values, list):
        return dict(named) if isinstance(named, dict) else {}
    if type_ in WIDGETS:
        names = _placed(list(WIDGETS[type_]), values)
    elif isinstance(named, dict):
        names = list(named) if len(named) == len(values) else []
    else:
        names = _placed(_with_ghosts(widgets, values), values)
        names = names if len(names) == len(values) else []
    found: dict[str, Any] = dict(zip(names, values, strict=False))
    found |= {f"widget_{i}": value for i, value in enumerate(values[len(names) :], len(names))}
    if isinstance(named, dict) and not names:
        return {**named, **{name: value for name, value in found.items() if value not in named.values()}}
    if isinstance(named, dict):  # what the list says counts; where the two differ, both are kept
        found |= {f"{name}_named": value for name, value in named.items() if value not in values}
    return found


def _with_ghosts(names: list[str], values: list[Any]) -> list[str]:
    """The editor's own value after a seed, which no input stands for."""
    found: list[str] = []
    for name in names:
        found.append(name)
        at = len(found)
        if name in _SEEDS and AFTER not in names and at < len(values) and is_after(values[at]):
            found.append(AFTER)
    return found


def _placed(names: list[str], values: list[Any]) -> list[str]:
    """The names without the editor's value where an older file has none."""
    if AFTER in names:
        at = names.index(AFTER)
        if at >= len(values) or not (is_after(values[at]) or isinstance(values[at], bool)):  # true and false in old files
            return [name for name in names if name != AFTER]
    return names


def is_after(value: Any) -> bool:
    return isinstance(value, str) and value in _AFTER_VALUES
