"""Noise schedules: which noise levels a run visits."""

from __future__ import annotations

import math
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from nodegraph import node
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import Denoiser, Latent, Schedule


@node(category="diffusion/schedule")
def noise_schedule(
    denoiser: Denoiser,
    schedule: Annotated[
        Literal["normal", "karras", "simple", "ddim_uniform"],
        Field(
            description="How the steps are spread: evenly in time (normal, simple, ddim_uniform), or denser towards the end."
        ),
    ] = "normal",
    steps: Annotated[int, Field(ge=1, le=1000)] = 20,
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
    return make_schedule(schedule, make_process(denoiser.process, size), steps, denoiser.family)


class PartialSteps(NamedTuple):
    first_step: Annotated[int, Field(description="Steps to leave out: link it to begin_denoise.")]
    steps: Annotated[int, Field(description="Steps to take: link it to denoise.")]


@node(category="diffusion/schedule")
def partial_steps(
    steps: Annotated[int, Field(ge=1, le=1000, description="Steps of the whole schedule.")] = 20,
    strength: Annotated[
        float, Field(ge=0, le=1, description="Share of the steps to take. 0 keeps the picture, 1 makes a new one.")
    ] = 0.6,
) -> PartialSteps:
    """What a strength means in steps, for a run that starts from a picture: with 20 steps and 0.6, the last 12 are taken."""
    taken = math.floor(steps * strength + 0.5)
    return PartialSteps(steps - taken, taken)
