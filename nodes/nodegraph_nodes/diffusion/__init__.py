"""The diffusion pack: one node module per stage, over a library that is pure torch and knows no graph.

The library: `schedules` (noise processes and their spacings), `samplers` (solvers, one step at a time), `predict`
(network output -> guided x0 estimate), `families` (architectures and their networks).
"""

from nodegraph_nodes.diffusion.classes import class_label, unconditional
from nodegraph_nodes.diffusion.control import apply_control, control_network, load_controlnet
from nodegraph_nodes.diffusion.decode import decode
from nodegraph_nodes.diffusion.denoise import begin_denoise, denoise, denoise_step, finish_denoise
from nodegraph_nodes.diffusion.denoiser_file import denoiser_from_file
from nodegraph_nodes.diffusion.distance import perceptual_distance
from nodegraph_nodes.diffusion.encode import encode
from nodegraph_nodes.diffusion.guidance import guidance
from nodegraph_nodes.diffusion.handing_over import hand_over, hand_over_latent
from nodegraph_nodes.diffusion.image_prompt import (
    apply_ip_adapter,
    encode_image_prompt,
    image_adapter_network,
    image_encoder_network,
    load_image_encoder,
    load_ip_adapter,
)
from nodegraph_nodes.diffusion.inpaint import inpaint_guidance
from nodegraph_nodes.diffusion.layout import seamless, tile_autoencoder, tile_denoiser
from nodegraph_nodes.diffusion.layout_guidance import layout_guidance
from nodegraph_nodes.diffusion.lora import apply_lora
from nodegraph_nodes.diffusion.masked import masked_content, masked_latent, unmasked_latent
from nodegraph_nodes.diffusion.model import (
    autoencoder_network,
    denoiser_network,
    load_autoencoder,
    load_model,
    set_prediction,
    text_encoder_network,
)
from nodegraph_nodes.diffusion.noise import noise_like, sample_noise
from nodegraph_nodes.diffusion.previews import load_preview_decoder, preview_with
from nodegraph_nodes.diffusion.prompt import encode_prompt, encode_prompt_2
from nodegraph_nodes.diffusion.prompt_mixing import (
    blend_prompts,
    combine_prompts,
    concat_prompts,
    schedule_prompts,
    time_prompt,
)
from nodegraph_nodes.diffusion.region import combine_regions, region
from nodegraph_nodes.diffusion.schedule import custom_schedule, noise_schedule, partial_steps
from nodegraph_nodes.diffusion.sizes import size_conditioning
from nodegraph_nodes.diffusion.text_encoder import clip_skip, load_embedding
from nodegraph_nodes.diffusion.tune import tune_denoiser

__all__ = [
    "apply_control",
    "apply_ip_adapter",
    "apply_lora",
    "autoencoder_network",
    "begin_denoise",
    "blend_prompts",
    "class_label",
    "clip_skip",
    "combine_prompts",
    "combine_regions",
    "concat_prompts",
    "control_network",
    "custom_schedule",
    "decode",
    "denoise",
    "denoise_step",
    "denoiser_from_file",
    "denoiser_network",
    "encode",
    "encode_image_prompt",
    "encode_prompt",
    "encode_prompt_2",
    "finish_denoise",
    "guidance",
    "hand_over",
    "hand_over_latent",
    "image_adapter_network",
    "image_encoder_network",
    "inpaint_guidance",
    "layout_guidance",
    "load_autoencoder",
    "load_controlnet",
    "load_embedding",
    "load_image_encoder",
    "load_ip_adapter",
    "load_model",
    "load_preview_decoder",
    "masked_content",
    "masked_latent",
    "noise_like",
    "noise_schedule",
    "partial_steps",
    "perceptual_distance",
    "preview_with",
    "region",
    "sample_noise",
    "schedule_prompts",
    "seamless",
    "set_prediction",
    "size_conditioning",
    "text_encoder_network",
    "tile_autoencoder",
    "tile_denoiser",
    "time_prompt",
    "tune_denoiser",
    "unconditional",
    "unmasked_latent",
]
