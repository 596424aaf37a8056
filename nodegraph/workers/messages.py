"""What the server and its workers tell each other: msgpack maps with a `kind`, each in a frame of its own.

A frame is the length of its body (4 bytes, big-endian) and the body. What may hold any JSON (documents, outputs) travels as
JSON text, because msgpack's numbers end at 64 bits. What does not fit the tables below is refused on either side.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import msgpack

Message = dict[str, Any]
Kinds = Mapping[str, Mapping[str, Any]]

LARGEST_FRAME = 256 << 20
_LENGTH = struct.Struct(">I")
_ATTEMPT = {"job": str, "attempt": int}
_NUMBER = int | float

TO_WORKER: Kinds = {
    "run": {**_ATTEMPT, "document": str, "wanted": list | None, "exact": bool, "priority": int},
    "cancel": _ATTEMPT,
    "answer": {"job": str, "node": str, "choice": int},
    "call": {"id": int, "what": str, "arguments": str},  # see `nodegraph.workers.calls`
    "stop": {},  # cancel everything, write what is in memory, end
}
FROM_WORKER: Kinds = {
    "ready": {"pid": int, "versions": dict},
    "beat": {"usage": str},  # see `nodegraph.workers.usage`
    "events": {**_ATTEMPT, "events": str},  # a list of [type, data]
    "progress": {**_ATTEMPT, "node": str, "done": _NUMBER, "total": _NUMBER},
    "preview": {**_ATTEMPT, "node": str, "width": int, "height": int, "png": bytes},
    "question": {**_ATTEMPT, "node": str, "question": str},
    "log": {**_ATTEMPT, "node": str, "level": str, "message": str},
    "done": {**_ATTEMPT, "ended": str},
    "answer": {"id": int, "result": str | None, "problems": str | None},
}


class BadFrame(Exception):
    """The other side does not speak this protocol, or a message is too large for it."""


class Attempt(NamedTuple):
    """One try at a job: what a worker is given."""

    job: str
    number: int
    document: str
    wanted: list[str] | None
    exact: bool
    priority: int
    alone: bool = False


def as_text(value: Any) -> str:
    """A value as JSON text that every encoder takes: half a surrogate pair, which JSON may hold, becomes a question mark."""
    return json.dumps(value, ensure_ascii=False, default=str).encode(errors="replace").decode()


def packed(message: Message) -> bytes:
    """A message as a frame. Raises BadFrame."""
    try:
        body: bytes = msgpack.packb(message)
    except (ValueError, OverflowError, TypeError) as error:
        raise BadFrame(f"a {message.get('kind')} message cannot be sent ({type(error).__name__})") from None
    if len(body) > LARGEST_FRAME:
        raise BadFrame(f"a {message.get('kind')} message of {len(body) >> 20} MiB is too large")
    return _LENGTH.pack(len(body)) + body


def length_of(head: bytes) -> int:
    """The length of the body that follows these 4 bytes. Raises BadFrame."""
    (length,) = _LENGTH.unpack(head)
    if not 0 < length <= LARGEST_FRAME:
        raise BadFrame(f"a frame of {length} bytes")
    return int(length)


def unpacked(body: bytes, kinds: Kinds) -> Message:
    """A frame's body as a message of one of these kinds, all its fields there and of their types. Raises BadFrame."""
    try:
        message = msgpack.unpackb(body)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise BadFrame(f"no msgpack: {type(error).__name__}") from None
    kind = message.get("kind") if isinstance(message, dict) else None
    fields = kinds.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise BadFrame("no message of a kind that is known")
    wrong = [name for name, type_ in fields.items() if name not in message or not isinstance(message[name], type_)]
    if wrong:
        raise BadFrame(f"a {kind} message without a fit {wrong[0]}")
    return dict(message)


def read_frame(stream: BinaryIO, kinds: Kinds) -> Message | None:
    """The next message of a blocking stream; None at its end, also where that comes in the middle. Raises BadFrame."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    body = stream.read(length := length_of(head))
    return None if len(body) < length else unpacked(body, kinds)
