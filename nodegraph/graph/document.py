"""The workflow document: one JSON file that people, scripts and the editor share.

Values and links live apart and by name. What this version does not know (fields, node types) is kept and written back.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nodegraph.graph.canonical import pretty
from nodegraph.graph.formats import FORMAT, upgraded
from nodegraph.graph.opening import decoded, read_bytes
from nodegraph.graph.reading import read_json
from nodegraph.sdk.builder import NODE_ID
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.sdk.writing import write_atomically

SUBGRAPHS = "subgraphs"
"""How problems name a place in a subgraph: `subgraphs.NAME/node`."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class NodeEntry(_Part):
    """A node as written: `inputs` are typed values, `links` name outputs (`node.output`), a list of them where many fit."""

    type: str
    version: int = 1
    inputs: dict[str, Any] = Field(default_factory=dict)
    links: dict[str, str | list[str]] = Field(default_factory=dict)
    disabled: bool = False


class InterfaceInput(_Part):
    """A public input: it sets every `node.input` in `to`.

    Inputs are shown in the order of the file, those of one `group` together. `minimum`, `maximum`, `step` and `choices` may
    only narrow what the nodes take. `default` is what a form goes back to, and what a subgraph uses that is given nothing. With
    `as_list` a subgraph takes a list where its node takes one: that node runs per item, and what reads it sees the whole list.
    """

    to: list[str]
    title: str = ""
    description: str = ""
    group: str = ""
    as_list: bool = False
    default: Any = None
    minimum: int | float | None = None
    maximum: int | float | None = None
    step: int | float | None = None
    choices: list[Any] | None = None


INPUT_RULES = ("default", "minimum", "maximum", "step", "choices")
"""What an interface input may say of its values, beyond what the nodes say."""


class Interface(_Part):
    """What makes a workflow a function: named inputs and outputs."""

    inputs: dict[str, InterfaceInput] = Field(default_factory=dict)
    outputs: dict[str, str] = Field(default_factory=dict)


class Subgraph(_Part):
    """A workflow under a name: a node of the type `subgraph/NAME`, or what nodes that iterate run once per round.

    It lies inside the document, or (`file`) in a workflow file of its own.
    """

    title: str = ""
    description: str = ""
    file: str = ""
    nodes: dict[str, NodeEntry] = Field(default_factory=dict)
    interface: Interface = Field(default_factory=Interface)
    layout: dict[str, Any] = Field(default_factory=dict)


class PackSource(_Part):
    """The distribution that a pack was installed with when the document was saved."""

    distribution: str
    version: str = ""


class Document(_Part):
    """A workflow document, format 1."""

    nodegraph: Literal[1] = 1
    id: str = ""
    title: str = ""
    description: str = ""
    nodes: dict[str, NodeEntry] = Field(default_factory=dict)
    interface: Interface = Field(default_factory=Interface)
    subgraphs: dict[str, Subgraph] = Field(default_factory=dict)
    packs: dict[str, PackSource] = Field(default_factory=dict)
    layout: dict[str, Any] = Field(default_factory=dict)
    lock: dict[str, Any] = Field(default_factory=dict)


def parse_document(text: str) -> Document:
    """Read a document. Raises InvalidWorkflow: with line and column for broken JSON, else with every misshapen part."""
    return document_from(read_json(text))


def document_from(data: Any) -> Document:
    """A document from parsed JSON. Raises InvalidWorkflow with every misshapen part."""
    if not isinstance(data, dict) or not isinstance(data.get("nodes"), dict):
        hint = 'A workflow is a JSON object with "nodegraph": 1 and "nodes".'
        if isinstance(data, dict) and ("last_node_id" in data or any(_is_comfy_node(node) for node in data.values())):
            hint = "This looks like a ComfyUI workflow: nodegraph import FILE makes a nodegraph workflow of it."
        raise InvalidWorkflow([Problem("bad_document", "This JSON is not a nodegraph workflow.", hint=hint)])
    data = upgraded(data)
    try:
        document = Document.model_validate(data)
    except ValidationError as error:
        raise InvalidWorkflow(_shape_problems(error)) from None
    problems = [_bad_id(name, name, "node id") for name in document.nodes if not NODE_ID.match(name)]
    for title, subgraph in document.subgraphs.items():
        if not NODE_ID.match(title):
            problems.append(_bad_id(title, f"{SUBGRAPHS}.{title}", "name for a subgraph"))
        inner = [name for name in subgraph.nodes if not NODE_ID.match(name)]
        problems += [_bad_id(name, f"{SUBGRAPHS}.{title}/{name}", "node id") for name in inner]
    if problems:
        raise InvalidWorkflow(problems)
    return document


def _bad_id(name: str, place: str, what: str) -> Problem:
    expected = "letters, digits, _ and -, not starting with a digit"
    return Problem("bad_id", f"This {what} cannot be used.", place, None, expected, repr(name))


def _is_comfy_node(node: Any) -> bool:
    return isinstance(node, dict) and "class_type" in node


_SHAPES = {
    "dict_type": "an object",
    "model_type": "an object",
    "list_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
}


def _shape_problems(error: ValidationError) -> list[Problem]:
    """One problem per misshapen part, in our words; what a part may be instead is joined."""
    found: dict[tuple[str | None, str], Problem] = {}
    for item in error.errors():
        place = [str(part) for part in item["loc"] if part not in ("str", "list[str]", "int", "float")]
        node, path = _placed(place)
        if item["type"] == "missing":
            found[node, path] = Problem("bad_document", f"{path} is missing.", node)
            continue
        expected, before = _SHAPES.get(item["type"], item["msg"]), found.get((node, path))
        if before is not None:
            expected = f"{before.expected} or {expected}"
        message = f"{path or 'The node'} has the wrong form."
        found[node, path] = Problem("bad_document", message, node, None, expected, _shortened(item["input"]))
    return list(found.values())


def _placed(place: list[str]) -> tuple[str | None, str]:
    """The node that a place in a document lies in, and the way from there."""
    if place[0] == "nodes" and len(place) > 1:
        return place[1], ".".join(place[2:])
    if place[0] == SUBGRAPHS and len(place) > 1:
        subgraph, inner = f"{SUBGRAPHS}.{place[1]}", place[2:]
        if len(inner) > 1 and inner[0] == "nodes":
            return f"{subgraph}/{inner[1]}", ".".join(inner[2:])
        return subgraph, ".".join(inner)
    return None, ".".join(place)


def _shortened(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) < 60 else text[:57] + "..."


def to_json(document: Document) -> dict[str, Any]:
    """The document as canonical JSON data: fixed field order, nodes and names sorted, empty parts and defaults left out."""
    known = {
        "id": document.id,
        "title": document.title,
        "description": document.description,
        "nodes": _nodes_json(document.nodes),
        "interface": _interface_json(document.interface),
        "subgraphs": {name: _subgraph_json(document.subgraphs[name]) for name in sorted(document.subgraphs)},
        "packs": {name: _pack_json(document.packs[name]) for name in sorted(document.packs)},
        "layout": _sorted(document.layout),
        "lock": _sorted(document.lock),
    }
    return {"nodegraph": FORMAT} | _filled(known, but="nodes") | _extra(document)


def _pack_json(source: PackSource) -> dict[str, Any]:
    return _filled({"distribution": source.distribution, "version": source.version}, but="distribution") | _extra(source)


def _subgraph_json(subgraph: Subgraph) -> dict[str, Any]:
    known = {
        "title": subgraph.title,
        "description": subgraph.description,
        "file": subgraph.file,
        "nodes": _nodes_json(subgraph.nodes),
        "interface": _interface_json(subgraph.interface),
        "layout": _sorted(subgraph.layout),
    }
    return _filled(known) | _extra(subgraph)


def _nodes_json(nodes: dict[str, NodeEntry]) -> dict[str, Any]:
    return {name: _node_json(nodes[name]) for name in sorted(nodes)}


def _interface_json(interface: Interface) -> dict[str, Any]:
    inputs = {name: _input_json(item) for name, item in interface.inputs.items()}
    return _filled({"inputs": inputs, "outputs": interface.outputs}) | _extra(interface)


def _node_json(node: NodeEntry) -> dict[str, Any]:
    data: dict[str, Any] = {"type": node.type, "version": node.version}
    if node.inputs:
        data["inputs"] = _sorted(node.inputs)
    if node.links:
        data["links"] = _sorted(node.links)
    if node.disabled:
        data["disabled"] = True
    return data | _extra(node)


def _input_json(item: InterfaceInput) -> dict[str, Any]:
    known: dict[str, Any] = {"to": item.to, "title": item.title, "description": item.description}
    known |= {"group": item.group, "as_list": item.as_list}
    rules = {name: _sorted(getattr(item, name)) for name in INPUT_RULES if name in item.model_fields_set}
    return _filled(known, but="to") | rules | _extra(item)


def _filled(parts: dict[str, Any], but: str = "") -> dict[str, Any]:
    """What is not empty; the part called `but` stays in any case."""
    return {name: part for name, part in parts.items() if part or name == but}


def _extra(part: _Part) -> dict[str, Any]:
    """The fields that this version does not know, as they were."""
    extra: dict[str, Any] = _sorted(part.model_extra or {})
    return extra


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def dump_document(document: Document) -> str:
    """The document's canonical text: saving what was loaded changes nothing but the spelling, saving twice nothing at all."""
    return pretty(to_json(document)) + "\n"


def load_document(path: Path) -> Document:
    """Read a document from a file. Raises InvalidWorkflow, also when there is no such file or it is not text."""
    return parse_document(decoded(read_bytes(path), path))


def save_document(document: Document, path: Path) -> None:
    """Write a document whole or not at all: temporary file, fsync, rename."""
    write_atomically(path, dump_document(document).encode())
