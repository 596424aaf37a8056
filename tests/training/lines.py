"""The smallest thing that can be trained: a line through points. Its gradient is known in closed form."""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from nodegraph import Context, NodeError
from nodegraph_nodes.training.loop import Moment, Networks, Part, Run, Share, train
from nodegraph_nodes.types import TrainingPlan

POINTS = [(x / 8, 3 * x / 8 - 1) for x in range(-16, 17)]


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.0))
        self.offset = nn.Parameter(torch.tensor(0.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.slope * x + self.offset


class LineTask:
    """Fits a line to POINTS with noise of the step's own. spoil: steps whose loss is not a number."""

    averaged = ("line",)
    betas: Mapping[str, tuple[float, float]] = {}

    def __init__(self, batch: int = 8, noise: float = 0.1, spoil: range = range(0), on_step=None) -> None:
        self.networks: dict[str, nn.Module] = {"line": Line()}
        self._batch, self._noise, self._spoil, self._on_step = batch, noise, spoil, on_step
        self.seen: list[int] = []

    def picks(self, number: int) -> Sequence[int]:
        self.seen.append(number)
        return [(number * self._batch + k) % len(POINTS) for k in range(self._batch)]

    def read(self, pick: int) -> tuple[float, float]:
        return POINTS[pick]

    def collate(self, examples: Sequence[tuple[float, float]]) -> dict[str, Tensor]:
        x, y = torch.tensor(examples).unbind(1)
        return {"x": x, "y": y}

    def losses(self, run: Run, batch: Mapping[str, Tensor], moment: Moment) -> Iterator[Part]:
        if self._on_step:
            self._on_step(moment.step)
        noise = self._noise * torch.randn(batch["y"].shape, generator=moment.random)
        loss = (run["line"](batch["x"]) - batch["y"] - noise).square().mean()
        if moment.step in self._spoil:
            loss = loss * float("nan")
        yield Part("line", loss, {"loss": loss})

    def after_step(self, moment: Moment) -> None: ...

    def validate(self, networks: Networks) -> Mapping[str, float]:
        x, y = torch.tensor(POINTS).unbind(1)
        return {"error": (networks["line"](x) - y).abs().mean().item()}

    def picture(self, networks: Networks) -> Tensor | None:
        return torch.full((4, 8, 3), 0.5)


def weights(networks: Networks) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in networks["line"].state_dict().items()}


def line_training(context: Context, share: Share, plan: TrainingPlan, *, noise: float, trouble: str = "", at: int = -1):
    """A training as several processes may share it. trouble: what befalls the last process at a step."""
    ours = share.rank == share.count - 1

    def on_step(step: int) -> None:
        if ours and step == at and trouble == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if ours and step == at and trouble == "wrong":
            raise NodeError("The line is bent.", socket="dataset", expected="a line", got="a curve", hint="Straighten it.")
        if ours and step == at and trouble == "broken":
            raise RuntimeError("This is a mistake in the program.")
        if trouble == "slow":
            time.sleep(0.05)

    task = LineTask(plan.batch, noise=noise, on_step=on_step)
    trained = train(task, plan, context, torch.device(context.device), share)
    first = torch.tensor(task.seen[0] if task.seen else -1)
    return {**weights(trained.networks), "first": first}, {name: tuple(rows) for name, rows in trained.figures.items()}
