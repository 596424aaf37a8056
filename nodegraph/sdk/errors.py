"""Errors that carry what a person needs: where, what was expected, what came, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

_LONGEST = 2000  # characters of one text of a problem


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, worded once for the person who reads it.

    `node` is a node id or path, `socket` one of its inputs or outputs; `line` and `column` (from 1) point into a file.
    """

    code: str
    message: str
    node: str | None = None
    socket: str | None = None
    expected: str | None = None
    got: str | None = None
    hint: str | None = None
    line: int | None = None
    column: int | None = None

    def __post_init__(self) -> None:
        for name in ("message", "expected", "got", "hint"):
            text = getattr(self, name)
            if text is not None and len(text) > _LONGEST:  # whatever a document holds may stand in it
                object.__setattr__(self, name, f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 4 :]}")

    def to_json(self) -> dict[str, object]:
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def place(self) -> str:
        """`node.socket`, `node`, `line 3, column 7`, or the empty string."""
        if self.node:
            return f"{self.node}.{self.socket}" if self.socket else self.node
        return f"line {self.line}, column {self.column}" if self.line else ""

    def __str__(self) -> str:
        text = f"{self.place}: {self.message}" if self.place else self.message
        if self.expected and self.got:
            text += f" Expected {self.expected}, got {self.got}."
        elif self.got:
            text += f" ({self.got})"
        return f"{text} {self.hint}" if self.hint else text


class InvalidWorkflow(ValueError):
    """A document that cannot run. `problems` lists everything that is wrong with it, not only the first thing."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class NodeError(Exception):
    """What a node raises for its user's mistake: shown as a message, without a traceback."""

    def __init__(
        self,
        message: str,
        *,
        socket: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.socket, self.expected, self.got, self.hint = socket, expected, got, hint

    def problem(self, node: str, code: str = "node_failed") -> Problem:
        return Problem(code, str(self), node, self.socket, self.expected, self.got, self.hint)


class Cancelled(Exception):
    """The run was cancelled while this node was working."""


class PackError(Exception):
    """A pack that cannot be loaded, or two packs that claim one name."""


def nearest(name: str, names: Iterable[str], what: str) -> str:
    """A hint that names what was probably meant, or what there is."""
    known = list(names)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        likeness = [difflib.SequenceMatcher(None, name, other).ratio() for other in close]
        close = [other for other, like in zip(close, likeness, strict=True) if like > likeness[0] - 0.15]
        return f"Did you mean {' or '.join(close)}?"
    return f"{what}: {', '.join(sorted(known))}." if 0 < len(known) <= 20 else ""
