"""Noise schedules: which noise levels a run visits."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from nodegraph import NodeError, Problem, node
from nodegraph_nodes.diffusion.schedules import Shape, make_process, make_schedule
from nodegraph_nodes.diffusion.schedules import custom_schedule as through_levels
from nodegraph_nodes.types import Denoiser, Latent, Schedule

Level = Annotated[
    float,
    Field(
        gt=0,
        le=100_000,
        description="For karras, (poly)exponential, beta_sigma and kl_optimal: sigma / alpha, or t of a flow model (up to 1). "
        "Empty: the model's.",
    ),
]


def _levels_are_ordered(values: dict[str, object]) -> list[Problem]:
    low, high = values.get("sigma_min"), values.get("sigma_max")
    if isinstance(low, int | float) and isinstance(high, int | float) and low >= high:
        message = "The lowest noise level is not below the highest."
        return [Problem("bad_value", message, socket="sigma_min", expected=f"less than {high:g}", got=f"{low:g}")]
    return []


@node(category="diffusion/schedule", check=_levels_are_ordered)
def noise_schedule(
    denoiser: Denoiser,
    schedule: Annotated[
        Literal[
            "normal",
            "karras",
            "exponential",
            "polyexponential",
            "simple",
            "sgm_uniform",
            "ddim_uniform",
            "beta",
            "beta_sigma",
            "kl_optimal",
        ],
        Field(
            description="How the steps are spread: evenly in time (normal, simple, sgm_uniform, ddim_uniform), denser towards "
            "the end (karras, exponential, polyexponential, kl_optimal), or at both ends (beta by time, beta_sigma by level)."
        ),
    ] = "normal",
    steps: Annotated[int, Field(ge=1, le=1000)] = 20,
    rho: Annotated[
        float | None,
        Field(gt=0, le=100, description="For karras (its own is 7) and polyexponential (1): higher is denser towards the end."),
    ] = None,
    sigma_min: Level | None = None,
    sigma_max: Level | None = None,
    latent: Annotated[
        Latent | None,
        Field(
            description="The run's noise or picture, for its size: FLUX.1 spends more steps on coarse shapes the larger a "
            "picture is. Empty: the model's own size. Other models do not look at it."
        ),
    ] = None,
) -> Schedule:
    """Spread a number of steps over the model's noise levels, from pure noise to a clean picture."""
    size = None if latent is None else (latent.samples.shape[-2], latent.samples.shape[-1])
    process, shape = make_process(denoiser.process, size), Shape(rho, sigma_min, sigma_max)
    try:
        return make_schedule(schedule, process, steps, denoiser.family, shape)
    except ValueError as error:
        raise NodeError(str(error), socket="sigma_min" if "sigma_min" in str(error) else "steps") from None


@node(category="diffusion/schedule")
def custom_schedule(
    denoiser: Denoiser,
    sigmas: Annotated[
        list[float],
        Field(
            description="Falling noise levels, one more than steps: sigma / alpha (14.6 to 0 for Stable Diffusion 1), or t of "
            "a flow model (1 to 0)."
        ),
    ],
) -> Schedule:
    """A schedule through the noise levels that you say."""
    try:
        return through_levels(make_process(denoiser.process), sigmas, denoiser.family)
    except ValueError as error:
        raise NodeError(str(error), socket="sigmas", expected="such as 14.6, 3.2, 0.9, 0", got=_few(sigmas)) from None


def _few(sigmas: list[float]) -> str:
    return ", ".join(f"{sigma:g}" for sigma in sigmas[:8]) + (" ..." if len(sigmas) > 8 else "") or "nothing"


class PartialSteps(NamedTuple):
    first_step: Annotated[int, Field(description="Steps to leave out: link it to begin_denoise.")]
    steps: Annotated[int, Field(description="Steps to take: link it to denoise.")]


@node(category="diffusion/schedule")
def partial_steps(
    steps: Annotated[int, Field(ge=1, le=1000, description="Steps of the whole schedule.")] = 20,
    strength: Annotated[
        float, Field(ge=0, le=1, description="Share of the steps to take. 0 keeps the picture, 1 makes a new one.")
    ] = 0.6,
    end: Annotated[
        float, Field(ge=0, le=1, description="Share of the schedule after which to stop: another model may go on from there.")
    ] = 1.0,
) -> PartialSteps:
    """What a strength means in steps, for a run that starts from a picture: with 20 steps and 0.6, the last 12 are taken.

    With an end of 0.8 they stop before the last 4.
    """
    first = steps - math.floor(steps * strength + 0.5)
    return PartialSteps(first, max(0, math.floor(steps * end + 0.5) - first))
