"""A server's events as those of a run on this machine, so that the same live view shows both."""

from __future__ import annotations

import struct
import zlib
from typing import get_args

from nodegraph.engine import events as engine
from nodegraph.sdk.context import Preview as Picture
from nodegraph.wire import events as wire

_STATES = get_args(engine.State)
_HEADER = struct.Struct(">IIBBBBB")


def as_of_a_run(event: wire.Event | wire.Preview) -> engine.Event | None:
    """The event as an engine tells it; None for what the view has no use for."""
    if isinstance(event, wire.Preview):
        picture = rgb_of(event.png)
        return None if picture is None else engine.NodePreview(0, 0.0, event.node, picture)
    seq, at = event.seq or 0, event.at
    match event:
        case wire.NodeExpanded(node=node, into=into):
            return engine.NodeExpanded(seq, at, node, tuple(into))
        case wire.NodeStarted(node=node, node_type=type_):
            return engine.NodeStarted(seq, at, node, type_)
        case wire.NodeProgress(node=node, done=done, total=total):
            return engine.NodeProgress(seq, at, node, done, total)
        case wire.NodeFinished(node=node, state=state, reason=reason, ms=ms) if state in _STATES:
            return engine.NodeFinished(seq, at, node, state, reason, ms, event.peak_bytes)  # type: ignore[arg-type]
        case wire.NodeFailed(node=node, problem=problem, trace=trace):
            return engine.NodeFailed(seq, at, node, problem.problem(), trace)
    return None


def rgb_of(png: bytes) -> Picture | None:
    """A preview's pixels, from a PNG file as servers send them (8-bit RGB, rows without filters); None for any other."""
    width = height = 0
    data = b""
    at = 8
    try:
        while at < len(png):
            (length,) = struct.unpack_from(">I", png, at)
            kind, chunk = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
            if kind == b"IHDR":
                width, height, *how = _HEADER.unpack(chunk)
                if how != [8, 2, 0, 0, 0] or width * height > 1 << 22:
                    return None
            elif kind == b"IDAT":
                data += chunk
            at += length + 12
        row = 3 * width + 1
        lines = zlib.decompressobj().decompress(data, row * height)
    except (struct.error, zlib.error):
        return None
    if not height or len(lines) != row * height or any(lines[::row]):
        return None
    return Picture(width, height, b"".join(lines[y * row + 1 : (y + 1) * row] for y in range(height)))
