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


BUILTIN = Pack.of("nodegraph", [constant])

CONSTANT = constant.spec(BUILTIN.name, BUILTIN.digest)
