"""Refusals: exceptions that become RFC 9457 answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from nodegraph.sdk.errors import Problem
from nodegraph.wire.problems import MEDIA_TYPE, ProblemDetails, rows

_TITLES = {
    400: "The request cannot be read.",
    401: "A token or a session is needed.",
    403: "This is not allowed.",
    404: "There is no such thing.",
    405: "This cannot be done here.",
    408: "The request took too long.",
    409: "This does not fit what is there now.",
    411: "The request does not say how long it is.",
    412: "It has changed since.",
    413: "This is too large.",
    415: "This type of content is not taken here.",
    422: "This is not valid.",
    428: "The request has to say what it is based on.",
    429: "Too many requests.",
    431: "The request's headers are too large.",
    500: "The server made a mistake.",
    503: "Not now.",
    507: "There is no room.",
}


class Refused(Exception):
    """A request that is not done, and why."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str = "",
        problems: Iterable[Problem] = (),
        *,
        wants: Iterable[dict[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.headers = status, dict(headers or {})
        self.details = ProblemDetails(
            type=f"nodegraph:{kind}",
            title=_TITLES.get(status, "The request was refused."),
            status=status,
            detail=detail or None,
            problems=rows(problems),
            wants=list(wants),
        )

    def response(self) -> web.Response:
        body = self.details.model_dump_json(exclude_none=True)
        return web.Response(status=self.status, text=body, content_type=MEDIA_TYPE, headers=self.headers)


def not_found(what: str) -> Refused:
    return Refused(404, "not_found", f"There is no such {what}.")


def misfits(error: ValidationError, kind: str = "bad_request") -> Refused:
    """What does not fit a model, every field by its place; the values themselves are not repeated."""
    problems = []
    for row in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(map(str, row["loc"]))
        said = row["msg"].removeprefix("Value error, ")
        if row["type"] == "extra_forbidden":
            said = "There is nothing of this name here."
        problems.append(Problem(row["type"], f"{place}: {said}" if place else f"{said[:1].upper()}{said[1:]}"))
    return Refused(422, kind, "The request does not have the form that is described.", problems)


def told(problem: Problem) -> dict[str, Any]:
    return {name: value for name, value in problem.to_json().items() if value is not None}
