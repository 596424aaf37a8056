"""What a worker writes to standard error, sorted: what an operator needs after a crash, and what nodes and libraries print.

The latter may hold prompts, so it is never kept. Before a worker is ready it knows no job, and all that it says is kept.
"""

from __future__ import annotations

import re

_KEPT = 20
_LONGEST = 400
_DUMP = re.compile(r"(Fatal Python error|Timeout \()")  # faulthandler begins to tell where every thread is
_FRAME = re.compile(r'\s*File "(?P<path>.*)", line (?P<line>\d+),? in (?P<name>\S+)')
_DULL = re.compile(
    r"<frozen|.*[/\\]((threading|selectors|runpy)\.py|(asyncio|concurrent[/\\]futures|nodegraph[/\\]workers)[/\\])"
)
_OF_A_CRASH = re.compile(r"(Current thread |Thread 0x|Traceback \(most|Segmentation fault|Aborted|terminate called)")
_THREAD = re.compile(r"(Current thread|Thread) 0x")
_ERROR = re.compile(r"([A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Exit))(: |$)")


class LastWords:
    """The lines that tell why a process ended: the first ones of a dump of all threads, else the last ones."""

    def __init__(self) -> None:
        self.is_ready = False
        self._lines: list[str] = []
        self._is_dump = False

    @property
    def lines(self) -> list[str]:
        """At most 20, without the threads that only wait."""
        followed = zip(self._lines, [*self._lines, ""][1:], strict=True)
        kept = [line for line, after in followed if not (_THREAD.match(line) and (not after or _THREAD.match(after)))]
        return kept[:_KEPT] if self._is_dump else kept[-_KEPT:]

    def hear(self, line: str) -> str | None:
        """Take a line: what is kept of it, without control characters, or None."""
        line = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line[:_LONGEST])
        kept = line if not self.is_ready else _kept(line)
        if kept is None:
            return None
        if _DUMP.match(line):
            self._lines, self._is_dump = [], True
        elif line.startswith("Traceback"):
            self._is_dump = False
        self._lines.append(kept)
        if len(self._lines) > 20 * _KEPT and not self._is_dump:
            del self._lines[:-_KEPT]
        return kept if len(self._lines) <= 20 * _KEPT else None

    @property
    def last(self) -> str:
        """The line that says most, the last one; empty where it names a file, for that is nobody's business elsewhere."""
        last = self._lines[-1] if self._lines else ""
        return "" if "/" in last or "\\" in last else last


def _kept(line: str) -> str | None:
    """What may be kept of a line of a process that knows jobs: of an exception not its message, for it may quote a prompt."""
    if (frame := _FRAME.match(line)) is not None:
        place = "/".join(re.split(r"[/\\]", frame["path"])[-2:])
        return None if _DULL.match(frame["path"]) else f"  {place}:{frame['line']} in {frame['name']}"
    if _DUMP.match(line) or _OF_A_CRASH.match(line):
        return line
    error = _ERROR.match(line)
    return None if error is None else error[1]
