"""Wildcards: which text a seed chooses, how often, and what is said of texts that cannot be read."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nodegraph
from nodegraph import NodeError
from nodegraph_nodes.core import load_wildcards, wildcards
from nodegraph_nodes.core.choosing import BadChoice, choose

LISTS = {
    "animal": ["cat", "dog", "fish"],
    "colour": ["red", "2::blue"],
    "nature/tree": ["oak"],
    "scene": ["a __animal__ on {sand|snow}"],
}


def seen(text: str, count: int = 400) -> Counter[str]:
    return Counter(choose(text, seed, LISTS) for seed in range(count))


@pytest.mark.parametrize(
    ("text", "possible"),
    [
        ("plain, (text:1.2) \\(x\\)", {"plain, (text:1.2) \\(x\\)"}),
        ("a {red|blue} car", {"a red car", "a blue car"}),
        ("{a|{b|c}}", {"a", "b", "c"}),
        ("{a|} x", {"a x", " x"}),
        ("__animal__", {"cat", "dog", "fish"}),
        ("__nature/tree__", {"oak"}),
        ("__nature/*__ __col*__", {"oak red", "oak blue"}),
        ("__scene__", {f"a {animal} on {ground}" for animal in LISTS["animal"] for ground in ("sand", "snow")}),
        ("{2$$a|b}", {"a, b", "b, a"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{1-2$$+$$a|b}", {"a", "b", "a+b", "b+a"}),
        ("{-1$$a|b}", {"", "a", "b"}),
        ("{2-$$/$$a|b}", {"a/b", "b/a"}),
        ("{9$$-$$a|b}", {"a-b", "b-a"}),
        ("{0::a|b}", {"b"}),
        (r"\{a|b\} \__animal__", {"{a|b} __animal__"}),
        ("__init", {"__init"}),
    ],
)
def test_everything_that_a_text_may_become_does(text: str, possible: set[str]) -> None:
    assert set(seen(text)) == possible


def test_weights_say_how_often() -> None:
    for text in ("{2::a|b}", "{3::a|1.5::b}"):
        found = seen(text, 3000)
        assert 1850 < found["a"] < 2150
    found = seen("__colour__", 3000)
    assert 1850 < found["blue"] < 2150


def test_the_same_seed_chooses_the_same_for_ever() -> None:
    """These were chosen when wildcards came; a saved workflow must find them again."""
    assert [choose("{a|b|c|d} __animal__", seed, LISTS) for seed in range(5)] == ["d dog", "d fish", "d cat", "c dog", "a dog"]


def test_a_list_that_names_itself_ends_with_an_error() -> None:
    with pytest.raises(BadChoice, match="deep"):
        choose("__a__", 0, {"a": ["__a__"]})
    with pytest.raises(BadChoice, match="letters"):
        choose("__a0__", 0, {f"a{n}": [f"__a{n + 1}__" * 9] for n in range(20)} | {"a20": ["x" * 9]})


@given(st.text(alphabet="ab{}|$_\\:12 -", max_size=40), st.integers(0, 5))
def test_any_text_is_chosen_from_or_refused_with_a_place_inside_it(text: str, seed: int) -> None:
    found: BadChoice | None = None
    try:
        assert choose(text, seed, LISTS) == choose(text, seed, LISTS)
    except BadChoice as error:
        found = error
    if found is not None:
        assert 0 <= found.place <= len(found.source)


@pytest.mark.parametrize(
    ("text", "problem", "got", "hint"),
    [
        ("a {b|c", "never closed", "a >>>{b|c", "brace"),
        ("a} b", "not open", "a>>>} b", "brace"),
        ("an __aminal__", "no list 'aminal'", "an >>>__aminal__", "Did you mean animal?"),
    ],
)
def test_what_cannot_be_read_says_where(text: str, problem: str, got: str, hint: str) -> None:
    with pytest.raises(NodeError, match=problem) as error:
        wildcards(text, LISTS)
    assert error.value.got == got
    assert hint in str(error.value.hint)


def test_lists_come_from_text_and_from_json(tmp_path: Path) -> None:
    (tmp_path / "animal.txt").write_text("\ufeffcat\n\n# no dog\n  fish  \n", "utf-8")
    assert load_wildcards(tmp_path / "animal.txt") == {"animal": ["cat", "fish"]}
    assert load_wildcards(tmp_path / "animal.txt", "pet") == {"pet": ["cat", "fish"]}
    (tmp_path / "all.json").write_text(json.dumps({"a": ["x", 1], "b": {"c": ["y"]}}))
    assert load_wildcards(tmp_path / "all.json") == {"a": ["x", "1"], "b/c": ["y"]}
    for content, problem in (("[", "no JSON"), ("3", "no lists")):
        (tmp_path / "bad.json").write_text(content)
        with pytest.raises(NodeError, match=problem):
            load_wildcards(tmp_path / "bad.json")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NodeError, match="no text"):
        load_wildcards(tmp_path / "bad.txt")


def test_a_changed_list_is_read_again(tmp_path: Path) -> None:
    """The file's content is part of the key, so no stale choice comes out of the cache."""
    (tmp_path / "animal.txt").write_text("cat\n")
    nodes: dict[str, Any] = {
        "lists": {"type": "core/load_wildcards", "inputs": {"file": "animal.txt"}},
        "text": {"type": "core/wildcards", "inputs": {"text": "a __animal__"}, "links": {"lists": ["lists.lists"]}},
    }
    (tmp_path / "w.json").write_text(json.dumps({"nodegraph": 1, "nodes": nodes}))
    with nodegraph.Session() as session:
        for animal in ("cat", "dog"):
            (tmp_path / "animal.txt").write_text(f"{animal}\n")
            workflow = nodegraph.load(tmp_path / "w.json", session)
            workflow.accept(remember=False)
            assert workflow.run(wanted=["text.text"])["text.text"] == f"a {animal}"
