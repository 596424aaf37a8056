"""Records for tests, values that follow from their keys, and programs run in processes of their own."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from nodegraph import Buffer
from nodegraph.store import DiskTier, Record
from nodegraph.store.record import pack

BIG = 12_000
"""Bytes of a buffer that lies in a file of its own; `SMALL` goes into the index."""
SMALL = 100


def key_of(number: int) -> str:
    return hashlib.blake2b(str(number).encode(), digest_size=20).hexdigest()


def record(number: int, nbytes: int = SMALL, seconds: float = 1.0, version: int = 0, node: str = "test/made") -> Record:
    """A result whose every byte follows from its arguments."""
    key = key_of(number)
    noise = hashlib.shake_128(f"{number} {version}".encode()).digest(nbytes)
    data = {"number": number, "version": version}
    return Record(key, "result", data, {"x": Buffer("U8", (nbytes,), noise)}, node, seconds)


def size_of(made: Record) -> int:
    return len(pack(made))


def same(a: Record | None, b: Record | None) -> bool:
    """Equal to the bit; by repr, in which nan equals nan and half characters differ from whole ones."""
    return plain(a) == plain(b)


def plain(made: Record | None) -> Any:
    if made is None:
        return None
    buffers = {name: (item.dtype, item.shape, bytes(item.data)) for name, item in made.buffers.items()}
    return repr(made._replace(buffers={})), buffers


def held(tier: DiskTier, made: Record) -> bool:
    """Whether the tier gives back this very record; anything else than it or nothing is an error."""
    found = tier.read(made.key)
    assert found is None or same(found, made), f"a wrong value under {made.key}"
    return found is not None


def blobs(folder: Path) -> list[Path]:
    return sorted((folder / "blobs").rglob("*.safetensors"))


def consistent(folder: Path) -> tuple[int, int]:
    """Check that rows, files and used bytes agree; the entries and bytes that are kept."""
    db = sqlite3.connect(folder / "index.sqlite")
    try:
        rows = db.execute("SELECT key, bytes, file, length(data) FROM entries LEFT JOIN payloads USING (key)").fetchall()
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT used_bytes FROM state").fetchone()[0] == sum(row[1] for row in rows)
        assert db.execute("SELECT count(*) FROM payloads").fetchone()[0] == sum(not row[2] for row in rows)
        assert all(bool(file) == (inline is None) and inline in (None, size) for _, size, file, inline in rows)
        assert {path.stem: path.stat().st_size for path in blobs(folder)} == {row[0]: row[1] for row in rows if row[2]}
        return len(rows), sum(row[1] for row in rows)
    finally:
        db.close()


BECOME_NOBODY = """
import os
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""
"""Lets a program go on as a user who may write nowhere. Root may write everywhere, whatever a folder's mode says."""


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a program in a process of its own."""
    tests = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tests.parent), str(tests)))}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, cwd="/", text=True, stdin=pipe, stdout=pipe, stderr=pipe)


def finish(process: subprocess.Popen[str]) -> str:
    """What the program printed; it must have ended well."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out
