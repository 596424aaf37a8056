"""What may be true of a node in a run, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nodegraph.engine.events import State
from nodegraph.engine.parts import Parts

UNSEEN, WAITING, QUEUED, COMPUTED, HIT, FAILED, SKIPPED = range(7)

THERE = (COMPUTED, HIT)
LOST = (FAILED, SKIPPED)

STATE_NAMES: tuple[State, ...] = ("not_needed", "skipped", "skipped", "computed", "hit", "failed", "skipped")
"""What is reported of each when the run is over; what was still under way then was not needed after all."""


def reported(state: Sequence[int], parts: Mapping[int, Parts], i: int) -> State:
    """What is reported of a node when its run is over; of one that nobody wanted whole, what became of its parts."""
    if state[i] == WAITING and i in parts:
        states = {state[link.source] for link in parts[i].links()}
        return "computed" if COMPUTED in states else "hit" if HIT in states else "not_needed"
    return STATE_NAMES[state[i]]
