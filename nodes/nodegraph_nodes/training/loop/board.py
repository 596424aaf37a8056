"""What is shown of a training under way: its curves above what the network makes by now, as one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from torch import Tensor

from nodegraph import Axis, Plot, Series
from nodegraph_nodes.pictures import from_pillow

_WIDTH, _HEIGHT = 512, 200
_INK, _GROUND, _GRID = "#d7dce2", "#16191d", "#2b3138"
_COLOURS = ("#4f9df7", "#f2a65a", "#66bb6a", "#c58af9", "#e57373", "#4dd0e1")
_EDGE = 34

Figures = Mapping[str, Sequence[tuple[int, float]]]


def draw_board(figures: Figures, picture: Tensor | None) -> Tensor:
    """Curves, each scaled to its own range, with their last values in words; below them the picture. [H, W, 3], 0..1."""
    curves = from_pillow(_curves(figures))
    if picture is None:
        return curves
    factor = max(1, curves.shape[1] // picture.shape[1])
    picture = picture.cpu().repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    width = max(curves.shape[1], picture.shape[1])
    ground = torch.tensor([0x16, 0x19, 0x1D]) / 255
    sheet = ground.expand(curves.shape[0] + picture.shape[0], width, 3).clone()
    sheet[: curves.shape[0], : curves.shape[1]] = curves
    sheet[curves.shape[0] :, : picture.shape[1]] = picture
    return sheet


def _curves(figures: Figures) -> Pillow.Image:
    sheet = Pillow.new("RGB", (_WIDTH, _HEIGHT), _GROUND)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    shown = {name: rows for name, rows in figures.items() if rows}
    last = max((rows[-1][0] for rows in shown.values()), default=1)
    top, bottom = _EDGE, _HEIGHT - 18
    for line in range(5):
        y = top + (bottom - top) * line / 4
        pen.line([(8, y), (_WIDTH - 8, y)], fill=_GRID)
    place = 8.0
    for (name, rows), colour in zip(shown.items(), _COLOURS * (1 + len(shown) // len(_COLOURS)), strict=False):
        low, high = _range([value for _, value in rows])
        points = [
            (8 + (_WIDTH - 16) * step / last, bottom - (bottom - top) * min(1.0, max(0.0, (value - low) / (high - low))))
            for step, value in rows
            if math.isfinite(value)
        ]
        if len(points) > 1:
            pen.line(points, fill=colour, width=2)
        elif points:
            pen.circle(points[0], 2, fill=colour)
        words = f"{name}: {rows[-1][1]:.4g}"
        row, place = (0, place) if place + font.getlength(words) < _WIDTH - 8 else (1, place)
        x = place if row == 0 else place - _WIDTH + 16
        pen.text((max(8.0, x), 4 + 14 * row), words, fill=colour, font=font)
        place += font.getlength(words) + 12
    pen.text((8, bottom + 3), f"step {last}", fill=_INK, font=font)
    return sheet


def _range(values: Sequence[float]) -> tuple[float, float]:
    """What a curve's axis shows: a twentieth of its values on either side may lie beyond, as the first steps do."""
    known = sorted(value for value in values if math.isfinite(value))
    if not known:
        return 0.0, 1.0
    cut = len(known) // 20
    low, high = known[cut], known[-1 - cut]
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def plot_of(figures: Figures, names: Sequence[str] | None = None, title: str = "Training") -> Plot:
    """Curves as a plot: what the editor shows when the training is done."""
    series = [
        Series(name=name, x=[float(step) for step, _ in rows], y=[value if math.isfinite(value) else None for _, value in rows])
        for name, rows in figures.items()
        if rows and (names is None or name in names)
    ]
    return Plot(title=title, x=Axis(label="step"), y=Axis(), series=series or [Series(name="nothing yet", x=[], y=[])])
