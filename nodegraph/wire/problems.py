"""Errors as the API tells them: RFC 9457 problem details, with every problem of a document by node and socket."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, Field

from nodegraph.sdk.errors import Problem

MEDIA_TYPE = "application/problem+json"


class ProblemRow(BaseModel):
    """One thing that is wrong, where, and what to do about it."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(description="What kind of problem it is: stable, for programs.")
    message: str = Field(description="The problem in a sentence.")
    node: str | None = None
    socket: str | None = None
    expected: str | None = None
    got: str | None = None
    hint: str | None = Field(default=None, description="What to do next.")
    line: int | None = None
    column: int | None = None

    @classmethod
    def of(cls, problem: Problem) -> ProblemRow:
        return cls.model_validate(problem.to_json())

    def problem(self) -> Problem:
        """The problem as the rest of nodegraph has it."""
        return Problem(**self.model_dump())


class ProblemDetails(BaseModel):
    """RFC 9457: why a request was refused. `problems` lists all reasons, not only the first."""

    type: str = Field(description="The kind of refusal: stable, for programs.", examples=["nodegraph:invalid_workflow"])
    title: str
    status: int = Field(ge=400, le=599)
    detail: str | None = None
    problems: list[ProblemRow] = []
    wants: list[dict[str, str]] = Field(default=[], description="What a document wants that nobody has accepted.")


def rows(problems: Iterable[Problem]) -> list[ProblemRow]:
    return [ProblemRow.of(problem) for problem in problems]
