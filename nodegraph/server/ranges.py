"""Byte ranges and conditions of requests (RFC 9110, 13 and 14): pure functions of header texts."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

MOST_RANGES = 16
"""Ranges of one request that are answered one by one; who asks for more, or for overlapping ones, gets the whole."""

_ONE = re.compile(r"[ \t]*(?:(\d+)-(\d*)|-(\d+))[ \t]*\Z", re.ASCII)
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_LONGEST_NUMBER = 19  # digits; no file is longer


class Range(NamedTuple):
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int

    def header(self, size: int) -> str:
        """As Content-Range has it."""
        return f"bytes {self.start}-{self.end - 1}/{size}"


def wanted_ranges(header: str | None, size: int) -> tuple[Range, ...] | None:
    """The parts of `size` bytes that a Range header asks for, in its order: none of them where nothing it asks for is there.

    None: the header is to be ignored, as it is missing, of another unit, malformed, or asks for too much at once.
    """
    if header is None:
        return None
    unit, equals, rest = header.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    found: list[Range] = []
    for text in rest.split(","):
        if not text.strip(" \t"):  # lists may have empty elements
            continue
        one = _ONE.match(text)
        if one is None or any(len(number or "") > _LONGEST_NUMBER for number in one.groups()):
            return None
        first, last, suffix = one.groups()
        if suffix is not None:
            part = Range(max(0, size - int(suffix)), size)
        elif last and int(last) < int(first):
            return None
        else:
            part = Range(int(first), min(size, int(last) + 1) if last else size)
        found.append(part)
    there = tuple(part for part in found if part.start < part.end)
    if not found or len(found) > MOST_RANGES or (len(there) > 1 and _overlap(there)):
        return None
    return there


def _overlap(ranges: tuple[Range, ...]) -> bool:
    ordered = sorted(ranges)
    return any(second.start < first.end for first, second in pairwise(ordered))


def names_tag(header: str | None, tag: str, *, weak: bool) -> bool:
    """Whether a list of entity tags (If-Match, If-None-Match) names a strong tag, or is `*`. weak: `W/"x"` counts as "x"."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    return any(found == tag or (weak and found == f"W/{tag}") for found in _TAG.findall(header))


def may_send_part(if_range: str | None, tag: str) -> bool:
    """Whether ranges are to be looked at: without If-Range, or where it names what is there now. Dates are never the same."""
    return if_range is None or if_range.strip() == tag
