"""Documents from older days: every node led to the version that is installed, by its pack's migrations, and what changed told.

Nothing is lost on the way: what a migration takes out stays in the node under `dropped`, and a node that cannot be led on stays
as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from nodegraph.graph.catalog import Catalog
from nodegraph.graph.document import SUBGRAPHS, Document, Interface, InterfaceInput, NodeEntry, Subgraph
from nodegraph.graph.values import shown
from nodegraph.sdk.errors import Problem
from nodegraph.sdk.migration import Migration, OldNode

MOST_STEPS = 100
"""No node goes through more migrations: two that lead to each other would never end."""

Find = Callable[[str, int], Migration]
"""The migration of a type and version. May raise what importing its pack raises."""


@dataclass(frozen=True, slots=True)
class Change:
    """What became of one node when the document was opened: `lines` say it in words, in the order in which it was done."""

    node: str
    type: str
    version: int
    new_type: str
    new_version: int
    lines: tuple[str, ...]

    def __str__(self) -> str:
        before, after = f"{self.type} {self.version}", f"{self.new_type} {self.new_version}"
        return f"{self.node} ({before} -> {after}): " + ("; ".join(self.lines) or "nothing that is set here has changed")

    def to_json(self) -> dict[str, Any]:
        before, after = {"type": self.type, "version": self.version}, {"type": self.new_type, "version": self.new_version}
        return {"node": self.node, "from": before, "to": after, "changes": list(self.lines)}


@dataclass(frozen=True, slots=True)
class Migrated:
    """A document as it is today, what changed, and which migrations failed (their nodes are as they were)."""

    document: Document
    changes: tuple[Change, ...] = ()
    problems: tuple[Problem, ...] = ()


def needs_migration(document: Document, catalog: Catalog, deprecated: bool = False) -> bool:
    """Whether any node can be led on: a look at each, without loading a pack."""
    parts = [document.nodes, *(subgraph.nodes for subgraph in document.subgraphs.values())]
    nodes = (entry for part in parts for entry in part.values())
    return any(_leads_on(entry.type, entry.version, catalog, deprecated) for entry in nodes)


def migrated(document: Document, catalog: Catalog, find: Find, *, deprecated: bool = False) -> Migrated:
    """The document with every node of an older version led on. With `deprecated`, nodes that have a successor become it."""
    if not needs_migration(document, catalog, deprecated):
        return Migrated(document)
    work = _Work(catalog, find, deprecated)
    nodes, interface = work.part(document.nodes, document.interface, "")
    subgraphs: dict[str, Subgraph] = {}
    for name, part in document.subgraphs.items():
        inner, around = work.part(part.nodes, part.interface, f"{SUBGRAPHS}.{name}/")
        subgraphs[name] = part.model_copy(update={"nodes": inner, "interface": around})
    found = document.model_copy(update={"nodes": nodes, "interface": interface, "subgraphs": subgraphs})
    return Migrated(found, tuple(work.changes), tuple(work.problems))


def deprecation_remarks(document: Document, catalog: Catalog) -> list[Problem]:
    """What runs, but is not to be built on: nodes of deprecated types, each type once."""
    found: dict[str, tuple[str, int]] = {}
    parts = [("", document.nodes), *((f"{SUBGRAPHS}.{name}/", part.nodes) for name, part in document.subgraphs.items())]
    for place, nodes in parts:
        for name, entry in nodes.items():
            spec = catalog.nodes.get(entry.type)
            if spec is not None and spec.deprecated:
                found.setdefault(entry.type, (f"{place}{name}", entry.version))
    remarks = []
    for type_id, (node, version) in found.items():
        successor = (type_id, version) in catalog.migrations
        hint = "nodegraph migrate FILE --replace-deprecated puts its successor there." if successor else None
        remarks.append(Problem("deprecated", f"{type_id} is deprecated: {catalog.nodes[type_id].deprecated}", node, hint=hint))
    return remarks


def _leads_on(type_id: str, version: int, catalog: Catalog, deprecated: bool) -> bool:
    if (type_id, version) not in catalog.migrations:
        return False
    spec = catalog.nodes.get(type_id)
    return deprecated or spec is None or version < spec.version


class _Work:
    def __init__(self, catalog: Catalog, find: Find, deprecated: bool) -> None:
        self._catalog, self._find, self._deprecated = catalog, find, deprecated
        self.changes: list[Change] = []
        self.problems: list[Problem] = []

    def part(self, nodes: Mapping[str, NodeEntry], interface: Interface, place: str) -> tuple[dict[str, NodeEntry], Interface]:
        """The nodes of one part of the document led on; links and the interface follow what was renamed."""
        found: dict[str, NodeEntry] = {}
        inputs: dict[str, str] = {}
        outputs: dict[str, str] = {}
        changed: set[str] = set()
        for name, entry in nodes.items():
            old = self._led_on(f"{place}{name}", entry)
            found[name] = entry if old is None else _written(entry, old)
            if old is not None:
                changed.add(name)
                inputs |= {f"{name}.{before}": f"{name}.{after}" for before, after in old.renamed.items()}
                outputs |= {f"{name}.{before}": f"{name}.{after}" for before, after in old.renamed_outputs.items()}
        if outputs:
            found = {name: _relinked(entry, outputs) for name, entry in found.items()}
        given = {name: outputs.get(text, text) for name, text in interface.outputs.items()}
        public, gone = self._public(interface, inputs, found, changed, place)
        update: dict[str, Any] = {"inputs": public, "outputs": given}
        if gone:
            known = (interface.model_extra or {}).get("dropped")
            update["dropped"] = {**(known if isinstance(known, dict) else {}), **gone}
        return found, interface.model_copy(update=update)

    def _public(
        self,
        interface: Interface,
        renamed: Mapping[str, str],
        nodes: Mapping[str, NodeEntry],
        changed: set[str],
        place: str,
    ) -> tuple[dict[str, InterfaceInput], dict[str, Any]]:
        """The public inputs without targets that are gone from changed nodes, and those that have none left."""
        kept: dict[str, InterfaceInput] = {}
        gone: dict[str, Any] = {}
        for name, item in interface.inputs.items():
            to = [renamed.get(text, text) for text in item.to]
            alive = [text for text in to if not self._is_gone(text, nodes, changed)]
            for text in to:
                if text not in alive:
                    self._told(f"{place}{text.partition('.')[0]}", f"the public input {name!r} led to {text}, which is gone")
            if to and not alive:
                gone[name] = item.model_dump(exclude_unset=True)
            else:
                kept[name] = item if alive == item.to else item.model_copy(update={"to": alive})
        return kept, gone

    def _is_gone(self, text: str, nodes: Mapping[str, NodeEntry], changed: set[str]) -> bool:
        node, _, key = text.partition(".")
        spec = self._catalog.nodes.get(nodes[node].type) if node in changed else None
        return spec is not None and not spec.iterates and key not in spec.input_by_name

    def _told(self, node: str, line: str) -> None:
        """Add to what is told of a node."""
        self.changes = [
            replace(change, lines=(*change.lines, line)) if change.node == node else change for change in self.changes
        ]

    def _led_on(self, place: str, entry: NodeEntry) -> OldNode | None:
        """The node after all its migrations, or None where there are none or one of them failed."""
        if not _leads_on(entry.type, entry.version, self._catalog, self._deprecated):
            return None
        old = OldNode(entry.type, entry.version, copy.deepcopy(entry.inputs), copy.deepcopy(entry.links))
        for _ in range(MOST_STEPS):
            if not _leads_on(old.type, old.version, self._catalog, self._deprecated):
                break
            before = old.type, old.version
            try:
                self._find(*before)(old)
            except Exception as error:
                message = f"The migration of {before[0]} from version {before[1]} failed: {error or type(error).__name__}"
                hint = "The node stays as it was saved. Tell the authors of the pack."
                self.problems.append(Problem("migration_failed", message, place, hint=hint))
                return None
            if (old.type, old.version) == before:
                old.version += 1
        else:
            message = f"{entry.type} was led on {MOST_STEPS} times without an end."
            self.problems.append(Problem("migration_failed", message, place, hint="Tell the authors of the pack."))
            return None
        self.changes.append(Change(place, entry.type, entry.version, old.type, old.version, tuple(_lines(entry, old))))
        return old


def _lines(entry: NodeEntry, old: OldNode) -> list[str]:
    """What changed in a node, in words."""
    lines = [f"{before} is called {after} now" for before, after in old.renamed.items() if _has(entry, before)]
    lines += [f"the output {before} is called {after} now" for before, after in old.renamed_outputs.items()]
    before: dict[str, Any] = {**entry.links, **entry.inputs}
    after: dict[str, Any] = {**old.links, **old.inputs}
    origin = {name: name for name in before} | old.renamed
    for name, value in before.items():
        now = origin[name]
        if now not in after:
            lines.append(f"{name} is gone (it was {shown(value)})")
        elif after[now] != value:
            lines.append(f"{now} is {shown(after[now])} now (it was {shown(value)})")
    lines += [f"{name} is new: {shown(value)}" for name, value in after.items() if name not in origin.values()]
    return [*lines, *old.notes]


def _has(entry: NodeEntry, name: str) -> bool:
    return name in entry.inputs or name in entry.links


def _written(entry: NodeEntry, old: OldNode) -> NodeEntry:
    """The entry as the migrations left it, with what they took out under `dropped`."""
    update: dict[str, Any] = {"type": old.type, "version": old.version, "inputs": old.inputs, "links": old.links}
    kept = dict(old.dropped)
    for part, left, word in ((entry.inputs, old.inputs, "value"), (entry.links, old.links, "link")):
        for name, value in part.items():
            if old.renamed.get(name, name) not in left and word not in kept.get(name, {}):
                kept[name] = {**kept.get(name, {}), word: value}
    known = (entry.model_extra or {}).get("dropped")
    if kept:
        update["dropped"] = {**(known if isinstance(known, dict) else {}), **kept}
    return entry.model_copy(update=update)


def _relinked(entry: NodeEntry, outputs: Mapping[str, str]) -> NodeEntry:
    links: dict[str, str | list[str]] = {
        key: [outputs.get(text, text) for text in link] if isinstance(link, list) else outputs.get(link, link)
        for key, link in entry.links.items()
    }
    return entry if links == entry.links else entry.model_copy(update={"links": links})
