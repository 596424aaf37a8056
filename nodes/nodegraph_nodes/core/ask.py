"""A person decides: the run waits, keeps no lane busy, and remembers the answer like any other result."""

from __future__ import annotations

from typing import Annotated, NamedTuple, TypeVar

from pydantic import Field

from nodegraph import Context, GraphBuilder, NodeError, composite, node
from nodegraph_nodes.core.lists import list_item

T = TypeVar("T")

Question = Annotated[str, Field(description="What the person is asked.")]
Again = Annotated[int, Field(ge=0, description="The answer is remembered; another number asks again.")]


class Asked(NamedTuple):
    chosen: Annotated[T, Field(description="The option that was chosen.")]  # type: ignore[valid-type]
    place: Annotated[int, Field(description="Its place in the list, from 0.")]


@node(category="core/logic", output_name="place")
async def choose(context: Context, options: list[T], question: Question = "Which one?", again: Again = 0) -> int:
    """Let a person choose one of a list: its place, from 0."""
    if not options:
        raise NodeError(
            "There is nothing to choose from.", socket="options", expected="at least one option", got="an empty list"
        )
    return await context.ask(question, options)


@composite(category="core/logic")
def ask(
    graph: GraphBuilder,
    options: list[T],
    question: Question = "Which one?",
    again: Again = 0,
) -> Asked:
    """Let a person choose one of a list, and go on with it."""
    place = graph.add(choose, options=options, question=question, again=again)
    return Asked(graph.add(list_item, items=options, index=place), place)
