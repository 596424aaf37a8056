"""What a run knows of the files it names: where they are, their digests, and whether they changed while they were used."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from nodegraph.graph.plan import PlanNode
from nodegraph.sdk.errors import NodeError, Problem
from nodegraph.sdk.values import ModelFile
from nodegraph.store import Digests, Roots, signature
from nodegraph.store.files import parts_of, signature_of

_FEW = 100
"""Files whose signatures are remembered one by one; of a folder of more only what they are together."""


class UsedFile(NamedTuple):
    """A file, or all that is in a folder, as it was when its digest was taken."""

    path: Path
    signatures: tuple[Any, ...]
    data: bool = False

    def unchanged(self) -> bool:
        return _signatures(self.path, self.data) == self.signatures


class FileAccess:
    """Files by (kind, name), resolved once per run. `prepare` does the slow part, off the loop."""

    def __init__(self, roots: Roots, digests: Digests) -> None:
        self._roots, self._digests = roots, digests
        self._known: dict[tuple[str, str], tuple[str, UsedFile]] = {}

    def prepare(self, nodes: list[PlanNode]) -> list[Problem]:
        """Find, check and digest every file that the nodes name; what is wrong comes back as problems."""
        problems = _without(nodes, self._find)
        self._digests.remember()
        return problems

    def digest(self, kind: str, name: str) -> str:
        """The sha256 of a file's content. Raises NodeError."""
        return self._find(kind, name)[0]

    def argument(self, kind: str, name: str) -> tuple[Any, UsedFile]:
        """What the node receives for a file input, and the file as it was. Raises NodeError."""
        digest, used = self._find(kind, name)
        return (ModelFile(name, used.path, digest) if kind.startswith("model") else used.path), used

    def found(self) -> dict[tuple[str, str], tuple[str, Path]]:
        """Every file that was asked for so far, by kind and name: its digest, and where it lies."""
        return {key: (digest, used.path) for key, (digest, used) in list(self._known.items())}

    def _find(self, kind: str, name: str) -> tuple[str, UsedFile]:
        found = self._known.get((kind, name))
        if found is None:
            path, data = _located(self._roots, kind, name), kind == "folder"
            used = UsedFile(path, _signatures(path, data), data)
            found = self._known[kind, name] = (self._digests.of(path, data=data), used)
        return found


def missing_files(nodes: Iterable[PlanNode], roots: Roots) -> list[Problem]:
    """Files that the nodes name and that are not there, or not what they should be; no more of them is read than headers."""
    return _without(nodes, lambda kind, name: _located(roots, kind, name))


def _without(nodes: Iterable[PlanNode], find: Callable[[str, Any], object]) -> list[Problem]:
    """What cannot be found of the files that the nodes name."""
    problems = []
    for node in nodes:
        for spec in node.spec.inputs:
            name = node.values.get(spec.name) if spec.file else None
            if name is not None:
                try:
                    find(spec.file, name)
                except NodeError as error:
                    problem = error.problem(node.id, "bad_file")
                    problems.append(Problem(**{**problem.to_json(), "socket": spec.name}))  # type: ignore[arg-type]
    return problems


def _located(roots: Roots, kind: str, name: str) -> Path:
    path = roots.find_model(name) if kind.startswith("model") else roots.find_file(name)
    if kind == "file" and path.is_dir():
        raise NodeError(f"{path} is a folder.", expected="a file", got="a folder")
    return path


def _signatures(path: Path, data: bool) -> tuple[Any, ...]:
    try:
        parts = parts_of(path, data=data)
        return tuple(map(signature, parts)) if len(parts) < _FEW else (signature_of(path, parts),)
    except OSError:
        return ()
