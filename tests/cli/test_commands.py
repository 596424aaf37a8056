"""The commands when all goes well: what they print, and as what."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli.conftest import SUM, Nodegraph
from nodegraph.artifacts import embed, extract
from nodegraph.cli.flags import OWN_OPTIONS

DRAWING: dict[str, Any] = {
    "title": "Small",
    "nodes": {
        "load": {"type": "image/load_image", "inputs": {"path": "in.png"}},
        "size": {"type": "image/resize_image", "inputs": {"width": 3}, "links": {"image": "load.image"}},
        "save": {"type": "image/save_image", "inputs": {"name": "{workflow}-{width}"}, "links": {"image": "size.image"}},
    },
    "interface": {
        "inputs": {"width": {"to": ["size.width"]}, "path": {"to": ["load.path"]}},
        "outputs": {"image": "save.file"},
    },
}


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    Image.new("RGB", (6, 4), "red").save(tmp_path / "in.png")
    path = tmp_path / "small.json"
    path.write_text(json.dumps(DRAWING))
    return path


def test_a_run_prints_its_outputs_on_stdout(nodegraph: Nodegraph, workflow: Path) -> None:
    done = nodegraph("run", workflow)
    assert done.code == 0
    assert done.stdout.splitlines() == [
        "sum: 7",
        "flag: true",
        "seeds: [1, 2]",
        "real: 0.5",
        "how: 8",
        'words: "x"',
        'texts: "a, b"',
    ]


def test_a_run_as_json_is_one_object(nodegraph: Nodegraph, workflow: Path) -> None:
    done = nodegraph("run", workflow, "--json")
    assert (done.code, done.stderr) == (0, "")
    assert list(done.json) == ["status", "outputs", "inputs", "nodes", "seconds"]
    assert done.json["status"] == "succeeded"
    assert done.json["outputs"]["sum"] == [{"value": 7}]
    assert done.json["inputs"]["guidance_scale"] == 0.5
    assert set(done.json["nodes"]) == set(SUM["nodes"])
    assert set(done.json["nodes"]["sum"]) == {"type", "state", "reason", "ms", "key", "bytes"}
    assert done.json["seconds"] >= 0


def outputs(nodegraph: Nodegraph, *arguments: str | Path) -> dict[str, Any]:
    done = nodegraph("run", *arguments, "--json")
    assert done.code == 0, done.stdout
    return {name: rows[0].get("value", rows[0]) for name, rows in done.json["outputs"].items()}


@pytest.mark.parametrize(
    ("flags", "output", "value"),
    [
        (["--a", "10"], "sum", 14),
        (["--a=10"], "sum", 14),
        (["--a", "-10"], "sum", -6),
        (["--guidance-scale", "2"], "real", 2.0),
        (["--guidance_scale", "2.5"], "real", 2.5),
        (["--guidance-scale", "1e-3"], "real", 0.001),
        (["--flag"], "flag", True),
        (["--no-flag"], "flag", False),
        (["--flag=false"], "flag", False),
        (["--flag", "no"], "flag", False),
        (["--flag", "--a", "1"], "sum", 5),
        (["--how", "subtract"], "how", 4),
        (["--words", "two words = ä"], "words", "two words = ä"),
        (["--words", ""], "words", ""),
        (["--words=--dashes"], "words", "--dashes"),
        (["--words", "null"], "words", "null"),
        (["--texts", '["x", "y"]'], "texts", "x, y"),
        (["--seed", "4294967294"], "seeds", [4294967294, 4294967295]),
        (["--set", "sum.b=10"], "sum", 13),
        (["--set", "sum.a=1"], "sum", 5),
        (["--set", "sum.b=10", "--set", "sum.operation=multiply"], "sum", 30),
        (["--set", "words.value=a=b"], "words", "a=b"),
        (["--a", "1", "--a", "2"], "sum", 6),
    ],
    ids=str,
)
def test_options_set_inputs(nodegraph: Nodegraph, workflow: Path, flags: list[str], output: str, value: Any) -> None:
    assert outputs(nodegraph, workflow, *flags)[output] == value


@pytest.mark.parametrize("text", ["", "none", "null"])
def test_a_file_that_is_not_needed_can_be_left_out(nodegraph: Nodegraph, tmp_path: Path, text: str) -> None:
    Image.new("RGB", (6, 4), "red").save(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("a red flag")
    path = tmp_path / "set.json"
    read = {"type": "training/load_pictures", "inputs": {"pictures": str(tmp_path), "captions": "gone.jsonl"}}
    faces = {"inputs": {"captions": {"to": ["read.captions"]}}, "outputs": {"data": "read.data"}}
    path.write_text(json.dumps({"title": "Set", "nodes": {"read": read}, "interface": faces}))
    assert "gone.jsonl" in nodegraph("run", path).stderr
    assert nodegraph("run", path, "--captions", text).code == 0


def test_a_random_seed_is_drawn_used_and_reported(nodegraph: Nodegraph, workflow: Path) -> None:
    def run() -> tuple[int, list[int]]:
        done = nodegraph("run", workflow, "--seed", "random", "--set", "seeds.count=1", "--json")
        return done.json["inputs"]["seed"], done.json["outputs"]["seeds"][0]["value"]

    (first, used), (second, _) = run(), run()
    assert used == [first]
    assert 0 <= first < 2**32
    assert first != second  # one in four billion


def test_running_leaves_the_workflow_file_alone(nodegraph: Nodegraph, workflow: Path) -> None:
    before = workflow.read_bytes()
    nodegraph("run", workflow, "--a", "9")
    assert workflow.read_bytes() == before


def test_only_runs_what_one_node_needs(nodegraph: Nodegraph, workflow: Path) -> None:
    done = nodegraph("run", workflow, "--only", "sum", "--only", "real.value", "--json")
    assert done.json["outputs"] == {"sum.value": [{"value": 7}], "real.value": [{"value": 0.5}]}
    assert {name for name, row in done.json["nodes"].items() if row["state"] == "computed"} == {"a", "sum", "real"}


def test_explain_has_a_row_per_node(nodegraph: Nodegraph, workflow: Path) -> None:
    done = nodegraph("run", workflow, "--only", "sum", "--explain")
    rows = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines() if line.split()[0] in SUM["nodes"]}
    assert rows == dict.fromkeys(SUM["nodes"], "not_needed") | {"a": "computed", "sum": "computed"}


def test_quiet_prints_only_the_outputs(nodegraph: Nodegraph, workflow: Path) -> None:
    assert nodegraph("run", workflow, "--only", "sum", "--quiet").stdout == "sum.value: 7\n"


# ---- files ----


def test_saved_files_are_listed_with_their_digest_and_carry_the_workflow_as_it_ran(
    nodegraph: Nodegraph, drawing: Path, tmp_path: Path
) -> None:
    row = outputs(nodegraph, drawing, "--width", "2", "--out", tmp_path / "new")["image"]
    assert Path(row["path"]) == tmp_path / "new" / "Small-2.png"
    assert row["digest"].startswith("sha256:")
    texts = extract(Path(row["path"]).read_bytes())
    assert json.loads(texts["workflow"])["nodes"]["size"]["inputs"] == {"width": 2}
    assert texts["parameters"] == "width: 2\npath: in.png"


def test_a_picture_runs_as_the_workflow_it_carries(nodegraph: Nodegraph, drawing: Path, tmp_path: Path) -> None:
    first = outputs(nodegraph, drawing, "--width", "2", "--out", tmp_path)["image"]
    again = outputs(nodegraph, first["path"], "--out", tmp_path / "again")["image"]
    assert again["digest"] == first["digest"]


def test_a_picture_with_options_runs_changed(nodegraph: Nodegraph, drawing: Path, tmp_path: Path) -> None:
    first = outputs(nodegraph, drawing, "--out", tmp_path)["image"]
    other = outputs(nodegraph, first["path"], "--width", "5", "--out", tmp_path)["image"]
    assert Image.open(other["path"]).width == 5


def test_a_path_on_the_command_line_may_lie_anywhere(nodegraph: Nodegraph, drawing: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    Image.new("RGB", (9, 3)).save(tmp_path / "far" / "x.png")
    (tmp_path / "work").mkdir()
    drawing.rename(tmp_path / "work" / "small.json")
    row = outputs(nodegraph, tmp_path / "work" / "small.json", "--path", "far/x.png", "--width", "3", "--out", "out")["image"]
    assert Image.open(row["path"]).size == (3, 1)


def test_the_same_run_twice_leaves_one_file(nodegraph: Nodegraph, drawing: Path, tmp_path: Path) -> None:
    for _ in range(2):
        outputs(nodegraph, drawing, "--out", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["Small-3.png"]


def test_a_run_without_files_makes_no_folder(nodegraph: Nodegraph, workflow: Path, tmp_path: Path) -> None:
    nodegraph("run", workflow)
    assert not (tmp_path / "outputs").exists()


# ---- help and lists ----


def test_help_for_a_workflow_lists_its_inputs(nodegraph: Nodegraph, workflow: Path) -> None:
    done = nodegraph("run", workflow, "--help")
    assert done.code == 0
    for words in ("--set", "Inputs of Sum", "--guidance-scale", "The first number. (a whole number; now 3)", "or random"):
        assert words in done.stdout


def test_an_input_named_like_an_option_of_run_is_set_by_its_place(nodegraph: Nodegraph, tmp_path: Path) -> None:
    nodes = {"n": {"type": "core/integer", "inputs": {"value": 3}}}
    interface = {"inputs": {"out": {"to": ["n.value"]}}, "outputs": {"n": "n.value"}}
    (tmp_path / "w.json").write_text(json.dumps({"nodes": nodes, "interface": interface}))
    assert "--set n.value=" in nodegraph("run", "w.json", "--help").stdout
    assert nodegraph("run", "w.json", "--set", "n.value=4").stdout == "n: 4\n"


def test_every_option_of_run_is_known_as_its_own(nodegraph: Nodegraph) -> None:
    shown = set(re.findall(r"--([a-z]+(?:-[a-z]+)*)", nodegraph("run", "--help").stdout)) - {"name"}
    assert shown == OWN_OPTIONS


def test_help_for_a_broken_workflow_says_what_is_wrong(nodegraph: Nodegraph, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    done = nodegraph("run", "bad.json", "--help")
    assert done.code == 2
    assert "line 1, column 2" in done.stderr


def test_run_without_a_file_shows_how_to_use_it(nodegraph: Nodegraph) -> None:
    done = nodegraph("run")
    assert done.code == 2
    assert "FILE" in done.stdout


def test_the_version_is_the_packages(nodegraph: Nodegraph) -> None:
    assert nodegraph("--version").stdout == f"nodegraph {version('nodegraph')}\n"


def test_a_good_workflow_validates(nodegraph: Nodegraph, workflow: Path) -> None:
    assert nodegraph("validate", workflow).stdout == f"{workflow} is fine: 8 nodes.\n"
    assert nodegraph("validate", workflow, "--json").json == {"status": "valid", "file": str(workflow), "problems": []}


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "workflows").glob("*.json")), ids=lambda path: path.stem)
def test_the_shipped_workflows_validate(nodegraph: Nodegraph, path: Path) -> None:
    assert nodegraph("validate", path).code == 0


def test_nodes_as_json_is_the_catalog(nodegraph: Nodegraph) -> None:
    found = nodegraph("nodes", "--json").json
    assert set(found) == {"nodes", "sockets", "broken"}
    assert {"core", "image", "diffusion"} <= {name.split("/")[0] for name in found["nodes"]}
    assert {"name", "color", "description", "saves"} == set(found["sockets"]["Image"])
    assert found["broken"] == {}


def test_nodes_lists_every_type(nodegraph: Nodegraph) -> None:
    done = nodegraph("nodes")
    for name in nodegraph("nodes", "--json").json["nodes"]:
        assert name in done.stdout


def test_one_node_is_shown_with_its_inputs(nodegraph: Nodegraph) -> None:
    done = nodegraph("nodes", "core/seed_list")
    for words in ("core/seed_list", "a whole number from 0 to 10000", "-> seeds: list[seed]"):
        assert words in done.stdout


def test_a_node_that_is_not_there_has_a_nearest_name(nodegraph: Nodegraph) -> None:
    done = nodegraph("nodes", "core/integr")
    assert done.code == 2
    assert "Did you mean core/integer" in done.stderr


# ---- a process of its own ----


def process(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nodegraph.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=dict(os.environ), check=False, timeout=120)


def test_a_process_gives_the_run_and_exit_code_0(workflow: Path, tmp_path: Path) -> None:
    done = process("run", workflow, "--a", "5", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"]["sum"] == [{"value": 9}]


def test_a_process_refuses_bad_input_with_exit_code_2_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"nodes": ')
    done = process("run", "bad.json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "line 1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_process_whose_node_fails_ends_with_exit_code_1(tmp_path: Path) -> None:
    nodes = {"d": {"type": "core/calculate_whole", "inputs": {"a": 1, "operation": "divide"}}}
    (tmp_path / "w.json").write_text(json.dumps({"nodes": nodes}))
    done = process("run", "w.json", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_a_picture_without_a_workflow_is_refused(nodegraph: Nodegraph, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "png")
    (tmp_path / "p.png").write_bytes(embed(buffer.getvalue(), "image/png", {"other": "text"}))
    done = nodegraph("run", "p.png")
    assert done.code == 2
    assert "picture without a nodegraph workflow" in done.stderr
