"""Solvers of the probability-flow ODE that use the estimates of the steps before: one estimate a step, and a high order.

What they remember lies in the state's history, so a run may stop and fork anywhere. Where there is no memory (the first
steps, after another solver, after pure noise) they are of a lower order.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from nodegraph_nodes.types import DenoiseState, Schedule

from .noise import NoiseSource
from .steps import Step, advance, ends, log_snr, remember, remembered, toward

_LMS_ORDER = 4
_UNI_PC_ORDER = 3


def dpmpp_2m(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """DPM-Solver++(2M) (Lu et al. 2022b, algorithm 2): second order, reusing the previous step's estimate.

    With lambda = log(alpha / sigma) and h = lambda' - lambda, x' = (sigma'/sigma) x - alpha' (exp(-h) - 1) D_bar,
    which is Euler's step with D_bar for D, since exp(-h) = sigma_hat' / sigma_hat. First order (D_bar = D) where there
    is no previous estimate or one of the two h is infinite: steps from alpha = 0, the step after, and the step to
    sigma = 0.
    """
    p, q = ends(state, schedule)
    denoised = yield state.x, p
    target = extrapolated(state, schedule, denoised)
    return advance(state, toward(state.x, target, p, q), denoised, previous_denoised=denoised)


def extrapolated(state: DenoiseState, schedule: Schedule, denoised: Tensor) -> Tensor:
    """D_bar = (1 + w) D - w D_previous with w = h / (2 h_previous): the estimate half-way through the step, or D itself."""
    p, q = ends(state, schedule)
    previous = state.history.get("previous_denoised")
    if previous is None or state.index == 0:
        return denoised
    h = log_snr(q) - log_snr(p)
    h_previous = log_snr(p) - log_snr(schedule.point(state.index - 1))
    if not (math.isfinite(h) and math.isfinite(h_previous) and h_previous > 0):
        return denoised
    weight = h / (2 * h_previous)
    return (1 + weight) * denoised - weight * previous


def lms(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """Linear multistep (Adams-Bashforth) of order 4 in sigma_hat (Hairer et al. 1993, section III.5; Karras et al.'s ODE).

    x_hat' = x_hat + sum of c_k e_k over the last four steps, where c_k integrates Lagrange's polynomial through their
    sigma_hat. A first step from pure noise (alpha = 0, sigma_hat infinite) is Euler's, and is not remembered.
    """
    p, q = ends(state, schedule)
    denoised = yield state.x, p
    e = (state.x - p.alpha * denoised) / p.sigma
    earlier = remembered(state, schedule, "lms_noise", _LMS_ORDER - 1)
    if p.alpha == 0:
        x = toward(state.x, denoised, p, q)
    else:
        points = [schedule.point(state.index - back) for back in range(len(earlier) + 1)]
        weights = _adams([point.sigma / point.alpha for point in points], q.sigma / q.alpha)
        x = (q.alpha / p.alpha) * state.x
        for weight, noise_then in zip(weights, [e, *earlier], strict=True):
            x = x + q.alpha * weight * noise_then
    return advance(state, x, denoised, **remember("lms_noise", [e, *earlier][: _LMS_ORDER - 1]))


def _adams(nodes: Sequence[float], end: float) -> list[float]:
    """The integral from nodes[0] to `end` of each of Lagrange's polynomials; two Gauss points are exact up to degree 3."""
    half, centre = (end - nodes[0]) / 2, (end + nodes[0]) / 2
    places = (centre - half / math.sqrt(3), centre + half / math.sqrt(3))
    return [
        half * sum(math.prod((at - other) / (node - other) for other in nodes if other != node) for at in places)
        for node in nodes
    ]


def uni_pc(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """UniPC of order 3 with B(h) = h (Zhao et al. 2023, algorithms 1 and 2, for data prediction).

    The estimate of a step also corrects the step before, so there is one a step. The order falls towards the last step, as in
    the authors' code. Estimates at pure noise (alpha = 0) are not remembered: the step after is first order and not corrected.
    """
    return (yield from _uni_pc(state, schedule, "bh1"))


def uni_pc_bh2(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """UniPC of order 3 with B(h) = exp(h) - 1 (Zhao et al. 2023, section 3.2): meant for more than ten steps."""
    return (yield from _uni_pc(state, schedule, "bh2"))


def _uni_pc(state: DenoiseState, schedule: Schedule, variant: Literal["bh1", "bh2"]) -> Step:
    """Predictor and corrector begin at the same x with the same first-order part; so correcting is adding their difference.

    That needs estimates alone, and leaves alone what a mask has put back since.
    """
    p, q = ends(state, schedule)
    denoised = yield state.x, p
    earlier = remembered(state, schedule, "uni_pc_denoised", _UNI_PC_ORDER)
    times = [log_snr(schedule.point(state.index - back)) for back in range(len(earlier) + 1)]
    x = state.x
    if earlier:
        order = min(_UNI_PC_ORDER, schedule.steps - state.index + 1, len(earlier))
        old = list(zip(times[2 : order + 1], earlier[1:order], strict=True))
        known = (times[1], earlier[0], times[0], p.alpha)
        x = x + _beyond_first_order(*known, old, variant) - _beyond_first_order(*known, [*old, (times[0], denoised)], variant)
    after = toward(x, denoised, p, q)
    order = min(_UNI_PC_ORDER, schedule.steps - state.index, len(earlier) + 1)
    if order > 1 and q.sigma > 0 and p.alpha > 0:
        old = list(zip(times[1:order], earlier[: order - 1], strict=True))
        after = after - _beyond_first_order(times[0], denoised, log_snr(q), q.alpha, old, variant)
    return advance(state, after, denoised, **remember("uni_pc_denoised", [denoised, *earlier][:_UNI_PC_ORDER]))


def _beyond_first_order(
    start: float,
    estimate: Tensor,
    end: float,
    alpha: float,
    others: Sequence[tuple[float, Tensor]],
    variant: Literal["bh1", "bh2"],
) -> Tensor | float:
    """alpha' B(h) sum rho_k (D_k - D) / r_k: what UniP and UniC have beyond a first-order step.

    start, end: lambda of the step; others: (lambda, estimate) of further places. With r_k = (lambda_k - lambda) / h the rho
    solve sum rho_k r_k^(i-1) = i! phi_(i+1)(-h) / B(h); of a single place rho is 1/2, as the authors take it.
    """
    if not others:
        return 0.0
    h = end - start
    base = -h if variant == "bh1" else math.expm1(-h)
    r = np.array([(at - start) / h for at, _ in others])
    if len(others) == 1:
        rho = np.array([0.5])
    else:
        phi, right, factorial = math.expm1(-h) / -h - 1, [], 1
        for i in range(1, len(others) + 1):
            right.append(phi * factorial / base)
            factorial *= i + 1
            phi = phi / -h - 1 / factorial
        rho = np.linalg.solve(np.vander(r, increasing=True).T, np.array(right))
    total = sum(float(weight / at) * (other - estimate) for weight, at, (_, other) in zip(rho, r, others, strict=True))
    return alpha * base * total
