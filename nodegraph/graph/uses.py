"""What a document reaches for beyond computing: secrets, files, permissions, packs from elsewhere.

A document from outside runs only after a person has seen this list and accepted it. Models are shown, and need no consent: they
are weights below the model folders, and a network cannot do anything but compute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from nodegraph.graph.catalog import Catalog
from nodegraph.graph.document import SUBGRAPHS, Document, NodeEntry
from nodegraph.graph.packs import OURS
from nodegraph.graph.subgraphs import Subgraphs
from nodegraph.sdk.errors import Problem
from nodegraph.sdk.spec import InputSpec
from nodegraph.sdk.values import is_secret_name


class Use(NamedTuple):
    """One thing that a document reaches for. `kind` is `secret`, `file`, `permission`, `pack` or `model`."""

    kind: str
    name: str

    @property
    def needs_consent(self) -> bool:
        return self.kind != "model"


NO_NAME = "(no name: perhaps the secret itself)"
"""What stands in place of a secret that is told by something else than a name: it must not be shown or remembered."""

_WORDS = {
    "secret": "It reads the secret {!r}.",
    "file": "It reads the file {!r}.",
    "permission": "It uses the permission {!r}.",
    "pack": "It runs code of the pack {!r}, which does not come with nodegraph.",
    "model": "It loads the model {!r}.",
}


def uses(document: Document, catalog: Catalog) -> dict[Use, str]:
    """Everything that a document reaches for, with the node that does, subgraphs included; of each only the first node.

    The document has its subgraphs inside (`linked`). Disabled nodes count: they may be enabled at any time.
    """
    found: dict[Use, str] = {}
    subgraphs = Subgraphs(document.subgraphs, catalog)
    for place, nodes in _parts(document):
        for name, entry in nodes.items():
            for use in _of_node(entry, catalog, subgraphs):
                found.setdefault(use, f"{place}{name}")
    for name, subgraph in document.subgraphs.items():  # whoever comes to use one gets its defaults
        known = subgraphs.inputs(name)
        for key, item in subgraph.interface.inputs.items():
            kind = _kind(known[key]) if key in known else ""
            for use in _named(kind, item.default):
                found.setdefault(use, f"{SUBGRAPHS}.{name}")
    return found


def told(found: Mapping[Use, str]) -> list[Problem]:
    """The uses as problems, for people to read: what a document wants that nobody has accepted."""
    return [Problem("untrusted", _WORDS[use.kind].format(use.name), node) for use, node in sorted(found.items())]


def _parts(document: Document) -> Iterator[tuple[str, Mapping[str, NodeEntry]]]:
    yield "", document.nodes
    for name, subgraph in document.subgraphs.items():
        yield f"{SUBGRAPHS}.{name}/", subgraph.nodes


def _of_node(entry: NodeEntry, catalog: Catalog, subgraphs: Subgraphs) -> Iterator[Use]:
    declared = catalog.nodes.get(entry.type)
    if declared is not None:
        origin = catalog.origins.get(declared.pack)
        if origin is not None and origin.distribution != OURS:
            yield Use("pack", declared.pack)
        for permission in declared.permissions:
            yield Use("permission", permission)
    spec = subgraphs.spec_of(entry) or declared
    for item in spec.inputs if spec is not None else ():
        kind = _kind(item)
        if kind:
            value = entry.inputs.get(item.name, item.default)
            yield from _named(kind, value)


def _named(kind: str, value: Any) -> Iterator[Use]:
    """What a value names, of an input of this kind."""
    for name in _names(value) if kind else ():
        yield Use(kind, name if kind != "secret" or is_secret_name(name) else NO_NAME)


def _kind(item: InputSpec) -> str:
    if item.file:
        return "file" if item.file in ("file", "folder") else "model"
    return "secret" if item.secret else ""


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _names(item)
