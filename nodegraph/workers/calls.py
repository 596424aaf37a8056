"""What a worker does besides jobs, because it needs packs or a device: functions from JSON to JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from nodegraph.api.linking import linked_document
from nodegraph.api.opening import up_to_date
from nodegraph.api.session import Session
from nodegraph.graph import dump_document, parse_document

Call = Callable[[Session, Mapping[str, Any]], Awaitable[Any]]


async def migrate(session: Session, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Lead a document's nodes to the versions that are installed. Raises InvalidWorkflow."""

    def do() -> dict[str, Any]:
        document = parse_document(arguments["document"])
        found = up_to_date(document, session.catalog, session.library, deprecated=bool(arguments.get("deprecated")))
        return {
            "document": dump_document(found.document),
            "changes": [str(change) for change in found.changes],
            "problems": [problem.to_json() for problem in found.problems],
        }

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


CALLS: Mapping[str, Call] = {"migrate": migrate, "open": open_document, "free": free}
