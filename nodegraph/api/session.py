"""A session: the catalog, the engine and its cache, behind calls that work from plain scripts, notebooks and asyncio alike.

The engine lives on a loop in a thread of its own, so a blocking caller never blocks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import Future
from functools import cache, cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from nodegraph.api.paths import (
    DISK_BYTES,
    cache_folder,
    data_folder,
    journal_file,
    roots,
    scratch_folder,
    secrets_file,
    trust_file,
)
from nodegraph.engine import Engine, Freed, Library, RunOptions, RunResult
from nodegraph.engine.engine import MEMORY_BYTES, Usage
from nodegraph.graph import Catalog, Document, Plan, compile_document, installed_catalog
from nodegraph.sdk.pack import Pack
from nodegraph.store import Digests, DiskInfo, DiskTier, Roots
from nodegraph.store.journal import Journal
from nodegraph.store.secrets import Secrets
from nodegraph.store.trust import Trust

T = TypeVar("T")


class Session:
    """Everything a run needs, opened on first use and shared by all runs of the session. Close it, or use `with`.

    `data` is the data folder, `models` and `files` are further folders that documents may read from; `packs` replaces the
    installed packs (tests). `disk_bytes` is the budget of the cache in the data folder, 0 for none.
    """

    def __init__(
        self,
        data: Path | None = None,
        *,
        models: Sequence[Path] = (),
        files: Sequence[Path] = (),
        packs: Iterable[Pack] | None = None,
        memory_bytes: int = MEMORY_BYTES,
        disk_bytes: int = DISK_BYTES,
        check_inputs: bool = False,
    ) -> None:
        self.data = data_folder(data)
        self.roots = roots(self.data, models=models, files=files)
        self.trust = Trust(trust_file(self.data))
        self.secrets = Secrets(secrets_file(self.data))
        self._packs = None if packs is None else list(packs)
        self._memory_bytes, self._disk_bytes, self._check_inputs = memory_bytes, disk_bytes, check_inputs
        self._loop: asyncio.AbstractEventLoop | None = None
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    # ---- what is known without running ----

    @cached_property
    def catalog(self) -> Catalog:
        """All node types as data."""
        return self.library.catalog if self._packs is not None else installed_catalog(self.data / "catalog")

    @cached_property
    def library(self) -> Library:
        """The code behind the catalog; a pack is imported when it is first needed."""
        return Library.of(self._packs) if self._packs is not None else Library.installed(self.catalog)

    def compile(self, document: Document, wanted: Iterable[str] | None = None) -> Plan:
        """Compile a document. Raises InvalidWorkflow."""
        return compile_document(document, self.catalog, wanted)

    # ---- running ----

    def run(self, plan: Plan, options: RunOptions | None = None, *, roots: Roots | None = None) -> RunResult:
        """Run a plan and wait for it. An interrupt (Ctrl-C) cancels the run.

        What the options name (listener, receiver) is called on the engine's thread.
        """
        future = self._submit(plan, options, roots)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def run_async(self, plan: Plan, options: RunOptions | None = None, *, roots: Roots | None = None) -> RunResult:
        """The same for asyncio; cancelling the awaiting task cancels the run."""
        return await asyncio.wrap_future(self._submit(plan, options, roots))

    def _submit(self, plan: Plan, options: RunOptions | None, roots: Roots | None) -> Future[RunResult]:
        engine = self._started()
        return self._post(engine.run(plan, options or RunOptions(), roots=roots or self.roots))

    def _post(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _started(self) -> Engine:
        with self._lock:
            if self._engine is None:
                digests = Digests(self.data / "digests.json")
                disk = DiskTier(cache_folder(self.data), self._disk_bytes) if self._disk_bytes else None
                engine = Engine(
                    self.library,
                    memory_bytes=self._memory_bytes,
                    disk=disk,
                    digests=digests,
                    roots=self.roots,
                    scratch=scratch_folder(self.data),
                    models=self.data / "models",
                    journal=Journal(journal_file(self.data)),
                    secrets=self.secrets,
                    check_inputs=self._check_inputs,
                )
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="nodegraph-engine", daemon=True).start()
                self._engine = self._post(engine.__aenter__()).result()
            return self._engine

    async def usage(self) -> Usage:
        """What the engine keeps in memory. It returns when the engine's loop has had its turn, so it shows that it is alive."""
        if self._engine is None or self._loop is None:
            return Usage({}, [], 0, 0)
        return await asyncio.wrap_future(self._post(self._engine.usage()))

    def disk(self) -> DiskInfo | None:
        """The state of the cache on disk; None where nothing has run yet, or nothing is kept there."""
        disk = None if self._engine is None else self._engine.cache.disk
        return None if disk is None else disk.info()

    def free(self) -> Freed:
        """Give memory back now: cached values (what is on disk stays there) and networks that nothing uses at the moment."""
        return Freed(0, 0) if self._engine is None else self._post(self._engine.free()).result()

    def clear_cache(self) -> None:
        """Forget every cached result, in memory and on disk."""
        if self._engine is not None:
            self._post(self._engine.cache.clear()).result()

    def close(self) -> None:
        """Cancel what runs and let the threads go."""
        with self._lock:
            if self._engine is not None and self._loop is not None:
                with contextlib.suppress(TimeoutError):
                    self._post(self._engine.__aexit__(None, None, None)).result(timeout=30)
                self._loop.call_soon_threadsafe(self._loop.stop)
            self._engine = self._loop = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


@cache
def default_session() -> Session:
    """The session that `nodegraph.load(...)` uses when none is named: one per process, so that runs share their results."""
    return Session()
