"""Nodes that become other nodes: composites, loops, and nodes mapped over lists. Pure functions from a node to its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nodegraph.engine.calls import spread
from nodegraph.engine.iterate import iterate
from nodegraph.engine.library import Library
from nodegraph.engine.parts import Parts
from nodegraph.graph.compiling import compile_fragment
from nodegraph.graph.document import Document, NodeEntry
from nodegraph.graph.links import OUTER
from nodegraph.graph.plan import PlanLink, PlanNode
from nodegraph.graph.stamping import joined
from nodegraph.sdk.builder import GraphBuilder, Link
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, Problem
from nodegraph.sdk.typeexpr import TypeExpr

__all__ = ["Parts", "expand", "map_over"]


def map_over(node: PlanNode, lengths: Mapping[PlanLink, int], base: int) -> Parts:
    """One node per item: lists zip, a list of one goes with every item. Where items are lists again, so are the nodes mapped.

    `lengths` has the links that bring lists, `base` is the index of the first new node.

    Raises NodeError when lists of different lengths meet.
    """
    counts = {count for count in lengths.values() if count != 1}
    if len(counts) > 1:
        got = ", ".join(f"{link.input}: {count}" for link, count in lengths.items())
        raise NodeError("Lists of different lengths meet here.", expected="equal lengths, or one item", got=got)
    size = counts.pop() if counts else 1
    nodes = []
    for i in range(size):
        links = tuple(_unmapped(link, 0 if lengths[link] == 1 else i) if link in lengths else link for link in node.links)
        mapped = any(link.mode == "map" for link in links)
        nodes.append(PlanNode(f"{node.id}[{i}]", node.spec, node.values, links, mapped, node.iteration))
    names = [output.name for output in node.spec.outputs]
    return Parts(nodes, {name: [PlanLink(name, base + i, name) for i in range(size)] for name in names})


def _unmapped(link: PlanLink, i: int) -> PlanLink:
    if link.mode == "map" and link.depth > 1:
        return link._replace(item=(*link.item, i), depth=link.depth - 1)
    return link._replace(mode="direct", item=link.item if link.mode == "one" else (*link.item, i))


def expand(node: PlanNode, values: Mapping[str, Any], library: Library, base: int) -> Parts:
    """The inside of a composite, or the next rounds of a loop, whose typed and linked JSON values are known.

    Raises NodeError for the user's mistakes, InvalidWorkflow when the composite's author built something that does not fit.
    """
    if node.iteration is not None:
        return iterate(node, node.iteration, values, base)
    function = library.node(node.spec.id)
    builder = GraphBuilder()
    outer_links: dict[str, PlanLink] = {}
    variadic: list[Link[Any]] = []
    for link in node.links:
        if link.input not in values:
            name = f"{link.input}[{len(variadic)}]" if link.many else link.input
            outer_links[name] = link
            if link.many:
                variadic.append(Link(builder, "", name))
    convert = function.converters
    arguments: dict[str, Any] = {}
    for spec in node.spec.inputs:
        if spec.many:
            arguments[spec.name] = values.get(spec.name, variadic)
        elif spec.name in outer_links:
            arguments[spec.name] = Link(builder, "", spec.name)
        else:
            value = values.get(spec.name)
            arguments[spec.name] = convert[spec.name](value) if spec.name in convert and value is not None else value
    if function.builder_parameter is not None:
        arguments[function.builder_parameter] = builder
    first, named = spread(function, arguments)
    returned = function.function(*first, **named)

    document = Document(nodes={name: _entry(item, library) for name, item in builder.nodes.items()})
    outer = {name: _inside(node.spec.input_by_name[link.input].type) for name, link in outer_links.items()}
    try:
        plan = compile_fragment(document, library.catalog, outer)
    except InvalidWorkflow as error:
        raise InvalidWorkflow([_placed(problem, node.id) for problem in error.problems]) from None
    outers = [outer_links[name] for name in outer]
    nodes = [
        PlanNode(
            f"{node.id}/{part.id}",
            part.spec,
            part.values,
            tuple(_shift(link, base, outers) for link in part.links),
            part.mapped,
            part.iteration,
        )
        for part in plan.nodes
    ]
    given = list(returned) if isinstance(returned, tuple) else [returned]
    if len(given) != len(node.spec.outputs) or not all(map(_is_linked, given)):
        raise TypeError(f"{node.spec.id} should return {len(node.spec.outputs)} links, it returned {returned!r}")

    def placed(output: str, link: Link[Any]) -> PlanLink:
        return PlanLink(output, base + plan.index[link.node], link.output) if link.node else outer_links[link.output]

    outputs: dict[str, PlanLink | list[PlanLink]] = {}
    for output, made in zip(node.spec.outputs, given, strict=True):
        many = isinstance(made, list)
        outputs[output.name] = [placed(output.name, link) for link in made] if many else placed(output.name, made)
    return Parts(nodes, outputs)


def _is_linked(made: Any) -> bool:
    """Whether an output is what a composite may give: a link, or for a list a list of links to its items."""
    return isinstance(made, Link) or (isinstance(made, list) and all(isinstance(link, Link) for link in made))


def _inside(expr: TypeExpr) -> TypeExpr:
    return expr.item if expr.kind == "optional" else expr


def _entry(built: Any, library: Library) -> NodeEntry:
    links: dict[str, str | list[str]] = {
        name: [_text(item) for item in link] if isinstance(link, tuple) else _text(link) for name, link in built.links.items()
    }
    type_id = library.id_of(built.node)
    return NodeEntry(type=type_id, version=built.node.version, inputs=dict(built.values), links=links)


def _text(link: Link[Any]) -> str:
    return f"{link.node or OUTER}.{link.output}"


def _placed(problem: Problem, outer: str) -> Problem:
    data = problem.to_json() | {"node": f"{outer}/{problem.node}" if problem.node else outer}
    return Problem(**data)  # type: ignore[arg-type]


def _shift(link: PlanLink, base: int, outers: list[PlanLink]) -> PlanLink:
    """An inner link with its index in the run's plan; one that comes from outside takes the outer link's source."""
    if link.source >= 0:
        return link._replace(source=base + link.source)
    return joined(link, outers[-1 - link.source])
