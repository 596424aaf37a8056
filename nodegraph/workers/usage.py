"""What a worker takes, by owner, as its beats tell: the process, cached values, networks, devices, the cache on disk."""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any

import psutil

from nodegraph.api.session import Session

_DISK_SECONDS = 10.0


class Meter:
    """Reads what the process takes; the disk only now and then."""

    def __init__(self, session: Session) -> None:
        self._session, self._process = session, psutil.Process()
        self._disk: dict[str, Any] | None = None
        self._looked = -_DISK_SECONDS

    async def read(self) -> dict[str, Any]:
        """All of it as JSON; it returns when the engine's loop has had its turn."""
        usage = await self._session.usage()
        if time.monotonic() - self._looked > _DISK_SECONDS and usage.values:
            self._looked, self._disk = time.monotonic(), await asyncio.to_thread(self._read_disk)
        devices = [
            {
                "kind": device.kind,
                "name": device.name,
                "free_bytes": device.free,
                "total_bytes": device.total,
                "networks": [{"name": name, "bytes": size} for name, size in device.networks],
            }
            for device in usage.devices
        ]
        values = {name or "host": size for name, size in usage.values.items()}
        counts = {"batches": usage.batches, "batched": usage.calls}
        return {"rss": self._process.memory_info().rss, "cached": values, "devices": devices, "disk": self._disk, **counts}

    def _read_disk(self) -> dict[str, Any] | None:
        disk = self._session.disk()
        if disk is None:
            return None
        return {"used_bytes": disk.used_bytes, "budget_bytes": disk.budget_bytes, "in_trouble": disk.trouble is not None}


def versions() -> dict[str, str]:
    """What computes here, without importing any of it."""
    found = {"python": python_version()}
    for name in ("nodegraph", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
