"""Making changes to a document: all of them, or none with everything that does not fit.

Changes are made in the order renamed, removed, reordered, changed, added; their own order does not matter.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Sequence
from typing import Any

from nodegraph.editing.diff import RENAMED, REORDERED, Change, Diff, renames_in
from nodegraph.editing.shapes import (
    ABSENT,
    DOCUMENT,
    SUBGRAPH,
    Path,
    Shape,
    Tree,
    at_path,
    fits,
    place,
    renamed,
    scope_of,
)
from nodegraph.graph.document import SUBGRAPHS, Document, document_from, to_json
from nodegraph.sdk.errors import InvalidWorkflow, Problem

_LONGEST = 60


def apply(document: Document, changes: Diff | Iterable[Change]) -> Document:
    """The document with the changes made.

    Raises InvalidWorkflow with every change that does not fit: what it would change is not there, or is not as it was.
    """
    wanted = changes if isinstance(changes, Diff) else Diff(tuple(changes))
    problems: list[Problem] = []
    tree = _with_names(copy.deepcopy(to_json(document)), wanted, problems)
    for change in sorted(wanted.changes, key=_turn):
        if change.kind != RENAMED:
            problem = _made(tree, change)
            if problem is not None:
                problems.append(problem)
    if problems:
        raise InvalidWorkflow(problems)
    return document_from(tree)


def _turn(change: Change) -> tuple[int, int]:
    if change.after is ABSENT:
        return 0, 0
    if change.kind.endswith(REORDERED):
        return 1, 0
    return (3, change.at or 0) if change.before is ABSENT else (2, 0)


# ---- renaming ----


def _with_names(tree: Tree, changes: Diff, problems: list[Problem]) -> Tree:
    """The tree with its nodes renamed; renames that do not fit are reported and left."""
    for scope, names in renames_in(changes).items():
        graph = at_path(tree, scope)
        here = [change for change in changes.changes if change.kind == RENAMED and scope_of(change.path) == scope]
        wrong = _wrong_names(graph, here)
        problems += wrong
        if wrong:
            continue
        if scope:
            tree[SUBGRAPHS][scope[1]] = renamed(SUBGRAPH, graph, names)
        else:
            tree = renamed(DOCUMENT, graph, names)
    return tree


def _wrong_names(graph: Any, changes: Sequence[Change]) -> list[Problem]:
    nodes = graph.get("nodes", {}) if isinstance(graph, dict) else {}
    leaving, problems, taken = {change.before for change in changes}, [], set()
    for change in changes:
        old = place((*change.path[:-1], change.before))
        if change.before not in nodes:
            problems.append(_misfit(old, None, f"There is no node {change.before!r} to rename to {change.after!r}."))
        elif change.after in taken or (change.after in nodes and change.after not in leaving):
            problems.append(_misfit(old, None, f"{change.before!r} cannot be renamed: there is a {change.after!r} already."))
        taken.add(change.after)
    if len(leaving) < len(changes):
        problems.append(_misfit("", None, "One node would be renamed twice."))
    return problems


# ---- everything else ----


def _made(tree: Tree, change: Change) -> Problem | None:
    """Make one change in the tree, or say why it does not fit."""
    if change.kind.endswith(REORDERED):
        return _reordered(tree, change)
    shape, holder = _holder(tree, change.path[:-1])
    name = change.path[-1]
    inner = shape.child(name)
    if holder is None:
        return _unfit(change, "What it would change is not there.")
    present = holder.get(name, inner.default)
    if not fits(present, change.before):
        if change.before is ABSENT:
            return _unfit(change, "It is there already.", got=_shown(present))
        if present is ABSENT:
            return _unfit(change, "What it would change is not there.", _shown(change.before), "nothing")
        return _unfit(change, "It is not as it was.", _shown(change.before), _shown(present))
    if change.after is ABSENT:
        holder.pop(name, None)
    elif shape.ordered and change.before is ABSENT:
        _insert(holder, name, copy.deepcopy(change.after), change.at)
    else:
        holder[name] = copy.deepcopy(change.after)
    return None


def _holder(tree: Tree, path: Path) -> tuple[Shape, Tree | None]:
    """The object that a change happens in; parts that are left out while empty are put there."""
    shape, holder = DOCUMENT, tree
    for key in path:
        shape = shape.child(key)
        if key not in holder and shape.default == {}:
            holder[key] = {}
        inner = holder.get(key)
        if not isinstance(inner, dict) or not shape.descends:
            return shape, None
        holder = inner
    return shape, holder


def _insert(holder: Tree, name: str, value: Any, at: int | None) -> None:
    items = list(holder.items())
    items.insert(len(items) if at is None else at, (name, value))
    holder.clear()
    holder.update(items)


def _reordered(tree: Tree, change: Change) -> Problem | None:
    shape, holder = _holder(tree, change.path)
    moving = set(change.before)
    present = [name for name in holder or {} if name in moving]
    if holder is None or not shape.ordered or present != change.before:
        return _unfit(change, "The order is not as it was.", _shown(change.before), _shown(present))
    order = iter(change.after)
    items = [(key, holder[key]) for key in (next(order) if name in moving else name for name in holder)]
    holder.clear()
    holder.update(items)
    return None


# ---- what does not fit ----


def _unfit(change: Change, why: str, expected: str | None = None, got: str | None = None) -> Problem:
    path = change.path
    inner = path[len(scope_of(path)) :]
    what = change.kind.replace("_", " ")
    if inner[:1] == ("nodes",) and len(inner) > 1:
        node = place((*scope_of(path), *inner[:2]))
        socket = ".".join(inner[3:] if inner[2:3] in (("inputs",), ("links",)) else inner[2:]) or None
        return _misfit(node, socket, f"This change ({what}) does not fit. {why}", expected, got)
    return _misfit(place(path), None, f"This change ({what}) does not fit. {why}", expected, got)


def _misfit(node: str, socket: str | None, message: str, expected: str | None = None, got: str | None = None) -> Problem:
    hint = "The changes were made for another version of the document: merge the versions instead."
    return Problem("misfit", message, node or None, socket, expected, got, hint)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
