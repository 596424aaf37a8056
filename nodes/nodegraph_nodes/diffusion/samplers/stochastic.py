"""Solvers that add fresh noise: ancestral steps and the reverse SDE.

`eta` says how much: 1 is what each paper calls stochastic, 0 leaves the deterministic solver under it. Noise is a function of
(seed, step, draw).
"""

import math

from torch import Tensor

from nodegraph_nodes.types import DenoiseState, Point, Schedule

from .multistep import extrapolated
from .noise import NoiseSource
from .steps import Step, advance, ends, middle, ratio_of, renewed


def euler_ancestral(state: DenoiseState, schedule: Schedule, noise: NoiseSource, eta: float = 1.0) -> Step:
    """Euler to a lower level, then fresh noise up to the wanted one (k-diffusion's ancestral step).

    With r = sigma_hat' / sigma_hat, x' = alpha' D + sigma' (k e + sqrt(1 - k^2) z), where k^2 = 1 - eta^2 (1 - r^2). From pure
    noise (alpha = 0) r is 0, and with eta = 1 all of the noise is replaced.
    """
    p, q = ends(state, schedule)
    denoised = yield state.x, p
    kept = _kept(p, q, eta)
    return advance(state, renewed(state.x, denoised, p, q, kept, _draw(state, noise, 0, kept, q)), denoised)


def ddim(state: DenoiseState, schedule: Schedule, noise: NoiseSource, eta: float = 0.0) -> Step:
    """DDIM (Song et al. 2020, equation 12): x' = alpha' D + sqrt(sigma'^2 - s^2) e + s z.

    s = eta sigma' sqrt(1 - sigma_hat'^2 / sigma_hat^2), their equation 16 in alpha and sigma. eta = 0, the default, is Euler's
    step; eta = 1 is DDPM's.
    """
    p, q = ends(state, schedule)
    denoised = yield state.x, p
    e = (state.x - p.alpha * denoised) / p.sigma
    kept = _kept(p, q, eta)
    z = _draw(state, noise, 0, kept, q)
    x = q.alpha * denoised + q.sigma * kept * e
    return advance(state, x if z is None else x + q.sigma * math.sqrt(1 - kept**2) * z.to(x), denoised)


def ddpm(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """Ancestral sampling from the posterior q(x' | x, x0 = D) (Ho et al. 2020, equations 6 and 7; Kingma et al. 2021, A.2).

    With a = alpha / alpha' and v = sigma^2 - a^2 sigma'^2 its mean is (a sigma'^2 x + alpha' v D) / sigma^2 and its variance
    v sigma'^2 / sigma^2. From pure noise (alpha = 0) that is alpha' D with all noise fresh; the last step to sigma = 0 gives D.
    """
    p, q = ends(state, schedule)
    denoised = yield state.x, p
    a = p.alpha / q.alpha
    v = max(0.0, p.sigma**2 - (a * q.sigma) ** 2)
    x = (a * (q.sigma / p.sigma) ** 2) * state.x + (q.alpha * v / p.sigma**2) * denoised
    deviation = math.sqrt(v) * q.sigma / p.sigma
    if deviation > 0:
        x = x + deviation * noise(state.seed, state.index, 0, x.shape).to(x)
    return advance(state, x, denoised)


def lcm(state: DenoiseState, schedule: Schedule, noise: NoiseSource) -> Step:
    """Multistep consistency sampling (Song et al. 2023, algorithm 1; Luo et al. 2023): x' = alpha' D + sigma' z.

    For distilled models, whose estimate is good at any level. Their boundary scaling (c_skip, c_out) differs from (0, 1) by
    less than 1e-5 above timestep 20, and is left out.
    """
    p, q = ends(state, schedule)
    denoised = yield state.x, p
    z = _draw(state, noise, 0, 0.0, q)
    return advance(state, renewed(state.x, denoised, p, q, 0.0, z), denoised)


def dpmpp_2s_ancestral(state: DenoiseState, schedule: Schedule, noise: NoiseSource, eta: float = 1.0) -> Step:
    """DPM-Solver++(2S) (Lu et al. 2022b, algorithm 1 with r = 1/2) down to the ancestral level, then fresh noise (k-diffusion).

    Two estimates a step. Where there is no middle in log sigma_hat, one and first order: from pure noise (alpha = 0), where
    nothing of the noise is kept, and to sigma = 0.
    """
    p, q = ends(state, schedule)
    first = denoised = yield state.x, p
    kept = _kept(p, q, eta)
    if q.sigma > 0 and p.alpha > 0 and kept > 0:
        m = middle(schedule, p, q, kept)
        denoised = yield renewed(state.x, first, p, m, 1.0, None), m
    return advance(state, renewed(state.x, denoised, p, q, kept, _draw(state, noise, 0, kept, q)), first)


def dpmpp_sde(state: DenoiseState, schedule: Schedule, noise: NoiseSource, eta: float = 1.0) -> Step:
    """SDE-DPM-Solver++(2S) with r = 1/2 (Lu et al. 2022b, in the form of k-diffusion's `dpmpp_sde`): two estimates a step.

    Both halves follow one Brownian path: draw 0 is its increment over the step, draw 1 the bridge to the middle. Its clock is
    alpha^2 / sigma^2, in which the noise of the exact solution, sigma' sigma_hat' times the increment, is Brownian motion.
    From pure noise (alpha = 0) and to sigma = 0 it is first order.
    """
    p, q = ends(state, schedule)
    first = denoised = yield state.x, p
    kept = _kept(p, q, eta)
    z = _draw(state, noise, 0, kept, q)
    if q.sigma > 0 and p.alpha > 0:
        m = middle(schedule, p, q)
        kept_half = _kept(p, m, eta)
        share = (_snr(m) - _snr(p)) / (_snr(q) - _snr(p))
        z_half = None if z is None else math.sqrt(share) * z + math.sqrt(1 - share) * noise(state.seed, state.index, 1, z.shape)
        denoised = yield renewed(state.x, first, p, m, kept_half, z_half), m
    return advance(state, renewed(state.x, denoised, p, q, kept, z), first)


def dpmpp_2m_sde(state: DenoiseState, schedule: Schedule, noise: NoiseSource, eta: float = 1.0) -> Step:
    """SDE-DPM-Solver++(2M), midpoint (Lu et al. 2022b; k-diffusion's eta): dpmpp_2m's estimate in the reverse SDE.

    Of the noise exp(-eta h) = (sigma_hat' / sigma_hat)^eta is kept. Of first order where dpmpp_2m is; from pure noise (alpha
    = 0) with eta > 0 all of the noise is replaced.
    """
    p, q = ends(state, schedule)
    denoised = yield state.x, p
    target = extrapolated(state, schedule, denoised)
    kept = ratio_of(p, q) ** eta
    x = renewed(state.x, target, p, q, kept, _draw(state, noise, 0, kept, q))
    return advance(state, x, denoised, previous_denoised=denoised)


def _kept(p: Point, q: Point, eta: float) -> float:
    """How much of the noise an ancestral step keeps: sigma_down / sigma' = sqrt(1 - eta^2 (1 - r^2)). At eta = 1 it is r."""
    return math.sqrt(max(0.0, 1 - eta**2) + (eta * ratio_of(p, q)) ** 2)


def _snr(point: Point) -> float:
    return (point.alpha / point.sigma) ** 2


def _draw(state: DenoiseState, noise: NoiseSource, draw: int, kept: float, q: Point) -> Tensor | None:
    """Fresh noise where a step adds any."""
    return noise(state.seed, state.index, draw, state.x.shape) if q.sigma > 0 and kept < 1 else None
