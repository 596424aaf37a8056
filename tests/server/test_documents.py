"""Documents over HTTP without saving them: looked at, opened, compared, changed, imported, exported, forecast."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import signal
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from jsonschema import Draft202012Validator

from server.harness import BUSY, ServerProcess, chain, until

pytestmark = pytest.mark.slow

Answer = tuple[int, Any]
SHIPPED = Path(__file__).parents[2] / "workflows"


@pytest.fixture(scope="module")
def picture_workflow() -> Any:
    return json.loads((SHIPPED / "text_to_image.json").read_text())


def post(server: ServerProcess, what: str, body: Any, seconds: float = 60.0) -> Answer:
    return server.ask("POST", f"/api/workflows/{what}", body, seconds=seconds)


def done(server: ServerProcess, what: str, body: Any) -> Any:
    status, answer = post(server, what, body)
    assert status == 200, answer
    return answer


def sums(count: int) -> dict[str, Any]:
    """A long workflow: each node adds to the one before."""
    nodes: dict[str, Any] = {"n0": {"type": "core/integer", "version": 1, "inputs": {"value": 1}}}
    for i in range(1, count):
        nodes[f"n{i}"] = {
            "type": "core/calculate_whole",
            "version": 1,
            "inputs": {"b": i},
            "links": {"a": f"n{i - 1}.value"},
        }
    return {"nodegraph": 1, "nodes": nodes, "interface": {"outputs": {"sum": f"n{count - 1}.value"}}}


def png(**texts: str) -> bytes:
    """A picture of one pixel that carries texts."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    said = [chunk(b"iTXt", name.encode() + b"\0\0\0\0\0" + value.encode()) for name, value in texts.items()]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(said) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def artifact(server: ServerProcess, data: bytes) -> str:
    """Bytes among the server's artifacts, as a worker puts them there; their digest."""
    digest = hashlib.sha256(data).hexdigest()
    folder = server.data / "artifacts" / digest[:2]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / digest).write_bytes(data)
    return f"sha256:{digest}"


# ---- validate ----


def test_a_workflow_that_runs_has_no_problems_and_says_what_it_takes_and_gives(
    server: ServerProcess, picture_workflow: Any
) -> None:
    found = done(server, "validate", {"workflow": picture_workflow})
    assert found["problems"] == []
    assert found["wants"] == []
    Draft202012Validator.check_schema(found["inputs"])
    Draft202012Validator.check_schema(found["outputs"])
    defaults = {name: item["default"] for name, item in found["inputs"]["properties"].items() if "default" in item}
    Draft202012Validator(found["inputs"]).validate(defaults)
    assert set(found["outputs"]["properties"]) == set(picture_workflow["interface"]["outputs"])
    assert done(server, "schema", {"workflow": picture_workflow}) == {"inputs": found["inputs"], "outputs": found["outputs"]}


@pytest.mark.parametrize(
    "nothing",
    [
        None,
        3,
        "text",
        [],
        {},
        {"nodes": 1},
        {"nodegraph": 99, "nodes": {}},
        {"nodes": {"no id": {"type": "a/b"}}},
        {"nodes": {"a": 5}},
    ],
)
def test_what_is_no_document_is_told_as_a_problem(server: ServerProcess, nothing: Any) -> None:
    assert done(server, "validate", {"workflow": nothing})["problems"]


def test_every_problem_is_told_with_its_node_and_socket(server: ServerProcess, picture_workflow: Any) -> None:
    broken = copy.deepcopy(picture_workflow)
    name = next(iter(broken["nodes"]))
    broken["nodes"][name]["links"] = {"nowhere": "missing.value"}
    broken["nodes"]["odd"] = {"type": "no/such", "version": 1}
    problems = done(server, "validate", {"workflow": broken})["problems"]
    assert {problem.get("node") for problem in problems} >= {name, "odd"}
    assert all(problem["message"] for problem in problems)


def test_only_the_outputs_that_are_asked_for_are_looked_at(server: ServerProcess) -> None:
    workflow = chain(["fine"])
    workflow["nodes"]["odd"] = {"type": "busy/page", "version": 1}
    assert done(server, "validate", {"workflow": workflow, "outputs": ["nowhere"]})["problems"]
    assert (
        done(server, "validate", {"workflow": workflow})["wants"] == [{**BUSY[0], "node": "odd"}]
        or done(server, "validate", {"workflow": workflow})["wants"]
    )


def test_a_subgraph_in_a_file_is_looked_into_and_one_of_the_users_own_needs_consent(server: ServerProcess) -> None:
    inner = {
        "nodegraph": 1,
        "nodes": {"one": {"type": "core/integer", "version": 1, "inputs": {"value": 1}}},
        "interface": {"outputs": {"value": "one.value"}},
    }
    server.ask("POST", "/api/workflows", {"workflow": inner, "id": "library"})
    outer = {
        "nodegraph": 1,
        "nodes": {"call": {"type": "subgraph/inner", "version": 1}},
        "subgraphs": {"inner": {"file": "library.json"}},
        "interface": {"outputs": {"value": "call.value"}},
    }
    found = done(server, "validate", {"workflow": outer})
    assert found["problems"] == []
    wanted = [{"kind": "file", "name": "library.json", "node": "subgraphs.inner"}]
    assert found["wants"] == wanted
    status, refused = server.ask("POST", "/api/jobs", {"workflow": outer})
    assert (status, refused["wants"]) == (403, wanted)
    accept = [{"kind": "file", "name": "library.json"}]
    status, job = server.ask("POST", "/api/jobs", {"workflow": outer, "accept": accept})
    assert status == 202
    assert server.wait(job["id"])["state"] == "succeeded"
    server.ask("POST", "/api/workflows", {"workflow": outer, "id": "beside_it"})
    assert server.get("/api/workflows/beside_it")["wants"] == []
    assert server.get("/api/workflows/beside_it")["workflow"]["subgraphs"] == outer["subgraphs"]
    missing = {**outer, "subgraphs": {"inner": {"file": "nowhere.json"}}}
    problems = done(server, "validate", {"workflow": missing})["problems"]
    assert problems
    assert str(server.data) not in json.dumps(problems)


# ---- open ----


def test_a_workflow_of_an_older_version_is_led_on_by_a_worker(server: ServerProcess) -> None:
    workflow = chain(["old"])
    workflow["nodes"]["s0"] = {"type": "busy/toil", "version": 1, "inputs": {"name": "old"}}
    found = done(server, "open", {"workflow": workflow})
    assert found["workflow"]["nodes"]["s0"]["type"] == "busy/work"
    assert found["workflow"]["nodes"]["s0"]["inputs"] == {"label": "old"}
    assert [(row["node"], row["before"]["type"], row["after"]["type"]) for row in found["changes"]] == [
        ("s0", "busy/toil", "busy/work")
    ]
    assert found["problems"] == []


def test_a_submission_that_needs_a_worker_is_told_where_that_one_dies(server: ServerProcess) -> None:
    workflow = chain(["old"])
    workflow["nodes"]["s0"] = {"type": "busy/toil", "version": 1, "inputs": {"name": "nobody leads it on"}}
    pid = server.ready_worker()
    os.kill(pid, signal.SIGSTOP)  # so that it hears, and does not answer
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server.ask, "POST", "/api/jobs", {"workflow": workflow, "accept": BUSY})
        until(lambda: server.ask("GET", "/healthz")[0] == 200)
        time.sleep(0.5)  # nothing tells that it was asked
        os.kill(pid, signal.SIGKILL)
        status, told = answer.result(30)
    assert (status, told["type"]) == (503, "nodegraph:no_worker")
    assert server.submit(workflow)


def test_the_workflow_in_a_picture_is_opened_by_the_pictures_digest(server: ServerProcess, picture_workflow: Any) -> None:
    digest = artifact(server, png(workflow=json.dumps(picture_workflow)))
    found = done(server, "open", {"artifact": digest})
    assert found["workflow"] == picture_workflow
    assert found["problems"] == []


def test_what_is_no_picture_of_ours_is_refused_and_says_what_to_do(server: ServerProcess) -> None:
    for data, code in ((png(), "no_workflow"), (b"not a picture", "no_picture"), (png(workflow="{"), "bad_json")):
        status, answer = post(server, "open", {"artifact": artifact(server, data)})
        assert (status, answer["problems"][0]["code"]) == (422, code)
    assert post(server, "open", {"artifact": f"sha256:{'0' * 64}"})[0] == 404
    assert post(server, "open", {"upload": f"{'0' * 16}.png"})[0] == 404
    assert post(server, "open", {"upload": "../../jobs.sqlite"})[0] == 422
    assert post(server, "open", {})[0] == 422


def test_an_uploaded_picture_is_opened_by_its_name(server: ServerProcess, picture_workflow: Any) -> None:
    folder = server.data / "inputs" / "uploads"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{'a' * 16}.png").write_bytes(png(workflow=json.dumps(picture_workflow)))
    assert done(server, "open", {"upload": f"{'a' * 16}.png"})["workflow"] == picture_workflow
    (folder / f"{'b' * 16}.png").symlink_to(server.data / "jobs.sqlite")
    assert post(server, "open", {"upload": f"{'b' * 16}.png"})[0] == 404


# ---- compare and change ----


def test_a_difference_is_applied_and_undone(server: ServerProcess, picture_workflow: Any) -> None:
    after = copy.deepcopy(picture_workflow)
    after["title"] = "Another"
    name = next(name for name, node in after["nodes"].items() if node.get("inputs"))
    key = next(iter(after["nodes"][name]["inputs"]))
    after["nodes"][name]["inputs"][key] = None
    found = done(server, "diff", {"before": picture_workflow, "after": after})
    changes = [*found["changes"], *found["layout"]]
    assert {"kind": "title_changed", "path": ["title"], "before": picture_workflow["title"], "after": "Another"} in changes
    assert any("after" in change and change["after"] is None for change in changes)
    assert done(server, "apply", {"workflow": picture_workflow, "changes": changes})["workflow"] == after
    assert done(server, "apply", {"workflow": after, "changes": changes, "undo": True})["workflow"] == picture_workflow
    status, answer = post(server, "apply", {"workflow": after, "changes": changes})
    assert (status, answer["type"]) == (422, "nodegraph:invalid_workflow")


def test_edits_of_both_sides_are_merged_and_clashes_are_told(server: ServerProcess) -> None:
    base = sums(4)
    yours, theirs = copy.deepcopy(base), copy.deepcopy(base)
    yours["nodes"]["n1"]["inputs"]["b"] = 10
    theirs["nodes"]["n2"]["inputs"]["b"] = 20
    found = done(server, "merge", {"base": base, "yours": yours, "theirs": theirs})
    assert found["conflicts"] == []
    assert (found["workflow"]["nodes"]["n1"]["inputs"]["b"], found["workflow"]["nodes"]["n2"]["inputs"]["b"]) == (10, 20)
    theirs["nodes"]["n1"]["inputs"]["b"] = 30
    (conflict,) = done(server, "merge", {"base": base, "yours": yours, "theirs": theirs})["conflicts"]
    assert (conflict["path"], conflict["base"], conflict["yours"], conflict["theirs"]) == (
        ["nodes", "n1", "inputs", "b"],
        1,
        10,
        30,
    )


def test_nodes_become_a_subgraph_and_come_back(server: ServerProcess) -> None:
    workflow = sums(5)
    found = done(server, "extract", {"workflow": workflow, "nodes": ["n1", "n2"], "name": "middle"})
    assert set(found["workflow"]["subgraphs"]["middle"]["nodes"]) == {"n1", "n2"}
    back = done(server, "inline", {"workflow": found["workflow"], "node": found["node"]})
    assert back["workflow"] == workflow
    assert back["nodes"] == {"n1": "n1", "n2": "n2"}
    status, answer = post(server, "extract", {"workflow": workflow, "nodes": ["n1", "n3"], "name": "torn"})
    assert (status, answer["problems"][0]["code"]) == (422, "cycle")


# ---- other programs, other languages ----


def test_workflows_of_other_programs_are_imported_with_a_report(server: ServerProcess) -> None:
    comfyui = {"3": {"class_type": "KSampler", "inputs": {"seed": 1}}, "4": {"class_type": "Unheard Of", "inputs": {}}}
    for form in (comfyui, json.dumps(comfyui)):
        found = done(server, "import", {"comfyui": form})
        assert [row["id"] for row in found["report"]["rows"]] == ["3", "4"]
        assert found["report"]["rows"][1]["fate"] == "placeholder"
    text = "a cat\nNegative prompt: a dog\nSteps: 7, Sampler: Euler, CFG scale: 5, Seed: 3, Size: 64x64, Model: any"
    for body in ({"parameters": text}, {"artifact": artifact(server, png(parameters=text))}):
        found = done(server, "import", body)
        assert '"a cat"' in json.dumps(found["workflow"])
        assert found["report"]["format"] == "a1111"
    assert post(server, "import", {"comfyui": {"nothing": 1}})[0] == 422
    assert post(server, "import", {"parameters": "just words"})[0] == 422
    assert post(server, "import", {})[0] == 422


def test_a_workflow_is_exported_as_python_that_compiles(server: ServerProcess, picture_workflow: Any) -> None:
    status, script = post(server, "export", {"workflow": picture_workflow})
    assert status == 200
    compile(script, "script.py", "exec")
    assert b"nodegraph.Graph" in script


def test_a_plan_tells_what_would_be_computed_before_and_after_it_was(server: ServerProcess) -> None:
    workflow = chain(["planned", "and done"])
    assert post(server, "plan", {"workflow": workflow})[0] == 403
    before = done(server, "plan", {"workflow": workflow, "accept": BUSY})
    assert before["total"]["would_run"] == 3
    assert "planned" not in server.lines()
    assert server.wait(server.submit(workflow))["state"] == "succeeded"
    after = done(server, "plan", {"workflow": workflow, "accept": BUSY})
    assert after["total"]["in_cache"] > 0
    status, answer = post(server, "plan", {"workflow": {"nodes": {"a": {"type": "no/such"}}}})
    assert (status, answer["type"]) == (422, "nodegraph:invalid_workflow")


# ---- node types ----


def test_node_types_are_sent_once_and_one_by_one(server: ServerProcess) -> None:
    found = server.get("/api/nodes")
    assert "core/text" in found["nodes"]
    with urlopen(Request(f"{server.url}/api/nodes", headers={"Authorization": f"Bearer {server.token}"})) as answer:
        tag = answer.headers["ETag"]
    assert server.ask("GET", "/api/nodes", headers={"If-None-Match": tag}) == (304, b"")
    assert server.get("/api/nodes/core/text") == {"id": "core/text", "node": found["nodes"]["core/text"]}
    assert server.ask("GET", "/api/nodes/core/nothing")[0] == 404
    schema = server.get("/api/schema")
    Draft202012Validator.check_schema(schema)


# ---- the loop stays free ----


def test_a_document_of_20000_nodes_is_looked_at_while_health_answers(server: ServerProcess) -> None:
    workflow = sums(20_000)
    waits: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            began = time.perf_counter()
            assert server.ask("GET", "/healthz")[0] == 200
            waits.append(time.perf_counter() - began)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        status, found = post(server, "validate", {"workflow": workflow}, seconds=120)
    finally:
        over.set()
        asking.join()
    assert (status, found["problems"]) == (200, [])
    # 0.13 s where two cores have three things to do, 0.8 s where they have six: some steps hold Python's lock to their end
    assert max(waits) < 2.0, f"health took up to {max(waits):.3f} s"
    assert sorted(waits)[len(waits) // 2] < 0.1


def test_the_server_maps_neither_torch_nor_packs_after_all_of_this(server: ServerProcess) -> None:
    maps = Path(f"/proc/{server.process.pid}/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    mapped = maps.read_text()
    assert "libtorch" not in mapped
    assert "numpy" not in mapped
