"""`nodegraph history|restore|undo|redo`: what was saved before, and going back to it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nodegraph.api import saving
from nodegraph.cli.show import DONE, FAILED, WRONG_INPUT, print_json, print_problems, size, stdout, table
from nodegraph.sdk.errors import Problem

_KINDS = {"save": "saved", "draft": "draft", "restore": "restored", "outside": "as found"}


def history_command(file: Path, show: str | None, as_json: bool, data: Path | None) -> int:
    """List a document's revisions, or write one of them to stdout."""
    return _told(lambda: _show(file, show, as_json, data) if show else _list(file, as_json, data), file, as_json)


def restore_command(file: Path, revision: str, as_json: bool, data: Path | None) -> int:
    """Put an earlier revision into the file, as a new one."""
    return _told(lambda: _done(saving.restore(file, revision, data=data), as_json), file, as_json)


def undo_command(file: Path, as_json: bool, data: Path | None) -> int:
    """Put what lay in the file before."""
    return _told(lambda: _done(saving.undo(file, data=data), as_json), file, as_json)


def redo_command(file: Path, as_json: bool, data: Path | None) -> int:
    """Put what the last undo took out of the file."""
    return _told(lambda: _done(saving.redo(file, data=data), as_json), file, as_json)


def _list(file: Path, as_json: bool, data: Path | None) -> int:
    found = saving.history(file, data=data)
    if as_json:
        print_json(found)
        return FAILED if found["trouble"] else DONE
    if found["trouble"]:
        print_problems([Problem("history_trouble", found["trouble"])], "Something is wrong with the history.")
        return FAILED
    if not found["revisions"]:
        print(f"No revisions of {file} are known: one is kept whenever it is saved by nodegraph.")
        return DONE
    rows = table("", "revision", "when", "how", "nodes", "size", "title", right=["nodes", "size"])
    known = {row["number"]: row for row in found["revisions"]}
    for row in found["revisions"]:
        here = ">" if row["revision"] == found["current"] else ""
        nodes = _change(row["nodes"], (known.get(row["parent"]) or {}).get("nodes"))
        when = saving.local_time(row["at"])
        rows.add_row(here, row["revision"], when, _KINDS[row["kind"]], nodes, size(row["bytes"]), _line(row["title"]))
    console = stdout()
    console.print(rows)
    if found["outside"]:
        console.print("Another program has changed the file since; what it holds becomes a revision before it is replaced.")
    elif found["current"] is None:
        console.print(f"There is no file {file} now: `nodegraph undo` brings it back.", soft_wrap=True)
    return DONE


def _show(file: Path, revision: str, as_json: bool, data: Path | None) -> int:
    if as_json:
        print_json(saving.read(file, revision, data=data))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(saving.read_bytes(file, revision, data=data))
        sys.stdout.buffer.flush()
    return DONE


def _done(saved: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print_json(saved)
        return DONE
    row = saved["revision"]
    nodes = "" if row["nodes"] is None else f", {row['nodes']} {'node' if row['nodes'] == 1 else 'nodes'}"
    print(f"{saved['file']} holds {row['revision']} now ({saving.local_time(row['at'])}{nodes}).")
    if saved["before"] not in (None, row["revision"]):
        print(f"Before it held {saved['before']}.")
    if saved["trouble"]:
        print_problems([Problem("history_trouble", saved["trouble"])], "Something was wrong with the history.")
    return DONE


def _change(nodes: int | None, before: int | None) -> str:
    """`12`, `13 (+1)`."""
    if nodes is None:
        return ""
    return f"{nodes} ({nodes - before:+d})" if before is not None and before != nodes else str(nodes)


def _line(title: str) -> str:
    """A title as one line of a table, whatever is in it."""
    line = "".join(character if character.isprintable() else " " for character in title)
    return line if len(line) < 60 else line[:57] + "..."


def _told(work: Callable[[], int], file: Path, as_json: bool) -> int:
    """What `work` ends with, or why it could not be done."""
    try:
        return work()
    except (saving.NoRevision, saving.NotWritten, saving.StaleRevision) as error:
        if as_json:
            print_json({"status": "refused", "file": str(file), "problems": [error.problem.to_json()]})
        else:
            print_problems([error.problem], "Nothing was changed.")
        return WRONG_INPUT if isinstance(error, saving.NoRevision) else FAILED
