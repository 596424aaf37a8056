"""From a run's values to files: artifacts get the workflow inside and a place in the output folder."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from nodegraph.artifacts import embed, place
from nodegraph.engine import Library, RunOutput
from nodegraph.graph import Document, dump_document, used_inputs
from nodegraph.graph.values import shown
from nodegraph.sdk.errors import NodeError, Problem
from nodegraph.sdk.socket import Artifact
from nodegraph.sdk.typeexpr import TypeExpr

Rows = dict[str, list[dict[str, Any]]]


class Saver:
    """Puts outputs that can be files below `folder`, each as soon as it is handed over, on a thread of its own.

    Use as a run's receiver, or hand it outputs afterwards; then ask for `files`.
    """

    def __init__(self, document: Document, library: Library, folder: Path) -> None:
        self._library, self._folder = library, folder
        self._inputs = used_inputs(document, library.catalog)
        self._texts = {"workflow": dump_document(document), "parameters": parameters_text(self._inputs)}
        self._title = document.title or "workflow"
        self._saved: list[tuple[RunOutput, Future[list[dict[str, Any]]]]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="nodegraph-saving")

    def __call__(self, output: RunOutput) -> None:
        """Take an output and return at once."""
        self._saved.append((output._replace(value=None), self._thread.submit(self._save, output)))

    def files(self) -> tuple[Rows, list[Problem]]:
        """Wait for the files: `{NAME: [{"path", "digest"}]}`, and what could not be saved.

        JSON outputs come as `{"value": ...}`, others (a conditioning, a recipe) as `{"type": NAME}`.
        """
        self._thread.shutdown()
        found: Rows = {output.name: [] for output, _ in self._saved}
        problems: list[Problem] = []
        for output, rows in sorted(self._saved, key=lambda saved: saved[0].item):
            try:
                found[output.name] += rows.result()
            except NodeError as error:
                problems.append(error.problem(output.node, "bad_output"))
        return found, problems

    def _save(self, output: RunOutput) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for number, (value, expr) in enumerate(_each(output.value, output.type)):
            artifact = _artifact(value, expr, self._library)
            if artifact is None:
                rows.append({"value": value} if expr is not None and expr.is_json else {"type": str(expr)})
                continue
            keep = {"full": ("workflow", "parameters"), "parameters": ("parameters",)}.get(artifact.embed, ())
            data = embed(artifact.data, artifact.media_type, {name: self._texts[name] for name in keep})
            index = "-".join(map(str, output.item)) or str(number)
            fields = {**self._inputs, "workflow": self._title, "node": output.node, "output": output.output, "index": index}
            placed = place(data, artifact.media_type, artifact.name, fields, self._folder)
            rows.append({"path": str(placed.path), "digest": f"sha256:{placed.digest}"})
        return rows


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
