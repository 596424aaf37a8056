"""Every setting there is: its name, its default, what it may be, and one sentence about it.

The documentation's table, the JSON Schema and the wording of problems are made of this, so a setting is described once.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, WithJsonSchema, model_validator

from nodegraph.settings.sizes import SIZE, parse_size

MOST_BYTES = 1 << 60
SHORTEST_TOKEN = 16
"""Characters of a token that guards an address which other machines reach."""

_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")


def host_name(text: str) -> str:
    """A host name or IP address in the one form that is compared: lower case, no brackets. Raises ValueError."""
    name = text.strip().lower().removesuffix(".")
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        if len(name) > 253 or not _HOST.fullmatch(name):
            raise ValueError("a host name or an IP address, without a scheme, a port, a path or a wildcard") from None
        return name


def host_and_port(text: str) -> tuple[str, int | None]:
    """A host in its one form, and the port that is written behind it, if one is. Raises ValueError."""
    name, colon, port = text.strip().rpartition(":")
    if not colon or (":" in name and not name.endswith("]")):  # an IPv6 address has a port only behind brackets
        return host_name(text), None
    if not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise ValueError("a port from 1 to 65535 behind the colon")
    return host_name(name), int(port)


def callable_host(text: str) -> str:
    """A host that may be called, with or without a port, in the one form that is compared. Raises ValueError."""
    host, port = host_and_port(text)
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that binds this host."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def exposed(host: str, auth: bool, token: SecretStr | None) -> str:
    """Why these three do not go together: others would reach the server, and nothing would hold them off. Empty if they do."""
    if is_loopback(host):
        return ""
    if not auth:
        return (
            f"On {host} other machines reach the server; without a token each of them could run workflows and see everything."
        )
    if token is not None and len(token.get_secret_value()) < SHORTEST_TOKEN:
        return f"On {host} other machines reach the server, and so short a token can be guessed."
    return ""


def _sendable(token: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[\x21-\x7e]{1,512}", token.get_secret_value()):
        raise ValueError("1 to 512 plain characters (ASCII) without spaces: it travels in a header")
    return token


Bytes = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": SIZE}]}),
]
"""A number of bytes, which may be written `4 GiB` or `500 MB`."""

Host = Annotated[str, AfterValidator(host_name)]
CalledHost = Annotated[str, AfterValidator(callable_host)]
Token = Annotated[SecretStr, AfterValidator(_sendable)]


def _sized(default: Any, about: str, *, least: int = 0) -> Any:
    return Field(default, ge=least, le=MOST_BYTES, description=about)


class Section(BaseModel):
    """A part of the settings. Nothing in it changes while the program runs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Server(Section):
    """The HTTP server."""

    host: Host = Field(
        default="127.0.0.1", description="The address to listen on. Another than this machine's own needs a token."
    )
    port: int = Field(default=8188, ge=0, le=65535, description="The port to listen on; 0: any free one.")
    allowed_hosts: list[Host] = Field(
        default=[], description="Further names that clients reach the server by, as behind a reverse proxy."
    )
    auth: bool = Field(
        default=True, description="Ask clients for the token. Off only where nobody but this machine reaches the server."
    )
    token: Token | None = Field(
        default=None, description="The token of clients; none: one is made and kept in the data folder."
    )
    max_body_bytes: Bytes = _sized(16 << 20, "The largest request of JSON.", least=1024)
    max_upload_bytes: Bytes = _sized(4 << 30, "The largest uploaded file.")
    max_picture_pixels: int = Field(
        default=100_000_000, ge=1, le=1 << 34, description="The most pixels of an uploaded picture."
    )
    requests_per_second: float = Field(
        default=200, gt=0, le=1_000_000, description="How many requests a client may make; twice as many at once."
    )
    max_connections: int = Field(default=512, ge=1, le=65535, description="How many connections are open at a time.")
    shutdown_seconds: float = Field(
        default=30, ge=0, le=3600, description="How long running work may go on when the server is asked to end."
    )

    @property
    def burst(self) -> float:
        """Requests that a client may make at once."""
        return 2 * self.requests_per_second

    @model_validator(mode="after")
    def _closed_to_strangers(self) -> Self:
        if why := exposed(self.host, self.auth, self.token):
            raise ValueError(why)
        return self


class Workers(Section):
    """The processes that compute."""

    count: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = Field(
        default="auto", description="How many worker processes; auto: one per GPU, or one for the CPU."
    )
    jobs_per_worker: int = Field(
        default=4, ge=1, le=256, description="How many jobs share a worker, so that their steps can be batched."
    )
    exact: bool = Field(default=False, description="Compute every job as if it were alone: slower, the same bytes each time.")
    memory_bytes: Bytes | None = _sized(
        None, "The most memory of a worker process; one that takes more is ended.", least=64 << 20
    )
    cache_memory_bytes: Bytes = _sized(2 << 30, "Results that a worker keeps in memory.")
    cache_disk_bytes: Bytes = _sized(10 << 30, "Results that are kept on disk, in the data folder.")
    heartbeat_seconds: float = Field(
        default=30.0, ge=0.1, le=3600, description="After so long a silence a worker is taken for dead."
    )
    nice: int = Field(default=10, ge=0, le=19, description="How far workers stand back for other programs.")


class Jobs(Section):
    """The queue and what is kept of it."""

    keep_days: float = Field(default=90.0, gt=0, le=36500, description="How long finished jobs are kept.")
    keep_bytes: Bytes = _sized(20 << 30, "How much of what jobs made is kept; the oldest goes first.")
    keep_events: int = Field(default=200_000, ge=1, le=100_000_000, description="How many events can be replayed.")
    max_queued: int = Field(default=10_000, ge=1, le=10_000_000, description="How many jobs may wait.")


class Webhooks(Section):
    """Calls to other machines when a job ends."""

    hosts: list[CalledHost] = Field(
        default=[],
        description="The exact host names that may be called, with a port where it is neither 80 nor 443."
        " None: no connection leaves this machine.",
    )
    timeout_seconds: float = Field(default=10, gt=0, le=300, description="How long one call may take.")
    retries: int = Field(default=5, ge=0, le=50, description="How often a call that failed is tried again.")


class Log(Section):
    """What the program says while it runs."""

    json_lines: bool = Field(default=False, description="One JSON object per line, for programs that read logs.")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least important lines that are shown."
    )


class Settings(Section):
    """All settings of one process, as flags, environment, file and defaults gave them."""

    data: Path = Field(description="The data folder: models, inputs, jobs, caches.")
    models: list[Path] = Field(default=[], description="Further folders that models may lie in.")
    files: list[Path] = Field(default=[], description="Further folders that workflows may read files from.")
    server: Server = Server()
    workers: Workers = Workers()
    jobs: Jobs = Jobs()
    webhooks: Webhooks = Webhooks()
    log: Log = Log()
