"""Lanes: where work is serialised. A pool of threads for the cpu lane, one thread per device for the gpu lane.

A lane starts a call only when a thread is free, so what waits can still be reordered, abandoned, and gathered into batches.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from nodegraph.engine.calls import Call, Outcome, Priority, failure

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

Perform = Callable[[Sequence[Call]], Sequence[Outcome]]
"""Runs calls that fit together: one outcome each, in order. On the lane's thread."""

Queue = list[tuple[Priority, int, Call]]


class ThreadLane:
    """`width` threads and a queue in priority order. Everything but the work itself happens on the loop.

    `at_once` says how many calls of a batch key may run together.
    """

    def __init__(
        self,
        name: str,
        width: int,
        perform: Perform,
        started: Callable[[Call], Any],
        done: Callable[[Call, Outcome], Any],
        at_once: Callable[[Call], int] = lambda call: 1,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(width, thread_name_prefix=f"nodegraph-{name}")
        self._free = width
        self._perform, self._started, self._done, self._at_once = perform, started, done, at_once
        self._queue: Queue = []
        self._peers: dict[Hashable, Queue] = {}  # by batch key: the same calls again
        self._count = 0
        self._waiting = 0

    @property
    def load(self) -> int:
        """How many calls wait here."""
        return self._waiting - self._free

    def submit(self, call: Call) -> None:
        """Queue a call; it starts on the loop's next turn, so that others may join it."""
        call.lane = self
        self._waiting += 1
        self._push(call)
        if call.batch_key is not None:
            self._loop.call_soon(self._pump)
        else:
            self._pump()

    def hasten(self, call: Call) -> None:
        """A call that waits here has become more urgent: it queues once more, where it belongs now."""
        if not call.taken:
            self._push(call)

    def _push(self, call: Call) -> None:
        self._count += 1
        entry = (call.priority, self._count, call)
        heapq.heappush(self._queue, entry)
        if call.batch_key is not None:
            heapq.heappush(self._peers.setdefault(call.batch_key, []), entry)

    def _pump(self) -> None:
        while self._free and self._queue:
            call = self._next(self._queue)
            if call is None:
                continue
            calls = [call, *self._companions(call)]
            self._free -= 1
            for each in calls:
                self._started(each)
            self._pool.submit(self._work, calls)

    def _next(self, queue: Queue) -> Call | None:
        """Take the first call of a queue, unless another queue gave it out or nobody wants it any more."""
        *_, call = heapq.heappop(queue)
        if call.taken:
            return None
        call.taken = True
        self._waiting -= 1
        self._tidy(call.batch_key)
        if call.abandoned:
            self._done(call, Outcome(cancelled=True))
            return None
        return call

    def _companions(self, call: Call) -> list[Call]:
        """What else waits with the same batch key, as many as may run at once."""
        found: list[Call] = []
        peers = self._peers.get(call.batch_key) if call.batch_key is not None else None
        if peers is not None:
            most = self._at_once(call)
            while peers and len(found) + 1 < most:
                other = self._next(peers)
                if other is not None:
                    found.append(other)
        return found

    def _tidy(self, batch_key: Hashable) -> None:
        """Forget the calls of a batch key that were given out."""
        peers = self._peers.get(batch_key)
        if peers is not None:
            while peers and peers[0][-1].taken:
                heapq.heappop(peers)
            if not peers:
                del self._peers[batch_key]

    def _work(self, calls: list[Call]) -> None:
        try:
            outcomes = self._perform(calls)
        except BaseException as error:  # nobody else would hear of it, and the run would wait for ever
            outcomes = [failure(call.path, call.spec.id, error) for call in calls]
        self._loop.call_soon_threadsafe(self._finished, calls, outcomes)

    def _finished(self, calls: Sequence[Call], outcomes: Sequence[Outcome]) -> None:
        for call, outcome in zip(calls, outcomes, strict=True):
            try:
                self._done(call, outcome)
            except Exception:  # the others of the batch are still to hear
                _LOG.exception("%s: its run could not take the outcome", call.path)
        self._free += 1
        self._pump()

    async def ask(self, question: Callable[[], T]) -> T:
        """Call a function on a thread of the lane, after what runs there now."""
        return await asyncio.wrap_future(self._pool.submit(question))

    async def close(self) -> None:
        """Drop what waits and wait for what runs."""
        while self._queue:
            call = self._next(self._queue)
            if call is not None:
                self._done(call, Outcome(cancelled=True))
        self._peers.clear()
        await asyncio.to_thread(self._pool.shutdown)
