"""Noise schedules: which noise levels a run visits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from nodegraph import node
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import Denoiser, Schedule


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
) -> Schedule:
    """Spread a number of steps over the model's noise levels, from pure noise to a clean picture."""
    return make_schedule(schedule, make_process(denoiser.process), steps, denoiser.family)
