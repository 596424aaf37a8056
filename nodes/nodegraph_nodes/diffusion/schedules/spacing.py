"""Spacings by name: how N steps are spread over a noise process. Each comes in a variance-preserving and a flow form."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from nodegraph_nodes.types import Schedule

from . import ramps, times
from .levels import Levels, Shape
from .process import Process, RectifiedFlow, VariancePreserving


class Spacing(NamedTuple):
    """One named spacing: (process, steps, shape) -> Levels, for each kind of process."""

    variance_preserving: Callable[[VariancePreserving, int, Shape], Levels]
    flow: Callable[[RectifiedFlow, int, Shape], Levels]


def _ramp(ramp: ramps.Ramp) -> Spacing:
    return Spacing(ramps.on_variance_preserving(ramp), ramps.on_flow(ramp))


SCHEDULES: Mapping[str, Spacing] = {
    "normal": Spacing(times.normal, times.flow_even),
    "karras": _ramp(ramps.karras),
    "exponential": _ramp(ramps.exponential),
    "polyexponential": _ramp(ramps.polyexponential),
    "simple": Spacing(times.simple, times.flow_even),
    "sgm_uniform": Spacing(times.sgm_uniform, times.flow_even),
    "ddim_uniform": Spacing(times.ddim_uniform, times.flow_even),
    "beta": Spacing(times.beta, times.flow_beta),
    "beta_sigma": _ramp(ramps.beta_sigma),
    "kl_optimal": Spacing(ramps.on_variance_preserving(ramps.kl_optimal), ramps.flow_kl_optimal),
}


def make_schedule(name: str, process: Process, steps: int, family: str, shape: Shape | None = None) -> Schedule:
    """The schedule of a run: `steps` + 1 points of `process` in the spacing `name` (one of SCHEDULES), float64.

    shape: for the spacings that are ramps; the others have none. Raises ValueError for an unknown name, or numbers that
    cannot be done.
    """
    if name not in SCHEDULES:
        raise ValueError(f"There is no schedule {name!r}; choose one of {', '.join(SCHEDULES)}.")
    if steps < 1:
        raise ValueError(f"A schedule needs at least 1 step, but {steps} were asked for.")
    spacing, shape = SCHEDULES[name], shape or Shape()
    if isinstance(process, RectifiedFlow):
        levels = spacing.flow(process, steps, shape)
    else:
        levels = spacing.variance_preserving(process, steps, shape)
    return _schedule(name, process, levels, family)


def custom_schedule(process: Process, levels: Sequence[float], family: str) -> Schedule:
    """A schedule through these noise levels, N + 1 for N steps: sigma_hat, or a flow's t. The last may be 0, or leave noise.

    Raises ValueError for levels that do not fall, or are out of range.
    """
    if len(levels) < 2:
        raise ValueError("A schedule has at least two noise levels, where it starts and where it ends.")
    if any(not later < earlier for earlier, later in pairwise(levels)):
        raise ValueError("The noise levels of a schedule fall from one to the next.")
    highest = 1.0 if isinstance(process, RectifiedFlow) else np.inf
    if not (levels[-1] >= 0 and levels[0] <= highest and np.isfinite(levels[0])):
        raise ValueError(f"Noise levels lie between 0 and {highest:g} with this model, not {levels[-1]:g} to {levels[0]:g}.")
    level = np.array(levels, dtype=np.float64)
    timestep = np.zeros_like(level)
    timestep[level > 0] = process.timestep_at(level[level > 0])
    return _schedule("custom", process, Levels(level, timestep), family)


def _schedule(name: str, process: Process, levels: Levels, family: str) -> Schedule:
    alpha, sigma, timestep = map(torch.from_numpy, (*process.alpha_sigma(levels.level), levels.timestep))
    return Schedule(name, family, alpha, sigma, timestep, process.parameters)
