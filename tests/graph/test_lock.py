"""Locks as data: what they stand for, what is said of a misshapen one, and comparing two of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import InvalidWorkflow
from nodegraph.graph import Document, dump_document, parse_document
from nodegraph.graph.lock import Lock, content_digests, read_lock, with_lock
from nodegraph.graph.verifying import Trouble, compare

SHA, OTHER = "a" * 64, "b" * 64

NODES: dict[str, Any] = {
    "load": {"type": "image/load_image", "inputs": {"path": "in.png"}},
    "size": {"type": "image/resize_image", "inputs": {"width": 3}, "links": {"image": "load.image"}},
}
DOCUMENT: dict[str, Any] = {
    "nodegraph": 1,
    "title": "Small",
    "nodes": NODES,
    "interface": {"inputs": {"width": {"to": ["size.width"]}}, "outputs": {"image": "size.image"}},
    "subgraphs": {"half": {"nodes": NODES, "interface": {"inputs": {"w": {"to": ["size.width"]}}}}},
}


def document(**changes: Any) -> Document:
    return parse_document(json.dumps(DOCUMENT | changes))


def lock_json() -> dict[str, Any]:
    return {
        "format": 1,
        "document": content_digests(document()),
        "packs": {"image": {"distribution": "nodegraph", "source": "1f", "version": "0.1.0"}, "own": {"source": "2f"}},
        "models": {"starter": {"sha256": SHA, "bytes": 12, "origin": "https://example.org/starter"}},
        "inputs": {"in.png": {"sha256": SHA, "bytes": 3}},
        "runtime": {
            "device": {"kind": "cuda", "dtype": "bfloat16", "libraries": {"torch": "2.6.0"}, "about": {"name": "H200"}},
            "libraries": {"numpy": "2.1.0"},
            "nodegraph": "0.1.0",
            "python": "3.11.7",
            "platform": "Linux x86_64",
        },
    }


def lock(data: dict[str, Any] | None = None) -> Lock:
    return read_lock(document(lock=lock_json() if data is None else data))


def at(data: Any, place: str, value: Any) -> Any:
    """A lock's JSON with another value at `a>b>c`; ... removes it."""
    data = json.loads(json.dumps(data))
    inner, *path = data, *place.split(">")
    for part in path[:-1]:
        inner = inner[part]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return data


# ---- in documents ----


def test_a_lock_comes_back_from_a_document_as_it_was() -> None:
    whole = with_lock(document(), lock())
    assert read_lock(parse_document(dump_document(whole))) == lock()
    assert whole.lock == lock_json()


def test_locking_says_nothing_of_values() -> None:
    digests = content_digests(document(nodes={"a": {"type": "core/text", "inputs": {"value": "my secret prompt"}}}))
    assert "secret" not in json.dumps(digests)


@pytest.mark.parametrize(
    "changes",
    [
        {"title": "Other", "id": "x", "layout": {"nodes": {"load": [1, 2]}}, "lock": {"format": 1}},
        {"nodes": {**NODES, "load": {**NODES["load"], "note": "of another program"}}},
        {"interface": {"inputs": {"w": {"to": ["size.width"], "title": "W"}}, "outputs": {"image": "size.image"}}},
        {"subgraphs": {"half": {**DOCUMENT["subgraphs"]["half"], "title": "Half", "layout": {"a": 1}}}},
    ],
    ids=["titles and layout", "unknown fields", "names of inputs", "a subgraph's title"],
)
def test_what_decides_no_pixel_is_not_in_the_digests(changes: dict[str, Any]) -> None:
    assert content_digests(document(**changes)) == content_digests(document())


HALF = DOCUMENT["subgraphs"]["half"]


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"nodes": {**NODES, "size": {**NODES["size"], "inputs": {"width": 4}}}}, {"size"}),
        ({"nodes": {**NODES, "size": {**NODES["size"], "disabled": True}}}, {"size"}),
        ({"nodes": {**NODES, "size": {**NODES["size"], "version": 2}}}, {"size"}),
        ({"nodes": {**NODES, "load": {**NODES["load"], "type": "image/other"}}}, {"load"}),
        ({"nodes": {**NODES, "size": {"type": "image/resize_image", "inputs": {"width": 3}}}}, {"size"}),
        ({"nodes": {"load": NODES["load"]}}, {"size"}),
        ({"nodes": {**NODES, "more": NODES["load"]}}, {"more"}),
        ({"interface": {"outputs": {"image": "load.image"}}}, {"interface.outputs"}),
        ({"subgraphs": {}}, {"subgraphs.half", "subgraphs.half/load", "subgraphs.half/size"}),
        ({"subgraphs": {"half": {**HALF, "nodes": {"load": NODES["load"]}}}}, {"subgraphs.half/size"}),
        ({"subgraphs": {"half": {**HALF, "interface": {}}}}, {"subgraphs.half"}),
    ],
)
def test_what_was_edited_is_named(changes: dict[str, Any], changed: set[str]) -> None:
    before, after = lock(), lock(at(lock_json(), "document", content_digests(document(**changes))))
    found = compare(before, after)
    assert {item.place for item in found.must} == {f"document.{place}" for place in changed}
    assert all(item.problem().node == f"lock.{item.place}" for item in found.must)
    assert not found.notes


def test_an_edit_is_called_what_it_is() -> None:
    here = at(at(lock_json(), "document>load", ...), "document>more", "1")
    words = {item.place: item.message for item in compare(lock(), lock(here)).must}
    assert words == {
        "document.load": "It was removed after the workflow was locked.",
        "document.more": "It was added after the workflow was locked.",
    }


def test_where_a_file_is_the_same_what_was_noted_of_it_stays() -> None:
    made = lock(at(at(lock_json(), "models>starter>origin", ...), "inputs>in.png>sha256", OTHER))
    before = document(lock=at(lock_json(), "inputs>in.png>origin", "a friend"))
    again = with_lock(before, made)
    assert again.lock["models"]["starter"]["origin"] == "https://example.org/starter"
    assert "origin" not in again.lock["inputs"]["in.png"]


# ---- misshapen ----


def test_without_a_lock_it_is_said_how_to_make_one() -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        read_lock(document())
    (problem,) = caught.value.problems
    assert problem.code == "no_lock"
    assert "--lock" in str(problem.hint)


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("models>starter>sha256", "abc", "a sha256 digest: 64 hexadecimal digits"),
        ("models>starter>sha256", SHA.upper(), "a sha256 digest: 64 hexadecimal digits"),
        ("models>starter>sha256", 7, "text"),
        ("models>starter>bytes", -1, "zero or more"),
        ("models>starter>bytes", "12", "a whole number"),
        ("models>starter", [], "an object"),
        ("models", "starter", "an object"),
        ("packs>image>version", 1.0, "text"),
        ("packs>image>source", ..., None),
        ("runtime>device>kind", None, "text"),
        ("runtime>device>libraries", {"torch": 2}, "text"),
        ("runtime", ..., None),
        ("document", [], "an object"),
        ("document", ..., None),
        ("format", 0, "1"),
        ("format", "1", "1"),
    ],
)
def test_nonsense_in_a_lock_is_named_by_its_place(place: str, value: Any, expected: str | None) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        lock(at(lock_json(), place, value))
    (problem,) = caught.value.problems
    assert problem.code == "bad_lock"
    assert str(problem.node).startswith(f"lock.{place.replace('>', '.')}")
    assert problem.expected == expected
    assert "--lock" in str(problem.hint)


def test_every_mistake_is_listed() -> None:
    data = at(at(lock_json(), "models>starter>sha256", "x"), "inputs>in.png>sha256", 3)
    with pytest.raises(InvalidWorkflow) as caught:
        lock(data)
    assert {problem.node for problem in caught.value.problems} == {"lock.models.starter.sha256", "lock.inputs.in.png.sha256"}


def test_a_lock_of_a_newer_format_is_not_guessed_at() -> None:
    with pytest.raises(InvalidWorkflow, match="newer nodegraph"):
        lock(at(lock_json(), "format", 2))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PLACES = ["format", "document", "packs", "models", "inputs", "runtime", "packs>image", "models>starter", "runtime>device"]


@given(st.sampled_from(PLACES), JSON)
def test_whatever_a_lock_holds_the_answer_is_in_words(place: str, value: Any) -> None:
    try:
        found = lock(at(lock_json(), place, value))
    except InvalidWorkflow as error:
        problems = error.problems
    else:
        assert read_lock(with_lock(document(), found)).packs == found.packs
        problems = tuple(item.problem() for item in compare(found, lock()).differences)
    assert all(str(problem.node).startswith("lock.") and problem.message for problem in problems)


# ---- side by side ----


def leaves(data: Any, place: str = "") -> dict[str, str]:
    if not isinstance(data, dict):
        return {place: data}
    return {
        key: value for name, inner in data.items() for key, value in leaves(inner, f"{place}>{name}" if place else name).items()
    }


def test_the_same_is_the_same_field_by_field() -> None:
    found = compare(lock(), lock())
    assert not found.differences
    compared = {place.replace(">", ".") for place in leaves(lock_json())}
    beside = {"format", *(place for place in compared if place.endswith((".bytes", ".origin")))}
    assert set(found.same) == compared - beside


@given(st.sampled_from(sorted(leaves(lock_json()))))
def test_one_other_field_is_the_one_difference(place: str) -> None:
    if place == "format" or place.endswith((">bytes", ">origin")):
        return
    value = OTHER if place.endswith("sha256") else "other"
    (difference,) = compare(lock(), lock(at(lock_json(), place, value))).differences
    assert difference.place == place.replace(">", ".")
    assert (difference.state, difference.got) == ("different", value)
    good_to_know = ("runtime>device>about", "runtime>libraries", "runtime>nodegraph", "runtime>python", "runtime>platform")
    assert difference.must is not place.startswith(good_to_know)


@pytest.mark.parametrize(
    ("place", "says", "hint"),
    [
        ("packs>image", "The pack image is not installed.", 'pip install "nodegraph==0.1.0"'),
        ("packs>own", "The pack own is not installed.", "Install it."),
        ("models>starter", "The model starter is not here.", "Get it from https://example.org/starter."),
        ("inputs>in.png", "The input file in.png is not here.", ""),
        ("runtime>device", "There is no device to compute on.", ""),
        ("runtime>device>libraries>torch", "torch is not installed.", 'pip install "torch==2.6.0"'),
    ],
)
def test_what_is_missing_is_one_difference_that_says_what_would_bring_it(place: str, says: str, hint: str) -> None:
    (difference,) = compare(lock(), lock(at(lock_json(), place, ...))).differences
    assert (difference.state, difference.got, difference.message) == ("missing", None, says)
    assert hint in difference.hint
    assert difference.must


def test_why_something_is_missing_is_told_as_the_caller_knows_it() -> None:
    trouble = {"models.starter": Trouble("It is cut short.", "Download it again.")}
    (difference,) = compare(lock(), lock(at(lock_json(), "models>starter", ...)), trouble).differences
    assert difference.message == "It is cut short."
    assert difference.hint == "Get it from https://example.org/starter. Download it again."


@pytest.mark.parametrize("place", ["packs>own", "models>starter", "inputs>in.png", "runtime>device"])
def test_what_is_used_but_not_locked_is_different(place: str) -> None:
    (difference,) = compare(lock(at(lock_json(), place, ...)), lock()).must
    assert difference.place == place.replace(">", ".")
    assert difference.expected is None
    assert "its lock does not have it" in difference.message
