"""The solvers: one step each, written in alpha and sigma so that variance-preserving and flow models share them.

A step is a generator: it yields (x, point) when it wants the network's x0 estimate there, receives it, and returns the
next state. The caller decides how estimates are computed and batched. With D the estimate, e = (x - alpha D) / sigma
is the noise it implies; p is where the step starts and q where it ends. Tensors keep x's dtype, scalars are Python
floats.
"""

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace

from torch import Tensor

from nodegraph_nodes.types import DenoiseState, Point, Schedule

from .noise import NoiseSource

Step = Generator[tuple[Tensor, Point], Tensor, DenoiseState]
Sampler = Callable[[DenoiseState, Schedule, NoiseSource], Step]


def euler(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """Euler's method on the probability-flow ODE in sigma_hat = sigma / alpha (Karras et al. 2022, equation 1)."""
    p, q = _ends(state, schedule)
    denoised = yield state.x, p
    return _advance(state, _toward(state.x, denoised, p, q), denoised)


def euler_ancestral(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """Euler to a lower level, then fresh noise up to the wanted one (k-diffusion's ancestral step with eta = 1).

    With r = sigma_hat' / sigma_hat, x' = alpha' D + sigma' (r e + sqrt(1 - r^2) z). From pure noise (alpha = 0) r is 0
    and all of the noise is replaced.
    """
    p, q = _ends(state, schedule)
    denoised = yield state.x, p
    ratio = (q.sigma * p.alpha) / (q.alpha * p.sigma)
    kept = ratio * q.sigma / p.sigma
    x = kept * state.x + (q.alpha - kept * p.alpha) * denoised
    added = q.sigma * math.sqrt(max(0.0, 1 - ratio**2))
    if added > 0:
        x = x + added * noise(state.seed, state.index, 0, x.shape).to(x)
    return _advance(state, x, denoised)


def heun(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """Heun's second-order method in sigma_hat (Karras et al. 2022, algorithm 1): two estimates per step.

    Where sigma_hat has no finite value to average over it takes an Euler step: the last step to sigma = 0, and a first
    step from pure noise (alpha = 0).
    """
    p, q = _ends(state, schedule)
    first = yield state.x, p
    x = _toward(state.x, first, p, q)
    if q.sigma > 0 and p.alpha > 0:
        second = yield x, q
        e_mean = ((state.x - p.alpha * first) / p.sigma + (x - q.alpha * second) / q.sigma) / 2
        x = (q.alpha / p.alpha) * (state.x - p.sigma * e_mean) + q.sigma * e_mean
    return _advance(state, x, first)


def dpmpp_2m(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2): second order, reusing the previous step's estimate.

    With lambda = log(alpha / sigma) and h = lambda' - lambda, x' = (sigma'/sigma) x - alpha' (exp(-h) - 1) D_bar,
    which is Euler's step with D_bar for D, since exp(-h) = sigma_hat' / sigma_hat. First order (D_bar = D) where there
    is no previous estimate or one of the two h is infinite: steps from alpha = 0, the step after, and the step to
    sigma = 0.
    """
    p, q = _ends(state, schedule)
    denoised = yield state.x, p
    target = denoised
    previous = state.history.get("previous_denoised")
    if previous is not None and state.index > 0:
        h = _log_snr(q) - _log_snr(p)
        h_previous = _log_snr(p) - _log_snr(schedule.point(state.index - 1))
        if math.isfinite(h) and math.isfinite(h_previous) and h_previous > 0:
            weight = h / (2 * h_previous)
            target = (1 + weight) * denoised - weight * previous
    return _advance(state, _toward(state.x, target, p, q), denoised, previous_denoised=denoised)


def ddim(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """DDIM with eta = 0 (Song et al. 2020, equation 12): x' = alpha' D + sigma' e. The same step as Euler's here."""
    p, q = _ends(state, schedule)
    denoised = yield state.x, p
    e = (state.x - p.alpha * denoised) / p.sigma
    return _advance(state, q.alpha * denoised + q.sigma * e, denoised)


SAMPLERS: Mapping[str, Sampler] = {
    "euler": euler,
    "euler_ancestral": euler_ancestral,
    "heun": heun,
    "dpmpp_2m": dpmpp_2m,
    "ddim": ddim,
}


def _ends(state: DenoiseState, schedule: Schedule) -> tuple[Point, Point]:
    """The points where this state's next step starts and ends."""
    if not 0 <= state.index < schedule.steps:
        raise ValueError(
            f"There is no step {state.index + 1} in a schedule of {schedule.steps} steps: this run is already "
            "finished, or it was made with another schedule."
        )
    return schedule.point(state.index), schedule.point(state.index + 1)


def _toward(x: Tensor, denoised: Tensor, p: Point, q: Point) -> Tensor:
    """The exact solution from p to q for a constant estimate. Defined for alpha = 0 and sigma' = 0."""
    ratio = q.sigma / p.sigma
    return ratio * x + (q.alpha - p.alpha * ratio) * denoised


def _log_snr(point: Point) -> float:
    """lambda = log(alpha / sigma), with its limits."""
    if point.alpha == 0:
        return -math.inf
    return math.inf if point.sigma == 0 else math.log(point.alpha / point.sigma)


def _advance(state: DenoiseState, x: Tensor, denoised: Tensor, **history: Tensor) -> DenoiseState:
    return replace(state, x=x, index=state.index + 1, denoised=denoised, history=history)
