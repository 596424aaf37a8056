"""Changing saved workflows: one change at a time, from a base that is checked, told as an event, refused in plain words."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from nodegraph.api import saving
from nodegraph.graph import Document
from nodegraph.graph.packs import with_packs
from nodegraph.graph.uses import Use
from nodegraph.jobs import StoreFailed
from nodegraph.logs import logger
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.sdk.writing import NotWritten, real_place
from nodegraph.server.problems import Refused, not_found
from nodegraph.server.service import Server
from nodegraph.server.shelf import Lying, new_ids
from nodegraph.server.wording import not_written, told_apart, without_paths
from nodegraph.store.revisions import Revisions, Saved

_LOG = logger("workflows")

T = TypeVar("T")


class Stored(NamedTuple):
    """What a change left in a workflow's file."""

    id: str
    saved: Saved


async def create(server: Server, document: Document, id_: str | None) -> Stored:
    """Keep a document as a new workflow. Raises Refused."""
    catalog = await server.catalog()

    def work() -> Stored:
        whole = with_packs(document, catalog)
        for name in [id_] if id_ else new_ids(document.title):
            if server.shelf.find(name) is None:
                try:
                    return Stored(name, saving.save_document(_place(server, name), whole, base="", data=server.data))
                except saving.StaleRevision:  # another program was faster
                    pass
        raise _exists(id_ or document.title)

    stored = await changed(server, id_ or "The workflow", work)
    await _tell(server, "workflow_saved", stored.id, stored.saved.digest)
    return stored


async def save(server: Server, id_: str, document: Document, base: str | None) -> Stored:
    """Put a document into a workflow's file. Raises Refused, also where something else than `base` lies there."""
    catalog = await server.catalog()

    def work(own: str) -> Saved:
        return saving.save_document(_place(server, id_), with_packs(document, catalog), base=own, data=server.data)

    return await step(server, id_, base, work)


async def restore(server: Server, id_: str, revision: str, base: str | None) -> Stored:
    """Put an earlier revision into the file, as a new one. Raises Refused."""
    return await step(server, id_, base, lambda own: _revisions(server).restore(_place(server, id_), revision, own))


async def undo(server: Server, id_: str, base: str | None) -> Stored:
    """Put what lay in the file before. Raises Refused."""
    return await step(server, id_, base, lambda own: _revisions(server).undo(_place(server, id_), own))


async def redo(server: Server, id_: str, base: str | None) -> Stored:
    """Put what the last undo took out of the file. Raises Refused."""
    return await step(server, id_, base, lambda own: _revisions(server).redo(_place(server, id_), own))


async def delete(server: Server, id_: str, base: str | None) -> None:
    """Remove the file; its revisions stay. Raises Refused."""

    def work() -> Saved:
        own = _checked(server, id_, base)
        _only_own(server, id_)
        return _revisions(server).delete(_place(server, id_), own)

    saved = await changed(server, id_, work)
    await _tell(server, "workflow_deleted", id_, saved.digest)


async def rename(server: Server, id_: str, to: str, base: str | None) -> Stored:
    """Give a workflow another id; its history and what was accepted go with it. Raises Refused."""

    def work() -> Saved:
        own = _checked(server, id_, base)
        _only_own(server, id_)
        if server.shelf.find(to) is not None:
            raise _exists(to)
        before, after = real_place(_place(server, id_)), real_place(_place(server, to))
        saved = _revisions(server).rename(before, after, own)
        trust = server.session.trust
        if accepted := trust.accepted(str(before)):
            trust.accept(accepted, str(after), saved.digest)
        return saved

    saved = await changed(server, id_, work)
    await _tell(server, "workflow_saved", to, saved.digest)
    await _tell(server, "workflow_deleted", id_, saved.digest)
    return Stored(to, saved)


async def accept(server: Server, lying: Lying, accepted: Sequence[Use]) -> None:
    """Remember what a person allows a saved workflow. Raises Refused where that cannot be written."""

    def work() -> None:
        if accepted and not server.session.trust.accept(accepted, str(real_place(lying.path)), lying.digest):
            raise NotWritten(errno.EACCES, "not remembered", Path("trust.json"), "", "")

    await changed(server, "What was accepted", work)


async def step(server: Server, id_: str, base: str | None, work: Callable[[str], Saved]) -> Stored:
    """Change a workflow's file; `work` is given what its own file's base is. Raises Refused."""
    saved = await changed(server, id_, lambda: work(_checked(server, id_, base)))
    await _tell(server, "workflow_saved", id_, saved.digest)
    return Stored(id_, saved)


async def changed(server: Server, what: str, work: Callable[[], T]) -> T:
    """Let a thread change something, alone. Raises Refused."""
    async with server.changing:
        try:
            return await asyncio.to_thread(work)
        except saving.StaleRevision as error:
            raise stale(error.yours, error.current) from None
        except saving.NoRevision as error:
            message = without_paths(str(error), server.settings)
            raise Refused(404, "no_revision", message, [Problem("no_revision", message)]) from None
        except InvalidWorkflow as error:
            problems = told_apart(error.problems, server.settings)
            raise Refused(422, "invalid_workflow", "This is no workflow that could be opened again.", problems) from None
        except OSError as error:
            if error.errno == errno.EEXIST:
                raise _exists(what) from None
            _LOG.warning("workflow_not_saved", errno=error.errno)
            raise not_written(error, what) from None


def stale(yours: str, current: str) -> Refused:
    """Something else lies there than the caller began from. Nothing was written."""
    if not yours:
        message = "There is a workflow of this id already. Nothing was written."
    elif not current:
        message = "The workflow was deleted since you opened it. Nothing was written."
    else:
        message = "The workflow has changed since you opened it. Nothing was written."
    hint = "Open it again and merge, or save under another id." if current else 'Save it anew, with the base "".'
    problem = Problem("stale_revision", message, expected=yours, got=current, hint=hint)
    return Refused(409, "stale_revision", message, [problem], headers={"ETag": f'"{current}"'} if current else None)


def _checked(server: Server, id_: str, base: str | None) -> str:
    """The base for the own file, after what GET gives was found to be what the caller began from. Raises Refused."""
    if base is None:
        hint = "`base` is the digest that GET gave, or the empty text for a workflow that is to be new."
        raise Refused(428, "no_base", "Say what the change is based on.", [Problem("no_base", "base is missing.", hint=hint)])
    _place(server, id_)
    found = server.shelf.find(id_)
    current = server.shelf.digest(id_)
    if base != current:
        raise stale(base, current)
    return base if found is not None and found.parent == server.shelf.own else saving.NOTHING


def _only_own(server: Server, id_: str) -> None:
    found = server.shelf.find(id_)
    if found is None:
        raise not_found("workflow")
    if found.parent != server.shelf.own:
        raise Refused(403, "shipped", f"{id_} comes with nodegraph and stays. Save it under another id to change it.")


def _place(server: Server, id_: str) -> Path:
    path = server.shelf.place(id_)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _exists(id_: str) -> Refused:
    message = "There is a workflow of this id already."
    return Refused(409, "exists", message, [Problem("exists", message, got=id_, hint="Choose another id.")])


def _revisions(server: Server) -> Revisions:
    return Revisions(server.data)


async def _tell(server: Server, what: str, id_: str, digest: str) -> None:
    """Let other tabs know. What is saved is saved, also where that cannot be told."""
    try:
        data: dict[str, Any] = {"id": id_, "digest": digest}
        await server.store.tell([(what, None, data)])
    except StoreFailed:
        _LOG.warning("event_not_told", type=what)
