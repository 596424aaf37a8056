"""What travels between the server, its clients and its workers: the shapes of the HTTP API, of events, and of frames.

The OpenAPI document is generated from the models here, and the Python client reads its answers with them.
"""

from nodegraph.wire.jobs import (
    ENDED,
    Consent,
    Job,
    JobAccepted,
    JobPage,
    JobState,
    JobSubmission,
    JobSummary,
    NodeRow,
    OutputRow,
    Queue,
)
from nodegraph.wire.problems import ProblemDetails, ProblemRow

__all__ = [
    "ENDED",
    "Consent",
    "Job",
    "JobAccepted",
    "JobPage",
    "JobState",
    "JobSubmission",
    "JobSummary",
    "NodeRow",
    "OutputRow",
    "ProblemDetails",
    "ProblemRow",
    "Queue",
]
