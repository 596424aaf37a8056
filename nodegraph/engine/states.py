"""What may be true of a node in a run, in the order in which it happens."""

from __future__ import annotations

from nodegraph.engine.events import State

UNSEEN, WAITING, QUEUED, COMPUTED, HIT, FAILED, SKIPPED = range(7)

THERE = (COMPUTED, HIT)
LOST = (FAILED, SKIPPED)

STATE_NAMES: tuple[State, ...] = ("not_needed", "skipped", "skipped", "computed", "hit", "failed", "skipped")
"""What is reported of each when the run is over; what was still under way then was not needed after all."""
