"""A run's events on their way out of a worker: gathered for a moment, previews only the latest of each node."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import zlib
from collections.abc import Callable
from typing import Any

from nodegraph.engine import Event, NodeExpanded, NodeFailed, NodeFinished, NodePreview, NodeProgress, NodeStarted
from nodegraph.sdk.context import Preview
from nodegraph.workers.messages import BadFrame, Message, as_text

_GATHER_SECONDS = 0.02
_PREVIEW_SECONDS = 0.1


class Telling:
    """One attempt's events. `listen` is called on the engine's thread, everything else on the host's loop."""

    def __init__(self, job: str, attempt: int, send: Callable[[Message], None]) -> None:
        self._about: Message = {"job": job, "attempt": attempt}
        self._send, self._loop = send, asyncio.get_running_loop()
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._progress: dict[str, NodeProgress] = {}
        self._previews: dict[str, Preview] = {}
        self._flushing: asyncio.TimerHandle | None = None
        self._showing: asyncio.Task[None] | None = None

    def listen(self, event: Event) -> None:
        """Take an event and return at once."""
        if isinstance(event, NodePreview | NodeProgress) or _told(event) is not None:
            self._loop.call_soon_threadsafe(self._take, event)

    def _take(self, event: Event) -> None:
        if isinstance(event, NodePreview):
            self._previews[event.node] = event.preview
            if self._showing is None or self._showing.done():
                self._showing = asyncio.create_task(self._show())
            return
        if isinstance(event, NodeProgress):
            self._progress[event.node] = event
        elif (told := _told(event)) is not None:
            self._progress.pop(told[1]["node"], None)
            self._events.append(told)
        if self._flushing is None:
            self._flushing = self._loop.call_later(_GATHER_SECONDS, self.flush)

    def flush(self) -> None:
        """Send what has gathered."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        if self._events:
            with contextlib.suppress(BadFrame):
                self._send({"kind": "events", **self._about, "events": as_text(self._events)})
        for node, event in self._progress.items():
            self._send({"kind": "progress", **self._about, "node": node, "done": event.done, "total": event.total})
        self._events, self._progress = [], {}

    def close(self) -> None:
        """The attempt is over: the last events go out, pictures of work in progress do not."""
        self.flush()
        if self._showing is not None:
            self._showing.cancel()

    async def _show(self) -> None:
        """Send previews, the latest of each node, and not too often."""
        while self._previews:
            previews, self._previews = self._previews, {}
            for node, preview in previews.items():
                png = await asyncio.to_thread(as_png, preview)
                about = {"node": node, "width": preview.width, "height": preview.height, "png": png}
                with contextlib.suppress(BadFrame):
                    self._send({"kind": "preview", **self._about, **about})
            await asyncio.sleep(_PREVIEW_SECONDS)


def _told(event: Event) -> tuple[str, dict[str, Any]] | None:
    """An event as clients get it; None for those that the job's own events tell already."""
    match event:
        case NodeExpanded(node=node, into=into, type=type_):
            return "node_expanded", {"node": node, "node_type": type_, "into": list(into)}
        case NodeStarted(node=node, type=type_):
            return "node_started", {"node": node, "node_type": type_}
        case NodeFinished(node=node, state=state, reason=reason, ms=ms, type=type_):
            known = {"peak_bytes": event.peak_bytes, "bytes": event.nbytes, "key": event.key or None}
            more = {name: value for name, value in known.items() if value is not None}
            told = {"node": node, "node_type": type_, "state": state, "reason": reason, "ms": round(ms, 3)}
            return "node_finished", {**told, **more}
        case NodeFailed(node=node, problem=problem, trace=trace, type=type_):
            return "node_failed", {"node": node, "node_type": type_, "problem": problem.to_json(), "trace": trace}
    return None


def as_png(preview: Preview) -> bytes:
    """A preview as a PNG file (RFC 2083: 8-bit RGB, unfiltered rows)."""
    row = 3 * preview.width
    lines = b"".join(b"\0" + preview.rgb[y * row : (y + 1) * row] for y in range(preview.height))
    header = struct.pack(">IIBBBBB", preview.width, preview.height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
