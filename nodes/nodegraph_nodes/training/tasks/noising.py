"""What a denoiser learns: which noise levels it sees, what it is to say there, and how much each level counts.

Everything is read off the sampler's own noise process, so that training and sampling cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nodegraph.sdk.curve import curve_at
from nodegraph_nodes.diffusion.schedules import RectifiedFlow, make_process
from nodegraph_nodes.types import NoiseProcess, Prediction

TimeSampling = Literal["uniform", "logit_normal", "curve"]
_GRID = 2048  # points at which a curve of noise levels is summed up
_EDGE = 1e-4  # of 0..1: a flow is never told exactly 0, where there is nothing to learn, and never beyond 1


class Levels(NamedTuple):
    """A noise level for each picture of a batch, each [B]: x = alpha x0 + sigma noise; timestep is what the network is told."""

    alpha: Tensor
    sigma: Tensor
    timestep: Tensor

    def shaped(self) -> tuple[Tensor, Tensor]:
        """alpha and sigma as [B, 1, 1, 1]."""
        return self.alpha.view(-1, 1, 1, 1), self.sigma.view(-1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Emphasis:
    """Which noise levels are seen how often, from 0 (clean) to 1 (pure noise): a flow's t, or timestep / train_steps.

    logit_normal: sigmoid(mean + std * normal) (Esser et al. 2024, section 3.1). curve: points (level, how often), in order.
    min_snr: the gamma of min-SNR weights (Hang et al. 2023); 0: every level's output counts the same. offset: how much of
    the noise is the same everywhere in a channel.
    """

    sampling: TimeSampling = "uniform"
    mean: float = 0.0
    std: float = 1.0
    curve: tuple[tuple[float, float], ...] = ()
    min_snr: float = 0.0
    offset: float = 0.0


class Noising:
    """A noise process as training uses it."""

    def __init__(self, process: NoiseProcess, prediction: Prediction, emphasis: Emphasis, device: torch.device) -> None:
        self.process, self.prediction, self.emphasis = make_process(process), prediction, emphasis
        self._device = device
        self._alphas = self._sigmas = torch.empty(0)
        if not isinstance(self.process, RectifiedFlow):
            squared = torch.from_numpy(self.process.alphas_cumprod)
            self._alphas = squared.sqrt().float().to(device)
            self._sigmas = (1 - squared).sqrt().float().to(device)
        self._shares = _shares(emphasis.curve).to(device) if emphasis.sampling == "curve" else torch.empty(0)

    def draw(self, count: int, random: torch.Generator) -> Levels:
        """Noise levels for a batch, spread evenly over their distribution (Kingma et al. 2021, appendix I.1)."""
        even = torch.arange(count, device=random.device) / count
        return self.levels(self._placed((even + torch.rand(1, generator=random, device=random.device)) % 1))

    def _placed(self, share: Tensor) -> Tensor:
        """The levels, 0..1, below which these shares of the distribution lie."""
        if self.emphasis.sampling == "logit_normal":
            return torch.sigmoid(self.emphasis.mean + self.emphasis.std * torch.special.ndtri(share.clamp(1e-6, 1 - 1e-6)))
        if self.emphasis.sampling == "curve":
            after = torch.searchsorted(self._shares, share.to(self._shares), right=True).clamp(1, _GRID - 1)
            below, above = self._shares[after - 1], self._shares[after]
            return ((after - 1 + (share - below) / (above - below).clamp_min(1e-12)) / (_GRID - 1)).clamp(0, 1)
        return share

    def levels(self, place: Tensor) -> Levels:
        """The levels at places from 0 (clean) to 1 (pure noise): [B]."""
        if isinstance(self.process, RectifiedFlow):
            place = place.clamp(_EDGE, 1)
            sigma = self.process.shift * place / (1 + (self.process.shift - 1) * place)
            return Levels(1 - sigma, sigma, self.process.train_steps * sigma)
        step = (place * self.process.train_steps).long().clamp(max=self.process.train_steps - 1)
        return Levels(self._alphas[step], self._sigmas[step], step.float())

    def at_log_snr(self, log_snr: float, count: int) -> Levels:
        """The same level for a whole batch: the one with log(alpha^2 / sigma^2) = log_snr."""
        point = self.process.point_at(float(np.exp(-log_snr / 2)))
        return Levels(*(torch.full((count,), value, device=self._device) for value in point))

    def noise(self, like: Tensor, random: torch.Generator) -> Tensor:
        """Noise for latents [B, C, h, w]; with an offset, part of it is one number per channel."""
        noise = torch.randn(like.shape, generator=random, device=like.device)
        if self.emphasis.offset:
            constant = torch.randn((*like.shape[:2], 1, 1), generator=random, device=like.device)
            noise = noise + self.emphasis.offset * constant
        return noise

    def add(self, clean: Tensor, noise: Tensor, levels: Levels) -> Tensor:
        """x = alpha x0 + sigma noise: [B, C, h, w]."""
        alpha, sigma = levels.shaped()
        return alpha * clean + sigma * noise

    def target(self, clean: Tensor, noise: Tensor, levels: Levels) -> Tensor:
        """What the network is to say: the noise, v = alpha noise - sigma x0, or noise - x0. [B, C, h, w]"""
        if self.prediction == "epsilon":
            return noise
        alpha, sigma = levels.shaped()
        return alpha * noise - sigma * clean if self.prediction == "v" else noise - clean

    def estimate(self, noisy: Tensor, output: Tensor, levels: Levels) -> Tensor:
        """The x0 that an output means, as `diffusion.predict.to_denoised` has it: [B, C, h, w]."""
        alpha, sigma = levels.shaped()
        if self.prediction == "epsilon":
            return (noisy - sigma * output) / alpha
        return alpha * noisy - sigma * output if self.prediction == "v" else noisy - sigma * output

    def weights(self, levels: Levels) -> Tensor:
        """How much each picture's squared error counts: [B].

        min-SNR weighs x0's error with min(SNR, gamma) (Hang et al. 2023, section 3.4). An error of the output is sigma / alpha
        times as large in x0 for epsilon, sigma times for v and flow: hence min(SNR, gamma) / SNR, / (SNR + 1), and * sigma^2.
        """
        gamma = self.emphasis.min_snr
        if not gamma:
            return torch.ones_like(levels.alpha)
        ratio = (levels.alpha / levels.sigma).square()
        if self.prediction == "epsilon":
            return (gamma / ratio).clamp(max=1)
        return ratio.clamp(max=gamma) * levels.sigma.square()


def _shares(curve: Sequence[tuple[float, float]]) -> Tensor:
    """The share of a curve's area that lies below each of _GRID places. Raises ValueError where it is 0 everywhere."""
    heights = np.array([max(0.0, curve_at(list(curve), place)) for place in np.linspace(0, 1, _GRID).tolist()])
    area = np.concatenate([[0.0], np.cumsum((heights[1:] + heights[:-1]) / 2)])
    if area[-1] <= 0:
        raise ValueError("The curve of noise levels is 0 everywhere.")
    return torch.from_numpy(area / area[-1]).float()
