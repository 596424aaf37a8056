"""Spacings: how N steps are spread over a noise process. Each comes in a variance-preserving and a flow form."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import torch

from nodegraph_nodes.types import Schedule

from .process import Array, Process, RectifiedFlow, VariancePreserving

_KARRAS_RHO = 7.0  # Karras et al. 2022, table 1
_FLOW_SIGMA_MIN = 1 / 1000


class Levels(NamedTuple):
    """N + 1 falling noise levels and their timesteps. level: a variance-preserving process's sigma_hat, a flow's sigma."""

    level: Array
    timestep: Array


class Spacing(NamedTuple):
    """One named spacing: (process, steps) -> Levels, for each kind of process."""

    variance_preserving: Callable[[VariancePreserving, int], Levels]
    flow: Callable[[RectifiedFlow, int], Levels]


def normal(process: VariancePreserving, steps: int) -> Levels:
    """Equal distances in timestep from T-1 to 0, then clean. diffusers: timestep_spacing="linspace".

    A single step starts at T-1, where noise is (diffusers' would start at 0).
    """
    return _then_clean(process, np.linspace(process.train_steps - 1.0, 0.0, steps, dtype=np.float64))


def simple(process: VariancePreserving, steps: int) -> Levels:
    """Every (T/N)-th timestep counted down from T-1, then clean. diffusers: timestep_spacing="trailing"."""
    _refuse_more_than(process.train_steps, steps, "simple")
    ratio = process.train_steps / steps
    return _then_clean(process, np.round(process.train_steps - ratio * np.arange(steps)) - 1)


def karras(process: VariancePreserving, steps: int) -> Levels:
    """Equal distances in sigma_hat^(1/7) over the whole training range, then clean (Karras et al. 2022, equation 5)."""
    sigma_hat = _karras_ramp(process.sigma_hats[-1], process.sigma_hats[0], steps)
    return Levels(np.append(sigma_hat, 0.0), np.append(process.timestep_at(sigma_hat), 0.0))


def ddim_uniform(process: VariancePreserving, steps: int) -> Levels:
    """Every (T//N)-th timestep counted up from 1, ending at the noise level of timestep 0 rather than clean.

    What Stable Diffusion 1 was published with. diffusers: timestep_spacing="leading", steps_offset=1,
    set_alpha_to_one=False.
    """
    _refuse_more_than(process.train_steps - 1, steps, "ddim_uniform")
    timesteps = np.arange(steps, dtype=np.float64)[::-1] * (process.train_steps // steps) + 1.0
    timesteps = np.append(timesteps, 0.0)
    return Levels(process.sigma_hat_at(timesteps), timesteps)


def flow_normal(process: RectifiedFlow, steps: int) -> Levels:
    """Equal distances in t from 1 to 0, then shifted."""
    sigma = process.sigma_at(np.linspace(1, 0, steps + 1))
    return Levels(sigma, process.timestep_at(sigma))


def flow_karras(process: RectifiedFlow, steps: int) -> Levels:
    """Equal distances in sigma^(1/7) from 1 to the noise level at t = 1/1000, then 0."""
    lowest = float(process.sigma_at(np.array(_FLOW_SIGMA_MIN)))
    sigma = np.append(_karras_ramp(1.0, lowest, steps), 0.0)
    return Levels(sigma, process.timestep_at(sigma))


SCHEDULES: Mapping[str, Spacing] = {
    "normal": Spacing(normal, flow_normal),
    "karras": Spacing(karras, flow_karras),
    "simple": Spacing(simple, flow_normal),
    "ddim_uniform": Spacing(ddim_uniform, flow_normal),
}


def make_schedule(name: str, process: Process, steps: int, family: str) -> Schedule:
    """The schedule of a run: `steps` + 1 points of `process` in the spacing `name` (one of SCHEDULES), float64.

    Raises ValueError for an unknown name or a number of steps that cannot be done.
    """
    if name not in SCHEDULES:
        raise ValueError(f"There is no schedule {name!r}; choose one of {', '.join(SCHEDULES)}.")
    if steps < 1:
        raise ValueError(f"A schedule needs at least 1 step, but {steps} were asked for.")
    spacing = SCHEDULES[name]
    if isinstance(process, RectifiedFlow):
        levels = spacing.flow(process, steps)
    else:
        levels = spacing.variance_preserving(process, steps)
    alpha, sigma = process.alpha_sigma(levels.level)
    return Schedule(name, family, *map(torch.from_numpy, (alpha, sigma, levels.timestep)))


def _then_clean(process: VariancePreserving, timesteps: Array) -> Levels:
    return Levels(np.append(process.sigma_hat_at(timesteps), 0.0), np.append(timesteps, 0.0))


def _karras_ramp(highest: float, lowest: float, steps: int) -> Array:
    ramp = np.linspace(highest ** (1 / _KARRAS_RHO), lowest ** (1 / _KARRAS_RHO), steps)
    levels: Array = ramp**_KARRAS_RHO
    return levels


def _refuse_more_than(limit: int, steps: int, name: str) -> None:
    if steps > limit:
        raise ValueError(
            f"The schedule {name!r} can do at most {limit} steps with this model, but {steps} were asked for; "
            "use fewer steps, or the schedule 'karras'."
        )
