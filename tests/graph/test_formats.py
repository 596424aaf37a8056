"""Versions of the document format: older ones are led to today's, one step after the other; unknown ones are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import InvalidWorkflow
from nodegraph.graph.document import document_from
from nodegraph.graph.formats import FORMAT, UPGRADES, upgraded


def step(number: int) -> Any:
    return lambda data: {**data, "steps": [*data.get("steps", []), number]}


THREE = {1: step(1), 2: step(2), 3: step(3)}


@given(st.integers(1, 4))
def test_every_step_from_its_own_format_on_is_taken_in_order(version: int) -> None:
    assert upgraded({"nodegraph": version, "x": 1}, THREE, 4) == {"nodegraph": 4, "x": 1} | (
        {"steps": list(range(version, 4))} if version < 4 else {}
    )


def test_without_a_number_a_document_is_of_todays_format() -> None:
    assert upgraded({"nodes": {}}, THREE, 4) == {"nodes": {}}


@pytest.mark.parametrize("version", [0, 5, -1, 10**30, True, 1.0, "1", None, [1]])
def test_what_is_no_known_format_is_refused(version: Any) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        upgraded({"nodegraph": version}, THREE, 4)
    (problem,) = caught.value.problems
    assert problem.expected == '"nodegraph": 4'
    assert bool(problem.hint) == (version in (5, 10**30))


def test_there_is_an_upgrade_for_every_format_before_todays() -> None:
    assert set(UPGRADES) == set(range(1, FORMAT))
    assert document_from({"nodegraph": FORMAT, "nodes": {}}).nodegraph == FORMAT
