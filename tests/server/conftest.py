"""Servers for black-box tests: one that a module's tests share, and a maker of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.harness import ServerProcess, with_busy_pack


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pack `busy` is installed."""
    return with_busy_pack(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, data_folder: Path, site: Path) -> Iterator[ServerProcess]:
    """A server with an empty data folder, for all tests of a module."""
    with ServerProcess(fresh_data(tmp_path_factory.mktemp("server") / "data", data_folder), site=site) as running:
        yield running


@pytest.fixture
def new_server(tmp_path: Path, data_folder: Path, site: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Makes servers that are not started yet: `new_server("--exact", env={...})`. All of one test share a data folder."""
    made: list[ServerProcess] = []

    def make(*arguments: str, **more: object) -> ServerProcess:
        data = tmp_path / "data"
        made.append(ServerProcess(data if data.exists() else fresh_data(data, data_folder), *arguments, site=site, **more))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for running in made:
        if hasattr(running, "process") and running.process.poll() is None:
            running.kill()


def fresh_data(data: Path, shared: Path) -> Path:
    """An empty data folder that knows the catalog already."""
    data.mkdir()
    (data / "catalog").symlink_to((shared / "catalog").resolve())
    return data
