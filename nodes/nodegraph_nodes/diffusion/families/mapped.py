"""Files whose tensors are read where they lie: mapped into memory, and let out of it again when they were used.

What was touched of a mapped file counts as memory in use, beside what was made of it. So whoever converts tensors one after the
other lets each go; it stays valid, and is read anew from the file when it is touched again.
"""

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from weakref import WeakValueDictionary

import torch
from torch import Tensor


class _Place(NamedTuple):
    """Where a mapped file lies in memory."""

    start: int
    size: int


_MAPPED: WeakValueDictionary[_Place, mmap.mmap] = WeakValueDictionary()
"""All files that are mapped now; each lives as long as a tensor of it does."""


class MappedFile:
    """A file in memory. Its tensors must not be written to. Raises OSError; ValueError for an empty file."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        _MAPPED[_Place(self.bytes(0, 1).data_ptr(), len(self._map))] = self._map

    def __len__(self) -> int:
        return len(self._map)

    def bytes(self, start: int, count: int) -> Tensor:
        """[count] uint8 from a byte on."""
        return torch.frombuffer(self._map, dtype=torch.uint8, count=count, offset=start)

    def tensor(self, start: int, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
        """The tensor whose first byte lies at `start`. Raises ValueError where the file ends before it does."""
        count = torch.Size(shape).numel()
        if count == 0:
            return torch.empty(tuple(shape), dtype=dtype)
        if start % dtype.itemsize:
            return self.bytes(start, count * dtype.itemsize).clone().view(dtype).reshape(tuple(shape))
        return torch.frombuffer(self._map, dtype=dtype, count=count, offset=start).reshape(tuple(shape))


def let_go(tensor: Tensor) -> None:
    """Take what was read of a tensor out of memory, if it lies in a mapped file; anything else is left alone.

    Only pages that no other tensor shares are taken. Where the system knows no such request (Windows), nothing happens.
    """
    if tensor.device.type != "cpu" or not tensor.is_contiguous() or not hasattr(mmap, "MADV_DONTNEED"):
        return
    first = tensor.data_ptr()
    for place, found in list(_MAPPED.items()):
        start, end = first - place.start, first - place.start + tensor.nbytes
        if start >= 0 and end <= place.size:
            start, end = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
            if end > start:
                found.madvise(mmap.MADV_DONTNEED, start, end - start)
            return
