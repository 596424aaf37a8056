"""The server and its workers, as the API shows them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Health(BaseModel):
    """Whether the server does its work."""

    status: Literal["ok", "degraded", "stopping"]
    detail: str = ""


class Network(BaseModel):
    """A network that is resident on a device."""

    name: str
    bytes: int


class Device(BaseModel):
    """A device of a worker. What it cannot tell is left out."""

    kind: str
    name: str
    free_bytes: int | None = None
    total_bytes: int | None = None
    cached_bytes: int = Field(description="Cached values that lie there.")
    networks: list[Network] = []


class WorkerView(BaseModel):
    """A worker process, also one that is away."""

    name: str
    state: Literal["starting", "ready", "stopping", "waiting"] = Field(
        description="A worker that ended is `waiting` until it is started again."
    )
    since: float = Field(description="When it came into this state, in seconds since 1970.")
    pid: int
    starts: int
    rss: int = Field(description="Bytes of the process.")
    cached_bytes: int = Field(description="Cached values in the machine's memory.")
    devices: list[Device] = Field(default=[], description="Known once something ran on them.")
    jobs: list[str]
    versions: dict[str, str]
    why: str = Field(default="", description="Why it ended the last time.")
    last_words: list[str] = Field(default=[], description="What it wrote when it ended the last time.")


class Disk(BaseModel):
    """What the data folder holds. What nobody has looked at yet is left out."""

    cache_used_bytes: int | None = None
    cache_budget_bytes: int
    cache_in_trouble: bool = False
    artifacts_bytes: int
    free_bytes: int | None = None


class Memory(BaseModel):
    """The machine's memory."""

    total_bytes: int
    available_bytes: int


class System(BaseModel):
    """The server and its workers."""

    version: str
    python: str
    since: float = Field(description="When the server was started, in seconds since 1970.")
    state: Health
    workers: list[WorkerView]
    memory: Memory
    disk: Disk
    jobs: dict[str, int] = Field(description="How many jobs are in each state.")
    seq: int = Field(description="The number of the latest event.")
    subscribers: int


class FreedMemory(BaseModel):
    """What was given back."""

    value_bytes: int
    network_bytes: int
