"""The cache folder is data, never code: a record made by hand is a miss, it cannot execute anything nor reach other files.

Who may write there can still forge a value that has the form of a right one: the folder is as trusted as what runs from it.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import logging
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from crash import pack
from crash.crafted import Change, Parts, crafted, plant
from crash.story import expected
from crash.worker import NoDevice, story
from nodegraph import Pack
from nodegraph.engine import Engine, Library, RunResult, cache
from nodegraph.graph import compile_document
from nodegraph.graph.document import document_from
from nodegraph.store import DiskTier

STEPS = 1
RIGHT = expected(steps=STEPS)


@pytest.fixture(autouse=True)
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that take no time, and are written all the same."""
    monkeypatch.setattr(cache, "CHEAP_SECONDS", 0.0)
    monkeypatch.setattr(cache, "_READ_BYTES_PER_SECOND", 1e18)
    for name, value in pack.settings(tmp_path / "log", 0).items():
        monkeypatch.setenv(name, value)


async def run(folder: Path, memory_bytes: int = 1 << 20) -> RunResult:
    """The story on a new engine; one that hangs fails."""
    library = Library.of([Pack.of("crash", vars(pack).values())])
    plan = compile_document(document_from(story(steps=STEPS)), library.catalog)
    disk = DiskTier(folder, 1 << 30)
    async with Engine(library, disk=disk, memory_bytes=memory_bytes, device=cast(Any, NoDevice)) as engine:
        return await asyncio.wait_for(engine.run(plan), 10)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder after one good run."""
    folder = tmp_path_factory.mktemp("filled")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in pack.settings(folder / "log", 0.006).items():
            patch.setenv(name, value)
        assert text_of(asyncio.run(run(folder / "cache"))) == RIGHT.text
    return folder / "cache"


@pytest.fixture
def folder(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "cache"))


def text_of(result: RunResult) -> str:
    assert result.status == "succeeded", result.problems
    return cast(str, result.outputs[0].value.data.decode())


def outline(**fields: Any) -> Change:
    """Other fields in the outline; what is callable makes them from the old ones."""

    def change(parts: Parts) -> Parts:
        old = parts.outline
        new = {name: value(old[name]) if callable(value) else value for name, value in fields.items()}
        return parts._replace(outline={**old, **new})

    return change


def each(value: Any) -> Callable[[Any], Any]:
    """Another value in the place of every output."""
    return lambda data: {name: value(old) if callable(value) else value for name, old in data.items()}


def row(**fields: Any) -> Change:
    """Other fields in the rows of the table of tensors; None takes one out."""

    def change(parts: Parts) -> Parts:
        table = {
            name: {key: value for key, value in {**old, **fields}.items() if value is not None}
            for name, old in parts.table.items()
        }
        return parts._replace(table=table)

    return change


def encoded(name: Any) -> Change:
    """The outline said to be in another encoding."""
    return lambda parts: crafted(parts, encoding=name)


def values(*given: Any) -> tuple[Any, ...]:
    """Values of all kinds."""
    return given


def socket_fields(**fields: Any) -> Callable[[Any], Any]:
    def change(old: Any) -> Any:
        if "list" in old:
            return {"list": [change(item) for item in old["list"]]}
        return {**old, **fields}

    return each(change)


PICKLE = b"cos\nsystem\n(S'touch /tmp/nodegraph-executed'\ntR."
DEEP = "[" * 900 + "]" * 900
DEEPER = "[" * 100_000 + "]" * 100_000

RESULTS: dict[str, Change] = {
    **{f"data {value!r}": outline(data=value) for value in values(5, None, [], {}, "text", {"bogus": {"json": 1}})},
    "one output more": outline(data=lambda data: {**data, "more": {"json": 1}}),
    "a number where a state belongs": outline(data=each({"json": 1})),
    "nothing where a state belongs": outline(data=each({"json": None})),
    "a list where a state belongs": outline(data=each(lambda old: {"list": [old]})),
    "a list of lists": outline(data=each(lambda old: {"list": [{"list": [old]}]})),
    "a list that is a number": outline(data=each({"list": 3})),
    "a list that is a text": outline(data=each({"list": "ab"})),
    "a value that is a text": outline(data=each("json")),
    "a value that is a list": outline(data=each(["json"])),
    "a value that is nothing at all": outline(data=each({})),
    "an unknown socket": outline(data=socket_fields(socket="Unknown")),
    "another socket": outline(data=socket_fields(socket="Artifact")),
    "a socket that is a list": outline(data=socket_fields(socket=["State"])),
    "a codec's value of the wrong kind": outline(data=socket_fields(value=7)),
    "a codec's value without its fields": outline(data=socket_fields(value={})),
    "buffers that are a number": outline(data=socket_fields(buffers=3)),
    "buffers that are not there": outline(data=socket_fields(buffers={"data": "elsewhere"})),
    "no buffers": outline(data=socket_fields(buffers={})),
    **{f"type {value!r}": outline(type=value) for value in (5, "", "gone/step", "crash/gone", ["x"], {"a": 1}, "crash/tell")},
    **{
        f"seconds {value!r}": outline(seconds=value)
        for value in ("1", None, float("nan"), float("inf"), -1, True, [1], 10**400)
    },
    **{f"kind {value!r}": outline(kind=value) for value in ("alias", "trace", "nonsense", 5, ["result"])},
    "another key": outline(key="0" * 40),
    "a key that is a path": outline(key="../../../victim"),
    "a field more": outline(more=1),
    "buffers in the outline": outline(buffers={"state.data": 1}),
    "no outline": lambda parts: parts._replace(outline="[]"),
    "an outline that is no JSON": lambda parts: parts._replace(outline="{"),
    "a deep outline": lambda parts: parts._replace(outline=DEEPER),
    "deep data": lambda parts: parts._replace(
        outline=f'{{"key": "{parts.outline["key"]}", "kind": "result", "type": "crash/step", "seconds": 1, '
        f'"data": {{"state": {{"json": {DEEP}}}}}}}'
    ),
    **{f"encoding {name!r}": encoded(name) for name in values("latin-1", "zlib", "idna", "no", 5)},
    "a table of nothing": lambda parts: parts._replace(table={}),
    "a table of numbers": lambda parts: parts._replace(table=dict.fromkeys(parts.table, 5)),
    "no dtype": row(dtype=None),
    "an unknown dtype": row(dtype="F7"),
    "a dtype that is a list": row(dtype=["U8"]),
    "another dtype": row(dtype="F64"),
    "no shape": row(shape=None),
    "a shape that is a text": row(shape="ab"),
    "a huge shape": row(shape=[10**15, 10**15]),
    "a negative shape": row(shape=[-1]),
    "a shape of texts": row(shape=["1"]),
    "no offsets": row(data_offsets=None),
    "one offset": row(data_offsets=[0]),
    "three offsets": row(data_offsets=[0, 300, 1]),
    "huge offsets": row(data_offsets=[0, 10**18]),
    "negative offsets": row(data_offsets=[-300, -1]),
    "offsets that are texts": row(data_offsets=["0", "300"]),
    "offsets that are a text": row(data_offsets="ab"),
    "offsets backwards": row(data_offsets=[300, 0]),
    "half of the bytes": lambda parts: parts._replace(body=parts.body[: len(parts.body) // 2]),
    "more bytes": lambda parts: parts._replace(body=parts.body + b"more"),
    "no bytes": lambda parts: parts._replace(body=b""),
    "a header as long as the world": lambda parts: b"\xff" * 8 + crafted(parts)[8:],
    "a pickle": lambda parts: PICKLE,
}


def place_of(**fields: Any) -> Change:
    """Other fields in every place that an alias names."""

    def change(ref: Any) -> Any:
        return [change(item) for item in ref] if isinstance(ref, list) else {**ref, **fields}

    return outline(data=lambda data: {name: change(ref) for name, ref in data.items()} if isinstance(data, dict) else data)


ALIASES: dict[str, Change] = {
    **{f"data {value!r}": outline(data=value) for value in (5, None, [], [1], True, "", "../../victim", "0" * 40, "\ud800")},
    **{f"key {value!r}": place_of(key=value) for value in (5, None, ["x"], {"a": 1}, "../../../victim", "", "x" * 5000)},
    **{f"output {value!r}": place_of(output=value) for value in (5, None, ["x"], "bogus", "")},
    **{f"item {value!r}": place_of(item=value) for value in (5, None, ["a"], "ab", [99], [-1], [None], [0, 0, 0], [10**30])},
    "places that are numbers": outline(data=lambda data: dict.fromkeys(data, 5) if isinstance(data, dict) else data),
    "places that are texts": outline(data=lambda data: dict.fromkeys(data, "ab") if isinstance(data, dict) else data),
    "deep lists": outline(data=lambda data: dict.fromkeys(data, json.loads(DEEP)) if isinstance(data, dict) else data),
    "itself": lambda parts: parts._replace(outline={**parts.outline, "data": parts.outline["key"]}),
    "a result instead": outline(kind="result"),
    "a trace instead": outline(kind="trace"),
}

UNFIT: dict[str, Change] = {
    "no outputs": outline(data={}),
    "another output": outline(data=lambda data: {"bogus": next(iter(data.values()))} if isinstance(data, dict) else data),
    "lists where places belong": outline(
        data=lambda data: {n: [r] for n, r in data.items()} if isinstance(data, dict) else data
    ),
}
"""Aliases that only the node whose key they stand under can tell from its own."""

TRACES: dict[str, Change] = {
    **{f"data {value!r}": outline(data=value) for value in values(5, None, [], {}, ["one"])},
    "the other input": outline(data="other"),
    "an alias instead": outline(kind="alias"),
    "a result instead": outline(kind="result"),
}


async def never_wrong(folder: Path, kind: str, change: Change, caplog: pytest.LogCaptureFixture) -> None:
    """The folder with every record of a kind replaced gives the right value, at once and from what it then holds."""
    assert plant(folder, kind, change)
    if kind == "trace":  # nobody asks for it as long as an alias leads past it
        plant(folder, "alias", outline(data=5))
    for memory_bytes in (1 << 20, 2000):
        assert text_of(await run(folder, memory_bytes)) == RIGHT.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], caplog.text


@pytest.mark.parametrize("change", RESULTS.values(), ids=RESULTS)
async def test_a_crafted_result_is_a_miss(folder: Path, change: Change, caplog: pytest.LogCaptureFixture) -> None:
    await never_wrong(folder, "result", change, caplog)


@pytest.mark.parametrize("change", ALIASES.values(), ids=ALIASES)
async def test_a_crafted_alias_is_a_miss(folder: Path, change: Change, caplog: pytest.LogCaptureFixture) -> None:
    await never_wrong(folder, "alias", change, caplog)


@pytest.mark.parametrize("change", UNFIT.values(), ids=UNFIT)
async def test_an_alias_with_other_outputs_than_its_node_is_a_miss(
    folder: Path, change: Change, caplog: pytest.LogCaptureFixture
) -> None:
    await never_wrong(folder, "alias", change, caplog)


@pytest.mark.parametrize("change", TRACES.values(), ids=TRACES)
async def test_a_crafted_trace_is_a_miss(folder: Path, change: Change, caplog: pytest.LogCaptureFixture) -> None:
    await never_wrong(folder, "trace", change, caplog)


async def test_a_trace_of_an_unknown_input_is_a_miss(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    await never_wrong(folder, "trace", outline(data="bogus"), caplog)


@pytest.mark.parametrize("key", ["../../victim", "/etc/passwd", "..", "a/../../../victim", "con", "\x00", "KEY", "x" * 300])
def test_a_key_that_is_a_path_reaches_no_file(folder: Path, key: str) -> None:
    victim = folder.parent / "victim.safetensors"
    victim.write_text("mine")
    with contextlib.closing(sqlite3.connect(folder / "index.sqlite")) as db:
        db.execute("INSERT INTO entries VALUES (?, 'result', 'crash/step', 1.0, 100, 0.0, 1)", (key,))
        db.commit()
    tier = DiskTier(folder, 1 << 30)
    assert tier.read(key) is None
    tier.remove([key])
    tier.gc()
    tier.clear()
    tier.close()
    assert victim.read_text() == "mine"


def trap(path: Path, kind: str) -> None:
    path.unlink()
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "endless":
            path.symlink_to("/dev/zero")
        case "link":
            path.symlink_to("/etc/passwd")
        case "loop":
            path.symlink_to(path)
        case "folder":
            path.mkdir()
        case "huge":
            with path.open("wb") as file:
                file.truncate(1 << 42)


@pytest.mark.parametrize("kind", ["pipe", "endless", "link", "loop", "folder", "huge"])
async def test_a_trap_in_the_place_of_a_file_is_a_miss(folder: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    paths = list((folder / "blobs").rglob("*.safetensors"))
    assert paths
    for path in paths:
        trap(path, kind)
    for _ in range(2):
        assert text_of(await run(folder)) == RIGHT.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], caplog.text


async def test_a_link_in_the_place_of_a_folder_leads_to_no_harm(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("mine")
    for place in (folder / "blobs").iterdir():
        shutil.rmtree(place)
        place.symlink_to(elsewhere)
    assert text_of(await run(folder)) == RIGHT.text
    tier = DiskTier(folder, 1 << 30)
    tier.gc()
    tier.clear()
    tier.close()
    assert (elsewhere / "precious").read_text() == "mine"


@pytest.mark.parametrize("name", ["no_such_class", "os", "types", 5, None])
def test_a_class_that_the_shipped_codec_does_not_know_is_a_miss(name: Any) -> None:
    from nodegraph_nodes.types import CODEC

    with pytest.raises(LookupError):
        CODEC.decode({"$class": name}, {})


@pytest.mark.parametrize("name", ["dataclass", "field", "png_artifact", "socket", "codec", "NamedTuple", "__builtins__"])
def test_the_shipped_codec_calls_nothing_but_its_own_classes(name: str) -> None:
    """It is refused before it is called: what a call complains of (an argument that is missing) says that it was made."""
    from nodegraph_nodes.types import CODEC

    with pytest.raises(LookupError):
        CODEC.decode({"$class": name}, {})


def test_nothing_that_reads_the_cache_can_unpickle_or_evaluate() -> None:
    root = Path(pack.__file__).parents[2]
    dangerous = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "copyreg", "yaml"}
    calls = {"eval", "exec", "compile", "__import__"}
    files = [*(root / "nodegraph" / "store").glob("*.py"), *(root / "nodegraph" / "engine").glob("*.py")]
    files += [root / "nodes" / "nodegraph_nodes" / "tensors.py", root / "nodegraph" / "sdk" / "socket.py"]
    assert len(files) > 30
    for file in files:
        for item in ast.walk(ast.parse(file.read_text())):
            names = [name.name for name in item.names] if isinstance(item, ast.Import | ast.ImportFrom) else []
            module = item.module or "" if isinstance(item, ast.ImportFrom) else ""
            assert not dangerous & {name.split(".")[0] for name in (*names, module)}, f"{file} imports {names}"
            if isinstance(item, ast.Call) and isinstance(item.func, ast.Name):
                assert item.func.id not in calls, f"{file}:{item.lineno} calls {item.func.id}"
