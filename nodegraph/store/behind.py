"""Writing behind: records reach the disk tier on a thread of their own, a moment later, so that no lane waits for a disk.

What is on its way stays to be had from `pending` until it is durable.
"""

from __future__ import annotations

import atexit
import heapq
import logging
import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Any

from nodegraph.store.disk import DiskTier
from nodegraph.store.record import Record

Encode = Callable[[], Record | None]

_LOG = logging.getLogger(__name__)
_AT_ONCE_BYTES = 16 << 20
_EXIT_SECONDS = 30.0


class _Entry:
    __slots__ = ("encode", "holds", "key", "nbytes", "since", "worth")

    def __init__(self, key: str, encode: Encode, nbytes: int, worth: float, holds: Any, since: float) -> None:
        self.key, self.encode, self.nbytes, self.worth = key, encode, nbytes, worth
        self.holds, self.since = holds, since


class WriteBehind:
    """A thread that writes what was put, when the oldest is `window_seconds` old or `window_bytes` are waiting.

    Above `limit_bytes` on their way, those that cost the least seconds per byte are dropped. A process that ends normally
    writes what is left.
    """

    def __init__(
        self,
        tier: DiskTier,
        window_seconds: float = 1.0,
        window_bytes: int = 64 << 20,
        limit_bytes: int = 256 << 20,
    ) -> None:
        self.tier = tier
        self.dropped = 0
        self._window_seconds, self._window_bytes, self._limit_bytes = window_seconds, window_bytes, limit_bytes
        self._changed = threading.Condition()
        self._waiting: dict[str, _Entry] = {}
        self._writing: dict[str, _Entry] = {}
        self._least: list[tuple[float, int, _Entry]] = []  # a heap over `_waiting`, with some that have left it
        self._order = count()
        self._waiting_bytes = self._writing_bytes = 0
        self._started = self._finished = self._wanted = 0  # batches: begun, durable, asked for by `drain`
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="nodegraph-write-behind", daemon=True)
        self._thread.start()
        atexit.register(self._exit)  # the thread is a daemon: it still runs when these functions are called

    def put(self, key: str, encode: Encode, nbytes: int, seconds: float = 0.0, holds: Any = None) -> None:
        """Have `encode()` written soon. It runs on the writer's thread; None from it means that there is nothing to write."""
        with self._changed:
            if self._closed:
                return
            before = self._waiting.get(key)
            since = time.monotonic() if before is None else before.since
            entry = _Entry(key, encode, nbytes, seconds / max(nbytes, 1), holds, since)
            first = not self._waiting
            self._waiting[key] = entry  # in the place of the one before, so the oldest is always the first
            self._waiting_bytes += nbytes - (before.nbytes if before is not None else 0)
            heapq.heappush(self._least, (entry.worth, next(self._order), entry))
            self._shed()
            if first or self._waiting_bytes >= self._window_bytes:
                self._changed.notify_all()

    def pending(self, key: str) -> Any | None:
        """What `put` was told to hold for a key that is not durable yet. Waits for nobody."""
        entry = self._waiting.get(key) or self._writing.get(key)  # in this order: entries move from the first to the second
        return entry.holds if entry is not None else None

    def drain(self, timeout: float | None = None) -> bool:
        """Write what was put before this call, and wait for it; False where `timeout` seconds did not suffice."""
        with self._changed:
            batch = self._started + bool(self._waiting)
            self._wanted = max(self._wanted, batch)
            self._changed.notify_all()
            return self._changed.wait_for(lambda: self._finished >= batch, timeout)

    def close(self, timeout: float | None = None) -> None:
        """Write everything and end the thread; what is put later is ignored."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(timeout)
        atexit.unregister(self._exit)

    def _exit(self) -> None:
        self.close(_EXIT_SECONDS)

    def _shed(self) -> None:
        """Drop what is waiting and worth least, down to the limit; one entry may wait however large it is."""
        while self._waiting_bytes + self._writing_bytes > self._limit_bytes and len(self._waiting) > 1:
            _, _, entry = heapq.heappop(self._least)
            if self._waiting.get(entry.key) is entry:
                del self._waiting[entry.key]
                self._waiting_bytes -= entry.nbytes
                self.dropped += 1

    def _run(self) -> None:
        while self._take():
            try:
                self._write()
            except Exception:
                _LOG.exception("Results could not be kept on disk")
            with self._changed:
                self._writing, self._writing_bytes = {}, 0
                self._finished += 1
                self._changed.notify_all()

    def _take(self) -> bool:
        """Wait until a batch is due and make it the one being written; False when there will be none."""
        with self._changed:
            while not self._closed and not self._is_due():
                self._changed.wait(self._due_in_seconds())
            if not self._waiting:
                return False
            self._writing, self._writing_bytes = self._waiting, self._waiting_bytes
            self._waiting, self._waiting_bytes, self._least = {}, 0, []
            self._started += 1
            return True

    def _is_due(self) -> bool:
        if not self._waiting:
            return False
        full = self._waiting_bytes >= self._window_bytes
        return full or self._started < self._wanted or self._due_in_seconds() == 0.0

    def _due_in_seconds(self) -> float | None:
        """Seconds until the oldest entry's window ends; None where nothing waits."""
        oldest = next(iter(self._waiting.values()), None)
        return None if oldest is None else max(0.0, oldest.since + self._window_seconds - time.monotonic())

    def _write(self) -> None:
        while self._writing:  # in parts of some megabytes, so that each part's memory is free as soon as it is written
            part: list[str] = []
            size = 0
            records: list[Record] = []
            for key, entry in self._writing.items():
                part.append(key)
                size += entry.nbytes
                if (record := _encoded(entry)) is not None:
                    records.append(record)
                if size >= _AT_ONCE_BYTES:
                    break
            self.tier.write(records)
            with self._changed:
                self._writing_bytes -= size
                for key in part:
                    del self._writing[key]


def _encoded(entry: _Entry) -> Record | None:
    try:
        return entry.encode()
    except Exception:
        _LOG.warning("The result %s could not be encoded and is not kept on disk", entry.key, exc_info=True)
        return None
