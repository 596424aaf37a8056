"""`run --lock`, `run --locked` and `verify`: locked in one process, held against another one's packs, files and device."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli.conftest import Nodegraph
from cli.test_commands import DRAWING
from nodegraph import load
from nodegraph.api.paths import shipped

SEEDS: dict[str, Any] = {
    "nodes": {"seeds": {"type": "core/seed_list", "inputs": {"seed": 1, "count": 2}}},
    "interface": {"inputs": {"seed": {"to": ["seeds.seed"]}}, "outputs": {"seeds": "seeds.seeds"}},
}


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    Image.new("RGB", (6, 4), "red").save(tmp_path / "in.png")
    return written(tmp_path / "small.json", DRAWING)


def written(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"nodegraph": 1, **document}))
    return path


def lock_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())["lock"]
    return found


def edit(path: Path, *place: str, value: Any) -> None:
    """Put a value into a document at a place, as with an editor."""
    data = json.loads(path.read_text())
    inner = data
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    path.write_text(json.dumps(data))


# ---- one process: files, options, what is printed ----


def test_a_lock_is_saved_in_the_workflows_file_and_in_its_pictures(nodegraph: Nodegraph, drawing: Path) -> None:
    done = nodegraph("run", drawing, "--lock", "--json", "--out", drawing.parent)
    assert (done.code, done.stderr) == (0, "")
    assert done.json["locked"] == str(drawing)
    picture = Path(done.json["outputs"]["image"][0]["path"])
    assert load(picture).document.lock == load(drawing).document.lock == lock_of(drawing)
    assert load(drawing).to_json() == drawing.read_text()
    computing = {"accelerate", "diffusers", "einops", "numpy", "pillow", "safetensors", "torch", "transformers"}
    assert set(lock_of(drawing)["runtime"]["libraries"]) == computing  # nothing of what the system itself is built on
    for file in (drawing, picture):
        verified = nodegraph("verify", file, "--json")
        assert (verified.code, verified.json["status"]) == (0, "same")


def test_a_lock_is_told_in_words(nodegraph: Nodegraph, drawing: Path) -> None:
    assert "small.json is locked: 1 pack, 0 models, 1 input file" in nodegraph("run", drawing, "--lock").stderr
    done = nodegraph("verify", drawing)
    assert done.stdout.splitlines()[-1] == f"{drawing} can run here as it was locked."
    assert "inputs.in.png.sha256" in done.stdout


def test_the_file_keeps_the_values_that_were_locked(nodegraph: Nodegraph, tmp_path: Path) -> None:
    path = written(tmp_path / "seeds.json", SEEDS)
    seed = nodegraph("run", path, "--seed", "random", "--lock", "--json").json["inputs"]["seed"]
    again = nodegraph("run", path, "--locked", "--json")
    assert again.json["outputs"]["seeds"] == [{"value": [seed, seed + 1]}]


def test_options_of_a_locked_run_are_no_edits(nodegraph: Nodegraph, drawing: Path) -> None:
    nodegraph("run", drawing, "--lock")
    before = drawing.read_bytes()
    done = nodegraph("run", drawing, "--locked", "--width", "2", "--json", "--out", drawing.parent)
    assert done.code == 0
    assert Image.open(done.json["outputs"]["image"][0]["path"]).width == 2
    assert nodegraph("verify", done.json["outputs"]["image"][0]["path"]).code == 0
    assert drawing.read_bytes() == before


def test_another_input_file_is_refused_before_anything_runs(nodegraph: Nodegraph, drawing: Path) -> None:
    nodegraph("run", drawing, "--lock", "--out", "first")
    Image.new("RGB", (6, 4), "blue").save(drawing.parent / "in.png")
    done = nodegraph("run", drawing, "--locked", "--json", "--out", "second")
    assert done.code == 2
    (problem,) = done.json["problems"]
    assert (problem["code"], problem["node"]) == ("lock_mismatch", "lock.inputs.in.png.sha256")
    assert {"expected", "got", "hint"} <= set(problem)
    assert not Path("second").exists()
    told = nodegraph("verify", drawing)
    assert told.code == 1
    assert "lock.inputs.in.png.sha256: The input file in.png is not the one that was locked." in told.stderr
    fields = {row["field"]: row["state"] for row in nodegraph("verify", drawing, "--json").json["fields"]}
    assert [place for place, state in fields.items() if state != "same"] == ["inputs.in.png.sha256"]


def test_an_edited_workflow_is_refused_by_its_nodes(nodegraph: Nodegraph, drawing: Path) -> None:
    nodegraph("run", drawing, "--lock")
    edit(drawing, "nodes", "size", "inputs", "width", value=5)
    edit(drawing, "title", value="Another title")
    (problem,) = nodegraph("run", drawing, "--locked", "--json").json["problems"]
    assert problem["node"] == "lock.document.size"


def test_what_is_good_to_know_is_told_and_the_run_goes_on(nodegraph: Nodegraph, drawing: Path) -> None:
    nodegraph("run", drawing, "--lock")
    edit(drawing, "lock", "runtime", "python", value="3.9.1")
    assert "runtime.python: 3.9.1 when it was locked" in nodegraph("run", drawing, "--locked").stderr
    done = nodegraph("run", drawing, "--locked", "--json")
    assert (done.code, done.stderr) == (0, "")
    assert [row["field"] for row in done.json["notes"]] == ["runtime.python"]
    assert nodegraph("verify", drawing).code == 0


@pytest.mark.parametrize("command", [["run", "--locked"], ["verify"]])
def test_without_a_lock_it_is_said_how_to_make_one(nodegraph: Nodegraph, drawing: Path, command: list[str]) -> None:
    done = nodegraph(command[0], drawing, *command[1:])
    assert done.code == 2
    assert "nodegraph run FILE --lock" in done.stderr


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("lock",), {"packs": {}}),
        (("lock",), {"nonsense": [1, {"a": None}]}),
        (("lock", "packs"), "all of them"),
        (("lock", "inputs", "in.png", "sha256"), "../../etc"),
        (("lock", "inputs", "in.png"), 3),
        (("lock", "runtime", "device"), [1]),
        (("lock", "runtime", "libraries"), {"torch": None}),
        (("lock", "document"), {"load": 1}),
        (("lock", "format"), 2),
    ],
)
def test_nonsense_in_a_lock_is_wrong_input(nodegraph: Nodegraph, drawing: Path, place: tuple[str, ...], value: Any) -> None:
    nodegraph("run", drawing, "--lock")
    edit(drawing, *place, value=value)
    for command in (["verify", drawing, "--json"], ["run", drawing, "--locked", "--json"]):
        done = nodegraph(*command)
        assert (done.code, done.error) == (2, None)
        assert {problem["code"] for problem in done.json["problems"]} == {"bad_lock"}
    assert nodegraph("run", drawing, "--lock").code == 0  # whatever was there is replaced
    assert nodegraph("verify", drawing).code == 0


@pytest.mark.parametrize("name", ["../outside.png", "/etc/hostname", "gone.png", "x" * 5000, "nul\0"])
def test_a_lock_can_name_no_file_outside_the_roots(nodegraph: Nodegraph, drawing: Path, name: str) -> None:
    (drawing.parent.parent / "outside.png").write_text("")
    nodegraph("run", drawing, "--lock")
    edit(drawing, "lock", "inputs", name, value={"sha256": "0" * 64})
    done = nodegraph("verify", drawing, "--json")
    assert (done.code, done.error) == (1, None)
    assert [row["state"] for row in done.json["fields"] if row["field"] == f"inputs.{name}"] == ["missing"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--lock", "--locked"], "--lock"),
        (["--lock", "--plan"], "--plan runs nothing"),
        (["--lock", "--only", "size"], "only a part"),
        (["--lock", "--batched"], "batches"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    nodegraph: Nodegraph, drawing: Path, options: list[str], says: str
) -> None:
    nodegraph("run", drawing, "--lock")
    before = drawing.read_bytes()
    done = nodegraph("run", drawing, *options)
    assert done.code == 2
    assert says in done.stderr
    assert drawing.read_bytes() == before


def test_a_picture_is_not_locked_itself(nodegraph: Nodegraph, drawing: Path) -> None:
    picture = nodegraph("run", drawing, "--json").json["outputs"]["image"][0]["path"]
    before = Path(picture).read_bytes()
    done = nodegraph("run", picture, "--lock")
    assert done.code == 2
    assert "is a picture" in done.stderr
    assert Path(picture).read_bytes() == before


def test_a_failed_run_locks_nothing(nodegraph: Nodegraph, drawing: Path) -> None:
    (drawing.parent / "in.png").write_text("no picture")
    before = drawing.read_bytes()
    assert nodegraph("run", drawing, "--lock").code == 1
    assert drawing.read_bytes() == before


def test_a_plan_of_a_locked_run_is_held_against_the_lock(nodegraph: Nodegraph, drawing: Path) -> None:
    nodegraph("run", drawing, "--lock")
    assert nodegraph("run", drawing, "--locked", "--plan").code == 0
    Image.new("RGB", (6, 4), "blue").save(drawing.parent / "in.png")
    assert nodegraph("run", drawing, "--locked", "--plan").code == 2


# ---- several processes: packs ----

PACK = """
from pathlib import Path
from nodegraph import node

@node()
def double(x: int) -> int:
    return {number} * x

@node()
def meddle(path: str) -> int:
    Path(path).write_text(Path(path).read_text() + " ")
    return 1
"""


def install(folder: Path, release: str, number: int = 2) -> Path:
    """Put a pack into a folder as pip would."""
    info = folder / f"good_pack-{release}.dist-info"
    info.mkdir(parents=True)
    needs = ["NumPy >=1", "pillow; extra == 'x'", "rich"]
    metadata = [
        "Metadata-Version: 2.1",
        "Name: good-pack",
        f"Version: {release}",
        *(f"Requires-Dist: {name}" for name in needs),
    ]
    (info / "METADATA").write_text("\n".join(metadata) + "\n")
    (info / "entry_points.txt").write_text("[nodegraph.packs]\ngood = good_pack\n")
    (folder / "good_pack.py").write_text(PACK.format(number=number))
    return folder


def process(path: Path | None, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    command = [sys.executable, "-m", "nodegraph.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    assert "Traceback" not in done.stderr
    return done


def verified(path: Path | None, file: Path) -> dict[str, tuple[Any, Any]]:
    """What `verify` finds different, in a process of its own: expected and got, by field."""
    done = process(path, "verify", file, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == (1 if found["status"] == "different" else 0)
    return {row["field"]: (row["expected"], row["got"]) for row in found["fields"] if row["state"] != "same"}


@pytest.mark.slow
def test_packs_are_locked_with_version_and_source(tmp_path: Path) -> None:
    file = written(tmp_path / "w.json", {"nodes": {"two": {"type": "good/double", "inputs": {"x": 1}}}})
    first = install(tmp_path / "first", "1.0")
    assert process(first, "run", file, "--trust", "--lock").returncode == 0
    locked = lock_of(file)["packs"]["good"]
    assert (locked["distribution"], locked["version"]) == ("good-pack", "1.0")
    assert lock_of(file)["runtime"]["libraries"] == {"numpy": version("numpy")}
    assert verified(first, file) == {}

    newer = install(tmp_path / "newer", "2.0")
    assert verified(newer, file) == {"packs.good.version": ("1.0", "2.0")}

    edited = install(tmp_path / "edited", "1.0", number=3)
    assert list(verified(edited, file)) == ["packs.good.source"]
    refused = process(edited, "run", file, "--trust", "--locked")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "lock.packs.good.source" in refused.stderr

    assert verified(None, file) == {"packs.good": ("good-pack 1.0", None)}
    gone = process(None, "run", file, "--locked")
    assert gone.returncode == 2
    assert 'pip install "good-pack==1.0"' in gone.stderr


def test_a_file_that_changes_while_its_workflow_runs_is_not_overwritten(tmp_path: Path) -> None:
    pack = install(tmp_path / "pack", "1.0")
    file = written(tmp_path / "w.json", {"nodes": {"m": {"type": "good/meddle", "inputs": {"path": str(tmp_path / "w.json")}}}})
    before = file.read_text()
    done = process(pack, "run", file, "--trust", "--lock", "--json")
    assert done.returncode == 1
    assert [problem["code"] for problem in json.loads(done.stdout)["problems"]] == ["stale_revision"]
    assert file.read_text() == before + " "


# ---- a model and a device ----


@pytest.mark.slow
def test_a_locked_picture_is_made_again_byte_for_byte_and_another_environment_is_named(
    nodegraph: Nodegraph, tmp_path: Path, data: Path
) -> None:
    file = tmp_path / "apple.json"
    file.write_bytes((shipped("workflows") / "text_to_image.json").read_bytes())
    options = ("--data", data, "--no-cache", "--json")
    done = process(None, "run", file, "--steps", "3", "--seed", "5", "--lock", "--out", tmp_path / "a", *options)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)["outputs"]["image"][0]
    again = process(None, "run", made["path"], "--locked", "--out", tmp_path / "b", *options)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["nodes"]["decode"]["state"] == "computed"
    assert json.loads(again.stdout)["outputs"]["image"][0]["digest"] == made["digest"]
    assert nodegraph("run", file, "--locked", *options).json["outputs"]["image"][0]["digest"] == made["digest"]

    lock = lock_of(file)
    assert set(lock["packs"]) == {"diffusion", "image"}
    assert lock["models"]["starter"]["origin"] == "nodegraph itself"
    device = lock["runtime"]["device"]
    assert {"kind", "dtype", "libraries", "about"} == set(device)
    assert "torch" in device["libraries"]

    edit(file, "lock", "runtime", "device", "libraries", "torch", value="1.0")
    edit(file, "lock", "runtime", "device", "kind", value="mps")
    edit(file, "lock", "runtime", "device", "dtype", value="float8")
    edit(file, "lock", "runtime", "device", "about", value={"name": "Another GPU"})
    refused = nodegraph("run", file, "--locked", *options)
    assert refused.code == 2
    fields = ["kind", "dtype", "libraries.torch"]
    problems = refused.json["problems"]
    assert [problem["node"] for problem in problems] == [f"lock.runtime.device.{name}" for name in fields]
    assert [problem["expected"] for problem in problems] == ["mps", "float8", "1.0"]
