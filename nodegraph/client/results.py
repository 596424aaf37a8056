"""What a job gave: its values at once, its files when they are asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nodegraph.artifacts.place import SUFFIXES, place_as
from nodegraph.wire import Job, OutputRow

Rows = dict[str, list[dict[str, Any]]]


class _Result:
    """What is known of a job that has ended, without asking the server again."""

    def __init__(self, job: Job) -> None:
        self.job = job

    @property
    def inputs(self) -> dict[str, Any]:
        """The inputs as used, a seed that was drawn among them."""
        return self.job.inputs

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        """What became of every node: type, state, reason, milliseconds."""
        return {name: row.model_dump() for name, row in self.job.nodes.items()}

    @property
    def files(self) -> dict[str, list[OutputRow]]:
        """The outputs that are files, by name."""
        found = {name: [row for row in rows if row.digest] for name, rows in self.job.outputs.items()}
        return {name: rows for name, rows in found.items() if rows}

    @property
    def values(self) -> dict[str, Any]:
        """The outputs that are values: numbers, texts, lists of them."""
        found: dict[str, Any] = {}
        for name, rows in self.job.outputs.items():
            values = [row.value for row in rows if is_value(row)]
            if values:
                found[name] = values[0] if len(rows) == 1 else values
        return found

    def _file(self, name: str, number: int) -> str:
        rows = self.files.get(name, [])
        try:
            return str(rows[number].digest)
        except IndexError:
            known = ", ".join(self.files) or "none"
            raise KeyError(f"no file {number} of {name!r}; outputs with files: {known}") from None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.job.id} {self.job.state}: {', '.join(self.job.outputs) or 'no outputs'}>"


class AsyncJobResult(_Result):
    """The result of a job, for asyncio."""

    def __init__(self, job: Job, download: Callable[[str], Awaitable[bytes]]) -> None:
        super().__init__(job)
        self._download = download

    async def read(self, name: str, number: int = 0) -> bytes:
        """The bytes of an output's file. Raises KeyError where there is no such file, and what `download` raises."""
        return await self._download(self._file(name, number))

    async def save(self, folder: str | Path = "outputs") -> Rows:
        """Write the files into a folder, under the names that a run on this machine gives them. Raises NodeError."""
        return {name: [await self._saved(row, Path(folder)) for row in rows] for name, rows in self.job.outputs.items()}

    async def _saved(self, row: OutputRow, folder: Path) -> dict[str, Any]:
        return shown(row) if row.digest is None else _put(row, await self._download(row.digest), folder)


class JobResult(_Result):
    """The result of a job: `result.save("pictures")`, `result.read("image")`, `result.values["width"]`."""

    def __init__(self, job: Job, download: Callable[[str], bytes]) -> None:
        super().__init__(job)
        self._download = download

    def read(self, name: str, number: int = 0) -> bytes:
        """The bytes of an output's file. Raises KeyError where there is no such file, and what `download` raises."""
        return self._download(self._file(name, number))

    def save(self, folder: str | Path = "outputs") -> Rows:
        """Write the files into a folder, under the names that a run on this machine gives them. Raises NodeError."""
        return {name: [self._saved(row, Path(folder)) for row in rows] for name, rows in self.job.outputs.items()}

    def _saved(self, row: OutputRow, folder: Path) -> dict[str, Any]:
        return shown(row) if row.digest is None else _put(row, self._download(row.digest), folder)


def is_value(row: OutputRow) -> bool:
    return row.digest is None and row.type is None


def shown(row: OutputRow) -> dict[str, Any]:
    """An output that is no file, as `run --json` has it."""
    return {"value": row.value} if is_value(row) else {"type": row.type}


def _put(row: OutputRow, data: bytes, folder: Path) -> dict[str, Any]:
    digest = str(row.digest)
    name = row.name or digest.removeprefix("sha256:")[:8] + SUFFIXES.get(row.media_type or "", ".bin")
    placed = place_as(data, name, folder)
    return {"path": str(placed.path), "digest": f"sha256:{placed.digest}"}
