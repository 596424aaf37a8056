"""`run --plan`: what would run, why, and what that would take; nothing is run and torch is imported only where keys need it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cli.conftest import Nodegraph
from nodegraph.cli.plan import summary
from nodegraph.engine.forecast import Forecast, NodeForecast


def rows(done: Any) -> dict[str, dict[str, Any]]:
    return {row["node"]: row for row in done.json["nodes"]}


def test_a_plan_is_made_without_running_anything(nodegraph: Nodegraph, workflow: Path, data: Path, tmp_path: Path) -> None:
    done = nodegraph("run", workflow, "--only", "sum", "--plan", "--json", "--out", "out", "--data", data)
    assert done.code == 0
    assert [(row["node"], row["lane"], row["state"], row["after"]) for row in done.json["nodes"]] == [
        ("a", "cpu", "would_run", []),
        ("sum", "cpu", "would_run", ["a"]),
    ]
    assert done.json["outputs"] == ["sum.value"]
    assert done.json["disabled"] == []
    assert done.json["total"]["would_run"] == 2
    assert not (tmp_path / "out").exists()


def test_a_plan_in_words_has_a_row_per_node_and_a_closing_line(nodegraph: Nodegraph, workflow: Path, data: Path) -> None:
    lines = nodegraph("run", workflow, "--only", "sum", "--plan", "--data", data).stdout.splitlines()
    assert lines[0].split() == ["node", "type", "lane", "estimate", "why"]
    assert lines[1].split() == ["a", "core/integer", "cpu", "would", "run:", "first", "run", "here"]
    assert lines[-1] == "would run 2 of 2 nodes, no estimate yet"


def test_after_a_run_a_plan_says_what_changed_and_how_long_it_took(nodegraph: Nodegraph, workflow: Path, data: Path) -> None:
    nodegraph("run", workflow, "--only", "sum", "--data", data)
    done = nodegraph("run", workflow, "--only", "sum", "--set", "sum.b=9", "--plan", "--json", "--data", data)
    assert rows(done)["sum"]["why"] == "b changed from 4 to 9"
    assert rows(done)["sum"]["ms"] > 0
    assert done.json["total"]["estimated"] == done.json["total"]["would_run"]


def test_a_plan_for_a_wrong_workflow_is_refused_as_a_run_would_be(nodegraph: Nodegraph, workflow: Path, data: Path) -> None:
    done = nodegraph("run", workflow, "--set", "sum.c=1", "--plan", "--json", "--data", data)
    assert (done.code, done.json["status"]) == (2, "invalid")


def test_a_plan_of_plain_nodes_imports_no_torch(workflow: Path, data: Path) -> None:
    code = (
        "import sys\nfrom nodegraph.cli.app import app\n"
        "try: app(sys.argv[1:])\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "run", str(workflow), "--plan", "--data", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["0", "False"]


def test_the_steps_of_a_denoise_are_all_in_the_plan(nodegraph: Nodegraph, data: Path) -> None:
    path = Path(__file__).parents[2] / "workflows" / "text_to_image.json"
    done = nodegraph("run", path, "--plan", "--json", "--data", data)
    steps = [row for row in done.json["nodes"] if row["type"] == "diffusion/denoise_step"]
    assert len(steps) == json.loads(path.read_text())["nodes"]["denoise"]["inputs"]["steps"]
    assert {row["state"] for row in steps} == {"would_run"}


def node(outlook: Any = "would_run", **rest: Any) -> NodeForecast:
    return NodeForecast("n", "t/n", "cpu", outlook, None, "", "k", (), **rest)


def test_the_closing_line_says_how_much_the_estimate_covers() -> None:
    made = [node(ms=500.0, peak_bytes=540_000_000, nbytes=2_000_000), node(ms=100.0), node(), node("hit"), node("unknown")]
    expected = (
        "would run 3 of 5 nodes, about 600 ms (estimate covers 2 of 3), peak 540 MB, results 2.0 MB, "
        "1 more unknown until something before them has run"
    )
    assert summary(Forecast(made, [], ())) == expected


def test_the_closing_line_of_a_cached_workflow_is_short() -> None:
    assert summary(Forecast([node("hit"), node("not_needed")], [], ())) == "would run 0 of 2 nodes"
