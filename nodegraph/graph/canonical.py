"""One spelling for every JSON value: canonical text for documents (readable) and for keys (compact).

Saving twice changes nothing, and equal values give equal bytes.
"""

from __future__ import annotations

import json
from typing import Any

_COMPACT = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_ATOM = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_LINE = 100


def compact(value: Any) -> str:
    """The shortest text of a JSON value, object keys sorted. Raises ValueError for NaN and infinities."""
    return _COMPACT.encode(value)


def pretty(value: Any, indent: str = "") -> str:
    """Two-space JSON in the order given; a list of plain values stays on one line while it fits."""
    if isinstance(value, dict):
        if not value:
            return "{}"
        inner = indent + "  "
        rows = [f"{inner}{_ATOM.encode(str(key))}: {pretty(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, (list, tuple)):
        if not any(isinstance(item, (dict, list, tuple)) for item in value):
            line = "[" + ", ".join(map(_ATOM.encode, value)) + "]"
            if len(line) <= _LINE:
                return line
        inner = indent + "  "
        return "[\n" + ",\n".join(inner + pretty(item, inner) for item in value) + f"\n{indent}]"
    return _ATOM.encode(value)
