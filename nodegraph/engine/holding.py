"""Which results a run still needs: a node that waits holds what it is linked to, and what nobody holds lets its values go.

The cache may have them still; who comes late finds them there, or has them computed again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nodegraph.engine.run import Run


def has_value(run: Run, i: int) -> bool:
    """Whether a node's result is there with its values."""
    result = run.result[i]
    return result is not None and not result.hollow


def hold(run: Run, i: int, sources: Iterable[int]) -> None:
    """Node `i` needs these results until it settles."""
    held = tuple(sources)
    for source in held:
        run.uses[source] += 1
    run.holds[i] = (*run.holds.get(i, ()), *held)


def drop(run: Run, i: int) -> None:
    """Node `i` needs nothing more."""
    for source in run.holds.pop(i, ()):
        run.uses[source] -= 1
        if not run.uses[source]:
            run.loose.append(source)


def let_go(run: Run) -> None:
    """Results that nobody holds let their values go; volatile ones do not, for they would not be found again."""
    while run.loose:
        i = run.loose.pop()
        result = run.result[i]
        if result is None or result.light or result.hollow or result.volatile or run.uses[i]:
            continue
        if i not in run.wanted or (not run.options.keep and i not in run.open):
            run.result[i] = result.without_values()
            run.left.add(i)
