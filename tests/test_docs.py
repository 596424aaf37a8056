"""The documentation's Python runs, and its JSON is what the program reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from server.harness import ServerProcess

from nodegraph.graph import parse_document

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for i, block in enumerate(re.findall(rf"```{language}\n(.*?)```", page.read_text("utf-8"), re.DOTALL)):
            found.append((f"{page.name}-{i}", block))
    return found


@pytest.fixture(scope="module")
def local_server(data_folder: Path) -> Iterator[None]:
    """The server that clients without an address find: that of the session's data folder."""
    with ServerProcess(data_folder):
        yield


@pytest.mark.parametrize(("place", "code"), blocks("python"), ids=[place for place, _ in blocks("python")])
def test_python_in_the_documentation_runs(
    place: str, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if "Client()" in code:
        request.getfixturevalue("local_server")
    (tmp_path / "workflows").symlink_to(ROOT / "workflows")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, place, "exec", dont_inherit=True), {"__name__": "__main__"})


def test_the_document_in_the_documentation_is_one() -> None:
    documents = [json.loads(block) for _, block in blocks("json") if '"nodegraph"' in block]
    assert documents
    for document in documents:
        parse_document(json.dumps(document))


def test_links_in_the_documentation_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
