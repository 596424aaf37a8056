"""A run that is over, as plain rows: what each node was given and what became of it, without its results."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class PastLink(NamedTuple):
    """A link as a person sees it: into `input`, from `output` of the node at path `source`."""

    input: str
    source: str
    output: str


class PastNode(NamedTuple):
    """What is remembered of a node in a run. `values` are JSON, or Long; `key` is the static key."""

    type: str
    revision: str
    values: Mapping[str, Any]
    links: tuple[PastLink, ...]
    key: str
    state: str
    ms: float | None = None
    peak_bytes: int | None = None

    @property
    def had_result(self) -> bool:
        return self.state in ("computed", "hit")


class Long(NamedTuple):
    """What is kept of a long value: its digest, and how it is shown."""

    digest: str
    shown: str


def packed(nodes: Iterable[tuple[str, PastNode]]) -> bytes:
    """A run's nodes by path as one compressed blob."""
    rows = []
    for path, node in nodes:
        values = {
            name: {"": [value.digest, value.shown]} if isinstance(value, Long) else value for name, value in node.values.items()
        }
        rows.append([path, *node._replace(values=values)])
    return zlib.compress(json.dumps(rows, ensure_ascii=False, separators=(",", ":"), default=repr).encode(errors="replace"))


def unpacked(blob: bytes) -> dict[str, PastNode]:
    """The nodes that a blob holds. Raises ValueError for one that is damaged."""
    try:
        found = {}
        for path, type_id, revision, values, links, key, state, ms, peak in json.loads(zlib.decompress(blob)):
            kept = {name: Long(*value[""]) if _is_long(value) else value for name, value in values.items()}
            found[path] = PastNode(type_id, revision, kept, tuple(PastLink(*link) for link in links), key, state, ms, peak)
        return found
    except (zlib.error, TypeError, LookupError, AttributeError) as error:
        raise ValueError(f"a past run is damaged: {error}") from None


def _is_long(value: Any) -> bool:
    return isinstance(value, dict) and list(value) == [""]
