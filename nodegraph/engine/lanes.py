"""Lanes: where work is serialised. A pool of threads for the cpu lane, one thread per device for the gpu lane.

A lane starts a call only when a thread is free, so what waits can still be reordered and abandoned.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nodegraph.engine.calls import Call, Outcome, failure

Perform = Callable[[Call], Outcome]


class ThreadLane:
    """`width` threads and a queue in priority order. Everything but the work itself happens on the loop."""

    def __init__(
        self,
        name: str,
        width: int,
        perform: Perform,
        started: Callable[[Call], Any],
        done: Callable[[Call, Outcome], Any],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(width, thread_name_prefix=f"nodegraph-{name}")
        self._free = width
        self._perform, self._started, self._done = perform, started, done
        self._queue: list[tuple[tuple[int, int, int], int, Call]] = []
        self._count = 0

    @property
    def load(self) -> int:
        """How many calls wait here."""
        return len(self._queue) - self._free

    def submit(self, call: Call) -> None:
        self._count += 1
        heapq.heappush(self._queue, (call.priority, self._count, call))
        self._pump()

    def _pump(self) -> None:
        while self._free and self._queue:
            *_, call = heapq.heappop(self._queue)
            if call.abandoned:
                self._done(call, Outcome(cancelled=True))
                continue
            self._free -= 1
            self._started(call)
            self._pool.submit(self._work, call)

    def _work(self, call: Call) -> None:
        try:
            outcome = self._perform(call)
        except BaseException as error:  # nobody else would hear of it, and the run would wait for ever
            outcome = failure(call.path, call.spec.id, error)
        self._loop.call_soon_threadsafe(self._finished, call, outcome)

    def _finished(self, call: Call, outcome: Outcome) -> None:
        self._free += 1
        try:
            self._done(call, outcome)
        finally:
            self._pump()

    async def close(self) -> None:
        """Drop what waits and wait for what runs."""
        while self._queue:
            self._done(heapq.heappop(self._queue)[-1], Outcome(cancelled=True))
        await asyncio.to_thread(self._pool.shutdown)
