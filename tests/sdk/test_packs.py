"""Installed packs: described apart and remembered, and a broken one fails alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nodegraph.graph import Catalog, installed_catalog
from nodegraph.graph import catalog as catalog_module
from nodegraph.sdk import pack as pack_module

WORKFLOW = Path(__file__).parents[2] / "workflows" / "text_to_image.json"


def install(folder: Path, name: str, source: str, module: str = "") -> None:
    """Put a pack into a folder as pip would."""
    module = module or f"{name}_pack"
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[nodegraph.packs]\n{name} = {module}\n")
    (folder / f"{module}.py").write_text(source)


GOOD = """
from nodegraph import node

print("packs may print while they are imported")

@node()
def double(x: int) -> int:
    \"\"\"Twice.\"\"\"
    return 2 * x
"""


def command(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False, timeout=120
    )


def nodegraph(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command(path, "-m", "nodegraph.cli", *arguments)


def test_a_pack_is_found_by_its_entry_point_and_what_it_prints_does_no_harm(tmp_path: Path) -> None:
    install(tmp_path, "good", GOOD)
    done = nodegraph(tmp_path, "nodes", "good/double", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["nodes"]["good/double"]["description"] == "Twice."


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("import a_library_that_is_missing", "a_library_that_is_missing"),
        ("def broken(:", "SyntaxError"),
        ("from nodegraph import node\n@node()\ndef f(x: bytes) -> int: ...", "neither a JSON-like type nor a socket type"),
        ("raise SystemExit(3)", "exit code 3"),
    ],
    ids=["missing library", "syntax error", "bad signature", "exit"],
)
def test_a_pack_that_cannot_be_imported_fails_alone(tmp_path: Path, source: str, says: str) -> None:
    install(tmp_path, "bad", source)
    listed = nodegraph(tmp_path, "nodes", "--json")
    found = json.loads(listed.stdout)
    assert listed.returncode == 0
    assert "core/integer" in found["nodes"]
    assert list(found["broken"]) == ["bad"]
    assert says in found["broken"]["bad"]


def test_a_workflow_that_needs_a_broken_pack_says_why_it_is_broken(tmp_path: Path) -> None:
    install(tmp_path, "bad", "import a_library_that_is_missing")
    (tmp_path / "w.json").write_text('{"nodes": {"a": {"type": "bad/thing"}}}')
    done = nodegraph(tmp_path, "validate", str(tmp_path / "w.json"), "--json")
    (problem,) = json.loads(done.stdout)["problems"]
    assert done.returncode == 2
    assert problem["code"] == "broken_pack"
    assert "a_library_that_is_missing" in problem["message"]


def test_two_packs_of_one_name_are_an_error_that_names_both(tmp_path: Path) -> None:
    install(tmp_path / "one", "twin", GOOD, "first_module")
    install(tmp_path / "two", "twin", GOOD, "second_module")
    (tmp_path / "two" / "twin-1.0.dist-info").rename(tmp_path / "two" / "other-1.0.dist-info")
    (tmp_path / "two" / "other-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    done = nodegraph(Path(f"{tmp_path / 'one'}:{tmp_path / 'two'}"), "nodes", "--json")
    (problem,) = json.loads(done.stdout)["problems"]
    assert done.returncode == 2
    assert "first_module" in problem["message"]
    assert "second_module" in problem["message"]


def test_validating_imports_no_pack_and_no_torch(data_folder: Path) -> None:
    installed_catalog(data_folder / "catalog")
    script = (
        "import sys\n"
        "from nodegraph.cli.check import validate_command\n"
        f"code = validate_command(__import__('pathlib').Path({str(WORKFLOW)!r}), False, None)\n"
        "heavy = {'torch', 'numpy', 'PIL', 'nodegraph_nodes', 'diffusers', 'transformers'} & set(sys.modules)\n"
        "sys.exit(code or (f'imported {heavy}' if heavy else 0))"
    )
    done = command(Path(), "-c", script)
    assert done.returncode == 0, done.stderr


# ---- the cache of descriptions ----


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Two installed packs whose description is pretended; the list holds which packs each process was asked for."""
    commands: list[list[str]] = []

    class Point:
        def __init__(self, name: str) -> None:
            self.name = self.module = name
            self.dist = None

    def run(arguments: list[str], **options: Any) -> Any:
        commands.append(arguments[3:])
        parts = [{"pack": name, "nodes": [], "sockets": [], "migrations": []} for name in arguments[3:]]
        return subprocess.CompletedProcess(arguments, 0, "\n".join(map(json.dumps, parts)), "")

    monkeypatch.setattr(catalog_module, "installed_packs", lambda: {"a": Point("a"), "b": Point("b")})
    monkeypatch.setattr(catalog_module, "source_digest", lambda point: "digest")
    monkeypatch.setattr(catalog_module.subprocess, "run", run)
    return commands


def test_a_description_is_made_once_per_pack(tmp_path: Path, described: list[list[str]]) -> None:
    assert installed_catalog(tmp_path / "cache") == Catalog({}, {}, {})
    installed_catalog(tmp_path / "cache")
    assert described == [["a", "b"]]


def test_other_source_is_described_anew_and_the_old_description_goes(
    tmp_path: Path, described: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_catalog(tmp_path)
    monkeypatch.setattr(catalog_module, "source_digest", lambda point: "other")
    installed_catalog(tmp_path)
    assert described == [["a", "b"], ["a", "b"]]
    assert {path.name.split("-")[1] for path in tmp_path.iterdir()} == {"other"}


@pytest.mark.parametrize("content", ["", "{", "null", "[]", "{}", '{"pack": "a"}'])
def test_a_damaged_description_is_made_again(tmp_path: Path, described: list[list[str]], content: str) -> None:
    installed_catalog(tmp_path)
    for path in tmp_path.glob("a-*"):
        path.write_text(content)
    installed_catalog(tmp_path)
    assert described == [["a", "b"], ["a"]]


def test_packs_that_cannot_be_imported_are_asked_for_once(
    tmp_path: Path, described: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = catalog_module.subprocess.run

    def run(arguments: list[str], **options: Any) -> Any:
        asked(arguments, **options)
        lines = [json.dumps({"pack": name, "error": f"no {name}"}) for name in arguments[3:]]
        return subprocess.CompletedProcess(arguments, 0, "\n".join(lines), "")

    monkeypatch.setattr(catalog_module.subprocess, "run", run)
    assert installed_catalog(tmp_path).broken == {"a": "no a", "b": "no b"}
    assert described == [["a", "b"]]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("printed", ["", '{"pack": "a", "no', '{"pack": "a", "nodes": [], "sockets": [], "migrations": []}'])
def test_what_a_process_that_ends_early_leaves_out_is_described_alone(
    tmp_path: Path, described: list[list[str]], monkeypatch: pytest.MonkeyPatch, printed: str
) -> None:
    alone = catalog_module.subprocess.run

    def run(arguments: list[str], **options: Any) -> Any:
        done = alone(arguments, **options)
        return subprocess.CompletedProcess(arguments, -9, printed, "") if len(arguments) > 4 else done

    monkeypatch.setattr(catalog_module.subprocess, "run", run)
    assert installed_catalog(tmp_path).broken == {}
    assert described == [["a", "b"], *([] if printed.endswith("}") else [["a"]]), ["b"]]


def test_where_nothing_can_be_written_the_catalog_is_there_all_the_same(tmp_path: Path, described: list[list[str]]) -> None:
    (tmp_path / "file").write_text("")
    assert installed_catalog(tmp_path / "file" / "cache").broken == {}


def test_the_digest_of_a_pack_follows_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "some_pack_for_digests"
    package.mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    class Point:
        name, module = "x", "some_pack_for_digests.nodes"

    def digest_with(**files: str) -> str:
        for name, text in {"__init__": "", **files}.items():
            (package / f"{name}.py").write_text(text)
        return pack_module.source_digest(Point())  # type: ignore[arg-type]

    first = digest_with(nodes="a = 1")
    assert digest_with(nodes="a = 1") == first
    assert len({first, digest_with(nodes="a = 2"), digest_with(nodes="a = 1", more="")}) == 3
    assert "some_pack_for_digests.nodes" not in sys.modules
