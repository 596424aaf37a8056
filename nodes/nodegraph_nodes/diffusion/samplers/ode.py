"""Solvers of the probability-flow ODE that need nothing of the steps before."""

from nodegraph_nodes.types import DenoiseState, Schedule

from .noise import NoiseSource
from .steps import Step, advance, ends, middle, toward


def euler(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """Euler's method on the probability-flow ODE in sigma_hat = sigma / alpha (Karras et al. 2022, equation 1)."""
    p, q = ends(state, schedule)
    denoised = yield state.x, p
    return advance(state, toward(state.x, denoised, p, q), denoised)


def heun(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """Heun's second-order method in sigma_hat (Karras et al. 2022, algorithm 1): two estimates per step.

    Where sigma_hat has no finite value to average over it takes an Euler step: the last step to sigma = 0, and a first
    step from pure noise (alpha = 0).
    """
    p, q = ends(state, schedule)
    first = yield state.x, p
    x = toward(state.x, first, p, q)
    if q.sigma > 0 and p.alpha > 0:
        second = yield x, q
        e_mean = ((state.x - p.alpha * first) / p.sigma + (x - q.alpha * second) / q.sigma) / 2
        x = (q.alpha / p.alpha) * (state.x - p.sigma * e_mean) + q.sigma * e_mean
    return advance(state, x, first)


def dpm2(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """DPM-Solver-2 (Lu et al. 2022a, algorithm 1 with r = 1/2): the noise half-way in log sigma_hat serves for the whole step.

    x_hat' = x_hat + (sigma_hat' - sigma_hat) e_middle: two estimates per step. The last step to sigma = 0 and a first step from
    pure noise (alpha = 0) have no middle in log sigma_hat: there it is Euler's.
    """
    p, q = ends(state, schedule)
    first = yield state.x, p
    if q.sigma == 0 or p.alpha == 0:
        return advance(state, toward(state.x, first, p, q), first)
    m = middle(schedule, p, q)
    x = toward(state.x, first, p, m)
    second = yield x, m
    e = (x - m.alpha * second) / m.sigma
    return advance(state, (q.alpha / p.alpha) * (state.x - p.sigma * e) + q.sigma * e, first)
