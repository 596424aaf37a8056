"""Samplers: solvers of the denoising ODE or SDE, as generators over one step.

`begin` makes the first state, `run_step` does one step of `SAMPLERS[name]`, `finish` takes the clean latent out.
"""

from .multistep import dpmpp_2m
from .noise import NoiseSource, initial_noise, step_noise, varied_noise
from .ode import euler, heun
from .registry import SAMPLERS, TAKE_ETA, sampler_of
from .repaint import repainted_share
from .run import Request, begin, finish, masked_step, run_step, run_steps
from .steps import Sampler, Step
from .stochastic import ddim, euler_ancestral

__all__ = [
    "SAMPLERS",
    "TAKE_ETA",
    "NoiseSource",
    "Request",
    "Sampler",
    "Step",
    "begin",
    "ddim",
    "dpmpp_2m",
    "euler",
    "euler_ancestral",
    "finish",
    "heun",
    "initial_noise",
    "masked_step",
    "repainted_share",
    "run_step",
    "run_steps",
    "sampler_of",
    "step_noise",
    "varied_noise",
]
