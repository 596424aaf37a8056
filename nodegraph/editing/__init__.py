"""Changing documents: pure functions from documents to documents.

Comparing two, applying and undoing what differs, merging three; extracting a subgraph and putting it back; sweeps.
"""

from nodegraph.editing.apply import apply
from nodegraph.editing.diff import Change, Diff, diff, inverse
from nodegraph.editing.extract import Extracted, extract
from nodegraph.editing.inline import Inlined, inline
from nodegraph.editing.merge import Conflict, Merged, merge
from nodegraph.editing.shapes import ABSENT
from nodegraph.editing.sweep import sweep

__all__ = [
    "ABSENT",
    "Change",
    "Conflict",
    "Diff",
    "Extracted",
    "Inlined",
    "Merged",
    "apply",
    "diff",
    "extract",
    "inline",
    "inverse",
    "merge",
    "sweep",
]
