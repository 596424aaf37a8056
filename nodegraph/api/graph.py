"""Workflows built in Python, by calling node functions. Everything that a document can say can be said here.

`Graph.of(document).document()` is that document again, whatever it holds: types that are not installed, links to nothing,
fields of other programs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from nodegraph.api.session import Session, default_session
from nodegraph.api.workflow import Workflow
from nodegraph.graph import Document
from nodegraph.graph.document import Interface, NodeEntry, Subgraph, document_from
from nodegraph.sdk.annotations import plain
from nodegraph.sdk.builder import NODE_ID, BuiltNode, GraphBuilder, Link, OpenOutputs, links_in, the_only
from nodegraph.sdk.errors import nearest

SUBGRAPH = "subgraph/"
"""How the types of nodes begin that run a subgraph of their document."""

_BUILT = ("nodegraph", "nodes", "interface", "subgraphs")
"""What of a document or a subgraph is made by methods of its own."""

UNSET: Any = object()
"""A rule that an interface input does not have; None is a value that it may have."""

_LinkText = Link[Any] | str


class Graph(GraphBuilder):
    """A workflow built in Python: `add` nodes, or call them with the links that `add` gave.

    graph = Graph("Apple")
    model = graph.add(load_model, "model", model="starter")
    prompt = encode_prompt(model.text_encoder, text="a red apple")
    """

    def __init__(self, title: str = "", session: Session | None = None, *, id: str = "") -> None:
        super().__init__()
        self._session = session
        self._fields: dict[str, Any] = {"title": title, "id": id} if id else {"title": title}
        self._node_fields: dict[str, dict[str, Any]] = {}  # of nodes: `disabled`, and what this version does not know
        self._inputs: dict[str, dict[str, Any]] = {}
        self._outputs: dict[str, str] = {}
        self._interface: dict[str, Any] = {}
        self._subgraphs: dict[str, Graph] = {}
        self._outer: Graph | None = None

    @property
    def session(self) -> Session:
        """Where the workflow runs: the process's own session unless told otherwise."""
        if self._session is None:
            self._session = default_session()
        return self._session

    @property
    def title(self) -> str:
        title: str = self._fields["title"]
        return title

    @title.setter
    def title(self, title: str) -> None:
        self._fields["title"] = title

    # ---- nodes ----

    def call(self, name: str, id: str | None = None, /, **inputs: Any) -> OpenOutputs:
        """Add a node that runs the subgraph `name`, with links and values by the names of its interface.

        Any name of the result is a link: `half = graph.call("half", image=picture); half.image`.
        """
        links = {
            key: value if isinstance(value, Link) else found for key, value in inputs.items() if (found := links_in(value))
        }
        values = {key: value for key, value in inputs.items() if key not in links}
        return self.place(f"{SUBGRAPH}{name}", id, inputs=values, links=links)

    def place(
        self,
        type: str,
        id: str | None = None,
        /,
        *,
        version: int = 1,
        inputs: Mapping[str, Any] | None = None,
        links: Mapping[str, _LinkText | list[Any]] | None = None,
    ) -> OpenOutputs:
        """Add a node by its type's id, which need not be installed. Any name of the result is a link.

        Raises ValueError for a bad id, TypeError for links that come from another graph.
        """
        name = self._free_name(id or type.rpartition("/")[2])
        self.nodes[name] = BuiltNode(type, {}, {}, version)
        self.keep(name, inputs=inputs or {}, links=links or {})
        return OpenOutputs(self, name)

    def link(self, text: str) -> Link[Any]:
        """A link as a document writes it, `node.output`; the node may come later, or never."""
        node, _, output = text.partition(".")
        return Link(self, node, output) if output else Link(self, text, "")

    def disable(self, *ids: str) -> None:
        """Switch nodes off: a matching input is passed through, else what needs them is off too. Raises LookupError."""
        for name in ids:
            self.keep(name, disabled=True)

    def subgraph(self, name: str, title: str = "", *, file: str = "") -> Graph:
        """A new subgraph of this document, to fill like any graph, or one that lies in a workflow file of its own.

        Its inputs and outputs are the sockets of `call`, and what loops see of it. Raises ValueError for a bad name.
        """
        if not NODE_ID.match(name):
            raise ValueError(f"{name!r} cannot be a subgraph's name: letters, digits, _ and -, not starting with a digit")
        inner = self._subgraphs[name] = Graph(title, self._session)
        inner._subgraphs, inner._outer = self._subgraphs, self._outer or self
        if file:
            inner._fields["file"] = file
        return inner

    # ---- the interface ----

    def input(
        self,
        name: str,
        /,
        *to: str,
        title: str = "",
        description: str = "",
        group: str = "",
        as_list: bool = False,
        default: Any = UNSET,
        minimum: float | None = UNSET,
        maximum: float | None = UNSET,
        step: float | None = UNSET,
        choices: list[Any] | None = UNSET,
        **fields: Any,
    ) -> None:
        """Make `node.input`s public under one name. Forms show inputs in the order in which they are made.

        `default` is what a form goes back to; `minimum`, `maximum`, `step` and `choices` may only narrow what the nodes take.
        With `as_list` a subgraph takes a list where its node takes one.
        """
        words = {"title": title, "description": description, "group": group, "as_list": as_list}
        rules = {"default": default, "minimum": minimum, "maximum": maximum, "step": step, "choices": choices}
        given = {key: plain(value) for key, value in (rules | fields).items() if value is not UNSET}
        self._inputs[name] = {"to": list(to), **words, **given}

    def output(self, name: str, link: _LinkText | tuple[Link[Any]]) -> None:
        """Make a link (or `node.output`) an output of the workflow."""
        self._outputs[name] = self._text(the_only(link))

    # ---- everything else that a document holds ----

    def keep(self, node: str = "", /, **fields: Any) -> None:
        """Say what the other methods have no word for: of the document, or of one node.

        Of the document: `layout`, `lock`, `id`, `interface` (fields beside its inputs and outputs), fields of other programs.
        Of a node: `inputs` (values behind links), `links` (a `node.output` each, or a list of them), `version`, `disabled`,
        fields of other programs. Raises LookupError for a node that has not been added.
        """
        if node:
            return self._keep_node(node, fields)
        said = ("nodes",) if self._outer else ("nodes", "subgraphs", "nodegraph")
        if wrong := sorted(set(fields) & set(said)):
            raise TypeError(f"{', '.join(wrong)} cannot be kept: nodes are added, subgraphs are made with subgraph()")
        interface = fields.pop("interface", {})
        if wrong := sorted(set(interface) & {"inputs", "outputs"}):
            raise TypeError(f"the interface's {' and '.join(wrong)} cannot be kept: use input() and output()")
        self._interface |= interface
        self._fields |= fields

    def _keep_node(self, name: str, fields: dict[str, Any]) -> None:
        built = self.nodes.get(name)
        if built is None:
            raise LookupError(
                f"there is no node {name!r} to keep anything for. {nearest(name, self.nodes, 'There are')}".strip()
            )
        if "type" in fields:
            raise TypeError("a node's type is said when it is added")
        values = {**built.values, **{key: plain(value) for key, value in fields.pop("inputs", {}).items()}}
        links = {**built.links, **{key: self._kept_link(key, link) for key, link in fields.pop("links", {}).items()}}
        self.nodes[name] = BuiltNode(built.node, values, links, fields.pop("version", built.version))
        self._node_fields.setdefault(name, {}).update(fields)

    def _kept_link(self, key: str, link: Any) -> Link[Any] | tuple[Link[Any], ...]:
        if isinstance(link, (list, tuple)):
            return tuple(self._one_link(key, the_only(item)) for item in link)
        return self._one_link(key, the_only(link))

    def _one_link(self, key: str, link: Any) -> Link[Any]:
        if isinstance(link, str):
            return self.link(link)
        if not isinstance(link, Link):
            raise TypeError(f"{link!r} is no link into {key!r}: give what add() returned, or 'node.output'")
        if link.builder is not self:
            raise TypeError(f"the link into {key!r} comes from another graph")
        return link

    def _text(self, link: _LinkText) -> str:
        if isinstance(link, str):
            return link
        if not isinstance(link, Link):
            raise TypeError(f"{link!r} is no link: name one output of the node, such as node.image")
        if link.builder is not self:
            raise TypeError(f"the link from {link.node}.{link.output} comes from another graph")
        return f"{link.node}.{link.output}" if link.output else link.node

    # ---- as a document, and back ----

    def document(self) -> Document:
        """The graph as a document. Raises InvalidWorkflow for fields that a document cannot have so."""
        data = self._data()
        if self._subgraphs:
            data["subgraphs"] = {name: inner._data() for name, inner in self._subgraphs.items()}
        return document_from(deepcopy(data))

    def workflow(self, path: str | Path | None = None) -> Workflow:
        """The graph as a workflow, to run or to save. Files that it names may lie beside `path`, such as `__file__`."""
        return Workflow(self.document(), self.session, None if path is None else Path(path))

    def _data(self) -> dict[str, Any]:
        interface = {**self._interface, "inputs": self._inputs, "outputs": self._outputs}
        return {**self._fields, "nodes": {name: self._node_data(name) for name in self.nodes}, "interface": interface}

    def _node_data(self, name: str) -> dict[str, Any]:
        built = self.nodes[name]
        links = {
            key: [self._text(item) for item in link] if isinstance(link, tuple) else self._text(link)
            for key, link in built.links.items()
        }
        type_id = built.node if isinstance(built.node, str) else self.session.library.id_of(built.node)
        known = {"type": type_id, "version": built.version, "inputs": dict(built.values), "links": links}
        return {**self._node_fields.get(name, {}), **known}

    @staticmethod
    def of(document: Document, session: Session | None = None) -> Graph:
        """A document as a graph again, to go on with: `graph.link("node.output")` is where new nodes begin."""
        graph = Graph("", session)
        graph._take(document)
        for name, subgraph in document.subgraphs.items():
            graph.subgraph(name)._take(subgraph)
        return graph

    def _take(self, part: Document | Subgraph) -> None:
        """Fill an empty graph with what a document or a subgraph holds."""
        part = part.model_copy(deep=True)
        self._fields = {"title": part.title, **_set_fields(part, but=_BUILT)}
        for name, entry in part.nodes.items():
            self._take_node(name, entry)
        self._take_interface(part.interface)

    def _take_node(self, name: str, entry: NodeEntry) -> None:
        links = {key: self._kept_link(key, link) for key, link in entry.links.items()}
        self.nodes[name] = BuiltNode(entry.type, entry.inputs, links, entry.version)
        self._node_fields[name] = _set_fields(entry, but=("type", "version", "inputs", "links"))

    def _take_interface(self, interface: Interface) -> None:
        self._interface = dict(interface.model_extra or {})
        self._outputs = dict(interface.outputs)
        self._inputs = {name: _set_fields(item) for name, item in interface.inputs.items()}


def _set_fields(part: BaseModel, but: Collection[str] = ()) -> dict[str, Any]:
    """The fields that somebody set, and those that this version does not know."""
    known = type(part).model_fields.keys() & part.model_fields_set - set(but)
    return {**(part.model_extra or {}), **part.model_dump(include=known, exclude_unset=True)}
