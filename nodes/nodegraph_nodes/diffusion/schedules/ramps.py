"""Spacings that choose noise levels: ramps between a highest and a lowest, then clean.

On a variance-preserving process a level is sigma_hat, from the noisiest training timestep to the cleanest; on a flow it is t,
from 1 to the noise level at 1/1000 of the run, which the shift moves.
"""

from collections.abc import Callable

import numpy as np

from .beta import beta_quantile
from .levels import Levels, Shape
from .process import Array, RectifiedFlow, VariancePreserving
from .times import BETA_SHAPE

_KARRAS_RHO = 7.0  # Karras et al. 2022, table 1
_FLOW_SIGMA_MIN = 1 / 1000

Ramp = Callable[[float, float, int, Shape], Array]
"""(sigma_min, sigma_max, steps, shape) -> falling levels [steps]."""


def karras(low: float, high: float, steps: int, shape: Shape) -> Array:
    """Equal distances in sigma^(1/rho), rho = 7 (Karras et al. 2022, equation 5)."""
    rho = shape.rho_or(_KARRAS_RHO)
    levels: Array = np.linspace(high ** (1 / rho), low ** (1 / rho), steps) ** rho
    return levels


def exponential(low: float, high: float, steps: int, shape: Shape) -> Array:
    """Equal distances in log sigma, so in log SNR on sigma_hat (k-diffusion; Lu et al. 2022a)."""
    return np.exp(np.linspace(np.log(high), np.log(low), steps))


def polyexponential(low: float, high: float, steps: int, shape: Shape) -> Array:
    """log sigma falls with the rho-th power of what is left of the steps (k-diffusion); rho = 1 is `exponential`."""
    left = np.linspace(1, 0, steps) ** shape.rho_or(1.0)
    levels: Array = np.exp(np.log(low) + left * (np.log(high) - np.log(low)))
    return levels


def beta_sigma(low: float, high: float, steps: int, shape: Shape) -> Array:
    """Levels at quantiles of the beta distribution (after Lee et al. 2024, who space times so). diffusers: use_beta_sigmas."""
    levels: Array = low + beta_quantile(1 - np.linspace(0, 1, steps), BETA_SHAPE, BETA_SHAPE) * (high - low)
    return levels


def kl_optimal(low: float, high: float, steps: int, shape: Shape) -> Array:
    """Equal distances in arctan sigma_hat: the KL bound's optimum for unit-variance data (Sabour et al. 2024, section 4)."""
    return np.tan(np.linspace(np.arctan(high), np.arctan(low), steps))


def on_variance_preserving(ramp: Ramp) -> Callable[[VariancePreserving, int, Shape], Levels]:
    def spaced(process: VariancePreserving, steps: int, shape: Shape) -> Levels:
        low, high = shape.ends(process.sigma_hats[0], process.sigma_hats[-1])
        sigma_hat = ramp(low, high, steps, shape)
        return Levels(np.append(sigma_hat, 0.0), np.append(process.timestep_at(sigma_hat), 0.0))

    return spaced


def on_flow(ramp: Ramp) -> Callable[[RectifiedFlow, int, Shape], Levels]:
    def spaced(process: RectifiedFlow, steps: int, shape: Shape) -> Levels:
        t = np.append(ramp(*_flow_ends(process, shape), steps, shape), 0.0)
        return Levels(t, process.timestep_at(t))

    return spaced


def flow_kl_optimal(process: RectifiedFlow, steps: int, shape: Shape) -> Levels:
    """`kl_optimal` on sigma_hat = t / (1 - t), of which the derivation speaks: t = sin / (sin + cos) of equally far angles."""
    low, high = _flow_ends(process, shape)
    angle = np.linspace(np.arctan2(high, 1 - high), np.arctan2(low, 1 - low), steps)
    t = np.append(np.sin(angle) / (np.sin(angle) + np.cos(angle)), 0.0)
    return Levels(t, process.timestep_at(t))


def _flow_ends(process: RectifiedFlow, shape: Shape) -> tuple[float, float]:
    low, high = shape.ends(float(process.sigma_at(np.array(_FLOW_SIGMA_MIN))), 1.0)
    if high > 1:
        raise ValueError(f"sigma_max is at most 1 with this kind of model (a rectified flow), but it is {high:g}.")
    return low, high
