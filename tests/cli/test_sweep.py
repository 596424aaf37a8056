"""`nodegraph sweep`: axes as typed, sheets as files, and a workflow that runs again."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import Nodegraph
from nodegraph.api.paths import shipped
from nodegraph.cli.sweep import _values

WORKFLOW = str(shipped("workflows") / "text_to_image.json")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,2,3", ["1", "2", "3"]),
        ("1..4", ["1", "2", "3", "4"]),
        ("0..1:0.25", ["0", "0.25", "0.5", "0.75", "1"]),
        ("3..1", ["3", "2", "1"]),
        ("a red apple", ["a red apple"]),
        ('["a, b", "c"]', ["a, b", "c"]),
        ("[not json", ["[not json"]),
        ("", []),
    ],
)
def test_values_of_an_axis(text: str, values: list[str]) -> None:
    assert _values(text) == values


@pytest.mark.slow
def test_a_sweep_makes_a_sheet_and_its_saved_workflow_makes_the_same_one(nodegraph: Nodegraph, tmp_path: Path) -> None:
    axes = ["--x", "prompt=a red apple, shiny", "--x", "prompt=a panda", "--y", "seed=1..2"]
    done = nodegraph("sweep", WORKFLOW, *axes, "--steps", "2", "--save", "sweep.json", "--json")
    assert done.code == 0, done.stdout
    (row,) = done.json["outputs"]["sheet"]
    again = nodegraph("run", "sweep.json", "--json", "--out", "again")
    assert again.json["outputs"]["sheet"][0]["digest"] == row["digest"]
    assert not [path for path, row in again.json["nodes"].items() if "/step_" in path and row["state"] == "computed"]


def test_every_mistake_in_the_axes_is_listed_at_once(nodegraph: Nodegraph) -> None:
    done = nodegraph("sweep", WORKFLOW, "--x", "guidance-scale=1,400", "--y", "sed=1", "--z", "steps", "--json")
    assert done.code == 2
    said = " ".join(problem["message"] for problem in done.json["problems"])
    assert "'guidance_scale' does not take this value" in said
    assert "no input 'sed'" in said
    assert "'steps' is no axis" in said


def test_an_axis_with_many_wrong_values_is_one_problem(nodegraph: Nodegraph) -> None:
    done = nodegraph("sweep", WORKFLOW, "--x", "steps=1..900", "--json")
    assert done.code == 2
    (problem,) = done.json["problems"]
    assert problem["message"] == "The axis 'steps' does not take these values."
    assert problem["got"] == "101, 102, 103, 104 and 796 more"


def test_a_sweep_that_cannot_be_saved_says_so(nodegraph: Nodegraph) -> None:
    done = nodegraph("sweep", WORKFLOW, "--x", "seed=1", "--save", "nowhere/sweep.json", "--plan", "--json")
    assert done.code == 2
    assert "there is no folder" in done.json["problems"][0]["message"]
