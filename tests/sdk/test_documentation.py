"""Documentation that packs ship: where it is looked for, and that nothing is imported for it."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from nodegraph.graph import catalog as catalog_module
from nodegraph.graph import installed_catalog
from nodegraph.sdk.documentation import MOST_TEXT_BYTES, docs_folder, documented_nodes

SOURCE = """
from nodegraph import node

@node()
def told(x: int) -> int:
    return x

@node()
def untold(x: int) -> int:
    return x
"""


def point(module: str) -> EntryPoint:
    return EntryPoint("documented", module, "nodegraph.packs")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from; importing one of them is an error."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    assert not [name for name in sys.modules if name.startswith("documented_")]


def package(folder: Path, *files: str) -> Path:
    for name in ("__init__.py", *files):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("raise RuntimeError('imported')" if file.suffix == ".py" else "# Told")
    return folder


@pytest.mark.parametrize(
    ("module", "files", "found"),
    [
        ("documented_1", ["docs/told.md"], "documented_1/docs"),
        ("documented_2.nodes", ["nodes.py", "docs/told.md"], "documented_2/docs"),
        ("documented_3.nodes", ["nodes/__init__.py", "nodes/docs/told.md", "docs/other.md"], "documented_3/nodes/docs"),
        ("documented_4.nodes", ["nodes/__init__.py", "docs/other.md"], None),
        ("documented_5.nodes", ["nodes.py"], None),
        ("documented_6", ["docs.md"], None),
    ],
)
def test_documentation_lies_beside_the_packs_module(site: Path, module: str, files: list[str], found: str | None) -> None:
    package(site / module.split(".")[0], *files)
    assert docs_folder(point(module)) == (site / found if found else None)


def test_a_module_in_no_package_and_one_that_is_gone_have_none(site: Path) -> None:
    (site / "documented_7.py").write_text("")
    package(site / "docs", "told.md")
    assert docs_folder(point("documented_7")) is None
    assert docs_folder(point("documented_8.nodes")) is None


def test_a_pack_in_an_archive_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "site.zip", "w") as archive:
        archive.writestr("documented_9/__init__.py", "")
        archive.writestr("documented_9/docs/told.md", "# Told")
    monkeypatch.syspath_prepend(tmp_path / "site.zip")
    assert docs_folder(point("documented_9")) is None


def test_nodes_are_documented_by_a_file_of_their_name(site: Path) -> None:
    folder = package(site / "documented_10", "docs/told.md", "docs/large.md", "docs/picture.png", "docs/sub/inner.md")
    (folder / "docs" / "large.md").write_bytes(b" " * (MOST_TEXT_BYTES + 1))
    assert documented_nodes(point("documented_10")) == {"told"}


def test_the_catalog_says_which_nodes_are_documented_also_after_that_changed(
    site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = site / "documented_11"
    package(folder, "docs/told.md")
    (folder / "__init__.py").write_text(SOURCE)
    info = site / "documented-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: documented\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nodegraph.packs]\ndocumented = documented_11\n")
    monkeypatch.setattr(catalog_module, "installed_packs", lambda: {"documented": point("documented_11")})
    monkeypatch.setenv("PYTHONPATH", str(site))

    def documented() -> dict[str, bool]:
        return {name: spec.docs for name, spec in installed_catalog(tmp_path / "cache").nodes.items()}

    assert documented() == {"documented/told": True, "documented/untold": False}
    (folder / "docs" / "told.md").rename(folder / "docs" / "untold.md")
    assert documented() == {"documented/told": False, "documented/untold": True}
