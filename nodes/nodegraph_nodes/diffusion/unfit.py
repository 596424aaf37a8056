"""Model files that a node cannot use: what the file is instead, and which node reads it, said in one way by all that load."""

from typing import Any

from nodegraph import ModelFile, NodeError
from nodegraph_nodes.diffusion.families.errors import ModelError
from nodegraph_nodes.diffusion.families.kinds import Kind, kind_of


def unfit(file: ModelFile[Any], what: str, error: ModelError, *kinds: Kind, socket: str = "model") -> NodeError:
    """The error to raise for a file of another kind than this node reads; for others, what `error` says.

    what: what this node reads, as in "LoRA". kinds: those of `families.kinds` that it reads.
    """
    said = f"The {what} {file.name!r} cannot be used: "
    found = kind_of(file.path)
    if found is None or found in kinds:
        return NodeError(said + error.problem, socket=socket)
    expected = kinds[0].name.partition(" or the like")[0]
    hint = f"{found.node} reads it."
    return NodeError(said + f"it is {found.name}.", socket=socket, expected=expected, got=found.name, hint=hint)
