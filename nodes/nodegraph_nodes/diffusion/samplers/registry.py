"""The solvers by name."""

from collections.abc import Mapping
from functools import partial
from typing import Protocol

from nodegraph_nodes.types import DenoiseState, Schedule

from .multistep import dpmpp_2m, lms, uni_pc, uni_pc_bh2
from .noise import NoiseSource
from .ode import dpm2, euler, heun
from .steps import Sampler, Step
from .stochastic import ddim, ddpm, dpmpp_2m_sde, dpmpp_2s_ancestral, dpmpp_sde, euler_ancestral, lcm


class EtaSampler(Protocol):
    """A solver that can be told how much fresh noise to add."""

    def __call__(self, state: DenoiseState, schedule: Schedule, noise: NoiseSource, eta: float = ...) -> Step: ...


TAKE_ETA: Mapping[str, EtaSampler] = {
    "euler_ancestral": euler_ancestral,
    "dpmpp_2s_ancestral": dpmpp_2s_ancestral,
    "dpmpp_sde": dpmpp_sde,
    "dpmpp_2m_sde": dpmpp_2m_sde,
    "ddim": ddim,
}

SAMPLERS: Mapping[str, Sampler] = {
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "heun": heun,
    "dpm2": dpm2,
    "dpmpp_2s_ancestral": dpmpp_2s_ancestral,
    "dpmpp_2m": dpmpp_2m,
    "dpmpp_sde": dpmpp_sde,
    "dpmpp_2m_sde": dpmpp_2m_sde,
    "ddim": ddim,
    "ddpm": ddpm,
    "lms": lms,
    "uni_pc": uni_pc,
    "uni_pc_bh2": uni_pc_bh2,
    "lcm": lcm,
}


def sampler_of(name: str, eta: float | None = None) -> Sampler:
    """The solver of a name; with eta, if it takes one: others add no noise, or their own amount, and go without."""
    if eta is None or name not in TAKE_ETA:
        return SAMPLERS[name]
    return partial(TAKE_ETA[name], eta=eta)
