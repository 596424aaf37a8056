"""What is stored of jobs, as the API shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from nodegraph.jobs import JobRecord
from nodegraph.wire import Job, JobSummary, OutputRow
from nodegraph.wire.jobs import artifact_url, with_url

_LONGEST_LISTED = 500  # characters
_MOST_PICTURES = 100


def summary(job: JobRecord) -> JobSummary:
    """A job in a list, its long inputs cut: hundreds of them go out at once."""
    inputs = {name: _cut(value) for name, value in job.inputs.items()}
    return JobSummary.model_validate({**_summary(job), "inputs": inputs})


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return value if len(text) <= _LONGEST_LISTED else f"{text[:_LONGEST_LISTED]} ..."


def whole(
    job: JobRecord,
    nodes: Mapping[str, Mapping[str, Any]],
    questions: Mapping[str, Mapping[str, Any]],
    retried_as: str | None = None,
) -> Job:
    """A job with all that is known of it."""
    more = {
        "outputs": {name: [shown_row(row) for row in rows] for name, rows in job.outputs.items()},
        "nodes": nodes,
        "wanted": job.wanted,
        "exact": job.exact,
        "seconds": job.seconds,
        "questions": [_question(asked) for asked in questions.values()],
        "retry_of": job.retry_of,
        "retried_as": retried_as,
    }
    return Job.model_validate({**_summary(job), **more})


def shown_row(row: Mapping[str, Any]) -> OutputRow:
    """An output's row with the address of its file."""
    return OutputRow(**with_url(row))


def _summary(job: JobRecord) -> dict[str, Any]:
    files = (row for rows in job.outputs.values() for row in rows)
    pictures = list(dict.fromkeys(row["digest"] for row in files if str(row.get("media_type")).startswith("image/")))
    return {
        "id": job.id,
        "state": job.state,
        "url": job_url(job.id),
        "title": job.title,
        "workflow_id": job.workflow_id,
        "document": job.document_id,
        "client": job.client,
        "inputs": job.inputs,
        "priority": job.priority,
        "attempts": job.attempts,
        "created": moment(job.created),
        "started": moment(job.started),
        "finished": moment(job.finished),
        "reason": job.reason,
        "error": job.error,
        "thumbnail": artifact_url(pictures[0]) + "/thumbnail" if pictures else None,
        "pictures": pictures[:_MOST_PICTURES],
    }


def _question(asked: Mapping[str, Any]) -> dict[str, Any]:
    pictures = [None if row is None else shown_row(row) for row in asked.get("pictures", ())]
    return {**asked, "pictures": pictures}


def job_url(id_: str) -> str:
    return f"/api/jobs/{id_}"


def moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
