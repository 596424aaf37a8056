"""The torch device adapter: CUDA devices where there are any, else Apple's GPU, else the CPU as one lane."""

from __future__ import annotations

import contextlib
import ctypes
import re
import threading
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any

import psutil
import torch

from nodegraph_nodes.diffusion.families import compute_dtype, has_amx, place, take_off


class Working:
    """Around every call on a device's thread: no gradients, the peak of the device's memory, and its own clock.

    On CUDA a call returns when its work is queued; `pending` waits for the event behind it.
    """

    def __init__(self, device: torch.device, threads: int) -> None:
        self._device, self._threads = device, threads
        self._no_grad = torch.no_grad()
        self.peak_bytes: int | None = None
        self.pending: Callable[[], float] | None = None

    def __enter__(self) -> Working:
        self._no_grad.__enter__()
        if self._device.type == "cuda":
            torch.cuda.set_device(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
            self._start = _mark()
        else:
            torch.set_num_threads(self._threads)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._no_grad.__exit__(kind, error, trace)
        if self._device.type == "cuda":
            self.peak_bytes = torch.cuda.max_memory_allocated(self._device)
            self.pending = partial(_seconds_between, self._start, _mark())


def _mark() -> Any:
    """An event at this point of the device's work."""
    event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record()
    return event


def _seconds_between(start: Any, end: Any) -> float:
    """Wait for the second event: the device's seconds between the two."""
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3


class TorchDevice:
    """Devices as torch sees them."""

    name = "torch"

    def __init__(self) -> None:
        self._threads = torch.get_num_threads()
        self._host = threading.local()
        if torch.cuda.is_available():
            self._devices = [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
        elif torch.backends.mps.is_available():
            self._devices = [torch.device("mps")]
        else:
            self._devices = [torch.device("cpu")]

    def lanes(self) -> list[torch.device]:
        return list(self._devices)

    def profile(self) -> str:
        """Device kind and model, the dtype that "auto" means there, threads on a CPU, and the versions that compute."""
        device = self._devices[0]
        if device.type == "cuda":
            detail = torch.cuda.get_device_name(device)
        else:
            detail = f"{torch.backends.cpu.get_cpu_capability()}{' AMX' if has_amx() else ''} {self._threads} threads"
        libraries = " ".join(f"{name} {_version(name)}" for name in _COMPUTING)
        return f"{device.type} {detail} {_dtype(device)} {libraries}"

    def facts(self) -> dict[str, Any]:
        """The same for locks. What is about this very machine changes last digits at most."""
        device = self._devices[0]
        if device.type == "cuda":
            cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
            about = {"name": torch.cuda.get_device_name(device), "cuda": str(torch.version.cuda), "cudnn": str(cudnn)}
        else:
            about = {"name": torch.backends.cpu.get_cpu_capability(), "threads": str(self._threads)}
        libraries = {name: known for name in _COMPUTING if (known := _version(name)) != _ABSENT}
        return {"kind": device.type, "dtype": _dtype(device), "libraries": libraries, "about": about}

    def working(self, device: torch.device) -> Working:
        return Working(device, self._threads)

    def enter_host_thread(self) -> None:
        """Threads beside the device's own compute on one core each.

        A second team of OpenMP threads makes GNU's runtime put both to sleep at every barrier: measured on two cores, steps of
        22 ms then take 60.
        """
        if not hasattr(self._host, "entered"):
            torch.get_num_threads()  # the thread's own count is set up first, or it would overwrite ours later
            torch.set_num_threads(1)
            self._host.entered = True

    def free_bytes(self, device: torch.device) -> int | None:
        return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None

    def total_bytes(self, device: torch.device) -> int | None:
        return torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else None

    def network_bytes(self, network: Any) -> int:
        return int(getattr(network, "nbytes", 0))

    def place(self, network: Any, device: torch.device, room_bytes: int | None) -> None:
        place(network, device, room_bytes)

    def put_aside(self, network: Any, device: torch.device) -> int | None:
        """Unified memory and the CPU's own have no second place; what cannot be moved is let go."""
        if device.type != "cuda" or not hasattr(network, "to"):
            return None
        take_off(network)
        return int(getattr(network, "nbytes", 0))

    def aside_bytes(self, device: torch.device) -> int:
        """Half of what the host has free at the moment."""
        return psutil.virtual_memory().available // 2 if device.type == "cuda" else 0

    def is_out_of_memory(self, error: BaseException) -> bool:
        if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
            return True
        return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)

    def wanted_bytes(self, error: BaseException) -> int | None:
        found = _WANTED.search(str(error))
        return None if found is None else int(float(found[1]) * _UNITS[found[2].lower()])

    def value_bytes(self, device: torch.device) -> int | None:
        """A tenth of a GPU's memory may hold cached values; the rest is for networks and for the work itself."""
        return torch.cuda.get_device_properties(device).total_memory // 10 if device.type == "cuda" else None

    def release(self, device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.empty_cache()
        elif device.type == "mps":
            torch.mps.empty_cache()
        else:
            _trim_heap()


_COMPUTING = ("torch", "diffusers", "transformers")
_ABSENT = "absent"
_WANTED = re.compile(r"tried to allocate ([0-9.]+) ?(bytes|[KMG]iB)", re.IGNORECASE)
_UNITS = {"bytes": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def _trim_heap() -> None:
    """Give what glibc keeps for later back to the system; other allocators have no such call."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _dtype(device: torch.device) -> str:
    return str(compute_dtype("auto", device)).removeprefix("torch.")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return _ABSENT
