"""`nodegraph jobs`: a server's jobs, from the command line."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from nodegraph.cli.server_option import with_client
from nodegraph.cli.show import DONE, FAILED, duration, print_json, print_problems, refuse, stdout, table
from nodegraph.cli.wording import plain, value_text
from nodegraph.client import Client
from nodegraph.client.errors import problems_of
from nodegraph.client.results import is_value
from nodegraph.sdk.errors import Problem, nearest
from nodegraph.wire import ENDED, Job, JobState, JobSummary, OutputRow


def list_command(server: str | None, as_json: bool, data: Path | None, states: list[str], limit: int) -> int:
    """List jobs."""
    known = get_args(JobState)
    if unknown := [state for state in states if state not in known]:
        found = [
            Problem("bad_flag", f"--state {state}: there is no such state.", hint=nearest(state, known, "There are"))
            for state in unknown
        ]
        return refuse(found, as_json, "No jobs are listed")

    def work(client: Client) -> int:
        jobs = list(client.jobs(state=states, limit=limit))  # type: ignore[arg-type]
        if as_json:
            print_json({"jobs": [job.model_dump(mode="json") for job in jobs]})
            return DONE
        if not jobs:
            print("There are no jobs.")
            return DONE
        rows = table("id", "state", "began", "took", "workflow")
        for job in jobs:
            rows.add_row(job.id, f"{job.state}", _local(job.started or job.created), _took(job), plain(job.title))
        stdout().print(rows)
        return DONE

    return with_client(server, data, as_json, work)


def show_command(server: str | None, as_json: bool, data: Path | None, id_: str) -> int:
    """Show a job."""

    def work(client: Client) -> int:
        job = client.job(id_)
        if as_json:
            print_json(job.model_dump(mode="json"))
            return DONE
        print(f"{job.id}  {job.state}  {plain(job.title)}".rstrip())
        for name, value in _about(job).items():
            print(f"  {name}: {value}")
        if problems := problems_of(job):
            print_problems(problems, "The job did not succeed.")
        return DONE

    return with_client(server, data, as_json, work)


def cancel_command(server: str | None, as_json: bool, data: Path | None, id_: str) -> int:
    """Cancel a job; 1 where it had ended already in another way."""

    def work(client: Client) -> int:
        job = client.cancel(id_)
        if as_json:
            print_json({"id": job.id, "state": job.state})
        elif job.state == "cancelled":
            print("Cancelled.")
        else:
            print(f"It has ended already: {job.state}." if job.state in ENDED else "It stops after the step that it is at.")
        return FAILED if job.state in ENDED - {"cancelled"} else DONE

    return with_client(server, data, as_json, work)


def retry_command(server: str | None, as_json: bool, data: Path | None, id_: str) -> int:
    """Queue a job once more."""

    def work(client: Client) -> int:
        job = client.retry(id_)
        print_json({"id": job.id, "state": job.state, "retry_of": id_}) if as_json else print(job.id)
        return DONE

    return with_client(server, data, as_json, work)


def _about(job: Job) -> dict[str, str]:
    found: dict[str, Any] = {
        "created": _local(job.created),
        "took": _took(job),
        "attempts": job.attempts if job.attempts > 1 else "",
        "reason": plain(job.reason),
        **{plain(name): value_text(value) for name, value in job.inputs.items()},
        **{f"-> {plain(name)}": ", ".join(map(_output, rows)) for name, rows in job.outputs.items()},
    }
    return {name: str(value) for name, value in found.items() if value != ""}


def _output(row: OutputRow) -> str:
    if row.digest is not None:
        return plain(f"{row.name or 'a file'} ({row.media_type}, {row.digest})")
    return value_text(row.value) if is_value(row) else str(row.type)


def _took(job: JobSummary) -> str:
    if job.started is None or job.finished is None:
        return ""
    return duration((job.finished - job.started).total_seconds() * 1e3)


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
