"""What can be done with documents without saving them: look, open, compare, change, import, export, plan.

What edits and imports is loaded when it is first asked for: the server's first page does not wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from nodegraph.graph import Catalog, validate
from nodegraph.graph import Document as Parsed
from nodegraph.graph.document import document_from, to_json
from nodegraph.graph.document_schema import document_schema
from nodegraph.graph.schema import inputs_schema, outputs_schema
from nodegraph.sdk.errors import InvalidWorkflow
from nodegraph.server.opening import Opened, asked, looked, opened, whence_sent, work
from nodegraph.server.pictures import from_text, imported_from, picture, workflow_in
from nodegraph.server.preparing import prepare
from nodegraph.server.problems import Refused
from nodegraph.server.routing import Call, Raw, endpoint
from nodegraph.server.service import Server
from nodegraph.server.wording import told_apart
from nodegraph.wire import JobSubmission
from nodegraph.wire.documents import (
    Difference,
    Document,
    DocumentSchema,
    ExtractedDocument,
    Forecast,
    ImportedDocument,
    ImportReport,
    InlinedDocument,
    MergedDocument,
    OpenedDocument,
    Schemas,
    ToApply,
    ToExport,
    ToExtract,
    ToImport,
    ToInline,
    ToMerge,
    ToOpen,
    ToValidate,
    TwoDocuments,
    Validation,
)
from nodegraph.wire.problems import rows

if TYPE_CHECKING:
    from nodegraph.editing import Conflict
    from nodegraph.importing import Imported

_PYTHON = "text/x-python"


@endpoint("POST", "/api/workflows/validate", body=ToValidate, answers={200: Validation}, refuses=(503,), tag="documents")
async def validate_document(server: Server, call: Call) -> Validation:
    """Everything that is wrong with a document, what it wants, and what it takes and gives.

    What is no document at all is told as a problem too.
    """
    body: ToValidate = call.body
    try:
        document = await work(server, lambda: document_from(body.workflow))
    except Refused as refused:
        return Validation(problems=refused.details.problems)
    try:
        found = await opened(server, document)
    except InvalidWorkflow as error:
        return Validation(problems=rows(told_apart(error.problems, server.settings)))
    seen = await looked(server, found, await whence_sent(document), body.outputs, schemas=True)
    return Validation(
        problems=seen.problems,
        remarks=seen.remarks,
        wants=seen.want_rows,
        changes=list(found.changes),
        inputs=seen.inputs,
        outputs=seen.outputs,
    )


@endpoint("POST", "/api/workflows/open", body=ToOpen, answers={200: OpenedDocument}, refuses=(404, 503), tag="documents")
async def open_document(server: Server, call: Call) -> OpenedDocument:
    """A document as it is edited: its nodes led to the versions that are installed. Also the one that a picture carries."""
    body: ToOpen = call.body

    def read() -> Parsed:
        return (
            document_from(body.workflow)
            if body.workflow is not None
            else workflow_in(picture(server, body.artifact, body.upload))
        )

    document = await work(server, read)
    found = await _opened(server, document)
    seen = await looked(server, found, await whence_sent(document))
    shown = await work(server, lambda: to_json(found.document))
    return OpenedDocument(workflow=shown, changes=list(found.changes), problems=seen.problems, wants=seen.want_rows)


@endpoint("POST", "/api/workflows/diff", body=TwoDocuments, answers={200: Difference}, tag="documents")
async def diff_documents(server: Server, call: Call) -> Difference:
    """What differs between two documents, by node and input. `apply` makes one of the other with it."""
    body: TwoDocuments = call.body

    def do() -> Difference:
        from nodegraph.editing import diff

        found = diff(document_from(body.before), document_from(body.after))
        return Difference(
            changes=[change.to_json() for change in found.meaning], layout=[change.to_json() for change in found.layout]
        )

    return await work(server, do)


@endpoint("POST", "/api/workflows/apply", body=ToApply, answers={200: Document}, tag="documents")
async def apply_changes(server: Server, call: Call) -> Document:
    """The document with all changes made, or undone; or refused with every change that does not fit."""
    body: ToApply = call.body

    def do() -> Document:
        from nodegraph.editing import Diff, apply, inverse

        changes = Diff.from_json(body.changes)
        return Document(workflow=to_json(apply(document_from(body.workflow), inverse(changes) if body.undo else changes)))

    return await work(server, do)


@endpoint("POST", "/api/workflows/merge", body=ToMerge, answers={200: MergedDocument}, tag="documents")
async def merge_documents(server: Server, call: Call) -> MergedDocument:
    """The document with the edits of both sides since `base`.

    Where these do not go together, the document says what yours says, and a conflict tells the rest.
    """
    body: ToMerge = call.body

    def do() -> MergedDocument:
        from nodegraph.editing import merge

        found = merge(document_from(body.base), document_from(body.yours), document_from(body.theirs))
        return MergedDocument(workflow=to_json(found.document), conflicts=[_conflict(item) for item in found.conflicts])

    return await work(server, do)


@endpoint("POST", "/api/workflows/extract", body=ToExtract, answers={200: ExtractedDocument}, tag="documents")
async def extract_subgraph(server: Server, call: Call) -> ExtractedDocument:
    """Some nodes become a subgraph, with a node in their place."""
    body: ToExtract = call.body
    catalog = await server.catalog()

    def do() -> ExtractedDocument:
        from nodegraph.editing import extract

        document = document_from(body.workflow)
        found = extract(document, catalog, body.nodes, body.name, node=body.node or "", scope=body.scope or "")
        return ExtractedDocument(workflow=to_json(found.document), subgraph=found.name, node=found.node)

    return await work(server, do)


@endpoint("POST", "/api/workflows/inline", body=ToInline, answers={200: InlinedDocument}, tag="documents")
async def inline_subgraph(server: Server, call: Call) -> InlinedDocument:
    """A node that runs a subgraph becomes the nodes in it: the way back from extracting."""
    body: ToInline = call.body
    catalog = await server.catalog()

    def do() -> InlinedDocument:
        from nodegraph.editing import inline

        found = inline(document_from(body.workflow), catalog, body.node, scope=body.scope or "")
        return InlinedDocument(workflow=to_json(found.document), nodes=found.nodes)

    return await work(server, do)


@endpoint("POST", "/api/workflows/import", body=ToImport, answers={200: ImportedDocument}, refuses=(404,), tag="documents")
async def import_workflow(server: Server, call: Call) -> ImportedDocument:
    """A workflow made of another program's, with what became of each node. What has no counterpart stays as a placeholder."""
    body: ToImport = call.body
    catalog = await server.catalog()

    def do() -> ImportedDocument:
        found = _imported(server, body, catalog)
        report = ImportReport.model_validate({**_plain(asdict(found.report)), "closing": found.report.closing})
        problems = rows(told_apart(validate(found.document, catalog), server.settings))
        return ImportedDocument(workflow=to_json(found.document), report=report, problems=problems)

    return await work(server, do)


def _imported(server: Server, body: ToImport, catalog: Catalog) -> Imported:
    from nodegraph.importing import from_comfyui, read_foreign_json

    if body.comfyui is not None:
        data = read_foreign_json(body.comfyui) if isinstance(body.comfyui, str) else body.comfyui
        return from_comfyui(data, catalog, body.title)
    if body.parameters is not None:
        return from_text(body.parameters, catalog, body.title)
    return imported_from(picture(server, body.artifact, body.upload), catalog, body.title)


@endpoint(
    "POST",
    "/api/workflows/export",
    body=ToExport,
    answers={200: Raw((_PYTHON,), "A Python script that builds the workflow.")},
    tag="documents",
)
async def export_workflow(server: Server, call: Call) -> web.Response:
    """The document as a Python script. It is text only: nothing of it runs here."""
    body: ToExport = call.body
    catalog = await server.catalog()

    def do() -> str:
        from nodegraph.api.scripts import script_from_document

        return script_from_document(document_from(body.workflow), catalog)

    script = await work(server, do)
    return web.Response(text=script, content_type=_PYTHON, charset="utf-8")


@endpoint("POST", "/api/workflows/schema", body=ToExport, answers={200: Schemas}, refuses=(503,), tag="documents")
async def workflow_schemas(server: Server, call: Call) -> Schemas:
    """JSON Schemas of what a workflow takes and gives. Refused where it could not run with that."""
    body: ToExport = call.body
    catalog = await server.catalog()
    document = await work(server, lambda: document_from(body.workflow))
    found = await _opened(server, document)
    whole = found.whole
    if whole is None:
        problems = told_apart(found.problems, server.settings)
        raise Refused(422, "invalid_workflow", "The workflow cannot run.", problems)
    return await work(server, lambda: Schemas(inputs=inputs_schema(whole, catalog), outputs=outputs_schema(whole, catalog)))


@endpoint("GET", "/api/schema", answers={200: DocumentSchema}, tag="documents")
async def get_document_schema(server: Server, call: Call) -> DocumentSchema:
    """The JSON Schema of workflow documents."""
    return DocumentSchema(document_schema())


@endpoint("POST", "/api/workflows/plan", body=JobSubmission, answers={200: Forecast}, refuses=(403, 404, 503), tag="documents")
async def plan_job(server: Server, call: Call) -> Forecast:
    """What a job would compute, what is in the cache already, and what it would take. The body is that of POST /api/jobs."""
    new = await prepare(server, call.body)
    wanted: Sequence[str] | None = new.wanted
    try:
        found = await asked(server, "plan", {"document": new.document, "wanted": wanted, "exact": new.exact})
    except InvalidWorkflow as error:
        problems = told_apart(error.problems, server.settings)
        raise Refused(422, "invalid_workflow", "The workflow cannot run.", problems) from None
    return Forecast.model_validate(found)


async def _opened(server: Server, document: Parsed) -> Opened:
    try:
        return await opened(server, document)
    except InvalidWorkflow as error:
        problems = told_apart(error.problems, server.settings)
        raise Refused(422, "invalid_workflow", "The workflow cannot be opened.", problems) from None


def _conflict(found: Conflict) -> dict[str, Any]:
    data = found.to_json()
    if "ours" in data:
        data["yours"] = data.pop("ours")
    return data


def _plain(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in report.items()}
