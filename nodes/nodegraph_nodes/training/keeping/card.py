"""What lies beside a model's weights: what programs need to know of it, its curves, and a card for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from nodegraph_nodes.pictures import to_pillow
from nodegraph_nodes.training.loop import Figures, draw_board
from nodegraph_nodes.types import Image

from .folders import CARD, MADE_HERE

_GRID = "grid.png"  # by this name the page of models shows it
_CURVES = TypeAdapter(dict[str, list[tuple[int, float]]])
_MEANT = {"autoencoder": "What becomes of pictures that it never saw", "denoiser": "What it draws"}


def card_of(folder: Path) -> dict[str, Any]:
    """What a model's folder says of it; nothing where that cannot be read."""
    try:
        found = json.loads((folder / CARD).read_text("utf-8"))
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def curves_of(folder: Path, phase: str) -> dict[str, Figures]:
    """The curves that a model's folder holds of a phase of its training, if any."""
    try:
        return {phase: _CURVES.validate_json((folder / _history(phase)).read_bytes())}
    except (OSError, ValueError):
        return {}


def write_card(
    folder: Path, card: dict[str, Any], curves: Mapping[str, Figures], name: str, notes: str, samples: Image | None
) -> None:
    """starter.json, each phase's curves as numbers and as a picture, samples, and a README.md with all of it.

    Raises OSError.
    """
    (folder / CARD).write_text(json.dumps({"made_by": MADE_HERE, **card}, indent=2) + "\n", "utf-8")
    lines = [f"# {name}", "", *([notes.strip(), ""] if notes.strip() else []), "Trained with nodegraph.", ""]
    if samples is not None:
        to_pillow(samples).save(folder / _GRID)
        lines += [f"![{_MEANT[[*curves][-1]]}]({_GRID})", ""]
    for phase, facts in card["trained"].items():
        if phase in curves:
            lines += [f"![Curves of the {phase}]({_write_curves(folder, phase, curves[phase])})", ""]
        lines += [f"| {phase} | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in facts.items()), ""]
    (folder / "README.md").write_text("\n".join(lines), "utf-8")


def _write_curves(folder: Path, phase: str, figures: Figures) -> str:
    """The name of the picture."""
    rows = {column: [[step, round(value, 6)] for step, value in points] for column, points in figures.items()}
    (folder / _history(phase)).write_text(json.dumps(rows) + "\n", "utf-8")
    to_pillow(draw_board(figures, None)).save(folder / f"curves_{phase}.png")
    return f"curves_{phase}.png"


def _history(phase: str) -> str:
    return f"history_{phase}.json"
