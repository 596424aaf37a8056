"""Ids of jobs: 26 letters and digits that sort by age (the layout of ULID: 48 bits of milliseconds, 80 random ones)."""

from __future__ import annotations

import secrets
import time

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: without i, l, o, u
_VALUES = {digit: value for value, digit in enumerate(_DIGITS)}


def new_id(after: str | None = None) -> str:
    """An id that is larger than `after`, also where the clock was set back since."""
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    if after is not None:
        number = max(number, _number(after) + 1 + secrets.randbits(32))
    return "".join(_DIGITS[number >> shift & 31] for shift in range(125, -5, -5))


def _number(id_: str) -> int:
    number = 0
    for digit in id_:
        number = number << 5 | _VALUES[digit]
    return number
