"""The memory tier: results under a byte budget, the cheapest to recompute per byte leave first.

Beside results it keeps the small records that lead to them: aliases (static key -> where the result is) and traces (which
lazy input was asked for next).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where a value lies: output `output` of the result stored under `key`, or an item of it (the way through nested lists)."""

    key: str
    output: str
    item: tuple[int, ...] = ()


class Result:
    """What a node gave: a value per output. `refs` says where each value lies when that is not under `key` itself."""

    __slots__ = ("key", "refs", "values", "volatile")

    def __init__(
        self, key: str, values: Mapping[str, Any], refs: Mapping[str, Any] | None = None, volatile: bool = False
    ) -> None:
        self.key, self.values, self.refs, self.volatile = key, values, refs, volatile

    def ref(self, output: str) -> Any:
        """Where `output` lies: a Place, or a list of places for a list made of separately stored items."""
        return self.refs[output] if self.refs is not None else Place(self.key, output)


class Alias(NamedTuple):
    """A static key's record: the key it resolved to, or (computed structure) a place for every output."""

    key: str | None
    refs: Mapping[str, Any] | None = None


class Trace(NamedTuple):
    """After these inputs the node awaited the lazy input `name`."""

    name: str


ENTRY_BYTES = 160
"""What an entry costs beyond its values: its key, its slots here, its record."""

PLACE_BYTES = 96
"""What an alias costs for every place that it names."""


class MemoryTier:
    """Content-addressed results in memory. Not thread-safe: it belongs to the engine's loop.

    Eviction is GreedyDual-Size (Cao and Irani 1997): priority = age + cost in seconds / bytes; the lowest leaves, and its
    priority becomes the age that newcomers start from.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.used_bytes = 0
        self.evicted = 0
        self._entries: dict[str, Result | Alias | Trace] = {}
        self._worth: dict[str, tuple[float, float, int]] = {}  # key -> (priority, cost per byte, bytes)
        self._heap: list[tuple[float, str]] = []
        self._age = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Result | Alias | Trace | None:
        """The entry under a key; being asked for renews it."""
        entry = self._entries.get(key)
        if entry is not None and self._age:
            _, density, size = self._worth[key]
            self._worth[key] = (self._age + density, density, size)
        return entry

    def find(self, key: str) -> Result | None:
        """The result that a static key leads to, through its alias if need be, or None where a part is missing."""
        entry = self.get(key)
        if entry is None or isinstance(entry, Result):
            return entry
        if isinstance(entry, Trace):
            return None
        if entry.key is not None:
            found = self.get(entry.key)
            return found if isinstance(found, Result) else None
        assert entry.refs is not None
        values = {}
        for output, ref in entry.refs.items():
            found = self._value(ref)
            if found is _MISSING:
                return None
            values[output] = found
        return Result(key, values, entry.refs)

    def _value(self, ref: Any) -> Any:
        if isinstance(ref, list):
            values = [self._value(item) for item in ref]
            return _MISSING if any(value is _MISSING for value in values) else values
        entry = self.get(ref.key)
        if not isinstance(entry, Result):
            return _MISSING
        value = entry.values[ref.output]
        for i in ref.item:
            value = value[i]
        return value

    def put(self, key: str, entry: Result | Alias | Trace, nbytes: int = 0, cost_seconds: float = 0.0) -> None:
        """Keep an entry; others leave until the budget holds. One larger than the whole budget is not kept."""
        size = nbytes + ENTRY_BYTES
        if isinstance(entry, Alias) and entry.refs is not None:
            size += PLACE_BYTES * sum(map(_places, entry.refs.values()))
        known = key in self._entries
        if known:
            self.used_bytes -= self._worth[key][2]
            self._worth[key] = (*self._worth[key][:2], 0)
        if size > self.budget_bytes:
            if known:
                self._drop(key)
            return
        while self.used_bytes + size > self.budget_bytes:
            self._evict_one()
        density = cost_seconds / size
        if key not in self._entries:
            heapq.heappush(self._heap, (self._age + density, key))
        self._entries[key] = entry
        self._worth[key] = (self._age + density, density, size)
        self.used_bytes += size

    def _evict_one(self) -> None:
        while True:
            priority, key = heapq.heappop(self._heap)
            if key not in self._entries:
                continue
            now = self._worth[key][0]
            if now > priority:  # used since it was queued: it queues again with what it is worth now
                heapq.heappush(self._heap, (now, key))
                continue
            self._age = priority
            self._drop(key)
            self.evicted += 1
            return

    def _drop(self, key: str) -> None:
        del self._entries[key]
        self.used_bytes -= self._worth.pop(key)[2]

    def forget(self, ref: Any) -> None:
        """Drop the results that hold a value; what leads to them becomes a miss."""
        for place in ref if isinstance(ref, list) else [ref]:
            if isinstance(place, list):
                self.forget(place)
            elif place.key in self._entries:
                self._drop(place.key)

    def clear(self) -> None:
        """Forget everything; the bytes are free at once."""
        self._entries.clear()
        self._worth.clear()
        self._heap.clear()
        self.used_bytes, self._age = 0, 0.0


def _places(ref: Any) -> int:
    return sum(map(_places, ref)) if isinstance(ref, list) else 1


_MISSING: Any = object()
