"""`nodegraph diff`, `merge` and `show`: what they print, what they write, and what their exit codes say."""

from __future__ import annotations

import copy
import io
import os
from pathlib import Path
from typing import Any

import pytest
from editing.documents import CROWDED, rename_node
from PIL import Image

from cli.conftest import SUM, Nodegraph
from nodegraph.artifacts import embed
from nodegraph.editing import Diff, apply
from nodegraph.graph import Document, dump_document, load_document
from nodegraph.graph.document import document_from, to_json

LONG = "a red apple on a wooden table in the morning sun, studio photograph"


@pytest.fixture
def before(tmp_path: Path) -> Path:
    return written(tmp_path / "before.json", CROWDED)


@pytest.fixture
def after(tmp_path: Path) -> Path:
    data = copy.deepcopy(to_json(CROWDED))
    rename_node(data, "prompt", "positive")
    data["nodes"]["denoise"]["inputs"]["steps"] = 30
    data["nodes"]["denoise"]["links"]["items"] = ["positive.text", "model.text"]
    data["nodes"]["positive"]["disabled"] = True
    data["nodes"]["up"] = {"type": "image/resize_image", "inputs": {"scale": 2.0}, "links": {"image": "a.image"}}
    del data["nodes"]["save-it"]
    data["interface"]["outputs"]["size"] = "a.text"
    data["interface"]["inputs"]["seed"]["title"] = "Seed"
    data["interface"]["inputs"]["scale"] = {"to": ["up.scale"]}
    data["subgraphs"]["year"]["nodes"]["b"]["inputs"]["value"] = 3
    data["layout"]["zoom"] = 2
    return written(tmp_path / "after.json", document_from(data))


def written(path: Path, document: Document) -> Path:
    path.write_text(dump_document(document))
    return path


def test_differences_are_lines_by_node_and_input(nodegraph: Nodegraph, before: Path, after: Path) -> None:
    done = nodegraph("diff", before, after)
    assert (done.code, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "renamed prompt -> positive",
        "~ denoise.steps  20 -> 30",
        "~ denoise.items <- -prompt_2.text +model.text",
        "~ positive  disabled",
        "- save-it (image/resize_image)",
        "+ up (image/resize_image)",
        "    scale 2.0",
        "    image <- a.image",
        '~ input seed.title  "" -> "Seed"',
        "+ input scale -> up.scale",
        "~ output size <- a.text  (was a.value)",
        "in subgraph year",
        "  ~ b.value  2 -> 3",
        "The layout differs too: 3 places. --layout shows them.",
    ]


def test_equal_workflows_say_so_and_exit_with_0(nodegraph: Nodegraph, before: Path) -> None:
    done = nodegraph("diff", before, before)
    assert (done.code, done.stdout) == (0, "No differences.\n")


def test_what_was_only_moved_is_no_difference_unless_asked_for(nodegraph: Nodegraph, before: Path, tmp_path: Path) -> None:
    moved = written(tmp_path / "moved.json", CROWDED.model_copy(update={"layout": {}}))
    done = nodegraph("diff", before, moved)
    assert (done.code, done.stdout) == (0, "Only the layout differs: 2 places. --layout shows them.\n")
    done = nodegraph("diff", before, moved, "--layout")
    assert done.code == 1
    assert "- layout.zoom  1" in done.stdout


def test_changes_as_json_can_be_applied(nodegraph: Nodegraph, before: Path, after: Path) -> None:
    done = nodegraph("diff", before, after, "--json")
    assert (done.code, done.json["status"]) == (1, "different")
    changes = Diff.from_json(done.json["changes"] + done.json["layout"])
    assert dump_document(apply(load_document(before), changes)) == after.read_text()


@pytest.mark.parametrize(
    ("one", "other", "line"),
    [
        (LONG, LONG.replace("red", "green"), '"a [-red-]{+green+} apple on a wooden ..."'),
        (LONG, f"{LONG}, sharp", '"... morning sun, studio photograph{+, sharp+}"'),
        (LONG, LONG.replace("table", "chair"), '"... apple on a wooden [-table-]{+chair+} in the morning sun ..."'),
        (LONG, "something else", f'"{LONG}" -> "something else"'),
        ("x\n" * 20, "x\n" * 20 + "y", '"... x\\nx\\nx\\nx\\n{+y+}"'),
        ("\x1b[31m", "\x9b2J", '"\\u001b[31m" -> "\\u009b2J"'),
        (1, 1.0, "1 -> 1.0"),
        (["a"], None, '["a"] -> null'),
    ],
)
def test_values_are_compared_in_one_line(nodegraph: Nodegraph, tmp_path: Path, one: Any, other: Any, line: str) -> None:
    files = [
        written(tmp_path / f"{i}.json", document_from({"nodes": {"n": {"type": "t/t", "inputs": {"v": value}}}}))
        for i, value in enumerate((one, other))
    ]
    assert nodegraph("diff", *files).stdout == f"~ n.v  {line}\n"


def picture(path: Path, document: Document | None) -> Path:
    made = io.BytesIO()
    Image.new("RGB", (4, 4)).save(made, "PNG")
    texts = {} if document is None else {"workflow": dump_document(document)}
    path.write_bytes(embed(made.getvalue(), "image/png", texts))
    return path


@pytest.mark.parametrize("name", ["p.png", "git-blob-x"])
def test_pictures_are_compared_by_the_workflow_inside(nodegraph: Nodegraph, tmp_path: Path, before: Path, name: str) -> None:
    assert nodegraph("diff", picture(tmp_path / name, CROWDED), before).code == 0


def test_an_empty_file_is_the_empty_workflow(nodegraph: Nodegraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = written(tmp_path / "one.json", document_from({"nodes": {"n": {"type": "t/t"}}}))
    (tmp_path / "empty").write_text("")
    for none in (os.devnull, tmp_path / "empty", "-"):
        assert nodegraph("diff", none, one).stdout == "+ n (t/t)\n"


def test_problems_of_both_files_are_listed(nodegraph: Nodegraph, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    done = nodegraph("diff", tmp_path / "broken.json", tmp_path / "none.json")
    assert (done.code, done.stdout) == (2, "")
    assert "These cannot be compared: 2 problems." in done.stderr
    assert "broken.json: This is not JSON" in done.stderr
    assert "none.json" in done.stderr
    assert nodegraph("diff", tmp_path / "broken.json", tmp_path / "none.json", "--json").json["status"] == "invalid"


# ---- merge ----


@pytest.fixture
def sides(tmp_path: Path, before: Path) -> list[Path]:
    """A base, and two versions of it that differ in one place."""
    found = [before]
    for name, steps, key in (("ours", 30, "x"), ("theirs", 25, "y")):
        data = copy.deepcopy(to_json(CROWDED))
        data["nodes"]["denoise"]["inputs"].update({"steps": steps, key: 1})
        found.append(written(tmp_path / f"{name}.json", document_from(data)))
    return found


def test_a_merge_without_conflicts_goes_to_stdout(nodegraph: Nodegraph, before: Path, after: Path) -> None:
    done = nodegraph("merge", before, after, before)
    assert (done.code, done.stdout, done.stderr) == (0, after.read_text(), "")


def test_conflicts_are_told_on_stderr_and_the_result_is_written(nodegraph: Nodegraph, sides: list[Path]) -> None:
    done = nodegraph("merge", *sides, "--out", sides[1])
    assert (done.code, done.stdout) == (1, "")
    assert [line.strip() for line in done.stderr.splitlines()] == [
        "1 conflict. The merged workflow says what ours says there; theirs is below.",
        "denoise.steps: Both sides changed this, and differently. It is as ours has it.",
        "base   20",
        "ours   30",
        "theirs 25",
    ]
    assert load_document(sides[1]).nodes["denoise"].inputs == {"steps": 30, "value": 1.0, "x": 1, "y": 1}


def test_conflicts_as_json(nodegraph: Nodegraph, sides: list[Path]) -> None:
    done = nodegraph("merge", *sides, "--json")
    assert (done.code, done.json["status"]) == (1, "conflicts")
    assert done.json["conflicts"][0]["path"] == ["nodes", "denoise", "inputs", "steps"]
    assert done.json["document"]["nodes"]["denoise"]["inputs"]["steps"] == 30


def test_what_cannot_be_merged_is_refused_and_nothing_is_written(nodegraph: Nodegraph, sides: list[Path]) -> None:
    text = sides[1].read_text()
    sides[2].write_text("[]")
    assert nodegraph("merge", *sides, "--out", sides[1]).code == 2
    assert sides[1].read_text() == text
    done = nodegraph("merge", sides[0], sides[0], sides[1], "--out", "x.png")
    assert (done.code, Path("x.png").exists()) == (2, False)
    assert "would be a picture" in done.stderr


# ---- show ----


def test_a_workflow_is_shown_as_lines(nodegraph: Nodegraph, tmp_path: Path) -> None:
    data = {**SUM, "nodes": {"words": {"type": "core/text", "inputs": {"value": "a\nb"}, "links": {"x": ["a.b"]}}}}
    data["interface"] = {"inputs": {"w": {"to": ["words.value"], "title": "Words"}}, "outputs": {"o": "words.text"}}
    data["subgraphs"] = {"s": {"nodes": {"n": {"type": "t/t", "disabled": True, "seen": 1}}}}
    data["layout"] = {"zoom": 1}
    path = written(tmp_path / "x.json", document_from(data))
    lines = [
        'title "Sum"',
        "input w -> words.value",
        '  title = "Words"',
        "output o <- words.text",
        "node words: core/text",
        "  words.value =",
        "    | a",
        "    | b",
        "  words.x <- [a.b]",
        "subgraph s",
        "  node n: t/t (disabled)",
        "    n seen = 1",
    ]
    assert nodegraph("show", path).stdout.splitlines() == lines
    assert nodegraph("show", path, "--layout").stdout.splitlines() == [*lines, "layout.zoom = 1"]


def test_what_is_no_workflow_is_shown_as_it_is(nodegraph: Nodegraph, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"nodes": \n<<<<<<< ours')
    done = nodegraph("show", path)
    assert (done.code, done.stdout) == (0, path.read_text())
    shown = nodegraph("show", picture(tmp_path / "p.png", None)).stdout.splitlines()
    assert (shown[0].startswith("png picture, "), shown[1]) == (True, "no workflow inside")
    assert nodegraph("show", tmp_path / "none.json").code == 2


def test_every_difference_in_meaning_is_a_difference_of_lines() -> None:
    from nodegraph.cli.outline import outline

    seen = ["\n".join(outline(CROWDED, True))]
    for path, value in leaves(to_json(CROWDED)):
        data = copy.deepcopy(to_json(CROWDED))
        place: Any = data
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = {str: "other.place", int: 77, float: 7.5, bool: False, type(None): 3}[type(value)]
        if path != ("nodegraph",):
            seen.append("\n".join(outline(document_from(data), True)))
    assert len(set(seen)) == len(seen)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    return [(path, value)] if inside is None else [leaf for key, item in inside for leaf in leaves(item, (*path, key))]
