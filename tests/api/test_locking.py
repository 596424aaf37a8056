"""Locks made by runs and held against what is here: packs, models, files, devices, and edited documents."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Pillow

from api.test_files import safetensors
from nodegraph import InvalidWorkflow, Pack, RunFailed, Session, load
from nodegraph.api.locking import compare_lock
from nodegraph.api.workflow import Workflow
from nodegraph.sdk.errors import Problem
from nodegraph_nodes import core, image

READING = """
from pathlib import Path
from typing import Literal
from nodegraph import Artifact, FilePath, ModelFile, node

@node()
def read(path: FilePath, again: FilePath | None = None) -> str:
    return path.read_text()

@node()
def weigh(model: ModelFile[Literal["checkpoint"]]) -> int:
    return model.path.stat().st_size

@node()
def file(name: str) -> FilePath:
    return name

@node(output=True, output_name="file")
def page(text: str, embed: Literal["full", "none"] = "full") -> Artifact:
    return Artifact(text.encode(), "text/plain", "{workflow}", embed)
"""
BUILDING = """
from nodegraph import FilePath, GraphBuilder, composite
{imports}

@composite()
def shout(graph: GraphBuilder, path: FilePath) -> str:
    return graph.add(read, path=str(path))

@composite()
def shout_known(graph: GraphBuilder) -> str:
    return graph.add(read, path="known.txt")
"""


def pack(name: str, source: str, digest: str = "0", **known: Any) -> tuple[Pack, dict[str, Any]]:
    """A pack from a module of its own, whose nodes know only what they import."""
    module: dict[str, Any] = {"__name__": name, **known}
    exec(source, module)
    own = [value for key, value in module.items() if key not in known]
    return Pack.of(name, own, digest), module


CORE = Pack.of("core", vars(core).values(), "c")
IMAGE = Pack.of("image", vars(image).values(), "i")


def packs(digest: str = "1") -> list[Pack]:
    reading, module = pack("reading", READING, digest)
    building, _ = pack("building", BUILDING.format(imports=""), "2", read=module["read"])
    return [CORE, IMAGE, reading, building]


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    (tmp_path / "data" / "inputs").mkdir(parents=True)
    (tmp_path / "data" / "models").mkdir()
    for name in ("a", "b", "c", "known"):
        (tmp_path / "data" / "inputs" / f"{name}.txt").write_text(name)
    (tmp_path / "data" / "models" / "m.safetensors").write_bytes(safetensors({}, b""))
    with Session(tmp_path / "data", packs=packs()) as opened:
        yield opened


def node(kind: str, links: dict[str, Any] | None = None, **inputs: Any) -> dict[str, Any]:
    return {"type": kind, "inputs": inputs, "links": links or {}}


READ = {
    "nodes": {"read": node("reading/read", path="a.txt"), "page": node("reading/page", {"text": "read.value"})},
    "interface": {"inputs": {"path": {"to": ["read.path"]}}, "outputs": {"text": "read.value", "page": "page.file"}},
}


def opened(session: Session, document: dict[str, Any]) -> Workflow:
    path = session.data / "w.json"
    path.write_text(json.dumps({"nodegraph": 1, "title": "Small", **document}))
    return load(path, session, trust=True)


def locked(session: Session, document: dict[str, Any], **inputs: Any) -> Workflow:
    """A workflow in a file that has been run with a lock."""
    workflow = opened(session, document).with_inputs(**inputs)
    workflow.with_lock(workflow.run(lock=True).document.lock).save()
    return load(session.data / "w.json", session, trust=True)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def problems(workflow: Workflow, **options: Any) -> list[Problem]:
    with pytest.raises(InvalidWorkflow) as caught:
        workflow.run(**options)
    return list(caught.value.problems)


def places(workflow: Workflow) -> list[str]:
    return [item.place for item in workflow.verify() if item.must]


# ---- what a lock holds ----


def test_a_lock_has_the_packs_models_and_files_that_the_workflow_uses(session: Session) -> None:
    nodes = {"weigh": node("reading/weigh", model="m"), "read": node("reading/read", path="a.txt", again="b.txt")}
    lock = locked(session, {"nodes": nodes}).document.lock
    assert lock["packs"] == {"reading": {"source": "1"}}
    assert lock["inputs"] == {name: {"sha256": sha(name[0]), "bytes": 1} for name in ("a.txt", "b.txt")}
    assert set(lock["models"]) == {"m"}
    assert lock["models"]["m"]["bytes"] == len(safetensors({}, b""))
    assert set(lock["runtime"]) == {"nodegraph", "python", "platform"}  # nothing computed on a device


def test_a_workflow_without_files_has_a_lock_all_the_same(session: Session) -> None:
    workflow = locked(session, {"nodes": {"a": node("core/integer", value=3)}})
    assert set(workflow.document.lock) == {"format", "document", "packs", "runtime"}
    assert workflow.verify() == []
    assert workflow.run(locked=True)["a"] == 3


def test_nothing_of_this_machine_is_in_a_lock(session: Session, tmp_path: Path) -> None:
    assert str(tmp_path) not in json.dumps(locked(session, READ).document.lock)


INSIDE: dict[str, Any] = {
    "a subgraph": {
        "nodes": {"s": node("subgraph/inner")},
        "interface": {"outputs": {"text": "s.text"}},
    },
    "a subgraph in a subgraph": {
        "nodes": {"s": node("subgraph/outer")},
        "interface": {"outputs": {"text": "s.text"}},
    },
    "a loop": {
        "nodes": {"s": node("core/map", body="inner", item=[1, 2])},
        "interface": {"outputs": {"text": "s.text"}},
    },
    "a composite": {
        "nodes": {"s": node("building/shout", path="a.txt")},
        "interface": {"outputs": {"text": "s.value"}},
    },
}
SUBGRAPHS: dict[str, Any] = {
    "inner": {
        "nodes": {"read": node("reading/read", path="a.txt"), "n": node("core/integer", value=1)},
        "interface": {"inputs": {"item": {"to": ["n.value"]}}, "outputs": {"text": "read.value", "n": "n.value"}},
    },
    "outer": {
        "nodes": {"deep": node("subgraph/inner")},
        "interface": {"outputs": {"text": "deep.text"}},
    },
}


@pytest.mark.parametrize("kind", INSIDE)
def test_files_and_packs_inside_count(session: Session, kind: str) -> None:
    document = {**INSIDE[kind], "subgraphs": SUBGRAPHS}
    if kind == "a loop":
        document["nodes"] = {"s": node("core/map", body="inner", items=[1, 2])}
    workflow = locked(session, document)
    assert workflow.document.lock["inputs"] == {"a.txt": {"sha256": sha("a"), "bytes": 1}}
    assert "reading" in workflow.document.lock["packs"]
    assert "subgraph" not in workflow.document.lock["packs"]
    assert ("device" in workflow.document.lock["runtime"]) is (kind == "a composite")  # a part of it may compute there
    assert workflow.verify() == []
    (session.data / "inputs" / "a.txt").write_text("other")
    assert places(workflow) == ["inputs.a.txt.sha256"]


def test_a_composite_brings_the_pack_of_its_parts_also_when_it_is_in_the_cache(session: Session) -> None:
    document = {"nodes": {"s": node("building/shout", path="a.txt")}}
    opened(session, document).run()
    lock = locked(session, document).document.lock
    assert set(lock["packs"]) == {"building", "reading"}
    assert set(lock["runtime"]["device"]) == {"kind", "dtype", "libraries", "about"}  # a part may compute there


def test_a_file_that_only_a_composite_knows_is_collected_while_it_runs(session: Session) -> None:
    workflow = locked(session, {"nodes": {"s": node("building/shout_known")}})
    assert set(workflow.document.lock["inputs"]) == {"known.txt"}


@pytest.mark.parametrize("names", [["a.txt"], ["b.txt", "c.txt", "b.txt"]], ids=["one", "a list"])
def test_files_whose_names_come_over_links_are_collected_while_it_runs(session: Session, names: list[str]) -> None:
    nodes = {
        "names": node("core/split_lines", value="\n".join(names)),
        "files": node("reading/file", {"name": "names.texts"}),
        "read": node("reading/read", {"path": "files.value"}),
        "page": node("reading/page", {"text": "read.value"}),
    }
    workflow = opened(session, {"nodes": nodes})
    result = workflow.run(lock=True, out=session.data / "out")
    assert set(result.document.lock["inputs"]) == set(names)
    assert len(result.files["page"]) == len(names)
    workflow = workflow.with_lock(result.document.lock)
    assert workflow.verify() == []
    (session.data / "inputs" / names[0]).write_text("other")
    assert places(workflow) == [f"inputs.{names[0]}.sha256"]


def test_pictures_carry_the_files_whose_names_came_over_links(session: Session) -> None:
    for name in ("one", "two"):
        Pillow.new("RGB", (2, 2)).save(session.data / "inputs" / f"{name}.png")
    nodes = {
        "names": node("core/split_lines", value="one.png\ntwo.png"),
        "files": node("reading/file", {"name": "names.texts"}),
        "load": node("image/load_image", {"path": "files.value"}),
        "save": node("image/save_image", {"image": "load.image"}),
    }
    result = opened(session, {"nodes": nodes}).run(lock=True, out=session.data / "out")
    assert set(result.document.lock["inputs"]) == {"one.png", "two.png"}
    for row in result.files["save"]:
        assert load(row["path"], session).document.lock == result.document.lock


def test_a_name_over_a_link_that_no_lock_can_hold_is_said_and_the_outputs_stay(session: Session) -> None:
    path = session.data / "inputs" / "a.txt"
    nodes = {
        "name": node("reading/file", name=str(path)),
        "read": node("reading/read", {"path": "name.value"}),
        "page": node("reading/page", {"text": "read.value"}),
    }
    with pytest.raises(RunFailed) as caught:
        opened(session, {"nodes": nodes}).run(lock=True, out=session.data / "out")
    assert [problem.code for problem in caught.value.result.run.problems] == ["cannot_lock"]
    assert Path(caught.value.result.files["page"][0]["path"]).read_text() == "a"


# ---- what is different ----


def write(session: Session, name: str, data: bytes) -> None:
    (session.data / name).write_bytes(data)


@pytest.mark.parametrize(
    ("name", "data", "place", "says"),
    [
        ("inputs/a.txt", b"other", "inputs.a.txt.sha256", "is not the one that was locked"),
        ("inputs/a.txt", None, "inputs.a.txt", "There is no file 'a.txt'"),
        ("models/m.safetensors", safetensors({}, b"more"), "models.m.sha256", "is not the one that was locked"),
        ("models/m.safetensors", safetensors({}, b"")[:9], "models.m", "is cut short"),
        ("models/m.safetensors", None, "models.m", "There is no model 'm'"),
    ],
)
def test_another_file_is_refused_by_name(session: Session, name: str, data: bytes | None, place: str, says: str) -> None:
    nodes = {"weigh": node("reading/weigh", model="m"), "read": node("reading/read", path="a.txt")}
    workflow = locked(session, {"nodes": nodes})
    (session.data / name).unlink()
    if data is not None:
        write(session, name, data)
    (difference,) = workflow.verify()
    assert difference.place == place
    assert says in difference.message
    assert str(session.data / name.partition("/")[0]) in difference.hint or "Copy" in difference.hint
    (problem,) = problems(workflow, locked=True)
    assert (problem.code, problem.node) == ("lock_mismatch", f"lock.{place}")


def test_a_pack_of_other_source_is_refused(session: Session) -> None:
    path = Path(str(locked(session, READ).path))
    with Session(session.data, packs=packs(digest="new")) as other:
        (difference,) = load(path, other, trust=True).verify()
    assert (difference.place, difference.expected, difference.got) == ("packs.reading.source", "1", "new")


def test_a_pack_that_is_gone_is_named_and_not_its_node_types(session: Session) -> None:
    path = Path(str(locked(session, READ).path))
    with Session(session.data, packs=[CORE]) as other:
        (problem,) = problems(load(path, other, trust=True), locked=True)
    assert (problem.node, problem.message) == ("lock.packs.reading", "The pack reading is not installed.")


@pytest.mark.parametrize("section", ["packs", "inputs"])
def test_what_was_taken_out_of_the_lock_by_hand_is_noticed(session: Session, section: str) -> None:
    workflow = locked(session, READ)
    lock = {**workflow.document.lock, section: {}}
    assert places(workflow.with_lock(lock)) == [f"{section}.{'reading' if section == 'packs' else 'a.txt'}"]


def test_an_edited_node_is_named(session: Session) -> None:
    workflow = locked(session, READ)
    data = json.loads(workflow.to_json())
    data["nodes"]["read"]["inputs"]["path"] = "b.txt"
    del data["nodes"]["page"], data["interface"]["outputs"]["page"]
    found = {problem.node for problem in problems(opened(session, data), locked=True)}
    assert found == {"lock.document.read", "lock.document.page", "lock.document.interface.outputs", "lock.inputs.b.txt"}


def test_a_subgraph_in_a_file_of_its_own_counts_by_what_is_in_it(session: Session) -> None:
    inner = session.data / "inner.json"
    inner.write_text(json.dumps({"nodegraph": 1, **READ}))
    document = {"nodes": {"s": node("subgraph/other")}, "subgraphs": {"other": {"file": "inner.json"}}}
    workflow = locked(session, {**document, "interface": {"outputs": {"text": "s.text"}}})
    assert workflow.document.subgraphs["other"].file == "inner.json"
    assert workflow.verify() == []
    inner.write_text(inner.read_text().replace('"a.txt"', '"b.txt"'))
    assert places(workflow) == ["document.subgraphs.other/read", "inputs.b.txt"]


def test_what_is_good_to_know_does_not_stop_a_run(session: Session) -> None:
    workflow = locked(session, READ)
    runtime = {**workflow.document.lock["runtime"], "python": "3.9.1", "libraries": {"numpy": "0.1"}}
    workflow = workflow.with_lock({**workflow.document.lock, "runtime": runtime})
    assert {item.place for item in workflow.verify()} == {"runtime.python", "runtime.libraries.numpy"}
    assert workflow.run(locked=True)["text"] == "a"


def test_a_locked_workflow_that_is_wrong_in_itself_says_that(session: Session) -> None:
    workflow = locked(session, READ)
    workflow.document.interface.inputs["path"].to.append("read.nothing")
    with pytest.raises(InvalidWorkflow) as caught:
        workflow.verify()
    assert "lock_mismatch" not in {problem.code for problem in caught.value.problems}


# ---- runs that keep to a lock ----


def test_values_that_are_set_for_a_run_are_no_edits(session: Session) -> None:
    workflow = locked(session, READ)
    assert workflow.run(locked=True, path="b.txt")["text"] == "b"
    assert workflow.with_inputs(path="c.txt").run(locked=True)["text"] == "c"
    assert workflow.with_values({"read.path": "c.txt"}).verify() == []


def test_a_run_with_other_values_has_a_lock_of_its_own(session: Session) -> None:
    result = locked(session, READ).run(locked=True, path="b.txt")
    assert set(result.document.lock["inputs"]) == {"b.txt"}
    assert Workflow(result.document, session).verify() == []


def test_a_run_with_the_locked_values_keeps_the_lock(session: Session) -> None:
    workflow = locked(session, READ)
    noted = {**workflow.document.lock, "note": "of another program"}
    assert workflow.with_lock(noted).run(locked=True).document.lock == noted


def test_saving_makes_set_values_the_workflows_own(session: Session) -> None:
    workflow = locked(session, READ).with_inputs(path="b.txt")
    workflow.save()
    assert places(workflow) == places(load(session.data / "w.json", session, trust=True)) == ["document.read", "inputs.b.txt"]


async def test_locks_work_from_asyncio_too(session: Session) -> None:
    workflow = opened(session, READ)
    result = await workflow.run_async(lock=True, path="b.txt")
    again = Workflow(result.document, session)
    assert (await again.run_async(locked=True))["text"] == "b"
    (session.data / "inputs" / "b.txt").write_text("other")
    with pytest.raises(InvalidWorkflow, match=r"lock\.inputs\.b\.txt\.sha256"):
        await again.run_async(locked=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"lock": True, "locked": True}, "make a lock and keep to one"),
        ({"lock": True, "exact": False}, "batches"),
        ({"locked": True, "exact": False}, "batches"),
        ({"lock": True, "wanted": ["read"]}, "only a part"),
    ],
)
def test_what_no_lock_can_stand_for_is_refused(session: Session, options: dict[str, Any], says: str) -> None:
    (problem,) = problems(locked(session, READ), **options)
    assert problem.code == "cannot_lock"
    assert says in problem.message


def test_a_part_can_run_locked(session: Session) -> None:
    assert locked(session, READ).run(locked=True, wanted=["read"], path="b.txt")["read.value"] == "b"


@pytest.mark.parametrize("where", ["outside", "inside"])
def test_a_path_is_no_name_that_a_lock_can_hold(session: Session, tmp_path: Path, where: str) -> None:
    path = tmp_path / "a.txt" if where == "outside" else session.data / "inputs" / "a.txt"
    path.write_text("typed")
    (problem,) = problems(opened(session, READ), lock=True, path=str(path), allow=[str(path)])
    assert problem.code == "cannot_lock"
    assert str(session.data / "inputs") in str(problem.hint)


def test_a_failed_run_raises_as_ever(session: Session) -> None:
    nodes = {"a": node("core/calculate_whole", a=1, operation="divide")}
    with pytest.raises(RunFailed):
        opened(session, {"nodes": nodes}).run(lock=True)


# ---- how it is found out ----


def test_reading_a_file_for_its_digest_is_told(session: Session) -> None:
    path = Path(str(locked(session, READ).path))
    (session.data / "inputs" / "a.txt").write_text("another text")
    told: list[tuple[str, int, int]] = []
    for _ in range(2):  # the second time the digest is remembered
        with Session(session.data, packs=packs()) as other:
            compare_lock(load(path, other, trust=True), lambda *of: told.append(of))
    assert told == [("a.txt", 12, 12)]


def test_verifying_imports_no_torch_where_nothing_computes_on_a_device(tmp_path: Path) -> None:
    (tmp_path / "w.json").write_text(json.dumps({"nodes": {"a": node("core/integer", value=1)}}))
    script = "import nodegraph, sys\nw = nodegraph.load('w.json')\nw = w.with_lock(w.run(lock=True).document.lock)\nw.save()\n"
    verify = (
        "import sys\n"
        "from pathlib import Path\n"
        "from nodegraph.cli.verify import verify_command\n"
        "code = verify_command(Path('w.json'), True, None, [])\n"
        "heavy = {'torch', 'numpy', 'PIL', 'nodegraph_nodes'} & set(sys.modules)\n"
        "sys.exit(code or (f'imported {heavy}' if heavy else 0))"
    )
    for program in (script, verify):
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "same"
