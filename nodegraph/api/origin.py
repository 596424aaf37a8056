"""Where a workflow comes from, and whether it may do what it wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nodegraph.graph import Document
from nodegraph.graph.migrating import Change
from nodegraph.graph.uses import Use, told
from nodegraph.sdk.errors import InvalidWorkflow, Problem


class Untrusted(InvalidWorkflow):
    """A document from outside wants what nobody has accepted: `wants`, each with the node that does."""

    def __init__(self, wants: Mapping[Use, str]) -> None:
        self.wants = dict(wants)
        super().__init__(told(wants))


@dataclass
class Origin:
    """Where a workflow comes from: what stays the same when values are set.

    `opened` is the document before that; `seen` has the digests of files as they were opened or saved from here; `keys` are
    what its document goes by where consent is remembered. What was made in this process is `trusted`.
    """

    opened: Document
    path: Path | None = None
    seen: dict[Path, str] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    trouble: tuple[Problem, ...] = ()
    keys: tuple[str, ...] = ()
    trusted: bool = True
