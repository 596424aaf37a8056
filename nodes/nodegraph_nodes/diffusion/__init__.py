"""The diffusion pack: one node module per stage, over a library that is pure torch and knows no graph.

The library: `schedules` (noise processes and their spacings), `samplers` (solvers, one step at a time), `predict`
(network output -> guided x0 estimate), `families` (architectures and their networks).
"""

from nodegraph_nodes.diffusion.decode import decode
from nodegraph_nodes.diffusion.denoise import begin_denoise, denoise, denoise_step, finish_denoise
from nodegraph_nodes.diffusion.denoiser_file import denoiser_from_file
from nodegraph_nodes.diffusion.distance import perceptual_distance
from nodegraph_nodes.diffusion.encode import encode
from nodegraph_nodes.diffusion.guidance import guidance
from nodegraph_nodes.diffusion.handing_over import hand_over, hand_over_latent
from nodegraph_nodes.diffusion.inpaint import inpaint_guidance
from nodegraph_nodes.diffusion.layout import seamless, tile_autoencoder, tile_denoiser
from nodegraph_nodes.diffusion.lora import apply_lora
from nodegraph_nodes.diffusion.masked import masked_content, masked_latent, unmasked_latent
from nodegraph_nodes.diffusion.model import autoencoder_network, denoiser_network, load_model, text_encoder_network
from nodegraph_nodes.diffusion.noise import noise_like, sample_noise
from nodegraph_nodes.diffusion.prompt import encode_prompt
from nodegraph_nodes.diffusion.schedule import custom_schedule, noise_schedule, partial_steps
from nodegraph_nodes.diffusion.tune import tune_denoiser

__all__ = [
    "apply_lora",
    "autoencoder_network",
    "begin_denoise",
    "custom_schedule",
    "decode",
    "denoise",
    "denoise_step",
    "denoiser_from_file",
    "denoiser_network",
    "encode",
    "encode_prompt",
    "finish_denoise",
    "guidance",
    "hand_over",
    "hand_over_latent",
    "inpaint_guidance",
    "load_model",
    "masked_content",
    "masked_latent",
    "noise_like",
    "noise_schedule",
    "partial_steps",
    "perceptual_distance",
    "sample_noise",
    "seamless",
    "text_encoder_network",
    "tile_autoencoder",
    "tile_denoiser",
    "tune_denoiser",
    "unmasked_latent",
]
