"""The table: which rule turns a ComfyUI class into our nodes. To map another class, write a rule and add a row.

A rule is a function over a `Draft`; it raises `Unmappable(reason)` for what it cannot do, and the node stays a placeholder.
"""

from __future__ import annotations

from collections.abc import Mapping

from nodegraph.importing.comfyui import (
    controls,
    images,
    loading,
    masks,
    patches,
    prompts,
    regions,
    sampling,
    spacing,
    stretches,
    upscaling,
    values,
)
from nodegraph.importing.comfyui.draft import Rule
from nodegraph.importing.comfyui.sizes import EMPTY

RULES: Mapping[str, Rule] = {
    # models and prompts
    "CheckpointLoaderSimple": loading.load_checkpoint,
    "ControlNetLoader": controls.load_controlnet,
    "DifferentialDiffusion": loading.differential,
    "LoraLoader": loading.load_lora,
    "LoraLoaderModelOnly": loading.load_lora_model_only,
    "ModelSamplingDiscrete": loading.model_sampling,
    "ModelSamplingFlux": loading.shift_flux,
    "ModelSamplingSD3": loading.shift_sd3,
    "UpscaleModelLoader": upscaling.load_upscaler,
    "VAELoader": loading.load_autoencoder,
    "CLIPSetLastLayer": prompts.set_last_layer,
    "CLIPTextEncode": prompts.encode_text,
    "ConditioningAverage": prompts.blend,
    "ConditioningCombine": prompts.combine,
    "ConditioningConcat": prompts.concat,
    "ConditioningSetArea": regions.set_area,
    "ConditioningSetAreaPercentage": regions.set_area_percentage,
    "ConditioningSetMask": regions.set_mask,
    "ConditioningSetTimestepRange": prompts.set_time,
    # sampling
    "KSampler": sampling.ksampler,
    "KSamplerAdvanced": stretches.ksampler_advanced,
    "SamplerCustom": sampling.sampler_custom,
    "SamplerCustomAdvanced": sampling.sampler_custom_advanced,
    # pictures
    "Canny": controls.canny,
    "GetImageSize": images.image_size,
    "ImageInvert": images.invert_image,
    "ImageScale": upscaling.scale_image,
    "ImageScaleBy": upscaling.scale_image_by,
    "ImageScaleToTotalPixels": upscaling.scale_to_total_pixels,
    "ImageUpscaleWithModel": upscaling.upscale_with_model,
    "LatentUpscale": upscaling.upscale_latent,
    "LatentUpscaleBy": upscaling.upscale_latent_by,
    "LoadImage": images.load_image,
    "SaveImage": images.save_image,
    "SaveImageAdvanced": images.save_image_advanced,
    "VAEDecode": images.decode_picture,
    "VAEDecodeTiled": images.decode_tiled,
    "VAEEncode": images.encode_picture,
    "VAEEncodeTiled": images.encode_tiled,
    # masks
    "FeatherMask": masks.feather_mask,
    "GrowMask": masks.grow_mask,
    "ImageCompositeMasked": masks.composite,
    "ImagePadForOutpaint": masks.pad_for_outpaint,
    "ImageToMask": masks.image_to_mask,
    "InpaintModelConditioning": masks.inpaint_conditioning,
    "InvertMask": masks.invert_mask,
    "LoadImageMask": masks.load_mask,
    "MaskComposite": masks.combine_masks,
    "MaskToImage": masks.mask_to_image,
    "SetLatentNoiseMask": masks.mask_latent,
    "VAEEncodeForInpaint": masks.encode_for_inpaint,
    # values
    "ComfySwitchNode": values.switch,
    "PrimitiveBoolean": values.primitive("boolean", "core/boolean", "value"),
    "PrimitiveFloat": values.primitive("number", "core/number", "value"),
    "PrimitiveInt": values.primitive("integer", "core/integer", "value"),
    "PrimitiveString": values.primitive("text", "core/text", "text"),
    "PrimitiveStringMultiline": values.primitive("text", "core/text", "text"),
    "StringConcatenate": values.join_texts,
    "StringReplace": values.replace_text,
}

PARTS = (
    EMPTY
    | controls.APPLIES
    | patches.PATCHES
    | {*sampling.GUIDERS, *spacing.SIGMAS, "ConditioningZeroOut", "KSamplerSelect", "RandomNoise"}
)
"""Classes that have no node of ours: those that read them take their values in, and only for others a placeholder stays."""
