"""Batches, in the order of their numbers, read by processes beside the training where the plan wants some."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from nodegraph_nodes.types import TrainingPlan

from .sharing import Share
from .task import Task


class _Examples(Dataset[Any]):
    """A task's examples, by pick."""

    def __init__(self, task: Task) -> None:
        self._read = task.read

    def __getitem__(self, pick: Any) -> Any:
        return self._read(pick)


class _Picks:
    """Which examples each batch has, from the first that is wanted to the last."""

    def __init__(self, task: Task, plan: TrainingPlan, first: int, share: Share) -> None:
        self._task, self._numbers = task, range(first * plan.accumulate, plan.steps * plan.accumulate)
        self._share = share

    def __iter__(self) -> Iterator[list[Any]]:
        for number in self._numbers:
            yield list(self._task.picks(number * self._share.count + self._share.rank))


def batches(
    task: Task, plan: TrainingPlan, first: int, share: Share, device: torch.device
) -> Generator[Mapping[str, Tensor], None, None]:
    """The batches from step `first` on, on the device. Several processes see different ones."""
    if plan.workers == 0:
        for picks in _Picks(task, plan, first, share):
            yield _on(task.collate([task.read(pick) for pick in picks]), device)
        return
    loader: DataLoader[Any] = DataLoader(
        _Examples(task),
        batch_sampler=_Picks(task, plan, first, share),
        num_workers=plan.workers,
        collate_fn=_collating(task),
        pin_memory=device.type == "cuda",
        multiprocessing_context="spawn",  # a fork of a process with threads may hang
    )
    for batch in loader:
        yield _on(batch, device)


def _collating(task: Task) -> Any:
    return task.collate


def _on(batch: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
