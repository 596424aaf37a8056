"""A workflow as a function: its public inputs with their types and order, and setting them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nodegraph.graph.catalog import Catalog
from nodegraph.graph.document import SUBGRAPHS, Document, Interface, NodeEntry
from nodegraph.graph.narrowing import Narrowed, Target, narrowed, present, targets
from nodegraph.graph.subgraphs import Subgraphs
from nodegraph.graph.values import BadValue, accept, describe_schema, shown
from nodegraph.sdk.errors import InvalidWorkflow, Problem, nearest
from nodegraph.sdk.spec import InputSpec


@dataclass(frozen=True, slots=True, repr=False)
class PublicInput:
    """One public input: the `node.input`s it sets, what it takes, and the value that the document holds.

    `spec` is what the nodes take, narrowed by the interface; `spec.default` is what a form goes back to. `step` is how far
    one click of a form goes, no rule. `order` counts from 1; `linked` names what the input is linked to inside, if it is.
    """

    name: str
    to: tuple[str, ...]
    spec: InputSpec
    value: Any
    title: str
    description: str
    group: str = ""
    order: int = 1
    step: float | None = None
    linked: str = ""
    missing: bool = False  # there is neither a value nor a link: whoever runs the workflow has to give one

    @property
    def takes(self) -> str:
        """What it takes, in words."""
        return describe_schema(self.spec.schema or {})

    def __repr__(self) -> str:
        now = "required" if self.missing else f"linked to {self.linked}" if self.linked else f"now {shown(self.value)}"
        return f"<{self.title or self.name}: {self.takes}; {now}>"


def public_inputs(document: Document, catalog: Catalog) -> dict[str, PublicInput]:
    """The interface's inputs in their order.

    Those into which nothing can be typed (pictures, models) are left out, and those whose node type is unknown.
    """
    subgraphs = Subgraphs(document.subgraphs, catalog)
    found: dict[str, PublicInput] = {}
    for order, (name, item) in enumerate(document.interface.inputs.items(), 1):
        sockets = _sockets(document.interface, name, document.nodes, subgraphs)
        made = narrowed(name, item, sockets)
        if made is None or not made.typeable or len(sockets) < len(item.to):
            continue
        links = [link for socket in sockets if (link := socket.entry.links.get(socket.spec.name))]
        linked = links[0] if links else ""
        found[name] = PublicInput(
            name,
            tuple(item.to),
            made.spec,
            present(sockets[0]),
            made.spec.title,
            made.spec.description,
            item.group,
            order,
            item.step,
            linked if isinstance(linked, str) else ", ".join(linked),
            any(socket.spec.required and _unset(socket) for socket in sockets),
        )
    return found


def _sockets(interface: Interface, name: str, nodes: Mapping[str, NodeEntry], subgraphs: Subgraphs) -> list[Target]:
    return targets(interface.inputs[name], nodes, lambda node: subgraphs.spec_of(nodes[node]))


def _unset(socket: Target) -> bool:
    return socket.spec.name not in socket.entry.inputs and socket.spec.name not in socket.entry.links


def grouped(inputs: Iterable[PublicInput]) -> dict[str, list[PublicInput]]:
    """Inputs by group, as they are shown: first those of no group, then the groups in the order of their first inputs."""
    found: dict[str, list[PublicInput]] = {"": []}
    for item in inputs:
        found.setdefault(item.group, []).append(item)
    return {name: items for name, items in found.items() if items}


def with_inputs(
    document: Document, catalog: Catalog, values: Mapping[str, Any], known: Mapping[str, PublicInput] | None = None
) -> Document:
    """A copy of the document with public inputs set. Raises InvalidWorkflow for unknown names and values that do not fit.

    `known` are the document's public inputs, for whoever has them already.
    """
    known = public_inputs(document, catalog) if known is None else known
    problems: list[Problem] = []
    changed = document.model_copy(update={"nodes": dict(document.nodes)})
    for name, value in values.items():
        item = known.get(name)
        if item is None:
            problems.append(_no_such_input(document, known, name))
            continue
        try:
            value = accept(item.spec, value)
        except BadValue as bad:
            message = f"The input {name!r} does not take this value."
            problems.append(Problem("bad_value", message, None, None, bad.expected, bad.got))
            continue
        for text in item.to:
            set_value(changed, text, value)
    if problems:
        raise InvalidWorkflow(problems)
    return changed


def _no_such_input(document: Document, known: Mapping[str, PublicInput], name: str) -> Problem:
    item = document.interface.inputs.get(name)
    if item is not None:
        message = f"The input {name!r} cannot be typed in: it goes to {', '.join(item.to) or 'nothing'}."
        return Problem("no_such_input", message, hint="Link something to it, where this workflow is part of another one.")
    hint = nearest(name, known, "It has") or "It has no inputs."
    return Problem("no_such_input", f"This workflow has no input {name!r}.", hint=hint)


def set_value(document: Document, place: str, value: Any) -> None:
    """Set `node.input` in a document whose `nodes` dict is its own. A link to that input gives way to the value."""
    node, _, key = place.partition(".")
    entry = document.nodes.get(node)
    if entry is not None:
        links = {name: link for name, link in entry.links.items() if name != key}
        document.nodes[node] = entry.model_copy(update={"inputs": {**entry.inputs, key: value}, "links": links})


def used_inputs(document: Document, catalog: Catalog) -> dict[str, Any]:
    """Every public input with the value the document holds: what a run reports as its inputs."""
    return {name: item.value for name, item in public_inputs(document, catalog).items()}


# ---- remarks ----


def interface_remarks(document: Document, catalog: Catalog) -> list[Problem]:
    """What an interface would not allow to be set, but the document holds; it runs all the same.

    Old documents, and pictures that were made with `--set`, go on giving what they gave.
    """
    subgraphs = Subgraphs(document.subgraphs, catalog)
    found = _remarks(document.interface, document.nodes, subgraphs, "")
    for name, subgraph in document.subgraphs.items():
        found += _remarks(subgraph.interface, subgraph.nodes, subgraphs, f"{SUBGRAPHS}.{name}/")
    return found


def _remarks(interface: Interface, nodes: Mapping[str, NodeEntry], subgraphs: Subgraphs, prefix: str) -> list[Problem]:
    found: list[Problem] = []
    for name, item in interface.inputs.items():
        sockets = _sockets(interface, name, nodes, subgraphs)
        made = narrowed(name, item, sockets)
        typed = [socket for socket in sockets if socket.spec.name not in socket.entry.links]
        if made is None or made.spec.schema is None or not made.typeable:
            continue
        place = f"{prefix}interface.{name}"
        held = [socket for socket in typed if not (_unset(socket) and (prefix or socket.spec.required))]
        found += filter(None, (_outside(place, socket, made) for socket in held))  # a node's own default counts outside only
        values = {socket.place: shown(present(socket)) for socket in typed if not _unset(socket)}
        if len(set(values.values())) > 1:
            message = "The sockets that it sets hold different values. They stay so until it is set."
            got = ", ".join(f"{text} holds {value}" for text, value in values.items())
            found.append(Problem("values_differ", message, place, None, None, got))
    return found


def _outside(place: str, socket: Target, made: Narrowed) -> Problem | None:
    """A value that its node takes, but the interface would not."""
    value = present(socket)
    try:
        accept(socket.spec, value)
    except BadValue:
        return None  # reported as what it is: a value that does not fit the node
    try:
        accept(made.spec, value)
    except BadValue as bad:
        message = f"{socket.place} holds a value that could not be set here. It is used as it is."
        return Problem("outside_interface", message, place, None, bad.expected, bad.got)
    return None
