"""What can go wrong between a client and its server. Each error has `problems`, worded for the person who reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nodegraph.sdk.errors import InvalidWorkflow, Problem
from nodegraph.wire import Consent, Job, ProblemDetails

if TYPE_CHECKING:
    from nodegraph.client.results import AsyncJobResult, JobResult


class ClientError(Exception):
    """Something did not work. `problems` says what, and what to do."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ServerGone(ClientError):
    """There is no server, or it went away and did not come back in time."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__([Problem("server_gone", message, hint=hint)])


class Damaged(ClientError):
    """What came is not what was asked for: a file with another digest, an answer that is no answer."""

    def __init__(self, message: str) -> None:
        super().__init__(
            [Problem("damaged", message, hint="Try again; if it stays, a proxy in between may be changing answers.")]
        )


class Refused(ClientError):
    """The server does not do it. `status` and `kind` are for programs: 404 and `not_found`, 401 and `no_token` ..."""

    def __init__(self, details: ProblemDetails) -> None:
        self.details, self.status = details, details.status
        self.kind = details.type.removeprefix("nodegraph:")
        problems = [row.problem() for row in details.problems]
        super().__init__(problems or [Problem(self.kind, details.detail or details.title, hint=_hint(details.status))])


class Untrusted(Refused):
    """The workflow wants what nobody has accepted: `wants`, to be given as `accept` by whoever trusts it."""

    @property
    def wants(self) -> list[Consent]:
        return [Consent(kind=want["kind"], name=want["name"]) for want in self.details.wants]  # type: ignore[arg-type]


class JobFailed(ClientError):
    """A job that did not succeed. `job` has its nodes and reasons, `result` what there is of outputs."""

    def __init__(self, result: JobResult | AsyncJobResult) -> None:
        self.result = result
        super().__init__(problems_of(result.job))

    @property
    def job(self) -> Job:
        return self.result.job


class JobCancelled(JobFailed):
    """A job that somebody cancelled."""


def problems_of(job: Job) -> list[Problem]:
    """Why a job did not succeed; nothing where it did."""
    if job.error is not None:
        found = [row.problem() for row in job.error.problems]
        return found or [Problem("job_failed", job.error.detail or job.error.title)]
    if job.state in ("failed", "cancelled"):
        return [Problem(f"job_{job.state}", job.reason or f"The job was {job.state}.")]
    return []


def refusal(details: ProblemDetails) -> ClientError | InvalidWorkflow:
    """The exception for an answer with problem details."""
    if details.type == "nodegraph:invalid_workflow":
        rows = [row.problem() for row in details.problems]
        return InvalidWorkflow(rows or [Problem("invalid_workflow", details.detail or details.title)])
    return Untrusted(details) if details.wants else Refused(details)


def _hint(status: int) -> str | None:
    if status == 401:
        return "Give the server's token: token=..., or the environment variable NODEGRAPH_TOKEN."
    return None
