"""What an import made of a file: a document, and for every node of the source what became of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from nodegraph.graph.document import Document

Fate = Literal["mapped", "resolved", "placeholder"]
"""mapped: our nodes do its work. resolved: it only wired, showed or noted something. placeholder: kept as it was."""


@dataclass(frozen=True, slots=True)
class Row:
    """One node of the source: its id there (`SUBGRAPH/ID` inside a subgraph), what it became, and what to know about that."""

    id: str
    type: str
    title: str
    fate: Fate
    became: tuple[str, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()
    pack: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The rows of an import, what of the file could not be read, and what concerns the whole."""

    format: str
    rows: tuple[Row, ...] = ()
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def placeholders(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.fate == "placeholder")

    @property
    def closing(self) -> str:
        """`12 of 15 nodes mapped; 3 kept as placeholders: LoraLoader (2), ...`."""
        total, kept = len(self.rows), Counter(row.type for row in self.placeholders)
        text = f"{total - kept.total()} of {total} nodes mapped"
        if not kept:
            return f"{text}."
        named = ", ".join(f"{name} ({count})" if count > 1 else name for name, count in kept.most_common())
        return f"{text}; {kept.total()} kept as {'a placeholder' if kept.total() == 1 else 'placeholders'}: {named}."

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        counts: dict[str, int] = {"nodes": len(self.rows), **Counter(row.fate for row in self.rows)}
        return data | {"counts": counts, "closing": self.closing}


@dataclass(frozen=True, slots=True)
class Imported:
    """A document made from another program's file. It may not run as it is: validate it."""

    document: Document
    report: Report
