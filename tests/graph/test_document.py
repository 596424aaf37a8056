"""Documents: what is written is read again, what is unknown is kept, and what is wrong is said with its place."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.graph import Document, dump_document, load_document, parse_document, save_document
from nodegraph.graph.document import document_from
from nodegraph.graph.reading import DEEPEST
from nodegraph.sdk.errors import InvalidWorkflow, Problem

text = st.text(st.characters(codec="utf-8"), max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
ids = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)


def with_unknown_fields(known: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    extra = st.dictionaries(text.filter(lambda name: name not in FIELDS), json_values, max_size=2)
    return st.tuples(extra, st.fixed_dictionaries({}, optional=known)).map(lambda both: both[0] | both[1])


FIELDS = {
    *("nodegraph", "id", "title", "nodes", "interface", "subgraphs", "layout", "lock", "type", "version", "inputs", "links"),
    *("disabled", "to", "description", "outputs"),
}
references = st.tuples(ids, ids).map(".".join)
entries = st.tuples(
    text,
    with_unknown_fields(
        {
            "version": st.integers(),
            "inputs": st.dictionaries(text, json_values, max_size=3),
            "links": st.dictionaries(text, references | st.lists(references, max_size=3), max_size=3),
            "disabled": st.booleans(),
        }
    ),
).map(lambda both: {"type": both[0], **both[1]})
public_inputs = st.tuples(st.lists(references, max_size=2), with_unknown_fields({"title": text, "description": text})).map(
    lambda both: {"to": both[0], **both[1]}
)
interfaces = with_unknown_fields(
    {"inputs": st.dictionaries(text, public_inputs, max_size=2), "outputs": st.dictionaries(text, references, max_size=2)}
)
objects = st.dictionaries(text, json_values, max_size=2)
subgraphs = st.dictionaries(
    ids,
    with_unknown_fields(
        {"title": text, "nodes": st.dictionaries(ids, entries, max_size=2), "interface": interfaces, "layout": objects}
    ),
    max_size=2,
)
documents = st.tuples(
    st.dictionaries(ids, entries, max_size=3),
    with_unknown_fields(
        {"id": text, "title": text, "interface": interfaces, "subgraphs": subgraphs, "layout": objects, "lock": objects}
    ),
).map(lambda both: {"nodegraph": 1, "nodes": both[0], **both[1]})


@given(documents)
def test_a_document_read_again_is_the_same(data: dict[str, Any]) -> None:
    document = parse_document(json.dumps(data))
    assert parse_document(dump_document(document)) == document


@given(documents)
def test_dumping_twice_gives_the_same_bytes(data: dict[str, Any]) -> None:
    once = dump_document(parse_document(json.dumps(data)))
    assert dump_document(parse_document(once)) == once


@given(documents)
def test_no_field_is_lost(data: dict[str, Any]) -> None:
    written = json.loads(dump_document(parse_document(json.dumps(data))))
    for before, after in parts(data, written):
        expected = {name: part for name, part in before.items() if name not in FIELDS or part}
        assert {name: after.get(name) for name in expected} == expected


def parts(before: dict[str, Any], after: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Every part of a document with its counterpart in another, without the parts inside it."""

    def shallow(part: dict[str, Any], *names: str) -> dict[str, Any]:
        return {name: item for name, item in part.items() if name not in names}

    yield shallow(before, "nodes", "interface", "subgraphs"), after
    for name, entry in before.get("nodes", {}).items():
        yield entry, after["nodes"][name]
    interface, written = before.get("interface", {}), after.get("interface", {})
    yield shallow(interface, "inputs"), written
    for name, item in interface.get("inputs", {}).items():
        yield item, written["inputs"][name]
    for name, subgraph in before.get("subgraphs", {}).items():
        yield from parts(subgraph, after["subgraphs"][name])


def test_an_unknown_node_type_keeps_its_values_and_links() -> None:
    entry = {
        "type": "gone/node",
        "version": 7,
        "inputs": {"x": [1, {"y": None}]},
        "links": {"a": "b.c", "d": ["e.f"]},
        "seen": 0,
    }
    written = json.loads(dump_document(document_from({"nodes": {"n": entry}})))
    assert written["nodes"]["n"] == entry


def test_a_document_is_written_in_its_one_spelling() -> None:
    document = parse_document(
        '{"layout": {}, "nodes": {"b": {"type": "x/y", "links": {}}, "a": {"inputs": {"t": 1e2}, "type": "x/y"}}}'
    )
    assert dump_document(document) == (
        '{\n  "nodegraph": 1,\n  "nodes": {\n'
        '    "a": {\n      "type": "x/y",\n      "version": 1,\n      "inputs": {\n        "t": 100.0\n      }\n    },\n'
        '    "b": {\n      "type": "x/y",\n      "version": 1\n    }\n  }\n}\n'
    )


def problem_of(source: str) -> Problem:
    with pytest.raises(InvalidWorkflow) as caught:
        parse_document(source)
    (problem,) = caught.value.problems
    return problem


def holding(value: str) -> str:
    """A document with this text as the value of an input."""
    return '{"nodes": {"a": {"type": "x/y", "inputs": {"v": ' + value + "}}}}"


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("{", 1, 2),
        ('{"nodegraph": 1,\n "nodes": {\n  "a": {"type": "x/y",}}}', 3, 23),
        ('{"nodes": {}} x', 1, 15),
        ('{"nodes": {\r\n  "a" 5}}', 2, 7),
        ('{"nodes": {"a": "open', 1, 17),
        ("{'nodes': {}}", 1, 2),
        ("", 1, 1),
    ],
)
def test_broken_json_gives_line_and_column(source: str, line: int, column: int) -> None:
    problem = problem_of(source)
    assert (problem.code, problem.line, problem.column) == ("bad_json", line, column)


@pytest.mark.parametrize(
    ("source", "code", "says"),
    [
        (" \n", "bad_json", "empty"),
        ('{"nodes": {"a": {"type": "x/y"}, "a": {"type": "x/z"}}}', "bad_json", "'a' stands twice"),
        (holding("NaN"), "bad_json", "NaN is not a JSON number"),
        (holding("-Infinity"), "bad_json", "-Infinity is not a JSON number"),
        (holding("1e400"), "bad_json", "1e400 is too large"),
        (holding("9" * 5000), "bad_json", "digits"),
        (holding(r'"\ud83d"'), "bad_json", "half a character"),
        ("[1, 2]", "bad_document", "not a nodegraph workflow"),
        ("null", "bad_document", "not a nodegraph workflow"),
        ('{"nodegraph": 1}', "bad_document", '"nodes"'),
        ('{"nodegraph": 2, "nodes": {}}', "bad_document", "newer nodegraph"),
        ('{"nodegraph": "1", "nodes": {}}', "bad_document", 'Expected "nodegraph": 1, got "1"'),
        ('{"nodegraph": true, "nodes": {}}', "bad_document", "nodegraph"),
        ('{"nodes": []}', "bad_document", "nodes"),
        ('{"nodegraph": 0, "nodes": {}}', "bad_document", "format version is unknown"),
        ('{"nodes": {"a": 5}}', "bad_document", "a: The node has the wrong form. Expected an object, got 5."),
        ('{"nodes": {"a": {}}}', "bad_document", "a: type is missing."),
        ('{"nodes": {"a": {"type": 5}}}', "bad_document", "a: type has the wrong form. Expected text, got 5."),
        ('{"nodes": {"a": {"type": "x/y", "version": "1"}}}', "bad_document", 'Expected a whole number, got "1".'),
        ('{"nodes": {"a": {"type": "x/y", "disabled": "no"}}}', "bad_document", 'Expected true or false, got "no".'),
        ('{"nodes": {"a": {"type": "x/y", "inputs": []}}}', "bad_document", "inputs has the wrong form. Expected an object"),
        ('{"nodes": {"a": {"type": "x/y", "links": {"i": 5}}}}', "bad_document", "Expected text or a list, got 5."),
        ('{"nodes": {}, "interface": {"inputs": {"p": {"to": "a.b"}}}}', "bad_document", "interface.inputs.p.to has"),
        ('{"nodes": {"1a": {"type": "x/y"}}}', "bad_id", "not starting with a digit"),
        ('{"nodes": {"a b": {"type": "x/y"}}}', "bad_id", "'a b'"),
        ('{"nodes": {"a\\n": {"type": "x/y"}}}', "bad_id", "letters"),
        ('{"last_node_id": 3, "nodes": [], "links": []}', "bad_document", "ComfyUI"),
        ('{"3": {"class_type": "KSampler", "inputs": {}}}', "bad_document", "ComfyUI"),
    ],
)
def test_what_is_wrong_with_a_document_is_said(source: str, code: str, says: str) -> None:
    problem = problem_of(source)
    assert problem.code == code
    assert says in str(problem)


def test_every_misshapen_part_is_listed() -> None:
    source = {"nodes": {"a": {"type": 1}, "b": {"type": "x/y", "links": {"i": 5}}}, "interface": {"outputs": {"o": []}}}
    with pytest.raises(InvalidWorkflow) as caught:
        parse_document(json.dumps(source))
    assert [(problem.node, problem.message.split(" ")[0]) for problem in caught.value.problems] == [
        ("a", "type"),
        ("b", "links.i"),
        (None, "interface.outputs.o"),
    ]


@pytest.mark.parametrize("depth", [DEEPEST, 600, 100_000])
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a":', "}")], ids=["lists", "objects"])
def test_deep_nesting_is_refused_in_words(depth: int, brackets: tuple[str, str]) -> None:
    nest = brackets[0] * depth + "1" + brackets[1] * depth
    assert "nested too deeply" in problem_of(holding(nest)).message


def test_reasonable_nesting_is_written_and_read() -> None:
    depth = DEEPEST - 4  # the document, nodes, the node, inputs
    document = parse_document(holding("[" * depth + "]" * depth))
    assert parse_document(dump_document(document)) == document


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
def test_files_from_other_editors_open(tmp_path: Path, ending: str, mark: bytes) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(mark + ending.join(['{"nodes": {', ' "a": {"type": "x/y", "inputs": {"t": "é"}}', "}}"]).encode())
    assert load_document(path).nodes["a"].inputs == {"t": "é"}


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (lambda path: None, "no_file", "There is no file"),
        (lambda path: path.mkdir(), "no_file", "directory"),
        (lambda path: path.write_bytes(b'{"title": "\xff"}'), "bad_json", "byte 11"),
        (lambda path: path.write_bytes(b""), "bad_json", "empty"),
    ],
    ids=["missing", "folder", "latin-1", "empty"],
)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, make: Any, code: str, says: str) -> None:
    make(tmp_path / "w.json")
    with pytest.raises(InvalidWorkflow) as caught:
        load_document(tmp_path / "w.json")
    (problem,) = caught.value.problems
    assert problem.code == code
    assert says in str(problem)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failure_while_saving_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "w.json"
    save_document(Document(title="old"), path)
    before = path.read_bytes()

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(OSError, match="No space"):
        save_document(Document(title="new"), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_saving_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text("x" * 10_000)
    save_document(Document(title="new"), path)
    assert load_document(path) == Document(title="new")
