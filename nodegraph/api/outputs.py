"""From a run's values to files: artifacts get the workflow inside and a place in the output folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

from nodegraph.api.records import Record, record
from nodegraph.artifacts import Machine, embed, place
from nodegraph.engine import Library, RunOutput
from nodegraph.graph import Document
from nodegraph.sdk.errors import NodeError, Problem
from nodegraph.sdk.socket import Artifact
from nodegraph.sdk.typeexpr import TypeExpr
from nodegraph.store.secrets import Secrets

Rows = dict[str, list[dict[str, Any]]]

Placer = Callable[[bytes, str, str, Mapping[str, Any]], dict[str, Any]]
"""Puts a file somewhere: its bytes, media type, name template, and the template's fields; gives its row. Raises NodeError."""


def in_folder(folder: Path) -> Placer:
    """Puts files into a folder, under the names that the nodes gave."""

    def put(data: bytes, media_type: str, template: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        placed = place(data, media_type, template, fields, folder)
        return {"path": str(placed.path), "digest": f"sha256:{placed.digest}"}

    return put


class Saver:
    """Puts outputs that can be files in their places, each as soon as it is handed over, on a thread of its own.

    Use as a run's receiver, or hand it outputs afterwards; then ask for `files`.
    """

    def __init__(self, document: Document, library: Library, put: Placer, secrets: Secrets | None = None) -> None:
        self._document, self._library, self._put, self._secrets = document, library, put, secrets or Secrets()
        self._problems: list[Problem] = []
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
        came = dict.fromkeys(output.name for output, _ in self._saved)
        found: Rows = {name: [] for name in (*self._document.interface.outputs, *came) if name in came}
        problems: list[Problem] = []
        for output, rows in sorted(self._saved, key=lambda saved: saved[0].item):
            try:
                found[output.name] += rows.result()
            except NodeError as error:
                problems.append(error.problem(output.node, "bad_output"))
        return found, [*problems, *self._problems, *self._left_out()]

    @cached_property
    def record(self) -> Record:
        """What the files carry."""
        return record(self._document, self._library.catalog, Machine.here(self._secrets.readable()))

    def _with_record(self, artifact: Artifact, node: str) -> bytes:
        """The artifact's bytes with what is to travel inside; where they cannot hold it, as they are, and that is a problem."""
        try:
            return embed(artifact.data, artifact.media_type, self.record.kept(artifact.embed))
        except NodeError as error:
            self._problems.append(error.problem(node, "not_embedded"))
            return artifact.data

    def _left_out(self) -> list[Problem]:
        """A secret typed where its name belongs is in no file, and whoever typed it should know."""
        if "record" not in self.__dict__:
            return []
        message = "This is no name of a secret, so it was left out of the saved pictures."
        hint = "Keep the secret with `nodegraph secret set NAME`, and write NAME here."
        places = (place.rpartition(".") for place in self.record.left_out)
        return [Problem("bad_secret", message, node, socket, hint=hint) for node, _, socket in places]

    def _save(self, output: RunOutput) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for number, (value, expr) in enumerate(_each(output.value, output.type)):
            artifact = _artifact(value, expr, self._library)
            if artifact is None:
                rows.append({"value": value} if expr is not None and expr.is_json else {"type": str(expr)})
                continue
            data = self._with_record(artifact, output.node)
            index = "-".join(map(str, output.item)) or str(number)
            named = {"workflow": self.record.title, "node": output.node, "output": output.output, "index": index}
            fields = {**self.record.inputs, **named}
            rows.append(self._put(data, artifact.media_type, artifact.name, fields))
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
