"""Curves: what Fritsch and Carlson prove of their interpolant, on curves that nobody chose."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import Curve, NodeError, curve_at, curve_slopes
from nodegraph.sdk.node import Node

Points = list[tuple[float, float]]
shares = st.integers(0, 100).map(lambda number: number / 100)
curves = st.lists(st.tuples(shares, shares), min_size=2, max_size=9, unique_by=lambda point: point[0]).map(sorted)


def between(x0: float, x1: float, count: int = 25) -> list[float]:
    return [x0 + (x1 - x0) * i / count for i in range(count + 1)]


@given(curves)
def test_a_curve_goes_through_its_points(points: Points) -> None:
    for x, y in points:
        assert curve_at(points, x) == pytest.approx(y, abs=1e-12)


@given(curves)
def test_between_two_points_it_only_rises_or_only_falls(points: Points) -> None:
    for (x0, y0), (x1, y1) in pairwise(points):
        values = [curve_at(points, x) for x in between(x0, x1)]
        steps = [b - a for a, b in pairwise(values)]
        assert all(step >= -1e-9 for step in steps) if y0 <= y1 else all(step <= 1e-9 for step in steps)
        assert min(y0, y1) - 1e-9 <= min(values) <= max(values) <= max(y0, y1) + 1e-9


@given(curves)
def test_it_has_no_corners(points: Points) -> None:
    for (x, y), slope in list(zip(points, curve_slopes(points), strict=True))[1:-1]:
        h = 1e-7
        left, right = (y - curve_at(points, x - h)) / h, (curve_at(points, x + h) - y) / h
        assert left == pytest.approx(slope, rel=1e-2, abs=1e-2 * (1 + abs(slope)))
        assert right == pytest.approx(slope, rel=1e-2, abs=1e-2 * (1 + abs(slope)))


@given(st.lists(shares, min_size=2, max_size=9, unique=True).map(sorted), shares, shares)
def test_points_on_a_line_give_the_line(places: list[float], at: float, rise: float) -> None:
    points = [(x, at + rise * x) for x in places]
    for x in between(places[0], places[-1]):
        assert curve_at(points, x) == pytest.approx(at + rise * x, abs=1e-9)


def test_before_the_first_and_after_the_last_point_it_is_level() -> None:
    points = [(0.25, 0.1), (0.75, 0.9)]
    assert [curve_at(points, x) for x in (0.0, 0.25, 0.75, 1.0)] == [0.1, 0.1, 0.9, 0.9]


def test_slopes_are_those_of_the_paper() -> None:
    """By hand: secants 0.2, 3.4, 0.4; means 1.8 and 1.9; in the first interval 1.8 / 0.2 = 9 is outside of the circle."""
    points = [(0.0, 0.0), (0.5, 0.1), (0.75, 0.95), (0.875, 1.0)]
    assert curve_slopes(points) == pytest.approx([0.2 * 3 / 82**0.5, 1.8 * 3 / 82**0.5, *_third(1.9, 0.4)])


def _third(slope: float, secant: float) -> tuple[float, float]:
    """Both slopes of the last interval, where the second is the secant itself."""
    a = slope / secant
    tau = 3 / (a * a + 1) ** 0.5
    return tau * slope, tau * secant


@pytest.mark.parametrize("points", [[(0.0, 0.0)], [], [(0.5, 0.0), (0.5, 1.0)], [(0.6, 0.0), (0.5, 1.0)]])
def test_points_that_are_no_curve_are_refused_in_words(points: Points) -> None:
    with pytest.raises(NodeError, match="curve"):
        curve_at(points, 0.5)


def test_a_curve_is_a_value_with_a_widget_of_its_own() -> None:
    def function(x: Any) -> None: ...

    function.__annotations__["x"] = Curve
    (spec,) = Node(function).inputs
    assert spec.type.to_json() == {"value": "curve"}
    assert spec.schema is not None
    assert spec.schema["format"] == "curve"
    jsonschema.validate([[0, 0.2], [1, 1]], spec.schema)
    for wrong in ([[0, 0]], [[0, 2], [1, 1]], [[0, 0, 0], [1, 1, 1]], "x"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, spec.schema)
