"""Noise processes x_t = alpha x0 + sigma eps: what a model was trained to undo, as functions of its timestep.

`sigma_hat` = sigma / alpha is the noise level in the variance-exploding view (k-diffusion's sigma).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from nodegraph_nodes.types import NoiseProcess, Point, ShiftBySize

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class VariancePreserving:
    """alpha^2 + sigma^2 = 1, known at the integer timesteps of training. alphas_cumprod: [T] float64, alpha^2.

    parameters: what it was made of.
    """

    alphas_cumprod: Array
    parameters: NoiseProcess

    @property
    def train_steps(self) -> int:
        return len(self.alphas_cumprod)

    @property
    def sigma_hats(self) -> Array:
        """sigma_hat at timesteps 0..T-1, rising. [T]"""
        return np.sqrt((1 - self.alphas_cumprod) / self.alphas_cumprod)

    def sigma_hat_at(self, timesteps: Array) -> Array:
        """sigma_hat at fractional timesteps, interpolated linearly as diffusers' Euler schedulers do."""
        return np.interp(timesteps, np.arange(self.train_steps), self.sigma_hats)

    def timestep_at(self, sigma_hat: Array) -> Array:
        """The fractional timestep with this noise level, interpolated in log sigma_hat as k-diffusion does."""
        return np.interp(np.log(sigma_hat), np.log(self.sigma_hats), np.arange(self.train_steps))

    def alpha_sigma(self, sigma_hat: Array) -> tuple[Array, Array]:
        alpha = 1 / np.sqrt(1 + sigma_hat**2)
        return alpha, sigma_hat * alpha

    def point_at(self, sigma_hat: float) -> Point:
        """The noise level with this sigma_hat > 0, and its fractional timestep."""
        alpha, sigma = self.alpha_sigma(np.array(sigma_hat))
        return Point(float(alpha), float(sigma), float(self.timestep_at(np.array(sigma_hat))))


@dataclass(frozen=True, slots=True)
class RectifiedFlow:
    """alpha = 1 - sigma (Liu et al. 2022); the network is told train_steps * sigma.

    shift: how much a run lingers at high noise (Esser et al. 2024, equation 23); 1 is not at all.
    """

    train_steps: int = 1000
    shift: float = 1.0

    def sigma_at(self, t: Array) -> Array:
        """The noise level at a share t of the run that is still to do, 0..1."""
        return self.shift * t / (1 + (self.shift - 1) * t)

    @property
    def parameters(self) -> NoiseProcess:
        return NoiseProcess("rectified_flow", self.train_steps, shift=self.shift)

    def timestep_at(self, sigma: Array) -> Array:
        return self.train_steps * sigma

    def alpha_sigma(self, sigma: Array) -> tuple[Array, Array]:
        return 1 - sigma, sigma

    def point_at(self, sigma_hat: float) -> Point:
        """The noise level with this sigma_hat = t / (1 - t)."""
        t = sigma_hat / (1 + sigma_hat)
        return Point(1 - t, t, self.train_steps * t)


Process = VariancePreserving | RectifiedFlow


def make_process(parameters: NoiseProcess, size: tuple[int, int] | None = None) -> Process:
    """Give behaviour to a recipe's noise-process parameters. Raises ValueError for a beta schedule it does not know.

    size: the latent's height and width, for a flow whose shift depends on it; None stands for the model's native size.
    """
    if parameters.kind == "rectified_flow":
        by_size = parameters.shift_by_size
        shift = parameters.shift if by_size is None or size is None else shift_at(by_size, size)
        return RectifiedFlow(parameters.train_steps, shift)
    return VariancePreserving(_alphas_cumprod(parameters), parameters)


def shift_at(by_size: ShiftBySize, size: tuple[int, int]) -> float:
    """The shift for a latent of (height, width): what diffusers calls `calculate_shift` and `time_shift`."""
    tokens = (size[0] // by_size.patch) * (size[1] // by_size.patch)
    slope = (by_size.max_shift - by_size.base_shift) / (by_size.max_tokens - by_size.base_tokens)
    mu = by_size.base_shift + slope * (tokens - by_size.base_tokens)
    return math.exp(mu) if by_size.kind == "exponential" else mu


def _alphas_cumprod(parameters: NoiseProcess) -> Array:
    """alpha^2 at each training timestep. [T] float64, but multiplied in float32: these are the very tables that
    diffusers computes (float64 would move the smallest sigma by 1e-5 of itself)."""
    first, last, count = parameters.beta_start, parameters.beta_end, parameters.train_steps
    if parameters.trained_betas:
        betas = torch.tensor(parameters.trained_betas, dtype=torch.float32)
    elif parameters.beta_schedule == "scaled_linear":
        betas = torch.linspace(first**0.5, last**0.5, count, dtype=torch.float32) ** 2
    elif parameters.beta_schedule == "linear":
        betas = torch.linspace(first, last, count, dtype=torch.float32)
    else:
        raise ValueError(
            f"The model asks for the beta schedule {parameters.beta_schedule!r}; known are scaled_linear and linear."
        )
    alphas_cumprod = torch.cumprod(1 - betas, dim=0)
    if parameters.zero_terminal_snr:
        alphas_cumprod = _with_zero_terminal_snr(alphas_cumprod)
    table: Array = alphas_cumprod.double().numpy()
    return table


def _with_zero_terminal_snr(alphas_cumprod: torch.Tensor) -> torch.Tensor:
    """Shift and stretch alpha so that the last timestep is pure noise (Lin et al. 2023, algorithm 1). [T] -> [T]

    The last value is 2^-24 instead of 0, as in diffusers, so that sigma_hat stays finite (4096).
    """
    alphas = alphas_cumprod.sqrt()
    rescaled = ((alphas - alphas[-1]) * alphas[0] / (alphas[0] - alphas[-1])) ** 2
    return torch.cat([rescaled[:-1], rescaled.new_tensor([2.0**-24])])
