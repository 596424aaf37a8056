"""The arbiter of a device: turns recipes into resident networks under a byte budget, the least recently used leave first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

from nodegraph.engine.device import DeviceAdapter

Load = Callable[[Any, Any], Any]


class Arbiter:
    """The networks of one device. Used on its lane's thread only.

    What the running node has asked for is pinned until `unpin`, so that making room never takes it away.
    """

    def __init__(self, adapter: DeviceAdapter, device: Any, load: Load, budget_bytes: int | None = None) -> None:
        self._adapter, self.device, self._load = adapter, device, load
        self._budget_bytes = budget_bytes
        self.loading_seconds = 0.0  # how long loading has taken, all in all
        self._resident: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._pinned: set[Hashable] = set()
        self.sizes: tuple[tuple[str, int], ...] = ()  # what is resident, by kind of recipe; for other threads to read

    @property
    def used_bytes(self) -> int:
        return sum(size for _, size in self._resident.values())

    def resident(self, recipe: Hashable) -> Any:
        """The network of a recipe, loaded if need be. Others leave when it and they exceed the budget together."""
        self._pinned.add(recipe)
        if recipe in self._resident:
            self._resident.move_to_end(recipe)
            return self._resident[recipe][0]
        start = time.perf_counter()
        network = self._load(recipe, self.device)
        self.loading_seconds += time.perf_counter() - start
        size = self._adapter.network_bytes(network)
        self._resident[recipe] = (network, size)
        if self._budget_bytes is not None:
            self._shrink_to(self._budget_bytes)
        self._publish()
        return network

    def unpin(self) -> None:
        """The running node has ended: everything may leave again."""
        self._pinned.clear()

    def drop_unused(self) -> int:
        """Let every network go that the running node has not asked for, and give the memory back: how many bytes it was."""
        before = self.used_bytes
        self._shrink_to(0)
        self._publish()
        self._adapter.release(self.device)
        return before - self.used_bytes

    def _publish(self) -> None:
        self.sizes = tuple((type(recipe).__name__, size) for recipe, (_, size) in self._resident.items())

    def _shrink_to(self, budget_bytes: int) -> None:
        for recipe in [recipe for recipe in self._resident if recipe not in self._pinned]:
            if self.used_bytes <= budget_bytes:
                return
            del self._resident[recipe]
