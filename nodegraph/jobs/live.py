"""What is known of a job while it runs, and kept nowhere: its nodes so far, what it asks, and what passes.

It is made of what a worker tells, so a page that comes in the middle finds what those know that were there from the start.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from nodegraph.jobs.parts import whole_of

_TOLD = ("state", "reason", "ms", "bytes")


class Passing(NamedTuple):
    """What is shown while it is new and kept nowhere: progress and previews. `picture` is a PNG file."""

    job: str
    node: str
    type: str
    data: Mapping[str, Any]
    picture: bytes | None = None


class LiveJob:
    """A job that runs. All by the paths of nodes: `rows`, the parts that nodes `became`, and `questions`."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.became: dict[str, list[str]] = {}
        self.questions: dict[str, dict[str, Any]] = {}
        self._passing: dict[tuple[str, str], Passing] = {}

    def take(self, type_: str, data: dict[str, Any]) -> None:
        """An event about a node. The key of its result stays here: it says nothing to clients."""
        node, row = data["node"], {"type": data.get("node_type", ""), "state": "running", "reason": "", "ms": 0.0}
        match type_:
            case "node_started":
                self.rows[node] = row
            case "node_expanded":
                self.rows[node], self.became[node] = row, data["into"]
            case "node_finished":
                row.update((name, data[name]) for name in _TOLD if name in data)
                if "key" in data:
                    row["key"] = data.pop("key")
                self.rows[node] = row
            case "node_failed":
                self.rows[node] = {**row, "state": "failed", "reason": data["problem"]["message"]}
        if self.rows[node]["state"] != "running":
            self._passing = {key: passing for key, passing in self._passing.items() if key[0] != node}

    def is_running(self, node: str) -> bool:
        return self.rows.get(node, {}).get("state") == "running"

    def keep(self, passing: Passing) -> None:
        """Keep the latest of what it is of, as long as that is under way: a step is soon over, its denoise is not."""
        whole = whole_of(passing.node)
        owner = whole if whole in self.became else passing.node
        if owner not in self.rows or self.is_running(owner):
            self._passing[owner, passing.type] = passing

    @property
    def passing(self) -> Collection[Passing]:
        """The latest progress and previews of what is under way."""
        return self._passing.values()

    def rows_at_end(self) -> dict[str, dict[str, Any]]:
        """The rows of a job that ends here: nothing runs any more."""
        left = {"state": "skipped", "reason": "The job ended before it."}
        return {path: {**row, **left} if row["state"] == "running" else row for path, row in self.rows.items()}
