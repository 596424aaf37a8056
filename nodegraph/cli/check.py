"""`nodegraph validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nodegraph.api.linking import linked_document
from nodegraph.api.opening import up_to_date
from nodegraph.api.paths import data_folder, roots
from nodegraph.cli.migrate import tell_changes
from nodegraph.cli.show import DONE, print_json, print_problems, refuse, stdout
from nodegraph.graph import installed_catalog, load_document, validate
from nodegraph.graph.interface import interface_remarks
from nodegraph.graph.migrating import deprecation_remarks
from nodegraph.graph.uses import told, uses
from nodegraph.sdk.errors import InvalidWorkflow, PackError, Problem


def validate_command(file: Path, as_json: bool, data: Path | None) -> int:
    try:
        catalog = installed_catalog(data_folder(data) / "catalog")
        found = up_to_date(load_document(file), catalog)
        document = found.document
        whole = linked_document(document, catalog, roots(data_folder(data)).beside(file), file)
        problems, remarks = validate(whole, catalog), [*interface_remarks(whole, catalog), *deprecation_remarks(whole, catalog)]
        wanted = {use: node for use, node in uses(whole, catalog).items() if use.needs_consent}
    except InvalidWorkflow as error:
        return refuse(error.problems, as_json, file=str(file))
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], as_json, file=str(file))
    if problems or found.problems:
        return refuse([*found.problems, *problems], as_json, file=str(file))
    if as_json:
        said: dict[str, Any] = {"remarks": [remark.to_json() for remark in remarks]} if remarks else {}
        said |= {"wants": [{**use._asdict(), "node": node} for use, node in wanted.items()]} if wanted else {}
        said |= {"changes": [change.to_json() for change in found.changes]} if found.changes else {}
        print_json({"status": "valid", "file": str(file), "problems": [], **said})
        return DONE
    print(f"{file} is fine: {len(document.nodes)} nodes.")
    if wanted:
        print("Beyond computing, it reads or uses:")
        for problem in told(wanted):
            print(f"  {problem.node}: {problem.message}")
    if found.changes:
        tell_changes(found.changes, stdout())
        print(f"nodegraph migrate {file} writes that into the file.")
    if remarks:
        print_problems(remarks, "It runs as it is; worth knowing:")
    return DONE
