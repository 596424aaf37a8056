"""`nodegraph show`: a workflow as plain lines, one for each value and link, so that line tools such as git's diff read well."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from nodegraph.api.documents import read_document, read_file
from nodegraph.artifacts.embed import format_of
from nodegraph.cli.show import DONE, refuse
from nodegraph.cli.wording import plain, value_text
from nodegraph.editing.shapes import DOCUMENT, INTERFACE, NODE, PUBLIC_INPUT, SUBGRAPH, refs_in
from nodegraph.graph import Document
from nodegraph.graph.document import SUBGRAPHS, to_json
from nodegraph.sdk.errors import InvalidWorkflow


def show_command(file: Path, with_layout: bool) -> int:
    """Print a workflow as lines. A file that cannot be read as one is printed as it is: what calls this is a filter."""
    try:
        data = read_file(file)
    except InvalidWorkflow as error:
        return refuse(error.problems, False, "This cannot be shown")
    kind = format_of(data)
    digest = f"{kind} picture, {len(data)} bytes, sha256 {sha256(data).hexdigest()}"
    try:
        lines = outline(read_document(file), with_layout)
        text = "".join(f"{line}\n" for line in ([digest, *lines] if kind else lines))
    except InvalidWorkflow:
        if not kind:
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
            return DONE
        text = f"{digest}\nno workflow inside\n"
    sys.stdout.buffer.write(text.encode())
    sys.stdout.flush()
    return DONE


def outline(document: Document, with_layout: bool = False) -> Iterator[str]:
    """A document's lines, in an order that moves as little as what they say."""
    yield from _graph(to_json(document), "", with_layout)


def _graph(graph: dict[str, Any], indent: str, with_layout: bool) -> Iterator[str]:
    for name in ("id", "title", "file"):
        if graph.get(name):
            yield f"{indent}{name} {value_text(graph[name], None)}"
    yield from _interface(graph.get("interface", {}), indent)
    for name, entry in graph.get("nodes", {}).items():
        yield from (f"{indent}{line}" for line in _node(name, entry))
    for name, inner in graph.get(SUBGRAPHS, {}).items():
        yield f"{indent}subgraph {name}"
        yield from _graph(inner, f"{indent}  ", with_layout)
    for part in ("lock", *(["layout"] if with_layout else [])):
        for name, value in graph.get(part, {}).items():
            inside = value.items() if isinstance(value, dict) else [("", value)]
            for key, item in inside:
                yield f"{indent}{part}.{plain(name)}{'.' if key else ''}{plain(key)} = {value_text(item, None)}"
    known = DOCUMENT.fields.keys() | SUBGRAPH.fields.keys() | {"nodegraph"}
    yield from (f"{indent}{plain(key)} = {value_text(graph[key], None)}" for key in graph if key not in known)


def _interface(interface: dict[str, Any], indent: str) -> Iterator[str]:
    for name, item in interface.get("inputs", {}).items():
        yield f"{indent}input {plain(name)} -> {', '.join(map(plain, item['to']))}"
        shown = [key for key in PUBLIC_INPUT.keys(item) if key != "to"]
        yield from (f"{indent}  {plain(key)} = {value_text(item[key], None)}" for key in shown)
    for name, ref in interface.get("outputs", {}).items():
        yield f"{indent}output {plain(name)} <- {plain(ref)}"
    rest = [key for key in interface if key not in INTERFACE.fields]
    yield from (f"{indent}interface.{plain(key)} = {value_text(interface[key], None)}" for key in rest)


def _node(name: str, entry: dict[str, Any]) -> Iterator[str]:
    version = f" version {entry['version']}" if entry["version"] != 1 else ""
    yield f"node {name}: {plain(entry['type'])}{version}{' (disabled)' if entry.get('disabled') else ''}"
    rest = {key: value for key, value in entry.items() if key not in NODE.fields}
    inputs, links = entry.get("inputs", {}), entry.get("links", {})
    for key in sorted({*inputs, *links}):
        if key in inputs:
            yield from _value(f"  {name}.{plain(key)}", inputs[key])
        if key in links:
            many = isinstance(links[key], list)
            refs = ", ".join(map(plain, refs_in(links[key])))
            yield f"  {name}.{plain(key)} <- {f'[{refs}]' if many else refs}"
    yield from (f"  {name} {plain(key)} = {value_text(value, None)}" for key, value in rest.items())


def _value(place: str, value: Any) -> Iterator[str]:
    """A value in one line; a text of several lines in as many, so that one that changed is one line of difference."""
    if not isinstance(value, str) or "\n" not in value:
        yield f"{place} = {value_text(value, None)}"
        return
    yield f"{place} ="
    yield from (f"    | {plain(line)}" for line in value.split("\n"))
