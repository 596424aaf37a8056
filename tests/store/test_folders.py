"""A folder that a node reads is known by the names and the content of what lies in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from engine.graphs import entry, values
from engine.test_engine_edges import lab_of

from nodegraph import FolderPath, node
from nodegraph.store import Digests, Roots
from nodegraph.store.files import folder_parts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("a.png", "one"), ("deep/b.jpg", "two"), (".hidden", "x")):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text(text)
    return tmp_path / "set"


def digest(folder: Path) -> str:
    return Digests().of(folder, data=True)


def test_content_and_names_count_and_times_and_hidden_files_do_not(folder: Path) -> None:
    before = digest(folder)
    os.utime(folder / "a.png", (1, 1))
    (folder / ".hidden").write_text("y")
    assert digest(folder) == before
    (folder / "a.png").write_text("eno")
    changed = digest(folder)
    (folder / "a.png").write_text("one")
    (folder / "a.png").rename(folder / "c.png")
    assert len({before, changed, digest(folder)}) == 3


def test_a_folder_is_read_again_only_when_something_in_it_changed(folder: Path, tmp_path: Path) -> None:
    digests, read = Digests(tmp_path / "memory"), list[int]()
    digests.of(folder, read.append, data=True)
    assert sum(read) == 6
    digests.remember()
    read.clear()
    Digests(tmp_path / "memory").of(folder, read.append, data=True)
    assert read == []
    (folder / "a.png").write_text("three")
    digests.of(folder, read.append, data=True)
    assert read == [5]


def test_links_that_lead_out_are_no_part_of_a_folder(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (folder / "out.png").symlink_to(tmp_path / "secret")
    (folder / "in.png").symlink_to(folder / "a.png")
    assert [part.name for part in folder_parts(folder)] == ["a.png", "in.png", "b.jpg"]


async def test_a_node_that_reads_a_folder_runs_again_when_a_file_is_added(folder: Path) -> None:
    @node(output_name="count")
    def count(path: FolderPath) -> int:
        return sum(one.is_file() for one in path.rglob("*")) if path.is_dir() else -1

    lab = await lab_of([count], folder.parent)
    nodes = {"c": entry("count", path="set")}
    assert values(await lab.run(nodes)) == {"c": 3}
    (folder / "d.png").write_text("new")
    (folder.parent / "one").write_text("an archive")
    assert values(await lab.run(nodes)) == {"c": 4}
    assert values(await lab.run({"c": entry("count", path="one")})) == {"c": -1}


def test_reading_a_folder_by_a_documents_own_doing_needs_consent(folder: Path) -> None:
    roots = Roots(files=[folder.parent])
    assert roots.may_read("set")
    assert not roots.may_read("set", ["set"])
