"""Which nodes of a job became others, as their paths say: `denoise/step_3` and `denoise[2]` are parts of `denoise`.

A node that came whole from the cache has no parts in its own job; an earlier one that has the same key does, and is remembered
by a mark.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

MARK = "parts"
_LAST = re.compile(r"(?:/[^/\[\]]+|\[\d+\])\Z")
_NUMBER = re.compile(r"(?:_(\d+)|\[(\d+)\])\Z")
_AT_ONCE = 500


def parts_of(paths: Iterable[str]) -> dict[str, list[str]]:
    """The parts of each node that has some and is there itself, in their order."""
    known = dict.fromkeys(paths)
    found: dict[str, list[str]] = {}
    for path in known:
        if (whole := whole_of(path)) != path and whole in known:
            found.setdefault(whole, []).append(path)
    return found


def whole_of(path: str) -> str:
    """What a path is a part of, if it is one of anything; else the path itself."""
    return _LAST.sub("", path)


def number_of(path: str) -> int | None:
    """The number that a part has among its like, from 1: 3 for `denoise/step_3`, and for `denoise[2]`."""
    found = _NUMBER.search(path)
    if found is None:
        return None
    return int(found[1]) if found[1] else int(found[2]) + 1


def marks_of(nodes: Mapping[str, Mapping[str, Any]]) -> set[tuple[str, str]]:
    """The marks by which the parts of a job's nodes are found again."""
    whole = (nodes[path] for path in parts_of(nodes))
    return {(MARK, row["key"]) for row in whole if row.get("key") and row["state"] in ("computed", "hit")}


def jobs_with_parts(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, str]:
    """By key, the latest job in which the node with this key has parts."""
    wanted, found = list(dict.fromkeys(keys)), dict[str, str]()
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        query = f"SELECT value, MAX(job) FROM marks WHERE kind = ? AND value IN ({marks}) GROUP BY value"
        found.update(connection.execute(query, (MARK, *some)).fetchall())
    return found
