"""`nodegraph serve`: the server, from flags to the last worker's end."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodegraph.cli.show import DONE, FAILED, print_problems, refuse, stderr
from nodegraph.jobs import StoreFailed
from nodegraph.logs import start_logging
from nodegraph.sdk.errors import PackError, Problem
from nodegraph.sdk.writing import NotWritten
from nodegraph.server.app import serve
from nodegraph.server.security import BadToken
from nodegraph.server.service import Server
from nodegraph.settings import BadSettings, Settings, read_settings

_GC = 100_000, 50, 1000
"""Looking for garbage holds everything up, and a document of 20,000 nodes made it look hundreds of times in vain."""


def serve_command(flags: Mapping[str, Any], config: Path | None) -> int:
    """Serve until a signal comes. The first line on stdout is the address; the log goes to stderr."""
    try:
        loaded = read_settings(flags, config, os.environ)
    except BadSettings as error:
        return refuse(error.problems, False, "These settings cannot be used")
    settings = loaded.settings
    for note in loaded.notes:
        stderr().print(note, style="yellow", soft_wrap=True)
    os.umask(0o077)  # what the server and its workers write is for their user alone
    start_logging(json_lines=settings.log.json_lines, level=settings.log.level)

    gc.freeze()
    gc.enable()
    gc.set_threshold(*_GC)

    async def main() -> None:
        await serve(Server(settings), lambda url: print(url, flush=True))

    try:
        asyncio.run(main())
    except (BadToken, NotWritten, StoreFailed, PackError, OSError) as error:
        print_problems([_problem(error, settings)], "The server cannot run.")
        return FAILED
    return DONE


def _problem(error: Exception, settings: Settings) -> Problem:
    if isinstance(error, BadToken | NotWritten):
        return error.problem
    if isinstance(error, OSError) and error.filename is None:
        place = f"{settings.server.host} port {settings.server.port}"
        hint = "Another program may have it, or another nodegraph: take another with --port, or --port 0 for any free one."
        return Problem("no_address", f"Nothing can listen on {place} ({error.strerror or error}).", hint=hint)
    return Problem("not_started", str(error))
