"""Documents that nobody would write by hand: they open and work, or say what is wrong, in bounded time and memory."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import nodegraph
from nodegraph import InvalidWorkflow
from nodegraph.api import saving
from nodegraph.cli.app import app
from nodegraph.graph import (
    Catalog,
    Document,
    compile_document,
    dump_document,
    installed_catalog,
    load_document,
    opening,
    parse_document,
    validate,
)

CPU_SECONDS = 40
"""What nothing here may need, on any machine; what grows with the square of a document needs far more."""
LONGEST_MESSAGE = 2000


@pytest.fixture(scope="module")
def catalog(data_folder: Path) -> Catalog:
    return installed_catalog(data_folder / "catalog")


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    before = time.process_time()
    yield
    assert time.process_time() - before < CPU_SECONDS


def refused(path: Path) -> str:
    """What Python and the command line say of a file that is no document; both the same."""
    with pytest.raises(InvalidWorkflow) as caught:
        load_document(path)
    problem = caught.value.problems[0]
    with pytest.raises(InvalidWorkflow):
        nodegraph.load(path)
    done = CliRunner().invoke(app, ["validate", str(path), "--json"])
    assert done.exit_code == 2
    assert json.loads(done.stdout)["problems"][0] == problem.to_json()
    assert len(str(problem)) < LONGEST_MESSAGE
    return str(problem)


def holding(value: str) -> str:
    return '{"nodes": {}, "layout": {"x": ' + value + "}}"


LONG = "k" * 1_000_000
WRONG: dict[str, tuple[str | bytes, str]] = {
    # name: the file, what is said of it
    "empty": ("", "The file is empty"),
    "a million spaces": (" " * 1_000_000, "The file is empty"),
    "brackets": ("[" * 100_000, "nested too deeply"),
    "closed brackets": (holding("[" * 100_000 + "]" * 100_000), "nested too deeply"),
    "objects": ('{"a":' * 100_000, "nested too deeply"),
    "101 levels": (holding("[" * 101 + "]" * 101), "nested too deeply"),
    "UTF-16": ('{"nodes": {}}'.encode("utf-16"), "is UTF-16 text"),
    "UTF-16, the other way round": (b"\xfe\xff" + '{"nodes": {}}'.encode("utf-16-be"), "is UTF-16 text"),
    "UTF-16 without a mark": ('{"nodes": {}}'.encode("utf-16-le"), "a zero byte (byte 1)"),
    "UTF-32": ('{"nodes": {}}'.encode("utf-32"), "is UTF-32 text"),
    "latin-1": ('{"nodes": {}, "title": "é"}'.encode("latin-1"), "not UTF-8 text (byte 24)"),
    "zeros, as after a power cut": (bytes(5000), "`nodegraph history w.json` lists what was saved there before"),
    "a zero in the middle": (b'{"nodes": {\0}}', "a zero byte (byte 11)"),
    "half a character": (holding('"\\ud800"'), "half a character"),
    "half a character as a name": (holding('{"\\udfff": 1}'), "half a character"),
    "encoded half a character": (b'{"nodes": {}, "title": "\xed\xa0\x80"}', "not UTF-8 text"),
    "the same name twice": ('{"nodes": {"a": {"type": "x/y"}, "a": {"type": "x/z"}}}', "'a' stands twice"),
    "the same long name twice": (holding(f'{{"{LONG}": 1, "{LONG}": 2}}'), "stands twice"),
    "NaN": (holding("NaN"), "NaN is not a JSON number"),
    "Infinity": (holding("-Infinity"), "-Infinity is not a JSON number"),
    "1e999": (holding("1e999"), "1e999 is too large"),
    "a fraction of 100,000 digits": (holding("1" * 100_000 + ".5"), "is too large"),
    "a whole number of 100,000 digits": (holding("-" + "1" * 100_000), "more than 4300 digits"),
    "a list": ("[]", "not a nodegraph workflow"),
    "a number": ("7", "not a nodegraph workflow"),
    "null": ("null", "not a nodegraph workflow"),
    "nodes in a list": ('{"nodes": []}', "not a nodegraph workflow"),
    "control characters in a node's name": ('{"nodes": {"a\\u0000\\u001b": {"type": "x/y"}}}', "cannot be used"),
    "cut off": ('{"nodes": {"a": {"type": "x/', "This is not JSON"),
    "two documents": ('{"nodes": {}}{"nodes": {}}', "line 1, column 14"),
    "more lists than memory": (holding("[" + "[]," * 10_000_000 + "[]]"), "lists and objects"),
}


@pytest.mark.parametrize(("data", "says"), WRONG.values(), ids=WRONG)
def test_what_is_no_document_is_told(tmp_path: Path, data: str | bytes, says: str) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    assert says in refused(path)


# ---- what is no file, or too large a one ----


def test_a_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    assert "Is a directory" in refused(tmp_path)
    assert "There is no file" in refused(tmp_path / "w.json")
    (tmp_path / "link").symlink_to("link")
    assert "symbolic links" in refused(tmp_path / "link")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there are no devices here")
def test_a_device_is_not_read() -> None:
    for path in (Path("/dev/zero"), Path("/dev/null"), Path("/dev/urandom")):
        assert "a device" in refused(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_read_when_somebody_writes_and_never_waited_for_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    monkeypatch.setattr(opening, "_PATIENCE_SECONDS", 0.05)
    assert "nothing came through it" in refused(pipe), "nobody writes"
    with os.fdopen(os.open(pipe, os.O_RDWR), "wb"):
        assert "nothing came through it" in refused(pipe), "somebody could, and does not"
    monkeypatch.undo()

    def write() -> None:
        with os.fdopen(writer, "wb") as file:
            file.write(holding(json.dumps("x" * 1_000_000)).encode())

    reader, writer = os.pipe()
    threading.Thread(target=write).start()
    assert len(load_document(Path(f"/dev/fd/{reader}")).layout["x"]) == 1_000_000
    os.close(reader)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte that takes no room
    before = time.process_time()
    assert "larger than 128 MiB" in refused(path)
    assert time.process_time() - before < 5
    with pytest.raises(saving.NotWritten, match="larger than 128 MiB"):
        saving.save_document(path, load_document_of("{}"))
    assert path.stat().st_size == 1 << 40


def load_document_of(nodes: str) -> Document:
    return parse_document(f'{{"nodes": {nodes}}}')


def test_a_document_that_would_be_too_large_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "LARGEST_BYTES", 1000)
    document = load_document_of(json.dumps({"a": {"type": "x/y", "inputs": {"t": "x" * 1000}}}))
    with pytest.raises(InvalidWorkflow, match="could not be opened again"):
        saving.save_document(tmp_path / "w.json", document)
    assert not (tmp_path / "w.json").exists()


IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from nodegraph.graph import load_document
from nodegraph.sdk.errors import InvalidWorkflow
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
try:
    print("opened", len(load_document(Path(sys.argv[1])).layout["x"]))
except InvalidWorkflow as error:
    print(error)
"""


def in_little_memory(path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", IN_LITTLE_MEMORY, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    return done.stdout


@pytest.mark.slow
def test_a_hundred_million_spaces_are_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(b" " * 100_000_000)
    assert "The file is empty" in in_little_memory(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "value",
    [lambda: '"%s"' % ("x" * 50_000_000), lambda: "[" + "[1, 2, 3, 4, 5, 6, 7, 8], " * 2_000_000 + "[]]"],
    ids=["one text", "millions of lists"],
)
def test_documents_of_fifty_megabytes_open(tmp_path: Path, value: Callable[[], str]) -> None:
    path = tmp_path / "w.json"
    path.write_text(holding(value()))
    assert path.stat().st_size > 48_000_000
    assert in_little_memory(path).split()[0] == "opened"


@pytest.mark.slow
def test_a_document_of_fifty_megabytes_is_saved_and_its_past_is_kept(tmp_path: Path, catalog: Catalog) -> None:
    path = tmp_path / "w.json"
    text = "all work and no play " * 2_500_000
    document = load_document_of(json.dumps({"a": {"type": "core/text", "inputs": {"value": text}}}))
    assert validate(document, catalog) == []
    saving.save_document(path, document, data=tmp_path / "data")
    document.title = "again"
    saving.save_document(path, document, data=tmp_path / "data")
    saving.undo(path, data=tmp_path / "data")
    assert load_document(path).nodes["a"].inputs["value"] == text
    assert (tmp_path / "data" / "revisions.sqlite").stat().st_size < 5_000_000


# ---- many nodes ----


def chain(count: int) -> dict[str, Any]:
    """Each node takes what the one before gives."""
    return {
        f"n{i}": {"type": "core/calculate_whole", "inputs": {"a": 1, "b": 1}, "links": {"a": f"n{i - 1}.value"} if i else {}}
        for i in range(count)
    }


def fan(count: int) -> dict[str, Any]:
    """All take what the first gives, and one takes all."""
    leaves = {f"n{i}": {"type": "core/text", "inputs": {"value": "x"}} for i in range(count - 1)}
    return {**leaves, "all": {"type": "core/make_list", "links": {"items": [f"{name}.text" for name in leaves]}}}


def layers(count: int) -> dict[str, Any]:
    """Two nodes a layer, each taking both of the layer before: 2^n ways lead through it."""
    found: dict[str, Any] = {}
    for i in range(count // 2):
        links = {"a": f"a{i - 1}.value", "b": f"b{i - 1}.value"} if i else {}
        for side in "ab":
            found[f"{side}{i}"] = {"type": "core/calculate_whole", "inputs": {"a": 1, "b": 1}, "links": links}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("make", [chain, fan, layers])
def test_twenty_thousand_nodes_load_compile_and_are_saved(
    tmp_path: Path, catalog: Catalog, make: Callable[[int], dict[str, Any]]
) -> None:
    path, nodes = tmp_path / "w.json", make(20_000)
    output = {"core/text": "text", "core/make_list": "items", "core/calculate_whole": "value"}
    outputs = {f"o{i}": f"{name}.{output[entry['type']]}" for i, (name, entry) in enumerate(nodes.items())}
    path.write_text(json.dumps({"nodes": nodes, "interface": {"outputs": outputs}}))
    document = load_document(path)
    assert validate(document, catalog) == []
    assert len(compile_document(document, catalog).nodes) == 20_000
    saving.save_document(path, document, data=tmp_path / "data")
    assert dump_document(load_document(path)) == dump_document(document)


@pytest.mark.slow
@pytest.mark.parametrize(
    "entry",
    [{"type": "core/integer", "inputs": {"value": "x"}}, {"type": "core/list_length"}, 7, {"type": 7}],
    ids=["wrong value", "missing inputs", "no object", "wrong type"],
)
def test_twenty_thousand_mistakes_are_all_told(tmp_path: Path, catalog: Catalog, entry: Any) -> None:
    path = tmp_path / "w.json"
    path.write_text(json.dumps({"nodes": {f"n{i}": entry for i in range(20_000)}}))
    try:
        problems = validate(load_document(path), catalog)
    except InvalidWorkflow as error:
        problems = list(error.problems)
    assert len({problem.node for problem in problems}) == 20_000


@pytest.mark.slow
def test_a_circle_of_twenty_thousand_nodes_is_told_in_one_line(tmp_path: Path, catalog: Catalog) -> None:
    path, nodes = tmp_path / "w.json", chain(20_000)
    nodes["n0"]["links"] = {"a": "n19999.value"}
    path.write_text(json.dumps({"nodes": nodes}))
    (problem,) = validate(load_document(path), catalog)
    assert problem.code == "cycle"
    assert len(str(problem)) < LONGEST_MESSAGE


# ---- odd values and names that are right, or wrong where they stand ----


def test_names_of_ten_thousand_characters_work(tmp_path: Path, catalog: Catalog) -> None:
    path, long = tmp_path / "w.json", "n" * 10_000
    nodes = {long: {"type": "core/integer", "inputs": {"value": 1}}}
    nodes["b"] = {"type": "core/calculate_whole", "inputs": {"b": 1}, "links": {"a": f"{long}.value"}}
    path.write_text(json.dumps({"nodes": nodes, "interface": {"outputs": {long: "b.value"}}}))
    document = load_document(path)
    assert validate(document, catalog) == []
    saving.save_document(path, document, data=tmp_path / "data")
    assert load_document(path) == document


HUGE = int("7" * 4000)


@pytest.mark.parametrize(
    ("type_id", "inputs"),
    [
        ("core/number", {"value": HUGE}),
        ("core/number", {"value": -HUGE}),
        ("core/seed_list", {"seed": HUGE, "count": 1}),
        ("core/seed_list", {"seed": 1, "count": HUGE}),
        ("core/calculate", {"a": HUGE, "b": 1}),
        ("core/boolean", {"value": HUGE}),
        ("core/text", {"value": HUGE}),
    ],
)
def test_numbers_that_no_input_takes_are_a_problem_of_the_input(
    tmp_path: Path, catalog: Catalog, type_id: str, inputs: dict[str, Any]
) -> None:
    path = tmp_path / "w.json"
    path.write_text(json.dumps({"nodes": {"a": {"type": type_id, "inputs": inputs}}}))
    problems = validate(load_document(path), catalog)
    assert problems
    assert all(problem.node == "a" and len(str(problem)) < LONGEST_MESSAGE for problem in problems)


def test_a_document_with_a_byte_order_mark_and_odd_names_is_kept_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    odd = {"\u0000": 1, "\u001b[2J": 2, "": 3, "a\u2028b": 4, "\ufeff": 5, "é\u0301": 6, "😀": 7}
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps({"nodes": {}, "layout": odd}).encode())
    document = load_document(path)
    saving.save_document(path, document, data=tmp_path / "data")
    assert load_document(path).layout == odd


def test_no_case_here_left_much_memory_behind() -> None:
    """The whole module, its inputs included, stays below 3 GB."""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 3 << 20


MISTAKES: dict[str, Callable[[int], dict[str, Any]]] = {
    "links from nowhere": lambda i: {"type": "core/calculate_whole", "links": {"a": f"m{i}.value"}},
    "unknown types": lambda i: {"type": f"core/int{i}"},
    "unknown inputs": lambda i: {"type": "core/integer", "inputs": {f"x{i}": 1}},
    "unknown subgraphs": lambda i: {"type": f"subgraph/s{i}"},
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_each_of_20000_nodes_is_told_in_bounded_time(mistake: str) -> None:
    nodes = {f"n{i}": MISTAKES[mistake](i) for i in range(20_000)}
    document = parse_document(json.dumps({"nodegraph": 1, "nodes": nodes}))
    with nodegraph.Session() as session:
        catalog = session.catalog
    begun = time.process_time()
    found = validate(document, catalog)
    assert len({problem.node for problem in found}) == 20_000
    assert time.process_time() - begun < 60
