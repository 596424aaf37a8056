"""The server's state with its lifetime: settings, store, workers, hub. Endpoints get it as their first argument."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from nodegraph.api.session import Session
from nodegraph.graph import Catalog
from nodegraph.jobs import JobStore
from nodegraph.jobs.dispatcher import Dispatcher
from nodegraph.server.hub import Hub
from nodegraph.settings import Settings
from nodegraph.workers import Pool, WorkerSetup


class Server:
    """Everything that endpoints need. Use `open` and `close` on one loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.data: Path = settings.data
        self.artifacts = self.data / "artifacts"
        # knows documents, files and consent; its engine is never started here
        self.session = Session(self.data, models=settings.models, files=settings.files)
        self.hub = Hub()
        self.began = time.time()
        self.draining = False
        self._catalog: asyncio.Task[Catalog] | None = None

    async def open(self) -> None:
        """Open the store, start the workers. Raises StoreFailed."""
        settings = self.settings.workers
        self.store = JobStore(self.data / "jobs.sqlite", self.hub.told)
        self.hub.store = self.store
        _, self.hub.last = await self.store.bounds()
        self._catalog = asyncio.create_task(asyncio.to_thread(lambda: self.session.catalog))
        self.dispatcher = Dispatcher(self.store, self.hub.passing)
        setup = WorkerSetup(
            data=str(self.data),
            artifacts=str(self.artifacts),
            models=tuple(map(str, self.settings.models)),
            files=tuple(map(str, self.settings.files)),
            memory_bytes=settings.cache_memory_bytes,
            disk_bytes=settings.cache_disk_bytes,
            nice=settings.nice,
            heartbeat_seconds=settings.heartbeat_seconds,
            limit_bytes=settings.memory_bytes,
        )
        count = None if settings.count == "auto" else settings.count
        self.pool = Pool(setup, self.dispatcher, count=count, jobs_per_worker=settings.jobs_per_worker)
        await self.dispatcher.start(self.pool)

    async def close(self) -> None:
        """Finish what can be finished in time, and put the rest back into the queue."""
        self.draining = True
        await self.dispatcher.drain(self.settings.server.shutdown_seconds)
        await self.dispatcher.close(15.0)
        await self.store.close()

    async def catalog(self) -> Catalog:
        """All node types. The first time it may have to be made, apart from this process."""
        assert self._catalog is not None
        return await asyncio.shield(self._catalog)
