"""`nodegraph extract`: what a picture carries, as a workflow, as readable text, or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.text import Text

from nodegraph.api.paths import data_folder
from nodegraph.api.records import document_in_picture, no_workflow, read_picture
from nodegraph.artifacts import Metadata
from nodegraph.artifacts.reading import TITLES
from nodegraph.cli.show import DONE, print_json, refuse, stderr, stdout, table
from nodegraph.graph import Document, dump_document, installed_catalog
from nodegraph.graph.document import to_json
from nodegraph.importing.parameters import Parameters, parse_parameters
from nodegraph.importing.text_to_image import from_parameters
from nodegraph.sdk.errors import InvalidWorkflow, PackError, Problem
from nodegraph.sdk.writing import write_atomically


def extract_command(file: Path, out: Path | None, as_json: bool, parameters: bool, data: Path | None) -> int:
    """Show what a picture carries; the exit code is 2 where it has not got what was asked for."""
    try:
        found = read_picture(file)
        if parameters:
            return _parameters(file, found, out, as_json)
        if found.program == "a1111":
            return _from_parameters(file, found, out, as_json, data)
        document = document_in_picture(file)
    except InvalidWorkflow as error:
        return refuse(error.problems, as_json, file=str(file))
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], as_json, file=str(file))
    _say_notes(found, as_json)
    return _give(document, out, as_json, _about(file, found))


def _about(file: Path, found: Metadata) -> dict[str, Any]:
    """What every JSON answer begins with."""
    return {
        "status": "found",
        "file": str(file),
        "format": found.format,
        "programs": [item.program for item in found.found],
        "notes": list(found.notes),
        "parameters": _text(found) or None,
    }


def _text(found: Metadata) -> str:
    """The readable parameters, of whichever program has some."""
    return next((item.texts["parameters"] for item in found.found if "parameters" in item.texts), "")


def _give(document: Document, out: Path | None, as_json: bool, about: dict[str, Any]) -> int:
    """A document into a file, or to stdout."""
    text = dump_document(document)
    if out is not None and (problem := _write(out, text)):
        return refuse([problem], as_json)
    if as_json:
        print_json({**about, "workflow": to_json(document), **({"out": str(out)} if out else {})})
    elif out is not None:
        print(out)
    else:
        print(text, end="")
    return DONE


def _write(path: Path, text: str) -> Problem | None:
    """Write a text whole or not at all; the problem, if it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text.encode())
    except OSError as error:
        return Problem("bad_output", f"{path} cannot be written: {error.strerror}.", hint="Choose another place with --out.")
    return None


def _parameters(file: Path, found: Metadata, out: Path | None, as_json: bool) -> int:
    text = _text(found)
    if not text:
        if found.program is None:
            return refuse([no_workflow(file, found)], as_json, file=str(file))
        message = f"{file} carries no readable parameters, only what {TITLES[found.program]} put there."
        return refuse([Problem("no_parameters", message)], as_json, file=str(file))
    if out is not None and (problem := _write(out, f"{text}\n")):
        return refuse([problem], as_json)
    if as_json:
        fields = parse_parameters(text) if found.of("a1111") else None
        print_json({**_about(file, found), "fields": fields.to_json() if fields else None})
    else:
        print(text if out is None else out)
    return DONE


def _from_parameters(file: Path, found: Metadata, out: Path | None, as_json: bool, data: Path | None) -> int:
    """A workflow made of the web UI's parameters; the table and the notes are for people, and so on stderr."""
    fields = parse_parameters(found.of("a1111")["parameters"])
    if fields is None:
        message = f"The parameters in {file} cannot be read."
        return refuse([Problem("bad_parameters", message, hint="See them with --parameters.")], as_json, file=str(file))
    document, notes = from_parameters(fields, installed_catalog(data_folder(data) / "catalog"))
    if not as_json:
        _show(fields, notes)
        _say_notes(found, as_json)
    about = _about(file, found)
    return _give(document, out, as_json, {**about, "fields": fields.to_json(), "notes": [*about["notes"], *notes]})


def _show(fields: Parameters, notes: tuple[str, ...]) -> None:
    console = stderr()
    if not console.is_terminal:
        console.width = stdout().width
    console.print(Text(f"From {TITLES['a1111']}:", style="bold"))
    rows = table("field", "why")
    rows.show_header = False
    for name, value in fields.rows():
        rows.add_row(name, value)
    console.print(rows)
    for note in notes:
        console.print(Text(f"- {note}"), soft_wrap=True)


def _say_notes(found: Metadata, as_json: bool) -> None:
    if not as_json:
        for note in found.notes:
            stderr().print(Text(note, style="yellow"), soft_wrap=True)
