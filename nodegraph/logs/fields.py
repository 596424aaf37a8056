"""Fields of log lines made harmless: names that are never logged, values without control characters, nothing that raises."""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from pathlib import PurePath
from types import TracebackType
from typing import Any
from uuid import UUID

NEVER_LOGGED = frozenset({"prompt", "text", "token", "cookie", "value", "secret", "authorization", "password"})
"""Words in a field's name that say that it holds what a person wrote or what guards something."""

NOT_LOGGED = "(not logged)"

_DEEPEST, _MOST = 3, 20  # levels and entries of nested fields
_LONGEST = 4000  # characters that are looked at; the line is cut later
_FRAMES = 12


def harmless(name: str, value: Any, depth: int = 0) -> Any:
    """A field's value as JSON takes it: numbers and booleans as they are, texts, and of anything else only its type."""
    if _is_private(name):
        return NOT_LOGGED
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return harmless(name, value.value, depth)
    if isinstance(value, int):
        return int(value) if value.bit_length() <= 64 else "(a huge number)"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, str):
        return str.__str__(value)[:_LONGEST]
    if isinstance(value, PurePath | UUID):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return f"({len(value)} bytes)"
    if isinstance(value, BaseException | type):
        return (value if isinstance(value, type) else type(value)).__name__
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {key_text(key): harmless(str(key), inner, depth + 1) for key, inner in list(value.items())[:_MOST]}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [harmless(name, inner, depth + 1) for inner in list(value)[:_MOST]]
    return f"({type(value).__name__})"


def _is_private(name: str) -> bool:
    words = re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())
    return any(word in NEVER_LOGGED or word.removesuffix("s") in NEVER_LOGGED for word in words)


def key_text(key: Any) -> str:
    """A field's name that can stand before an equals sign."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", str(key))[:60] or "_"


def error_fields(error: BaseException, trace: TracebackType | None) -> dict[str, Any]:
    """What a log may say about an exception: its type and where it was raised, innermost first.

    Its message stays out: it may hold what a person wrote.
    """
    frames = traceback.extract_tb(trace)[-_FRAMES:]
    places = (f"{'/'.join(PurePath(frame.filename).parts[-2:])}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return {"error": type(error).__name__, "trace": " < ".join(places)}
