"""Stubs: what editors and type checkers know of installed packs, checked by mypy itself."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sdk.test_packs import install

from nodegraph.graph import installed_catalog, load_document
from nodegraph.scripting.pack_stub import pack_stub
from nodegraph.scripting.stubs import Stubs, make_stubs, write_stubs
from nodegraph.sdk.pack import Pack
from scripting.test_round_trip import WORKFLOWS, ScriptOf

ROOT = Path(__file__).parents[2]

PACK = '''
import enum
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, Field

from nodegraph import (
    Color, Context, FilePath, GraphBuilder, Lazy, ModelFile, Secret, Seed, SocketType, composite, node, socket,
)

T = TypeVar("T")
LIMIT = 3


class Mode(enum.Enum):
    """How."""

    FAST = "fast"
    SLOW = "slow"


class Spot(BaseModel):
    x: int = 0


@socket()
class Paint:
    """Something to paint with."""


Sketch = Annotated[dict[str, Any], SocketType("Sketch", "#112233", "Some lines.")]


class Both(NamedTuple):
    left: Annotated[Paint, Field(description="The left one.")]
    right: Sketch


class Alone(NamedTuple):
    it: Paint


def helper(x: int) -> int:
    return x


@node()
def choose(
    mode: Mode = Mode.FAST, spot: Spot | None = None, seed: Seed = 3, color: Color = "#ffffff", size: int | float = 2,
    words: list[str] = ["a"], table: dict[str, int] = {}, strength: Annotated[float, Field(ge=0)] = 0.5,
) -> Paint:
    """Choose "quotes" and \\\\ backslashes."""
    return Paint()


@node(lane="gpu")
def mix(context: Context, paint: Paint, over: Paint | None = None, *, sketches: list[Sketch]) -> Both:
    """Two."""
    return Both(paint, {})


@node()
def read(path: FilePath, model: ModelFile[Literal["checkpoint"]], key: Secret) -> Alone:
    """From outside."""
    return Alone(Paint())


@node()
async def either(first: Lazy[T], second: Lazy[T | None]) -> T:
    """One."""
    return await first


@composite()
def often(graph: GraphBuilder, paint: Paint, *more: Paint, times: int = 2) -> Paint:
    """Again."""
    return paint


@node()
def nothing() -> None:
    """Nothing."""


@node(output_name="found")
def int(value: float = 1.0) -> list[bool]:
    """A node with the name of a type."""
    return []
'''

LIST_ITEM = '''
class _list_item(Node):
    """One item of a list.

    index: From 0; -1 is the last.
    """
    @overload
    def __call__(self, items: list[T], index: int = 0) -> T: ...
    @overload
    def __call__(
        self, items: Link[Sequence[T]], index: int | Into[int] = 0
    ) -> Link[T]: ...
    @overload
    def __call__(self, items: Link[T], index: int | Into[int] = 0) -> Link[T]: ...
    def linked(
        self, *, items: Link[Any] = ..., index: int | Into[int] = 0
    ) -> Link[Any]: ...

list_item: _list_item
"""One item of a list.

index: From 0; -1 is the last.
"""
'''

MAP = """
    def linked(
        self,
        *,
        body: str | Into[str] = ...,
        items: Any = ...,
        limit: int | Into[int] = 10000,
        **captured: Any,
    ) -> OpenOutputs: ...
"""

GOOD = """
import nodegraph
import paint_pack
from nodegraph_nodes import core, image

graph = nodegraph.Graph("Good")
paint = graph.add(paint_pack.choose, "paint", mode="slow", spot={"x": 3}, seed=graph.add(core.integer, value=3), size=1.5)
graph.add(paint_pack.choose, mode=paint_pack.Mode.FAST, spot=paint_pack.Spot(x=1), words=["b"], table={"a": 1}, strength=1)
both = graph.add(paint_pack.mix, paint=paint, over=None, sketches=graph.link("somewhere.else"))
paint_pack.mix(both.left, sketches=both.right)
lists = graph.add(core.make_list, items=[paint, both.left])
graph.add(paint_pack.mix, paint=core.make_list(paint, both.left), over=paint)  # a list: once per item
graph.add(paint_pack.read, path="x.png", model="starter", key="token").it
paint_pack.often(paint, paint, both.left, times=3)
paint_pack.often(graph, paint, times=3)
chosen = paint_pack.either(paint, paint)
graph.add(paint_pack.mix, paint=chosen)
graph.add(paint_pack.mix, paint=core.list_item(core.make_list(paint, paint)))
graph.add(core.number_range, start=graph.add(core.integer))  # a whole number where a number is
graph.add(core.calculate, operation=graph.add(core.text, value="add"))  # text where a choice is
looped = graph.add(core.map, body="body", items=[1, 2], anything="else")
graph.add(paint_pack.mix, paint=looped.paints)
placed = graph.place("gone/node", "gone", links={"x": paint, "y": [paint, "a.b"]})
graph.add(paint_pack.mix, paint=placed.paint, sketches=graph.call("sub", x=placed.y).sketch)
graph.output("paint", paint)
added: int = core.calculate_whole(1, "add", 2)
spots: paint_pack.Paint = paint_pack.choose(paint_pack.Mode.SLOW, paint_pack.Spot(x=3))
linked: nodegraph.Link[paint_pack.Paint] = both.left
print(paint_pack.LIMIT, paint_pack.helper(3), core.fold.name, paint_pack.int(2.0))
"""

WRONG = """
import nodegraph
import paint_pack
from nodegraph_nodes import core, image

graph = nodegraph.Graph("Wrong")
paint = graph.add(paint_pack.choose)
picture = graph.add(image.load_image, path="x.png")
graph.add(paint_pack.mix, paint=picture.image)  # arg-type
graph.add(image.resize_image, image=picture.mask)  # arg-type
image.resize_image(paint)  # arg-type
graph.add(paint_pack.mix, pant=paint)  # call-arg
graph.add(paint_pack.choose, mode="medium")  # arg-type
graph.add(paint_pack.choose, strength="much")  # arg-type
paint.left  # attr-defined
picture.picture  # attr-defined
image.resize_imag  # attr-defined
paint_pack.either(paint)  # call-overload
paint_pack.mix(paint)  # call-overload
text: str = core.calculate_whole(1, "add", 2)  # assignment
graph.add(paint_pack.read, path=picture.image)  # arg-type
graph.add(core.make_list, items=[1])  # list-item
graph.output("paint", 3)  # arg-type
"""


@pytest.fixture(scope="module")
def stubs() -> Stubs:
    return make_stubs()


def command(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False, cwd=path, timeout=500
    )


@pytest.fixture(scope="module")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pack of one module, installed as pip would, and the stubs of all packs in `typings`."""
    folder = tmp_path_factory.mktemp("third party")
    install(folder, "paint", PACK)
    done = command(folder, "-m", "nodegraph.cli", "stubs")
    assert done.returncode == 0, done.stderr
    return folder


def mypy(folder: Path, *files: str) -> list[tuple[str, int, str]]:
    """The errors that mypy finds with the stubs: file, line and code."""
    (folder / "mypy.ini").write_text(f"[mypy]\nstrict = true\nmypy_path = typings:{ROOT}:{ROOT / 'nodes'}\n")
    cache = folder.parent / "mypy"
    done = command(folder, "-m", "mypy", "--no-error-summary", "--cache-dir", str(cache), *files)
    assert done.returncode in (0, 1), done.stderr
    rows = [
        re.match(r"(.*?):(\d+): error: .*\[([a-z-]+)\]$", line) for line in done.stdout.splitlines() if " note: " not in line
    ]
    assert all(rows), done.stdout
    return [(row[1], int(row[2]), row[3]) for row in rows if row]


def test_a_node_is_a_class_with_signatures_for_values_for_links_and_for_add() -> None:
    core = importlib.import_module("nodegraph_nodes.core")
    text = pack_stub(core, Pack.of("core", vars(core).values())).text
    assert LIST_ITEM in text
    assert MAP in text


@pytest.mark.slow
def test_every_installed_node_has_a_stub(stubs: Stubs, data_folder: Path) -> None:
    catalog = installed_catalog(data_folder / "catalog")
    assert (stubs.nodes, stubs.broken) == (len(catalog.nodes), {})
    for spec in catalog.nodes.values():
        pack, _, name = spec.id.partition("/")
        text = stubs.files[f"nodegraph_nodes/{pack}/__init__.pyi"]
        assert f"\n{name}: _{name}\n" in text
        for item in spec.inputs:
            assert re.search(rf"def linked\([^)]*\b{item.name}: ", text[text.index(f"class _{name}(") :]), (spec.id, item.name)


@pytest.mark.slow
def test_stubs_are_the_same_every_time(stubs: Stubs) -> None:
    assert make_stubs() == stubs


@pytest.mark.slow
def test_stubs_are_python(stubs: Stubs) -> None:
    for place, text in stubs.files.items():
        compile(text, place, "exec")


@pytest.mark.slow
def test_editors_show_the_words_of_a_node_and_its_inputs(stubs: Stubs) -> None:
    text = stubs.files["nodegraph_nodes/image/__init__.pyi"]
    after = text[text.index("\nresize_image: _resize_image\n") :]
    assert after.split('"""')[1].startswith("Resize an image.")
    assert "width: Pixels; 0 keeps the proportions." in after.split('"""')[1]


@pytest.mark.slow
def test_writing_stubs_takes_away_those_of_packs_that_are_gone_and_no_others(stubs: Stubs, tmp_path: Path) -> None:
    write_stubs(stubs, tmp_path)
    (tmp_path / "mine.pyi").write_text("x: int\n")
    gone = tmp_path / "gone" / "pack.pyi"
    gone.parent.mkdir()
    gone.write_text(stubs.files["nodegraph_nodes/core/__init__.pyi"])
    write_stubs(stubs, tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.pyi")}
    assert found == {*stubs.files, "mine.pyi"}


@pytest.mark.slow
def test_a_pack_that_cannot_be_imported_leaves_the_others_their_stubs(tmp_path: Path) -> None:
    install(tmp_path, "bad", "import a_library_that_is_missing")
    done = command(tmp_path, "-m", "nodegraph.cli", "stubs", "--out", "here")
    assert done.returncode == 1
    assert "a_library_that_is_missing" in done.stderr
    assert (tmp_path / "here" / "nodegraph_nodes" / "core" / "__init__.pyi").exists()


@pytest.mark.slow
def test_a_pack_of_one_module_has_a_stub_with_all_that_it_offers(third_party: Path) -> None:
    text = (third_party / "typings" / "paint_pack.pyi").read_text()
    for line in ("class Mode(Enum):", "class Spot:", "class Both(NamedTuple):", "LIMIT: Any", "def helper("):
        assert line in text


@pytest.mark.slow
def test_scripts_that_are_right_are_right_to_mypy(third_party: Path, script_of: ScriptOf) -> None:
    (third_party / "good.py").write_text(GOOD)
    names = ["good.py"]
    for path in WORKFLOWS:
        names.append(f"{path.stem}.py")
        (third_party / names[-1]).write_text(script_of(load_document(path)))
    assert mypy(third_party, *names) == []


@pytest.mark.slow
def test_mypy_finds_what_is_wrong(third_party: Path) -> None:
    (third_party / "wrong.py").write_text(WRONG)
    expected = [
        ("wrong.py", number, line.partition("  # ")[2]) for number, line in enumerate(WRONG.splitlines(), 1) if "  # " in line
    ]
    assert mypy(third_party, "wrong.py") == expected
