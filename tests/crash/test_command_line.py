"""The same with the real thing: `nodegraph run` is killed, stopped, or given a broken data folder."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crash import pack
from crash.disks import make_read_only, small_disk
from crash.story import PATIENCE_SECONDS, Place
from nodegraph.graph import installed_catalog

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "workflows" / "text_to_image.json"
SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
STEPS = 30


def nodegraph(
    place: Place, *arguments: object, cwd: Path, site: Path | None = None, step_seconds: float = 0.02, flaw: str = ""
) -> subprocess.Popen[str]:
    """Begin the command in a process of its own."""
    own = {"PYTHONPATH": str(site) if site else "", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    env = {**os.environ, **own, **pack.settings(place.log, step_seconds, flaw)}
    command = [sys.executable, "-m", "nodegraph.cli", *map(str, arguments)]
    return subprocess.Popen(command, env=env, cwd=cwd, text=True, stdin=subprocess.DEVNULL, stdout=-1, stderr=-1)


def result_of(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, out + err
    assert "Traceback" not in err
    return json.loads(out)


def kept_steps(data: Path, type_id: str) -> int:
    """How many results of a node type are on disk, asked without disturbing who writes them."""
    file = data / "cache" / "index.sqlite"
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM entries WHERE type = ?", (type_id,)).fetchone()[0])
    return 0


def kill_when_kept(process: subprocess.Popen[str], data: Path, type_id: str, least: int) -> bool:
    """Kill a run as soon as so many steps have reached the disk; False where it had ended before."""
    waiting = threading.Event()
    while process.poll() is None and kept_steps(data, type_id) < least:
        waiting.wait(0.01)
    process.kill()
    process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode == -signal.SIGKILL and kept_steps(data, type_id) < STEPS


def data_folder_for(path: Path, known: Path) -> Path:
    """A data folder of a process's own: no results, the catalog known."""
    shutil.copytree(known / "catalog", path / "catalog")
    return path


@pytest.fixture(scope="module")
def known(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which the packs are described already, which takes seconds."""
    installed_catalog(data_folder / "catalog")
    return Path(shutil.copytree(data_folder, tmp_path_factory.mktemp("known") / "data", ignore=_all_but_catalog))


def _all_but_catalog(folder: str, names: list[str]) -> list[str]:
    return [] if Path(folder).name == "catalog" else [name for name in names if name != "catalog"]


def states(report: Any, part: str) -> dict[str, tuple[str, str]]:
    return {name: (row["state"], row["reason"]) for name, row in report["nodes"].items() if part in name}


@pytest.mark.slow
@pytest.mark.parametrize("least", (2, 8, 14) if SOAK else (8,))
def test_a_picture_whose_run_was_killed_is_finished_from_its_last_steps(tmp_path: Path, known: Path, least: int) -> None:
    place = Place.below(tmp_path / "place")

    def run(data: Path, pixels: int) -> subprocess.Popen[str]:
        size = ("--width", pixels, "--height", pixels, "--steps", STEPS)
        return nodegraph(place, "run", SHIPPED, "--data", data, "--out", data / "out", "--json", *size, cwd=tmp_path)

    for pixels in (160, 288, 512):  # until the run lasts longer than the write-behind window on this machine
        here, there = (data_folder_for(tmp_path / f"{name}-{pixels}", known) for name in ("killed", "undisturbed"))
        other, process = run(there, pixels), run(here, pixels)
        if kill_when_kept(process, here, "diffusion/denoise_step", least):
            break
        other.kill()
        other.communicate(timeout=PATIENCE_SECONDS)
    kept = kept_steps(here, "diffusion/denoise_step")
    assert least <= kept < STEPS
    again, undisturbed = result_of(run(here, pixels)), result_of(other)
    pictures = [Path(report["outputs"]["image"][0]["path"]).read_bytes() for report in (again, undisturbed)]
    assert pictures[0] == pictures[1]
    steps, whole = states(again, "denoise/step_"), states(undisturbed, "denoise/step_")
    assert sum(state == "computed" for state, _ in whole.values()) == STEPS
    assert sum(state == "computed" for state, _ in steps.values()) == STEPS - kept
    assert steps[f"denoise/step_{kept}"] == ("hit", "on disk")
    assert again["nodes"]["begin"]["state"] == "not_needed"


# ---- a pack of slow steps, installed ----

CHAIN = {
    "nodegraph": 1,
    "id": "chain",
    "nodes": {
        "begin": {"type": "slow/begin", "inputs": {"seed": 1}},
        **{
            f"step_{number}": {
                "type": "slow/step",
                "links": {"state": "begin.state" if number == 1 else f"step_{number - 1}.state"},
            }
            for number in range(1, STEPS + 1)
        },
        "tell": {"type": "slow/tell", "links": {"chosen": f"step_{STEPS}.state", "states": "begin.state"}},
        "keep": {"type": "slow/keep", "links": {"text": "tell.text"}},
    },
    "interface": {"outputs": {"text": "keep.artifact"}},
}


class Shop:
    """The slow pack installed for processes in a folder, with a data folder and a workflow."""

    def __init__(self, path: Path, known: Path) -> None:
        self.path, self.place = path, Place.below(path / "place")
        self.site, self.data = path / "site", data_folder_for(path / "data", known)
        (self.site / "slow-1.0.dist-info").mkdir(parents=True)
        self.source = self.site / "slow_pack.py"
        self.source.write_text(Path(pack.__file__).read_text())
        (self.site / "slow-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n")
        (self.site / "slow-1.0.dist-info" / "entry_points.txt").write_text("[nodegraph.packs]\nslow = slow_pack\n")
        (path / "chain.json").write_text(json.dumps(CHAIN))

    def command(self, *arguments: object, step_seconds: float = 0.02, flaw: str = "") -> subprocess.Popen[str]:
        """Begin a command on the data folder."""
        arguments = (*arguments, "--data", self.data)
        return nodegraph(self.place, *arguments, cwd=self.path, site=self.site, step_seconds=step_seconds, flaw=flaw)

    def run(self, *arguments: object, step_seconds: float = 0.02, flaw: str = "") -> subprocess.Popen[str]:
        return self.command("run", "chain.json", "--trust", "--json", *arguments, step_seconds=step_seconds, flaw=flaw)

    def names(self) -> list[str]:
        return [line.name for line in self.place.lines()]

    def text(self, process: subprocess.Popen[str]) -> str:
        """What a run that ends well gives."""
        place: str = result_of(process)["outputs"]["text"][0]["path"]
        return (self.path / place).read_text()


def right(salt: bytes = pack.SALT) -> str:
    first = state = pack.made("1", 20_000)
    for _ in range(STEPS):
        state = pack.folded(state, salt)
    return pack.summary([state, first])


@pytest.fixture
def shop(tmp_path: Path, known: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path, known)
    catalog = shop.data / "catalog"
    yield shop
    shutil.copytree(catalog, known / "catalog", dirs_exist_ok=True)  # the next shop's pack is the same


def wait_for_lines(process: subprocess.Popen[str], place: Place, least: int) -> None:
    waiting = threading.Event()
    while len(place.lines()) < least:
        assert process.poll() is None, process.communicate()
        waiting.wait(0.005)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"])
def test_everything_that_was_finished_when_a_run_was_stopped_is_on_disk(shop: Shop, number: signal.Signals, code: int) -> None:
    process = shop.run(step_seconds=0.03)
    wait_for_lines(process, shop.place, 12)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, json.loads(out), err) == (code, {"status": "cancelled"}, "Cancelled.\n")
    finished = shop.names()
    assert len(finished) < STEPS, "it had ended before it was stopped"
    assert shop.text(shop.run()) == right()
    names = shop.names()
    assert len(names) == len(set(names)), "a finished step was computed again"


@pytest.mark.slow
def test_a_pack_whose_source_changed_misses_and_gives_what_it_now_gives(shop: Shop) -> None:
    assert shop.text(shop.run(step_seconds=0.006)) == right()
    shop.source.write_text(shop.source.read_text().replace('SALT = b"step"', 'SALT = b"other"'))
    assert shop.text(shop.run(step_seconds=0.006)) == right(b"other")


@pytest.mark.slow
def test_a_codec_that_fails_is_told_without_a_trace(shop: Shop) -> None:
    process = shop.run(step_seconds=0.006, flaw="encode")
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, err
    assert (shop.path / json.loads(out)["outputs"]["text"][0]["path"]).read_text() == right()
    assert "Traceback" not in err
    assert err.count("Results of slow/step are not kept on disk: CodecFault: this codec cannot write") == 1


@pytest.mark.slow
def test_a_full_or_read_only_data_folder_costs_a_run_only_what_it_would_have_kept(shop: Shop, tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in shop.data.rglob("*") if path.is_file()) // 1024
    with small_disk(tmp_path / "disk", size + 250) as disk:
        shop.data = Path(shutil.copytree(shop.data, disk / "data"))
        for words in ("There is no room for the cache folder", "cannot be written"):
            process = shop.run(step_seconds=0.006)
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 0, err
            assert (shop.path / json.loads(out)["outputs"]["text"][0]["path"]).read_text() == right()
            assert "Traceback" not in err
            assert words in err
            assert str(shop.data / "cache") in err
            make_read_only(disk)


@pytest.mark.slow
def test_clearing_the_cache_beside_a_run_does_it_no_harm(shop: Shop) -> None:
    process = shop.run(step_seconds=0.06)
    wait_for_lines(process, shop.place, 5)
    for other in [shop.command("cache", "clear", "--yes"), shop.command("cache", "gc")]:  # both at once
        out, err = other.communicate(timeout=PATIENCE_SECONDS)
        assert other.returncode == 0, out + err
        assert "Traceback" not in err
    assert shop.text(process) == right()
    assert shop.text(shop.run()) == right()
