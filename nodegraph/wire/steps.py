"""The steps of a job's nodes: what nodes as `diffusion/denoise` became, for a timeline."""

from __future__ import annotations

from pydantic import BaseModel, Field

from nodegraph.wire.jobs import NodePath


class StepRow(BaseModel):
    """A part of a node: one of its steps, or whatever else it became."""

    node: NodePath = Field(description="Its path: `denoise/step_3`, `outer/denoise/step_3`, `denoise[2]`.")
    number: int | None = Field(default=None, description="Which of its like it is, from 1; absent where it is the only one.")
    type: str = ""
    state: str = Field(description="As in a job's nodes, or `waiting`.")
    ms: float = 0.0
    bytes: int | None = None
    thumbnail: str | None = Field(default=None, description="A small picture of how far it was.")


class NodeWithSteps(BaseModel):
    """A node that became others."""

    node: NodePath
    type: str = ""
    steps: int = Field(ge=0, description="How many parts it has.")
    pictures: int = Field(ge=0, description="Of how many of them there is a picture.")


class JobSteps(BaseModel):
    """The parts of one node; or, without one, the nodes that have parts."""

    nodes: list[NodeWithSteps] = []
    steps: list[StepRow] = []
