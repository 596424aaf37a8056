"""Ids of jobs: 26 letters and digits that sort by age (the layout of ULID: 48 bits of milliseconds, 80 random ones)."""

from __future__ import annotations

import secrets
import time

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: without i, l, o, u
_last = 0


def new_id() -> str:
    """An id that is larger than every one this process made before."""
    global _last
    number = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    _last = number = max(number, _last + 1 + secrets.randbits(32))
    return "".join(_DIGITS[number >> shift & 31] for shift in range(125, -5, -5))
