"""What the engine asks of a device: the protocol, and finding the adapter that is installed (`nodegraph.devices`)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.metadata import entry_points
from typing import Any, Protocol

from nodegraph.sdk.errors import PackError

GROUP = "nodegraph.devices"


class DeviceAdapter(Protocol):
    """One kind of device. `lanes` has an entry per device; each is a thread that owns its device's work."""

    name: str

    def lanes(self) -> list[Any]:
        """The devices, as the packs want them (torch.device)."""
        ...

    def profile(self) -> str:
        """The numerics profile: whatever else, besides inputs and code, decides the bytes of a result."""
        ...

    def facts(self) -> dict[str, Any]:
        """What a lock says of the device: `kind`, `dtype` (what "auto" means there), `libraries` that compute (by name, their
        versions), and `about`: texts by name that are good to know. Of the first three all must match for the same pixels.
        """
        ...

    def working(self, device: Any) -> AbstractContextManager[Any]:
        """Entered around every call on the device's thread. Afterwards the object has `peak_bytes` (or None) and `pending`.

        `pending` is None where the work is done by then; else a function that waits for it, on any thread, and gives the
        seconds that the device took. Calls that follow on the same thread come after it in any case.
        """
        ...

    def enter_host_thread(self) -> None:
        """Called on threads of the cpu lane before a node runs there, so that they do not get in the device's way."""
        ...

    def free_bytes(self, device: Any) -> int | None: ...

    def total_bytes(self, device: Any) -> int | None: ...

    def value_bytes(self, device: Any) -> int | None:
        """How many bytes of cached values may stay on the device; None where they lie in the host's memory."""
        ...

    def network_bytes(self, network: Any) -> int:
        """What a network takes on the device that it is on."""
        ...

    def place(self, network: Any, device: Any, room_bytes: int | None) -> None:
        """Bring a network that was just loaded, or was put aside, onto the device: all of it, or so much as the room allows."""
        ...

    def put_aside(self, network: Any, device: Any) -> int | None:
        """Take a network off the device into the host's memory: how many bytes it takes there; None where that is no use."""
        ...

    def aside_bytes(self, device: Any) -> int:
        """How much of the host's memory networks of this device may take that are put aside."""
        ...

    def is_out_of_memory(self, error: BaseException) -> bool: ...

    def wanted_bytes(self, error: BaseException) -> int | None:
        """How much memory was asked for when it ran out, where the error says so."""
        ...

    def release(self, device: Any) -> None:
        """Give cached but unused memory back."""
        ...


def installed_adapter() -> DeviceAdapter:
    """The installed device adapter. Raises PackError when none or several are there."""
    points = list(entry_points(group=GROUP))
    if len(points) != 1:
        names = ", ".join(point.name for point in points) or "none"
        raise PackError(f"Exactly one device adapter is needed for nodes of the gpu lane; installed: {names}.")
    adapter: DeviceAdapter = points[0].load()()
    return adapter
