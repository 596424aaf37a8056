"""One event as one line, whatever is in it: a formatter of the standard library's records, ours and other libraries'."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from nodegraph.logs.fields import error_fields, harmless, key_text

LONGEST = 2000
"""Characters of a line."""

FIELDS = "nodegraph_fields"
"""The attribute of our records that holds their fields; other libraries' records have none."""

_LONGEST_NAME = 120  # of events and loggers; escaped, both still fit
_SHORTEST = 8  # characters that a text is cut down to
_ROOM = "nodegraph."
_BARE = re.compile(r"[^\s\"'=\\{}\[\],]+")
_OWN = ("at", "level", "logger", "event")


class Line(logging.Formatter):
    """Records as lines: `at level logger event key=value ...`, or one JSON object with the same names."""

    def __init__(self, *, json_lines: bool) -> None:
        super().__init__()
        self._write: Callable[[dict[str, Any]], str] = _as_json if json_lines else _as_words

    def format(self, record: logging.LogRecord) -> str:
        try:
            return _fitted(_row(record), self._write)
        except Exception as error:  # a log line is never worth a failure
            level = record.levelname.lower()
            return self._write(
                {"at": "", "level": level, "logger": "logs", "event": "unwritable", "error": type(error).__name__}
            )


def _row(record: logging.LogRecord) -> dict[str, Any]:
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fields = getattr(record, FIELDS, None)
    event, more = (record.msg, fields) if isinstance(fields, dict) else ("log", {"message": _message(record)[:LONGEST]})
    name = record.name.removeprefix(_ROOM)[:_LONGEST_NAME]
    row = {"at": at, "level": record.levelname.lower(), "logger": name, "event": str(event)[:_LONGEST_NAME]}
    if record.exc_info and record.exc_info[1] is not None:
        more = {**more, **error_fields(record.exc_info[1], record.exc_info[2])}
    for key, value in more.items():
        shown = key_text(key)
        row[f"{shown}_" if shown in _OWN else shown] = harmless(str(key), value)
    return row


def _message(record: logging.LogRecord) -> str:
    """A library's message; of several lines the first, for the others may show the values that were being worked on."""
    try:
        message = record.getMessage()
    except Exception:  # arguments that do not fit the template
        message = str(record.msg)
    return message.partition("\n")[0]


def _fitted(row: dict[str, Any], write: Callable[[dict[str, Any]], str]) -> str:
    """The line with its texts shortened, all to one length, until it fits; if that is not enough its last fields go."""
    line, most = write(row), LONGEST // 2
    while len(line) > LONGEST and most >= _SHORTEST:
        row = {key: value if key in _OWN else _shortened(value, most) for key, value in row.items()}
        line, most = write(row), most // 2
    while len(line) > LONGEST:
        row = {**dict(list(row.items())[: len(row) * 4 // 5]), "cut": True}
        line = write(row)
    return line


def _shortened(value: Any, most: int) -> Any:
    if isinstance(value, dict | list):
        value = json.dumps(value)
    return f"{value[:most]}..." if isinstance(value, str) and len(value) > most + 3 else value


def _as_json(row: dict[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":")).replace("\x7f", "\\u007f")  # in ASCII: nothing ends or redraws the line


def _as_words(row: dict[str, Any]) -> str:
    own = [_plain(str(row[key])) if key == "event" else _plain(str(row[key]), bare=True) for key in _OWN]
    return " ".join([*own, *(f"{key}={_word(value)}" for key, value in row.items() if key not in _OWN)])


def _word(value: Any) -> str:
    if isinstance(value, str):
        return _plain(value)
    return _spelled(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _plain(text: str, *, bare: bool = False) -> str:
    """A text as one word: as it is where that is clear, else in quotes as JSON has them."""
    if bare or (_BARE.fullmatch(text) and text.isprintable()):
        return _spelled(text)
    return _spelled(json.dumps(text, ensure_ascii=False))


def _spelled(text: str) -> str:
    """Characters that a terminal would obey, or that end a line, as their numbers."""
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
