"""What a worker does besides jobs, because it needs packs or a device: functions from JSON to JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from nodegraph.api.forecast import forecast_workflow
from nodegraph.api.linking import linked_document
from nodegraph.api.opening import up_to_date
from nodegraph.api.session import Session
from nodegraph.api.workflow import Workflow
from nodegraph.graph import dump_document, parse_document
from nodegraph.sdk.errors import InvalidWorkflow

Call = Callable[[Session, Mapping[str, Any]], Awaitable[Any]]


async def migrate(session: Session, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A document as it is written today and, where its subgraph files can be read, as it runs. Raises InvalidWorkflow.

    `path` is the file that it lies in, if it lies in one.
    """

    def do() -> dict[str, Any]:
        found = up_to_date(parse_document(arguments["document"]), session.catalog, session.library)
        path = None if arguments["path"] is None else Path(arguments["path"])
        whole, problems = None, list(found.problems)
        try:
            roots = session.roots.beside(path)
            whole = linked_document(found.document, session.catalog, roots, path, session.library)
        except InvalidWorkflow as error:
            problems += error.problems
        return {
            "document": dump_document(found.document),
            "whole": None if whole is None else dump_document(whole),
            "changes": [change.to_json() for change in found.changes],
            "problems": [problem.to_json() for problem in problems],
        }

    return await asyncio.to_thread(do)


async def plan(session: Session, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What running a document would compute, and what is there already; nothing is computed. Raises InvalidWorkflow."""

    def do() -> dict[str, Any]:
        workflow = Workflow(parse_document(arguments["document"]), session)
        return forecast_workflow(workflow, wanted=arguments["wanted"], exact=arguments["exact"]).to_json()

    return await asyncio.to_thread(do)


async def free(session: Session, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Give memory back: cached values, and networks that nothing uses."""
    freed = await asyncio.to_thread(session.free)
    return {"value_bytes": freed.value_bytes, "network_bytes": freed.network_bytes}


async def open_document(session: Session, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A document as it runs: its nodes led on, the subgraph files that it names inside. Raises InvalidWorkflow."""

    def do() -> dict[str, Any]:
        document = up_to_date(parse_document(arguments["document"]), session.catalog, session.library).document
        path = None if arguments["path"] is None else Path(arguments["path"])
        roots = session.roots.beside(path)
        return {"document": dump_document(linked_document(document, session.catalog, roots, path, session.library))}

    return await asyncio.to_thread(do)


CALLS: Mapping[str, Call] = {"migrate": migrate, "open": open_document, "plan": plan, "free": free}
