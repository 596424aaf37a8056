"""`nodegraph sweep`: axes from the command line. What a sweep is: `editing/sweep.py`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nodegraph.api.workflow import Workflow
from nodegraph.cli.flags import typed
from nodegraph.graph import PublicInput
from nodegraph.graph.values import BadValue, accept
from nodegraph.sdk.errors import InvalidWorkflow, Problem, nearest
from nodegraph.sdk.writing import NotWritten

_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)(?::(\d+(?:\.\d+)?))?")
_MOST = 1000


class Sweep(NamedTuple):
    """The options of `nodegraph sweep` as typed: NAME=VALUES for x, y and z, which output, and where to save the workflow."""

    axes: Sequence[Sequence[str]]
    of: str
    save: Path | None


def swept(workflow: Workflow, options: Sweep, paths: list[str]) -> Workflow:
    """The sweep of a workflow, saved where that was asked for. Raises InvalidWorkflow with every axis that does not fit."""
    inputs, problems = workflow.inputs, list[Problem]()
    axes: dict[str, list[Any]] = {}
    for texts in filter(None, options.axes):
        names = {text.partition("=")[0].replace("-", "_") for text in texts}
        name = min(names)
        if len(names) > 1 or not all("=" in text for text in texts):
            hint = "Write NAME=VALUES; the same NAME where an axis is given twice."
            problems.append(Problem("bad_axis", f"{' and '.join(map(repr, texts))} is no axis.", hint=hint))
        elif name not in inputs:
            hint = nearest(name, inputs, "It has") or "It has no inputs."
            problems.append(Problem("no_such_input", f"This workflow has no input {name!r}.", hint=hint))
        elif name in axes:
            problems.append(Problem("bad_axis", f"{name!r} cannot be two axes."))
        else:
            values = [text.partition("=")[2] for text in texts]
            parts = values if len(values) > 1 else _values(values[0])
            axes[name] = _accepted(inputs[name], parts, paths, problems)
    if problems:
        raise InvalidWorkflow(problems)
    made = workflow.sweep(axes, options.of)
    if options.save is not None:
        try:
            made.save(options.save)
        except NotWritten as error:
            raise InvalidWorkflow([Problem("bad_output", str(error))]) from None
    return made


def _values(text: str) -> list[str]:
    """`1,2,3`, `1..5`, `0..1:0.25`, or a JSON list for texts with commas."""
    if found := _RANGE.fullmatch(text.strip()):
        first, last = float(found[1]), float(found[2])
        step = float(found[3] or 1) * (1 if last >= first else -1)
        count = int((last - first) / step + 1e-9) + 1 if step else 0
        return [f"{first + step * index:.10g}" for index in range(min(count, _MOST + 1))]
    if text.strip().startswith("["):
        try:
            return [each if isinstance(each, str) else json.dumps(each) for each in json.loads(text)]
        except ValueError:
            pass
    return [each.strip() for each in text.split(",") if each.strip()]


def _accepted(item: PublicInput, texts: Sequence[str], paths: list[str], problems: list[Problem]) -> list[Any]:
    """The values of an axis; one problem for all that it does not take."""
    found, bad = [], list[BadValue]()
    for text in texts:
        try:
            found.append(accept(item.spec, typed(item.spec, text, paths)))
        except (ValueError, KeyError, BadValue) as error:
            bad.append(error if isinstance(error, BadValue) else BadValue(item.takes, repr(text)))
    if bad:
        got = ", ".join(str(each.got) for each in bad[:4]) + (f" and {len(bad) - 4} more" if len(bad) > 4 else "")
        what = "this value" if len(bad) == 1 else "these values"
        problems.append(Problem("bad_value", f"The axis {item.name!r} does not take {what}.", None, None, bad[0].expected, got))
    return found
