"""The arbiter of a device: turns recipes into resident networks under a byte budget, the least recently used leave first.

What leaves the device waits in the host's memory, where that is another one and has room, so it need not be read again.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from nodegraph.engine.device import DeviceAdapter
from nodegraph.sdk.pack import Loader

LoaderOf = Callable[[Any], Loader]


@dataclass(slots=True)
class _Resident:
    """A network in memory, and the recipe that it is at the moment."""

    network: Any
    recipe: Hashable
    nbytes: int


class Arbiter:
    """The networks of one device. Used on its lane's thread only.

    What the running node has asked for is pinned until `unpin`, so that making room never takes it away. Recipes with one base
    (a model with and without a patch) share a network, which is what the latest of them says.
    """

    def __init__(self, adapter: DeviceAdapter, device: Any, loader_of: LoaderOf, budget_bytes: int | None = None) -> None:
        self._adapter, self.device, self._loader_of = adapter, device, loader_of
        self._budget_bytes = budget_bytes
        self.loading_seconds = 0.0  # how long loading has taken, all in all
        self._resident: OrderedDict[Hashable, _Resident] = OrderedDict()  # by what networks were loaded from
        self._aside: OrderedDict[Hashable, _Resident] = OrderedDict()  # off the device, in the host's memory
        self._pinned: set[Hashable] = set()
        self.sizes: tuple[tuple[str, int], ...] = ()  # what is resident, by kind of recipe; for other threads to read

    @property
    def used_bytes(self) -> int:
        return sum(each.nbytes for each in self._resident.values())

    def resident(self, recipe: Hashable) -> Any:
        """The network of a recipe, loaded if need be. Others leave when it and they exceed the budget together."""
        loader = self._loader_of(recipe)
        base = recipe if loader.base is None else loader.base(recipe)
        self._pinned.add(base)
        found = self._resident.get(base)
        if found is not None and found.recipe == recipe:
            self._resident.move_to_end(base)
            return found.network
        start = time.perf_counter()
        if found is None:
            found = self._resident[base] = self._brought(base, loader)
        if loader.adapt is not None and found.recipe != recipe:
            try:
                loader.adapt(found.network, recipe)
            except BaseException:
                del self._resident[base]  # nobody knows what it is now
                raise
        self.loading_seconds += time.perf_counter() - start
        found.recipe, found.nbytes = recipe, self._adapter.network_bytes(found.network)
        self._resident.move_to_end(base)
        if self._budget_bytes is not None:
            self._shrink_to(self._budget_bytes)
        self._publish()
        return found.network

    def _brought(self, base: Hashable, loader: Loader) -> _Resident:
        """A network onto the device: from aside, or loaded. Unused ones leave where there is no room for it beside them."""
        found = self._aside.pop(base, None) or _Resident(loader.load(base, self.device), base, 0)
        wanted, room = self._adapter.network_bytes(found.network), self._adapter.free_bytes(self.device)
        if room is not None and room < wanted and self._resident:
            self.drop_unused()
            room = self._adapter.free_bytes(self.device)
        self._adapter.place(found.network, self.device, room)
        return found

    def unpin(self) -> None:
        """The running node has ended: everything may leave again."""
        self._pinned.clear()

    def drop_unused(self) -> int:
        """Let every network leave that the running node has not asked for, and give the memory back: how many bytes it was."""
        before = self.used_bytes
        self._shrink_to(0)
        self._publish()
        self._adapter.release(self.device)
        return before - self.used_bytes

    def forget_aside(self) -> int:
        """Let go of what is in the host's memory: how many bytes it was."""
        before = sum(each.nbytes for each in self._aside.values())
        self._aside.clear()
        return before

    def _publish(self) -> None:
        self.sizes = tuple((type(each.recipe).__name__, each.nbytes) for each in self._resident.values())

    def _shrink_to(self, budget_bytes: int) -> None:
        for recipe in [recipe for recipe in self._resident if recipe not in self._pinned]:
            if self.used_bytes <= budget_bytes:
                return
            self._leave(recipe, self._resident.pop(recipe))

    def _leave(self, base: Hashable, left: _Resident) -> None:
        nbytes = self._adapter.put_aside(left.network, self.device)
        if nbytes is None:
            return
        left.nbytes = nbytes
        self._aside[base] = left
        budget = self._adapter.aside_bytes(self.device)
        while self._aside and sum(each.nbytes for each in self._aside.values()) > budget:
            self._aside.popitem(last=False)
