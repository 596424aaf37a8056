"""From a whole ComfyUI file to a document: its subgraphs from the inside out, then the workflow that uses them."""

from __future__ import annotations

from typing import Any

from nodegraph.graph.catalog import Catalog
from nodegraph.graph.document import Document, NodeEntry, Subgraph
from nodegraph.graph.order import in_order
from nodegraph.importing.comfyui.api import read_api
from nodegraph.importing.comfyui.draft import Entry
from nodegraph.importing.comfyui.functions import Function
from nodegraph.importing.comfyui.interfaces import inner_interface, root_interface
from nodegraph.importing.comfyui.layouts import layout
from nodegraph.importing.comfyui.scope import Scope
from nodegraph.importing.comfyui.source import Graph, Reader, Source
from nodegraph.importing.comfyui.ui import read_ui
from nodegraph.importing.comfyui.widgets import AFTER
from nodegraph.importing.naming import free_name, slug
from nodegraph.importing.reading import clean
from nodegraph.importing.report import Imported, Report, Row
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.sdk.spec import InputSpec


def is_comfyui(data: Any) -> bool:
    """Whether parsed JSON looks like a ComfyUI workflow, in either of its formats."""
    return _is_ui(data) or _is_api(data)


def _is_ui(data: Any) -> bool:
    return isinstance(data, dict) and isinstance(data.get("nodes"), list) and "nodegraph" not in data


def _is_api(data: Any) -> bool:
    return isinstance(data, dict) and any(isinstance(entry, dict) and "class_type" in entry for entry in data.values())


def from_comfyui(data: Any, catalog: Catalog, title: str = "") -> Imported:
    """A document from a parsed ComfyUI workflow (UI format 0.4 and 1.0, or API format), and what became of each node.

    What has no counterpart in the catalog stays as a placeholder node `comfyui/CLASS`, so that nothing is lost. Raises
    InvalidWorkflow where the data is no ComfyUI workflow, or holds no node that can be read.
    """
    data = clean(data)
    if isinstance(data, dict) and isinstance(data.get("prompt"), dict) and not _is_ui(data) and not _is_api(data):
        data = data["prompt"]  # what a client posts to /prompt
    if not is_comfyui(data):
        raise InvalidWorkflow([_unknown(data)])
    source = read_ui(data) if _is_ui(data) else read_api(data)
    if not source.root.nodes and (source.skipped or _is_api(data)):
        hint = source.skipped[0] if source.skipped else ""
        raise InvalidWorkflow(
            [Problem("bad_document", "This ComfyUI workflow holds no node that can be read.", hint=hint or None)]
        )
    return _Conversion(source, catalog).imported(title)


def _unknown(data: Any) -> Problem:
    if isinstance(data, dict) and isinstance(data.get("nodes"), dict):
        message, hint = "This is a nodegraph workflow already.", "Run it, or open it, as it is."
        return Problem("bad_document", message, hint=hint)
    hint = 'ComfyUI saves an object with a list of "nodes", or (API format) node ids with a "class_type" each.'
    return Problem("bad_document", "This JSON is not a ComfyUI workflow.", hint=hint)


class _Conversion:
    def __init__(self, source: Source, catalog: Catalog) -> None:
        self.source, self.catalog = source, catalog
        self.functions: dict[str, Function] = {}
        self.subgraphs: dict[str, Subgraph] = {}
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def imported(self, title: str) -> Imported:
        for graph in self._inside_out():
            self._subgraph(graph)
        scope = self._scope(self.source.root)
        rows = (*scope.rows(), *self.rows)
        root = self.source.root
        rest = {"format": self.source.format, **self.source.rest}
        document = Document(
            title=title,
            nodes=_nodes(scope),
            interface=root_interface(scope, self.source.public),
            subgraphs=self.subgraphs,
            layout=layout(scope),
            **({"comfyui": rest} if rest else {}),  # type: ignore[arg-type]
        )
        if not root.nodes:
            self.notes.append("the workflow is empty")
        return Imported(document, Report(self.source.format, rows, self.source.skipped, tuple(self.notes)))

    def _inside_out(self) -> list[Graph]:
        """The subgraphs, after those that they use. Of one that contains itself the inner instances stay placeholders."""
        graphs = self.source.subgraphs
        uses = {name: [n.type for n in graph.nodes.values() if n.type in graphs] for name, graph in graphs.items()}
        order, circles = in_order(uses, uses.__getitem__)
        for circle in circles:
            self.notes.append(f"the subgraph {graphs[circle[0]].title or circle[0]!r} contains itself")
        return [graphs[name] for name in dict.fromkeys([*order, *uses])]

    def _scope(self, graph: Graph) -> Scope:
        scope = Scope(graph, self.catalog, self.functions)
        scope.convert()
        return scope

    def _subgraph(self, graph: Graph) -> None:
        scope = self._scope(graph)
        name = free_name(slug(graph.title, "subgraph"), self.subgraphs)
        interface, names, slots, shown = inner_interface(scope, graph, self._promoted(graph.name))
        inputs = interface.inputs
        specs = {key: spec for key, item in inputs.items() if (spec := _spec(scope, item.to)) is not None}
        titles = {key: item.title for key, item in inputs.items()}
        title = graph.title or name
        self.functions[graph.name] = Function(name, title, names, titles, specs, tuple(slots), tuple(shown))
        self.subgraphs[name] = Subgraph(title=title, nodes=_nodes(scope), interface=interface, layout=layout(scope))
        self.rows += scope.rows(f"{name}/")

    def _promoted(self, subgraph: str) -> list[Reader]:
        """Inner inputs that instances of a subgraph show as their own (`proxyWidgets`: [inner node, widget])."""
        found: dict[Reader, None] = {}
        for graph in (self.source.root, *self.source.subgraphs.values()):
            for node in graph.nodes.values():
                properties = node.raw.get("properties") if node.type == subgraph else None
                proxies = properties.get("proxyWidgets") if isinstance(properties, dict) else None
                for pair in proxies if isinstance(proxies, list) else ():
                    if isinstance(pair, list) and len(pair) >= 2 and isinstance(pair[1], str) and pair[1] != AFTER:
                        found[Reader(str(pair[0]), pair[1])] = None
        return list(found)


def _spec(scope: Scope, places: list[str]) -> InputSpec | None:
    """What the first place that is known takes, if values can be typed there."""
    for place in places:
        id, _, key = place.partition(".")
        type_ = scope.entries[id].type
        spec = scope.catalog.nodes.get(type_)
        found = spec.input_by_name.get(key) if spec is not None else None
        if found is None and type_.startswith("subgraph/"):
            inner = (f for f in scope.functions.values() if f.name == type_.removeprefix("subgraph/"))
            found = next(inner).specs.get(key)
        if found is not None and found.schema is not None:
            return found
    return None


def _nodes(scope: Scope) -> dict[str, NodeEntry]:
    found = {}
    for name, entry in scope.entries.items():
        spec = scope.catalog.nodes.get(entry.type)
        rest = {"inputs": entry.inputs, "links": _links(entry), "disabled": entry.disabled, **entry.extra}
        found[name] = NodeEntry(type=entry.type, version=1 if spec is None else spec.version, **rest)
    return found


def _links(entry: Entry) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {}
    for key, link in entry.links.items():
        if isinstance(link, str):
            found[key] = link
        elif isinstance(link, list):
            found[key] = [one for one in link if isinstance(one, str)]
    return found
