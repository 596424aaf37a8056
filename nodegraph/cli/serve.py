"""`nodegraph serve`: the server, from flags to the last worker's end."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodegraph.server.app import serve
from nodegraph.server.service import Server
from nodegraph.settings import load_settings


def serve_command(flags: Mapping[str, Any], config: Path | None) -> int:
    """Serve until a signal comes."""
    logging.basicConfig(level=logging.INFO)
    settings = load_settings(flags, config, os.environ)

    async def main() -> None:
        await serve(Server(settings), lambda url: print(url, flush=True))

    asyncio.run(main())
    return 0
