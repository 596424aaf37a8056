"""From a run's values to files: artifacts get the workflow inside and a place in the output folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nodegraph.artifacts import embed, place
from nodegraph.engine import Library, RunOutput
from nodegraph.graph import Document, dump_document, used_inputs
from nodegraph.graph.values import shown
from nodegraph.sdk.socket import Artifact
from nodegraph.sdk.typeexpr import TypeExpr


def save_outputs(
    outputs: Iterable[RunOutput], document: Document, library: Library, folder: Path
) -> dict[str, list[dict[str, Any]]]:
    """Put every output that can be a file below `folder`: `{NAME: [{"path", "digest"}]}`.

    JSON outputs come as `{"value": ...}`, others (a conditioning, a recipe) as `{"type": NAME}`. Raises NodeError.
    """
    inputs = used_inputs(document, library.catalog)
    texts = {"workflow": dump_document(document), "parameters": parameters_text(inputs)}
    title = document.title or "workflow"
    found: dict[str, list[dict[str, Any]]] = {}
    for output in outputs:
        rows = found.setdefault(output.name, [])
        for index, (value, expr) in enumerate(_each(output.value, output.type)):
            artifact = _artifact(value, expr, library)
            if artifact is None:
                rows.append({"value": value} if expr is not None and expr.is_json else {"type": str(expr)})
                continue
            keep = {"full": ("workflow", "parameters"), "parameters": ("parameters",)}.get(artifact.embed, ())
            data = embed(artifact.data, artifact.media_type, {name: texts[name] for name in keep})
            fields = {**inputs, "workflow": title, "node": output.node, "output": output.name, "index": index}
            placed = place(data, artifact.media_type, artifact.name, fields, folder)
            rows.append({"path": str(placed.path), "digest": f"sha256:{placed.digest}"})
    return found


def _each(value: Any, expr: TypeExpr | None) -> Iterator[tuple[Any, TypeExpr | None]]:
    if expr is not None and expr.kind == "optional":
        expr = expr.item
    if isinstance(value, list) and expr is not None and expr.kind == "list" and not expr.is_json:
        for item in value:
            yield from _each(item, expr.item)
    elif value is not None:
        yield value, expr


def _artifact(value: Any, expr: TypeExpr | None, library: Library) -> Artifact | None:
    if isinstance(value, Artifact):
        return value
    socket = library.sockets.get(expr.name) if expr is not None and expr.kind == "socket" else None
    return socket.artifact(value) if socket is not None and socket.artifact is not None else None


def parameters_text(inputs: Mapping[str, Any]) -> str:
    """A workflow's inputs as readable lines: what a person wants to know of a picture at a glance."""
    rows = (f"{name}: {value if isinstance(value, str) else shown(value)}" for name, value in inputs.items())
    return "\n".join(re.sub(r"\s*\n\s*", " ", row) for row in rows)
