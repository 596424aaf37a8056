"""Workflows from Python: load one, set its inputs, run it, save what came out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nodegraph.api.linking import linked_document
from nodegraph.api.locking import Locked, compare_lock, makes_lock, run_and_lock, waited
from nodegraph.api.opening import up_to_date
from nodegraph.api.origin import Origin, Untrusted
from nodegraph.api.outputs import Placer, Rows, Saver, in_folder
from nodegraph.api.paths import shipped
from nodegraph.api.records import PICTURES, document_in_picture, is_picture
from nodegraph.api.saving import Saved, save_document
from nodegraph.api.session import Session, default_session
from nodegraph.editing import sweep
from nodegraph.engine import Listener, RunOptions, RunResult
from nodegraph.graph import (
    Document,
    PublicInput,
    dump_document,
    parse_document,
    public_inputs,
    used_inputs,
    with_inputs,
)
from nodegraph.graph.interface import set_value
from nodegraph.graph.migrating import Change
from nodegraph.graph.opening import decoded, read_bytes
from nodegraph.graph.packs import with_packs
from nodegraph.graph.uses import Use, uses
from nodegraph.graph.verifying import Difference
from nodegraph.sdk.context import Asker
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, Problem
from nodegraph.sdk.writing import real_place
from nodegraph.store import Roots
from nodegraph.store.ledger import digest_of
from nodegraph.store.trust import unaccepted


class RunFailed(Exception):
    """A run that did not give everything it was asked for. `result` has what there is."""

    def __init__(self, result: Result) -> None:
        self.result = result
        super().__init__("\n".join(map(str, result.run.problems)) or f"the run was {result.run.status}")


@dataclass(frozen=True)
class Result:
    """What a workflow gave: `result["image"]` is an output's value, `save` puts the files into a folder."""

    document: Document
    run: RunResult
    session: Session
    files: Rows = field(default_factory=dict)
    """What was placed in the run's output folder: `{NAME: [{"path", "digest"}]}`; JSON outputs are `{"value": ...}`."""

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def values(self) -> dict[str, Any]:
        """Every output's value by name: tensors, artifacts, JSON values."""
        return {output.name: output.value for output in self.run.outputs}

    @property
    def inputs(self) -> dict[str, Any]:
        """The public inputs as used."""
        return used_inputs(self.document, self.session.catalog)

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        """What became of every node: state, reason, milliseconds."""
        return self.run.nodes

    def save(self, folder: str | Path = "outputs") -> Rows:
        """Write the outputs that can be files: `{NAME: [{"path", "digest"}]}`. Raises NodeError."""
        saver = Saver(self.document, self.session.library, in_folder(Path(folder)), self.session.secrets)
        for output in self.run.outputs:
            saver(output)
        files, problems = saver.files()
        if problems:
            raise NodeError(problems[0].message, expected=problems[0].expected, got=problems[0].got, hint=problems[0].hint)
        return files


class Workflow:
    """A document in a session: a function with typed inputs."""

    def __init__(
        self,
        document: Document,
        session: Session | None = None,
        path: Path | None = None,
        origin: Origin | None = None,
    ) -> None:
        self.document, self.session = document, session or default_session()
        self._origin = origin or Origin(document, path)

    @property
    def path(self) -> Path | None:
        """The file that the workflow was opened from or saved to."""
        return self._origin.path

    @property
    def opened(self) -> Document:
        """The document before values were set: what a lock is for."""
        return self._origin.opened

    @property
    def changes(self) -> tuple[Change, ...]:
        """What opening it changed in nodes of older versions."""
        return self._origin.changes

    @property
    def trouble(self) -> tuple[Problem, ...]:
        """Which migrations failed; their nodes are as they were saved."""
        return self._origin.trouble

    def _with_document(self, document: Document) -> Workflow:
        """The same workflow with another document."""
        return Workflow(document, self.session, origin=replace(self._origin, seen=dict(self._origin.seen)))

    @property
    def linked(self) -> Document:
        """The document as it runs: subgraphs that lie in other files are inside. Raises InvalidWorkflow."""
        return linked_document(self.document, self.session.catalog, self._roots(), self.path, self.session.library)

    @property
    def inputs(self) -> dict[str, PublicInput]:
        """The public inputs: their specs and present values."""
        return public_inputs(self.linked, self.session.catalog)

    def with_inputs(self, **inputs: Any) -> Workflow:
        """The same workflow with inputs set. Raises InvalidWorkflow."""
        nodes = with_inputs(self.linked, self.session.catalog, inputs).nodes
        return self._with_document(self.document.model_copy(update={"nodes": nodes}))

    def with_values(self, values: Mapping[str, Any]) -> Workflow:
        """The same workflow with `node.input` values set, public or not. Raises InvalidWorkflow for unknown nodes."""
        unknown = [place for place in values if place.partition(".")[0] not in self.document.nodes]
        if unknown:
            raise InvalidWorkflow([Problem("no_such_node", f"There is no {place!r} to set.") for place in unknown])
        document = self.document.model_copy(update={"nodes": dict(self.document.nodes)})
        for place, value in values.items():
            set_value(document, place, value)
        return self._with_document(document)

    def sweep(self, axes: Mapping[str, Sequence[Any]], output: str = "") -> Workflow:
        """A workflow that paints this one for every combination of some inputs' values, on a labelled sheet.

        axes: one to three inputs with their values: across, down, and a sheet each. output: which picture, where there are
        several. What the pictures share is computed once. Raises InvalidWorkflow.
        """
        return self._with_document(sweep(self.linked, self.session.catalog, axes, output))

    def with_lock(self, lock: Mapping[str, Any]) -> Workflow:
        """The same workflow with the lock that a run of it made (`result.document.lock`)."""
        document = self.document.model_copy(update={"lock": dict(lock)})
        found = self._with_document(document)
        found._origin.opened = document
        return found

    # ---- trust ----

    def wants(self, allow: Sequence[str] = ()) -> dict[Use, str]:
        """What the document as it was opened reaches for and nobody has accepted, with the node that does.

        Values set since then count as accepted, and so do the files in `allow`; a file that is not there, or not where
        documents may read, is an error of the run instead, and what comes with nodegraph is nobody's secret. Raises
        InvalidWorkflow for subgraph files that cannot be read.
        """
        origin = self._origin
        if origin.trusted:
            return {}
        found, before = self._uses()
        found = {use: node for use, node in found.items() if use in before}
        roots = self._roots()
        readable = {use: node for use, node in found.items() if use.kind != "file" or _is_private(use.name, roots, allow)}
        return unaccepted(self.session.trust, origin.keys, {**readable, **self._library_files()})

    def accept(self, found: Mapping[Use, str] | None = None, *, remember: bool = True) -> None:
        """Trust the document with everything that it wants: from now on, and in other sessions where it is remembered.

        `found` is what it wants where it will run, if that is elsewhere.
        """
        if remember and (found := self.wants() if found is None else found):
            self.session.trust.accept(found, *self._origin.keys)
        self._origin.trusted = True

    def _library_files(self) -> dict[Use, str]:
        """The user's own workflows that the document names as subgraphs: neither beside it nor shipped, so no part of it."""
        found: dict[Use, str] = {}
        roots, path = self._roots(), self.path
        for name, subgraph in self._origin.opened.subgraphs.items():
            if subgraph.file:
                file = roots.find_workflow(subgraph.file, path)
                if not is_shipped(file) and not (path and file.is_relative_to(path.resolve().parent)):
                    found[Use("file", subgraph.file)] = f"subgraphs.{name}"
        return found

    def accepted(self) -> set[Use]:
        """What the document reaches for with a person's consent: given before, or by setting it here."""
        found, before = self._uses()
        if self._origin.trusted:
            return set(found)
        return {use for use in found if use not in before} | (found.keys() & self.session.trust.accepted(*self._origin.keys))

    def _uses(self) -> tuple[dict[Use, str], dict[Use, str]]:
        """What the document reaches for, and what it did as it was opened: the same subgraph files are looked through."""
        whole, catalog = self.linked, self.session.catalog
        before = self._origin.opened.model_copy(update={"subgraphs": whole.subgraphs})
        return uses(whole, catalog), uses(before, catalog)

    def _check_trust(self, allow: Sequence[str]) -> None:
        if found := self.wants(allow):
            raise Untrusted(found)

    def verify(self) -> list[Difference]:
        """What is not as the lock says, field by field; nothing runs, and values set since it was opened do not count.

        A locked run refuses those that `must` match, the others are good to know. Raises InvalidWorkflow without a lock.
        """
        return list(compare_lock(self).differences)

    def run(
        self,
        *,
        wanted: Sequence[str] | None = None,
        listener: Listener | None = None,
        out: str | Path | None = None,
        exact: bool = True,
        asker: Asker | None = None,
        allow: Sequence[str] = (),
        lock: bool = False,
        locked: bool = False,
        **inputs: Any,
    ) -> Result:
        """Run with these inputs and wait.

        `wanted` names nodes to run instead of the outputs; with `out` every output that can be a file is placed in that folder
        as soon as it is there, and not held in memory (see `Result.files`); runs that are not `exact` may share batches;
        `asker` is asked where a node wants a person's decision; `allow` names files that may lie anywhere. With `lock` the
        result's document has a lock (see `with_lock`); a `locked` run refuses where something is not as the lock says.

        Raises InvalidWorkflow before anything runs (Untrusted where the document wants more than was accepted), RunFailed when
        something failed.
        """
        named = self.with_inputs(**inputs) if inputs else self
        workflow = named._standing_alone()
        workflow._check_trust(allow)
        lock = makes_lock(named, lock, locked, wanted, exact)
        plan = self.session.compile(workflow.document, wanted)
        if lock:
            options = RunOptions(listener, exact=exact, asker=asker)
            return workflow._with(waited(self.session, run_and_lock(workflow, plan, options, self._roots(allow), out)))
        saver = workflow._saver(out)
        options = RunOptions(listener, exact=exact, receiver=saver, keep=saver is None, asker=asker)
        return workflow._checked(self.session.run(plan, options, roots=self._roots(allow)), saver)

    async def run_async(
        self,
        *,
        wanted: Sequence[str] | None = None,
        listener: Listener | None = None,
        out: str | Path | Placer | None = None,
        exact: bool = True,
        asker: Asker | None = None,
        priority: int = 0,
        log: Callable[[str], logging.Logger] | None = None,
        allow: Sequence[str] = (),
        lock: bool = False,
        locked: bool = False,
        **inputs: Any,
    ) -> Result:
        """The same for asyncio. `out` may also be who places files; what has a larger `priority` goes first in every lane."""
        named = self.with_inputs(**inputs) if inputs else self
        workflow = await asyncio.to_thread(named._standing_alone)
        await asyncio.to_thread(workflow._check_trust, allow)
        lock = await asyncio.to_thread(makes_lock, named, lock, locked, wanted, exact)
        plan = self.session.compile(workflow.document, wanted)
        if lock:
            options = RunOptions(listener, exact=exact, asker=asker)
            assert out is None or isinstance(out, (str, Path)), "a lock is for files in folders"
            found = run_and_lock(workflow, plan, options, self._roots(allow), out)
            self.session._started()
            return await asyncio.to_thread(workflow._with, await asyncio.wrap_future(self.session._post(found)))
        saver = workflow._saver(out)
        options = RunOptions(listener, priority, exact, saver, saver is None, asker, log)
        result = await self.session.run_async(plan, options, roots=self._roots(allow))
        return await asyncio.to_thread(workflow._checked, result, saver)

    def _standing_alone(self) -> Workflow:
        """The workflow as it runs and as pictures carry it: without other files."""
        return self._with_document(self.linked)

    def _with(self, found: Locked) -> Result:
        """The result of a run that made a lock."""
        return Workflow(found.document, self.session, self.path)._checked(found.run, found.saver)

    def _saver(self, out: str | Path | Placer | None) -> Saver | None:
        if out is None:
            return None
        put = in_folder(Path(out)) if isinstance(out, (str, Path)) else out
        return Saver(self.document, self.session.library, put, self.session.secrets)

    def _checked(self, run: RunResult, saver: Saver | None) -> Result:
        files, problems = ({}, []) if saver is None else saver.files()
        if problems:
            run = replace(run, status="failed", problems=[*run.problems, *problems])
        result = Result(self.document, run, self.session, files)
        if run.status != "succeeded":
            raise RunFailed(result)
        return result

    def _roots(self, allow: Sequence[str] = ()) -> Roots:
        """Files may also lie beside the workflow's own file."""
        return self.session.roots.beside(self.path).allowing(allow)

    def to_json(self) -> str:
        return dump_document(self.document)

    def save(self, path: str | Path | None = None, *, force: bool = False) -> Saved:
        """Write the document into its file, or another: whole or not at all, and what was there stays in the history.

        Raises StaleRevision where the file was opened or saved from here and has changed since (unless `force`), NotWritten,
        InvalidWorkflow for a document that could not be opened again, and ValueError where no file is known.
        """
        path = real_place(self._save_place() if path is None else Path(path))
        if path.suffix.lower() in PICTURES:
            raise ValueError(f"{path} has the name of a picture, and a workflow is saved as JSON: save('name.json').")
        origin, document = self._origin, with_packs(self.document, self.session.catalog)
        saved = save_document(path, document, base=None if force else origin.seen.get(path), data=self.session.data)
        with contextlib.suppress(InvalidWorkflow):  # a subgraph's file that is not there is no reason not to save
            if accepted := self.accepted():
                self.session.trust.accept(accepted, str(path), saved.digest)
        self.document, origin.opened, origin.seen[path] = document, document, saved.digest
        if self.path is None or self.path.suffix.lower() in PICTURES:
            origin.path = path
        if saved.trouble:
            warnings.warn(f"{path} was saved. {saved.trouble}", stacklevel=2)
        return saved

    def _save_place(self) -> Path:
        if self.path is None:
            raise ValueError("This workflow has no file yet: save('name.json').")
        return self.path


def load(path: str | Path, session: Session | None = None, *, trust: bool = False) -> Workflow:
    """Open a workflow: a JSON file, or a picture that carries one. Raises InvalidWorkflow.

    Nodes of older versions are led on by their packs' migrations; `changes` of the workflow says what that changed. The file
    stays as it is until it is saved. What the document reaches for beyond computing (`wants`) has to be accepted before it
    runs, unless `trust` says that it comes from somebody who may.
    """
    path, session = Path(path), session or default_session()
    origin = Origin(Document(), path, trusted=trust or is_shipped(path))
    if is_picture(path):
        document = document_in_picture(path)
        origin.keys = (str(real_place(path)), digest_of(dump_document(document).encode()))
    else:
        data = read_bytes(path)
        document = parse_document(decoded(data, path))
        origin.seen[real_place(path)] = digest_of(data)
        origin.keys = (str(real_place(path)), digest_of(data))
    found = up_to_date(document, session.catalog, session.library)
    origin.opened, origin.changes, origin.trouble = found.document, found.changes, found.problems
    return Workflow(found.document, session, origin=origin)


def _is_private(name: str, roots: Roots, allow: Sequence[str]) -> bool:
    """Whether a document would get to read a file by its own doing that did not come with nodegraph."""
    return roots.may_read(name, allow) and not is_shipped(roots.find_file(name))


def is_shipped(path: Path) -> bool:
    """Whether a file is one of the workflows that come with nodegraph, or of their examples."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(shipped("workflows")))
