"""`nodegraph validate`."""

from __future__ import annotations

from pathlib import Path

from nodegraph.api.linking import linked_document
from nodegraph.api.paths import data_folder, roots
from nodegraph.cli.show import DONE, print_json, refuse
from nodegraph.graph import installed_catalog, load_document, validate
from nodegraph.sdk.errors import InvalidWorkflow, PackError, Problem


def validate_command(file: Path, as_json: bool, data: Path | None) -> int:
    try:
        catalog = installed_catalog(data_folder(data) / "catalog")
        document = load_document(file)
        problems = validate(linked_document(document, catalog, roots(data_folder(data)).beside(file), file), catalog)
    except InvalidWorkflow as error:
        return refuse(error.problems, as_json, file=str(file))
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], as_json, file=str(file))
    if problems:
        return refuse(problems, as_json, file=str(file))
    if as_json:
        print_json({"status": "valid", "file": str(file), "problems": []})
    else:
        print(f"{file} is fine: {len(document.nodes)} nodes.")
    return DONE
