"""The live view: what a line says of a node."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from nodegraph.cli.live import LiveView
from nodegraph.engine import NodeExpanded, NodeFinished, NodeStarted
from nodegraph.graph import Plan
from nodegraph.graph.document import document_from
from nodegraph.graph.plan import PlanNode
from nodegraph.sdk.spec import NodeSpec


def drawn(*events: Any) -> list[str]:
    nodes = [PlanNode(name, NodeSpec("t/x", "r", (), ()), {}) for name in "ab"]
    console = Console(file=io.StringIO(), width=120)
    view = LiveView(Plan(document_from({"nodegraph": 1, "nodes": {}}), nodes, []), console)
    for event in events:
        view.listen(event)
    console.print(view._draw())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_hit_says_where_it_was_found() -> None:
    lines = drawn(NodeFinished(1, 0, "a", "hit", "on disk", 0), NodeFinished(2, 0, "b", "hit", "in memory", 0))
    assert [line.split("t/x")[1].strip() for line in lines[1:]] == ["hit (disk)", "hit (memory)"]


def test_of_a_composite_the_hits_are_counted_by_where_they_were_found() -> None:
    lines = drawn(
        NodeExpanded(1, 0, "a", ("a/1", "a/2", "a/3", "a/4")),
        NodeFinished(2, 0, "a/1", "hit", "on disk, inputs came out the same", 0),
        NodeFinished(3, 0, "a/2", "hit", "on disk", 0),
        NodeFinished(4, 0, "a/3", "hit", "in memory", 0),
        NodeStarted(5, 0, "a/4"),
    )
    assert lines[1].endswith("3/4  2 hits (disk)  1 hit (memory)")
