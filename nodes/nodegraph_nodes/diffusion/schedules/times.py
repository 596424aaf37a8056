"""Spacings that choose timesteps. For flows, whose level is time, the even ones are all `flow_even`."""

import numpy as np

from .beta import beta_quantile
from .levels import Levels, Shape, then_clean
from .process import RectifiedFlow, VariancePreserving

BETA_SHAPE = 0.6  # Lee et al. 2024: both parameters


def normal(process: VariancePreserving, steps: int, shape: Shape) -> Levels:
    """Equal distances in timestep from T-1 to 0, then clean. diffusers: timestep_spacing="linspace".

    A single step starts at T-1, where noise is (diffusers' would start at 0).
    """
    return then_clean(process, np.linspace(process.train_steps - 1.0, 0.0, steps, dtype=np.float64))


def sgm_uniform(process: VariancePreserving, steps: int, shape: Shape) -> Levels:
    """Equal distances in timestep from T-1 to 0, of which 0 is left out, then clean: Stability AI's generative-models."""
    return then_clean(process, np.linspace(process.train_steps - 1.0, 0.0, steps + 1, dtype=np.float64)[:-1])


def simple(process: VariancePreserving, steps: int, shape: Shape) -> Levels:
    """Every (T/N)-th timestep counted down from T-1, then clean. diffusers: timestep_spacing="trailing"."""
    _refuse_more_than(process.train_steps, steps, "simple")
    ratio = process.train_steps / steps
    return then_clean(process, np.round(process.train_steps - ratio * np.arange(steps)) - 1)


def ddim_uniform(process: VariancePreserving, steps: int, shape: Shape) -> Levels:
    """Every (T//N)-th timestep counted up from 1, ending at the noise level of timestep 0 rather than clean.

    What Stable Diffusion 1 was published with. diffusers: timestep_spacing="leading", steps_offset=1,
    set_alpha_to_one=False.
    """
    _refuse_more_than(process.train_steps - 1, steps, "ddim_uniform")
    timesteps = np.arange(steps, dtype=np.float64)[::-1] * (process.train_steps // steps) + 1.0
    timesteps = np.append(timesteps, 0.0)
    return Levels(process.sigma_hat_at(timesteps), timesteps)


def beta(process: VariancePreserving, steps: int, shape: Shape) -> Levels:
    """Timesteps at quantiles of the beta distribution (Lee et al. 2024): dense at both ends, then clean.

    The shares 1, 1 - 1/N ... 1/N, as ComfyUI's "beta" takes them, without its rounding to whole timesteps.
    """
    return then_clean(process, (process.train_steps - 1) * beta_quantile(_shares(steps), BETA_SHAPE, BETA_SHAPE))


def flow_even(process: RectifiedFlow, steps: int, shape: Shape) -> Levels:
    """Equal distances in t from 1 to 0, then shifted."""
    sigma = process.sigma_at(np.linspace(1, 0, steps + 1))
    return Levels(sigma, process.timestep_at(sigma))


def flow_beta(process: RectifiedFlow, steps: int, shape: Shape) -> Levels:
    """t at quantiles of the beta distribution, shifted, then 0."""
    sigma = process.sigma_at(np.append(beta_quantile(_shares(steps), BETA_SHAPE, BETA_SHAPE), 0.0))
    return Levels(sigma, process.timestep_at(sigma))


def _shares(steps: int) -> np.ndarray:
    return 1 - np.arange(steps) / steps


def _refuse_more_than(limit: int, steps: int, name: str) -> None:
    if steps > limit:
        raise ValueError(
            f"The schedule {name!r} can do at most {limit} steps with this model, but {steps} were asked for; "
            "use fewer steps, or the schedule 'karras'."
        )
