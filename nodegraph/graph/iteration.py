"""Nodes that run subgraphs, once or once per round: their sockets follow from the subgraph's interface.

A captured value is any input of the body that no round sets: it becomes an input of the node, the same for every round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.errors import Problem, nearest
from nodegraph.sdk.spec import InputSpec, NodeSpec, OutputSpec
from nodegraph.sdk.typeexpr import TypeExpr

MOST_ROUNDS = 10_000
"""No loop does more, whatever its limit says."""

COUNT, STATE, GO_ON = "$count", "$state", "$go_on"
"""What the nodes wait for that carry a loop on: how many rounds there are or were, and what the last one gave."""


@dataclass(frozen=True, slots=True)
class Form:
    """One way to iterate: what each round sets and gives (inputs and outputs of the body), and the node's own inputs."""

    sets: tuple[str, ...]
    gives: tuple[str, ...]
    own: tuple[str, ...]


FORMS: Mapping[str, Form] = {
    "map": Form(("item",), (), ("items",)),
    "fold": Form(("state", "item"), ("state",), ("items", "initial")),
    "while": Form(("state",), ("state", "go_on"), ("initial",)),
    "once": Form((), (), ()),
}


def misfits(spec: NodeSpec, body: str, inputs: Mapping[str, object], outputs: Mapping[str, object]) -> list[Problem]:
    """Why a subgraph with this interface cannot be the body of such a node."""
    form, found = FORMS[spec.iterates], []

    def report(message: str, hint: str) -> None:
        found.append(Problem("bad_body", message, None, "body", hint=hint or None))

    for name in form.sets:
        if name not in inputs:
            report(
                f"The subgraph {body!r} has no interface input {name!r}, which {spec.id} sets in every round.", _names(inputs)
            )
    for name in form.gives:
        if name not in outputs:
            report(f"The subgraph {body!r} has no interface output {name!r}, which {spec.id} needs.", _names(outputs))
    if not form.gives and not outputs:
        report(f"The subgraph {body!r} has no interface outputs.", f"{spec.id} gives a list for every output of its body.")
    for name in ("body", "limit", *form.own):
        if name in inputs:
            report(f"The subgraph {body!r} has an interface input {name!r}, but {spec.id} has one of that name.", "Rename it.")
    return found


def _names(known: Mapping[str, object]) -> str:
    return nearest("", known, "It has") or "It has none."


def specialised(spec: NodeSpec, inputs: Mapping[str, InputSpec], outputs: Mapping[str, str]) -> NodeSpec:
    """The node's real sockets, for a body with this interface. What a map gives has a type once the body is compiled."""
    form = FORMS[spec.iterates]
    own = [item for item in spec.inputs if item.name in ("body", "limit")]
    own += [_items(inputs["item"]) if name == "items" else _initial(inputs["state"]) for name in form.own]
    if spec.iterates == "once":
        given = [OutputSpec(name, te.var(f"{name} of {text}")) for name, text in outputs.items()]
        return replace(spec, inputs=tuple(inputs.values()), outputs=tuple(given))
    captured = [item for name, item in inputs.items() if name not in (*form.sets, "index")]
    if spec.iterates == "map":
        given = [OutputSpec(name, te.list_of(te.var(f"{name} of {text}"))) for name, text in outputs.items()]
    else:
        given = [OutputSpec("state", bare(inputs["state"].type))]
    if spec.iterates == "while":
        given.append(OutputSpec("rounds", te.value("int"), "How many rounds were done."))
    return replace(spec, inputs=(*own, *captured), outputs=tuple(given))


def _items(item: InputSpec) -> InputSpec:
    """The list of what the rounds take one by one. Files are counted by their content, so a list of names cannot be typed."""
    schema = {"type": "array", "items": item.schema} if item.schema is not None and not item.file else None
    return InputSpec("items", te.list_of(bare(item.type)), True, schema=schema, title="Items", description=item.description)


def _initial(state: InputSpec) -> InputSpec:
    return replace(state, name="initial", title="Initial", many=False, lazy=False)


def bare(expr: TypeExpr) -> TypeExpr:
    """What an input takes when it is given something."""
    return expr.item if expr.kind == "optional" else expr


def set_by_rounds(spec: NodeSpec, types: Mapping[str, TypeExpr]) -> dict[str, TypeExpr]:
    """What every round sets in the body, with the types that the node's own inputs have: `index` always, `item`, `state`."""
    if spec.iterates == "once":
        return {}
    own = {"item": "items", "state": "initial"}
    found = {name: bare(types[own[name]]) for name in FORMS[spec.iterates].sets}
    return {name: expr.item if name == "item" else expr for name, expr in found.items()} | {"index": te.value("int")}
