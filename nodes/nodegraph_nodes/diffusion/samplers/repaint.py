"""Soft inpainting: a mask's value says during which last share of the schedule a place is repainted.

Differential diffusion (Levin & Fried 2023): until its time has come, a place is the original at the step's noise level, so what
is repainted grows into what is kept. Where their threshold falls inside a step, that step counts in proportion, so that the
picture is a continuous function of the mask.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nodegraph_nodes.types import DenoiseState, Schedule


def repainted_share(mask: Tensor, step: int, steps: int) -> Tensor:
    """How much step number `step` of `steps` counts at each place: 0 before the last `mask` share of the schedule, then 1."""
    return (mask * steps - (steps - 1 - step)).clamp(0, 1)


def gone_back(after: DenoiseState, schedule: Schedule) -> DenoiseState:
    """The state after a step, with the original back at the level reached wherever the step did not count.

    After the last step it is clean, as in diffusers' inpainting, also where the schedule ends at a little noise (ddim_uniform).

    Solvers keep their own history, of estimates of the whole picture: what has not counted yet is a good guess all the same.
    """
    kept = after.repaint
    if kept is None:
        return after
    point = schedule.point(after.index)
    share = repainted_share(kept.mask, after.index - 1, schedule.steps)
    sigma = point.sigma if after.index < schedule.steps else 0.0
    x = torch.lerp(point.alpha * kept.original + sigma * kept.noise, after.x, share)
    denoised = None if after.denoised is None else torch.lerp(kept.original, after.denoised, share)
    return replace(after, x=x, denoised=denoised)
