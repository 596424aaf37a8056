"""What all tests share: an offline process, a data folder of its own, hypothesis profiles, samples of what is slow."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1")

if (
    "PYTEST_XDIST_WORKER_COUNT" in os.environ
):  # before torch is imported: several teams of threads on the same cores wait for each other
    _SHARE = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, _SHARE)))

_QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}
settings.register_profile("ci", max_examples=40, derandomize=True, **_QUIET)  # type: ignore[arg-type]
settings.register_profile("soak", max_examples=2000, **_QUIET)  # type: ignore[arg-type]
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    share = os.environ.get("NODEGRAPH_TEST_SAMPLE", "1")
    parser.addoption("--sample", type=float, default=float(share), help="the share of the slow tests to run, 0..1")
    parser.addoption("--sample-seed", default="0", help="which of them: CI takes the commit, so each commit has its own")


def pytest_report_header(config: pytest.Config) -> str | None:
    share, seed = config.getoption("sample"), config.getoption("sample_seed")
    return None if share >= 1 else f"sample: {share:.0%} of the slow tests, --sample-seed={seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a seeded sample of the slow tests, the same in every process; the full count runs without --sample."""
    share, seed = config.getoption("sample"), config.getoption("sample_seed")
    if share >= 1:
        return

    def is_kept(item: pytest.Item) -> bool:
        drawn = hashlib.blake2b(f"{seed} {item.nodeid}".encode(), digest_size=4).digest()
        return item.get_closest_marker("slow") is None or int.from_bytes(drawn, "big") < share * 2**32

    dropped = [item for item in items if not is_kept(item)]
    items[:] = [item for item in items if is_kept(item)]
    config.hook.pytest_deselected(items=dropped)


@pytest.fixture(autouse=True, scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder for the whole session, whose cache begins empty; only the catalog is kept from one session to the next."""
    catalog = tmp_path_factory.getbasetemp().parent / "nodegraph-catalog"
    catalog.mkdir(exist_ok=True)
    folder = tmp_path_factory.mktemp("data")
    (folder / "catalog").symlink_to(catalog)
    os.environ["NODEGRAPH_DATA"] = str(folder)
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection beyond this machine is an error."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"a test reached for the network: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
