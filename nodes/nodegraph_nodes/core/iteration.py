"""Loops: run a subgraph of the document once per item, or until it says that it is done.

The signatures show what every loop has; a node's other sockets follow from the interface of its body.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple, TypeVar

from pydantic import Field

from nodegraph import composite

T = TypeVar("T")
S = TypeVar("S")

Body = Annotated[str, Field(description="The name of a subgraph of this document.", json_schema_extra={"format": "subgraph"})]
Rounds = Annotated[int, Field(ge=1, le=10_000, description="More rounds than this are an error.")]


class LastState(NamedTuple):
    state: Annotated[S, Field(description="What the last round gave.")]  # type: ignore[valid-type]
    rounds: Annotated[int, Field(description="How many rounds were done.")]


@composite(category="core/loop", iterates="map")
def map(body: Body, items: list[T], limit: Rounds = 10_000) -> None:
    """Run a subgraph once per item; each of its outputs becomes a list.

    The subgraph's interface has the input `item`, and may have `index` (from 0). Its other inputs become inputs of this node,
    the same in every round. A changed item computes only its own round again.
    """


@composite(category="core/loop", iterates="fold", output_name="state")
def fold(body: Body, items: list[T], initial: S, limit: Rounds = 10_000) -> S:  # type: ignore[empty-body]
    """Run a subgraph once per item, one after the other: each round takes the state that the one before it gave.

    The subgraph's interface has the inputs `state` and `item`, the output `state`, and may have the input `index` (from 0). Its
    other inputs become inputs of this node, the same in every round. Without items the initial state comes out as it is.
    """


@composite(category="core/loop", iterates="while")
def while_(body: Body, initial: S, limit: Rounds = 100) -> LastState:  # type: ignore[empty-body]
    """Run a subgraph again and again, at least once, for as long as it gives `go_on: true`.

    The subgraph's interface has the input `state`, the outputs `state` and `go_on`, and may have the input `index` (from 0).
    Its other inputs become inputs of this node, the same in every round.
    """
