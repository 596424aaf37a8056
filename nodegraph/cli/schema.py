"""`nodegraph schema`: a workflow's inputs or outputs, or the document format, as JSON Schema."""

from __future__ import annotations

from pathlib import Path

from nodegraph.api.session import Session
from nodegraph.api.workflow import load
from nodegraph.cli.show import DONE, print_json, refuse
from nodegraph.graph.document_schema import document_schema
from nodegraph.graph.schema import inputs_schema, outputs_schema
from nodegraph.sdk.errors import InvalidWorkflow, PackError, Problem


def schema_command(file: Path | None, outputs: bool, as_json: bool, data: Path | None) -> int:
    """Print a schema; `as_json` is about how problems are told, since a schema is JSON in any case."""
    if file is None and outputs:
        hint = "Write nodegraph schema FILE --outputs."
        return refuse([Problem("bad_flag", "--outputs is about a workflow, and none is named.", hint=hint)], as_json)
    if file is None:
        print_json(document_schema())
        return DONE
    try:
        with Session(data) as session:
            workflow = load(file, session)
            print_json((outputs_schema if outputs else inputs_schema)(workflow.linked, session.catalog))
    except InvalidWorkflow as error:
        return refuse(error.problems, as_json)
    except PackError as error:
        return refuse([Problem("broken_pack", str(error))], as_json)
    return DONE
