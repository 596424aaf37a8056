"""Curves as values: points from 0 to 1 that a smooth line goes through, and never beyond.

The line is the monotone piecewise cubic of Fritsch and Carlson (SIAM J. Numer. Anal. 17(2), 1980, pp. 238-246): where the
points rise, it rises.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from pydantic import Field

from nodegraph.sdk.errors import NodeError
from nodegraph.sdk.values import ValueKind

_Share = Annotated[float, Field(ge=0, le=1)]

Curve = Annotated[
    list[tuple[_Share, _Share]],
    Field(min_length=2, max_length=256, json_schema_extra={"format": "curve"}),
    ValueKind("curve"),
]
"""Points `[x, y]`, both 0 to 1, each x larger than the one before. Before the first point and after the last it is level."""

Points = Sequence[Sequence[float]]


def check_curve(points: Points, socket: str | None = None) -> None:
    """Raises NodeError for points that are no curve."""
    if len(points) < 2:
        raise NodeError("A curve has at least two points.", socket=socket, expected="[[0, 0], [1, 1]]", got=str(list(points)))
    for (before, _), (after, _) in pairwise(points):
        if not before < after:
            raise NodeError(
                "The points of a curve go from left to right.",
                socket=socket,
                expected=f"an x above {before:g}",
                got=f"{after:g}",
                hint="Give each point a larger x than the one before.",
            )


def curve_slopes(points: Points) -> list[float]:
    """dy/dx at each point: the mean of the slopes on both sides, shortened until the cubic between two points is monotone.

    Raises NodeError for points that are no curve.
    """
    check_curve(points)
    secants = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairwise(points)]
    inner = [(a + b) / 2 if a * b > 0 else 0.0 for a, b in pairwise(secants)]
    slopes = [secants[0], *inner, secants[-1]]
    for i, secant in enumerate(secants):
        if secant == 0:
            slopes[i] = slopes[i + 1] = 0.0
            continue
        length = math.hypot(slopes[i] / secant, slopes[i + 1] / secant)
        if length > 3:  # outside of the circle of radius 3 the cubic may turn back
            slopes[i], slopes[i + 1] = (3 / length * slope for slope in (slopes[i], slopes[i + 1]))
    return slopes


def curve_at(points: Points, x: float) -> float:
    """The curve's y at x. Raises NodeError for points that are no curve."""
    slopes = curve_slopes(points)
    if x <= points[0][0] or x >= points[-1][0]:
        return points[0 if x <= points[0][0] else -1][1]
    i = bisect_right(points, x, key=lambda point: point[0]) - 1
    (x0, y0), (x1, y1) = points[i], points[i + 1]
    width = x1 - x0
    t = (x - x0) / width
    start = (1 + 2 * t) * (1 - t) ** 2 * y0 + t * (1 - t) ** 2 * width * slopes[i]
    end = t**2 * (3 - 2 * t) * y1 + t**2 * (t - 1) * width * slopes[i + 1]
    return start + end
