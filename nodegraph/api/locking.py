"""Locking workflows: finding out what a run depends on, and whether the same is here.

A lock is made from a prepared run, whose files are digested; names of files that come over links are known when it is over.
Comparing runs nothing, and loads torch only where the lock names a device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nodegraph.api.environment import (
    computes_on_device,
    device_here,
    digests_of,
    locked_file,
    named_files,
    names_come_over_links,
    pack_here,
    packs_behind,
    packs_of,
    requirements_of,
    runtime_here,
    section_of,
    size_of,
)
from nodegraph.api.linking import linked_document
from nodegraph.api.outputs import Saver, in_folder
from nodegraph.engine import RunOptions, RunOutput, RunResult
from nodegraph.graph import Document, Plan
from nodegraph.graph.lock import Lock, LockedDevice, LockedFile, content_digests, read_lock, with_lock
from nodegraph.graph.verifying import Comparison, Trouble, compare
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, Problem
from nodegraph.store import Digests, Roots

if TYPE_CHECKING:
    from nodegraph.api.session import Session
    from nodegraph.api.workflow import Workflow

Progress = Callable[[str, int, int], None]
"""Hears of a file that is read for its digest: its name, bytes read, bytes in all."""

Files = Mapping[tuple[str, str], tuple[str, Path]]
"""By kind and name: the digest of a file, and where it lies."""


# ---- comparing ----


def compare_lock(workflow: Workflow, progress: Progress | None = None) -> Comparison:
    """A workflow's lock beside what is here; values that were set since it was opened do not count.

    Raises InvalidWorkflow when it has no lock or a misshapen one, or cannot be compiled although nothing else is different.
    """
    lock, session = read_lock(workflow.opened), workflow.session
    document = linked_document(workflow.opened, session.catalog, workflow._roots(), workflow.path)
    plan: Plan | None = None
    problems: Sequence[Problem] = ()
    try:
        plan = session.compile(document)
    except InvalidWorkflow as error:  # most likely because of what is different
        problems = error.problems
    found = compare(lock, *_here(lock, document, plan, workflow, progress))
    if problems and not found.must:
        raise InvalidWorkflow(problems)
    return found


def require_lock(workflow: Workflow, progress: Progress | None = None) -> Comparison:
    """The same for a locked run. Raises InvalidWorkflow also where something that must match does not, field by field."""
    found = compare_lock(workflow, progress)
    if found.must:
        raise InvalidWorkflow([difference.problem() for difference in found.must])
    return found


def _here(
    lock: Lock, document: Document, plan: Plan | None, workflow: Workflow, progress: Progress | None
) -> tuple[Lock, dict[str, Trouble]]:
    """What is here of what a lock names, and of what the workflow uses besides; and why something is not."""
    session, trouble = workflow.session, dict[str, Trouble]()
    names = {("models", name) for name in lock.models} | {("inputs", name) for name in lock.inputs}
    names |= {(section_of(kind), name) for kind, name in named_files(plan)} if plan else set()
    files: dict[str, dict[str, LockedFile]] = {"models": {}, "inputs": {}}
    digests, roots = digests_of(session), workflow._roots(())
    for section, name in sorted(names):
        place, data = f"{section}.{name}", section == "inputs"
        try:
            path = roots.find_model(name) if section == "models" else roots.find_file(name)
            files[section][name] = locked_file(path, _read(digests, path, name, progress, data), data=data)
            trouble[place] = Trouble("", f"Here it is {path}.")
        except NodeError as error:
            trouble[place] = Trouble(str(error), error.hint or "")
        except OSError as error:
            trouble[place] = Trouble(f"{name} cannot be read: {error.strerror}.")
    digests.remember()
    device = None
    if lock.runtime.device is not None or (plan is not None and computes_on_device(plan)):
        try:
            device = device_here(session)
        except Exception as error:  # the adapter's own: torch is missing, or broken
            trouble["runtime.device"] = Trouble(f"The device cannot be used: {error}", _install(lock.runtime.device))
    packs = {name: found for name in {*lock.packs, *(packs_of(plan) if plan else ())} if (found := pack_here(session, name))}
    here = Lock(
        document=content_digests(document),
        packs=packs,
        models=files["models"],
        inputs=files["inputs"],
        runtime=runtime_here(device, lock.runtime.libraries),
    )
    return here, trouble


def _read(digests: Digests, path: Path, name: str, progress: Progress | None, data: bool) -> str:
    if progress is None:
        return digests.of(path, data=data)
    total, done = size_of(path, data=data), 0

    def more(read: int) -> None:
        nonlocal done
        done += read
        progress(name, done, total)

    return digests.of(path, more, data=data)


def _install(device: LockedDevice | None) -> str:
    if device is None or not device.libraries:
        return ""
    return "Install what computes there: pip install " + " ".join(
        f'"{name}=={known}"' for name, known in device.libraries.items()
    )


# ---- making ----


class Locked(NamedTuple):
    """A run with a lock: the document as it ran, its lock in it, and who saves the outputs."""

    run: RunResult
    document: Document
    saver: Saver | None


def makes_lock(workflow: Workflow, lock: bool, locked: bool, wanted: Sequence[str] | None, exact: bool) -> bool:
    """Check what is asked of a run, and say whether it has to make a lock.

    A locked run makes one where values were set: its pictures carry a lock of their own. Raises InvalidWorkflow.
    """
    if lock or locked:
        _check_lockable(wanted if lock else None, exact, lock and locked)
    if locked:
        require_lock(workflow)
    return lock or (locked and workflow.document != workflow.opened)


def _check_lockable(wanted: Sequence[str] | None, exact: bool, both: bool) -> None:
    problems = []
    if both:
        message = "A run cannot make a lock and keep to one."
        problems.append(Problem("cannot_lock", message, hint="Leave --lock out to keep to the lock, --locked to make another."))
    if not exact:
        message = "What is computed in batches is equal to about 1e-3 only, so a lock could not promise the same pixels."
        problems.append(Problem("cannot_lock", message, hint="Leave --batched out (in Python: exact=False)."))
    if wanted:
        message = "A lock is for the whole workflow, and only a part of it would run."
        problems.append(Problem("cannot_lock", message, hint="Leave --only out (in Python: wanted)."))
    if problems:
        raise InvalidWorkflow(problems)


def waited(session: Session, work: Coroutine[Any, Any, Locked]) -> Locked:
    """What a coroutine on the session's engine gives. An interrupt (Ctrl-C) cancels it."""
    session._started()
    future = session._post(work)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


async def run_and_lock(workflow: Workflow, plan: Plan, options: RunOptions, roots: Roots, out: str | Path | None) -> Locked:
    """Run a workflow that stands alone, on the engine's loop, and lock its document: pictures in `out` carry the lock already.

    Where names of files come over links the lock is complete only at the end, and outputs are saved then. Raises
    InvalidWorkflow before anything runs.
    """
    session = workflow.session
    engine = session._started()

    def saver(document: Document) -> Saver | None:
        return None if out is None else Saver(document, session.library, in_folder(Path(out)), session.secrets)

    prepared = await engine.prepare(plan, roots, exact=options.exact)
    lock = await asyncio.to_thread(make_lock, workflow, plan, prepared.files.found())
    document = with_lock(workflow.document, lock)
    late: list[RunOutput] = []
    saving = saver(document)
    if saving is not None:
        receiver = late.append if names_come_over_links(plan) else saving
        options = replace(options, receiver=receiver, keep=False)
    run = await engine.execute(prepared, options)
    used = {row["type"] for row in run.nodes.values()}
    try:
        complete = await asyncio.to_thread(make_lock, workflow, plan, prepared.files.found(), used)
    except InvalidWorkflow as error:  # names that came over links
        run, complete = replace(run, status="failed", problems=[*run.problems, *error.problems]), lock
    if complete != lock:
        document = with_lock(workflow.document, complete)
        saving = saver(document) if late else saving
    for output in late:
        assert saving is not None
        saving(output)
    return Locked(run, document, saving)


def make_lock(workflow: Workflow, plan: Plan, files: Files, used: Iterable[str] = ()) -> Lock:
    """What a plan depends on here. `files` were found for it; `used` are types of nodes that it became while it ran.

    Raises InvalidWorkflow for files that nobody would find under their name again.
    """
    session = workflow.session
    _check_names(workflow, files)
    names = packs_of(plan) | packs_behind(plan, session.library) | {type_id.partition("/")[0] for type_id in used}
    packs = {name: found for name in sorted(names) if (found := pack_here(session, name))}
    device = device_here(session) if computes_on_device(plan) else None
    computing = () if device is None else device.libraries
    sections: dict[str, dict[str, LockedFile]] = {"models": {}, "inputs": {}}
    for (kind, name), (digest, path) in sorted(files.items()):
        section = section_of(kind)
        sections[section][name] = locked_file(path, digest, data=section == "inputs")
    return Lock(
        document=content_digests(workflow.document),
        packs=packs,
        models=sections["models"],
        inputs=sections["inputs"],
        runtime=runtime_here(device, [name for name in requirements_of(packs.values()) if name not in computing]),
    )


def _check_names(workflow: Workflow, files: Files) -> None:
    """Names in locks are looked up below the roots, on any machine: paths that were typed for one run are no such names."""
    roots, problems = workflow._roots(()), []
    for (kind, name), (_, path) in sorted(files.items()):
        try:
            again = roots.find_model(name) if kind.startswith("model") else roots.find_file(name)
            if not Path(name).is_absolute() and again.samefile(path):
                continue
        except NodeError:
            pass
        what, places = ("model", roots.models) if kind.startswith("model") else (kind, roots.files)
        message = f"The {what} {name} lies where a locked workflow could not find it again."
        where = ", ".join(str(place) for place in places)
        problems.append(Problem("cannot_lock", message, hint=f"Put it into one of {where}, and give its name there."))
    if problems:
        raise InvalidWorkflow(problems)
