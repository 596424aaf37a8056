"""Who listens to events: each subscriber pulls from its own place in the log, so a slow one costs nobody anything.

Logged events are numbered and can be had again; progress and previews are not, and only the latest of each node is sent.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import NamedTuple

from nodegraph.jobs import JobStore, LoggedEvent
from nodegraph.jobs.dispatcher import Passing

_RECENT = 5000
_AT_ONCE = 500
_PREVIEW_SECONDS = 0.1


class Told(NamedTuple):
    """What a subscriber is to be sent: a JSON text, or a preview's header and picture."""

    text: str
    picture: bytes | None = None


class Hub:
    """The events of one store, for any number of subscribers."""

    def __init__(self) -> None:
        self.store: JobStore | None = None
        self.last = 0
        self._recent: deque[LoggedEvent] = deque(maxlen=_RECENT)
        self._subscribers: set[Subscription] = set()

    @property
    def subscribers(self) -> int:
        return len(self._subscribers)

    def told(self, events: Sequence[LoggedEvent]) -> None:
        """Events were committed."""
        self._recent.extend(events)
        self.last = events[-1].seq
        for subscriber in self._subscribers:
            subscriber.wake()

    def passing(self, passing: Passing) -> None:
        """Something to see that is not kept."""
        for subscriber in self._subscribers:
            subscriber.pass_on(passing)

    def subscribe(self, since: int | None, job: str | None, previews: bool) -> Subscription:
        """Listen from after an event on; without one, from now on."""
        return Subscription(self, self.last if since is None else since, job, previews)

    def add(self, subscription: Subscription) -> None:
        self._subscribers.add(subscription)

    def remove(self, subscription: Subscription) -> None:
        self._subscribers.discard(subscription)

    async def after(self, seq: int) -> list[LoggedEvent]:
        """Some events after one, from memory where they are recent."""
        if self._recent and self._recent[0].seq <= seq + 1:
            return list(islice(self._recent, max(0, seq + 1 - self._recent[0].seq), None))[:_AT_ONCE]
        assert self.store is not None
        return await self.store.events(seq, _AT_ONCE)


class Subscription:
    """One listener. Iterate over it; what it takes long for is left out where it is passing, and never where it is logged."""

    def __init__(self, hub: Hub, since: int, job: str | None, previews: bool) -> None:
        self._hub, self._since, self._job, self._previews = hub, since, job, previews
        self._woken = asyncio.Event()
        self._woken.set()
        self._passing: dict[tuple[str, str, str], Passing] = {}
        self._previewed: dict[tuple[str, str, str], float] = {}

    def wake(self) -> None:
        self._woken.set()

    def pass_on(self, passing: Passing) -> None:
        if self._job in (None, passing.job) and (self._previews or passing.picture is None):
            self._passing[passing.job, passing.node, passing.type] = passing
            self._woken.set()

    async def __aiter__(self) -> AsyncIterator[Told]:
        self._hub.add(self)
        try:
            if (lost := await self._lost()) is not None:
                yield lost
            while True:
                await self._woken.wait()
                self._woken.clear()
                while events := await self._hub.after(self._since):
                    for event in events:
                        self._since = event.seq
                        if self._job is None or event.job == self._job:
                            yield Told(event.text)
                for passing in self._due():
                    yield _told(passing)
        finally:
            self._hub.remove(self)

    async def _lost(self) -> Told | None:
        """Where what was asked for is no longer there, the listener has to look at the state anew."""
        assert self._hub.store is not None
        first, last = await self._hub.store.bounds()
        if first <= self._since <= last:
            return None
        self._since = last if self._since > last else first
        return Told(json.dumps({"seq": self._since, "at": round(time.time(), 3), "type": "events_lost"}))

    def _due(self) -> list[Passing]:
        """What is to be shown now: previews not too often, the rest at once."""
        now = time.monotonic()
        due = []
        self._previewed = {key: at for key, at in self._previewed.items() if now - at < _PREVIEW_SECONDS}
        for key, passing in list(self._passing.items()):
            if passing.picture is not None:
                wait = self._previewed.get(key, 0.0) + _PREVIEW_SECONDS - now
                if wait > 0:
                    asyncio.get_running_loop().call_later(wait, self.wake)
                    continue
                self._previewed[key] = now
            del self._passing[key]
            due.append(passing)
        return due


def _told(passing: Passing) -> Told:
    text = json.dumps({"seq": None, "at": round(time.time(), 3), "type": passing.type, "job": passing.job, **passing.data})
    return Told(text, passing.picture)
