"""One process's part of a training that several share: its number, and what all do together (torch's DDP and FSDP)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from .spreading import spread
from .task import Networks, Run

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Share:
    """rank: this process's number; count: how many there are. Alone, everything here does nothing.

    spread: whether each holds a part of every network instead of a copy; then all call networks together, also to measure.
    """

    rank: int = 0
    count: int = 1
    spread: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes, measures and shows."""
        return self.rank == 0

    @property
    def looks(self) -> bool:
        """Whether this process measures: the first, or all where none has a network of its own."""
        return self.is_first or self.spread

    def placed(self, networks: Iterable[nn.Module], device: torch.device) -> None:
        """Bring networks to the device: whole, or this process's part of them."""
        if self.spread:
            spread(networks, device)
            return
        for network in networks:
            network.to(device)

    def wrapped(self, networks: Networks, device: torch.device, compiled: bool) -> dict[str, Callable[..., Any]]:
        """The networks as they are called in training: their gradients are averaged over all processes."""
        called: dict[str, Callable[..., Any]] = dict(networks)
        if self.count > 1 and not self.spread:
            from torch.nn.parallel import DistributedDataParallel

            places = [device] if device.type == "cuda" else None
            called = {name: DistributedDataParallel(network, device_ids=places) for name, network in networks.items()}
        return {name: torch.compile(network) for name, network in called.items()} if compiled else called

    @contextlib.contextmanager
    def gathering(self, run: Run, last: bool) -> Iterator[None]:
        """Around a batch of a step, forth and back: gradients are exchanged at the last one only."""
        with contextlib.ExitStack() as held:
            for called in run.values() if self.count > 1 else ():
                if self.spread:
                    _wrapper(called).set_requires_gradient_sync(last)
                elif not last:
                    held.enter_context(_wrapper(called).no_sync())
            yield

    def mean(self, values: Tensor) -> Tensor:
        """The mean of some numbers, over all processes."""
        mean = values.float().mean()
        if self.count > 1:
            torch.distributed.all_reduce(mean)
            mean = mean / self.count
        return mean

    def sum(self, values: Tensor) -> Tensor:
        """The sum of each number, over all processes."""
        if self.count > 1:
            values = values.clone()
            torch.distributed.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether it holds for any process: all hear the same, so all turn the same way. To be asked by all at one place."""
        if self.count == 1:
            return flag
        flags = torch.tensor(int(flag))
        torch.distributed.all_reduce(flags)  # in the host's memory: over gloo, whatever the device
        return bool(flags)

    def from_first(self, values: Tensor) -> None:
        """Let a tensor be what it is in the first process."""
        if self.count > 1:
            torch.distributed.broadcast(values, 0)

    def first_then_others(self, work: Callable[[], T]) -> T:
        """Let the first process do some work, and leave it on disk, before the others find it there."""
        if not self.is_first:
            self.wait()
        made = work()
        if self.is_first:
            self.wait()
        return made

    def wait(self) -> None:
        """Until all have come here."""
        if self.count > 1:
            torch.distributed.barrier()


def bare(called: Any) -> nn.Module:
    """The network itself, behind what wraps it."""
    inner = getattr(called, "_orig_mod", called)
    network: nn.Module = inner.module if _is_wrapper(inner) else inner
    return network


def _wrapper(called: Any) -> Any:
    return getattr(called, "_orig_mod", called)


def _is_wrapper(called: Any) -> bool:
    from torch.nn.parallel import DistributedDataParallel

    return isinstance(called, DistributedDataParallel)
