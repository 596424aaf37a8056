"""The server's state with its lifetime: settings, store, workers, hub. Endpoints get it as their first argument."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path

from nodegraph.api.paths import journal_file
from nodegraph.api.session import Session
from nodegraph.graph import Catalog
from nodegraph.jobs import Holding, JobRecord, JobStore
from nodegraph.jobs.dispatcher import Dispatcher
from nodegraph.jobs.retention import upkeep
from nodegraph.server.hub import Hub
from nodegraph.server.metrics import Metrics
from nodegraph.server.opened import OpenedDocuments
from nodegraph.server.shelf import Shelf
from nodegraph.server.thumbnails import Thumbnails
from nodegraph.server.uploads import Uploads
from nodegraph.server.webhooks import Webhooks
from nodegraph.server.wording import without_paths
from nodegraph.settings import Settings
from nodegraph.store.journal import Journal
from nodegraph.workers import Pool, WorkerSetup

_LOOKING = 2
_TIDY_SECONDS = 3600.0


class Server:
    """Everything that endpoints need. Use `open` and `close` on one loop."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.data: Path = settings.data
        self.artifacts = self.data / "artifacts"
        self.inputs = self.data / "inputs"
        # knows documents, files and consent; its engine is never started here
        self.session = Session(self.data, models=settings.models, files=settings.files)
        self.shelf = Shelf(self.session.roots.workflows)
        self.changing = asyncio.Lock()
        """Held while a saved workflow or what was accepted of one is changed."""
        self.looking = asyncio.Semaphore(_LOOKING)
        """Held while a document is worked on: large ones must not take every thread, nor Python's lock from the loop."""
        self.working = asyncio.Semaphore(_LOOKING)
        """The same for what is not submitted: an editor's long merge holds no job up."""
        limits = settings.server
        self.uploads = Uploads(self.data / "uploads", self.inputs, limits.max_upload_bytes, limits.max_picture_pixels)
        self.verifying = asyncio.Lock()
        """Held while a model is read whole."""
        self.thumbnails = Thumbnails(self.data / "thumbnails", limits.max_picture_pixels)
        self.journal = Journal(journal_file(self.data))
        """Workers write it; here it is looked into for the pictures of steps."""
        self.opened = OpenedDocuments()
        self.hub = Hub()
        self.metrics = Metrics(self)
        self.began = time.time()
        self.draining = False
        self._catalog: asyncio.Task[Catalog] | None = None

    async def open(self) -> None:
        """Open the store, start the workers. Raises StoreFailed."""
        settings = self.settings.workers
        self.holding = Holding(self.data)
        self.store = JobStore(self.data / "jobs.sqlite", self.hub.told)
        self.store.time(self.metrics.committed)
        self.hub.store = self.store
        _, self.hub.last = await self.store.bounds()
        self._catalog = asyncio.create_task(asyncio.to_thread(self._load_catalog))
        self.webhooks = Webhooks(self.store, self.settings.webhooks, self.data / "webhook-secret")
        hushed = partial(without_paths, settings=self.settings)
        self.dispatcher = Dispatcher(self.store, self.hub.passing, self._ended, self.metrics.ran, hushed)
        self.hub.showing = self.dispatcher.showing
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
        self.webhooks.open()
        self._upkeep = asyncio.create_task(upkeep(self.store, self.artifacts, self.settings.jobs))
        self._tidying = asyncio.create_task(self._tidy())

    async def drain(self) -> None:
        """Take and start nothing more, and give what runs some time to finish; clients are served meanwhile."""
        self.draining = True
        await self.dispatcher.drain(self.settings.server.shutdown_seconds)

    async def close(self) -> None:
        """End, and put what still runs back into the queue."""
        self.draining = True
        self._upkeep.cancel()
        self._tidying.cancel()
        await self.dispatcher.close(15.0)
        await self.webhooks.close()
        self.hub.close()
        await self.store.close()
        await asyncio.to_thread(self.journal.close)
        self.holding.release()

    def hurry(self) -> None:
        """Somebody asked a second time: what still runs is given up, and waits for the next start."""
        self.dispatcher.hurry()

    async def _tidy(self) -> None:
        while True:
            await self.uploads.sweep()
            await self.thumbnails.sweep()
            await asyncio.sleep(_TIDY_SECONDS)

    def _ended(self, job: JobRecord) -> None:
        self.metrics.ended(job)
        self.webhooks.wake()

    def _load_catalog(self) -> Catalog:
        catalog = self.session.catalog
        self.metrics.know(catalog.nodes)
        return catalog

    async def catalog(self) -> Catalog:
        """All node types. The first time it may have to be made, apart from this process; what failed is tried again."""
        if self._catalog is None or (self._catalog.done() and self._catalog.exception() is not None):
            self._catalog = asyncio.create_task(asyncio.to_thread(self._load_catalog))
        return await asyncio.shield(self._catalog)
