"""A real git, configured as the documentation says: it shows differences by node and merges by node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nodegraph.graph import dump_document, load_document
from nodegraph.graph.document import document_from

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

ATTRIBUTES = "*.json diff=nodegraph merge=nodegraph\n*.png diff=nodegraph\n"
WORKFLOW: dict[str, Any] = {
    "nodegraph": 1,
    "title": "Apple",
    "nodes": {
        "prompt": {"type": "core/text", "inputs": {"value": "a red apple\non a table"}},
        "joined": {"type": "core/join_text", "inputs": {"separator": " "}, "links": {"texts": ["prompt.text"]}},
    },
    "interface": {"outputs": {"text": "joined.text"}},
}


class Repository:
    """A folder under git, with both drivers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "apple.json"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GIT_")},
            **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_PAGER": "cat",
        }
        nodegraph = f"'{sys.executable}' -m nodegraph.cli"
        self("init", "-q", "-b", "main")
        self("config", "diff.nodegraph.textconv", f"{nodegraph} show")
        self("config", "merge.nodegraph.name", "nodegraph")
        self("config", "merge.nodegraph.driver", f"{nodegraph} merge %O %A %B --out %A")
        (folder / ".gitattributes").write_text(ATTRIBUTES)
        self.commit(WORKFLOW)

    def __call__(self, *arguments: str, code: int = 0) -> str:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def commit(self, workflow: dict[str, Any]) -> None:
        self.file.write_text(dump_document(document_from(workflow)))
        self("add", "-A")
        self("commit", "-q", "-m", "edit")

    def branches(self, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
        """Two branches from here, with these edits of the prompt and of the join; the first is checked out."""
        for name, edits in (("theirs", theirs), ("ours", ours)):
            self("checkout", "-q", "-b", name, "main")
            nodes = {node: {**entry, "inputs": {**entry["inputs"], **edits.get(node, {})}} for node, entry in NODES.items()}
            self.commit({**WORKFLOW, "nodes": nodes})


NODES = WORKFLOW["nodes"]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.mark.slow
def test_two_branches_that_edit_neighbouring_inputs_merge(repository: Repository) -> None:
    repository.branches({"joined": {"separator": ", "}}, {"prompt": {"value": "a pear"}, "joined": {"limit": 3}})
    repository("merge", "-q", "--no-edit", "theirs")
    document = load_document(repository.file)
    assert document.nodes["prompt"].inputs == {"value": "a pear"}
    assert document.nodes["joined"].inputs == {"separator": ", ", "limit": 3}
    assert repository("status", "--porcelain") == ""


@pytest.mark.slow
def test_a_conflict_is_told_and_leaves_a_workflow_that_opens(repository: Repository) -> None:
    repository.branches({"joined": {"separator": ", "}}, {"joined": {"separator": "; "}, "prompt": {"value": "a pear"}})
    said = repository("merge", "--no-edit", "theirs", code=1)
    assert "joined.separator" in said
    assert "theirs " in said
    assert '"; "' in said
    document = load_document(repository.file)
    assert document.nodes["joined"].inputs["separator"] == ", "
    assert document.nodes["prompt"].inputs["value"] == "a pear"
    assert repository("status", "--porcelain").startswith("UU apple.json")
    repository("checkout", "--theirs", "apple.json")
    assert load_document(repository.file).nodes["joined"].inputs["separator"] == "; "


@pytest.mark.slow
def test_a_file_that_is_broken_on_one_side_is_a_conflict_and_stays_as_it_was(repository: Repository) -> None:
    repository.branches({"joined": {"separator": ", "}}, {"prompt": {"value": "a pear"}})
    before = repository.file.read_text()
    repository("checkout", "-q", "theirs")
    repository.file.write_text("{")
    repository("commit", "-q", "-a", "-m", "broken")
    repository("checkout", "-q", "ours")
    assert "This is not JSON" in repository("merge", "--no-edit", "theirs", code=1)
    assert repository.file.read_text() == before


@pytest.mark.slow
def test_both_sides_may_add_the_file(repository: Repository) -> None:
    for name, title in (("theirs", "Pear"), ("ours", "Pear")):
        repository("checkout", "-q", "-b", name, "main")
        more = {"steps": 1} if name == "ours" else {"width": 2}
        repository.file.with_name("new.json").write_text(
            dump_document(document_from({"title": title, "nodes": {name: {"type": "core/text", "inputs": more}}}))
        )
        repository("add", "-A")
        repository("commit", "-q", "-m", "new")
    repository("merge", "--no-edit", "theirs")
    assert set(load_document(repository.file.with_name("new.json")).nodes) == {"ours", "theirs"}


@pytest.mark.slow
def test_git_shows_differences_by_node(repository: Repository) -> None:
    nodes = json.loads(json.dumps(WORKFLOW["nodes"]))
    nodes["prompt"]["inputs"]["value"] = "a red apple\non a chair"
    moved = {**WORKFLOW, "nodes": nodes, "layout": {"nodes": {"prompt": [1, 2]}}}
    repository.file.write_text(dump_document(document_from(moved)))
    lines = [line for line in repository("diff", "-U0").splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert lines == ["-    | on a table", "+    | on a chair"]
    repository.file.write_text("{ broken")
    assert "+{ broken" in repository("diff")
