"""What may leave the machine with a picture: prompts as they are; no path, no home folder, no secret."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import FilePath, ModelFile, Pack, Secret, node
from nodegraph.artifacts.sharing import HIDDEN, Machine, for_sharing, share
from nodegraph.graph import Catalog, dump_document, parse_document
from nodegraph.graph.document import document_from, to_json
from nodegraph.graph.lock import content_digests
from nodegraph.sdk.values import is_secret_name
from nodegraph_nodes.core import iteration


@node()
def look(
    path: FilePath | None, model: ModelFile[Literal["checkpoint"]], prompt: str = "", options: dict[str, Any] | None = None
) -> str:
    """Look at a picture."""
    return prompt


@node()
def fetch(token: Secret, others: list[Secret] | None = None, url: str = "") -> str:
    """Fetch with a secret."""
    return url


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.of([Pack.of("t", [look, fetch]), Pack.of("core", vars(iteration).values())])


HOMES = ("/home/zyxuser", "/data/people/zyxuser")
MACHINE = Machine(homes=HOMES, secrets=("p@ssw0rd-of-mine",))
"""A machine whose user, home folders and secrets the tests look for."""


def of(kind: str, **inputs: Any) -> Any:
    return document_from({"nodes": {"n": {"type": f"t/{kind}", "inputs": inputs}}})


FILES = [
    ("/home/me/cats/a.png", "a.png"),
    ("/a.png", "a.png"),
    ("/home/zyxuser/my pictures/the cat.png", "the cat.png"),
    (r"C:\Users\me\cats\a.png", "a.png"),
    ("C:/Users/me/cats/a.png", "a.png"),
    ("C:a.png", "a.png"),
    (r"\\server\share\a.png", "a.png"),
    (r"\\?\C:\x\a.png", "a.png"),
    ("~/cats/a.png", "a.png"),
    ("~zyxuser/a.png", "a.png"),
    ("../../home/zyxuser/a.png", "a.png"),
    ("file:///home/me/a.png", "a.png"),
    ("/models/dream/", "dream"),
    ("/home/zyxuser", ""),
    ("/home/zyxuser/", ""),
    ("/", ""),
    ("a.png", "a.png"),
    ("cats/a.png", "cats/a.png"),
    (r"cats\a.png", r"cats\a.png"),
    ("", ""),
    (None, None),
]


@pytest.mark.parametrize(("typed", "told"), FILES, ids=lambda value: repr(value))
def test_a_file_is_told_by_its_name(catalog: Catalog, typed: str | None, told: str | None) -> None:
    inputs = for_sharing(of("look", path=typed, model=typed or ""), catalog, MACHINE).nodes["n"].inputs
    assert inputs == {"path": told, "model": told or ""}


TEXTS = [
    ("a red apple", "a red apple"),
    ("and/or, 1/2, w/ a cat", "and/or, 1/2, w/ a cat"),
    ("/imagine a cat", "/imagine a cat"),
    ("/imagine", "/imagine"),
    ("https://example.com/home/page", "https://example.com/home/page"),
    ("C: a letter", "C: a letter"),
    ("~ about a cat", "~ about a cat"),
    ("my name is zyxuser", "my name is zyxuser"),
    ("/srv/pictures/a.png", "a.png"),
    ("/home/zyxuser/out/{prompt}", "{prompt}"),
    ("/data/people/zyxuser/x", "x"),
    ("/data/people/zyxuser", "~"),
    ("/home/zyxuser", "~"),
    (r"D:\pictures\a.png", "a.png"),
    (r"\\nas\pictures\a.png", "a.png"),
    ("file:///srv/x/a.png", "a.png"),
    ("in /home/zyxuser/out and /data/people/zyxuser/in.", "in ~/out and ~/in."),
    ("style of /Users/anna/art, oil", "style of ~/art, oil"),
    ("as in C:\\Users\\Anna Smith\\cats\\a.png here", "as in ~\\cats\\a.png here"),
    ("see /mnt/c/Users/anna/x.png", "see ~/x.png"),
    ('{"out": "/home/zyxuser/out"}', '{"out": "~/out"}'),
    ("/home/zyxusers are many", "~ are many"),
    ("/data/people/zyxuserin/x y", "x y"),
    ("first line\n/srv/pictures/a.png", "first line\n/srv/pictures/a.png"),
    ("the p@ssw0rd-of-mine is", f"the {HIDDEN} is"),
]


@pytest.mark.parametrize(("typed", "told"), TEXTS, ids=lambda value: repr(value))
def test_a_text_is_told_as_it_is_unless_it_tells_of_the_machine(catalog: Catalog, typed: str, told: str) -> None:
    inputs = (
        for_sharing(of("look", prompt=typed, options={"deep": [{"in": typed}], "n": 1}), catalog, MACHINE).nodes["n"].inputs
    )
    assert inputs == {"prompt": told, "options": {"deep": [{"in": told}], "n": 1}}


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("openai", True),
        ("OPENAI_API_KEY", True),
        ("_x1", True),
        ("my_key_2024", True),
        ("", False),
        ("two words", False),
        ("1password", False),
        ("sk-live+51H8x/very=secret", False),
        ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", False),
        ("hf_abcdefghijklmnopqrstuvwxyzABCDEFGH", False),
        ("AKIAIOSFODNN7EXAMPL123", False),
        ("d41d8cd98f00b204e9800998ecf8427e", False),
        ("x" * 65, False),
        ("name\n", False),
    ],
)
def test_what_is_no_name_of_a_secret_is_left_out_and_said(catalog: Catalog, name: str, is_one: bool) -> None:
    assert is_secret_name(name) == is_one
    shared = share(of("fetch", token=name, others=["fine", name], url="u"), catalog, MACHINE)
    inputs: dict[str, Any] = {"token": name, "others": ["fine", name]} if is_one else {"others": ["fine"]}
    assert shared.document.nodes["n"].inputs == {**inputs, "url": "u"}
    assert shared.left_out == (() if is_one else ("n.token", "n.others"))


PRIVATE = "/home/zyxuser/private/a.png"
EVERYWHERE: dict[str, Any] = {
    "nodegraph": 1,
    "id": PRIVATE,
    "title": f"of {PRIVATE}",
    "nodes": {
        "a": {
            "type": "t/look",
            "inputs": {"path": PRIVATE, "unknown": [PRIVATE]},
            "note": PRIVATE,
            "links": {"prompt": "b.value"},
        },
        "b": {"type": "gone/node", "inputs": {"path": PRIVATE, "deep": {PRIVATE: {"x": PRIVATE}}}},
        "m": {"type": "core/map", "inputs": {"body": "inner", "items": [PRIVATE, "a prompt"], "path": PRIVATE}},
        "s": {"type": "subgraph/inner", "inputs": {"path": PRIVATE, "token": "p@ssw0rd-of-mine"}},
    },
    "interface": {
        "inputs": {
            "path": {
                "to": ["a.path"],
                "default": PRIVATE,
                "choices": [PRIVATE, "b.png"],
                "description": PRIVATE,
                "more": PRIVATE,
            },
            "token": {"to": ["s.token"], "default": "p@ssw0rd-of-mine"},
        },
        "outputs": {"text": "a.output"},
        "note": PRIVATE,
    },
    "subgraphs": {
        "inner": {
            "title": PRIVATE,
            "nodes": {
                "look": {"type": "t/look", "inputs": {"path": PRIVATE, "model": "m"}},
                "fetch": {"type": "t/fetch", "inputs": {"token": "p@ssw0rd-of-mine"}},
            },
            "interface": {
                "inputs": {
                    "item": {"to": ["look.prompt"], "default": PRIVATE},
                    "path": {"to": ["look.path"]},
                    "token": {"to": ["fetch.token"]},
                },
                "outputs": {"text": "look.output"},
            },
            "layout": {"notes": [{"text": PRIVATE}]},
            "note": PRIVATE,
        },
        "far": {"file": PRIVATE},
    },
    "layout": {"notes": [{"text": f"look at {PRIVATE}"}], PRIVATE: 1},
    "lock": {
        "models": {
            PRIVATE: {"sha256": "0" * 64, "origin": "https://example.com/home/a"},
            "/home/zyxuser/other/a.png": {"sha256": "1" * 64},
        },
        "note": PRIVATE,
    },
    "extra": {"folder": PRIVATE, PRIVATE: [PRIVATE]},
}


def test_nothing_of_the_machine_is_anywhere_in_the_document(catalog: Catalog) -> None:
    text = dump_document(for_sharing(document_from(EVERYWHERE), catalog, MACHINE))
    for told in ("zyxuser", "/home/zyx", "private", "p@ssw0rd"):
        assert told not in text.replace("look at ~/private/a.png", "").replace("of ~/private/a.png", "")
    assert "a prompt" in text
    assert "https://example.com/home/a" in text
    parse_document(text)


def test_without_knowing_the_machine_home_folders_are_left_out_all_the_same(catalog: Catalog) -> None:
    assert "zyxuser" not in dump_document(for_sharing(document_from(EVERYWHERE), catalog))


def test_the_document_itself_is_left_alone(catalog: Catalog) -> None:
    document = document_from(EVERYWHERE)
    before = dump_document(document)
    for_sharing(document, catalog, MACHINE)
    assert dump_document(document) == before


def test_sharing_what_is_shared_changes_nothing(catalog: Catalog) -> None:
    once = for_sharing(document_from(EVERYWHERE), catalog, MACHINE)
    assert to_json(for_sharing(once, catalog, MACHINE)) == to_json(once)


def test_names_that_become_the_same_are_both_kept(catalog: Catalog) -> None:
    shared = for_sharing(document_from(EVERYWHERE), catalog, MACHINE)
    assert list(shared.lock["models"]) == ["a.png", "a.png (2)"]


def test_a_lock_stays_true_of_the_nodes_that_it_was_true_of(catalog: Catalog) -> None:
    document = document_from({key: value for key, value in EVERYWHERE.items() if key != "lock"})
    digests = {**content_digests(document), "b": "edited since"}
    document = document.model_copy(update={"lock": {"document": digests}})
    shared = for_sharing(document, catalog, MACHINE)
    assert shared.lock["document"] == {**content_digests(shared), "b": "edited since"}
    assert shared.lock["document"] != digests


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=JSON, prompt=st.text())
def test_values_without_slashes_stay_as_they_are(catalog: Catalog, value: Any, prompt: str) -> None:
    def has_slash(part: Any) -> bool:
        return any(mark in str(part) for mark in "/\\") or "~" in str(part)

    if has_slash(value) or has_slash(prompt):
        return
    document = of("look", prompt=prompt, options={"value": value})
    assert to_json(for_sharing(document, catalog, MACHINE)) == to_json(document)


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0\n\r"), min_size=1, max_size=8).map(
    lambda name: f"_{name}_"
)


@given(
    parts=st.lists(NAMES, min_size=1, max_size=5), home=st.sampled_from(HOMES), start=st.sampled_from(["", "see ", "a\n", '"'])
)
def test_whatever_lies_in_a_home_folder_the_home_is_not_told(catalog: Catalog, parts: list[str], home: str, start: str) -> None:
    path = "/".join([home, *parts])
    shared = for_sharing(of("look", path=path, prompt=start + path, options={path: [path]}), catalog, MACHINE)
    assert "zyxuser" not in dump_document(shared)
    assert shared.nodes["n"].inputs["path"] == parts[-1].rstrip() or parts[-1].rstrip() != parts[-1]


@pytest.mark.parametrize("text", ["/" * 500_000, "/home/" * 100_000, "C:\\Users\\" * 50_000, "~/" * 300_000, "\\" * 500_000])
def test_a_text_made_to_waste_time_does_not(catalog: Catalog, text: str) -> None:
    import time

    begun = time.monotonic()
    for_sharing(of("look", prompt=text, path=text), catalog, MACHINE)
    assert time.monotonic() - begun < 5
