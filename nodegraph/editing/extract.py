"""A selection of nodes becomes a subgraph, with a node in its place. `inline` is the way back.

Every link that crosses the border becomes a socket: one for each output that is read from outside, one for each output that
the selection reads (and for each way it is read). What the nodes hold stays with them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import networkx as nx

from nodegraph.editing.parts import Part, as_list, centre, check_name, free_name, part_of, replaced, split, with_part
from nodegraph.graph import Catalog, Document
from nodegraph.graph.compiling import outputs_of
from nodegraph.graph.document import Interface, InterfaceInput, NodeEntry, Subgraph
from nodegraph.graph.relations import relate
from nodegraph.graph.subgraphs import CALLED, Subgraphs
from nodegraph.sdk.errors import InvalidWorkflow, Problem, nearest
from nodegraph.sdk.spec import InputSpec


class Extracted(NamedTuple):
    """The document with the selection in the subgraph `name`, and the id of the node that runs it."""

    document: Document
    name: str
    node: str


def extract(
    document: Document, catalog: Catalog, selection: Collection[str], name: str, *, node: str = "", scope: str = ""
) -> Extracted:
    """Move the selected nodes into a new subgraph `name`, used by a new node (`node`, else a name like the subgraph's).

    `scope` names the subgraph that the nodes lie in, where that is not the document itself. Raises InvalidWorkflow where a
    subgraph could not do the same: with everything that is in the way.
    """
    part = part_of(document, scope)
    check_name(name, "subgraph", document.subgraphs)
    rest = part.nodes.keys() - set(selection)
    id = node or free_name(name, rest)
    check_name(id, "node", rest)
    _check_selection(part, selection)
    border = _Border(document, catalog, part, frozenset(selection), id)
    interface = border.around()
    if border.problems:
        raise InvalidWorkflow(border.problems)

    inner = {key: border.inside(key, part.nodes[key]) for key in part.nodes if key in border.selection}
    outer = {key: border.outside(entry) for key, entry in part.nodes.items() if key not in border.selection}
    outer[id] = NodeEntry(type=CALLED + name, links=border.links)
    places = {key: place for key, place in part.places.items() if key in inner}
    subgraph = Subgraph(
        nodes=inner,
        interface=Interface(inputs=border.inputs, outputs=border.outputs),
        layout=replaced({}, (), places),
    )
    middle = centre(places)
    layout = replaced(part.layout, inner, {id: list(middle)} if middle is not None else {})
    changed = Part(scope, outer, interface, layout)
    return Extracted(with_part(document, changed, {**document.subgraphs, name: subgraph}), name, id)


def _check_selection(part: Part, selection: Collection[str]) -> None:
    if not selection:
        raise InvalidWorkflow([Problem("no_selection", "No nodes are selected.", hint="Select what the subgraph should hold.")])
    unknown = [name for name in selection if name not in part.nodes]
    if unknown:
        problems = [
            Problem("no_such_node", f"There is no node {name!r}.", hint=nearest(name, part.nodes, "There are") or None)
            for name in unknown
        ]
        raise InvalidWorkflow(problems)
    between = _between(part, frozenset(selection))
    if between:
        message = "The subgraph would need what is made of its own outputs: " + ", ".join(sorted(between)[:10]) + "."
        raise InvalidWorkflow([Problem("cycle", message, hint="Select the nodes that lie between, too.")])


def _between(part: Part, selection: frozenset[str]) -> set[str]:
    """The nodes that lie on a way out of the selection and back into it."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(part.nodes)
    for name, entry in part.nodes.items():
        graph.add_edges_from((split(text)[0], name) for link in entry.links.values() for text in as_list(link))
    after, before = _reached(graph, selection), _reached(graph.reverse(copy=False), selection)
    return (after & before) - selection


def _reached(graph: nx.DiGraph[str], start: Collection[str]) -> set[str]:
    seen: set[str] = set()
    waiting = list(start)
    while waiting:
        for name in graph.successors(waiting.pop()):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen


class _Border:
    """What crosses from outside into the selection and back, as the subgraph's interface and its node's links."""

    def __init__(self, document: Document, catalog: Catalog, part: Part, selection: frozenset[str], id: str) -> None:
        self.selection, self.problems = selection, list[Problem]()
        self.inputs: dict[str, InterfaceInput] = {}
        self.outputs: dict[str, str] = {}
        self.links: dict[str, str | list[str]] = {}
        self._part, self._id = part, id
        self._subgraphs = Subgraphs(document.subgraphs, catalog)
        self._types, self._off = outputs_of(document, catalog, part.scope)
        self._known: dict[Any, str] = {}
        self._exits: dict[str, str] = {}
        for name in part.nodes:
            if name in selection:
                for key, link in part.nodes[name].links.items():
                    self._enter(name, key, link)
        for text in self._read_outside():
            if split(text)[0] in selection and text not in self._exits:
                wanted = split(text)[1] if split(text)[1] not in self.outputs else "_".join(split(text))
                output = free_name(wanted, self.outputs)
                self._exits[text], self.outputs[output] = output, text

    # ---- ways in ----

    def _enter(self, node: str, key: str, link: str | list[str]) -> None:
        """The links of one socket of a selected node."""
        crossing = [text for text in as_list(link) if split(text)[0] not in self.selection]
        if not crossing:
            return
        spec = self._socket(node, key)
        for text in crossing:
            if split(text)[0] in self._off and split(text) not in self._types:
                message = (
                    f"{split(text)[0]} is off and gives nothing; a subgraph would be off as a whole, or take other values."
                )
                hint = "Enable it, remove the link, or select that node too."
                self.problems.append(Problem("disabled", message, self._part.place(node), key, hint=hint))
                return
        if isinstance(link, list):
            if any(self._mapped(text, spec) for text in crossing):
                message = "A list comes in here beside other links, and the node runs per item."
                hint = f"Select what gives the list too, or leave {node} out."
                self.problems.append(Problem("wrong_type", message, self._part.place(node), key, hint=hint))
                return
            if link[-len(crossing) :] != crossing:
                message = "Here links from outside come before links from the selection; a subgraph could not keep the order."
                hint = f"Select {', '.join(sorted({split(text)[0] for text in crossing}))} too, or leave {node} out."
                self.problems.append(Problem("mixed_links", message, self._part.place(node), key, hint=hint))
                return
            self._socket_for(("many", node, key), key, f"{node}.{key}", list(crossing), False)
            return
        depth = self._mapped(link, spec)
        if depth > 1:
            message = "A list of lists comes in here, which no subgraph's input can take."
            self.problems.append(Problem("wrong_type", message, self._part.place(node), key, hint="Leave this node out."))
            return
        kind = str(spec.type.item if spec.type.kind == "optional" else spec.type) if spec is not None else ""
        self._socket_for((link, kind, depth), key, f"{node}.{key}", link, depth == 1)

    def _mapped(self, text: str, spec: InputSpec | None) -> int:
        """How many levels of lists a link makes the node run over."""
        given = self._types.get(split(text))
        relation = relate(given, spec.type) if spec is not None and given is not None else None
        return relation.depth if relation is not None else 0

    def _socket_for(self, way: Any, wanted: str, target: str, link: str | list[str], listing: bool) -> None:
        """Lead a way in to one more target; a new one gets a socket of its own."""
        if way in self._known:
            self.inputs[self._known[way]].to.append(target)
            return
        name = self._known[way] = free_name(wanted, self.inputs)
        self.inputs[name] = InterfaceInput(to=[target], as_list=listing)
        self.links[name] = link

    def _socket(self, node: str, key: str) -> InputSpec | None:
        spec = self._subgraphs.spec_of(self._part.nodes[node])
        return spec.input_by_name.get(key) if spec is not None else None

    # ---- ways out ----

    def _read_outside(self) -> Iterator[str]:
        """Every output that something outside of the selection reads, or the interface gives."""
        for name, entry in self._part.nodes.items():
            if name not in self.selection:
                for link in entry.links.values():
                    yield from as_list(link)
        yield from self._part.interface.outputs.values()

    # ---- what becomes of the nodes, and of the interface ----

    def inside(self, name: str, entry: NodeEntry) -> NodeEntry:
        """A selected node, without the links that the subgraph's node has now."""
        links: dict[str, str | list[str]] = {}
        for key, link in entry.links.items():
            kept = [text for text in as_list(link) if split(text)[0] in self.selection]
            if kept:
                links[key] = kept if isinstance(link, list) else kept[0]
            elif isinstance(link, list) and not link:
                links[key] = []
        return entry.model_copy(update={"links": links})

    def outside(self, entry: NodeEntry) -> NodeEntry:
        """A node that was not selected, reading from the subgraph's node where it read from the selection."""
        links: dict[str, str | list[str]] = {
            key: [self._leading(text) for text in link] if isinstance(link, list) else self._leading(link)
            for key, link in entry.links.items()
        }
        return entry.model_copy(update={"links": links})

    def _leading(self, text: str) -> str:
        return f"{self._id}.{self._exits[text]}" if text in self._exits else text

    def around(self) -> Interface:
        """The interface of the part: what set or gave something in the selection goes through the subgraph's node."""
        inputs = {}
        for name, item in self._part.interface.inputs.items():
            to: list[str] = []  # targets in the selection that follow one another become one socket
            selected_of = [split(text)[0] in self.selection for text in item.to]
            if item.as_list and any(selected_of) and not all(selected_of):
                message = f"The public input {name!r} takes a list for nodes that are selected and for others."
                hint = "Select all of them, or none."
                self.problems.append(Problem("wrong_type", message, self._part.place(self._id), name, hint=hint))
            for selected, found in groupby(item.to, lambda text: split(text)[0] in self.selection):
                texts = list(found)
                to += [f"{self._id}.{self._promoted(name, texts, item.as_list)}"] if selected else texts
            listing = item.as_list and not any(selected_of)
            inputs[name] = item.model_copy(update={"to": to, "as_list": listing} if item.as_list else {"to": to})
        outputs = {name: self._leading(text) for name, text in self._part.interface.outputs.items()}
        return self._part.interface.model_copy(update={"inputs": inputs, "outputs": outputs})

    def _promoted(self, wanted: str, targets: list[str], listing: bool) -> str:
        """The socket of the subgraph's node that sets these; one that is linked already where it sets the same."""
        for name, item in self.inputs.items():
            if item.to == targets and item.as_list == listing:
                return name
        name = free_name(wanted, self.inputs)
        self.inputs[name] = InterfaceInput(to=list(targets), as_list=listing)
        return name
