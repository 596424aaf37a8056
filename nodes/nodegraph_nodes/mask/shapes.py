"""Masks drawn from numbers. Edges are antialiased: a pixel's value is the share of it that the shape covers."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from nodegraph import NodeError, Problem, node
from nodegraph_nodes.types import Mask

Side = Annotated[int, Field(ge=1, le=16384, description="Pixels of the mask.", json_schema_extra={"x-unit": "px", "x-step": 8})]
Unit = Annotated[
    Literal["share", "pixels"], Field(description="share: places are shares of width and height, 0 to 1; pixels: as counted.")
]
_LINES = 16  # that a row of pixels is cut into; along them coverage is exact
_MOST_POINTS = 1000


def _sides_are_ordered(values: dict[str, object]) -> list[Problem]:
    problems = []
    for first, last, fallback in (("left", "right", (0.25, 0.75)), ("top", "bottom", (0.25, 0.75))):
        low, high = values.get(first, fallback[0]), values.get(last, fallback[1])
        if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
            message = f"The rectangle's {last} edge lies before its {first} one."
            problems.append(Problem("bad_value", message, socket=last, expected=f"at least {low:g}", got=f"{high:g}"))
    return problems


@node(category="mask/shape", check=_sides_are_ordered)
def rectangle_mask(
    width: Side = 512,
    height: Side = 512,
    left: float = 0.25,
    top: float = 0.25,
    right: Annotated[float, Field(description="Its right edge, from the left of the mask.")] = 0.75,
    bottom: Annotated[float, Field(description="Its bottom edge, from the top of the mask.")] = 0.75,
    unit: Unit = "share",
) -> Mask:
    """A rectangle."""
    across, down = (width, height) if unit == "share" else (1, 1)
    return _overlap(height, top * down, bottom * down)[:, None] * _overlap(width, left * across, right * across)


@node(category="mask/shape")
def ellipse_mask(
    width: Side = 512,
    height: Side = 512,
    center_x: float = 0.5,
    center_y: float = 0.5,
    radius_x: Annotated[float, Field(ge=0, description="Half its width.")] = 0.25,
    radius_y: Annotated[float, Field(ge=0, description="Half its height.")] = 0.25,
    unit: Unit = "share",
) -> Mask:
    """An ellipse, or a circle."""
    across, down = (width, height) if unit == "share" else (1, 1)
    lines = _lines(height)
    offset = (lines - center_y * down) / max(radius_y * down, 1e-9)
    half = radius_x * across * (1 - offset**2).clamp_min(0).sqrt()
    spans = torch.stack([center_x * across - half, center_x * across + half], -1)
    return _covered(spans[:, None], width)


def _polygon_problems(values: dict[str, object]) -> list[Problem]:
    points = values.get("points")
    if not isinstance(points, list) or _is_polygon(points):
        return []
    got = f"{len(points)} points" if len(points) < 3 or len(points) > _MOST_POINTS else "a point of another kind"
    expected = f"3 to {_MOST_POINTS} points of two numbers each"
    return [Problem("bad_value", "This is no polygon.", socket="points", expected=expected, got=got)]


def _is_polygon(points: list[list[float]]) -> bool:
    return 3 <= len(points) <= _MOST_POINTS and all(len(point) == 2 and all(map(math.isfinite, point)) for point in points)


@node(category="mask/shape", check=_polygon_problems)
def polygon_mask(
    width: Side = 512,
    height: Side = 512,
    points: Annotated[
        list[list[float]], Field(description="Corners, [x, y] each, in order; the last is joined to the first.")
    ] = [[0.5, 0.2], [0.8, 0.8], [0.2, 0.8]],  # noqa: B006
    unit: Unit = "share",
) -> Mask:
    """A polygon. Where it crosses itself, what is enclosed twice lies outside."""
    if not _is_polygon(points):
        (problem,) = _polygon_problems({"points": points})
        raise NodeError(problem.message, socket="points", expected=problem.expected, got=problem.got)
    corners = torch.tensor(points, dtype=torch.float64)
    if unit == "share":
        corners = corners * torch.tensor([width, height])
    lines = _lines(height)[:, None]
    (x0, y0), (x1, y1) = corners.unbind(1), corners.roll(-1, 0).unbind(1)
    crossed = (y0 <= lines) != (y1 <= lines)  # [lines, edges]
    slope = (x1 - x0) / torch.where(y1 == y0, 1.0, y1 - y0)
    at = torch.where(crossed, x0 + (lines - y0) * slope, math.inf).sort(-1).values
    at = at[:, : int(crossed.sum(1).max()) if len(at) else 0]
    return _covered(at.reshape(len(at), -1, 2), width)


@node(category="mask/shape")
def gradient_mask(
    width: Side = 512,
    height: Side = 512,
    shape: Annotated[
        Literal["linear", "radial"], Field(description="Along a direction, or from the centre outwards.")
    ] = "linear",
    angle: Annotated[
        float,
        Field(ge=-360, le=360, description="Of linear: 0 grows to the right, 90 downwards.", json_schema_extra={"x-unit": "°"}),
    ] = 0.0,
    center_x: Annotated[float, Field(ge=0, le=1, description="Of radial: a share of the width.")] = 0.5,
    center_y: Annotated[float, Field(ge=0, le=1, description="Of radial: a share of the height.")] = 0.5,
    start: Annotated[float, Field(ge=0, le=1, description="Until this share of the way it is 0.")] = 0.0,
    end: Annotated[float, Field(ge=0, le=1, description="From this share of the way on it is 1.")] = 1.0,
) -> Mask:
    """A mask that grows evenly, on the way from corner to corner, or from the centre to the farthest corner."""
    rows, columns = torch.arange(height, dtype=torch.float64)[:, None] + 0.5, torch.arange(width, dtype=torch.float64) + 0.5
    if shape == "linear":
        right, down = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        length = abs(width * right) + abs(height * down)
        way = 0.5 + ((columns - width / 2) * right + (rows - height / 2) * down) / length
    else:
        x, y = center_x * width, center_y * height
        way = torch.hypot(columns - x, rows - y) / math.hypot(max(x, width - x), max(y, height - y))
    return ((way - start) / max(end - start, 1e-9)).clamp(0, 1).float()


def _overlap(length: int, first: float, last: float) -> Tensor:
    """How much of each of `length` pixels lies between two places."""
    places = torch.arange(length, dtype=torch.float64)
    return ((places + 1).clamp(max=last) - places.clamp(min=first)).clamp(0, 1).float()


def _lines(height: int) -> Tensor:
    """The heights at which a picture is cut: several in each row of pixels."""
    return (torch.arange(height * _LINES, dtype=torch.float64) + 0.5) / _LINES


def _covered(spans: Tensor, width: int) -> Tensor:
    """The mean over each row's lines of what spans [lines, N, 2] cover of its pixels: [H, W]."""
    places = torch.arange(width, dtype=torch.float32)
    rows = []
    for lines in torch.split(spans.float(), 64 * _LINES):  # a band at a time: memory
        total = torch.zeros(len(lines), width)
        for span in lines.unbind(1):
            first, last = span[:, :1], span[:, 1:]
            total += (torch.minimum(places + 1, last) - torch.maximum(places, first)).clamp(0, 1).nan_to_num()
        rows.append(total.view(-1, _LINES, width).mean(1))
    return torch.cat(rows).clamp(0, 1)
