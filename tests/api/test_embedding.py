"""What travels in the pictures of a run: the document as it ran, with the seed that was used, and nothing of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL import features as pillow_features

from nodegraph import Artifact, FilePath, Pack, RunFailed, Secret, Session, load, node
from nodegraph.api import Workflow
from nodegraph.artifacts import extract
from nodegraph.cli.run import configured
from nodegraph.graph import load_document, parse_document
from nodegraph_nodes import core, image


@node(output=True, output_name="file")
def seeded_picture(path: FilePath, seed: int, token: Secret | None = None, embed: str = "full", note: str = "") -> Artifact:
    """A picture file as it is, to be saved."""
    return Artifact(path.read_bytes(), "image/png", "{workflow}-{path}-{seed}", embed)  # type: ignore[arg-type]


@node(output=True, output_name="file")
def broken_picture(kind: str) -> Artifact:
    """What no picture file is."""
    return Artifact(b"nothing", f"image/{kind}", "broken")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    packs = [Pack.of("core", vars(core).values()), Pack.of("image", vars(image).values())]
    with Session(tmp_path_factory.mktemp("data"), packs=[*packs, Pack.of("t", [seeded_picture, broken_picture])]) as opened:
        yield opened


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a person whose name nobody else has, with a picture in it."""
    folder = tmp_path / "zyxuser"
    (folder / "my cats").mkdir(parents=True)
    Image.new("RGB", (6, 4), "red").save(folder / "my cats" / "tom.png")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    return folder


DRAWING: dict[str, Any] = {
    "title": "Small",
    "nodes": {
        "seed": {"type": "core/seed_list", "inputs": {"seed": 3, "count": 1}},
        "load": {"type": "image/load_image", "inputs": {"path": "tom.png"}},
        "save": {"type": "image/save_image", "inputs": {"name": "{workflow}-{path}"}, "links": {"image": "load.image"}},
    },
    "interface": {
        "inputs": {"seed": {"to": ["seed.seed"]}, "path": {"to": ["load.path"]}, "format": {"to": ["save.format"]}},
        "outputs": {"image": "save.file"},
    },
}


def saved(workflow: Workflow, paths: list[str], out: Path, name: str = "image") -> Path:
    result = workflow.run(out=out, allow=paths)
    return Path(result.files[name][0]["path"])


@pytest.fixture
def drawing(home: Path) -> Path:
    path = home / "work" / "small.json"
    path.parent.mkdir()
    path.write_text(json.dumps(DRAWING))
    return path


def every_byte_is_free_of(file: Path, *words: str) -> bool:
    data = file.read_bytes() + str(file.name).encode()
    return not any(word.encode(code) in data for word in words for code in ("utf-8", "utf-16-le", "utf-16-be"))


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_no_byte_of_a_saved_picture_tells_where_it_was_made(
    session: Session, home: Path, drawing: Path, tmp_path: Path, kind: str
) -> None:
    typed = str(home / "my cats" / "tom.png")
    workflow, paths = configured(drawing, ["--path", typed, "--format", kind], [], session)
    file = saved(workflow, paths, tmp_path / "out")
    assert every_byte_is_free_of(file, "zyxuser", "my cats", str(home), str(tmp_path))
    texts = extract(file.read_bytes())
    assert parse_document(texts["workflow"]).nodes["load"].inputs == {"path": "tom.png"}
    assert texts["parameters"] == f"seed: 3\npath: tom.png\nformat: {kind}"
    assert file.name == f"Small-tom.png{ {'jpeg': '.jpg'}.get(kind, '.' + kind) }"
    assert Image.open(file).size == (6, 4)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_a_picture_opens_as_the_workflow_that_made_it(session: Session, drawing: Path, home: Path, kind: str) -> None:
    workflow, paths = configured(drawing, ["--path", str(home / "my cats" / "tom.png"), "--format", kind], [], session)
    file = saved(workflow, paths, home / "my cats")
    again = load(file, session, trust=True)
    assert again.document.nodes["save"].inputs["format"] == kind
    assert saved(again, [], home / "again").read_bytes() == file.read_bytes()  # the file lies beside the picture


@pytest.mark.parametrize("flags", [(["--seed", "random"], []), ([], ["seed.seed=random"])], ids=["an option", "--set"])
def test_the_seed_inside_is_the_one_that_was_drawn_and_used(
    session: Session, drawing: Path, home: Path, tmp_path: Path, flags: tuple[list[str], list[str]]
) -> None:
    source = json.loads(drawing.read_text())
    source["interface"]["outputs"]["seeds"] = "seed.seeds"
    drawing.write_text(json.dumps(source))
    workflow, paths = configured(drawing, ["--path", str(home / "my cats" / "tom.png"), *flags[0]], flags[1], session)
    result = workflow.run(out=tmp_path, allow=paths)
    (used,) = result.files["seeds"][0]["value"]
    texts = extract(Path(result.files["image"][0]["path"]).read_bytes())
    assert parse_document(texts["workflow"]).nodes["seed"].inputs["seed"] == used != 3
    assert f"seed: {used}\n" in texts["parameters"]
    assert load_document(drawing).nodes["seed"].inputs["seed"] == 3


@pytest.mark.parametrize(
    ("choice", "keys"), [("full", {"workflow", "parameters"}), ("parameters", {"parameters"}), ("none", set())]
)
def test_each_save_chooses_what_travels(
    session: Session, drawing: Path, home: Path, tmp_path: Path, choice: str, keys: set[str]
) -> None:
    arguments = ["--path", str(home / "my cats" / "tom.png")]
    workflow, paths = configured(drawing, arguments, [f"save.embed={choice}"], session)
    assert set(extract(saved(workflow, paths, tmp_path).read_bytes())) == keys


def test_saving_a_result_afterwards_tells_no_more(session: Session, drawing: Path, home: Path, tmp_path: Path) -> None:
    workflow, paths = configured(drawing, ["--path", str(home / "my cats" / "tom.png")], [], session)
    file = Path(workflow.run(allow=paths).save(tmp_path)["image"][0]["path"])
    assert every_byte_is_free_of(file, "zyxuser", "my cats")


SECRETIVE: dict[str, Any] = {
    "nodes": {"p": {"type": "t/seeded_picture", "inputs": {"path": "tom.png", "seed": 1, "token": "my_token"}}},
    "interface": {"outputs": {"file": "p.file"}, "inputs": {"path": {"to": ["p.path"]}, "seed": {"to": ["p.seed"]}}},
}


@pytest.fixture
def secretive(home: Path) -> Path:
    path = home / "my cats" / "secretive.json"
    path.write_text(json.dumps(SECRETIVE))
    return path


def test_a_secrets_name_travels_and_its_value_does_not(
    session: Session, secretive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODEGRAPH_SECRET_MY_TOKEN", "sesame-open-yourself")
    workflow, paths = configured(secretive, [], ["p.note=it is sesame-open-yourself"], session)
    workflow.accept()
    file = saved(workflow, paths, tmp_path, "file")
    assert every_byte_is_free_of(file, "sesame-open-yourself")
    inputs = parse_document(extract(file.read_bytes())["workflow"]).nodes["p"].inputs
    assert (inputs["token"], inputs["note"]) == ("my_token", "it is (a secret)")


def test_a_secret_typed_in_place_of_its_name_is_in_no_picture_and_a_problem(
    session: Session, secretive: Path, tmp_path: Path
) -> None:
    hidden = "sk-live-51H8x/very=secret"
    workflow, paths = configured(secretive, [], [], session)
    workflow.accept()
    with pytest.raises(RunFailed) as caught:
        workflow.with_values({"p.token": hidden}).run(out=tmp_path, allow=paths)
    (problem,) = caught.value.result.run.problems
    assert (problem.code, problem.node, problem.socket) == ("bad_secret", "p", "token")
    assert hidden not in str(problem)
    file = Path(caught.value.result.files["file"][0]["path"])
    assert every_byte_is_free_of(file, hidden)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "avif"])
def test_a_file_that_cannot_carry_the_workflow_is_saved_without_it_and_that_is_a_problem(
    session: Session, tmp_path: Path, kind: str
) -> None:
    source = {
        "nodes": {"p": {"type": "t/broken_picture", "inputs": {"kind": kind}}},
        "interface": {"outputs": {"file": "p.file"}},
    }
    workflow = Workflow(parse_document(json.dumps({"nodegraph": 1, **source})), session)
    with pytest.raises(RunFailed) as caught:
        workflow.run(out=tmp_path)
    (problem,) = caught.value.result.run.problems
    assert (problem.code, problem.node) == ("not_embedded", "p")
    assert Path(caught.value.result.files["file"][0]["path"]).read_bytes() == b"nothing"


def test_a_pillow_without_avif_is_named(session: Session, drawing: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = home / "my cats" / "tom.avif"
    Image.new("RGB", (6, 4)).save(picture)
    check = pillow_features.check
    monkeypatch.setattr(pillow_features, "check", lambda name: name != "avif" and check(name))
    for arguments in (["--format", "avif", "--path", str(home / "my cats" / "tom.png")], ["--path", str(picture)]):
        workflow, paths = configured(drawing, arguments, ["save.quality=31"], session)  # nothing that ran before
        with pytest.raises(RunFailed, match="without AVIF") as caught:
            workflow.run(allow=paths)
        assert "pillow>=11.3" in str(caught.value)


def test_an_avif_is_loaded_with_its_transparency(session: Session, drawing: Path, home: Path) -> None:
    picture = home / "my cats" / "tom.avif"
    Image.new("RGBA", (6, 4), (255, 0, 0, 0)).save(picture, quality=100, subsampling="4:4:4")
    workflow, paths = configured(drawing, ["--path", str(picture)], [], session)
    result = workflow.run(wanted=["load"], allow=paths)
    assert float(result["load.mask"].max()) == 0
