"""What a run gave, on the terminal or as one JSON object: the same wherever it was computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.text import Text

from nodegraph.api.outputs import Rows
from nodegraph.cli.show import DONE, FAILED, duration, print_json, print_problems, stderr, stdout, table
from nodegraph.graph import Plan
from nodegraph.graph.values import shown
from nodegraph.sdk.errors import Problem


class Outcome(NamedTuple):
    """How a run ended. `more` are further fields of the JSON object, `remark` is a line for whoever looks on."""

    status: str
    outputs: Rows
    inputs: Mapping[str, Any]
    nodes: Mapping[str, Mapping[str, Any]]
    seconds: float
    problems: Sequence[Problem] = ()
    more: Mapping[str, Any] = {}
    remark: str = ""


def in_order(files: Rows, plan: Plan) -> Rows:
    """Outputs in the order of the interface, not in the one in which they came. A node's outputs follow under NODE.OUTPUT."""
    place = {output.name: i for i, output in enumerate(plan.wanted)}
    return {
        name: files[name] for name in sorted(files, key=lambda name: place.get(name, place.get(name.rpartition(".")[0], 0)))
    }


def report(outcome: Outcome, as_json: bool, explain: bool) -> int:
    """Say how it went; the exit code."""
    ok = outcome.status == "succeeded"
    if as_json:
        found: dict[str, Any] = {
            "status": outcome.status,
            "outputs": outcome.outputs,
            "inputs": outcome.inputs,
            "nodes": outcome.nodes,
            "seconds": round(outcome.seconds, 3),
            **outcome.more,
        }
        if outcome.problems:
            found["problems"] = [problem.to_json() for problem in outcome.problems]
        print_json(found)
        return DONE if ok else FAILED
    if explain:
        _explain(outcome.nodes)
    if outcome.problems:
        print_problems(outcome.problems, "The run did not succeed.")
    for name, rows in outcome.outputs.items():
        for row in rows:
            print(_line(name, row))
    if outcome.remark:
        stderr().print(Text(outcome.remark, style="dim"))
    if ok:
        computed = sum(node["state"] == "computed" for node in outcome.nodes.values())
        stderr().print(Text(f"{duration(outcome.seconds * 1e3)}, {computed} nodes computed", style="dim"))
    return DONE if ok else FAILED


def _line(name: str, row: dict[str, Any]) -> str:
    """One output as a line: the path of a file, else what it is."""
    if "path" in row:
        return str(row["path"])
    return f"{name}: {shown(row['value'])}" if "value" in row else f"{name}: {row['type']}"


def _explain(nodes: Mapping[str, Mapping[str, Any]]) -> None:
    rows = table("node", "state", "ms", "why", right=["ms"])
    styles = {"computed": "green", "hit": "blue", "failed": "red", "skipped": "red"}
    for name, row in nodes.items():
        ms = f"{row['ms']:.1f}" if row["ms"] else ""
        rows.add_row(name, Text(row["state"], style=styles.get(row["state"], "dim")), ms, row["reason"])
    stdout().print(rows)
