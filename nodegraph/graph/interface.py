"""A workflow as a function: its public inputs with their types, and setting them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nodegraph.graph.catalog import Catalog
from nodegraph.graph.document import Document
from nodegraph.graph.subgraphs import Subgraphs
from nodegraph.graph.values import BadValue, accept
from nodegraph.sdk.errors import InvalidWorkflow, Problem, nearest
from nodegraph.sdk.spec import InputSpec


@dataclass(frozen=True, slots=True)
class PublicInput:
    """One public input: the `node.input`s it sets, the spec of the first of them, and the value it has now."""

    name: str
    to: tuple[str, ...]
    spec: InputSpec
    value: Any
    title: str
    description: str


def public_inputs(document: Document, catalog: Catalog) -> dict[str, PublicInput]:
    """The interface's inputs in their order. Those whose node type is unknown are left out (validation reports them)."""
    found: dict[str, PublicInput] = {}
    subgraphs = Subgraphs(document.subgraphs, catalog)
    for name, item in document.interface.inputs.items():
        for text in item.to[:1]:
            node, _, key = text.partition(".")
            entry = document.nodes.get(node)
            known = subgraphs.spec_of(entry) if entry else None
            spec = known.input_by_name.get(key) if known else None
            if entry is not None and spec is not None and spec.schema is not None:
                value = entry.inputs.get(key, spec.default)
                title, text = item.title or spec.title, item.description or spec.description
                found[name] = PublicInput(name, tuple(item.to), spec, value, title, text)
    return found


def with_inputs(document: Document, catalog: Catalog, values: Mapping[str, Any]) -> Document:
    """A copy of the document with public inputs set. Raises InvalidWorkflow for unknown names and values that do not fit."""
    known = public_inputs(document, catalog)
    problems: list[Problem] = []
    changed = document.model_copy(update={"nodes": dict(document.nodes)})
    for name, value in values.items():
        item = known.get(name)
        if item is None:
            hint = nearest(name, known, "It has") or "It has no inputs."
            problems.append(Problem("no_such_input", f"This workflow has no input {name!r}.", hint=hint))
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
