"""The diffusion pack: one node module per stage, over a library that is pure torch and knows no graph.

The library: `schedules` (noise processes and their spacings), `samplers` (solvers, one step at a time), `predict`
(network output -> guided x0 estimate), `families` (architectures and their networks).
"""

from nodegraph_nodes.diffusion.decode import decode
from nodegraph_nodes.diffusion.denoise import begin_denoise, denoise, denoise_step, finish_denoise
from nodegraph_nodes.diffusion.distance import perceptual_distance
from nodegraph_nodes.diffusion.encode import encode
from nodegraph_nodes.diffusion.guidance import guidance
from nodegraph_nodes.diffusion.handing_over import hand_over, hand_over_latent
from nodegraph_nodes.diffusion.inpaint import inpaint_guidance
from nodegraph_nodes.diffusion.layout import seamless, tile_autoencoder, tile_denoiser
from nodegraph_nodes.diffusion.masked import masked_content, masked_latent, unmasked_latent
from nodegraph_nodes.diffusion.model import autoencoder_network, denoiser_network, load_model, text_encoder_network
from nodegraph_nodes.diffusion.noise import noise_like, sample_noise
from nodegraph_nodes.diffusion.prompt import encode_prompt, encode_prompt_2
from nodegraph_nodes.diffusion.prompt_mixing import (
    blend_prompts,
    combine_prompts,
    concat_prompts,
    schedule_prompts,
    time_prompt,
)
from nodegraph_nodes.diffusion.schedule import custom_schedule, noise_schedule, partial_steps
from nodegraph_nodes.diffusion.text_encoder import clip_skip, load_embedding
from nodegraph_nodes.diffusion.tune import tune_denoiser

__all__ = [
    "autoencoder_network",
    "begin_denoise",
    "blend_prompts",
    "clip_skip",
    "combine_prompts",
    "concat_prompts",
    "custom_schedule",
    "decode",
    "denoise",
    "denoise_step",
    "denoiser_network",
    "encode",
    "encode_prompt",
    "encode_prompt_2",
    "finish_denoise",
    "guidance",
    "hand_over",
    "hand_over_latent",
    "inpaint_guidance",
    "load_embedding",
    "load_model",
    "masked_content",
    "masked_latent",
    "noise_like",
    "noise_schedule",
    "partial_steps",
    "perceptual_distance",
    "sample_noise",
    "schedule_prompts",
    "seamless",
    "text_encoder_network",
    "tile_autoencoder",
    "tile_denoiser",
    "time_prompt",
    "tune_denoiser",
    "unmasked_latent",
]
