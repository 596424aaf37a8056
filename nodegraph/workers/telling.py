"""A run's events on their way out of a worker: gathered for a moment, previews only the latest of each node."""

from __future__ import annotations

import asyncio
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

from nodegraph.engine import Event, NodeExpanded, NodeFailed, NodeFinished, NodePreview, NodeProgress, NodeStarted
from nodegraph.sdk.context import Preview
from nodegraph.workers.messages import Message

_GATHER_SECONDS = 0.02
_PREVIEW_SECONDS = 0.1


class Telling:
    """One attempt's events. `listen` is called on the engine's thread, everything else on the host's loop."""

    def __init__(self, job: str, attempt: int, send: Callable[[Message], None], loop: asyncio.AbstractEventLoop) -> None:
        self._about: Message = {"job": job, "attempt": attempt}
        self._send, self._loop = send, loop
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._progress: dict[str, dict[str, Any]] = {}
        self._previews: dict[str, Preview] = {}
        self._flushing: asyncio.TimerHandle | None = None
        self._previewed = 0.0

    def listen(self, event: Event) -> None:
        """Take an event and return at once."""
        if (told := _told(event)) is not None or isinstance(event, NodePreview):
            self._loop.call_soon_threadsafe(self._take, event, told)

    def _take(self, event: Event, told: tuple[str, dict[str, Any]] | None) -> None:
        if isinstance(event, NodePreview):
            self._previews[event.node] = event.preview
        elif told is not None and isinstance(event, NodeProgress):
            self._progress[event.node] = told[1]
        elif told is not None:
            self._progress.pop(told[1]["node"], None)
            self._events.append(told)
        if self._flushing is None:
            self._flushing = self._loop.call_later(_GATHER_SECONDS, self.flush)

    def flush(self) -> None:
        """Send what has gathered."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        events = [*self._events, *(("node_progress", data) for data in self._progress.values())]
        if events:
            text = json.dumps(events, ensure_ascii=False)
            self._send({"kind": "events", **self._about, "events": text})
        self._events, self._progress = [], {}
        if self._previews and self._loop.time() - self._previewed >= _PREVIEW_SECONDS:
            self._previewed = self._loop.time()
            for node, preview in self._previews.items():
                about = {"node": node, "width": preview.width, "height": preview.height, "png": as_png(preview)}
                self._send({"kind": "preview", **self._about, **about})
            self._previews = {}


def _told(event: Event) -> tuple[str, dict[str, Any]] | None:
    """An event as clients get it; None for those that the job's own events tell already."""
    match event:
        case NodeExpanded(node=node, into=into):
            return "node_expanded", {"node": node, "into": list(into)}
        case NodeStarted(node=node):
            return "node_started", {"node": node}
        case NodeProgress(node=node, done=done, total=total):
            return "node_progress", {"node": node, "done": done, "total": total}
        case NodeFinished(node=node, state=state, reason=reason, ms=ms, peak_bytes=peak):
            more = {} if peak is None else {"peak_bytes": peak}
            return "node_finished", {"node": node, "state": state, "reason": reason, "ms": round(ms, 3), **more}
        case NodeFailed(node=node, problem=problem, trace=trace):
            return "node_failed", {"node": node, "problem": problem.to_json(), "trace": trace}
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
