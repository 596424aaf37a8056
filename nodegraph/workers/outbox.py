"""What a worker still has to say: everything that counts in its order, and of what merely passes only the latest.

So a server that is slow to read, or stands still, costs a worker no more than a picture per node that runs.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol

from nodegraph.workers.messages import Message, packed

_PASSING = ("preview", "progress")


class Pipe(Protocol):
    """An unbuffered stream; `write` says how many bytes it took."""

    def write(self, data: memoryview, /) -> int | None: ...


class Outbox:
    """Filled on one thread, emptied by `write_to` on another."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._latest: dict[tuple[str, str, str], bytes] = {}
        self._changed = threading.Condition()
        self._closed = False

    def put(self, message: Message) -> None:
        """Say something; returns at once. Raises BadFrame for what no frame can hold."""
        frame, kind = packed(message), message["kind"]
        with self._changed:
            if self._closed:
                return
            if kind in _PASSING:
                self._latest[kind, message["job"], message["node"]] = frame
            else:
                self._frames.append(frame)
            if kind == "done":
                self._latest = {key: frame for key, frame in self._latest.items() if key[1] != message["job"]}
            self._changed.notify()

    @property
    def waiting_bytes(self) -> int:
        """What is not written yet."""
        with self._changed:
            return sum(map(len, self._frames)) + sum(map(len, self._latest.values()))

    def close(self) -> None:
        """`write_to` ends when all is written; what is put from now on is dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def write_to(self, pipe: Pipe) -> None:
        """Write until `close`. It ends early where nobody reads any more."""
        try:
            while (frame := self._next()) is not None:
                rest = memoryview(frame)
                while rest:
                    rest = rest[pipe.write(rest) or 0 :]
        except OSError:
            self.close()
            with self._changed:
                self._frames.clear()
                self._latest.clear()

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._latest or self._closed)
            if self._frames:
                return self._frames.popleft()
            return self._latest.pop(next(iter(self._latest))) if self._latest else None
