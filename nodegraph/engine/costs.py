"""What node types cost on this machine, learned while they run."""

from __future__ import annotations

from nodegraph.sdk.spec import NodeSpec

CHEAP_SECONDS = 50e-6
"""A node type that takes less than a hop to a thread and back runs inline."""


class Costs:
    """Seconds per node type: the mean that halves the past."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def known(self, spec: NodeSpec) -> float | None:
        return self._seconds.get(spec.id)

    def is_cheap(self, spec: NodeSpec) -> bool:
        return self._seconds.get(spec.id, 1.0) < CHEAP_SECONDS

    def learn(self, spec: NodeSpec, seconds: float) -> None:
        known = self._seconds.get(spec.id)
        self._seconds[spec.id] = seconds if known is None else (known + seconds) / 2
