"""`nodegraph migrate`: a workflow's nodes led to the versions that are installed, and written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from nodegraph.api.documents import read_document
from nodegraph.api.opening import up_to_date
from nodegraph.api.paths import data_folder
from nodegraph.api.records import is_picture
from nodegraph.api.saving import NotWritten, save_document
from nodegraph.cli.show import DONE, FAILED, print_json, print_problems, refuse, stdout
from nodegraph.graph import installed_catalog
from nodegraph.graph.migrating import Change
from nodegraph.graph.packs import with_packs
from nodegraph.sdk.errors import InvalidWorkflow, PackError, Problem


def migrate_command(file: Path, out: Path | None, *, deprecated: bool, dry_run: bool, as_json: bool, data: Path | None) -> int:
    """Bring a workflow up to date, tell what changed, and write it where that was asked for."""
    try:
        catalog = installed_catalog(data_folder(data) / "catalog")
        if is_picture(file) and out is None and not dry_run:
            hint = "Say where the workflow goes: --out FILE.json."
            raise InvalidWorkflow([Problem("bad_output", f"{file} is a picture.", hint=hint)])
        found = up_to_date(read_document(file), catalog, deprecated=deprecated)
        if (found.changes or out is not None) and not dry_run:
            save_document(out or file, with_packs(found.document, catalog), data=data_folder(data))
    except InvalidWorkflow as error:
        return refuse(error.problems, as_json, file=str(file))
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], as_json, file=str(file))
    except NotWritten as error:
        return refuse([Problem("bad_output", str(error))], as_json, file=str(file))
    written = None if dry_run or not (found.changes or out) else str(out or file)
    if as_json:
        changes = [change.to_json() for change in found.changes]
        problems = [problem.to_json() for problem in found.problems]
        print_json({"file": str(file), "written": written, "changes": changes, "problems": problems})
    else:
        console = stdout()
        tell_changes(found.changes, console)
        if not found.changes and not found.problems:
            console.print(f"{file} is up to date.")
        if written:
            console.print(f"Written to {written}; nodegraph history shows the one before.")
        if found.problems:
            print_problems(found.problems, "Some nodes could not be brought up to date; they are as they were.")
    return FAILED if found.problems else DONE


def tell_changes(changes: Sequence[Change], console: Console) -> None:
    """What opening a workflow changed, node by node."""
    if changes:
        count = "1 node was" if len(changes) == 1 else f"{len(changes)} nodes were"
        console.print(Text(f"{count} brought up to date:", style="bold"))
    for change in changes:
        console.print(Text(f"  {change}"), soft_wrap=True)
