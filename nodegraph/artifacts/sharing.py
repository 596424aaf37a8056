"""What of a workflow may leave the machine: no path but its last part, no home folder, no secret.

A document travels in every picture, and pictures are given away. What is taken out is what the machine knows, not what the
person wrote: prompts stay as they are unless a home folder stands in them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

from nodegraph.graph import Catalog
from nodegraph.graph.document import Document, InterfaceInput, NodeEntry, Subgraph
from nodegraph.graph.lock import content_digests
from nodegraph.graph.subgraphs import Subgraphs
from nodegraph.sdk.spec import InputSpec
from nodegraph.sdk.typeexpr import TypeExpr
from nodegraph.sdk.values import is_secret_name

Part = TypeVar("Part", bound=BaseModel)

_END_OF_NAME = r"\s/\\\"'<>|:*?,;)"
_POSIX_HOME = re.compile(rf"(?<![\w.~/-])(?:file://)?(?:/mnt/[a-z]|/[a-z])?/+(?:home|Users)/+[^{_END_OF_NAME}]+")
_WINDOWS_HOME = re.compile(
    r"(?<![\w~])(?:file:/*)?(?:\\\\\?\\)?[A-Za-z]:[\\/]+(?:Users|Documents and Settings)[\\/]+"
    rf"(?:[^\\/\"'<>|:*?\r\n]{{1,64}}(?=[\\/])|[^{_END_OF_NAME}]+)",
    re.IGNORECASE,
)
_POSIX = re.compile(r"(?:file://)?/+[^/\s\x00]+/[^\n\x00]*\Z")
_WINDOWS = re.compile(r"(?:file:/*)?(?:[A-Za-z]:[\\/]|\\\\[^\\\s])[^\n\x00]*\Z")
_LONGEST_PATH = 4096
_SHORTEST_SECRET = 6  # a shorter one would be found in any text
HIDDEN = "(a secret)"


@dataclass(frozen=True)
class Machine:
    """What pictures must not tell of this machine: its home folders, and the values of its secrets."""

    homes: tuple[str, ...] = ()
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @staticmethod
    def here(secrets: Iterable[str]) -> Machine:
        """The machine that this process runs on, and the values of its secrets."""
        try:
            homes = {str(Path.home()), str(Path.home().resolve())}
        except (OSError, RuntimeError):
            homes = set()
        return Machine(
            tuple(sorted((home for home in homes if len(home) > 1), key=len, reverse=True)),
            tuple(sorted((value for value in secrets if len(value) >= _SHORTEST_SECRET), key=len, reverse=True)),
        )


NOWHERE = Machine()


class Shared(NamedTuple):
    """A document that may be given away, and what was left out of it: `node.input` of values where a secret's name belongs."""

    document: Document
    left_out: tuple[str, ...]


def for_sharing(document: Document, catalog: Catalog, machine: Machine = NOWHERE) -> Document:
    """A copy that says nothing of the machine it ran on. See `share`."""
    return share(document, catalog, machine).document


def share(document: Document, catalog: Catalog, machine: Machine = NOWHERE) -> Shared:
    """A copy of a document that may be given away.

    - Files: an absolute path becomes its last part, also a Windows path and `~/...`.
    - Secrets stay only where they are names; what may be the secret itself is left out. Values of the machine's secrets are
      taken out of every text.
    - Any other text that as a whole is an absolute path of two parts or more becomes its last part, and home folders within
      texts become `~`. That goes for titles, layout, the lock and fields that this version does not know, too.
    """
    return _Sharing(catalog, machine).document(document)


class _Sharing:
    """One document on its way out."""

    def __init__(self, catalog: Catalog, machine: Machine) -> None:
        self._catalog, self._machine = catalog, machine
        homes = [re.escape(home) for home in machine.homes]
        self._homes = re.compile(rf"(?<![\w.~-])(?:{'|'.join(homes)})(?![\w.-])") if homes else None
        self._left_out: list[str] = []

    def document(self, document: Document) -> Shared:
        subgraphs = Subgraphs(document.subgraphs, self._catalog)
        shared = self._part(document, "nodes", "interface", "subgraphs", "lock")
        shared.nodes = self._nodes(document.nodes, subgraphs, "")
        shared.interface = self._interface(document, subgraphs)
        shared.subgraphs = {name: self._subgraph(name, inner, subgraphs) for name, inner in document.subgraphs.items()}
        shared.lock = self._lock(document, shared)
        return Shared(shared, tuple(self._left_out))

    def _lock(self, document: Document, shared: Document) -> dict[str, Any]:
        """The lock under the names that files have now, and true of the nodes as they are now where it was before."""
        lock: dict[str, Any] = self._text_in(document.lock)
        for section in ("models", "inputs"):
            if isinstance(before := document.lock.get(section), dict):
                lock[section] = _renamed(before, self._path, self._text_in)
        digests = lock.get("document")
        if isinstance(digests, dict) and (shared.nodes, shared.subgraphs) != (document.nodes, document.subgraphs):
            old, new = content_digests(document), content_digests(shared)
            lock["document"] = {
                name: new[name] if name in new and digest == old.get(name) else digest for name, digest in digests.items()
            }
        return lock

    def _subgraph(self, name: str, subgraph: Subgraph, subgraphs: Subgraphs) -> Subgraph:
        shared = self._part(subgraph, "nodes", "interface", "file")
        shared.file = _name(subgraph.file)
        shared.nodes = self._nodes(subgraph.nodes, subgraphs, f"subgraphs.{name}/")
        shared.interface = self._interface(subgraph, subgraphs)
        return shared

    def _nodes(self, nodes: Mapping[str, NodeEntry], subgraphs: Subgraphs, place: str) -> dict[str, NodeEntry]:
        return {name: self._node(f"{place}{name}", entry, subgraphs) for name, entry in nodes.items()}

    def _node(self, place: str, entry: NodeEntry, subgraphs: Subgraphs) -> NodeEntry:
        known = subgraphs.spec_of(entry)
        specs = known.input_by_name if known is not None else {}
        shared = self._part(entry, "type", "links", "inputs")
        inputs = {}
        for name, value in entry.inputs.items():
            kept = self._value(value, specs.get(name))
            if kept is not _NOTHING:
                inputs[name] = kept
            if name in specs and _is_secret(specs[name].type) and kept != value:
                self._left_out.append(f"{place}.{name}")
        shared.inputs = inputs
        return shared

    def _interface(self, document: Document | Subgraph, subgraphs: Subgraphs) -> Any:
        shared = self._part(document.interface, "inputs", "outputs")
        shared.inputs = {name: self._input(item, document, subgraphs) for name, item in document.interface.inputs.items()}
        return shared

    def _input(self, item: InterfaceInput, document: Document | Subgraph, subgraphs: Subgraphs) -> InterfaceInput:
        """A public input: what it says of its values follows what they are."""
        spec = None
        for text in item.to:
            node, _, key = text.partition(".")
            known = subgraphs.spec_of(document.nodes[node]) if node in document.nodes else None
            spec = spec or (known.input_by_name.get(key) if known else None)
        shared = self._part(item, "to", "default", "choices")
        if "default" in item.model_fields_set:
            default = self._value(item.default, spec)
            shared.default = None if default is _NOTHING else default
            if default is _NOTHING:
                shared.model_fields_set.discard("default")
        if item.choices is not None:
            shared.choices = [kept for choice in item.choices if (kept := self._value(choice, spec)) is not _NOTHING]
        return shared

    def _part(self, part: Part, *but: str) -> Part:
        """A copy of a part of the document with every text in it made fit, except in these fields."""
        changed = {name: self._text_in(getattr(part, name)) for name in part.model_fields_set - set(but)}
        return part.model_copy(
            update=changed | {name: self._text_in(value) for name, value in (part.model_extra or {}).items()}
        )

    # ---- values ----

    def _value(self, value: Any, spec: InputSpec | None) -> Any:
        """A typed value; `_NOTHING` where it must not be told."""
        if spec is not None and _is_secret(spec.type):
            return _names_only(value)
        if spec is not None and spec.file:
            return self._file(value)
        return self._text_in(value)

    def _file(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._file(item) for item in value]
        return self._path(value) if isinstance(value, str) else self._text_in(value)

    def _path(self, path: str) -> str:
        return self._without_secrets(_name(self._homeless(path)))

    def _text_in(self, value: Any) -> Any:
        """JSON with every text in it made fit, also names in objects."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._text_in(item) for item in value]
        if isinstance(value, dict):
            return _renamed(value, self._text, self._text_in)
        return value

    def _text(self, text: str) -> str:
        homeless = self._homeless(text)
        return self._without_secrets(_name(homeless) or homeless if is_path(text) else homeless)

    def _homeless(self, text: str) -> str:
        """A text in which home folders are `~`."""
        if "/" not in text and "\\" not in text:
            return text
        text = text if self._homes is None else self._homes.sub("~", text)
        return _POSIX_HOME.sub("~", _WINDOWS_HOME.sub("~", text))

    def _without_secrets(self, text: str) -> str:
        for secret in self._machine.secrets:
            text = text.replace(secret, HIDDEN)
        return text


_NOTHING = object()


def is_path(text: str) -> bool:
    """Whether a text as a whole is an absolute path of two parts or more, or begins with a drive or a server's name."""
    return len(text) <= _LONGEST_PATH and bool(_POSIX.match(text) or _WINDOWS.match(text))


def _name(path: str) -> str:
    """The last part of a path that leads somewhere by itself; a name below the folders that documents may read stays."""
    parts = [part for part in re.split(r"[/\\]+", path.rstrip("/\\")) if part]
    leads = path.startswith(("/", "\\", "~", "file:")) or re.match(r"[A-Za-z]:", path) or ".." in parts
    if not leads:
        return path
    last = re.sub(r"\A(?:~.*|file:|[A-Za-z]:|\.\.)\Z", "", parts[-1]) if parts else ""
    return re.sub(r"\A[A-Za-z]:", "", last)


def _renamed(data: Mapping[str, Any], name: Callable[[str], str], value: Callable[[Any], Any]) -> dict[str, Any]:
    """An object with other names; those that become the same are numbered, so that nothing is lost."""
    found: dict[str, Any] = {}
    for key, item in data.items():
        new, number = name(key), 2
        while new in found:
            new, number = f"{name(key)} ({number})", number + 1
        found[new] = value(item)
    return found


def _is_secret(expr: TypeExpr) -> bool:
    return expr.name == "secret" or any(map(_is_secret, expr.args))


def _names_only(value: Any) -> Any:
    """A secret's name, or a list of some; what may be the secret itself is nothing."""
    if value is None:
        return None
    if isinstance(value, list):
        return [name for item in value if (name := _names_only(item)) is not _NOTHING]
    return value if isinstance(value, str) and is_secret_name(value) else _NOTHING
