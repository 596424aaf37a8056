"""Files that arrive over HTTP: in pieces or at once, resumed after a broken connection or a restart, and taken in whole.

In the folder of uploads lie, for each one, ID.json (what was announced), ID.part (what has arrived; its length is where to go
on) and, once it is over, ID.done (what became of it, for a client that missed the answer).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from aiohttp import ClientPayloadError, StreamReader, web

from nodegraph.artifacts.content import Unwelcome
from nodegraph.jobs.ids import new_id
from nodegraph.sdk.errors import Problem
from nodegraph.sdk.writing import write_atomically
from nodegraph.server.arriving import Arrived, WrongDigest, take_in
from nodegraph.server.problems import Refused, not_found

T = TypeVar("T")

KEPT_SECONDS = 24 * 3600.0
"""How long an upload that nobody goes on with is kept."""
MOST_UNFINISHED = 100

_SILENCE_SECONDS = 60.0
_PIECE = 1 << 20


@dataclass(frozen=True)
class Announced:
    """What a client said about a file. picture: nothing but a picture is expected."""

    id: str
    name: str
    bytes: int
    sha256: str | None
    picture: bool
    created: float


@dataclass(frozen=True)
class UploadState:
    """An upload as it stands: how much there is, and what it became."""

    announced: Announced
    offset: int
    arrived: Arrived | None = None


class Uploads:
    """The uploads of a server. All calls are for one loop."""

    def __init__(self, folder: Path, inputs: Path, most_bytes: int, most_pixels: int) -> None:
        self._folder, self._inputs = folder, inputs
        self._most_bytes, self._most_pixels = most_bytes, most_pixels
        self._starting = asyncio.Lock()
        self._receiving: dict[str, asyncio.Task[int]] = {}
        self._ending: dict[str, asyncio.Task[Arrived]] = {}

    async def announce(self, name: str, size: int, sha256: str | None, picture: bool) -> UploadState:
        """Make room for a file. Raises Refused where it is too large, or too much is under way."""
        if size > self._most_bytes:
            raise Refused(413, "too_large", f"At most {self._most_bytes} bytes are taken.")
        announced = Announced(new_id(), name, size, sha256, picture, time.time())
        async with self._starting:
            await asyncio.to_thread(self._make_room, announced)
        return UploadState(announced, 0)

    async def state(self, id_: str) -> UploadState:
        """How an upload stands. Raises Refused (404)."""
        with contextlib.suppress(Refused):
            return await asyncio.to_thread(self._state, id_)
        if (ending := self._ending.get(id_)) is not None:  # on its way from here to its place
            await asyncio.wait([ending])
        return await asyncio.to_thread(self._state, id_)

    async def receive(self, id_: str, offset: int, length: int | None, content: StreamReader) -> tuple[UploadState, bool]:
        """Append what a request brings, and when all is there take the file in; whether it was this request that did.

        What arrived before the connection broke is kept. A request that still writes to the upload gives way to this one.
        Raises Refused.
        """
        await self._give_way(id_)
        known = await self.state(id_)
        if known.offset != offset:
            headers = {"Upload-Offset": str(known.offset)}
            raise Refused(409, "wrong_offset", f"The upload stands at byte {known.offset}.", headers=headers)
        if known.arrived is not None:
            return known, False
        size = known.announced.bytes
        if length is not None and length > size - offset:
            raise Refused(413, "too_large", f"The file was announced with {size} bytes.")
        if id_ in self._receiving:
            raise Refused(409, "busy", "Another request writes to this upload.", headers={"Retry-After": "1"})
        offset += await self._append(id_, offset, size - offset, content)
        if offset < size:
            return UploadState(known.announced, offset), False
        ending = self._ending[id_] = asyncio.create_task(asyncio.to_thread(self._end, known.announced))
        ending.add_done_callback(lambda done: (self._ending.pop(id_, None), done.cancelled() or done.exception()))
        return UploadState(known.announced, size, await asyncio.shield(ending)), True

    async def remove(self, id_: str) -> None:
        """Forget an upload; a file that it became stays. Raises Refused (404)."""
        await self._give_way(id_)
        await self.state(id_)
        await asyncio.to_thread(self._remove, id_)

    async def unfinished(self) -> list[UploadState]:
        """What is on its way, the newest first."""
        return await asyncio.to_thread(lambda: sorted(self._unfinished(), key=lambda row: row.announced.id, reverse=True))

    async def sweep(self) -> None:
        """Remove what nobody has gone on with for a day."""
        await asyncio.to_thread(self._sweep)

    # ---- receiving ----

    async def _give_way(self, id_: str) -> None:
        """End the request that writes to an upload, and wait for one that is being taken in."""
        if (before := self._receiving.get(id_)) is not None:
            before.cancel()
            await asyncio.wait([before])
        if (ending := self._ending.get(id_)) is not None:
            await asyncio.wait([ending])

    async def _append(self, id_: str, offset: int, most: int, content: StreamReader) -> int:
        task = self._receiving[id_] = asyncio.create_task(_received(self._file(id_, "part"), offset, most, content))
        try:
            return await task
        except asyncio.CancelledError:
            if not task.cancelled() or _cancelling():
                raise
            raise Refused(409, "taken_over", "Another request goes on with this upload.") from None
        finally:
            if self._receiving.get(id_) is task:
                del self._receiving[id_]

    def _end(self, announced: Announced) -> Arrived:
        """Look at a file that is all there, and move it to where jobs find it. Raises Refused, and then nothing is kept."""
        part = self._file(announced.id, "part")
        try:
            arrived = take_in(part, self._inputs, announced.sha256, self._most_pixels, picture=announced.picture)
        except Unwelcome as error:
            self._remove(announced.id)
            problem = Problem(error.code, error.message, hint=error.hint)
            raise Refused(422, "unwelcome_file", error.message, [problem]) from None
        except WrongDigest:
            self._remove(announced.id)
            raise Refused(422, "wrong_digest", "What arrived has another sha256 than was announced.") from None
        except OSError as error:
            raise _no_room(error) from None
        with contextlib.suppress(OSError):
            write_atomically(self._file(announced.id, "done"), json.dumps(asdict(arrived)).encode(), mode=0o600)
        return arrived

    # ---- the folder ----

    def _file(self, id_: str, ending: str) -> Path:
        return self._folder / f"{id_}.{ending}"

    def _make_room(self, new: Announced) -> None:
        unfinished = list(self._unfinished())
        total = sum(state.announced.bytes for state in unfinished)
        if len(unfinished) >= MOST_UNFINISHED or total + new.bytes > 2 * self._most_bytes:
            raise Refused(507, "too_many_uploads", "Too much is on its way already. Finish or remove some of it first.")
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            coming = sum(state.announced.bytes - state.offset for state in unfinished)
            if shutil.disk_usage(self._folder).free < coming + new.bytes:
                raise Refused(507, "no_room", "There is no room for this file on the server's disk.")
            write_atomically(self._file(new.id, "json"), json.dumps(asdict(new)).encode(), mode=0o600)
            os.close(os.open(self._file(new.id, "part"), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise _no_room(error) from None

    def _state(self, id_: str) -> UploadState:
        try:
            announced = Announced(**json.loads(self._file(id_, "json").read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            raise not_found("upload") from None
        with contextlib.suppress(OSError, ValueError, TypeError):
            return UploadState(announced, announced.bytes, Arrived(**json.loads(self._file(id_, "done").read_text("utf-8"))))
        try:
            return UploadState(announced, self._file(id_, "part").stat().st_size)
        except OSError:
            raise not_found("upload") from None

    def _unfinished(self) -> Iterator[UploadState]:
        for entry in self._entries():
            if entry.name.endswith(".part"):
                with contextlib.suppress(Refused):
                    state = self._state(entry.name.removesuffix(".part"))
                    if state.arrived is None:
                        yield state

    def _sweep(self) -> None:
        old = time.time() - KEPT_SECONDS
        ages: dict[str, float] = {}
        for entry in self._entries():
            with contextlib.suppress(OSError):
                id_ = entry.name.partition(".")[0] if not entry.name.startswith(".") else entry.name
                ages[id_] = max(ages.get(id_, 0.0), entry.stat(follow_symlinks=False).st_mtime)
        for id_, age in ages.items():
            if age < old and id_ not in self._receiving and id_ not in self._ending:
                self._remove(id_)

    def _entries(self) -> list[os.DirEntry[str]]:
        with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
            return list(entries)
        return []

    def _remove(self, id_: str) -> None:
        names = [id_] if id_.startswith(".") else [f"{id_}.{ending}" for ending in ("part", "done", "json")]
        for name in names:
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()


async def _received(part: Path, offset: int, most: int, content: StreamReader) -> int:
    """Append a body to a file; how much it was. Whatever ends it, what has come by then is on disk. Raises Refused."""
    try:
        handle = os.open(part, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        raise not_found("upload") from None
    waiting, got = bytearray(), 0
    try:
        if os.fstat(handle).st_size != offset:  # another request was faster
            raise Refused(409, "wrong_offset", "Another request has gone on with this upload.")
        while True:
            async with asyncio.timeout(_SILENCE_SECONDS):
                piece = await content.readany()
            if not piece:
                return got
            room = most - got
            got += min(len(piece), room)
            waiting += piece[:room]
            if len(piece) > room:
                raise Refused(413, "too_large", "There is more than was announced.")
            if len(waiting) >= _PIECE:
                full, waiting = waiting, bytearray()
                await _in_thread(partial(_write, handle, full))
    except TimeoutError:
        raise Refused(408, "silence", "Nothing came for a minute. What had arrived is kept.") from None
    except (ClientPayloadError, web.RequestPayloadError):
        raise Refused(400, "broken_body", "The body cannot be read to its end. What had arrived is kept.") from None
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise
        raise _no_room(error) from None
    finally:
        await _in_thread(partial(_close, handle, waiting))


async def _in_thread(work: Callable[[], T]) -> T:
    """Do work in a thread, and be there until it is done: who is cancelled meanwhile is cancelled then."""
    task = asyncio.create_task(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _write(handle: int, data: bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _close(handle: int, data: bytearray) -> None:
    try:
        _write(handle, data)
        os.fsync(handle)
    except OSError as error:
        raise _no_room(error) from None
    finally:
        os.close(handle)


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _no_room(error: OSError) -> Refused:
    return Refused(507, "not_written", f"The file cannot be kept ({error.strerror or 'the disk refuses'}).")
