"""The diffusion pack: one node module per stage, over a library that is pure torch and knows no graph.

The library: `schedules` (noise processes and their spacings), `samplers` (solvers, one step at a time), `predict`
(network output -> guided x0 estimate), `families` (architectures and their networks).
"""

from nodegraph_nodes.diffusion.classes import class_label, unconditional
from nodegraph_nodes.diffusion.decode import decode
from nodegraph_nodes.diffusion.denoise import begin_denoise, denoise, denoise_step, finish_denoise
from nodegraph_nodes.diffusion.distance import perceptual_distance
from nodegraph_nodes.diffusion.encode import encode
from nodegraph_nodes.diffusion.guidance import guidance
from nodegraph_nodes.diffusion.handing_over import hand_over, hand_over_latent
from nodegraph_nodes.diffusion.layout import seamless, tile_autoencoder, tile_denoiser
from nodegraph_nodes.diffusion.masked import masked_latent
from nodegraph_nodes.diffusion.model import autoencoder_network, denoiser_network, load_model, text_encoder_network
from nodegraph_nodes.diffusion.noise import noise_like, sample_noise
from nodegraph_nodes.diffusion.prompt import encode_prompt
from nodegraph_nodes.diffusion.schedule import custom_schedule, noise_schedule, partial_steps

__all__ = [
    "autoencoder_network",
    "begin_denoise",
    "class_label",
    "custom_schedule",
    "decode",
    "denoise",
    "denoise_step",
    "denoiser_network",
    "encode",
    "encode_prompt",
    "finish_denoise",
    "guidance",
    "hand_over",
    "hand_over_latent",
    "load_model",
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
    "unconditional",
]
