"""A denoising run: begin it, drive one step (or one step of several runs together), finish it.

A step is a function of the state, the schedule and the estimates alone, so a run may stop, resume or fork at any step.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from nodegraph_nodes.types import DenoiseState, Point, Repaint, Schedule

from .noise import NoiseSource, step_noise
from .repaint import gone_back
from .steps import Sampler, Step

Predict = Callable[[Tensor, Point], Tensor]
"""(x [C, h, w], point) -> the x0 estimate [C, h, w]."""

PredictMany = Callable[[Sequence["Request"]], Sequence[Tensor]]
"""One x0 estimate per request, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A step's wish for an estimate. item: which of the runs asks."""

    item: int
    x: Tensor
    point: Point


def begin(
    noise: Tensor,
    schedule: Schedule,
    seed: int,
    *,
    index: int = 0,
    latent: Tensor | None = None,
    mask: Tensor | None = None,
) -> DenoiseState:
    """The state before step `index`: pure noise, or a picture's normalised latent with the noise of that level.

    noise, latent: [C, h, w]. Without a latent, x has the level's prior standard deviation sqrt(alpha^2 + sigma^2).
    mask: [h, w], 0..1, what of the latent is to be repainted (`repaint.py` says how).
    """
    if not 0 <= index <= schedule.steps:
        raise ValueError(f"Step {index} lies outside a schedule of {schedule.steps} steps.")
    point = schedule.point(index)
    if latent is None:
        return DenoiseState(math.hypot(point.alpha, point.sigma) * noise, index, seed, schedule.family)
    if latent.shape != noise.shape:
        raise ValueError(f"The latent is {tuple(latent.shape)} but the noise {tuple(noise.shape)}; make them equal.")
    repaint = None if mask is None else Repaint(latent, mask, noise)
    return DenoiseState(point.alpha * latent + point.sigma * noise, index, seed, schedule.family, repaint=repaint)


def masked_step(sampler: Sampler, state: DenoiseState, schedule: Schedule, noise: NoiseSource = step_noise) -> Step:
    """A solver's step that, in a run with a mask, then goes back to the original where the mask says so."""
    after = yield from sampler(state, schedule, noise)
    return gone_back(after, schedule)


def run_step(
    sampler: Sampler,
    state: DenoiseState,
    schedule: Schedule,
    predict: Predict,
    noise: NoiseSource = step_noise,
) -> DenoiseState:
    """Do one step of one run."""
    step = masked_step(sampler, state, schedule, noise)
    wanted = next(step)
    while True:
        denoised = predict(*wanted)
        try:
            wanted = step.send(denoised)
        except StopIteration as finished:
            return _returned(finished)


def run_steps(steps: Sequence[Step], predict: PredictMany) -> list[DenoiseState]:
    """Do one step of several runs together, asking for all estimates that are wanted at the same time in one call.

    The runs may be at different noise levels, and use different samplers; one that wants two estimates joins twice.
    """
    states: dict[int, DenoiseState] = {}
    wanted = [Request(item, *next(step)) for item, step in enumerate(steps)]
    while wanted:
        following = []
        for request, denoised in zip(wanted, predict(wanted), strict=True):
            try:
                following.append(Request(request.item, *steps[request.item].send(denoised)))
            except StopIteration as finished:
                states[request.item] = _returned(finished)
        wanted = following
    return [states[item] for item in range(len(steps))]


def finish(state: DenoiseState, schedule: Schedule) -> Tensor:
    """The clean latent samples [C, h, w]: x / alpha after the last step, the latest x0 estimate before."""
    if state.index >= schedule.steps:
        return state.x / schedule.point(schedule.steps).alpha
    return state.x if state.denoised is None else state.denoised


def _returned(finished: StopIteration) -> DenoiseState:
    state = finished.value
    assert isinstance(state, DenoiseState)
    return state
