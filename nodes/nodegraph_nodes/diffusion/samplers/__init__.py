"""Samplers: solvers of the denoising ODE or SDE, as generators over one step.

`begin` makes the first state, `run_step` does one step of `SAMPLERS[name]`, `finish` takes the clean latent out.
"""

from .noise import NoiseSource, initial_noise, step_noise
from .repaint import repainted_share
from .run import Request, begin, finish, masked_step, run_step, run_steps
from .solvers import SAMPLERS, Sampler, Step, ddim, dpmpp_2m, euler, euler_ancestral, heun

__all__ = [
    "SAMPLERS",
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
    "step_noise",
]
