"""The workflow document: one JSON file that people, scripts and the editor share.

Values and links live apart and by name. What this version does not know (fields, node types) is kept and written back.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nodegraph.graph.canonical import pretty
from nodegraph.sdk.builder import NODE_ID
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.sdk.writing import write_atomically

FORMAT = 1
DEEPEST = 100
"""How far a document's lists and objects may nest: everything that walks through it may recurse."""
NEWER = "It was saved by a newer nodegraph. Update to open it."


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
    """A public input: it sets every `node.input` in `to`."""

    to: list[str]
    title: str = ""
    description: str = ""


class Interface(_Part):
    """What makes a workflow a function: named inputs and outputs."""

    inputs: dict[str, InterfaceInput] = Field(default_factory=dict)
    outputs: dict[str, str] = Field(default_factory=dict)


class Document(_Part):
    """A workflow document, format 1."""

    nodegraph: Literal[1] = 1
    id: str = ""
    title: str = ""
    nodes: dict[str, NodeEntry] = Field(default_factory=dict)
    interface: Interface = Field(default_factory=Interface)
    subgraphs: dict[str, Any] = Field(default_factory=dict)
    layout: dict[str, Any] = Field(default_factory=dict)
    lock: dict[str, Any] = Field(default_factory=dict)


def parse_document(text: str) -> Document:
    """Read a document. Raises InvalidWorkflow: with line and column for broken JSON, else with every misshapen part."""
    try:
        data = json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite)
        if _SURROGATE.search(text):
            json.dumps(data, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        hint = "The file is empty." if not text.strip() else "Check for a missing or extra comma, quote or bracket there."
        problem = Problem("bad_json", f"This is not JSON: {error.msg}.", line=error.lineno, column=error.colno, hint=hint)
        raise InvalidWorkflow([problem]) from None
    except UnicodeEncodeError:
        message = "A text holds half a character (a lone \\ud800 to \\udfff escape)."
        raise InvalidWorkflow([Problem("bad_json", message)]) from None
    except (_DuplicateKey, ValueError) as error:
        raise InvalidWorkflow([Problem("bad_json", str(error))]) from None
    except RecursionError:
        raise InvalidWorkflow([_TOO_DEEP]) from None
    if text.count("[") + text.count("{") > DEEPEST and _deeper_than(data, DEEPEST):
        raise InvalidWorkflow([_TOO_DEEP])
    return document_from(data)


def document_from(data: Any) -> Document:
    """A document from parsed JSON. Raises InvalidWorkflow with every misshapen part."""
    if not isinstance(data, dict) or not isinstance(data.get("nodes"), dict):
        hint = 'A workflow is a JSON object with "nodegraph": 1 and "nodes".'
        if isinstance(data, dict) and ("last_node_id" in data or any(_is_comfy_node(node) for node in data.values())):
            hint = "This looks like a ComfyUI workflow; nodegraph documents have another format."
        raise InvalidWorkflow([Problem("bad_document", "This JSON is not a nodegraph workflow.", hint=hint)])
    if data.get("nodegraph", FORMAT) != FORMAT or data.get("nodegraph") is True:
        got = json.dumps(data["nodegraph"])
        newer = isinstance(data["nodegraph"], int) and data["nodegraph"] > FORMAT
        problem = Problem(
            "bad_document", "The format version is unknown.", expected='"nodegraph": 1', got=got, hint=NEWER if newer else None
        )
        raise InvalidWorkflow([problem])
    try:
        document = Document.model_validate(data)
    except ValidationError as error:
        raise InvalidWorkflow(_shape_problems(error)) from None
    bad = [name for name in document.nodes if not NODE_ID.match(name)]
    if bad:
        expected = "letters, digits, _ and -, not starting with a digit"
        raise InvalidWorkflow(
            [Problem("bad_id", "This node id cannot be used.", name, None, expected, repr(name)) for name in bad]
        )
    return document


class _DuplicateKey(Exception):
    pass


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TOO_DEEP = Problem("bad_json", f"The JSON is nested too deeply to be a workflow: more than {DEEPEST} levels.")


def _deeper_than(data: Any, levels: int) -> bool:
    """Whether lists and objects nest deeper than so many levels; never recursive itself."""
    level = [data]
    for _ in range(levels + 1):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (dict, list))
        ]
    return bool(level)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text} is too large for a number.")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _DuplicateKey(f"The name {twice!r} stands twice in one JSON object; one of the two would be lost.")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number.")


def _is_comfy_node(node: Any) -> bool:
    return isinstance(node, dict) and "class_type" in node


_SHAPES = {
    "dict_type": "an object",
    "model_type": "an object",
    "list_type": "a list",
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
}


def _shape_problems(error: ValidationError) -> list[Problem]:
    """One problem per misshapen part, in our words; what a part may be instead is joined."""
    found: dict[tuple[str | None, str], Problem] = {}
    for item in error.errors():
        place = [str(part) for part in item["loc"] if part not in ("str", "list[str]")]
        node = place[1] if len(place) > 1 and place[0] == "nodes" else None
        path = ".".join(place[2:] if node else place)
        if item["type"] == "missing":
            found[node, path] = Problem("bad_document", f"{path} is missing.", node)
            continue
        expected, before = _SHAPES.get(item["type"], item["msg"]), found.get((node, path))
        if before is not None:
            expected = f"{before.expected} or {expected}"
        message = f"{path or 'The node'} has the wrong form."
        found[node, path] = Problem("bad_document", message, node, None, expected, _shortened(item["input"]))
    return list(found.values())


def _shortened(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) < 60 else text[:57] + "..."


def to_json(document: Document) -> dict[str, Any]:
    """The document as canonical JSON data: fixed field order, nodes and names sorted, empty parts and defaults left out."""
    nodes = {name: _node_json(document.nodes[name]) for name in sorted(document.nodes)}
    interface = {
        "inputs": {name: _input_json(item) for name, item in document.interface.inputs.items()},
        "outputs": document.interface.outputs,
    }
    known = {
        "id": document.id,
        "title": document.title,
        "nodes": nodes,
        "interface": _filled(interface) | _extra(document.interface),
        "subgraphs": _sorted(document.subgraphs),
        "layout": _sorted(document.layout),
        "lock": _sorted(document.lock),
    }
    return {"nodegraph": FORMAT} | _filled(known, but="nodes") | _extra(document)


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
    known = {"to": item.to, "title": item.title, "description": item.description}
    return _filled(known, but="to") | _extra(item)


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
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise InvalidWorkflow([Problem("no_file", f"There is no file {path}.")]) from None
    except UnicodeDecodeError as error:
        raise InvalidWorkflow([Problem("bad_json", f"{path} is not UTF-8 text (byte {error.start}).")]) from None
    except OSError as error:
        raise InvalidWorkflow([Problem("no_file", f"{path} cannot be read: {error.strerror}.")]) from None
    return parse_document(text)


def save_document(document: Document, path: Path) -> None:
    """Write a document whole or not at all: temporary file, fsync, rename."""
    write_atomically(path, dump_document(document).encode())
