"""What fails, and what is lost with it: everything that depends on it, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodegraph.engine import events as ev
from nodegraph.engine.calls import failure
from nodegraph.engine.states import FAILED, SKIPPED, STATE_NAMES, WAITING
from nodegraph.sdk.errors import Problem

if TYPE_CHECKING:
    from nodegraph.engine.run import Run


def fail(run: Run, i: int, *problems: Problem, trace: str = "") -> None:
    """A node failed by itself. What it says is told without the values of secrets: from here it goes everywhere."""
    secrets = run.engine.secrets
    problems, trace = tuple(map(secrets.redact_problem, problems)), secrets.redact(trace)
    run.state[i] = FAILED
    run.reason[i] = str(problems[0])
    run.problems.extend(problems)
    for problem in problems:
        run.emit(ev.NodeFailed, run.nodes[i].id, problem, trace, run.nodes[i].spec.id)
        trace = ""
    _lose(run, i)


def fail_with(run: Run, i: int, error: Exception) -> None:
    """A node failed by an exception that nobody foresaw."""
    node = run.nodes[i]
    outcome = failure(node.id, node.spec.id, error)
    if outcome.problem is not None:
        fail(run, i, outcome.problem, trace=outcome.trace)


def skip(run: Run, i: int, because: int) -> None:
    """A node is lost because another one is."""
    _mark(run, i, because)
    _lose(run, i)


def _mark(run: Run, i: int, because: int) -> None:
    """A node that needs a lost one is skipped; one that consists of it has failed with it."""
    inner = run.nodes[because].id
    part = i in run.parts and inner.startswith((f"{run.nodes[i].id}/", f"{run.nodes[i].id}["))
    run.state[i] = FAILED if part and run.state[because] == FAILED else SKIPPED
    run.reason[i] = f"{inner} failed" if run.state[because] == FAILED else f"{inner} was skipped"
    run.tell_finished(i, STATE_NAMES[run.state[i]], run.reason[i])


def _lose(run: Run, i: int) -> None:
    """What depends on a lost node is lost too. A list waits for its other items, which go on."""
    stack = [i]
    while stack:
        lost = stack.pop()
        run.settle(lost)
        waiting, run.dependents[lost] = run.dependents[lost], None
        for mark in waiting or ():
            dependent = ~mark if mark < 0 else mark
            if run.state[dependent] != WAITING:
                continue
            if dependent in run.parts and run.nodes[dependent].mapped:
                run.notify((dependent,))
            else:
                _mark(run, dependent, lost)
                stack.append(dependent)
