"""`run` asks before a document from outside reads files: at a terminal by a question, elsewhere by refusing with the list."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

COMMAND = [sys.executable, "-m", "nodegraph.cli"]


@pytest.fixture
def place(tmp_path: Path, data_folder: Path) -> Path:
    """A folder with a workflow that reads the picture beside it, and a data folder that has accepted nothing."""
    Image.new("RGB", (4, 2)).save(tmp_path / "cat.png")
    nodes = {
        "load": {"type": "image/load_image", "inputs": {"path": "cat.png"}},
        "size": {"type": "image/image_size", "links": {"image": "load.image"}},
    }
    interface = {"inputs": {"picture": {"to": ["load.path"]}}, "outputs": {"width": "size.width"}}
    (tmp_path / "w.json").write_text(json.dumps({"nodegraph": 1, "nodes": nodes, "interface": interface}))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "catalog").symlink_to(data_folder / "catalog")
    return tmp_path


def run(place: Path, *more: str, command: str = "run") -> subprocess.CompletedProcess[str]:
    arguments = [*COMMAND, command, "w.json", "--data", str(place / "data"), *more]
    return subprocess.run(
        arguments, cwd=place, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, timeout=120
    )


def at_a_terminal(place: Path, answer: str) -> tuple[int, str]:
    """Run with a terminal for stdin and stderr, and give an answer."""
    theirs, ours = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "run", "w.json", "--data", str(place / "data")], cwd=place, stdin=ours, stderr=ours, stdout=subprocess.PIPE
    )
    os.close(ours)
    shown = b""
    while b"[y/N]" not in shown:
        shown += os.read(theirs, 4096)
    os.write(theirs, answer.encode() + b"\n")
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while chunk := os.read(theirs, 4096):
            shown += chunk
    out, _ = process.communicate(timeout=60)
    return process.returncode, (shown + out).decode()


def test_without_a_terminal_it_is_refused_with_what_it_wants(place: Path) -> None:
    done = run(place, "--json")
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == 2
    assert [(problem["code"], problem["node"]) for problem in report["problems"]] == [("untrusted", "load")]
    assert "cat.png" in report["problems"][0]["message"]
    assert "--trust" in report["problems"][0]["hint"]


def test_trust_is_remembered_for_the_file(place: Path) -> None:
    assert run(place, "--trust").stdout == "width: 4\n"
    assert run(place).stdout == "width: 4\n"
    assert json.loads((place / "data" / "trust.json").read_text())["accepted"]


def test_a_path_that_was_typed_needs_no_trust(place: Path) -> None:
    Image.new("RGB", (8, 2)).save(place / "dog.png")
    done = run(place, "--picture", "dog.png")
    assert (done.stdout, done.returncode) == ("width: 8\n", 0)


@pytest.mark.slow
def test_at_a_terminal_a_person_is_asked_once(place: Path) -> None:
    code, shown = at_a_terminal(place, "n")
    assert code == 2
    assert "load: It reads the file 'cat.png'." in shown
    code, shown = at_a_terminal(place, "y")
    assert code == 0, shown
    assert "width: 4" in shown
    assert run(place).returncode == 0


def test_validate_says_what_it_reads(place: Path) -> None:
    done = run(place, command="validate")
    assert done.returncode == 0
    assert "It reads the file 'cat.png'." in done.stdout
    assert json.loads(run(place, "--json", command="validate").stdout)["wants"] == [
        {"kind": "file", "name": "cat.png", "node": "load"}
    ]
