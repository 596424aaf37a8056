"""JSON Schema of workflow files, made from the models of the document and what those do not say.

It is stricter than reading in one thing: a link that names no output is refused here, and by `validate`, but can be opened.
What is wrong with a file as text (a name that stands twice, NaN, numbers too large, half characters, nesting too deep) no
schema can say, nor that a version must not be written as 1.0.
"""

from __future__ import annotations

from typing import Any

from nodegraph.graph.document import Document

Schema = dict[str, Any]

SCHEMA_ID = "urn:nodegraph:workflow:1"
_ID = "^[A-Za-z_][A-Za-z0-9_-]*$(?!\\n)"  # in Python `$` also matches before a last line break
_REFERENCE = "^[A-Za-z_][A-Za-z0-9_-]*[.]."

WORDS: dict[str, dict[str, str]] = {
    "Document": {
        "nodegraph": "The version of the format. Files of a newer one are refused.",
        "id": "A name for this workflow that stays when the title changes; past runs are remembered under it.",
        "title": "The workflow's name, for people.",
        "description": "What it is for, in a sentence or two.",
        "nodes": "The nodes by id: letters, digits, _ and -, not starting with a digit.",
        "interface": "What makes the workflow a function: command-line options, form, subgraph sockets.",
        "subgraphs": "Workflows inside this one, by name: a node of the type `subgraph/NAME` is one, loops name one as body.",
        "packs": "Where the packs of its nodes come from, those that come with nodegraph left out. Written when it is saved.",
        "layout": "How the editor draws it. It never changes a result.",
        "lock": "What its results depend on besides itself: packs, models, input files, device. Written by `run --lock`.",
    },
    "PackSource": {
        "distribution": "What brings the pack: the name that pip installs.",
        "version": "The version that was there when the workflow was saved.",
    },
    "NodeEntry": {
        "type": "The node type: `pack/name`, or `subgraph/NAME` for a subgraph of this document.",
        "version": "The version of the node type that this entry was written for.",
        "inputs": "Typed values by input. One that is linked too is not used, and stays for the day when the link is removed.",
        "links": "Links by input: the output that it comes from, `node.output`; a list of them where an input takes many.",
        "disabled": "Switched off: its first input of a matching type is passed through, else what needs it is off too.",
    },
    "Interface": {
        "inputs": "Public inputs by name, in the order in which forms and the command line show them.",
        "outputs": "Public outputs by name: the `node.output` that each comes from.",
    },
    "InterfaceInput": {
        "to": "The `node.input`s that it sets, all to the same value.",
        "title": "Its name in forms; without one, that of the node's input.",
        "description": "One sentence on what it does; without one, that of the node's input.",
        "group": "The heading under which it is shown, together with the others of that group.",
        "as_list": "A subgraph takes a list here where its node takes one: the node runs once per item.",
        "default": "What a form goes back to, and what a subgraph uses that is given nothing. A run uses what `inputs` hold.",
        "minimum": "The smallest number that may be set here; in lists, of each item. Not below what the nodes take.",
        "maximum": "The largest number that may be set here; in lists, of each item. Not above what the nodes take.",
        "step": "How far one click of a form goes. Values between are taken all the same.",
        "choices": "The only values that may be set here; in lists, of each item. Nothing (null) stays allowed where it is.",
    },
    "Subgraph": {
        "title": "Its name, for people.",
        "description": "What it does, in a sentence or two.",
        "file": "A workflow file that is used in place of nodes, named from this file or below the workflow folders.",
        "nodes": "The nodes inside, by id.",
        "interface": "What it takes and gives: the sockets of the nodes that are this subgraph.",
        "layout": "How the editor draws it.",
    },
}
"""What each field is for. A field without words is a fault that the tests find."""


def document_schema() -> Schema:
    """The JSON Schema (2020-12) of workflow files."""
    made = Document.model_json_schema()
    parts: dict[str, Schema] = made.pop("$defs")
    parts["Document"] = made
    for name, part in parts.items():
        _say(part, WORDS.get(name, {}))
    ids, reference = {"pattern": _ID}, {"type": "string", "pattern": _REFERENCE}
    for name in ("Document", "Subgraph"):
        parts[name]["properties"]["nodes"]["propertyNames"] = ids
    made["properties"]["subgraphs"]["propertyNames"] = ids
    made["required"] = ["nodes"]
    parts["NodeEntry"]["properties"]["links"]["additionalProperties"] = {
        "anyOf": [reference, {"type": "array", "items": reference}]
    }
    parts["Interface"]["properties"]["outputs"]["additionalProperties"] = reference
    parts["InterfaceInput"]["properties"]["to"]["items"] = reference
    del parts["Document"]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SCHEMA_ID, "title": "nodegraph workflow"}
    return head | {name: part for name, part in made.items() if name != "title"} | {"$defs": parts}


def _say(part: Schema, words: dict[str, str]) -> None:
    """Put words to a model and its fields, in place of the titles that pydantic makes from their names."""
    part.pop("title")
    part["description"] = " ".join(part["description"].split())
    for name, field in part["properties"].items():
        field.pop("title", None)
        if field.get("default", "") is None:
            del field["default"]
        if name in words:
            field["description"] = words[name]
