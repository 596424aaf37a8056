"""`nodegraph cache`: what it says, what it removes, and that it never removes without being told to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli.conftest import Nodegraph
from cli.test_commands import DRAWING
from nodegraph import Preview
from nodegraph.store import DiskTier, Record
from nodegraph.store.journal import Journal


def fill(data: Path) -> None:
    disk = DiskTier(data / "cache", 10 << 30)
    made = [Record(f"{i:040x}", "result", ["x" * 50_000], {}, "t/slow" if i else "t/quick", 2.5) for i in range(3)]
    disk.write(made)
    disk.close()
    journal = Journal(data / "journal.sqlite")
    journal.add_thumbnail("k", Preview(8, 8, bytes(192)))
    journal.add_run("d", dict)
    journal.close()


def test_info_on_an_empty_data_folder_is_all_zeros_and_creates_nothing(nodegraph: Nodegraph, tmp_path: Path) -> None:
    done = nodegraph("cache", "info", "--json", "--data", tmp_path / "new")
    assert (done.code, done.json["used_bytes"], done.json["entries"], done.json["types"]) == (0, 0, 0, [])
    assert not (tmp_path / "new").exists()


def test_info_says_what_each_node_type_takes_and_saves(nodegraph: Nodegraph, tmp_path: Path) -> None:
    fill(tmp_path)
    found = nodegraph("cache", "info", "--json", "--data", tmp_path).json
    assert [(row["type"], row["entries"], row["seconds"]) for row in found["types"]] == [
        ("t/slow", 2, 5.0),
        ("t/quick", 1, 2.5),
    ]
    assert found["used_bytes"] == sum(row["bytes"] for row in found["types"]) > 150_000
    assert found["budget_bytes"] > found["used_bytes"]
    assert found["thumbnails"]["entries"] == 1
    assert found["journal"]["runs"] == 1
    assert found["trouble"] is None


def test_info_in_words(nodegraph: Nodegraph, tmp_path: Path) -> None:
    fill(tmp_path)
    lines = nodegraph("cache", "info", "--data", tmp_path).stdout.splitlines()
    assert lines[0].endswith(" of 11 GB, 3 entries")
    assert lines[1].split() == ["type", "entries", "size", "saves"]
    assert lines[2].split() == ["t/slow", "2", "100", "kB", "5.0", "s"]
    assert lines[-2].startswith("1 thumbnail, ")
    assert lines[-1].startswith("journal: 1 run of 1 workflow, 0 timings, ")


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["words", "json"])
def test_where_nobody_can_be_asked_nothing_is_cleared_without_yes(
    nodegraph: Nodegraph, tmp_path: Path, form: list[str]
) -> None:
    fill(tmp_path)
    done = nodegraph("cache", "clear", "--data", tmp_path, *form)
    assert done.code == 2
    assert "--yes" in done.stdout + done.stderr
    assert nodegraph("cache", "info", "--json", "--data", tmp_path).json["entries"] == 3


def test_clear_removes_results_and_says_what_that_freed(nodegraph: Nodegraph, tmp_path: Path) -> None:
    fill(tmp_path)
    done = nodegraph("cache", "clear", "--yes", "--json", "--data", tmp_path)
    assert (done.code, done.json["freed_bytes"] > 150_000) == (0, True)
    left = nodegraph("cache", "info", "--json", "--data", tmp_path).json
    assert (left["entries"], left["thumbnails"]["entries"], left["journal"]["runs"]) == (0, 1, 1)


def test_clear_all_removes_thumbnails_and_the_past_too(nodegraph: Nodegraph, tmp_path: Path) -> None:
    fill(tmp_path)
    assert " freed." in nodegraph("cache", "clear", "--all", "--yes", "--data", tmp_path).stdout
    left = nodegraph("cache", "info", "--json", "--data", tmp_path).json
    assert (left["entries"], left["thumbnails"]["entries"], left["journal"]["runs"]) == (0, 0, 0)


def leave(data: Path, key: str, days: float) -> Path:
    """Work that nobody went on with for so many days."""
    file = data / "scratch" / key / "checkpoint.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(50_000))
    for path in (file, file.parent):
        os.utime(path, (time.time() - days * 86400,) * 2)
    return file


def test_unfinished_work_is_listed_and_goes_when_it_is_forgotten(nodegraph: Nodegraph, tmp_path: Path) -> None:
    fresh, resting, forgotten = (leave(tmp_path, key * 40, days) for key, days in (("a", 0), ("b", 20), ("c", 40)))
    foreign = leave(tmp_path, "my-thesis", 400)
    assert nodegraph("cache", "info", "--json", "--data", tmp_path).json["unfinished"] == {"entries": 3, "bytes": 150_000}
    assert "unfinished work of 3 nodes, 150 kB; " in nodegraph("cache", "info", "--data", tmp_path).stdout
    told = nodegraph("cache", "gc", "--data", tmp_path).stdout.splitlines()
    assert told == ["1 node's unfinished work removed, untouched for 30 days.", "50 kB freed."]
    assert (fresh.exists(), resting.exists(), forgotten.parent.exists()) == (True, True, False)
    assert nodegraph("cache", "clear", "--yes", "--json", "--data", tmp_path).json["freed_bytes"] == 0
    assert nodegraph("cache", "clear", "--all", "--yes", "--json", "--data", tmp_path).json["freed_bytes"] == 50_000
    assert (fresh.exists(), resting.parent.exists()) == (True, False)  # what is fresh may be under way
    assert foreign.exists()


def test_gc_takes_up_and_removes_what_does_not_belong(nodegraph: Nodegraph, tmp_path: Path) -> None:
    fill(tmp_path)
    assert nodegraph("cache", "gc", "--data", tmp_path).stdout == "Everything was in order.\n"
    damaged = next(path for path in (tmp_path / "cache" / "blobs").rglob("*") if path.is_file())
    damaged.write_bytes(b"no result")
    done = nodegraph("cache", "gc", "--json", "--data", tmp_path)
    assert done.code == 0
    assert done.json["removed_files"] + done.json["removed_entries"] >= 1
    assert nodegraph("cache", "info", "--json", "--data", tmp_path).json["entries"] == 2


def test_trouble_with_the_folder_is_worded_and_ends_with_1(nodegraph: Nodegraph, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    done = nodegraph("cache", "info", "--data", tmp_path)
    assert done.code == 1
    assert "Something is wrong with the data folder." in done.stderr
    assert "Traceback" not in done.stderr


def explained(done: Any) -> dict[str, tuple[str, str]]:
    return {row["node"]: (row["state"], row["why"]) for row in done.json["nodes"]}


def test_explain_says_of_every_node_whether_it_is_there_and_what_changed(
    nodegraph: Nodegraph, workflow: Path, data: Path
) -> None:
    done = nodegraph("cache", "explain", workflow, "--json", "--data", data)
    assert set(explained(done).values()) == {("miss", "first run here")}
    nodegraph("run", workflow, "--data", data)
    done = nodegraph("cache", "explain", workflow, "--set", "sum.b=9", "--json", "--data", data)
    assert done.code == 0
    assert explained(done)["sum"] == ("miss", "b changed from 4 to 9")


def test_explain_takes_the_workflows_own_options(nodegraph: Nodegraph, workflow: Path, data: Path) -> None:
    nodegraph("run", workflow, "--data", data)
    done = nodegraph("cache", "explain", workflow, "--a", "5", "--json", "--data", data)
    assert explained(done)["a"] == ("miss", "value changed from 3 to 5")
    assert explained(done)["sum"] == ("miss", "a changed (from a)")


def test_explain_finds_a_result_on_disk_and_its_size(nodegraph: Nodegraph, data: Path, tmp_path: Path) -> None:
    Image.new("RGB", (900, 900), "red").save(tmp_path / "in.png")
    document = {**DRAWING, "nodes": {**DRAWING["nodes"]}}
    document["nodes"]["size"] = {"type": "image/resize_image", "inputs": {"width": 1800}, "links": {"image": "load.image"}}
    path = tmp_path / "w.json"
    path.write_text(json.dumps(document))
    nodegraph("run", path, "--data", data, "--out", tmp_path / "out")
    rows = {row["node"]: row for row in nodegraph("cache", "explain", path, "--json", "--data", data).json["nodes"]}
    assert (rows["save"]["state"], rows["save"]["cache"], rows["save"]["why"]) == ("hit", "disk", "on disk")
    assert rows["save"]["result_bytes"] > 1000


def test_explain_of_a_broken_workflow_lists_its_problems(nodegraph: Nodegraph, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    done = nodegraph("cache", "explain", "bad.json", "--json")
    assert (done.code, done.json["status"]) == (2, "invalid")


def test_without_a_subcommand_there_is_help(nodegraph: Nodegraph) -> None:
    done = nodegraph("cache")
    for words in ("info", "clear", "gc", "explain"):
        assert words in done.stdout + done.stderr


def test_cache_info_imports_no_engine(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom nodegraph.cli.app import app\n"
        "try: app(['cache', 'info', '--data', sys.argv[1]])\n"
        "except SystemExit: print(sorted({'torch', 'networkx', 'nodegraph.engine.engine'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
