"""From a submission to a job: the document is opened, given its values, checked, and held against what was accepted."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

from nodegraph.api.origin import Origin
from nodegraph.api.saving import content_of
from nodegraph.api.workflow import Workflow, is_shipped
from nodegraph.engine.access import missing_files
from nodegraph.graph import Catalog, Document, PublicInput, dump_document, parse_document, public_inputs, with_inputs
from nodegraph.graph.document import to_json
from nodegraph.graph.linking import needs_files
from nodegraph.graph.migrating import needs_migration
from nodegraph.graph.opening import decoded, read_bytes
from nodegraph.graph.reading import read_json
from nodegraph.graph.uses import Use, told
from nodegraph.jobs import NewJob
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, Problem, nearest
from nodegraph.sdk.values import MAX_SEED
from nodegraph.sdk.writing import real_place
from nodegraph.server.opened import Opened
from nodegraph.server.opening import asked
from nodegraph.server.problems import Refused
from nodegraph.server.searching import found_by
from nodegraph.server.service import Server
from nodegraph.server.webhooks import check_webhook
from nodegraph.server.wording import told_apart
from nodegraph.store.ledger import digest_of
from nodegraph.wire import JobSubmission
from nodegraph.wire.jobs import LONGEST_ID

RANDOM = "random"
_LONGEST_TITLE = 500  # characters: it goes along with lists and events

P = ParamSpec("P")
T = TypeVar("T")


async def prepare(server: Server, submission: JobSubmission) -> NewJob:
    """The job that a submission asks for. Raises Refused with everything that is wrong."""
    catalog = await server.catalog()
    try:
        found = await _look(server, _quickly, server, submission)
        if isinstance(found, NewJob):
            return found
        opened = await _opened(server, catalog, found)
        return await _look(server, _prepared, server, submission, opened, found.path)
    except InvalidWorkflow as error:
        problems = error.problems
    except NodeError as error:
        problems = (error.problem("", "bad_file"),)
    raise Refused(422, "invalid_workflow", "The workflow cannot run.", told_apart(problems, server.settings))


async def up_to_date(server: Server, document: Document, path: Path | None = None) -> Document:
    """The document as it runs: nodes of older versions led on, subgraph files inside. Code of packs is for workers.

    Raises InvalidWorkflow, and Refused without a worker.
    """
    if not needs_migration(document, await server.catalog()) and not needs_files(document):
        return document
    place = str(path) if path is not None else None
    found = await asked(server, "open", {"document": await asyncio.to_thread(dump_document, document), "path": place})
    return await asyncio.to_thread(parse_document, found["document"])


async def _look(server: Server, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Work on a document in a thread; few do so at a time, so that the loop has its turn."""
    async with server.looking:
        return await asyncio.to_thread(work, *given, **named)


def find_saved(server: Server, id_: str) -> Path:
    """The file of a saved workflow. Raises Refused."""
    path = server.shelf.find(id_)
    if path is None:
        hint = nearest(id_, (row.id for row in server.shelf.rows()), "There are")
        detail = "There is no such workflow."
        raise Refused(404, "not_found", detail, [Problem("not_found", f"There is no workflow {id_!r}.", hint=hint or None)])
    return path


class _Source(NamedTuple):
    """A document's text, its file if it has one, and what it is known by."""

    text: str
    path: Path | None
    keys: tuple[str, ...]


def _quickly(server: Server, submission: JobSubmission) -> NewJob | _Source:
    """The job, where its document was opened before; else what is to be opened."""
    source = _source(server, submission)
    opened = server.opened.get(source.keys)
    return source if opened is None else _prepared(server, submission, opened, source.path)


def _source(server: Server, submission: JobSubmission) -> _Source:
    if submission.workflow is not None:
        text = json.dumps(submission.workflow)
        return _Source(text, None, (digest_of(text.encode()),))
    path = find_saved(server, str(submission.workflow_id))
    data = read_bytes(path)
    return _Source(decoded(data, path), path, (str(real_place(path)), digest_of(data)))


async def _opened(server: Server, catalog: Catalog, source: _Source) -> Opened:
    """Open a document, and remember it where nothing but its text decides what it is."""
    document = await _look(server, parse_document, source.text)
    found = await up_to_date(server, document, source.path)

    def make() -> Opened:
        keys = source.keys if source.path is not None else (content_of(document).digest,)
        return Opened(found, public_inputs(found, catalog), keys, document)

    opened = await _look(server, make)
    if found is document:
        server.opened.add(source.keys, opened, len(source.text))
    return opened


def _prepared(server: Server, submission: JobSubmission, opened: Opened, path: Path | None) -> NewJob:
    catalog = server.session.catalog
    read_json(json.dumps([submission.inputs, submission.outputs]))  # what a document may not hold, they may not either
    values = {name: _drawn(opened.inputs.get(name), value) for name, value in submission.inputs.items()}
    document = opened.document
    if values:
        document = document.model_copy(update={"nodes": with_inputs(document, catalog, values, opened.inputs).nodes})
    plan = server.session.compile(document, submission.outputs)
    if problems := missing_files(plan.nodes, server.session.roots):
        raise InvalidWorkflow(problems)
    trusted = path is not None and is_shipped(path)
    before = opened.document.model_copy(update={"subgraphs": opened.written.subgraphs})
    origin = Origin(before, path, keys=opened.keys, trusted=trusted)
    accepted = {Use(item.kind, item.name) for item in submission.accept}
    wants = Workflow(document, server.session, origin=origin).wants()
    if left := {use: node for use, node in wants.items() if use not in accepted}:
        rows = [{"kind": use.kind, "name": use.name, "node": node} for use, node in left.items()]
        raise Refused(403, "untrusted", "The workflow wants what nobody has accepted.", told(left), wants=rows)
    if submission.webhook is not None:
        check_webhook(server.settings.webhooks, submission.webhook)
    marks, text = found_by(plan)
    return NewJob(
        document=json.dumps(to_json(document), ensure_ascii=False),
        title=document.title[:_LONGEST_TITLE],
        inputs=_used(document, opened.inputs, values),
        wanted=submission.outputs,
        workflow_id=submission.workflow_id,
        priority=submission.priority,
        exact=server.settings.workers.exact if submission.exact is None else submission.exact,
        webhook=submission.webhook,
        marks=marks,
        text=text,
        document_id=document.id[:LONGEST_ID] or None,
        client=submission.client,
    )


def _drawn(item: PublicInput | None, value: Any) -> Any:
    """The value of an input; a seed that is to be drawn is drawn here, so that the job says which it was."""
    is_seed = item is not None and item.spec.type.name == "seed"
    return secrets.randbelow(MAX_SEED + 1) if value == RANDOM and is_seed else value


def _used(document: Document, inputs: Mapping[str, PublicInput], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every public input as used: those that were given as the document took them, the others as it came."""
    used = {name: item.value for name, item in inputs.items()}
    for name in given:
        node, _, key = inputs[name].to[0].partition(".")
        used[name] = document.nodes[node].inputs[key]
    return used
