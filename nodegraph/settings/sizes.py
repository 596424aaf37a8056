"""Sizes as people write them: `4 GiB`, `500 MB`, `1.5 GB`, or plainly a number of bytes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_UNITS = {"": 1, "b": 1, "bytes": 1}
_UNITS |= {f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)}
_UNITS |= {f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)}

SIZE = r"^\s*(\d{1,19}(?:\.\d{1,9})?)\s*([kKmMgGtT][iI]?[bB]|[bB]|[bB]ytes)?\s*$"
"""What a written size looks like, as a regular expression that JSON Schema knows too."""


def parse_size(value: Any) -> Any:
    """Bytes of a written size; anything but a text is given back as it is. Raises ValueError."""
    if not isinstance(value, str):
        return value
    found = re.match(SIZE, value, re.ASCII)
    if not found:
        raise ValueError("a size, as 500 MB or 4 GiB")
    return int(Decimal(found[1]) * _UNITS[(found[2] or "").lower()])


def size_text(nbytes: int) -> str:
    """The shortest writing of a size that reads back to the same number: `4 GiB`, `500 MB`, `1234`."""
    for unit in ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB"):
        if nbytes and nbytes % _UNITS[unit.lower()] == 0:
            return f"{nbytes // _UNITS[unit.lower()]} {unit}"
    return str(nbytes)
