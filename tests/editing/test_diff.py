"""Comparing documents: applying what differs gives the other one exactly, undoing gives the first, and it reads as meant."""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from editing.documents import CROWDED, documents, edited, rename_node, same_text
from nodegraph.editing import ABSENT, Change, Diff, apply, diff, inverse
from nodegraph.editing.diff import KINDS
from nodegraph.editing.shapes import DOCUMENT, INTERFACE, NODE, PUBLIC_INPUT, SUBGRAPH
from nodegraph.graph import Document, dump_document
from nodegraph.graph.document import Interface, InterfaceInput, NodeEntry, Subgraph, document_from, to_json
from nodegraph.sdk.errors import InvalidWorkflow

starts = st.just(CROWDED) | documents()


def changed(edit: Callable[[dict[str, Any]], object], start: Document = CROWDED) -> Document:
    data = copy.deepcopy(to_json(start))
    edit(data)
    return document_from(data)


def check_both_ways(before: Document, after: Document) -> Diff:
    found = diff(before, after)
    assert same_text(apply(before, found), after)
    assert same_text(apply(after, inverse(found)), before)
    return found


# ---- laws ----


@given(documents(), documents())
def test_applying_the_difference_of_any_two_documents_gives_the_second_and_undoing_it_the_first(
    before: Document, after: Document
) -> None:
    check_both_ways(before, after)


@given(st.data())
def test_applying_the_difference_of_an_edited_document_gives_it_and_undoing_takes_it_back(data: st.DataObject) -> None:
    before = data.draw(starts)
    check_both_ways(before, data.draw(edited(before, most=8)))


@given(documents(), documents())
def test_undoing_an_undo_is_the_change_again(before: Document, after: Document) -> None:
    found = diff(before, after)
    assert inverse(inverse(found)) == found


@given(documents(), documents())
def test_changes_come_back_from_their_json(before: Document, after: Document) -> None:
    found = diff(before, after)
    read = Diff.from_json(json.loads(json.dumps(found.to_json(), sort_keys=True)))
    assert [change.kind for change in read.changes] == [change.kind for change in found.changes]
    assert {change.kind for change in read.changes} <= set(KINDS)
    assert apply(before, read) == apply(before, found)


@given(documents())
def test_a_document_does_not_differ_from_itself_read_again(document: Document) -> None:
    assert not diff(document, document_from(json.loads(dump_document(document))))


@given(st.data())
def test_changes_may_be_made_in_any_order(data: st.DataObject) -> None:
    after = data.draw(edited(CROWDED, most=8))
    changes = data.draw(st.permutations(diff(CROWDED, after).changes))
    assert same_text(apply(CROWDED, changes), after)


@given(st.data())
def test_documents_stay_as_they_were(data: st.DataObject) -> None:
    before = data.draw(starts)
    after = data.draw(edited(before))
    texts = dump_document(before), dump_document(after)
    changes = diff(before, after)
    said = json.dumps(changes.to_json())
    made = apply(before, changes)
    for entry in made.nodes.values():
        for value in entry.inputs.values():
            if isinstance(value, list):
                value.append("changed")
    assert (dump_document(before), dump_document(after)) == texts
    assert json.dumps(changes.to_json()) == said


@pytest.mark.parametrize(
    ("shape", "model"),
    [(DOCUMENT, Document), (SUBGRAPH, Subgraph), (INTERFACE, Interface), (PUBLIC_INPUT, InterfaceInput), (NODE, NodeEntry)],
)
def test_every_field_of_documents_is_known(shape: Any, model: Any) -> None:
    assert set(shape.fields) == set(model.model_fields) - {"nodegraph"}


# ---- what is said ----

EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], list[tuple[str, str, Any, Any]]]] = {
    # what is done: how, and what is found: kind, place, before, after
    "title": (lambda d: d.update(title="T"), [("title_changed", "title", "Crowded", "T")]),
    "id": (lambda d: d.pop("id"), [("id_changed", "id", "crowded", "")]),
    "type": (
        lambda d: d["nodes"]["prompt"].update(type="core/integer"),
        [("type_changed", "prompt.type", "core/text", "core/integer")],
    ),
    "version": (lambda d: d["nodes"]["prompt"].update(version=2), [("version_changed", "prompt.version", 1, 2)]),
    "switched off": (lambda d: d["nodes"]["prompt"].update(disabled=True), [("node_disabled", "prompt.disabled", False, True)]),
    "switched on": (lambda d: d["nodes"]["save-it"].pop("disabled"), [("node_enabled", "save-it.disabled", True, False)]),
    "value set": (lambda d: d["nodes"]["model"]["inputs"].update(n=None), [("input_added", "model.n", ABSENT, None)]),
    "value of another kind": (
        lambda d: d["nodes"]["denoise"]["inputs"].update(value=1),
        [("input_changed", "denoise.value", 1.0, 1)],
    ),
    "value removed": (lambda d: d["nodes"]["model"].pop("inputs"), [("input_removed", "model.value", "starter", ABSENT)]),
    "link set": (
        lambda d: d["nodes"]["model"].update(links={"text": "prompt.text"}),
        [("link_added", "model.text", ABSENT, "prompt.text")],
    ),
    "link of many": (
        lambda d: d["nodes"]["denoise"]["links"]["items"].append("a.text"),
        [("link_changed", "denoise.items", ["prompt.text", "prompt_2.text"], ["prompt.text", "prompt_2.text", "a.text"])],
    ),
    "link removed": (lambda d: d["nodes"]["a"].pop("links"), [("link_removed", "a.items", "denoise.items", ABSENT)]),
    "public input's title": (
        lambda d: d["interface"]["inputs"]["seed"].update(title="Seed"),
        [("interface_input_changed", "interface.inputs.seed.title", "", "Seed")],
    ),
    "public input's default, which was null": (
        lambda d: d["interface"]["inputs"]["seed"].pop("default"),
        [("interface_input_changed", "interface.inputs.seed.default", None, ABSENT)],
    ),
    "public input removed": (
        lambda d: d["interface"]["inputs"].pop("steps"),
        [("interface_input_removed", "interface.inputs.steps", {"to": ["denoise.steps"], "choices": [10, 20]}, ABSENT)],
    ),
    "public outputs in another order": (
        lambda d: d["interface"].update(outputs=dict(reversed(d["interface"]["outputs"].items()))),
        [
            (
                *("interface_outputs_reordered", "interface.outputs"),
                *(["size", "prompt", "steps"], ["steps", "prompt", "size"]),
            )
        ],
    ),
    "public output": (
        lambda d: d["interface"]["outputs"].update(size="a.text"),
        [("interface_output_changed", "interface.outputs.size", "a.value", "a.text")],
    ),
    "inside a subgraph": (
        lambda d: d["subgraphs"]["year"]["nodes"]["b"]["inputs"].update(value=3),
        [("input_changed", "subgraphs.year/b.value", 2, 3)],
    ),
    "subgraph removed": (
        lambda d: d["subgraphs"].pop("body"),
        [("subgraph_removed", "subgraphs.body", {"file": "other.json"}, ABSENT)],
    ),
    "subgraph in another file": (
        lambda d: d["subgraphs"]["body"].update(file="x.json"),
        [("file_changed", "subgraphs.body.file", "other.json", "x.json")],
    ),
    "moved": (
        lambda d: d["layout"]["nodes"].update(model=[9, 9]),
        [("layout_changed", "layout.nodes.model", [0, 0], [9, 9])],
    ),
    "lock": (lambda d: d["lock"]["packs"].update(core="2"), [("lock_changed", "lock.packs.core", "1", "2")]),
    "unknown field": (lambda d: d["nodes"]["denoise"].pop("seen"), [("field_removed", "denoise.seen", [1], ABSENT)]),
    "renamed": (
        lambda d: rename_node(d, "prompt", "positive"),
        [
            ("node_renamed", "positive", "prompt", "positive"),
            ("layout_removed", "layout.nodes.positive", [1, 0], ABSENT),
            ("layout_added", "layout.nodes.prompt", ABSENT, [1, 0]),
        ],
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_one_change_of_its_kind(name: str) -> None:
    edit, expected = EDITS[name]
    found = check_both_ways(CROWDED, changed(edit))
    said = [(change.kind, change.place, change.before, change.after) for change in found.changes]
    assert [*map(repr, said)] == [*map(repr, expected)]


def test_a_node_that_comes_and_one_that_goes_are_told_whole() -> None:
    after = changed(lambda d: (d["nodes"].pop("save-it"), d["nodes"].update(new={"type": "x/new", "inputs": {"a": 1}})))
    found = {change.kind: change for change in diff(CROWDED, after).changes}
    assert found["node_added"].after == {"type": "x/new", "version": 1, "inputs": {"a": 1}}
    assert found["node_removed"].before["links"] == {"image": "a.image", "items": ["a.text"]}


def test_public_inputs_come_back_in_their_places() -> None:
    after = changed(lambda d: (d["interface"]["inputs"].pop("prompt"), d["interface"]["inputs"].pop("seed")))
    found = check_both_ways(CROWDED, after)
    assert [(change.kind, change.at) for change in found.changes] == [("interface_input_removed", at) for at in (0, 1)]
    back = apply(after, reversed(inverse(found).changes))
    assert list(back.interface.inputs) == ["prompt", "seed", "steps"]


def test_a_document_does_not_share_values_with_the_changes_that_made_it() -> None:
    after = changed(lambda d: d["nodes"]["model"]["inputs"].update(sizes=[1, 2]))
    changes = diff(CROWDED, after)
    apply(CROWDED, changes).nodes["model"].inputs["sizes"].append(3)
    assert changes.changes[0].after == [1, 2]


def test_layout_is_told_apart() -> None:
    after = changed(lambda d: (d.update(title="T"), d["layout"].update(zoom=2)))
    found = diff(CROWDED, after)
    assert [change.kind for change in found.meaning] == ["title_changed"]
    assert [change.kind for change in found.layout] == ["layout_changed"]


# ---- renames ----


def names_of(found: Diff) -> dict[str, str]:
    return {change.before: change.after for change in found.changes if change.kind == "node_renamed"}


def test_links_outputs_and_public_inputs_that_follow_a_rename_are_no_changes() -> None:
    def edit(data: dict[str, Any]) -> None:
        del data["layout"]["nodes"]["prompt"]
        rename_node(data, "prompt", "positive")

    before = changed(lambda d: d["layout"]["nodes"].pop("prompt"))
    assert [change.kind for change in check_both_ways(before, changed(edit)).changes] == ["node_renamed"]


def test_a_whole_chain_that_is_renamed_is_followed() -> None:
    def edit(data: dict[str, Any]) -> None:
        for old, new in (("model", "m"), ("prompt", "p"), ("prompt_2", "q"), ("denoise", "d"), ("a", "s")):
            rename_node(data, old, new)

    found = check_both_ways(CROWDED, changed(edit))
    assert names_of(found) == {"model": "m", "prompt": "p", "prompt_2": "q", "denoise": "d", "a": "s"}
    assert {change.kind for change in found.meaning} == {"node_renamed"}


def test_a_node_that_is_renamed_and_edited_is_renamed_and_edited() -> None:
    def edit(data: dict[str, Any]) -> None:
        rename_node(data, "prompt", "positive")
        data["nodes"]["positive"]["inputs"]["text"] = "a green apple"

    found = check_both_ways(CROWDED, changed(edit)).meaning
    assert [(change.kind, change.place) for change in found] == [
        ("node_renamed", "positive"),
        ("input_changed", "positive.text"),
    ]


def test_a_node_of_another_type_or_with_hardly_anything_in_common_is_another_node() -> None:
    def other_type(data: dict[str, Any]) -> None:
        rename_node(data, "prompt", "positive")
        data["nodes"]["positive"]["type"] = "core/joined"

    def other_place(data: dict[str, Any]) -> None:
        del data["nodes"]["model"]
        data["nodes"]["z"] = {"type": "core/text", "inputs": {"value": "other"}}

    def other_links(data: dict[str, Any]) -> None:
        del data["nodes"]["save-it"]
        data["nodes"]["up"] = {"type": "image/resize_image", "inputs": {"scale": 2.0}, "links": {"image": "a.image"}}

    for edit in (other_type, other_place, other_links):
        assert not names_of(check_both_ways(CROWDED, changed(edit)))


def test_two_nodes_that_swap_their_names_are_two_changed_nodes() -> None:
    def edit(data: dict[str, Any]) -> None:
        nodes = data["nodes"]
        nodes["prompt"]["inputs"], nodes["prompt_2"]["inputs"] = nodes["prompt_2"]["inputs"], nodes["prompt"]["inputs"]

    assert {change.kind for change in check_both_ways(CROWDED, changed(edit)).changes} == {"input_changed"}


def test_nodes_that_are_all_alike_are_told_apart_by_what_reads_them() -> None:
    def pair(first: str, second: str) -> Document:
        nodes = {
            first: {"type": "t/t"},
            second: {"type": "t/t"},
            "left": {"type": "t/l", "links": {"a": f"{first}.o"}},
            "right": {"type": "t/r", "links": {"a": f"{second}.o"}},
        }
        return document_from({"nodes": nodes})

    assert names_of(check_both_ways(pair("a", "b"), pair("z", "y"))) == {"a": "z", "b": "y"}


def test_a_rename_inside_a_subgraph_stays_inside() -> None:
    def edit(data: dict[str, Any]) -> None:
        data["nodes"]["b"] = {"type": "x/y", "links": {"v": "b.v"}}

    before = changed(edit)
    after = changed(lambda d: rename_node(d["subgraphs"]["year"], "b", "grown"), before)
    (change,) = check_both_ways(before, after).changes
    assert change == Change("node_renamed", ("subgraphs", "year", "nodes", "grown"), "b", "grown")


def test_a_link_to_nowhere_that_a_rename_would_take_along_comes_out_right() -> None:
    before = document_from(
        {"nodes": {"old": {"type": "t/t", "inputs": {"a": 1}}, "k": {"type": "t/k", "links": {"x": "old.o", "y": "new.o"}}}}
    )
    after = document_from(
        {"nodes": {"new": {"type": "t/t", "inputs": {"a": 1}}, "k": {"type": "t/k", "links": {"x": "new.o", "y": "new.o"}}}}
    )
    assert names_of(check_both_ways(before, after)) == {"old": "new"}


# ---- what does not fit ----


def test_changes_for_another_document_are_all_reported_and_none_is_made() -> None:
    after = changed(
        lambda d: (
            d["nodes"]["denoise"]["inputs"].update(steps=30),
            d["nodes"]["denoise"]["links"].pop("image"),
            d["nodes"].update(new={"type": "x/y"}),
            d["subgraphs"]["year"]["nodes"]["b"]["inputs"].update(value=3),
            d.update(title="T"),
            rename_node(d, "model", "checkpoint"),
        )
    )
    other = changed(
        lambda d: (
            d["nodes"]["denoise"]["inputs"].update(steps=25),
            d["nodes"].update(new={"type": "x/z"}, checkpoint={"type": "x/z"}),
            d["nodes"]["denoise"].pop("links"),
            d.pop("subgraphs"),
        )
    )
    with pytest.raises(InvalidWorkflow) as caught:
        apply(other, diff(CROWDED, after))
    problems = {problem.place: problem for problem in caught.value.problems}
    assert {"model", "denoise.steps", "denoise.image", "new", "subgraphs.year/b.value"} <= problems.keys()
    assert "title" not in problems
    assert (problems["denoise.steps"].expected, problems["denoise.steps"].got) == ("20", "25")
    assert all(problem.code == "misfit" and problem.hint for problem in problems.values())


def test_changes_that_fit_another_version_are_made_there() -> None:
    after = changed(lambda d: d["nodes"]["denoise"]["inputs"].update(steps=30))
    other = changed(lambda d: d.update(title="Other"))
    made = apply(other, diff(CROWDED, after))
    assert (made.title, made.nodes["denoise"].inputs["steps"]) == ("Other", 30)


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        {},
        {"kind": "boom", "path": ["title"]},
        {"kind": "title_changed", "path": "title", "before": "a", "after": "b"},
        {"kind": "title_changed", "path": [], "before": "a", "after": "b"},
        {"kind": "node_added", "path": ["nodes", "x"]},
        {"kind": "node_added", "path": ["title"], "after": "x"},
        {"kind": "node_renamed", "path": ["nodes", "y"], "before": "x", "after": 3},
        {"kind": "node_renamed", "path": ["title"], "before": "x", "after": "title"},
        {"kind": "interface_inputs_reordered", "path": ["interface", "inputs"], "before": ["a"], "after": ["b"]},
        {"kind": "interface_input_added", "path": ["interface", "inputs", "a"], "after": {"to": []}, "at": -1},
    ],
)
def test_misshapen_changes_are_refused(item: Any) -> None:
    with pytest.raises(InvalidWorkflow) as caught:
        Diff.from_json([{"kind": "title_changed", "path": ["title"], "before": "", "after": "x"}, item])
    assert [problem.message for problem in caught.value.problems] == ["Change 2 has the wrong form."]


@pytest.mark.parametrize(
    "changes",
    [
        [Change("node_added", ("nodes", "9 lives"), ABSENT, {"type": "x/y"})],
        [Change("node_added", ("nodes", "x"), ABSENT, {"version": 1})],
        [Change("node_renamed", ("nodes", "x"), "model", "x"), Change("node_renamed", ("nodes", "x"), "prompt", "x")],
        [Change("node_renamed", ("nodes", "x"), "model", "x"), Change("node_renamed", ("nodes", "y"), "model", "y")],
        [Change("node_renamed", ("nodes", "denoise"), "model", "denoise")],
        [Change("input_added", ("nodes", "nobody", "inputs", "x"), ABSENT, 1)],
        [Change("input_added", ("title", "x"), ABSENT, 1)],
        [Change("interface_inputs_reordered", ("interface", "inputs"), ["seed", "prompt"], ["prompt", "seed"])],
        [Change("title_changed", ("title",), "Crowded", "A"), Change("title_changed", ("title",), "Crowded", "B")],
    ],
)
def test_changes_that_make_no_document_are_refused(changes: list[Change]) -> None:
    with pytest.raises(InvalidWorkflow):
        apply(CROWDED, changes)


# ---- speed ----


def chain(count: int, prefix: str, order: list[int] | None = None) -> Document:
    """Nodes in a row, all alike but for what they read, and one that all of them read."""
    names = [f"{prefix}{i}" for i in (order or range(count))]
    nodes: dict[str, Any] = {"hub": {"type": "t/hub"}}
    for i, name in enumerate(names):
        links = {"hub": "hub.out", **({"before": f"{names[i - 1]}.out"} if i else {})}
        nodes[name] = {"type": f"t/t{i % 5}", "inputs": {"text": "x" * 50}, "links": links}
    return document_from({"nodes": nodes})


def test_five_thousand_alike_nodes_that_are_all_renamed_in_any_order_are_found_in_a_moment() -> None:
    order = list(range(5000))
    random.Random(1).shuffle(order)
    before, after = chain(5000, "a"), chain(5000, "b", order)
    started = time.process_time()
    found = diff(before, after)
    undone = inverse(found)
    taken = time.process_time() - started
    assert names_of(found) == {f"a{i}": f"b{to}" for i, to in enumerate(order)}
    assert len(found.changes) == 5000
    assert same_text(apply(before, found), after)
    assert same_text(apply(after, undone), before)
    assert taken < 5, "this takes half a second where nothing else runs; quadratic, it would take minutes"
