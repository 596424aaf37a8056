"""Links as a document writes them, split into their parts."""

from __future__ import annotations

from typing import NamedTuple

OUTER = "$"
"""The pretended node that a composite's inner links name for its outer inputs."""


class Ref(NamedTuple):
    """One link as written, split: into `input`, from `node.output`."""

    input: str
    node: str
    output: str
    many: bool
