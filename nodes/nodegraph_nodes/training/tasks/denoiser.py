"""The second phase (Rombach et al. 2022, section 3.2): a denoiser of latents, told captions, classes or layouts.

A step adds noise to latents, and lowers the squared error of what the network says about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph_nodes.diffusion.families import LoadedAutoencoder
from nodegraph_nodes.training.data import BatchPlan, Pick
from nodegraph_nodes.training.loop import Moment, Networks, Part, Run
from nodegraph_nodes.types import Dataset, Guidance, NoiseProcess

from .examples import Source
from .noising import Noising
from .sampling import InTraining, draw_latents, sheet
from .stock import Stock
from .telling import Heard, Telling

DENOISER = "denoiser"
LOG_SNRS = (-4, -2, 0, 2)
"""The noise levels that a validation looks at: log(alpha^2 / sigma^2)."""
ERROR = "error"
"""The figure that says how good a denoiser is: the mean squared error of the clean latent, over these levels."""
_AT_ONCE = 32


class DenoiserTask:
    """Training a denoiser on a source of latents.

    seen: what it is measured by; sketches: what it draws to be looked at. dropout: the share of pictures of which it is told
    nothing.
    """

    betas: Mapping[str, tuple[float, float]] = {}
    averaged = (DENOISER,)

    def __init__(
        self,
        unet: nn.Module,
        dataset: Dataset,
        source: Source,
        seen: Stock,
        telling: Telling,
        noising: Noising,
        sketches: Sketches,
        *,
        dropout: float,
        batch: int,
        seed: int,
        device: torch.device,
    ) -> None:
        if device.type != "mps":
            unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.networks: dict[str, nn.Module] = {DENOISER: unet}
        self._source, self._seen, self._telling = source, seen, telling
        self._noising, self._sketches = noising, sketches
        self._dropout, self._device = dropout, device
        self._plan = BatchPlan(dataset, batch, seed)
        self.read, self.collate = source.read, source.collate

    # ---- examples ----

    def picks(self, number: int) -> Sequence[Pick]:
        return self._plan[number]

    # ---- a step ----

    def losses(self, run: Run, batch: Mapping[str, Tensor], moment: Moment) -> Iterator[Part]:
        random, noising = moment.random, self._noising
        taken = self._source.take(batch, self._device)
        clean = taken.latents
        silent = torch.rand(len(clean), generator=random, device=random.device) < self._dropout
        levels, noise = noising.draw(len(clean), random), noising.noise(clean, random)
        output = call(run[DENOISER], noising.add(clean, noise, levels), levels.timestep, self._telling.hear(taken, silent))
        errors = (output - noising.target(clean, noise, levels)).square().mean((1, 2, 3))
        loss = (noising.weights(levels) * errors).mean()
        yield Part(DENOISER, loss, {"loss": loss})

    def after_step(self, moment: Moment) -> None:
        """Nothing."""

    # ---- looking ----

    def validate(self, networks: Networks) -> dict[str, float]:
        """The mean squared error of the clean latent that it sees in noisy ones: held-out pictures, always the same noise."""
        network, noising, found = networks[DENOISER], self._noising, dict[str, float]()
        for number, log_snr in enumerate(LOG_SNRS):
            total, count = 0.0, 0
            random = torch.Generator().manual_seed(number)
            for taken in self._seen.batches(_AT_ONCE, self._device):
                clean = taken.latents
                noise = torch.randn(clean.shape, generator=random).to(self._device)
                levels = noising.at_log_snr(log_snr, len(clean))
                noisy, silent = noising.add(clean, noise, levels), torch.zeros(len(clean), dtype=torch.bool)
                output = call(network, noisy, levels.timestep, self._telling.hear(taken, silent))
                total += float((noising.estimate(noisy, output, levels) - clean).square().mean((1, 2, 3)).sum())
                count += len(clean)
            found[f"error at {log_snr}"] = total / count
        return {ERROR: sum(found.values()) / len(found), **found}

    def picture(self, networks: Networks) -> Tensor | None:
        """What it draws of the chosen prompts."""
        return self._sketches.drawn(networks[DENOISER], self._noising, self._device)


class Sketches:
    """The pictures that are drawn again and again while a training lasts.

    guidances: of each; shape: [C, h, w] of their latents.
    """

    def __init__(
        self,
        autoencoder: LoadedAutoencoder,
        telling: Telling,
        process: NoiseProcess,
        guidances: Sequence[Guidance],
        shape: tuple[int, int, int],
    ) -> None:
        self._autoencoder, self._telling, self._process = autoencoder, telling, process
        self._guidances, self._shape = guidances, shape

    def drawn(self, network: Any, noising: Noising, device: torch.device) -> Tensor:
        """[H, W, 3], 0..1: all of them on a sheet."""

        def said(x: Tensor, timesteps: Tensor, heard: Heard) -> Tensor:
            return call(network, x, timesteps, heard)

        denoiser = InTraining(said, noising.prediction, self._telling)
        latents = draw_latents(denoiser, self._process, self._guidances, self._shape, device)
        return sheet(self._autoencoder.decode(latents).clamp(0, 1))


def call(network: Any, noisy: Tensor, timesteps: Tensor, heard: Heard) -> Tensor:
    """A U-Net's output for noisy latents [B, C, h, w] at timesteps [B]: [B, C, h, w] float32."""
    device = noisy.device
    if heard.concat is not None:
        noisy = torch.cat([noisy, heard.concat.to(noisy)], 1)
    output: Tensor = network(
        noisy.contiguous(memory_format=torch.channels_last),
        timesteps,
        None if heard.states is None else heard.states.to(device),
        class_labels=None if heard.classes is None else heard.classes.to(device),
        return_dict=False,
    )[0]
    return output.float()
