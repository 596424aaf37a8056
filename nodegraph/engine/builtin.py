"""Nodes that the engine adds to runs by itself. They are in no catalog: a document cannot name them."""

from __future__ import annotations

from typing import TypeVar

from nodegraph.sdk.node import node
from nodegraph.sdk.pack import Pack

T = TypeVar("T")


@node(cache="memory", revision=1, output_name="value")
def constant(value: T) -> T:
    """A value that only a link can bring where it is wanted."""
    return value


@node(cache="memory", revision=1, output_name="count")
def count(items: list[T]) -> int:
    """How many items a list has."""
    return len(items)


BUILTIN = Pack.of("nodegraph", [constant, count])

CONSTANT, COUNT = (found.spec(BUILTIN.name, BUILTIN.digest) for found in (constant, count))
