"""Records that somebody made by hand: the checksum is right, what it covers is not."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

_START = b'{"__metadata__":{"nodegraph":"1","blake2b":"'


class Parts(NamedTuple):
    """A record taken apart: its outline (key, kind, type, seconds, data), the table of tensors, their bytes."""

    outline: Any
    table: dict[str, Any]
    body: bytes


Change = Callable[[Parts], Parts | bytes]


def taken_apart(data: bytes) -> Parts:
    length = int.from_bytes(data[:8], "little")
    table = json.loads(data[8 : 8 + length])
    return Parts(json.loads(table.pop("__metadata__")["record"]), table, data[8 + length :])


def crafted(parts: Parts, **metadata: Any) -> bytes:
    """The parts as a record with a right checksum."""
    text = parts.outline if isinstance(parts.outline, str) else json.dumps(parts.outline)
    rest = json.dumps({**metadata, "record": text})[1:]
    if parts.table:
        rest += "," + json.dumps(parts.table)[1:-1]
    header = b'",' + rest.encode() + b"}"
    size = len(_START) + 40 + len(header)
    header += b" " * (-size % 8)
    head = (size + -size % 8).to_bytes(8, "little") + _START
    digest = blake2b(head + header + parts.body, digest_size=20).hexdigest().encode()
    return head + digest + header + parts.body


def plant(folder: Path, kind: str, change: Change) -> int:
    """Put a crafted record in the place of every whole one of this kind: how many there were."""
    planted = 0
    with contextlib.closing(sqlite3.connect(folder / "index.sqlite")) as db:
        rows = db.execute("SELECT key, file, data FROM entries LEFT JOIN payloads USING (key) WHERE kind = ?", (kind,))
        for key, in_file, data in rows.fetchall():
            path = folder / "blobs" / key[:2] / f"{key}.safetensors"
            made = change(taken_apart(path.read_bytes() if in_file else data))
            whole = made if isinstance(made, bytes) else crafted(made)
            if in_file:
                path.write_bytes(whole)
            else:
                db.execute("UPDATE payloads SET data = ? WHERE key = ?", (whole, key))
            db.execute("UPDATE entries SET bytes = ? WHERE key = ?", (len(whole), key))
            planted += 1
        db.commit()
    return planted
