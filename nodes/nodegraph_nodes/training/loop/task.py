"""What the loop trains: networks, the examples they see, the losses they are to lower. The loop knows nothing else of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

Networks = Mapping[str, nn.Module]
Run = Mapping[str, Callable[..., Any]]
"""The networks as they are to be called in training: perhaps compiled, perhaps copied over several devices."""


class Part(NamedTuple):
    """One network's loss in a step. figures: what is worth plotting, each a scalar tensor without gradient."""

    network: str
    loss: Tensor
    figures: Mapping[str, Tensor]


class Moment(NamedTuple):
    """Where a training is. random: the source of everything random in this step, on the device, seeded by the step alone."""

    step: int
    steps: int
    random: torch.Generator


class Task(Protocol):
    """One kind of training.

    networks: what is trained, each by an optimiser of its own. averaged: those whose moving average is kept. betas: of
    optimisers that want others than the plan's.
    """

    @property
    def networks(self) -> Networks: ...

    @property
    def averaged(self) -> Sequence[str]: ...

    @property
    def betas(self) -> Mapping[str, tuple[float, float]]: ...

    def picks(self, number: int) -> Sequence[Any]:
        """Which examples batch `number` has; the same number always gives the same."""

    def read(self, pick: Any) -> Any:
        """One example, in the host's memory."""

    def collate(self, examples: Sequence[Any]) -> Mapping[str, Tensor]:
        """Examples as a batch, in the host's memory."""

    def losses(self, run: Run, batch: Mapping[str, Tensor], moment: Moment) -> Iterator[Part]:
        """The losses of a batch. Each is followed back through its network before the next is asked for."""

    def after_step(self, moment: Moment) -> None:
        """What is to be done to the networks when the optimisers have stepped."""

    def validate(self, networks: Networks) -> Mapping[str, float]:
        """How good the networks (averages, where there are) are on pictures they never saw. Raises NodeError if all is lost."""

    def picture(self, networks: Networks) -> Tensor | None:
        """What they make of some fixed examples: [H, W, 3], 0..1."""
