"""A lab for loops: documents with subgraphs, and the core pack's loops beside the nodes that count their calls."""

from __future__ import annotations

from typing import Any

from engine.graphs import Bench, entry
from nodegraph import Pack
from nodegraph.engine import Engine, Library, RunResult
from nodegraph.graph import compile_document
from nodegraph.graph.document import Document, document_from
from nodegraph_nodes import core

CORE = Pack.of("core", vars(core).values())


def library(bench: Bench) -> Library:
    return Library.of([bench.pack(), CORE])


def loop(kind: str, body: str, **inputs: Any) -> dict[str, Any]:
    """A node that iterates, written like any `entry`."""
    made = entry(kind, **inputs)
    return made | {"type": f"core/{kind}", "inputs": {**made["inputs"], "body": body}}


def subgraph(nodes: dict[str, Any], inputs: dict[str, str | list[str]], outputs: dict[str, str]) -> dict[str, Any]:
    to = {name: {"to": [text] if isinstance(text, str) else text} for name, text in inputs.items()}
    return {"nodes": nodes, "interface": {"inputs": to, "outputs": outputs}}


def document(
    nodes: dict[str, Any], subgraphs: dict[str, Any], outputs: dict[str, str] | None = None, id: str = "lab"
) -> Document:
    interface = {"outputs": outputs or {}}
    return document_from({"nodegraph": 1, "id": id, "nodes": nodes, "subgraphs": subgraphs, "interface": interface})


class LoopLab:
    """An engine over a bench, and a short way to run documents with subgraphs in it."""

    def __init__(self, engine: Engine, bench: Bench) -> None:
        self.engine, self.bench = engine, bench

    async def run(self, nodes: dict[str, Any], subgraphs: dict[str, Any], wanted: list[str] | None = None) -> RunResult:
        self.bench.calls.clear()
        found = document(nodes, subgraphs)
        return await self.engine.run(compile_document(found, self.engine.library.catalog, wanted))

    @property
    def calls(self) -> dict[str, int]:
        return dict(self.bench.calls)
