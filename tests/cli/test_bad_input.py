"""Bad input: exit code 2, a message of its own, no traceback, and nothing written."""

from __future__ import annotations

import copy
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli.conftest import SUM, Done, Nodegraph


def changed(path: str, value: Any) -> dict[str, Any]:
    """The test workflow with one place changed: `nodes.a.inputs.value`."""
    document = copy.deepcopy(SUM)
    *folders, last = path.split(".")
    place = document
    for name in folders:
        place = place.setdefault(name, {})
    place[last] = value
    return document


def added(**entry: Any) -> dict[str, Any]:
    return changed("nodes.x", entry)


Case = tuple[Any, list[str], str, list[str]]
CASES: dict[str, Case] = {
    # name: document (None: the good one), options, code, words
    "broken JSON": ('{"nodes": {\n  "a": {"type": "x/y",}}}', [], "bad_json", ["line 2, column 23", "comma"]),
    "an empty file": ("", [], "bad_json", ["The file is empty"]),
    "not a workflow": ("[]", [], "bad_document", ["not a nodegraph workflow", '"nodes"']),
    "a ComfyUI file": ('{"last_node_id": 1, "nodes": []}', [], "bad_document", ["ComfyUI"]),
    "unknown node type": (added(type="core/integr"), [], "unknown_type", ["x", "'core/integr'", "Did you mean core/integer"]),
    "missing input": (added(type="core/list_length"), [], "missing_input", ["x.items", "required", "list[T]"]),
    "wrong type on a link": (
        added(type="image/image_size", links={"image": "a.value"}),
        [],
        "wrong_type",
        ["x.image", "a.value", "expected Image", "got int"],
    ),
    "value out of range": (
        added(type="core/seed_list", inputs={"count": -1}),
        [],
        "bad_value",
        ["x.count", "from 0 to 10000", "got -1"],
    ),
    "cycle": (changed("nodes.a.links", {"value": "sum.value"}), [], "cycle", ["a: ", "a -> sum -> a", "one direction"]),
    "dangling link": (changed("nodes.sum.links.a", "b.value"), [], "dangling_link", ["sum.a", "'b.value'", "does not exist"]),
    "dangling output": (changed("interface.outputs.sum", "sum.total"), [], "dangling_output", ["'sum.total'", "It has: value"]),
    "unknown flag": (None, ["--sed", "7"], "no_such_input", ["--sed", "Did you mean --seed"]),
    "unknown flag with =": (None, ["--guidance-scal=7"], "no_such_input", ["--guidance-scal", "Did you mean --guidance-scale"]),
    "flag without a value": (None, ["--a"], "bad_flag", ["--a needs a value", "expected a whole number"]),
    "flag before a flag": (
        None,
        ["--words", "--a", "3"],
        "bad_flag",
        ["--words needs a value", "expected text", "--words=VALUE"],
    ),
    "flag of the wrong type": (None, ["--a", "many"], "bad_value", ["--a", "expected a whole number", "got 'many'"]),
    "not a number": (None, ["--guidance-scale", "nan"], "bad_value", ["--guidance-scale", "expected a number", "got 'nan'"]),
    "not a truth": (None, ["--flag=perhaps"], "bad_value", ["--flag", "expected true or false", "got 'perhaps'"]),
    "not a choice": (None, ["--how", "plus"], "bad_value", ["how", '"subtract"', 'got "plus"']),
    "seed out of range": (None, ["--seed", "-1"], "bad_value", ["seed", "from 0 to 4294967295", "got -1"]),
    "not JSON": (None, ["--texts", "[a]"], "bad_value", ["--texts", "a list, each item text", "got '[a]'"]),
    "bytes that are no text": (None, ["--words", "\udcff"], "bad_value", ["--words", "expected text"]),
    "a stray argument": (None, ["17"], "bad_flag", ["'17' belongs to no option"]),
    "--set without =": (None, ["--set", "sum.b"], "bad_setting", ["--set sum.b", "Write --set node.input=VALUE"]),
    "--set without a dot": (None, ["--set", "sum=3"], "bad_setting", ["--set sum=3", "Write --set node.input=VALUE"]),
    "--set of an unknown node": (None, ["--set", "sun.b=3"], "bad_setting", ["sun.b=3", "Did you mean sum"]),
    "--set of an unknown input": (None, ["--set", "sum.c=3"], "bad_setting", ["no input 'c'", "It has: a, b, operation"]),
    "--set of the wrong type": (None, ["--set", "sum.b=x"], "bad_value", ["sum.b", "expected a whole number", "got 'x'"]),
    "--set out of range": (None, ["--set", "seeds.count=10001"], "bad_value", ["seeds.count", "from 0 to 10000", "got 10001"]),
    "--only an unknown node": (None, ["--only", "sun"], "no_such_node", ["'sun'", "Did you mean sum"]),
    "--only an unknown output": (None, ["--only", "sum.total"], "no_such_node", ["'total'", "It has: value"]),
    "no such picture file": (
        added(type="image/load_image", inputs={"path": "gone.png"}),
        ["--only", "x"],
        "bad_file",
        ["x.path", "There is no file 'gone.png'", "Put it into one of"],
    ),
    "a path that leads out": (
        added(type="image/load_image", inputs={"path": "../../etc/passwd"}),
        ["--only", "x"],
        "bad_file",
        ["lies outside", "command line"],
    ),
    "a name no file can have": (
        added(type="image/load_image", inputs={"path": "x" * 5000}),
        ["--only", "x"],
        "bad_file",
        ["There is no file"],
    ),
}


def assert_refused(done: Done, words: list[str]) -> None:
    assert done.error is None, done.error
    assert done.code == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "This cannot run" in done.stderr
    for word in words:
        assert word in done.stderr


def assert_refused_as_json(done: Done, code: str) -> None:
    assert done.error is None, done.error
    assert done.code == 2
    assert done.json["status"] == "invalid"
    assert code in [problem["code"] for problem in done.json["problems"]]
    assert done.stderr == ""


def stored(tmp_path: Path, document: Any) -> Path:
    path = tmp_path / "bad.json"
    content = SUM if document is None else document
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_in_words(name: str, nodegraph: Nodegraph, tmp_path: Path) -> None:
    document, options, _, words = CASES[name]
    assert_refused(nodegraph("run", stored(tmp_path, document), "--out", "out", *options), words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_refused_as_one_json_object(name: str, nodegraph: Nodegraph, tmp_path: Path) -> None:
    document, options, code, _ = CASES[name]
    assert_refused_as_json(nodegraph("run", stored(tmp_path, document), "--out", "out", "--json", *options), code)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case[1]])
def test_validate_finds_what_run_refuses(name: str, nodegraph: Nodegraph, tmp_path: Path) -> None:
    document, _, code, words = CASES[name]
    assert_refused(nodegraph("validate", stored(tmp_path, document)), words)
    assert_refused_as_json(nodegraph("validate", stored(tmp_path, document), "--json"), code)


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize(
    ("file", "says"), [("gone.json", "There is no file gone.json"), (".", "cannot be read: Is a directory")]
)
def test_a_file_that_cannot_be_opened_is_named(nodegraph: Nodegraph, command: str, file: str, says: str) -> None:
    assert_refused(nodegraph(command, file), [says])


def test_options_before_the_file_are_explained(nodegraph: Nodegraph, workflow: Path) -> None:
    assert_refused(nodegraph("run", "--a", "3", workflow), ["file comes first", "nodegraph run FILE --name VALUE"])


def test_every_problem_is_listed(nodegraph: Nodegraph, tmp_path: Path) -> None:
    document = changed("nodes.sum.links.a", "b.value") | {"title": "Two faults"}
    document["nodes"]["x"] = {"type": "core/nothing"}
    done = nodegraph("run", stored(tmp_path, document))
    assert_refused(done, ["2 problems", "sum.a", "core/nothing"])


def test_every_bad_flag_is_listed(nodegraph: Nodegraph, workflow: Path) -> None:
    done = nodegraph("run", workflow, "--sed", "7", "--a", "x", "--flag", "maybe", "--json")
    assert [problem["code"] for problem in done.json["problems"]] == ["no_such_input", "bad_value", "bad_value"]


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_an_output_folder_that_cannot_be_written_is_found_before_the_run(
    nodegraph: Nodegraph, workflow: Path, tmp_path: Path, out: str
) -> None:
    (tmp_path / "file").write_text("mine")
    assert_refused(nodegraph("run", workflow, "--out", out), [f"{out} cannot be made", "is a file", "--out"])
    assert_refused_as_json(nodegraph("run", workflow, "--out", out, "--json"), "bad_output")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.slow
def test_a_data_folder_that_is_a_file_stops_nothing(nodegraph: Nodegraph, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    Image.new("RGB", (1, 1)).save(tmp_path / "in.png")
    path = stored(tmp_path, {"nodes": {"x": {"type": "image/load_image", "inputs": {"path": "in.png"}}}})
    assert nodegraph("run", path, "--data", tmp_path / "file").code == 0
    assert (tmp_path / "file").read_text() == "mine"


# ---- models ----

LOAD = {"nodes": {"m": {"type": "diffusion/load_model", "inputs": {"model": "mine"}}}}


def safetensors(header: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


WEIGHTS = safetensors({"w": {"dtype": "F32", "shape": [100], "data_offsets": [0, 400]}}, bytes(400))
MODELS: dict[str, tuple[str, bytes | None, list[str]]] = {
    # name: what the document asks for, the file's content, words
    "missing": ("starte", None, ["There is no model 'starte'", "Did you mean starter?", "Put the model into one of"]),
    "nothing like it": ("zzz", None, ["There is no model 'zzz'", "There are:", "starter"]),
    "a pickle": ("m.ckpt", b"\x80\x04", ["m.ckpt is not a safetensors file", "any code", "Convert"]),
    "a text renamed": (
        "m.safetensors",
        b"I am text, whatever my name says",
        ["m.safetensors is not a safetensors file", "Convert it"],
    ),
    "a pickle renamed": ("m.safetensors", b"PK\x03\x04" + bytes(5000), ["m.safetensors is not a safetensors file", "pickled"]),
    "empty": ("m.safetensors", b"", ["m.safetensors is not a safetensors file"]),
    "cut in the header": ("m.safetensors", WEIGHTS[:40], ["m.safetensors is cut short", "got 40", "download it again"]),
    "cut in the data": ("m.safetensors", WEIGHTS[:-1], ["m.safetensors is cut short", "at least", "download it again"]),
    "JSON of another shape": ("m.safetensors", safetensors({"w": 1}, b""), ["m.safetensors is not a safetensors file"]),
    "a path that leads out": ("../m.safetensors", WEIGHTS, ["lies outside"]),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_cannot_be_used_is_refused(name: str, nodegraph: Nodegraph, tmp_path: Path) -> None:
    asked, content, words = MODELS[name]
    (tmp_path / "models").mkdir()
    if content is not None:
        (tmp_path / "models" / asked).write_bytes(content)
    document = {"nodes": {"m": {"type": "diffusion/load_model", "inputs": {"model": asked}}}}
    path = stored(tmp_path, document)
    options = ("--models", tmp_path / "models", "--out", "out")
    assert_refused(nodegraph("run", path, *options), ["m.model", *words])
    assert_refused_as_json(nodegraph("run", path, *options, "--json"), "bad_file")
    assert not (tmp_path / "out").exists()


def test_a_model_folder_with_pickles_only_says_so(nodegraph: Nodegraph, tmp_path: Path) -> None:
    (tmp_path / "models" / "old").mkdir(parents=True)
    (tmp_path / "models" / "old" / "weights.bin").write_bytes(b"\x80\x04")
    path = stored(tmp_path, {"nodes": {"m": {"type": "diffusion/load_model", "inputs": {"model": "old"}}}})
    assert_refused(nodegraph("run", path, "--models", tmp_path / "models"), ["only weights.bin", "Convert the weights"])


# ---- failures while running ----


def test_a_node_that_fails_ends_the_run_with_code_1(nodegraph: Nodegraph, tmp_path: Path) -> None:
    path = stored(tmp_path, changed("nodes.how.inputs", {"a": 1, "b": 0, "operation": "divide"}))
    done = nodegraph("run", path)
    assert done.code == 1
    assert "how.b: 1 cannot be divided by 0" in done.stderr
    assert "Traceback" not in done.stderr
    assert "sum: 7" in done.stdout


def test_a_failed_run_as_json_has_what_there_is_and_what_failed(nodegraph: Nodegraph, tmp_path: Path) -> None:
    path = stored(tmp_path, changed("nodes.how.inputs", {"a": 1, "b": 0, "operation": "divide"}))
    done = nodegraph("run", path, "--json")
    assert done.code == 1
    assert done.json["status"] == "failed"
    assert done.json["outputs"]["sum"] == [{"value": 7}]
    assert "how" not in done.json["outputs"]
    assert [(problem["node"], problem["socket"]) for problem in done.json["problems"]] == [("how", "b")]
    assert done.json["nodes"]["how"]["state"] == "failed"
