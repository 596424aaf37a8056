"""The Python client of a nodegraph server: `Client` for scripts, `AsyncClient` for asyncio.

with nodegraph.Client() as client:
    client.run("text_to_image", prompt="a lighthouse", seed=7).save("pictures")
"""

from nodegraph.client.aio import AsyncClient
from nodegraph.client.blocking import Client
from nodegraph.client.errors import (
    ClientError,
    Damaged,
    JobCancelled,
    JobFailed,
    Refused,
    ServerGone,
    Untrusted,
)
from nodegraph.client.results import AsyncJobResult, JobResult
from nodegraph.client.uploads import Uploaded

__all__ = [
    "AsyncClient",
    "AsyncJobResult",
    "Client",
    "ClientError",
    "Damaged",
    "JobCancelled",
    "JobFailed",
    "JobResult",
    "Refused",
    "ServerGone",
    "Untrusted",
    "Uploaded",
]
