"""`nodegraph import`: other programs' files as workflows, with a report of what became of each node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.text import Text

from nodegraph.api.paths import data_folder
from nodegraph.api.scripts import document_from_script
from nodegraph.artifacts import read_metadata
from nodegraph.artifacts.reading import TITLES
from nodegraph.cli.show import DONE, FAILED, print_json, refuse, stderr, stdout, table
from nodegraph.graph import Catalog, dump_document, installed_catalog, validate
from nodegraph.graph.opening import decoded, read_bytes
from nodegraph.importing import Imported, Report, Row, from_comfyui, read_foreign_json
from nodegraph.sdk.errors import InvalidWorkflow, PackError, Problem
from nodegraph.sdk.writing import write_atomically

_SHOWN_PROBLEMS = 20
_MANY = 60  # rows: of longer reports only what is not mapped as it was is shown


def import_command(file: Path, out: Path | None, force: bool, as_json: bool, data: Path | None, name: str | None = None) -> int:
    """Read, convert, write, report. 0 also where nodes stay placeholders: the file is whole; 1 where it cannot be written."""
    target = out or file.with_name(f"{file.stem}.nodegraph.json")
    try:
        if target.exists() and not force:
            hint = "Choose another name with --out, or overwrite it with --force."
            raise InvalidWorkflow([Problem("file_exists", f"{target} is there already.", hint=hint)])
        catalog = installed_catalog(data_folder(data) / "catalog")
        imported = _reader_of(file, name, data)(file, catalog)
    except InvalidWorkflow as error:
        return refuse(error.problems, as_json, "This cannot be imported", file=str(file))
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], as_json, file=str(file))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, dump_document(imported.document).encode())
    except OSError as error:
        problem = Problem(
            "bad_output", f"{target} cannot be written: {error.strerror}.", hint="Choose another place with --out."
        )
        refuse([problem], as_json, "This cannot be written", file=str(file))
        return FAILED
    _say(file, target, imported, validate(imported.document, catalog), as_json)
    return DONE


# ---- kinds of files ----

Reader = Callable[[Path, Catalog], Imported]


def _reader_of(file: Path, name: str | None, data: Path | None) -> Reader:
    """Which kind of file it is: by its ending where only that tells, else by what is in it."""
    if file.suffix == ".py":
        return lambda file, catalog: Imported(document_from_script(file, name, data=data), Report("python"))
    return _picture_or_json


def _picture_or_json(file: Path, catalog: Catalog) -> Imported:
    data = read_bytes(file)
    metadata = read_metadata(data)
    if not metadata.format:
        return from_comfyui(read_foreign_json(decoded(data, file)), catalog, file.stem)
    texts = metadata.of("comfyui")
    if not texts:
        raise InvalidWorkflow([_nothing_in(file, [found.program for found in metadata.found])])
    problems: list[Problem] = []
    for name in ("workflow", "prompt"):  # the graph as drawn says more than what was run
        if name in texts:
            try:
                imported = from_comfyui(read_foreign_json(texts[name]), catalog, file.stem)
            except InvalidWorkflow as error:
                problems += error.problems
                continue
            notes = tuple(f"its workflow cannot be read, its prompt was taken: {problem}" for problem in problems[:1])
            return replace(imported, report=replace(imported.report, notes=(*notes, *imported.report.notes)))
    raise InvalidWorkflow(problems)


def _nothing_in(file: Path, programs: Sequence[str]) -> Problem:
    if "nodegraph" in programs:
        hint = f"Run it as it is: nodegraph run {file.name}; or write its workflow to a file with nodegraph extract."
        return Problem("no_workflow", f"{file.name} carries a nodegraph workflow.", hint=hint)
    made = f"; it was made by {TITLES.get(programs[0], programs[0])}" if programs else ""
    hint = "nodegraph extract shows what it carries." if programs else "Pictures lose it when they are edited or sent around."
    return Problem("no_workflow", f"{file.name} carries no ComfyUI workflow{made}.", hint=hint)


# ---- saying what was done ----


def _say(file: Path, target: Path, imported: Imported, problems: Sequence[Problem], as_json: bool) -> None:
    report = imported.report
    if as_json:
        found = [problem.to_json() for problem in problems]
        status = "imported" if not report.placeholders else "imported_in_part"
        print_json({"status": status, "file": str(file), "out": str(target), **report.to_json(), "problems": found})
        return
    _table(report)
    for text in (*report.notes, *report.skipped):
        stderr().print(Text(f"note: {text}"), soft_wrap=True)
    if report.rows:  # a script builds a workflow as it is
        print(f"\n{report.closing}")
    print(f"{target}: " + (_why_not(problems) if problems else f"it runs as it is: nodegraph run {target}"))


def _table(report: Report) -> None:
    rows = report.rows
    if len(rows) > _MANY:
        rows = tuple(row for row in rows if row.fate == "placeholder" or row.notes)
    if not rows:
        return
    found = table("id", "node", "title", "became", "why")
    for row in rows:
        found.add_row(*(Text(part) for part in (row.id, row.type, row.title, _became(row), _why(row))))
    stdout().print(found)
    if len(rows) < len(report.rows):
        print(f"... and {len(report.rows) - len(rows)} that were mapped without anything to say (--json lists them).")


def _became(row: Row) -> str:
    return "placeholder" if row.fate == "placeholder" else ", ".join(name.split(" ")[0] for name in row.became)


def _why(row: Row) -> str:
    pack = [f"from the pack {row.pack}"] if row.pack and row.fate == "placeholder" else []
    return "; ".join([*([row.reason] if row.reason else []), *pack, *row.notes])


def _why_not(problems: Sequence[Problem]) -> str:
    console = stderr()
    for problem in problems[:_SHOWN_PROBLEMS]:
        console.print(Text(f"  {problem}"), soft_wrap=True)
    more = len(problems) - _SHOWN_PROBLEMS
    if more > 0:
        console.print(Text(f"  ... and {more} more (nodegraph validate lists them)."))
    return f"it does not run as it is: {len(problems)} problem{'s' if len(problems) > 1 else ''}."
