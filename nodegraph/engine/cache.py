"""The cache: the memory tier, what waits to be written, and the disk tier, asked in this order.

Looking up is done on the loop and never waits: what lies on disk alone comes back as a `Fetch`, to be loaded by a thread.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from nodegraph.engine.coding import Coder, Unreadable, small_entry, small_record
from nodegraph.engine.extent import Extents
from nodegraph.sdk.spec import NodeSpec
from nodegraph.store import Alias, DiskTier, MemoryTier, Place, Record, Result, Trace, WriteBehind
from nodegraph.store.memory import Entry

_LOG = logging.getLogger(__name__)

CHEAP_SECONDS = 0.005
"""What costs less than this, and a second per gigabyte, is computed again rather than read back."""

_READ_BYTES_PER_SECOND = 1e9

_LIGHT_BYTES = 512

_PLAIN = (int, float, bool, str, type(None))

_DEAREST_SECONDS = 1e12

_SMALL_SECONDS = 0.01  # what a small record saves: it stays longer than the results that it leads to


class Fetch(NamedTuple):
    """Results that lie on disk alone and together are what was looked for."""

    keys: tuple[str, ...]


class Cache:
    """Both tiers as one. Everything but reading and writing files happens on the engine's loop."""

    def __init__(self, memory: MemoryTier, coder: Coder, extents: Extents, disk: DiskTier | None = None) -> None:
        self.memory, self.disk = memory, disk
        self._coder, self._extents = coder, extents
        self.behind = None if disk is None else WriteBehind(disk)
        self._loading: dict[str, asyncio.Future[Result | None]] = {}
        self._unreadable: set[str] = set()
        self._unwritable: set[str] = set()  # node types whose codec failed
        self._readers: ThreadPoolExecutor | None = None

    # ---- finding ----

    def find(self, key: str, on_disk: bool = True) -> Result | Fetch | None:
        """The result that a key leads to; or what to load for it; or None. `on_disk` says whether disk is worth asking."""
        found = self.memory.find(key)
        if found is not None or self.disk is None or not on_disk:
            return found
        entry = self.entry(key)
        if entry is None or isinstance(entry, (Result, Fetch)):
            return entry
        if isinstance(entry, Trace):
            return None
        waiting: dict[str, Entry] = {}
        missing: dict[str, None] = {}
        for other in keys_of(entry):
            held = self.memory.get(other) or self._pending(other)
            if isinstance(held, Result):
                waiting[other] = held
            elif self._kind(other) == "result":
                missing[other] = None
            else:
                return None
        return Fetch(tuple(missing)) if missing else self.memory.find(key, {**waiting, key: entry})

    def entry(self, key: str) -> Entry | Fetch | None:
        """What is stored under a key itself, no alias followed."""
        known = self.memory.get(key) or self._pending(key)
        if known is not None or self.disk is None:
            return known
        kind = self._kind(key)
        if kind is None:
            return None
        if kind == "result":
            return Fetch((key,))
        record = self.disk.read(key)  # small, and beside the index
        if record is None:
            return None
        try:
            small = small_entry(record)
        except Unreadable:
            self.give_up(key)
            return None
        self.memory.put(key, small)
        return small

    def loaded(self, key: str, found: Mapping[str, Result]) -> Result | None:
        """The result that a key leads to, now that `found` was loaded."""
        entry = self.entry(key)
        besides: dict[str, Entry] = dict(found)
        if isinstance(entry, Alias):
            besides[key] = entry
            for other in keys_of(entry):
                held = self._pending(other)
                if other not in besides and held is not None:
                    besides[other] = held
        result = self.memory.find(key, besides)
        if result is None and isinstance(entry, Alias) and besides.keys() >= {key, *keys_of(entry)}:  # it leads to no value
            self.memory.forget(Place(key, ""))
            self.give_up(key)
        return result

    def _kind(self, key: str) -> str | None:
        return None if self.disk is None or key in self._unreadable else self.disk.kind(key)

    def _pending(self, key: str) -> Entry | None:
        """What waits to be written under a key, unless it was spoilt meanwhile."""
        held = None if self.behind is None else self.behind.pending(key)
        return None if isinstance(held, Result) and held.volatile else held

    def where(self, key: str) -> str | None:
        """`memory` or `disk`, where the result that a key leads to lies; None when it is nowhere."""
        found = self.find(key)
        return None if found is None else "disk" if isinstance(found, Fetch) else "memory"

    # ---- loading ----

    async def load(self, keys: Sequence[str]) -> dict[str, Result]:
        """Bring results from disk into memory; what could not be read is missing. A key asked for twice is read once."""
        loop = asyncio.get_running_loop()
        found: dict[str, Result | None] = {}
        for key in keys:
            held = self.memory.get(key)
            if isinstance(held, Result):  # another run has brought it since it was looked up
                found[key] = held
            elif key not in self._loading:
                if self._readers is None:
                    self._readers = ThreadPoolExecutor(2, thread_name_prefix="nodegraph-disk")
                read = loop.run_in_executor(self._readers, self._read, key)
                self._loading[key] = asyncio.ensure_future(self._arrived(key, read))
        for key, future in [(key, self._loading[key]) for key in keys if key not in found]:
            found[key] = await asyncio.shield(future)
        return {key: result for key, result in found.items() if result is not None}

    async def _arrived(self, key: str, read: asyncio.Future[tuple[Result, float] | None]) -> Result | None:
        try:
            answer = await read
            nbytes, storages = (0, []) if answer is None else self._extents.of(answer[0].type, answer[0].values)
        except Exception as error:  # a value that no memory can hold, or of which its socket type cannot say how large it is
            _LOG.warning("A cached result cannot be used and is computed again: %s: %s", type(error).__name__, error)
            answer = None
        finally:
            del self._loading[key]
        if answer is None:
            self._unreadable.add(key)
            return None
        result, seconds = answer
        result.nbytes = nbytes + sum(storage.nbytes for storage in storages)
        self.memory.put(key, result, nbytes, seconds, storages)
        return result

    def _read(self, key: str) -> tuple[Result, float] | None:
        """On a reader's thread."""
        assert self.disk is not None
        record = self.disk.read(key)
        if record is None or record.kind != "result":
            return None
        try:
            return self._coder.result(record), min(max(0.0, record.seconds), _DEAREST_SECONDS)  # so nan becomes 0
        except Unreadable as error:
            _LOG.warning("A cached result cannot be read and is computed again: %s", error)
            self.disk.remove([key])
            return None

    def give_up(self, key: str) -> None:
        """Find a key no more: what lies under it is not what it should be."""
        self.memory.forget([Place(key, "")])
        self._unreadable.add(key)
        if self.disk is not None:
            self.disk.remove([key])

    # ---- keeping ----

    def keep(self, spec: NodeSpec, key: str, values: Mapping[str, Any], seconds: float) -> Result:
        """Keep what a node gave: in memory, and on disk where that is worth it."""
        nbytes, storages = self._extents.of(spec.id, values)
        result = Result(key, values, type=spec.id)
        result.nbytes = nbytes + sum(storage.nbytes for storage in storages)
        result.light = nbytes < _LIGHT_BYTES and all(type(value) in _PLAIN for value in values.values())
        if self.behind is not None and spec.cache == "content":
            dear = seconds > CHEAP_SECONDS + result.nbytes / _READ_BYTES_PER_SECOND
            always = self._coder.is_durable(spec)
            if (dear or always) and self._coder.can_write(spec):
                result.durable = True
                encode = partial(self._encoded, spec, result, seconds)
                self.behind.put(key, encode, result.nbytes, math.inf if always else seconds, result)
                self._unreadable.discard(key)
        self.memory.put(key, result, nbytes, seconds, storages)
        return result

    def _encoded(self, spec: NodeSpec, result: Result, seconds: float) -> Record | None:
        """On the writer's thread."""
        if result.volatile:
            return None
        try:
            return self._coder.result_record(spec, result.key, result.values, seconds)
        except Exception as error:  # the codec's own
            if spec.id not in self._unwritable:
                self._unwritable.add(spec.id)
                _LOG.warning("Results of %s are not kept on disk: %s: %s", spec.id, type(error).__name__, error)
            return None

    def note(self, key: str, entry: Alias | Trace, durable: bool) -> None:
        """Keep a small record; on disk when what it leads to is there."""
        self.memory.put(key, entry, 0, _SMALL_SECONDS)
        if durable and self.behind is not None:
            self.behind.put(key, partial(small_record, key, entry, _SMALL_SECONDS), 256, _SMALL_SECONDS, entry)
            self._unreadable.discard(key)

    def forget(self, ref: Any) -> list[str]:
        """A value is not what its key says: it is found no more. The keys are to be removed from disk too."""
        self.memory.forget(ref)
        keys = [place.key for place in _places_in(ref)]
        self._unreadable.update(keys)
        for key in keys:
            held = self._pending(key)
            if isinstance(held, Result):
                held.volatile = True
        return keys

    async def remove(self, keys: list[str]) -> None:
        """Remove from disk what may be on its way there still."""
        if self.disk is not None:
            await self.drain()
            await asyncio.to_thread(self.disk.remove, keys)

    async def to_host(self, result: Result, seconds: float) -> None:
        """Bring a result that leaves its device into the host's memory, unless it was found again meanwhile."""
        values = await asyncio.to_thread(self._extents.on_host, result.type, result.values)
        if self.memory.get(result.key) is None and not result.volatile:
            kept = Result(result.key, values, durable=result.durable, type=result.type)
            nbytes, storages = self._extents.of(result.type, values)
            self.memory.put(result.key, kept, nbytes, seconds, storages)

    async def clear(self) -> None:
        """Forget everything, on disk too."""
        await self.drain()
        self.memory.clear()
        if self.disk is not None:
            await asyncio.to_thread(self.disk.clear)

    async def is_written(self, key: str) -> bool:
        """Whether a result that was kept is on disk, once all that waits is written."""
        await self.drain()
        return self.disk is not None and await asyncio.to_thread(self.disk.kind, key) is not None

    async def drain(self) -> None:
        """Wait until everything that waits to be written is on disk."""
        if self.behind is not None:
            await asyncio.to_thread(self.behind.drain)

    async def close(self) -> None:
        """Write what waits, and let the threads go."""
        if self.behind is not None:
            await asyncio.to_thread(self.behind.close)
        if self._readers is not None:
            await asyncio.to_thread(self._readers.shutdown)
        if self.disk is not None:
            self.disk.close()


def keys_of(alias: Alias) -> Iterable[str]:
    """The keys of the results that an alias names."""
    if alias.key is not None:
        return (alias.key,)
    return dict.fromkeys(place.key for ref in (alias.refs or {}).values() for place in _places_in(ref))


def _places_in(ref: Any) -> Iterator[Place]:
    if isinstance(ref, Place):
        yield ref
    else:
        for item in ref:
            yield from _places_in(item)
