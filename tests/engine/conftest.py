"""Engines for tests, with a pretended device: the real one needs torch and says nothing about scheduling."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.graphs import Bench, Lab, library
from nodegraph.engine import Engine


class PretendedDevice:
    """Two devices without torch; calls fail with MemoryError as often as a test says."""

    name = "pretended"

    def __init__(self) -> None:
        self.failures = 0
        self.released = 0
        self.value_budget: int | None = None
        self.aside: int | None = None  # bytes of networks that may be put aside; None: it is no use
        self.placed: list[Any] = []
        self.room = 5 << 20
        self.done: threading.Event | None = None  # given: calls return at once, and their work is done when this is set

    def lanes(self) -> list[Any]:
        return ["device:0"]

    def profile(self) -> str:
        return "pretended"

    def working(self, device: Any) -> Any:
        return _Working(self)

    def enter_host_thread(self) -> None:
        return None

    def free_bytes(self, device: Any) -> int | None:
        return self.room

    def total_bytes(self, device: Any) -> int | None:
        return 8 << 20

    def network_bytes(self, network: Any) -> int:
        return 1

    def place(self, network: Any, device: Any, room_bytes: int | None) -> None:
        self.placed.append(network)

    def put_aside(self, network: Any, device: Any) -> int | None:
        return self.aside and 1

    def aside_bytes(self, device: Any) -> int:
        return self.aside or 0

    def is_out_of_memory(self, error: BaseException) -> bool:
        return isinstance(error, MemoryError)

    def wanted_bytes(self, error: BaseException) -> int | None:
        return 3 << 30

    def value_bytes(self, device: Any) -> int | None:
        return self.value_budget

    def release(self, device: Any) -> None:
        self.released += 1


class _Working:
    peak_bytes = 123

    def __init__(self, device: PretendedDevice) -> None:
        self._device = device
        self.pending = None if device.done is None else self._wait

    def _wait(self) -> float:
        assert self._device.done is not None
        self._device.done.wait(10)
        return 0.25

    def __enter__(self) -> _Working:
        if self._device.failures:
            self._device.failures -= 1
            raise MemoryError("tried to allocate 3 GiB")
        return self

    def __exit__(self, *rest: object) -> None:
        return None


@pytest.fixture
def device() -> PretendedDevice:
    return PretendedDevice()


@pytest.fixture
async def lab(device: PretendedDevice) -> AsyncIterator[Lab]:
    bench = Bench()
    async with Engine(library(bench), device=lambda: device) as engine:
        yield Lab(engine, bench)
        bench.gate.set()
