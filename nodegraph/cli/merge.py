"""`nodegraph merge`: two versions of a workflow and the one they come from become one; also as git's merge driver."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from nodegraph.api.documents import read_document
from nodegraph.api.records import PICTURES
from nodegraph.cli.diff import in_file
from nodegraph.cli.show import DONE, FAILED, print_json, refuse, stderr
from nodegraph.cli.wording import plain, value_text
from nodegraph.editing import Conflict, merge
from nodegraph.graph import dump_document
from nodegraph.graph.document import to_json
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.sdk.writing import NotWritten, write_atomically

_TITLE = "These cannot be merged"


def merge_command(base: Path, ours: Path, theirs: Path, out: Path | None, as_json: bool) -> int:
    """Merge and write the result, which opens whatever happened; conflicts are told, and are the exit code."""
    documents, problems = [], []
    for path in (base, ours, theirs):
        try:
            documents.append(read_document(path))
        except InvalidWorkflow as error:
            problems += [in_file(problem, path) for problem in error.problems]
    if out is not None and out.suffix.lower() in PICTURES:
        hint = "Name a .json file; a run of it makes a picture that carries it."
        problems.append(Problem("bad_out", f"{out} would be a picture, and a merge is a workflow.", hint=hint))
    if problems:
        return refuse(problems, as_json, _TITLE)
    merged = merge(*documents)
    conflicts = merged.conflicts
    if out is not None:
        try:
            write_atomically(out, dump_document(merged.document).encode())
        except NotWritten as error:
            return refuse([error.problem], as_json, _TITLE)
    if as_json:
        told = {"status": "conflicts" if conflicts else "merged", "conflicts": [found.to_json() for found in conflicts]}
        print_json(told if out is not None else {**told, "document": to_json(merged.document)})
        return FAILED if conflicts else DONE
    if out is None:
        sys.stdout.write(dump_document(merged.document))
        sys.stdout.flush()
    if conflicts:
        print_conflicts(conflicts)
    return FAILED if conflicts else DONE


def print_conflicts(conflicts: Sequence[Conflict]) -> None:
    """Every conflict on stderr: where, what each side says, and what became of it."""
    console = stderr()
    count = "1 conflict" if len(conflicts) == 1 else f"{len(conflicts)} conflicts"
    console.print(Text(f"{count}. The merged workflow says what ours says there; theirs is below.", style="bold red"))
    for conflict in conflicts:
        console.print(Text.assemble("  ", (f"{plain(conflict.place)}: ", "bold"), plain(conflict.message)), soft_wrap=True)
        for name, value, style in (
            ("base", conflict.base, "dim"),
            ("ours", conflict.ours, ""),
            ("theirs", conflict.theirs, "cyan"),
        ):
            console.print(Text(f"      {name:<6} {value_text(value)}", style=style), soft_wrap=True)
