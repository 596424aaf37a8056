"""Subgraphs that lie in files of their own, taken into the document: afterwards it needs no other file.

The document as it was written keeps naming the files; what is compiled, run and put into pictures is what comes from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from nodegraph.graph.catalog import Catalog
from nodegraph.graph.document import SUBGRAPHS, Document, NodeEntry, Subgraph
from nodegraph.graph.subgraphs import CALLED, DEEPEST_NESTING, Subgraphs
from nodegraph.sdk.errors import InvalidWorkflow, NodeError, Problem

MOST_FILES = 1000
"""How many files one document may bring in, one through the other."""

Read = Callable[[str, Path | None], tuple[Document, Path]]
"""Finds and reads a workflow file by the name that a document gives it; the second argument is the file that names it.

Gives the document and the file's resolved path. Raises InvalidWorkflow or NodeError.
"""


def needs_files(document: Document) -> bool:
    """Whether a document names subgraphs that lie in other files."""
    return any(subgraph.file for subgraph in document.subgraphs.values())


def linked(document: Document, catalog: Catalog, read: Read, place: Path | None = None) -> Document:
    """The document with every subgraph inside it. `place` is where it lies itself.

    Subgraphs that the files bring along get free names. Raises InvalidWorkflow with everything that cannot be read, and for
    files that contain themselves.
    """
    if not needs_files(document):
        return document
    linker = _Linker(catalog, read)
    found = linker.document(document, place, (place.resolve(),) if place else ())
    if linker.problems:
        raise InvalidWorkflow(linker.problems)
    return found


class _Linker:
    def __init__(self, catalog: Catalog, read: Read) -> None:
        self._catalog, self._read = catalog, read
        self._files: dict[Path, Document] = {}
        self.problems: list[Problem] = []

    def document(self, document: Document, place: Path | None, chain: tuple[Path, ...]) -> Document:
        """A document with its own files taken in. `chain` are the files that lead to it."""
        subgraphs = dict(document.subgraphs)
        taken: dict[Path, Mapping[str, str]] = {}  # a file that is named twice comes in once
        for name, entry in document.subgraphs.items():
            if not entry.file:
                continue
            found = self._file(name, entry, place, chain)
            if found is None:
                continue
            inner, path = found
            if path not in taken:
                taken[path] = _free_names(inner.subgraphs, subgraphs, name)
                new = {taken[path][key]: part for key, part in inner.subgraphs.items()}
                subgraphs |= {key: self._renamed(part, inner, taken[path]) for key, part in new.items()}
            names = taken[path]
            whole = Subgraph(title=inner.title, nodes=inner.nodes, interface=inner.interface, layout=inner.layout)
            words = {"title": entry.title or inner.title, "description": entry.description or inner.description}
            own = {**words, "file": ""}
            subgraphs[name] = self._renamed(whole, inner, names).model_copy(update=own)
        return document.model_copy(update={"subgraphs": subgraphs})

    def _file(self, name: str, entry: Subgraph, place: Path | None, chain: tuple[Path, ...]) -> tuple[Document, Path] | None:
        where = f"{SUBGRAPHS}.{name}"
        if entry.nodes:
            message = f"The subgraph {name!r} names a file and has nodes of its own."
            self._problem("bad_document", message, where, hint="Remove one of the two.")
            return None
        try:
            document, path = self._read(entry.file, place)
        except InvalidWorkflow as error:
            self.problems += [_in_file(problem, where, entry.file) for problem in error.problems]
            return None
        except NodeError as error:
            self.problems.append(error.problem(where, "no_file"))
            return None
        if path in chain:
            circle = " -> ".join(part.name for part in (*chain[chain.index(path) :], path))
            hint = "To repeat a subgraph, make it the body of a loop: core/map, core/fold or core/while_."
            self._problem("cycle", f"The file {entry.file!r} contains itself: {circle}.", where, hint=hint)
            return None
        if len(chain) > DEEPEST_NESTING or len(self._files) >= MOST_FILES:
            most = f"{DEEPEST_NESTING} files in one another, {MOST_FILES:,} in all"
            self._problem("too_large", "Too many files come in here, one through the other.", where, expected=f"at most {most}")
            return None
        if path not in self._files:
            self._files[path] = self.document(document, path, (*chain, path))
        return self._files[path], path

    def _problem(self, code: str, message: str, node: str, expected: str | None = None, hint: str | None = None) -> None:
        self.problems.append(Problem(code, message, node, expected=expected, hint=hint))

    def _renamed(self, part: Subgraph, home: Document, names: Mapping[str, str]) -> Subgraph:
        """A part of a file whose subgraphs have other names now."""
        subgraphs = Subgraphs(home.subgraphs, self._catalog)
        return part.model_copy(
            update={"nodes": {name: renamed_body(entry, subgraphs, names) for name, entry in part.nodes.items()}}
        )


def renamed_body(entry: NodeEntry, subgraphs: Subgraphs, names: Mapping[str, str]) -> NodeEntry:
    """A node that runs a subgraph, under the subgraph's new name; any other node as it is."""
    body = subgraphs.body_of(entry)
    if body is None or names.get(body, body) == body:
        return entry
    if entry.type.startswith(CALLED):
        return entry.model_copy(update={"type": CALLED + names[body]})
    return entry.model_copy(update={"inputs": {**entry.inputs, "body": names[body]}})


def _free_names(inner: Mapping[str, Subgraph], taken: Mapping[str, Subgraph], outer: str) -> dict[str, str]:
    """For each subgraph of a file a name that the document does not have: its own, else with the file's name before it."""
    names: dict[str, str] = {}
    for name in inner:
        free, number = name, 2
        if free in taken:
            free = f"{outer}-{name}"
        while free in taken or free in names.values():
            free, number = f"{outer}-{name}-{number}", number + 1
        names[name] = free
    return names


def _in_file(problem: Problem, where: str, file: str) -> Problem:
    node = f"{where}/{problem.node}" if problem.node else where
    place = f" (line {problem.line}, column {problem.column})" if problem.line else ""
    return replace(problem, node=node, message=f"In the file {file!r}{place}: {problem.message}")
