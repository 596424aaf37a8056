"""A worker is killed with SIGKILL at random moments and started again: it goes on from what had reached the disk."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from inspect import signature
from pathlib import Path
from typing import NamedTuple

import pytest

from crash.story import Place, expected
from crash.worker import ITEMS, STEPS
from nodegraph.store import WriteBehind

MOMENTS = 50 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 5
AT_ONCE = 5  # workers mostly sleep
DEFAULT_WINDOW = 1.0
FLUSH_SECONDS = 0.5
"""What writing may take once the window has ended, on two cores that five workers and other tests share."""


class Window(NamedTuple):
    """A write-behind window, and steps that take long enough for a run to last several of them."""

    seconds: float
    step_seconds: float

    @property
    def options(self) -> dict[str, float]:
        own = {} if self.seconds == DEFAULT_WINDOW else {"window": self.seconds}
        return {**own, "step_seconds": self.step_seconds}

    @property
    def run_seconds(self) -> float:
        """What the chain of steps takes, and hence the run on two cores or more."""
        return self.step_seconds * (STEPS + 3)


WINDOWS = {"default window": Window(DEFAULT_WINDOW, 0.07), "short window": Window(0.1, 0.02)}


def everywhere(check: Callable[[int], float]) -> list[float]:
    """Do it at every moment."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(check, range(MOMENTS)))


@pytest.mark.slow
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_a_killed_run_goes_on_and_repeats_no_step_that_is_older_than_the_window(
    tmp_path: Path, window: Window, record_property: Callable[[str, object], None]
) -> None:
    right = expected()

    def check(number: int) -> float:
        """The age of the oldest step that was computed again, when the worker was killed."""
        place = Place.below(tmp_path / str(number))
        process = place.start(**window.options)
        process.wait_until_begun()
        moment = 0.95 * (number + random.Random(number).random()) / MOMENTS
        killed = process.kill_after(moment * window.run_seconds)
        assert killed is not None, "the run had ended before the moment came"
        before = {line.name: line.at for line in place.lines()}
        again = place.run(**window.options)
        after = [line.name for line in place.lines()[len(before) :]]
        assert (again.status, again.text, again.trouble) == ("succeeded", right.text, None)
        assert before.keys() | set(after) <= right.steps, "a step saw something that no undisturbed run sees"
        assert len(after) == len(set(after)), "a step was computed twice by one process"
        assert not list((place.folder / "temporary").iterdir()), "what the dead process was writing is still there"
        return max((killed - before[name] for name in after if name in before), default=0.0)

    ages = everywhere(check)
    record_property("oldest_repeated_seconds", max(ages))
    assert max(ages) < window.seconds + FLUSH_SECONDS, sorted(ages)


@pytest.mark.slow
def test_however_often_a_run_is_killed_it_makes_progress_and_ends(tmp_path: Path) -> None:
    place, dice, right = Place.below(tmp_path), random.Random(3), expected()
    window = WINDOWS["short window"]
    kills = 0
    known: set[str] = set()
    while True:
        process = place.start(**window.options)
        process.wait_until_begun()
        killed = process.kill_after(window.seconds + FLUSH_SECONDS / 2 + dice.uniform(0, 0.1))
        if killed is None:
            break
        kills += 1
        steps = {line.name for line in place.lines()}
        assert steps - known, "nothing new since the last kill"
        known = steps
    assert place.run().text == right.text
    counts = Counter(line.name for line in place.lines())
    assert counts.keys() == right.steps
    assert kills >= 2
    assert max(counts.values()) <= 1 + kills


@pytest.mark.slow
def test_a_run_that_is_killed_before_anything_was_written_begins_again(tmp_path: Path) -> None:
    place = Place.below(tmp_path)
    process = place.start()
    process.wait_until_begun()
    assert process.kill_after(0) is not None
    assert place.run().text == expected().text


@pytest.mark.slow
def test_items_of_a_list_that_were_finished_are_not_computed_again(tmp_path: Path) -> None:
    place, right = Place.below(tmp_path), expected(steps=1)
    process = place.start(steps=1, window=0.02, step_seconds=0.05)
    process.wait_until_begun()
    assert process.kill_after(0.05 * 20) is not None
    before = [line.name for line in place.lines()]
    again = place.run(steps=1, step_seconds=0.05)
    assert again.text == right.text
    states = Counter(again.states[f"rest[{number}]"][0] for number in range(ITEMS))
    assert states["hit"] >= 1
    assert states["computed"] >= 1
    assert len(place.lines()) - len(before) < len(right.steps) - len(before) + 8


def test_the_default_window_is_what_these_tests_take_it_for() -> None:
    assert signature(WriteBehind).parameters["window_seconds"].default == DEFAULT_WINDOW
