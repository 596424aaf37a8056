"""What the rest of the program calls: `log = logger("server")`, `log.info("job_started", job=id, worker=0)`."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TextIO

from nodegraph.logs.lines import FIELDS, Line

_PROGRAM = "nodegraph"


@dataclass(frozen=True, slots=True)
class Logger:
    """Says events, each a name and fields. It never raises: a log line is not worth a failure."""

    target: logging.Logger
    fields: Mapping[str, Any] = field(default_factory=dict)

    def having(self, **fields: Any) -> Logger:
        """A logger that says these fields with each event: `log.having(job=id)`."""
        return replace(self, fields={**self.fields, **fields})

    def debug(self, event: str, /, **fields: Any) -> None:
        self._say(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: Any) -> None:
        self._say(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        self._say(logging.WARNING, event, fields)

    def error(self, event: str, /, **fields: Any) -> None:
        self._say(logging.ERROR, event, fields)

    def fault(self, event: str, error: BaseException, /, **fields: Any) -> None:
        """An exception that nobody expected: its type and where it came from, not its message."""
        self._say(logging.ERROR, event, fields, error)

    def _say(self, level: int, event: str, fields: Mapping[str, Any], error: BaseException | None = None) -> None:
        with contextlib.suppress(Exception):
            if self.target.isEnabledFor(level):
                more = {FIELDS: {**self.fields, **fields}}
                self.target.log(level, event, extra=more, exc_info=error)


def logger(name: str) -> Logger:
    """The logger of one part of the program: `server`, `worker`, `jobs`."""
    return Logger(logging.getLogger(f"{_PROGRAM}.{name}"))


def start_logging(*, json_lines: bool = False, level: str = "info", stream: TextIO | None = None) -> None:
    """Send what this process logs to `stream` (stderr), one line per event. Call it once, at the start.

    Libraries are heard from warnings on. aiohttp's own access log stays off: its lines hold addresses as clients typed them.
    """
    handler = _Quiet(stream or sys.stderr)
    handler.setFormatter(Line(json_lines=json_lines))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Quiet)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger(_PROGRAM).setLevel(level.upper())
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL + 1)


class _Quiet(logging.StreamHandler[TextIO]):
    """A handler that loses a line rather than disturb: a closed pipe, a full disk, a terminal that lacks a character."""

    def handleError(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(Exception):
            line = self.format(record).encode("ascii", "backslashreplace").decode()
            self.stream.write(line + self.terminator)
