"""What the server and its workers tell each other: msgpack maps with a `kind`, each in a frame of its own.

A frame is the length of its body (4 bytes, big-endian) and the body. What may hold any JSON (documents, outputs) travels as
JSON text, because msgpack's numbers end at 64 bits.

To a worker:    run      job, attempt, document (text), wanted, exact, priority
                cancel   job, attempt
                answer   job, node, choice
                call     id, what, arguments (text): see `nodegraph.workers.calls`
                stop     (cancel everything, write what is in memory, end)
From a worker:  ready    pid, python, device (text), lanes
                beat     rss, jobs, cached (bytes by device), networks (bytes)
                events   job, attempt, events (text: a list of [type, data])
                preview  job, attempt, node, width, height, png
                question job, attempt, node, question (text)
                done     job, attempt, ended (text)
                answer   id, result (text) | problem (text)
"""

from __future__ import annotations

import struct
from typing import Any, BinaryIO, NamedTuple

import msgpack

Message = dict[str, Any]

LARGEST_FRAME = 256 << 20
_LENGTH = struct.Struct(">I")


class BadFrame(Exception):
    """The other side does not speak this protocol."""


class Attempt(NamedTuple):
    """One try at a job: what a worker is given."""

    job: str
    number: int
    document: str
    wanted: list[str] | None
    exact: bool
    priority: int
    alone: bool = False


def packed(message: Message) -> bytes:
    """A message as a frame."""
    body: bytes = msgpack.packb(message)
    if len(body) > LARGEST_FRAME:
        raise BadFrame(f"a {message.get('kind')} message of {len(body) >> 20} MiB is too large")
    return _LENGTH.pack(len(body)) + body


def length_of(head: bytes) -> int:
    """The length of the body that follows these 4 bytes. Raises BadFrame."""
    (length,) = _LENGTH.unpack(head)
    if not 0 < length <= LARGEST_FRAME:
        raise BadFrame(f"a frame of {length} bytes")
    return int(length)


def unpacked(body: bytes) -> Message:
    """A frame's body as a message. Raises BadFrame."""
    try:
        message = msgpack.unpackb(body)
    except (ValueError, msgpack.UnpackException) as error:
        raise BadFrame(f"no msgpack: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise BadFrame("no message")
    return message


def read_frame(stream: BinaryIO) -> Message | None:
    """The next message of a blocking stream; None at its end. Raises BadFrame."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    body = stream.read(length_of(head))
    return unpacked(body)
