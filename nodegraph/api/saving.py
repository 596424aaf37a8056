"""Saving workflows and going back to what was saved before: plain functions, their results JSON data but for `save_document`.

`base` is the digest that the caller's work began from, as `load`, `history` and the functions here give it; with a stale one
they raise StaleRevision and write nothing. Without one whatever lies in the file is replaced; the history keeps it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nodegraph.api.paths import data_folder
from nodegraph.graph import Document, dump_document, parse_document
from nodegraph.graph.canonical import compact
from nodegraph.graph.opening import LARGEST_BYTES
from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.sdk.writing import NotWritten
from nodegraph.store.ledger import Content, Revision, digest_of
from nodegraph.store.revisions import NOTHING, NoRevision, Revisions, Saved, StaleRevision, local_time

__all__ = [
    "NOTHING",
    "NoRevision",
    "NotWritten",
    "Saved",
    "StaleRevision",
    "content_of",
    "delete",
    "history",
    "keep_draft",
    "local_time",
    "read",
    "redo",
    "restore",
    "save_document",
    "undo",
]


def save_document(path: str | Path, document: Document, *, base: str | None = None, data: Path | None = None) -> Saved:
    """Put a document into a file, whole or not at all, and keep what was there.

    Raises StaleRevision, NotWritten, and InvalidWorkflow for a document that could not be opened again.
    """
    return _revisions(data).save(Path(path), content_of(document), base)


def keep_draft(path: str | Path, document: Document, *, data: Path | None = None) -> dict[str, Any]:
    """Remember work on a file that is not to be put into it yet. Raises InvalidWorkflow, NotWritten."""
    return _saved_json(_revisions(data).keep_draft(Path(path), content_of(document)))


def history(path: str | Path, *, data: Path | None = None) -> dict[str, Any]:
    """A file's revisions, the oldest first, and which of them it holds; the file may be gone. Raises NotWritten."""
    found = _revisions(data).history(Path(path))
    return {
        "file": str(found.path),
        "current": found.current.id if found.current else None,
        "outside": found.outside,
        "revisions": [revision_json(revision) for revision in found.revisions],
        "trouble": found.trouble or None,
    }


def read(path: str | Path, revision: str, *, data: Path | None = None) -> dict[str, Any]:
    """A revision with its `text`, named by its id, its number, or the beginning of its digest. Raises NoRevision."""
    found, content = _revisions(data).read(Path(path), revision)
    return {**revision_json(found), "text": content.decode("utf-8-sig", errors="replace")}


def read_bytes(path: str | Path, revision: str, *, data: Path | None = None) -> bytes:
    """What lay in the file, to the byte. Raises NoRevision."""
    return _revisions(data).read(Path(path), revision)[1]


def restore(path: str | Path, revision: str, *, base: str | None = None, data: Path | None = None) -> dict[str, Any]:
    """Put an earlier revision into the file, as a new one. Raises StaleRevision, NoRevision, NotWritten."""
    return _saved_json(_revisions(data).restore(Path(path), revision, base))


def undo(path: str | Path, *, base: str | None = None, data: Path | None = None) -> dict[str, Any]:
    """Put what lay in the file before; one that was deleted comes back. Raises StaleRevision, NoRevision, NotWritten."""
    return _saved_json(_revisions(data).undo(Path(path), base))


def redo(path: str | Path, *, base: str | None = None, data: Path | None = None) -> dict[str, Any]:
    """Put what the last undo took out of the file. Raises StaleRevision, NoRevision, NotWritten."""
    return _saved_json(_revisions(data).redo(Path(path), base))


def delete(path: str | Path, *, base: str | None = None, data: Path | None = None) -> dict[str, Any]:
    """Remove the file; its history stays, and `undo` brings it back. Raises StaleRevision, NoRevision, NotWritten."""
    return _saved_json(_revisions(data).delete(Path(path), base))


def content_of(document: Document) -> Content:
    """A document as it goes into its file. Raises InvalidWorkflow for one that could not be opened again."""
    try:
        text = dump_document(document)
        data = text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidWorkflow(
            _not_json(document) or [Problem("bad_value", f"This cannot be written as JSON: {error}.")]
        ) from None
    if len(data) > LARGEST_BYTES:
        message = f"This workflow would be larger than {LARGEST_BYTES >> 20} MiB, and could not be opened again."
        hint = "Put pictures and tables into files of their own, and name these in the workflow."
        raise InvalidWorkflow([Problem("too_large", message, hint=hint)])
    parse_document(text)
    return Content(data, digest_of(data), document.title, len(document.nodes))


def _not_json(document: Document) -> list[Problem]:
    """The values that JSON has no spelling for."""
    problems = []
    for name, node in document.nodes.items():
        for socket, value in node.inputs.items():
            try:
                compact(value).encode()
            except (TypeError, ValueError, RecursionError):
                message = "This value cannot be saved: JSON has no spelling for it."
                problems.append(Problem("bad_value", message, name, socket, got=_shortened(value)))
    return problems


def _shortened(value: Any) -> str:
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        text = type(value).__name__
    return text if len(text) < 60 else text[:57] + "..."


def revision_json(revision: Revision) -> dict[str, Any]:
    """A revision as JSON data; `at` is in seconds since 1970."""
    return {"revision": revision.id, **revision._asdict()}


def _saved_json(saved: Saved) -> dict[str, Any]:
    return {
        "file": str(saved.path),
        "digest": saved.digest,
        "revision": revision_json(saved.revision) if saved.revision else None,
        "before": saved.before.id if saved.before else None,
        "trouble": saved.trouble or None,
    }


def _revisions(data: Path | None) -> Revisions:
    return Revisions(data_folder(data))
