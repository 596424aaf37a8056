"""`nodegraph export` and `nodegraph stubs`: workflows and node types as Python."""

from __future__ import annotations

from pathlib import Path

from nodegraph.api.documents import read_document
from nodegraph.api.paths import data_folder
from nodegraph.cli.show import DONE, FAILED, print_json, print_problems, refuse
from nodegraph.graph import installed_catalog
from nodegraph.sdk.errors import InvalidWorkflow, PackError, Problem
from nodegraph.sdk.writing import write_atomically


def export_command(file: Path, python: bool, out: Path | None, force: bool, as_json: bool, data: Path | None) -> int:
    """Write a workflow as a Python script, to stdout or into a file."""
    from nodegraph.api.scripts import script_from_document

    what = "This cannot be exported"
    if not python:
        problem = Problem("no_format", "Say what to export to.", hint="Add --python: it is the only format so far.")
        return refuse([problem], as_json, what, file=str(file))
    if out is not None and out.exists() and not force:
        hint = "Choose another name with --out, or overwrite it with --force."
        return refuse([Problem("file_exists", f"{out} is there already.", hint=hint)], as_json, what, file=str(file))
    try:
        script = script_from_document(read_document(file), installed_catalog(data_folder(data) / "catalog"))
    except InvalidWorkflow as error:
        return refuse(error.problems, as_json, what, file=str(file))
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], as_json, what, file=str(file))
    if out is not None:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out, script.encode())
        except OSError as error:
            return _not_written(out, error, as_json)
    if as_json:
        written = {"script": script} if out is None else {"out": str(out)}
        print_json({"status": "exported", "file": str(file), **written, "problems": []})
    elif out is None:
        print(script, end="")
    else:
        print(f"{out}: `python {out}` runs it, `nodegraph import {out}` makes a workflow of it.")
    return DONE


def stubs_command(out: Path, as_json: bool) -> int:
    """Write stubs for all installed packs; 1 where a pack cannot be read."""
    from nodegraph.scripting.stubs import make_stubs, write_stubs

    try:
        stubs = make_stubs()
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], as_json, "There are no stubs", out=str(out))
    try:
        write_stubs(stubs, out)
    except OSError as error:
        return _not_written(out, error, as_json)
    problems = [Problem("broken_pack", f"The pack {name!r} has no stub: {why}") for name, why in stubs.broken.items()]
    if as_json:
        found = [problem.to_json() for problem in problems]
        status = "written_in_part" if problems else "written"
        print_json({"status": status, "out": str(out), "files": list(stubs.files), "nodes": stubs.nodes, "problems": found})
    else:
        if problems:
            print_problems(problems, "Some packs cannot be read.")
        print(f"{out}: {stubs.nodes} node types in {len(stubs.files)} files.")
        print(f'Pyright and Pylance read a folder `typings` by themselves; for mypy say mypy_path = "{out}" in its settings.')
    return FAILED if problems else DONE


def _not_written(path: Path, error: OSError, as_json: bool) -> int:
    why = error.strerror or str(error)
    problem = Problem("bad_output", f"{path} cannot be written: {why}.", hint="Choose another place with --out.")
    refuse([problem], as_json, "This cannot be written", out=str(path))
    return FAILED
