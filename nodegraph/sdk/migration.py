"""`@migrate`: how a node that was saved by an older pack becomes one that today's pack understands.

One function leads from one version of a node type to the next; opening a document goes through as many as it takes. What such a
function takes out is kept in the document's node, under `dropped`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from nodegraph.sdk.errors import PackError

MIGRATES = "__nodegraph_migrates__"

F = TypeVar("F", bound="Callable[[OldNode], None]")


@dataclass(slots=True)
class OldNode:
    """A node as it was saved: `inputs` are its typed values by name, `links` where its inputs come from.

    A migration changes it in place, by these methods or directly. Links from its outputs, and interface inputs, follow renames.
    """

    type: str
    version: int
    inputs: dict[str, Any] = field(default_factory=dict)
    links: dict[str, str | list[str]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    renamed_outputs: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def rename(self, old: str, new: str) -> None:
        """An input has another name now."""
        if new in self.inputs or new in self.links:  # what was there under that name gives way
            self._take_out(new)
        if old in self.inputs:
            self.inputs[new] = self.inputs.pop(old)
        if old in self.links:
            self.links[new] = self.links.pop(old)
        self.renamed = _followed(self.renamed, old, new)

    def rename_output(self, old: str, new: str) -> None:
        """An output has another name now."""
        self.renamed_outputs = _followed(self.renamed_outputs, old, new)

    def drop(self, name: str) -> Any:
        """An input is gone; gives the value that counted: None where there was none, or it came over a link (see `links`)."""
        linked, value = name in self.links, self.inputs.get(name)
        self._take_out(name)
        return None if linked else value

    def _take_out(self, name: str) -> None:
        """Take an input's value and link out, and keep both."""
        found: dict[str, Any] = {}
        if name in self.inputs:
            found["value"] = self.inputs.pop(name)
        if name in self.links:
            found["link"] = self.links.pop(name)
        if found:
            self.dropped[name] = found

    def become(self, type_id: str, version: int = 1) -> None:
        """The node is of another type now."""
        self.type, self.version = type_id, version

    def note(self, text: str) -> None:
        """Tell the person who opens the document something that they should look at."""
        self.notes.append(text)


Migration = Callable[[OldNode], None]


def migrate(type_id: str, *, from_version: int) -> Callable[[F], F]:
    """Decorator: the function changes an `OldNode` of this type (`pack/name`) and version into one of the next version.

    The version goes up by one unless the function sets it; with `become` the node changes its type, which is also how one node
    type replaces another that is gone.
    """
    if type_id.count("/") != 1 or from_version < 0:
        raise PackError(f"migrate({type_id!r}, from_version={from_version}): write migrate('pack/name', from_version=1)")

    def decorate(function: F) -> F:
        setattr(function, MIGRATES, (*getattr(function, MIGRATES, ()), (type_id, from_version)))
        return function

    return decorate


def _followed(renamed: dict[str, str], old: str, new: str) -> dict[str, str]:
    """One more rename after those before it: a -> b and b -> c is a -> c."""
    through = {name: new if now == old else now for name, now in renamed.items()}
    there_before = old not in renamed.values() and old not in renamed
    return {**through, old: new} if there_before else through
