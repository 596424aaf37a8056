"""One graph as statements: its nodes in the order of the data, its interface, and at the end what nobody needs to read.

A node is said by a call of its own where possible; what the call has no place for (values behind links, inputs that this
version of the node does not have) is kept apart, so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from nodegraph.graph.document import Document, InterfaceInput, NodeEntry, Subgraph
from nodegraph.scripting.names import variables
from nodegraph.scripting.reading_order import reading_order
from nodegraph.scripting.source import Bracketed, Expression, call, is_name, laid_out, listed, literal, value
from nodegraph.sdk.spec import InputSpec, NodeSpec

SUBGRAPH = "subgraph/"


@dataclass(frozen=True, slots=True)
class NodeTypes:
    """The node types that a script can call, and the names that their packs have in it."""

    specs: Mapping[str, NodeSpec]
    aliases: Mapping[str, str]


def function_name(spec: NodeSpec) -> str:
    """The name of a node's function in its pack."""
    return spec.id.partition("/")[2]


def statements(
    part: Document | Subgraph, receiver: str, types: NodeTypes, taken: Collection[str], indent: int = 0
) -> list[str]:
    """What fills the graph `receiver`, a statement each; empty texts are empty lines. Nothing for an empty graph."""
    scope = _Scope(receiver, part.nodes, types, variables(part.nodes, {*taken, receiver}))
    nodes = {name: scope.add(name) for name in reading_order(part.nodes, part.layout)}
    outputs = [call(f"{receiver}.output", value(name), scope.output(text)) for name, text in part.interface.outputs.items()]
    inputs = [_input(receiver, name, item) for name, item in part.interface.inputs.items()]
    off = [value(name) for name, entry in part.nodes.items() if entry.disabled]
    kept = [call(f"{receiver}.keep", value(name), **item.apart) for name, item in nodes.items() if item.apart]
    if own := _own_fields(part):
        kept.append(call(f"{receiver}.keep", **own))

    rows = [
        laid_out(item.call, f"{scope.variables[name]} = " if name in scope.named else "", indent)
        for name, item in nodes.items()
    ]
    rows += [laid_out(call(f"{receiver}.disable", *off), indent=indent)] if off else []
    interface = [laid_out(item, indent=indent) for item in (*inputs, *outputs)]
    rest = [laid_out(item, indent=indent) for item in kept]
    groups = [group for group in (rows, interface, rest) if group]
    return [line for i, group in enumerate(groups) for line in (["", *group] if i else group)]


def _own_fields(part: Document | Subgraph) -> dict[str, Expression]:
    """The graph's own fields that no statement before has said."""
    said = _set_fields(part, but=("nodegraph", "id", "title", "file", "nodes", "interface", "subgraphs"))
    if part.interface.model_extra:
        said["interface"] = value(part.interface.model_extra)
    return said | _unknown_fields(part)


def _input(receiver: str, name: str, item: InterfaceInput) -> Bracketed:
    fields = {**_set_fields(item, but=("to",)), **_unknown_fields(item)}
    return call(f"{receiver}.input", value(name), *map(value, item.to), **fields)


def _set_fields(part: BaseModel, but: Collection[str]) -> dict[str, Expression]:
    """The fields of this version that the canonical text has."""
    names = [name for name in type(part).model_fields if name in part.model_fields_set and name not in but]
    data = part.model_dump(include=set(names), exclude_unset=True)
    return {name: value(data[name]) for name in names}


def _unknown_fields(part: BaseModel) -> dict[str, Expression]:
    return {name: value(item) for name, item in (part.model_extra or {}).items()}


@dataclass(frozen=True, slots=True)
class _Said:
    """A node as a call, and what has to be said apart from it, with `keep`."""

    call: Bracketed
    apart: Mapping[str, Expression]


@dataclass(slots=True)
class _Scope:
    """The graph that is being written: which nodes are there already, and which of them need a variable."""

    receiver: str
    nodes: Mapping[str, NodeEntry]
    types: NodeTypes
    variables: Mapping[str, str]
    written: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)

    def add(self, name: str) -> _Said:
        """A node; from here on it can be linked to by its variable."""
        entry = self.nodes[name]
        spec = self.types.specs.get(entry.type)
        extra = _set_fields(entry, but=("type", "version", "inputs", "links", "disabled")) | _unknown_fields(entry)
        if spec is not None:
            said = self._added(name, entry, spec)
        elif entry.type.startswith(SUBGRAPH):
            arguments, apart = self._open_arguments(entry)
            made = call(f"{self.receiver}.call", value(entry.type.removeprefix(SUBGRAPH)), value(name), **arguments)
            said = _Said(made, _with_version(entry, 1, apart))
        else:
            fields = {"version": value(entry.version)} if entry.version != 1 else {}
            fields |= {"inputs": value(entry.inputs)} if entry.inputs else {}
            fields |= {"links": self._links(entry.links)} if entry.links else {}
            said = _Said(call(f"{self.receiver}.place", value(entry.type), value(name), **fields), {})
        self.written.add(name)
        return _Said(said.call, {**said.apart, **extra})

    def _added(self, name: str, entry: NodeEntry, spec: NodeSpec) -> _Said:
        """A node whose type is installed, in a call of its function."""
        arguments: dict[str, Expression] = {}
        values, links = dict(entry.inputs), dict(entry.links)
        for item in spec.inputs:
            link, typed = links.get(item.name), item.name in values
            if link is not None and isinstance(link, list) == item.many:
                arguments[item.name] = self._link_or_links(links.pop(item.name))
            elif link is None and typed and _can_be_typed(item, values[item.name]):
                arguments[item.name] = value(values.pop(item.name))
        apart = self._apart(values, links)
        if spec.iterates:  # what it captures for its body is for the body to know
            known = spec.input_by_name
            captured = NodeEntry(
                type=entry.type,
                inputs={key: item for key, item in values.items() if key not in known},
                links={key: item for key, item in links.items() if key not in known},
            )
            more, _ = self._open_arguments(captured)
            arguments |= more
            apart = self._apart(
                {key: item for key, item in values.items() if key in known or key in links},
                {key: item for key, item in links.items() if key in known or item == []},
            )
        function = f"{self.types.aliases[spec.pack]}.{function_name(spec)}"
        made = call(f"{self.receiver}.add", function, value(name), **arguments)
        return _Said(made, _with_version(entry, spec.version, apart))

    def _open_arguments(self, entry: NodeEntry) -> tuple[dict[str, Expression], dict[str, Expression]]:
        """The arguments of a node that takes any: a link (or several) by its name, else the value; the rest apart."""
        arguments = {key: self._link_or_links(link) for key, link in entry.links.items() if link or isinstance(link, str)}
        arguments |= {key: value(item) for key, item in entry.inputs.items() if key not in entry.links}
        values = {key: item for key, item in entry.inputs.items() if key in entry.links}
        return arguments, self._apart(values, {key: link for key, link in entry.links.items() if link == []})

    def _apart(self, values: dict[str, Any], links: dict[str, str | list[str]]) -> dict[str, Expression]:
        apart = {"inputs": value(values)} if values else {}
        return apart | ({"links": self._links(links)} if links else {})

    # ---- links ----

    def link(self, text: str) -> Expression | None:
        """An output of a variable, or None where there is no such thing (yet)."""
        node, _, output = text.partition(".")
        if node not in self.written:
            return None
        spec = self.types.specs.get(self.nodes[node].type)
        known = None if spec is None or (spec.iterates and not spec.outputs) else spec.output_by_name
        if known is not None and output not in known:
            return None
        if known is None and (not is_name(output) or output.startswith("_")):
            return None
        self.named.add(node)
        variable = self.variables[node]
        return variable if known is not None and len(known) == 1 else f"{variable}.{output}"

    def output(self, text: str) -> Expression:
        return self.link(text) or value(text)

    def _link(self, text: str) -> Expression:
        return self.link(text) or call(f"{self.receiver}.link", value(text))

    def _link_or_links(self, link: str | list[str]) -> Expression:
        return listed(map(self._link, link)) if isinstance(link, list) else self._link(link)

    def _links(self, links: Mapping[str, str | list[str]]) -> Expression:
        return Bracketed("{", tuple((f"{literal(key)}: ", self._link_or_links(link)) for key, link in links.items()), "}")


def _can_be_typed(item: InputSpec, typed: Any) -> bool:
    """Whether `add` takes a value as it is: None means an input's default where it has one."""
    return not item.many and (typed is not None or item.required or item.type.kind == "optional")


def _with_version(entry: NodeEntry, usual: int, apart: dict[str, Expression]) -> dict[str, Expression]:
    return {"version": value(entry.version), **apart} if entry.version != usual else apart
