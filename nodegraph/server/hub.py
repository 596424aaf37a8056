"""Who listens to events: each subscriber pulls from its own place in the log, so a slow one costs nobody anything.

Logged events are numbered and can be had again; progress and previews are not, and only the latest of each node is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice
from typing import NamedTuple

from nodegraph.jobs import JobStore, LoggedEvent
from nodegraph.jobs.live import Passing

_RECENT = 5000
_RECENT_BYTES = 16 << 20
_AT_ONCE = 500
_PREVIEW_SECONDS = 0.1
_SILENCE_SECONDS = 15.0


class Told(NamedTuple):
    """What subscribers are sent: a JSON text, and the same (with a preview's picture) as a WebSocket frame."""

    seq: int | None
    job: str | None
    text: str
    frame: bytes


class Hub:
    """The events of one store, for any number of subscribers."""

    def __init__(self) -> None:
        self.store: JobStore | None = None
        self.showing: Callable[[], Sequence[Passing]] = tuple
        """What is passing at the moment, for those who come in the middle."""
        self.last = 0
        self._recent: deque[Told] = deque()
        self._recent_bytes = 0
        self._subscribers: set[Subscription] = set()
        self.closed = False

    def close(self) -> None:
        """Let all subscribers go: there is nothing more to hear."""
        self.closed = True
        for subscriber in self._subscribers:
            subscriber.wake()

    @property
    def subscribers(self) -> int:
        return len(self._subscribers)

    def told(self, events: Sequence[LoggedEvent]) -> None:
        """Events were committed."""
        for event in map(_logged, events):
            self._recent.append(event)
            self._recent_bytes += len(event.frame)
        while len(self._recent) > _RECENT or self._recent_bytes > _RECENT_BYTES:
            self._recent_bytes -= len(self._recent.popleft().frame)
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

    async def after(self, seq: int) -> list[Told]:
        """Some events after one, from memory where they are recent."""
        if seq >= self.last:
            return []
        if self._recent and (oldest := self._recent[0].seq or 0) <= seq + 1:
            start = seq + 1 - oldest  # numbers have no gaps among what is committed
            return list(islice(self._recent, start, start + _AT_ONCE))
        assert self.store is not None
        return list(map(_logged, await self.store.events(seq, _AT_ONCE)))


class Subscription:
    """One listener: iterating gives some at a time. Of what is passing it gives the latest, of what is logged everything.

    After a while without anything it gives none, so that whoever sends them on finds out that nobody is there any more.
    """

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

    async def __aiter__(self) -> AsyncIterator[list[Told]]:
        self._hub.add(self)
        for passing in self._hub.showing():
            self.pass_on(passing)
        try:
            if (lost := await self._lost()) is not None:
                yield [lost]
            told = time.monotonic()
            while not self._hub.closed:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(told + _SILENCE_SECONDS - time.monotonic()):
                        await self._woken.wait()
                self._woken.clear()
                while events := await self._hub.after(self._since):
                    self._since = events[-1].seq or self._since
                    mine = events if self._job is None else [event for event in events if event.job == self._job]
                    if mine:
                        yield mine
                        told = time.monotonic()
                if (due := self._due()) or time.monotonic() - told >= _SILENCE_SECONDS:
                    yield due
                    told = time.monotonic()
        finally:
            self._hub.remove(self)

    async def _lost(self) -> Told | None:
        """Where what was asked for is no longer there, the listener has to look at the state anew."""
        assert self._hub.store is not None
        first, last = await self._hub.store.bounds()
        if first <= self._since <= last:
            return None
        self._since = last if self._since > last else first
        return _told(self._since, None, json.dumps({"seq": self._since, "at": _now(), "type": "events_lost"}))

    def _due(self) -> list[Told]:
        """What is to be shown now: previews not too often, the rest at once."""
        if not self._passing:
            return []
        now, due = time.monotonic(), []
        self._previewed = {key: at for key, at in self._previewed.items() if now - at < _PREVIEW_SECONDS}
        for key, passing in list(self._passing.items()):
            if passing.picture is not None:
                if key in self._previewed:
                    asyncio.get_running_loop().call_later(self._previewed[key] + _PREVIEW_SECONDS - now, self.wake)
                    continue
                self._previewed[key] = now
            del self._passing[key]
            due.append(_passed(passing))
        return due


def frame(payload: bytes, binary: bool = False) -> bytes:
    """A whole message as one unmasked WebSocket frame (RFC 6455, section 5.2), made once for all clients."""
    kind, size = 0x82 if binary else 0x81, len(payload)
    if size < 126:
        return struct.pack(">BB", kind, size) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", kind, 126, size) + payload
    return struct.pack(">BBQ", kind, 127, size) + payload


def _logged(event: LoggedEvent) -> Told:
    return _told(event.seq, event.job, event.text)


def _told(seq: int | None, job: str | None, text: str) -> Told:
    return Told(seq, job, text, frame(text.encode()))


def _passed(passing: Passing) -> Told:
    """Progress as a text message; a preview as the length of its header (4 bytes, big-endian), the header, and a PNG file."""
    text = json.dumps({"seq": None, "at": _now(), "type": passing.type, "job": passing.job, **passing.data})
    if passing.picture is None:
        return _told(None, passing.job, text)
    header = text.encode()
    return Told(None, passing.job, text, frame(struct.pack(">I", len(header)) + header + passing.picture, binary=True))


def _now() -> float:
    return round(time.time(), 3)
