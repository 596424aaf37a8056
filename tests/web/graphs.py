"""Large documents of real node types, for the cost gates and the benchmark: rows of sums, and of steps towards pictures."""

from __future__ import annotations

from typing import Any


def rows_of_sums(count: int, across: int = 40) -> dict[str, Any]:
    """`count` calculations in rows, each adding to the one before it."""
    nodes: dict[str, Any] = {}
    for i in range(count):
        nodes[f"n{i}"] = {"type": "core/calculate", "version": 1, "inputs": {"b": i}}
        if i % across:
            nodes[f"n{i}"]["links"] = {"a": f"n{i - 1}.value"}
    places = {f"n{i}": [300 * (i % across), 260 * (i // across)] for i in range(count)}
    return {"nodegraph": 1, "title": f"{count} sums", "nodes": nodes, "layout": {"nodes": places}}


def many_pictures(count: int, one: dict[str, Any]) -> dict[str, Any]:
    """Copies of a workflow's nodes, side by side, until there are `count`."""
    places = one["layout"]["nodes"]
    wide = max(x for x, _ in places.values()) - min(x for x, _ in places.values()) + 400
    high = max(y for _, y in places.values()) - min(y for _, y in places.values()) + 600
    nodes: dict[str, Any] = {}
    at: dict[str, Any] = {}
    copies = -(-count // len(one["nodes"]))
    for copy in range(copies):
        for name, entry in one["nodes"].items():
            if len(nodes) == count:
                break
            links = {key: _renamed(value, copy) for key, value in entry.get("links", {}).items()}
            nodes[f"{name}_{copy}"] = {**entry, "links": links} if links else entry
            x, y = places[name]
            at[f"{name}_{copy}"] = [x + wide * (copy % 8), y + high * (copy // 8)]
    return {"nodegraph": 1, "title": f"{count} nodes", "nodes": nodes, "layout": {"nodes": at}}


def _renamed(reference: Any, copy: int) -> Any:
    if isinstance(reference, list):
        return [_renamed(one, copy) for one in reference]
    node, socket = reference.split(".", 1)
    return f"{node}_{copy}.{socket}"
