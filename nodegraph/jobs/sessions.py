"""Sessions of browsers, by the digest of their secret. They are asked for at every request, so they are also kept in memory."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable

from nodegraph.jobs.commits import Commits, Transaction
from nodegraph.jobs.opening import StoreFailed

SESSION_SECONDS = 30 * 24 * 3600.0
"""After so long without use a session is over."""

_MOST = 1000
_NOTED_SECONDS = 3600.0  # how exactly the file knows when a session was used


class Sessions:
    """The sessions of a job store."""

    def __init__(self, commits: Commits, clock: Callable[[], float] = time.time) -> None:
        self._commits, self._clock = commits, clock
        self._used: dict[str, float] | None = None
        self._noted: dict[str, float] = {}
        self._loading = asyncio.Lock()

    async def add(self, digest: str) -> None:
        """A new session. Where this raises StoreFailed it lasts until the server ends."""
        used, now = await self._loaded(), self._clock()
        used[digest] = self._noted[digest] = now
        gone = sorted(used, key=used.__getitem__)[:-_MOST]
        for old in gone:
            del used[old]
        self._noted = {known: at for known, at in self._noted.items() if known in used}

        def work(tx: Transaction) -> None:
            tx.connection.execute("DELETE FROM sessions WHERE used <= ?", (now - SESSION_SECONDS,))
            tx.connection.executemany("DELETE FROM sessions WHERE digest = ?", [(old,) for old in gone])
            tx.connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?)", (digest, now, now))

        await self._commits.write(work)

    async def use(self, digest: str) -> bool:
        """Whether there is such a session, which is then good for another while."""
        used, now = await self._loaded(), self._clock()
        at = used.get(digest)
        if at is None or at <= now - SESSION_SECONDS:
            used.pop(digest, None)
            return False
        used[digest] = now
        if now - self._noted.get(digest, 0.0) > _NOTED_SECONDS:
            self._noted[digest] = now
            query = "UPDATE sessions SET used = ? WHERE digest = ?"
            with contextlib.suppress(StoreFailed):
                await self._commits.write(lambda tx: tx.connection.execute(query, (now, digest)).rowcount)
        return True

    async def end(self, digest: str) -> None:
        """End a session. Raises StoreFailed where it would be there again after a restart."""
        (await self._loaded()).pop(digest, None)
        query = "DELETE FROM sessions WHERE digest = ?"
        await self._commits.write(lambda tx: tx.connection.execute(query, (digest,)).rowcount)

    async def _loaded(self) -> dict[str, float]:
        async with self._loading:
            if self._used is None:
                self._used = await self._commits.read(_all)
                self._noted = dict(self._used)
            return self._used


def _all(connection: sqlite3.Connection) -> dict[str, float]:
    return dict(connection.execute("SELECT digest, used FROM sessions").fetchall())
