"""An enlarging network, trained on pictures and what is left of them when they are reduced.

The network is Real-ESRGAN's compact one (Wang et al. 2021, SRVGGNetCompact): all its convolutions work at the small size, and
the last one's channels become pixels (Shi et al. 2016). spandrel knows it by the names of its weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pixel_shuffle

from nodegraph_nodes.training.data import BatchPlan, Pick, Reader, held_out
from nodegraph_nodes.training.loop import Moment, Networks, Part, Run
from nodegraph_nodes.training.losses import PerceptualDistance, gradient_distance, pixel_distance
from nodegraph_nodes.training.losses.pixels import PixelLoss
from nodegraph_nodes.types import Dataset

UPSCALER, ARCHITECTURE = "upscaler", "RealESRGAN Compact"
_HELD_OUT, _SHOWN, _LARGEST = 48, 6, 256

Reduction = Literal["area", "bicubic", "both"]


class Compact(nn.Module):
    """[B, 3, h, w], 0..1 -> [B, 3, scale h, scale w]: what nearest neighbours give, and what is to be added to it."""

    def __init__(self, channels: int, layers: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        body: list[nn.Module] = [nn.Conv2d(3, channels, 3, 1, 1), nn.PReLU(channels)]
        for _ in range(layers):
            body += [nn.Conv2d(channels, channels, 3, 1, 1), nn.PReLU(channels)]
        body.append(nn.Conv2d(channels, 3 * scale**2, 3, 1, 1))
        self.body = nn.ModuleList(body)
        for layer in body:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.25)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(body[-1].weight)  # type: ignore[arg-type]  # it begins with nearest neighbours

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels
        for layer in self.body:
            x = layer(x)
        return interpolate(pixels, scale_factor=self.scale, mode="nearest") + pixel_shuffle(x, self.scale).float()


def reduced(pictures: Tensor, scale: int, how: Literal["area", "bicubic"]) -> Tensor:
    """Pictures [B, 3, H, W], 0..1, as many times smaller."""
    if how == "area":
        return avg_pool2d(pictures, scale)
    size = (pictures.shape[2] // scale, pictures.shape[3] // scale)
    return interpolate(pictures, size, mode="bicubic", antialias=True).clamp(0, 1)


@dataclass(frozen=True, slots=True)
class UpscalerLosses:
    """What counts how much."""

    pixels: PixelLoss = "l2"
    gradients: float = 0.1
    perceptual: float = 0.0


class Measured(NamedTuple):
    """Mean PSNR over pictures in dB: of the network, and of a bicubic filter."""

    psnr: float
    bicubic: float


class UpscalerTask:
    """Training an upscaler. crop: pixels of a side of what is cut from each picture."""

    betas: Mapping[str, tuple[float, float]] = {}
    averaged = (UPSCALER,)

    def __init__(
        self,
        network: Compact,
        data: Dataset,
        validation: Dataset | None,
        losses: UpscalerLosses,
        perceptual: PerceptualDistance | None,
        *,
        reduction: Reduction,
        crop: int,
        batch: int,
        seed: int,
        device: torch.device,
    ) -> None:
        self.networks: dict[str, nn.Module] = {UPSCALER: network}
        if device.type != "mps":
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._losses, self._perceptual = losses, None if perceptual is None else perceptual.to(device)
        self._scale, self._crop, self._seed, self._device = network.scale, crop, seed, device
        self._ways: tuple[Any, ...] = ("area", "bicubic") if reduction == "both" else (reduction,)
        self._reader, self._plan = Reader(data, seed=seed), BatchPlan(data, batch, seed)
        kept = validation or data
        with Reader(kept, seed=seed) as reader:
            self._seen = [
                _pictures([_middle(reader.read(pick).pixels, self._scale)]) for pick in held_out(kept, _HELD_OUT, seed)
            ]

    # ---- examples ----

    def picks(self, number: int) -> Sequence[Pick]:
        return self._plan[number]

    def read(self, pick: Pick) -> Tensor:
        """A piece of a picture, turned or mirrored: [crop, crop, 3] uint8, or as large as the picture allows."""
        pixels = self._reader.read(pick).pixels
        random = np.random.default_rng((self._seed, pick.entry, max(0, pick.draw), 1))
        sides = [min(self._crop, side) // self._scale * self._scale for side in pixels.shape[:2]]
        top, left = (int(random.integers(whole - side + 1)) for whole, side in zip(pixels.shape[:2], sides, strict=True))
        piece = pixels[top : top + sides[0], left : left + sides[1]]
        if sides[0] == sides[1] and random.random() < 0.5:
            piece = piece.transpose(0, 1)
        return piece.flip([axis for axis in (0, 1) if random.random() < 0.5]).contiguous()

    def collate(self, examples: Sequence[Tensor]) -> dict[str, Tensor]:
        return {"pictures": _pictures(examples)}

    # ---- a step ----

    def losses(self, run: Run, batch: Mapping[str, Tensor], moment: Moment) -> Iterator[Part]:
        wanted, weights = batch["pictures"], self._losses
        small = reduced(wanted, self._scale, self._ways[0])
        if len(self._ways) > 1:
            chosen = torch.rand(len(wanted), 1, 1, 1, generator=moment.random, device=wanted.device) < 0.5
            small = small.where(chosen, reduced(wanted, self._scale, self._ways[1]))
        made = run[UPSCALER](small.contiguous(memory_format=torch.channels_last)) * 2 - 1
        wanted = wanted * 2 - 1
        loss = pixel_distance(made, wanted, weights.pixels)
        figures = {"pixels": loss}
        if weights.gradients:
            loss = loss + weights.gradients * gradient_distance(made, wanted)
        if self._perceptual is not None:
            figures["perceptual"] = self._perceptual(made, wanted)
            loss = loss + weights.perceptual * figures["perceptual"]
        yield Part(UPSCALER, loss, {"loss": loss, **figures})

    def after_step(self, moment: Moment) -> None:
        """Nothing."""

    # ---- looking ----

    def validate(self, networks: Networks) -> dict[str, float]:
        return {"psnr": self.measure(networks).psnr}

    def measure(self, networks: Networks) -> Measured:
        """How near the network comes to held-out pictures, against a bicubic filter."""
        totals, count = [0.0, 0.0], 0
        for wanted in self._seen:
            for way in self._ways:
                small = reduced(wanted, self._scale, way)
                made = networks[UPSCALER](small.to(self._device)).float().cpu().clamp(0, 1)
                for number, picture in enumerate((made, _bicubic(small, self._scale))):
                    totals[number] += _psnr(picture, wanted)
                count += 1
        return Measured(*(total / count for total in totals))

    def picture(self, networks: Networks) -> Tensor | None:
        """Held-out pictures: reduced and enlarged by a bicubic filter, by the network, and as they were. Rows of [H, W, 3]."""
        first = self._seen[0].shape
        columns = []
        for wanted in [each for each in self._seen if each.shape == first][:_SHOWN]:
            small = reduced(wanted, self._scale, self._ways[0])
            made = networks[UPSCALER](small.to(self._device)).float().cpu().clamp(0, 1)
            columns.append(torch.cat([_bicubic(small, self._scale), made, wanted], 2)[0])
        return torch.cat(columns, 2).movedim(0, -1)


def _pictures(examples: Sequence[Tensor]) -> Tensor:
    """[H, W, 3] uint8 each -> [B, 3, H, W] float32, 0..1."""
    return torch.stack(list(examples)).permute(0, 3, 1, 2).float() / 255


def _middle(pixels: Tensor, scale: int) -> Tensor:
    """The middle of a picture, no larger than is quick to look at, in a size that can be reduced."""
    for axis in (0, 1):
        whole = pixels.shape[axis]
        side = min(_LARGEST, whole) // scale * scale
        pixels = pixels.narrow(axis, (whole - side) // 2, side)
    return pixels


def _bicubic(small: Tensor, scale: int) -> Tensor:
    return interpolate(small, scale_factor=scale, mode="bicubic").clamp(0, 1)


def _psnr(made: Tensor, wanted: Tensor) -> float:
    return -10 * (made - wanted).square().mean().clamp_min(1e-10).log10().item()
