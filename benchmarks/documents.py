"""What documents cost: opening, checking, comparing, merging, extracting and saving a large one.

`python benchmarks/documents.py [--nodes 20000] [--json]`: milliseconds, best of three, and microseconds per node.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nodegraph import Session
from nodegraph.api.saving import save_document
from nodegraph.editing import apply, diff, extract, inline, merge
from nodegraph.graph import Document, compile_document, dump_document, parse_document
from nodegraph.graph.document import document_from

PART = 50


def document(size: int) -> Document:
    """Chains of fifty additions, side by side: as many nodes as asked for."""
    nodes: dict[str, Any] = {}
    for i in range(size):
        entry: dict[str, Any] = {"type": "core/calculate_whole", "version": 1, "inputs": {"a": i, "b": 1, "operation": "add"}}
        if i % PART:
            entry["links"] = {"a": f"n{i - 1}.value"}
        nodes[f"n{i}"] = entry
    layout = {"nodes": {f"n{i}": [i % PART * 200, i // PART * 100] for i in range(size)}}
    return document_from({"nodegraph": 1, "id": "large", "title": "Large", "nodes": nodes, "layout": layout})


def of_subgraphs(size: int) -> Document:
    """The same computation: one chain of fifty as a subgraph, used as often as it takes."""
    part = document(PART)
    calls = {f"s{i}": {"type": "subgraph/chain", "version": 1} for i in range(size // PART)}
    interface = {"inputs": {"a": {"to": ["n0.a"]}}, "outputs": {"value": f"n{PART - 1}.value"}}
    chain = {"nodes": json.loads(dump_document(part))["nodes"], "interface": interface}
    return document_from({"nodegraph": 1, "nodes": calls, "subgraphs": {"chain": chain}})


def edited(found: Document, step: int, value: int) -> Document:
    """The document with every so many nodes changed."""
    copy = found.model_copy(deep=True)
    for i in range(value, len(copy.nodes), step):
        copy.nodes[f"n{i}"].inputs["b"] = value
    return copy


def best(work: Callable[[], object], times: int = 3) -> float:
    """Milliseconds of the fastest of some tries."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        found.append((time.perf_counter() - begun) * 1e3)
    return min(found)


def measure(size: int) -> dict[str, float]:
    found, many = document(size), of_subgraphs(size)
    text = dump_document(found)
    ours, theirs = edited(found, 100, 7), edited(found, 100, 9)
    changes = diff(found, ours)
    with Session() as session, tempfile.TemporaryDirectory() as folder:
        catalog, place = session.catalog, Path(folder)
        selection = [f"n{i}" for i in range(PART, 3 * PART)]
        made = extract(found, catalog, selection, "part")
        return {
            "parse": best(lambda: parse_document(text)),
            "compile": best(lambda: compile_document(found, catalog)),
            "compile, as subgraphs of fifty nodes": best(lambda: compile_document(many, catalog)),
            "canonical text": best(lambda: dump_document(found)),
            "save with a revision": best(lambda: save_document(place / "w.json", found, data=place)),
            "diff, 1 % changed": best(lambda: diff(found, ours)),
            "apply, 1 % changed": best(lambda: apply(found, changes)),
            "merge, 1 % on both sides": best(lambda: merge(found, ours, theirs)),
            "extract 100 nodes": best(lambda: extract(found, catalog, selection, "part")),
            "inline 100 nodes": best(lambda: inline(made.document, catalog, made.node)),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rows = measure(options.nodes)
    if options.json:
        print(json.dumps({"nodes": options.nodes, "ms": rows}, indent=2))
        return
    print(f"{options.nodes:,} nodes{'':26}ms   us/node")
    for name, ms in rows.items():
        print(f"{name:38}{ms:8.0f}{ms * 1e3 / options.nodes:9.1f}")


if __name__ == "__main__":
    main()
