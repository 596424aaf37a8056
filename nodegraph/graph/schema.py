"""JSON Schema (2020-12) of a workflow as a function: what it takes and what it gives. Forms and the HTTP API read nothing else.

What JSON Schema has no word for begins with `x-`: group, order, type, step, reset (what a form goes back to), linked.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from nodegraph.graph.catalog import Catalog
from nodegraph.graph.compiling import outputs_of, validate
from nodegraph.graph.document import Document
from nodegraph.graph.interface import PublicInput, public_inputs
from nodegraph.graph.intersection import rebased
from nodegraph.sdk.errors import InvalidWorkflow
from nodegraph.sdk.typeexpr import TypeExpr
from nodegraph.sdk.values import MAX_SEED

DIALECT = "https://json-schema.org/draft/2020-12/schema"

Schema = dict[str, Any]


def inputs_schema(document: Document, catalog: Catalog) -> Schema:
    """The object of inputs that a workflow takes: exactly what `with_inputs` accepts, and what has to be given.

    `default` is the value used when an input is left out. Raises InvalidWorkflow for a workflow that could not run with them.
    """
    inputs = public_inputs(document, catalog)
    _check(document, catalog, inputs)
    missing = [name for name, item in inputs.items() if item.missing]
    return {
        **_head(document, "inputs"),
        "type": "object",
        "properties": {name: _property(item) for name, item in inputs.items()},
        **({"required": missing} if missing else {}),
        "additionalProperties": False,
    }


def outputs_schema(document: Document, catalog: Catalog) -> Schema:
    """The object of outputs that a run gives, in the form of `nodegraph run --json`: a list of rows for each.

    A row is a placed file, a JSON value, or the name of a type that is neither. Raises InvalidWorkflow as `inputs_schema` does.
    """
    _check(document, catalog, public_inputs(document, catalog))
    types = outputs_of(document, catalog).types
    outputs = document.interface.outputs
    found = {name: types.get((text.partition(".")[0], text.partition(".")[2])) for name, text in outputs.items()}
    properties = {name: _rows(expr, catalog) for name, expr in found.items()}
    return {**_head(document, "outputs"), "type": "object", "properties": properties}


def _check(document: Document, catalog: Catalog, inputs: dict[str, PublicInput]) -> None:
    """Nothing but what the caller gives may be missing. Raises InvalidWorkflow."""
    given = {place for item in inputs.values() for place in item.to}
    problems = [item for item in validate(document, catalog) if item.code != "missing_input" or item.place not in given]
    if problems:
        raise InvalidWorkflow(problems)


def _head(document: Document, what: str) -> Schema:
    head: Schema = {"$schema": DIALECT}
    if document.id:
        head["$id"] = f"urn:nodegraph:{quote(document.id, safe='', errors='replace')}:{what}"
    if title := document.title or document.id:
        head["title"] = title
    if document.description:
        head["description"] = document.description
    return head


def _property(item: PublicInput) -> Schema:
    pointer = quote(item.name.replace("~", "~0").replace("/", "~1"), safe="~", errors="replace")
    schema: Schema = rebased(item.spec.schema, f"#/properties/{pointer}")
    found: Schema = {"title": item.title} | ({"description": item.description} if item.description else {})
    found |= {name: part for name, part in schema.items() if name not in found}
    if item.linked:
        found["x-linked"] = item.linked
    elif not item.missing:
        found["default"] = item.value
    if not item.linked and not item.spec.required:
        found["x-reset"] = item.spec.default
    found |= {"x-type": str(item.spec.type), "x-order": item.order}
    if item.group:
        found["x-group"] = item.group
    if item.step is not None:
        found["x-step"] = item.step
    return found


_VALUES: dict[str, Schema] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
    "seed": {"type": "integer", "minimum": 0, "maximum": MAX_SEED},
    "color": {"type": "string", "format": "color"},
    "file": {"type": "string"},
    "folder": {"type": "string"},
    "secret": {"type": "string"},
}


def _value(expr: TypeExpr) -> Schema:
    """The schema of a JSON value of this type; {} where the type does not say."""
    match expr.kind:
        case "list":
            return {"type": "array", "items": _value(expr.item)}
        case "optional":
            return {"anyOf": [_value(expr.item), {"type": "null"}]}
        case "union":
            return {"anyOf": [_value(member) for member in expr.args]}
        case _:
            return {"type": "string"} if expr.name.startswith("model:") else _VALUES.get(expr.name, {})


def _rows(expr: TypeExpr | None, catalog: Catalog) -> Schema:
    """The rows that one output gives: one, or none for nothing; for a list of what is not JSON one for each."""
    if expr is None:
        return {"type": "array", "items": {"type": "object"}}
    bare = expr.item if expr.kind == "optional" else expr
    if bare.is_json:
        row = {"type": "object", "properties": {"value": _value(bare)}, "required": ["value"]}
        return {"type": "array", "items": row, "maxItems": 1, "x-type": str(expr)}
    inner = bare
    while inner.kind in ("list", "optional"):
        inner = inner.item
    if inner.kind == "socket" and inner.name in catalog.sockets and catalog.sockets[inner.name].saves:
        digest = {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"}
        row = {"type": "object", "properties": {"path": {"type": "string"}, "digest": digest}, "required": ["path", "digest"]}
    else:
        row = {"type": "object", "properties": {"type": {"type": "string"}}, "required": ["type"]}
    return {"type": "array", "items": row, **({} if bare.kind == "list" else {"maxItems": 1}), "x-type": str(expr)}
