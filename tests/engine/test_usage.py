"""What an engine says that it keeps: values and networks by device, and how calls were batched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.steps import Desk, Log, picture


async def test_an_engine_that_did_nothing_has_nothing(device: Any, tmp_path: Path) -> None:
    async with Desk(Log(), device, tmp_path) as desk:
        usage = await desk.engine.usage()
        assert (list(usage.devices), usage.batches, usage.calls) == ([], 0, 0)
        assert sum(usage.values.values()) == 0


async def test_values_and_networks_are_told_by_device_until_they_are_freed(device: Any, tmp_path: Path) -> None:
    log = Log()
    log.gate.set()
    async with Desk(log, device, tmp_path) as desk:
        await desk.run(picture(1))
        usage = await desk.engine.usage()
        (use,) = usage.devices
        assert (use.name, use.kind, use.free, use.total) == ("device:0", "device", 5 << 20, 8 << 20)
        assert sum(usage.values.values()) > 3000
        assert 0 < usage.batches <= usage.calls
        held = sum(size for _, size in use.networks)
        freed = await desk.engine.free()
        assert freed.network_bytes == held
        (use,) = (await desk.engine.usage()).devices
        assert use.networks == ()
