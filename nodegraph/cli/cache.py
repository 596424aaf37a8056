"""`nodegraph cache info|clear|gc|explain`: what is kept in the data folder, and why a node is in it or not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nodegraph.api.paths import DISK_BYTES, cache_folder, data_folder, journal_file, scratch_folder
from nodegraph.cli.show import DONE, FAILED, print_json, print_problems, refuse, size, stderr, stdout
from nodegraph.sdk.errors import InvalidWorkflow, PackError, Problem
from nodegraph.store.disk import DiskInfo, DiskTier
from nodegraph.store.journal import Journal, JournalInfo
from nodegraph.store.unfinished import DAY, Work, forget_unfinished, unfinished

if TYPE_CHECKING:
    from nodegraph.api.workflow import Workflow

FORGOTTEN_DAYS = 30
"""Unfinished work that nobody has touched for so long is removed by `gc`; `clear --all` takes what was not touched today."""


class Kept(NamedTuple):
    """What a data folder keeps beside documents: results (None where there is no folder yet) and the journal."""

    disk: DiskTier | None
    journal: Journal

    def info(self, folder: Path) -> tuple[DiskInfo, JournalInfo]:
        disk = self.disk.info() if self.disk else DiskInfo(folder, DISK_BYTES, 0, 0, (), None)
        return disk, self.journal.info()

    @property
    def trouble(self) -> str:
        return " ".join(filter(None, [self.disk.trouble if self.disk else None, self.journal.trouble]))


@contextmanager
def _opened(data: Path) -> Iterator[Kept]:
    folder = cache_folder(data)
    disk = DiskTier(folder, DISK_BYTES) if folder.exists() else None
    journal = Journal(journal_file(data))
    try:
        yield Kept(disk, journal)
    finally:
        journal.close()
        if disk is not None:
            disk.close()


def info_command(as_json: bool, data: Path | None) -> int:
    """Show what is kept."""
    root = data_folder(data)
    with _opened(root) as kept:
        disk, journal = kept.info(cache_folder(root))
        trouble = kept.trouble
    left = unfinished(scratch_folder(root))
    if as_json:
        print_json(
            {
                "folder": str(disk.folder),
                "used_bytes": disk.used_bytes,
                "budget_bytes": disk.budget_bytes,
                "entries": disk.entries,
                "types": [{"type": t.type, "entries": t.entries, "bytes": t.bytes, "seconds": t.seconds} for t in disk.types],
                "unfinished": {"entries": len(left), "bytes": sum(work.nbytes for work in left)},
                "thumbnails": {"entries": journal.thumbnails, "bytes": journal.thumbnail_bytes},
                "journal": {
                    "bytes": journal.nbytes,
                    "documents": journal.documents,
                    "runs": journal.runs,
                    "timings": journal.timings,
                },
                "trouble": trouble or None,
            }
        )
        return FAILED if trouble else DONE
    _show_info(disk, journal, left)
    return _done(trouble)


def _show_info(disk: DiskInfo, journal: JournalInfo, left: list[Work]) -> None:
    from nodegraph.cli.show import duration, table

    console = stdout()
    console.print(f"{disk.folder}: {size(disk.used_bytes)} of {size(disk.budget_bytes)}, {_count(disk.entries, 'entry')}")
    if disk.types:
        rows = table("type", "entries", "size", "saves", right=["entries", "size", "saves"])
        for use in disk.types:
            rows.add_row(use.type or "(links to results)", str(use.entries), size(use.bytes), duration(use.seconds * 1e3))
        console.print(rows)
    if left:
        taken = f"unfinished work of {_count(len(left), 'node')}, {size(sum(work.nbytes for work in left))}"
        console.print(f"{taken}; gc removes what is untouched for {FORGOTTEN_DAYS} days")
    console.print(f"{_count(journal.thumbnails, 'thumbnail')}, {size(journal.thumbnail_bytes)}")
    runs = f"{_count(journal.runs, 'run')} of {_count(journal.documents, 'workflow')}"
    console.print(f"journal: {runs}, {_count(journal.timings, 'timing')}, {size(journal.nbytes)}")


def clear_command(as_json: bool, data: Path | None, yes: bool, everything: bool) -> int:
    """Remove cached results; with `everything` thumbnails, past runs and the unfinished work of before today too."""
    root = data_folder(data)
    what = "all cached results" + (", thumbnails, past runs and work left unfinished for a day" if everything else "")
    if not yes:
        if as_json or not sys.stdin.isatty():
            message = f"This would remove {what}, and nobody can be asked here."
            return refuse([Problem("not_confirmed", message, hint="Add --yes.")], as_json)
        with _opened(root) as kept:
            used = kept.info(cache_folder(root))[0].used_bytes
        stderr().print(f"Remove {what} ({size(used)} of results) from {root}? [y/N] ", end="")
        if input().strip().lower() not in ("y", "yes"):
            stderr().print("Nothing was removed.")
            return DONE
    with _opened(root) as kept:
        freed = kept.disk.clear() if kept.disk is not None else 0
        if everything:
            freed += kept.journal.clear(thumbnails=True, runs=True)
            freed += sum(work.nbytes for work in forget_unfinished(scratch_folder(root), DAY))
        trouble = kept.trouble
    if as_json:
        print_json({"freed_bytes": freed, "trouble": trouble or None})
    else:
        print(f"{size(freed)} freed.")
    return _done("" if as_json else trouble, FAILED if trouble else DONE)


def gc_command(as_json: bool, data: Path | None) -> int:
    """Bring folder and index in line, and the budget to hold; work that nobody went on with goes."""
    root = data_folder(data)
    with _opened(root) as kept:
        found = kept.disk.gc()._asdict() if kept.disk is not None else {}
        trouble = kept.trouble
    gone = forget_unfinished(scratch_folder(root), FORGOTTEN_DAYS * DAY)
    freed = found.pop("freed_bytes", 0) + sum(work.nbytes for work in gone)
    found["unfinished"] = len(gone)
    if as_json:
        print_json({**found, "freed_bytes": freed, "trouble": trouble or None})
        return FAILED if trouble else DONE
    words = {
        "temporary_files": ("temporary file of a dead process removed", "temporary files of dead processes removed"),
        "adopted": ("file taken up into the index", "files taken up into the index"),
        "removed_files": ("file removed that is no result", "files removed that are no results"),
        "removed_entries": ("entry removed whose file is gone", "entries removed whose files are gone"),
        "unfinished": (
            f"node's unfinished work removed, untouched for {FORGOTTEN_DAYS} days",
            f"nodes' unfinished work removed, untouched for {FORGOTTEN_DAYS} days",
        ),
        "evicted": ("result evicted to keep to the budget", "results evicted to keep to the budget"),
    }
    told = [f"{count} {words[name][count != 1]}" for name, count in found.items() if count and name in words]
    for line in told or ["Everything was in order"]:
        print(f"{line}.")
    if freed:
        print(f"{size(freed)} freed.")
    return _done(trouble)


def explain_command(
    file: Path, inputs: list[str], set_: list[str], as_json: bool, data: Path | None, models: list[Path]
) -> int:
    """Say of every node of a workflow whether its result is in the cache, and if not what changed."""
    from nodegraph.api.session import Session
    from nodegraph.cli.run import configured

    try:
        with Session(data, models=models) as session:
            return _explain(*configured(file, inputs, set_, session), as_json)
    except InvalidWorkflow as error:
        return refuse(error.problems, as_json)
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], as_json)


def _explain(workflow: Workflow, paths: list[str], as_json: bool) -> int:
    from nodegraph.api.forecast import forecast_workflow
    from nodegraph.cli.plan import looking, state
    from nodegraph.cli.show import table

    off = set(workflow.session.compile(workflow.linked).disabled)
    everything = [name for name in workflow.document.nodes if name not in off]
    with looking(stderr()):
        found = forecast_workflow(workflow, wanted=everything, allow=paths, every=True)
    if as_json:
        keys = ("node", "type", "state", "cache", "why", "result_bytes")
        rows = [{key: row[key] for key in keys} for row in found.to_json()["nodes"]]
        print_json({"nodes": [{**row, "state": row["state"].replace("would_run", "miss")} for row in rows]})
        return DONE
    shown = table("node", "type", "size", "why", right=["size"])
    for row in found.nodes:
        hit = row.outlook == "hit" and row.nbytes is not None
        shown.add_row(row.node, row.type, size(row.nbytes or 0) if hit else "", state(row, miss="not in cache"))
    stdout().print(shown)
    return DONE


def _count(number: int, what: str) -> str:
    many = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{number} {what if number == 1 else many}"


def _done(trouble: str, code: int | None = None) -> int:
    """The exit code, after saying what is wrong, if anything."""
    if trouble:
        print_problems([Problem("cache_trouble", trouble)], "Something is wrong with the data folder.")
    return code if code is not None else FAILED if trouble else DONE
