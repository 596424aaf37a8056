"""The memory tier: results under byte budgets, the host's and each device's; the cheapest to recompute per byte leave first.

Beside results it keeps the small records that lead to them: aliases (static key -> where the result is) and traces (which
lazy input was asked for next).
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from nodegraph.sdk.socket import Storage

HOST = ""
"""The host's memory, as storages name it."""


class Place(NamedTuple):
    """Where a value lies: output `output` of the result stored under `key`, or an item of it (the way through nested lists)."""

    key: str
    output: str
    item: tuple[int, ...] = ()


class Result:
    """What a node gave: a value per output. `refs` says where each value lies when that is not under `key` itself.

    `volatile` results are never found again; `durable` ones are, or soon will be, on disk. `type` is the node type. While a
    device still works on the values, `ready` is what to await before they are used anywhere else. A `light` result is a few
    numbers: letting it go would save nothing.
    """

    __slots__ = ("durable", "key", "light", "nbytes", "ready", "refs", "type", "values", "volatile")

    def __init__(
        self,
        key: str,
        values: Mapping[str, Any],
        refs: Mapping[str, Any] | None = None,
        volatile: bool = False,
        durable: bool = False,
        type: str = "",
    ) -> None:
        self.key, self.values, self.refs = key, values, refs
        self.volatile, self.durable, self.type = volatile, durable, type
        self.ready: Sequence[asyncio.Future[Any]] = ()
        self.light, self.nbytes = False, 0

    def ref(self, output: str) -> Any:
        """Where `output` lies: a Place, or a list of places for a list made of separately stored items."""
        return self.refs[output] if self.refs is not None else Place(self.key, output)

    @property
    def hollow(self) -> bool:
        """Whether the values have been let go."""
        return self.values is GONE

    def without_values(self) -> Result:
        """The same result, saying only where its values lie."""
        return Result(self.key, GONE, self.refs, self.volatile, self.durable, self.type)


GONE: Mapping[str, Any] = {}
"""What stands for the values of a result that have been let go."""


class Alias(NamedTuple):
    """A static key's record: the key it resolved to, or (computed structure) a place for every output."""

    key: str | None
    refs: Mapping[str, Any] | None = None


class Trace(NamedTuple):
    """After these inputs the node awaited the lazy input `name`."""

    name: str


Entry = Result | Alias | Trace

ENTRY_BYTES = 160
"""What an entry costs beyond its values: its key, its slots here, its record."""

PLACE_BYTES = 96
"""What an alias costs for every place that it names."""


class Worth(NamedTuple):
    """What keeping an entry is worth (`density`: seconds to recompute per byte), and what it occupies: `size` bytes of its
    own on `device`, and storages that it may share.
    """

    priority: float
    density: float
    size: int
    device: str
    storages: Sequence[Storage]


class MemoryTier:
    """Content-addressed results in memory. Not thread-safe: it belongs to the engine's loop.

    Eviction is GreedyDual-Size (Cao and Irani 1997): priority = age + cost in seconds / bytes; the lowest leaves, and its
    priority becomes the age that newcomers start from. Memory that several results share is counted once. What leaves a
    device is handed to `spill`; what leaves the host is gone.
    """

    def __init__(self, budget_bytes: int, spill: Callable[[Result, float], None] | None = None) -> None:
        self.evicted = 0
        self._spill = spill
        self._entries: dict[str, Entry] = {}
        self._worth: dict[str, Worth] = {}
        self._held: dict[tuple[str, Any], int] = {}  # storage -> how many entries keep it
        self._pools: dict[str, _Pool] = {HOST: _Pool(budget_bytes)}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def budget_bytes(self) -> int:
        return self._pools[HOST].budget_bytes

    @property
    def used_bytes(self) -> int:
        return self._pools[HOST].used_bytes

    @property
    def used_by_device(self) -> dict[str, int]:
        """Bytes in use, by device; "" is the host."""
        return {device: pool.used_bytes for device, pool in self._pools.items()}

    def set_budget(self, device: str, budget_bytes: int) -> None:
        """Give a device a budget; until then what lies there counts and never leaves."""
        self._pool(device).budget_bytes = budget_bytes
        self._make_room(device, 0)

    def _pool(self, device: str) -> _Pool:
        pool = self._pools.get(device)
        if pool is None:
            pool = self._pools[device] = _Pool(1 << 62)
        return pool

    # ---- finding ----

    def get(self, key: str) -> Entry | None:
        """The entry under a key; being asked for renews it."""
        entry = self._entries.get(key)
        if entry is not None:
            worth = self._worth[key]
            age = self._pools[worth.device].age
            if age:
                self._worth[key] = worth._replace(priority=age + worth.density)
        return entry

    def find(self, key: str, besides: Mapping[str, Entry] | None = None) -> Result | None:
        """The result that a static key leads to, through its alias if need be, or None where a part is missing.

        `besides` has entries that count as if they were here.
        """
        entry = self._entry(key, besides)
        if entry is None or isinstance(entry, Result):
            return entry
        if isinstance(entry, Trace):
            return None
        if entry.key is not None:
            found = self._entry(entry.key, besides)
            return found if isinstance(found, Result) else None
        assert entry.refs is not None
        values = {}
        for output, ref in entry.refs.items():
            found = self._value(ref, besides)
            if found is _MISSING:
                return None
            values[output] = found
        keys = dict.fromkeys(place.key for place in _places_in(entry.refs))
        parts = [part for part in (self._entry(other, besides) for other in keys) if isinstance(part, Result)]
        whole = Result(key, values, entry.refs, durable=all(part.durable for part in parts))
        whole.ready = [future for part in parts for future in part.ready]
        return whole

    def _entry(self, key: str, besides: Mapping[str, Entry] | None) -> Entry | None:
        return besides[key] if besides is not None and key in besides else self.get(key)

    def _value(self, ref: Any, besides: Mapping[str, Entry] | None) -> Any:
        if isinstance(ref, list):
            values = [self._value(item, besides) for item in ref]
            return _MISSING if any(value is _MISSING for value in values) else values
        entry = self._entry(ref.key, besides)
        if not isinstance(entry, Result):
            return _MISSING
        try:
            value = entry.values[ref.output]
            for i in ref.item:
                value = value[i]
        except (LookupError, TypeError):  # an alias from disk that somebody made by hand
            return _MISSING
        return value

    # ---- keeping ----

    def put(self, key: str, entry: Entry, nbytes: int = 0, cost_seconds: float = 0.0, storages: Sequence[Storage] = ()) -> None:
        """Keep an entry; others leave until the budgets hold. One larger than the whole budget is not kept.

        `storages` are what its values keep alive, `nbytes` is everything else.
        """
        size = nbytes + ENTRY_BYTES
        if isinstance(entry, Alias) and entry.refs is not None:
            size += PLACE_BYTES * sum(map(_places, entry.refs.values()))
        known = self._worth.get(key)
        if known is not None:
            self._drop(key)
        kept = tuple(dict.fromkeys(storages)) if storages else ()
        device = next((storage.device for storage in kept if storage.device != HOST), HOST) if kept else HOST
        pool = self._pool(device)
        least = most = whole = size  # bytes that keeping it takes here: beside what is kept anyway, in all, anywhere
        for storage in kept:
            whole += storage.nbytes
            if storage.device == device:
                most += storage.nbytes
                least += storage.nbytes if (device, storage.id) not in self._held else 0
        if most > pool.budget_bytes:
            if device != HOST:
                self._spilled(entry, cost_seconds)
            return
        if pool.used_bytes + least > pool.budget_bytes:
            self._make_room(device, least)
        density = cost_seconds / whole
        self._entries[key] = entry
        self._worth[key] = Worth(pool.age + density, density, size, device, kept)
        pool.queue(key, pool.age + density)
        pool.used_bytes += size
        for storage in kept:
            place = (storage.device, storage.id)
            if place not in self._held:
                self._held[place] = 0
                self._pool(storage.device).used_bytes += storage.nbytes
            self._held[place] += 1
        if kept:  # others may have held the same memory, and left
            self._make_room(device, 0)
            self._make_room(HOST, 0)

    def _make_room(self, device: str, nbytes: int) -> None:
        pool = self._pool(device)
        while pool.used_bytes + nbytes > pool.budget_bytes and self._evict_one(device, pool):
            pass

    def _evict_one(self, device: str, pool: _Pool) -> bool:
        while pool.heap:
            priority, key = pool.next()
            worth = self._worth.get(key)
            if worth is None or worth.device != device:
                continue
            if worth.priority > priority:  # used since it was queued: it queues again with what it is worth now
                pool.queue(key, worth.priority)
                continue
            pool.age = priority
            entry = self._entries[key]
            self._drop(key)
            self.evicted += 1
            if device != HOST:
                self._spilled(entry, worth.density * (worth.size + sum(storage.nbytes for storage in worth.storages)))
            return True
        return False

    def _spilled(self, entry: Entry, cost_seconds: float) -> None:
        if isinstance(entry, Result) and self._spill is not None:
            self._spill(entry, cost_seconds)

    def _drop(self, key: str) -> None:
        del self._entries[key]
        worth = self._worth.pop(key)
        self._pools[worth.device].used_bytes -= worth.size
        for storage in worth.storages:
            place = (storage.device, storage.id)
            self._held[place] -= 1
            if not self._held[place]:
                del self._held[place]
                self._pools[storage.device].used_bytes -= storage.nbytes

    # ---- letting go ----

    def forget(self, ref: Any) -> None:
        """Drop the results that hold a value; what leads to them becomes a miss."""
        for place in ref if isinstance(ref, list) else [ref]:
            if isinstance(place, list):
                self.forget(place)
            elif place.key in self._entries:
                self._drop(place.key)

    def leave(self, device: str) -> int:
        """Let everything leave a device, spilled where that is possible: how many bytes it was."""
        pool = self._pool(device)
        before = pool.used_bytes
        while self._evict_one(device, pool):
            pass
        return before - pool.used_bytes

    def clear(self) -> None:
        """Forget everything; the bytes are free at once."""
        self._entries.clear()
        self._worth.clear()
        self._held.clear()
        for pool in self._pools.values():
            pool.clear()


class _Pool:
    """One memory: its budget, what is used, and who leaves next."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes, self.used_bytes, self.age = budget_bytes, 0, 0.0
        self.heap: list[tuple[float, str]] = []
        self._queued: set[str] = set()  # an entry queues once, with what it was worth then

    def queue(self, key: str, priority: float) -> None:
        if key not in self._queued:
            self._queued.add(key)
            heapq.heappush(self.heap, (priority, key))

    def next(self) -> tuple[float, str]:
        priority, key = heapq.heappop(self.heap)
        self._queued.discard(key)
        return priority, key

    def clear(self) -> None:
        self.heap.clear()
        self._queued.clear()
        self.used_bytes, self.age = 0, 0.0


def _places_in(refs: Mapping[str, Any]) -> Iterator[Place]:
    waiting = list(refs.values())
    while waiting:
        ref = waiting.pop()
        if isinstance(ref, Place):
            yield ref
        else:
            waiting.extend(ref)


def _places(ref: Any) -> int:
    return sum(map(_places, ref)) if isinstance(ref, list) else 1


_MISSING: Any = object()
