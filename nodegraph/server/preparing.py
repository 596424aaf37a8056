"""From a submission to a job: the document is opened, given its values, checked, and held against what was accepted."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nodegraph.api.origin import Origin
from nodegraph.api.saving import content_of
from nodegraph.api.workflow import Workflow, is_shipped
from nodegraph.graph import Catalog, Document, dump_document, parse_document
from nodegraph.graph.linking import needs_files
from nodegraph.graph.migrating import needs_migration
from nodegraph.graph.opening import decoded, read_bytes
from nodegraph.graph.uses import Use, told
from nodegraph.jobs import NewJob
from nodegraph.sdk.errors import InvalidWorkflow, NodeError
from nodegraph.sdk.values import MAX_SEED
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.service import Server
from nodegraph.store.ledger import digest_of
from nodegraph.wire import JobSubmission

RANDOM = "random"


async def prepare(server: Server, submission: JobSubmission) -> NewJob:
    """The job that a submission asks for. Raises Refused with everything that is wrong."""
    await server.catalog()
    try:
        document, origin = await asyncio.to_thread(_opened, server, submission)
        document = await up_to_date(server, document, origin.path)
        origin.opened = document
        return await asyncio.to_thread(_prepared, server, submission, Workflow(document, server.session, origin=origin))
    except InvalidWorkflow as error:
        raise Refused(422, "invalid_workflow", "The workflow cannot run.", error.problems) from None
    except NodeError as error:
        raise Refused(422, "invalid_workflow", "The workflow cannot run.", [error.problem("", "bad_file")]) from None


async def up_to_date(server: Server, document: Document, path: Path | None = None) -> Document:
    """The document as it runs: nodes of older versions led on, subgraph files inside. Code of packs is for workers."""
    if not needs_migration(document, await server.catalog()) and not needs_files(document):
        return document
    place = str(path) if path is not None else None
    found = await server.pool.call("open", {"document": dump_document(document), "path": place})
    return await asyncio.to_thread(parse_document, found["document"])


def _opened(server: Server, submission: JobSubmission) -> tuple[Document, Origin]:
    if submission.workflow is not None:
        document = parse_document(json.dumps(submission.workflow))
        return document, Origin(document, keys=(content_of(document).digest,), trusted=False)
    path = find_saved(server, str(submission.workflow_id))
    data = read_bytes(path)
    document = parse_document(decoded(data, path))
    return document, Origin(document, path, keys=(str(path), digest_of(data)), trusted=is_shipped(path))


def find_saved(server: Server, id_: str) -> Path:
    """The file of a saved workflow: the user's own, else one that comes with nodegraph. Raises Refused."""
    for folder in server.session.roots.workflows:
        path = folder / f"{id_}.json"
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    raise not_found("workflow")


def _prepared(server: Server, submission: JobSubmission, workflow: Workflow) -> NewJob:
    catalog = server.session.catalog
    values = {name: _drawn(workflow, name, value) for name, value in submission.inputs.items()}
    workflow = workflow.with_inputs(**values) if values else workflow
    server.session.compile(workflow.document, submission.outputs)
    accepted = {Use(item.kind, item.name) for item in submission.accept}
    if left := {use: node for use, node in workflow.wants().items() if use not in accepted}:
        wants = [{"kind": use.kind, "name": use.name, "node": node} for use, node in left.items()]
        raise Refused(403, "untrusted", "The workflow wants what nobody has accepted.", told(left), wants=wants)
    if submission.webhook is not None:
        raise Refused(422, "no_webhooks", "No webhook host is configured.")
    exact = server.settings.workers.exact if submission.exact is None else submission.exact
    inputs = {name: item.value for name, item in workflow.inputs.items()}
    return NewJob(
        document=dump_document(workflow.document),
        title=workflow.document.title,
        inputs=inputs,
        wanted=submission.outputs,
        workflow_id=submission.workflow_id,
        priority=submission.priority,
        exact=exact,
        marks=tuple(dict.fromkeys(_marks(workflow.document, catalog))),
        text="\n".join(_texts(workflow.document, catalog)),
    )


def _drawn(workflow: Workflow, name: str, value: Any) -> Any:
    """The value of an input; a seed that is to be drawn is drawn here, so that the job says which it was."""
    if value != RANDOM:
        return value
    item = workflow.inputs.get(name)
    is_seed = item is not None and item.spec.type.name == "seed"
    return secrets.randbelow(MAX_SEED + 1) if is_seed else value


def _marks(document: Document, catalog: Catalog) -> Iterator[tuple[str, str]]:
    """What the job can be found by."""
    for type_, kind, _, value in _values(document, catalog):
        yield "node", type_
        if kind in ("model", "seed") and isinstance(value, (str, int)):
            yield kind, str(value)


def _texts(document: Document, catalog: Catalog) -> Iterator[str]:
    for _, kind, _, value in _values(document, catalog):
        if kind == "str" and isinstance(value, str) and value:
            yield value


def _values(document: Document, catalog: Catalog) -> Iterator[tuple[str, str, str, Any]]:
    """Typed values with their node's type, what kind of value they are, and their name."""
    parts: list[Mapping[str, Any]] = [document.nodes, *(part.nodes for part in document.subgraphs.values())]
    for nodes in parts:
        for entry in nodes.values():
            spec = catalog.nodes.get(entry.type)
            if spec is None:
                continue
            yield entry.type, "", "", None
            for item in spec.inputs:
                kind = "model" if item.file and item.file != "file" else item.type.name
                yield entry.type, kind, item.name, entry.inputs.get(item.name, item.default)
