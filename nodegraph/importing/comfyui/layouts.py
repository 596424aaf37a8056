"""Where things lie: positions as in ComfyUI, groups as frames, notes as notes."""

from __future__ import annotations

from typing import Any

from nodegraph.importing.comfyui.scope import Scope
from nodegraph.importing.comfyui.wiring import NOTES

_APART = (40, 130)
"""How far the nodes that one node became lie from one another, in pixels: down, and a little to the left of the main one."""


def layout(scope: Scope) -> dict[str, Any]:
    """`nodes`: id to [x, y]; `frames`: title, at, size, color; `notes`: text, at, size, color, title."""
    found: dict[str, Any] = {}
    places: dict[str, list[float]] = {}
    for id, verdict in scope.verdicts.items():
        position = scope.graph.nodes[id].position
        if position is not None:
            for i, name in enumerate(verdict.became):
                places[name] = [position[0] - min(i, 1) * _APART[0], position[1] + i * _APART[1]]
    if places:
        found["nodes"] = places
    if scope.graph.boxes:
        found["frames"] = [
            _filled(title=box.title, at=[box.x, box.y], size=[box.width, box.height], color=box.color)
            for box in scope.graph.boxes
        ]
    notes = [_note(scope, id) for id, node in scope.graph.nodes.items() if node.type in NOTES]
    if notes:
        found["notes"] = notes
    return found


def _note(scope: Scope, id: str) -> dict[str, Any]:
    node = scope.graph.nodes[id]
    text = "\n".join(str(value) for value in node.values.values())
    size, at = list(node.size or ()), list(node.position or (0.0, 0.0))
    return _filled(text=text, at=at, size=size, title=node.title, color=node.raw.get("color"))


def _filled(**parts: Any) -> dict[str, Any]:
    return {name: part for name, part in parts.items() if part not in ("", None, [])}
