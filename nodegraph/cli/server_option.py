"""The option --server of commands that talk to a server: with an address, or alone for the one on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

HERE = "here"
"""What --server alone stands for."""

_OPTION = "--server"
_ADDRESS = re.compile(r"https?://|[\w.-]+:\d+(/|\Z)|\[[0-9a-fA-F:]+\]|localhost\Z")

Server = Annotated[
    str | None,
    typer.Option(
        _OPTION, metavar="[URL]", help="A server's address; alone: the server on this machine. Its token: $NODEGRAPH_TOKEN."
    ),
]


class ServerCommand(TyperCommand):
    """A command whose --server needs no value: the next word is one only if it looks like an address."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_address(args))


def with_address(args: Sequence[str]) -> list[str]:
    """The arguments with `--server=here` for a --server that stands alone."""
    found = list(args)
    for i, word in enumerate(args):
        if word == "--":
            break
        following = args[i + 1] if i + 1 < len(args) else ""
        if word == _OPTION and not _ADDRESS.match(following):
            found[i] = f"{_OPTION}={HERE}"
    return found


def with_client(server: str | None, data: Path | None, as_json: bool, work: Callable[..., int]) -> int:
    """Do `work` with a client of the server; what goes wrong with it is told. The exit code."""
    from nodegraph.cli.show import FAILED, print_json, print_problems, refuse
    from nodegraph.client import Client, ClientError, ServerGone

    try:
        with Client(None if server in (None, HERE) else server, data=data) as client:
            return work(client)
    except ServerGone as error:
        if as_json:
            print_json({"status": "failed", "problems": [problem.to_json() for problem in error.problems]})
        else:
            print_problems(error.problems, "The server cannot be reached.")
        return FAILED
    except ClientError as error:
        return refuse(error.problems, as_json, "The server refused")
