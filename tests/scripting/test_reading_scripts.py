"""`nodegraph import FILE.py` and `nodegraph export FILE --python`: scripts as files, run in a process of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.conftest import Nodegraph, nodegraph

from nodegraph import InvalidWorkflow
from nodegraph.api.scripts import document_from_script
from nodegraph.artifacts import embed
from nodegraph.graph import dump_document, load_document
from nodegraph.graph.document import to_json
from scripting.test_round_trip import WORKFLOWS

__all__ = ["nodegraph"]

SUM = """
import nodegraph
from nodegraph_nodes import core

graph = nodegraph.Graph("Sum")
a = graph.add(core.integer, "a", value=3)
graph.output("sum", core.calculate_whole(a, "add", 4))
"""


def script(folder: Path, text: str) -> Path:
    path = folder / "script.py"
    path.write_text(text, "utf-8")
    return path


def test_a_script_is_imported_as_the_document_that_it_builds(tmp_path: Path) -> None:
    document = document_from_script(script(tmp_path, SUM))
    assert to_json(document)["interface"] == {"outputs": {"sum": "calculate_whole.value"}}
    assert document.title == "Sum"


@pytest.mark.slow
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_shipped_workflows_go_to_a_file_and_back(nodegraph: Nodegraph, tmp_path: Path, path: Path) -> None:
    assert nodegraph("export", path, "--python", "--out", tmp_path / "s.py").code == 0
    assert nodegraph("import", tmp_path / "s.py", "--out", tmp_path / "s.json").code == 0
    assert (tmp_path / "s.json").read_text() == dump_document(load_document(path))


@pytest.mark.parametrize(
    ("text", "name", "title"),
    [
        ("graph = nodegraph.Graph('A')\nother = nodegraph.Graph('B')", None, "A"),
        ("graph = nodegraph.Graph('A')\nother = nodegraph.Graph('B')", "other", "B"),
        ("workflow = nodegraph.Graph('A').workflow()\nother = nodegraph.Graph('B')", None, "A"),
        ("graph = nodegraph.Graph('A')\nworkflow = graph.workflow()", None, "A"),
        ("mine = nodegraph.Graph('A')", None, "A"),
        ("mine = same = nodegraph.Graph('A')", None, "A"),
        ("mine = nodegraph.Graph('A').document()", None, "A"),
        ("print('words')\ngraph = nodegraph.Graph('A')\nif __name__ == '__main__':\n    raise SystemExit(3)", None, "A"),
        ("import beside\ngraph = nodegraph.Graph(beside.TITLE)", None, "A"),
        ("import sys, pathlib\ngraph = nodegraph.Graph(pathlib.Path(__file__).stem[:0] + sys.argv[0][-9:])", None, "script.py"),
    ],
)
def test_a_script_offers_its_graph_by_name_or_as_the_only_one(tmp_path: Path, text: str, name: str | None, title: str) -> None:
    (tmp_path / "beside.py").write_text("TITLE = 'A'")
    assert document_from_script(script(tmp_path, f"import nodegraph\n{text}"), name).title == title


@pytest.mark.parametrize(
    ("text", "name", "code", "says", "line"),
    [
        ("x = 1", None, "no_graph", "offers no workflow", None),
        ("import nodegraph\na = nodegraph.Graph()\nb = nodegraph.Graph()", None, "which_graph", "several graphs: a, b", None),
        ("import nodegraph\ngraph = nodegraph.Graph()", "graf", "no_graph", "no graph called 'graf'", None),
        ("x = 1\n\n1 / 0\n", None, "script_failed", "ZeroDivisionError: division by zero", 3),
        ("def f():\n    raise LookupError('gone')\n\nf()", None, "script_failed", "LookupError: gone", 2),
        ("import json\njson.loads('{')", None, "script_failed", "JSONDecodeError", 2),
        ("x = 1\nx = = 2", None, "bad_script", "is not Python", 2),
        ("raise SystemExit(4)", None, "script_ended", "exit code 4", None),
        ("import os\nos._exit(5)", None, "script_ended", "exit code 5", None),
        ("import nodegraph\ngraph = nodegraph.Graph()\ngraph.keep(layout=3)", None, "bad_document", "layout has", None),
        (
            "import nodegraph as n\n\n@n.node()\ndef mine() -> int:\n    return 1\n\ngraph = n.Graph()\ngraph.add(mine)",
            None, "bad_script", "'mine' belongs to no installed pack", None,
        ),
    ],
)  # fmt: skip
def test_a_script_that_gives_no_workflow_says_why(
    tmp_path: Path, text: str, name: str | None, code: str, says: str, line: int | None
) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        document_from_script(script(tmp_path, text), name)
    (problem,) = caught.value.problems
    assert (problem.code, problem.line) == (code, line)
    assert says in problem.message


def test_a_script_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidWorkflow, match="There is no file"):
        document_from_script(tmp_path / "gone.py")


def test_an_import_is_one_json_object_whatever_the_script_prints(nodegraph: Nodegraph, tmp_path: Path) -> None:
    path = script(tmp_path, f"print('words')\n{SUM}")
    done = nodegraph("import", path, "--json", "--out", tmp_path / "sum.json")
    assert (done.code, done.json["status"], done.json["problems"]) == (0, "imported", [])
    done = nodegraph("import", path, "--name", "gone", "--json", "--out", tmp_path / "other.json")
    assert (done.code, done.json["problems"][0]["code"]) == (2, "no_graph")
    assert not (tmp_path / "other.json").exists()


def test_an_export_goes_to_stdout_or_into_a_file_that_is_not_there_yet(nodegraph: Nodegraph, tmp_path: Path) -> None:
    done = nodegraph("export", WORKFLOWS[0], "--python")
    assert done.code == 0
    assert nodegraph("export", WORKFLOWS[0], "--python", "--out", "s.py").code == 0
    assert (tmp_path / "s.py").read_text() == done.stdout
    refused = nodegraph("export", WORKFLOWS[1], "--python", "--out", "s.py")
    assert (refused.code, (tmp_path / "s.py").read_text()) == (2, done.stdout)
    assert "--force" in refused.stderr
    assert nodegraph("export", WORKFLOWS[1], "--python", "--out", "s.py", "--force").code == 0
    assert (tmp_path / "s.py").read_text() != done.stdout


def test_an_export_as_json_has_the_script(nodegraph: Nodegraph) -> None:
    done = nodegraph("export", WORKFLOWS[0], "--python", "--json")
    assert done.json["script"] == nodegraph("export", WORKFLOWS[0], "--python").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [([WORKFLOWS[0]], "--python"), (["gone.json", "--python"], "no file"), (["bad.json", "--python"], "JSON")],
)
def test_what_cannot_be_exported_is_refused(nodegraph: Nodegraph, tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "bad.json").write_text("{")
    done = nodegraph("export", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert says in done.stderr


def test_the_workflow_in_a_picture_is_exported(nodegraph: Nodegraph, tmp_path: Path) -> None:
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "png")
    text = dump_document(load_document(WORKFLOWS[0]))
    (tmp_path / "p.png").write_bytes(embed(file.getvalue(), "image/png", {"workflow": text}))
    assert nodegraph("export", "p.png", "--python").stdout == nodegraph("export", WORKFLOWS[0], "--python").stdout


def test_a_file_that_cannot_be_written_is_a_failure(nodegraph: Nodegraph, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = nodegraph("export", WORKFLOWS[0], "--python", "--out", "file/s.py", "--json")
    assert (done.code, json.loads(done.stdout)["problems"][0]["code"]) == (1, "bad_output")
