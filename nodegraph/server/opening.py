"""Documents looked at in the server: led to today's versions, linked, and held against what was accepted.

Looking goes on in threads, a few at a time, and without any pack's code: where a migration or a file of subgraphs needs that,
a worker does it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from nodegraph.api.origin import Origin
from nodegraph.api.workflow import Workflow
from nodegraph.graph import Catalog, Document, compile_document, dump_document, parse_document, validate
from nodegraph.graph.interface import interface_remarks
from nodegraph.graph.linking import needs_files
from nodegraph.graph.migrating import deprecation_remarks, needs_migration
from nodegraph.graph.schema import inputs_schema, outputs_schema
from nodegraph.graph.uses import Use
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, Problem
from nodegraph.server.problems import Refused
from nodegraph.server.service import Server
from nodegraph.server.wording import told_apart
from nodegraph.store.ledger import digest_of
from nodegraph.wire.documents import ChangedNode, NodeVersion, Want
from nodegraph.wire.problems import ProblemRow, rows
from nodegraph.workers.messages import BadFrame
from nodegraph.workers.pool import WorkerLost

T = TypeVar("T")

_PATIENCE_SECONDS = 60.0


class Opened(NamedTuple):
    """A document as it is edited, and (`whole`) as it runs where that could be made; what changed; what went wrong."""

    document: Document
    whole: Document | None
    changes: tuple[ChangedNode, ...] = ()
    problems: tuple[Problem, ...] = ()


class Whence(NamedTuple):
    """Where a document comes from: its file, and what its consent goes by. A shipped one needs none."""

    path: Path | None = None
    digest: str = ""
    shipped: bool = False


class Looked(NamedTuple):
    """What was found out about a document."""

    problems: list[ProblemRow]
    remarks: list[ProblemRow]
    wants: dict[Use, str]
    inputs: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None

    @property
    def want_rows(self) -> list[Want]:
        return [Want(kind=use.kind, name=use.name, node=node) for use, node in sorted(self.wants.items())]


async def work(server: Server, do: Callable[[], T]) -> T:
    """Let a thread work on documents. Raises Refused with everything that is wrong with them."""
    async with server.working:
        try:
            return await asyncio.to_thread(do)
        except InvalidWorkflow as error:
            problems = told_apart(error.problems, server.settings)
            raise Refused(422, "invalid_workflow", "This cannot be done with what was sent.", problems) from None


async def opened(server: Server, document: Document, path: Path | None = None) -> Opened:
    """A document led to the versions that are installed, and linked. Raises InvalidWorkflow, Refused without a worker."""
    if not needs_migration(document, await server.catalog()) and not needs_files(document):
        return Opened(document, document)
    arguments = {
        "document": await asyncio.to_thread(dump_document, document),
        "path": None if path is None else str(path),
    }
    found = await asked(server, "migrate", arguments)

    def read() -> Opened:
        whole = None if found["whole"] is None else parse_document(found["whole"])
        problems = tuple(Problem(**row) for row in found["problems"])
        return Opened(parse_document(found["document"]), whole, tuple(map(_changed, found["changes"])), problems)

    return await asyncio.to_thread(read)


async def asked(server: Server, what: str, arguments: Mapping[str, Any]) -> Any:
    """What a worker says. Raises InvalidWorkflow, and Refused where there is no worker."""
    try:
        return await server.pool.call(what, arguments, seconds=_PATIENCE_SECONDS)
    except BadFrame:
        raise Refused(413, "too_large", "The document is too large for a worker.") from None
    except WorkerLost:
        detail = "This needs a worker, and none is there at the moment."
        raise Refused(503, "no_worker", detail, headers={"Retry-After": "10"}) from None


async def looked(
    server: Server,
    found: Opened,
    whence: Whence,
    wanted: Sequence[str] | None = None,
    *,
    schemas: bool = False,
) -> Looked:
    """What is wrong with a document, what it wants, and what it takes and gives."""
    catalog = await server.catalog()

    def look() -> Looked:
        if found.whole is None:
            return Looked(_rows(server, found.problems), [], {})
        whole, problems = found.whole, [*found.problems]
        problems += _wrong(whole, catalog, wanted)
        remarks = [*interface_remarks(whole, catalog), *deprecation_remarks(whole, catalog)]
        try:
            wants = _workflow(server, found, whence).wants()
        except (InvalidWorkflow, NodeError) as error:
            wants = {}
            problems += error.problems if isinstance(error, InvalidWorkflow) else [error.problem("", "no_file")]
        both = _schemas(whole, catalog) if schemas else (None, None)
        return Looked(_rows(server, problems), _rows(server, remarks), wants, *both)

    async with server.working:
        return await asyncio.to_thread(look)


async def whence_sent(document: Document) -> Whence:
    """A document that came over the API goes by its content."""
    return Whence(digest=await asyncio.to_thread(lambda: digest_of(dump_document(document).encode())))


def _workflow(server: Server, found: Opened, whence: Whence) -> Workflow:
    keys = (str(whence.path), whence.digest) if whence.path else (whence.digest,)
    origin = Origin(found.document, whence.path, keys=keys, trusted=whence.shipped)
    assert found.whole is not None
    return Workflow(found.whole, server.session, origin=origin)


def _wrong(document: Document, catalog: Catalog, wanted: Sequence[str] | None) -> Sequence[Problem]:
    if wanted is None:
        return validate(document, catalog)
    try:
        compile_document(document, catalog, wanted)
    except InvalidWorkflow as error:
        return error.problems
    return ()


def _schemas(document: Document, catalog: Catalog) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    try:
        return inputs_schema(document, catalog), outputs_schema(document, catalog)
    except InvalidWorkflow:
        return None, None


def _rows(server: Server, problems: Iterable[Problem]) -> list[ProblemRow]:
    return rows(told_apart(problems, server.settings))


def _changed(change: Mapping[str, Any]) -> ChangedNode:
    return ChangedNode(
        node=change["node"],
        before=NodeVersion(**change["from"]),
        after=NodeVersion(**change["to"]),
        changes=change["changes"],
    )
