"""Pictures from a denoiser in training, by the same samplers, schedules and guidance that draw them later."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from torch import Tensor

from nodegraph_nodes.diffusion.families import Hints, Prompts
from nodegraph_nodes.diffusion.predict import Evaluation, guided_denoised_many
from nodegraph_nodes.diffusion.samplers import SAMPLERS, Request, begin, finish, initial_noise, masked_step, run_steps
from nodegraph_nodes.diffusion.schedules import make_process, make_schedule
from nodegraph_nodes.types import Guidance, NoiseProcess, Prediction

from .telling import FAMILY, Telling

_AT_ONCE = 8


class InTraining:
    """A denoiser as samplers see it (`families.LoadedDenoiser`). call: (x, timesteps, heard) -> output."""

    family = FAMILY
    nbytes = 0

    def __init__(self, call: Callable[..., Tensor], prediction: Prediction, telling: Telling) -> None:
        self._call, self.prediction, self._telling = call, prediction, telling

    def to(self, device: torch.device | str) -> Self:
        return self

    def predict(self, x: Tensor, timesteps: Sequence[float], prompts: Prompts, hints: Hints | None = None) -> Tensor:
        heard = self._telling.heard_from(prompts, None if hints is None else hints.concat)
        return self._call(x, torch.tensor(timesteps, device=x.device, dtype=torch.float32), heard).float()


def draw_latents(
    denoiser: Any,
    process: NoiseProcess,
    told: Sequence[Guidance],
    shape: tuple[int, int, int],
    device: torch.device,
    *,
    steps: int = 16,
    seed: int = 0,
    sampler: str = "dpmpp_2m",
) -> Tensor:
    """Normalised latents [N, C, h, w], one for each guidance. Picture k has the noise of seed + k."""
    schedule = make_schedule("normal", make_process(process), steps, FAMILY)
    drawn = []
    for first in range(0, len(told), _AT_ONCE):
        some = told[first : first + _AT_ONCE]
        states = [
            begin(initial_noise(seed + first + k, shape).to(device), schedule, seed + first + k) for k in range(len(some))
        ]
        for step in range(steps):

            def predict(wanted: Sequence[Request], some: Sequence[Guidance] = some, step: int = step) -> list[Tensor]:
                asked = [Evaluation(each.x, each.point, some[each.item], step / steps) for each in wanted]
                return guided_denoised_many(denoiser, asked)

            states = run_steps([masked_step(SAMPLERS[sampler], state, schedule) for state in states], predict)
        drawn += [finish(state, schedule) for state in states]
    return torch.stack(drawn)


def sheet(pictures: Tensor) -> Tensor:
    """Pictures [N, H, W, 3] side by side, in rows: [rows H, columns W, 3]. The last row is filled up with grey."""
    count, height, width = pictures.shape[:3]
    columns = min(count, 4 if count <= 8 else 8)
    rows = math.ceil(count / columns)
    full = torch.full((rows * columns, height, width, 3), 0.5)
    full[:count] = pictures.float().cpu()
    return full.view(rows, columns, height, width, 3).permute(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)
