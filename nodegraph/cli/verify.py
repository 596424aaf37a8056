"""`nodegraph verify`, and what `run --lock` and `run --locked` say: a workflow's lock beside what is here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from nodegraph.api.libraries import hush_libraries
from nodegraph.api.locking import Progress, compare_lock
from nodegraph.api.records import is_picture
from nodegraph.api.session import Session
from nodegraph.api.workflow import Result, Workflow, load
from nodegraph.cli.show import DONE, FAILED, print_json, print_problems, refuse, size, stderr, stdout, table
from nodegraph.graph.lock import read_lock
from nodegraph.graph.verifying import Comparison, Difference
from nodegraph.sdk.errors import InvalidWorkflow, PackError, Problem
from nodegraph.sdk.writing import NotWritten
from nodegraph.store.revisions import StaleRevision

_SECTIONS = ("document", "packs", "models", "inputs", "runtime")
_LONGEST = 24  # characters of a value in the table


def verify_command(file: Path, as_json: bool, data: Path | None, models: list[Path]) -> int:
    """Compare a workflow's lock with what is here, field by field; nothing runs."""
    hush_libraries()
    try:
        with Session(data, models=models) as session, digesting(stderr()) as progress:
            found = compare_lock(load(file, session), progress)
    except InvalidWorkflow as error:
        return refuse(error.problems, as_json, "This cannot be verified", file=str(file))
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], as_json, "This cannot be verified", file=str(file))
    if as_json:
        print_json({"status": "different" if found.must else "same", "file": str(file), "fields": _fields(found)})
    else:
        _show(file, found)
    return FAILED if found.must else DONE


def _fields(found: Comparison) -> list[dict[str, Any]]:
    """Every field in the lock's order, as JSON."""
    rows: list[dict[str, Any]] = [
        {"field": place, "state": "same", "expected": value, "got": value} for place, value in found.same.items()
    ]
    for item in found.differences:
        row = {"field": item.place, "state": item.state, "expected": item.expected, "got": item.got, "must": item.must}
        rows.append({**row, "message": item.message, **({"hint": item.hint} if item.hint else {})})
    return sorted(rows, key=lambda row: _order(row["field"]))


def _order(place: str) -> tuple[int, str]:
    return _SECTIONS.index(place.partition(".")[0]), place


def _show(file: Path, found: Comparison) -> None:
    rows = table("field", "state", "locked", "here")
    nodes = [place for place in found.same if place.startswith("document.")]
    if nodes:
        rows.add_row("document", Text("same", style="green"), f"{len(nodes)} parts", "")
    for row in _fields(found):
        same, place = row["state"] == "same", row["field"]
        if same and place in nodes:
            continue
        state, style = (row["state"], "green" if same else "red") if row.get("must", True) else ("good to know", "yellow")
        here = "" if same else _shortened(row["got"])
        rows.add_row(place, Text(state, style=style), _shortened(row["expected"]), here)
    stdout().print(rows)
    count = len(found.same) + len(found.differences)
    if found.must:
        one = len(found.must) == 1
        title = (
            f"{len(found.must)} of {count} fields {'is' if one else 'are'} not as {'it was' if one else 'they were'} locked."
        )
        print_problems([item.problem() for item in found.must], title)
    else:
        print(f"{file} can run here as it was locked.")


def _shortened(value: str | None) -> str:
    text = value or "nothing"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


# ---- for `nodegraph run` ----


@contextmanager
def digesting(console: Console) -> Iterator[Progress | None]:
    """Says which file is being read where somebody can see it: large models take a while the first time."""
    if not console.is_terminal:
        yield None
        return
    with console.status("comparing with the lock") as status:
        yield lambda name, done, total: status.update(f"reading {name}: {size(done)} of {size(total)}")


def check_lock_place(workflow: Workflow, file: Path, plan: bool) -> None:
    """Find out now, not after the run, whether a lock can be put into the workflow's file. Raises InvalidWorkflow."""
    message, hint = "", "Put the workflow into a JSON file of your own, and lock that."
    if plan:
        message, hint = "--plan runs nothing, so there is nothing to lock.", "Leave --plan out."
    elif is_picture(file):
        message = f"A lock is put into the workflow's file, and {file} is a picture."
    elif not file.is_file() or not os.access(file, os.W_OK) or not os.access(file.resolve().parent, os.W_OK):
        message = f"A lock is put into the workflow's file, and {file} cannot be written."
    if message:
        raise InvalidWorkflow([Problem("cannot_lock", message, hint=hint)])


def put_lock(workflow: Workflow, result: Result) -> list[Problem]:
    """Save the workflow as it ran, with the lock of the run: what went wrong, if anything."""
    try:
        workflow.with_lock(result.document.lock).save()
    except (StaleRevision, NotWritten) as error:
        return [error.problem]
    return []


def lock_in_words(result: Result) -> str:
    """`2 packs, 1 model, 3 input files`."""
    lock = read_lock(result.document)
    counts = {"pack": len(lock.packs), "model": len(lock.models), "input file": len(lock.inputs)}
    return ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items())


def note_json(notes: list[Difference]) -> list[dict[str, Any]]:
    return [{"field": item.place, "expected": item.expected, "got": item.got} for item in notes]


def show_notes(notes: list[Difference]) -> None:
    """What is not as it was locked and may still give the same pixels."""
    for item in notes:
        line = f"{item.message} ({item.place}: {item.expected} when it was locked, {item.got or 'nothing'} here)"
        stderr().print(Text(line, style="yellow"), soft_wrap=True)
