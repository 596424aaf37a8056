"""Merging: no edit is lost, what clashes is said from both sides alike, and what comes out always opens."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from editing.documents import CROWDED, documents, edited, rename_node, same_text
from editing.test_diff import chain, changed
from nodegraph.editing import ABSENT, Change, Conflict, Merged, diff, merge
from nodegraph.editing.sequences import merged_list, merged_order
from nodegraph.editing.shapes import at_path, shape_at
from nodegraph.graph import Document, dump_document, parse_document
from nodegraph.graph.document import document_from, to_json

starts = st.just(CROWDED) | documents()
Edit = Callable[[dict[str, Any]], object]


def merged(ours: Edit, theirs: Edit, base: Document = CROWDED) -> Merged:
    return merge(base, changed(ours, base), changed(theirs, base))


def nothing(data: dict[str, Any]) -> None:
    pass


# ---- laws ----


@given(st.data())
def test_where_only_one_side_changed_anything_the_result_is_that_side(data: st.DataObject) -> None:
    base = data.draw(starts)
    side = data.draw(edited(base) | documents())
    for one, other in ((side, base), (base, side), (side, side)):
        found = merge(base, one, other)
        assert not found.conflicts
        assert same_text(found.document, side)


@given(st.data())
def test_conflicts_are_the_same_from_both_sides(data: st.DataObject) -> None:
    base = data.draw(starts)
    ours, theirs = data.draw(edited(base, most=6)), data.draw(edited(base, most=6))
    here, there = merge(base, ours, theirs).conflicts, merge(base, theirs, ours).conflicts
    kinds = {conflict.kind for conflict in (*here, *there)}
    if "circle" in kinds:  # which links close a circle depends on what became of other conflicts
        here, there = (tuple(c for c in found if c.kind != "circle") for found in (here, there))
    about_names = kinds & {"same_name", "renamed_twice"}
    if about_names:  # the sides call one node differently, and a link to nowhere may then lead somewhere
        told = [sorted(c.kind for c in found if c.kind in about_names) for found in (here, there)]
        assert told[0] == told[1]
        return
    swapped = [repr((c.kind, c.path, c.base, c.theirs, c.ours)) for c in there]
    assert sorted(repr((c.kind, c.path, c.base, c.ours, c.theirs)) for c in here) == sorted(swapped)


@given(st.data())
def test_merging_without_conflicts_gives_the_same_whichever_side_is_ours(data: st.DataObject) -> None:
    base = data.draw(starts)
    ours, theirs = data.draw(edited(base)), data.draw(edited(base))
    found = merge(base, ours, theirs)
    if not found.conflicts:
        assert without_order(found.document) == without_order(merge(base, theirs, ours).document)


def without_order(document: Document) -> Any:
    """What a document says but for what goes ours first: inserted items of lists, and layout."""
    data = json.loads(dump_document(document))
    for graph in (data, *data.get("subgraphs", {}).values()):
        graph.pop("layout", None)
        for entry in graph.get("nodes", {}).values():
            links = entry.get("links", {})
            links.update({key: sorted(link) for key, link in links.items() if isinstance(link, list)})
        for item in graph.get("interface", {}).get("inputs", {}).values():
            item["to"].sort()
    return json.dumps(data, sort_keys=True)


@given(st.data())
def test_every_edit_of_either_side_is_in_the_result_or_in_a_conflict(data: st.DataObject) -> None:
    ours, theirs = (data.draw(edited(CROWDED, most=8, renames=False)) for _ in range(2))
    found = merge(CROWDED, ours, theirs)
    changes = [list(diff(CROWDED, side).meaning) for side in (ours, theirs)]
    if any(change.kind == "node_renamed" for side in changes for change in side):
        return  # then places have other names; see below
    if any(conflict.kind == "same_name" for conflict in found.conflicts):
        return
    lost = [change for change in changes[0] + changes[1] if not kept(change, found)]
    assert lost == []


def kept(change: Change, found: Merged) -> bool:
    """Whether a change is in a merged document, or in one of the conflicts."""
    if change.kind.endswith("_reordered"):
        return True
    now = at_path(to_json(found.document), change.path, shape_at(change.path).default)
    return holds(now, change.after, change.before) or any(says(conflict, change) for conflict in found.conflicts)


def says(conflict: Conflict, change: Change) -> bool:
    length = min(len(conflict.path), len(change.path))
    if conflict.path[:length] == change.path[:length]:
        return True
    left_out = [*conflict.ours, *conflict.theirs] if conflict.kind == "circle" else []
    return any(f"{place}.".startswith(f"{change.place}.") for place in left_out)


def holds(now: Any, after: Any, before: Any = ABSENT) -> bool:
    if isinstance(now, dict) and isinstance(after, dict):
        return all(holds(now.get(key), value) for key, value in after.items())
    if isinstance(now, list) and isinstance(after, list):
        old = before if isinstance(before, list) else []
        return {repr(item) for item in after} - {repr(item) for item in old} <= {repr(item) for item in now}
    return repr(now) == repr(after)


@given(st.data())
def test_a_merge_of_graphs_without_circles_has_none(data: st.DataObject) -> None:
    base = data.draw(starts)
    ours, theirs = data.draw(edited(base, most=8)), data.draw(edited(base, most=8))
    found = merge(base, ours, theirs)
    assert same_text(parse_document(dump_document(found.document)), found.document)
    for name in (None, *found.document.subgraphs):
        sides = [side if name is None else side.subgraphs.get(name, Document()) for side in (ours, theirs)]
        if all(nx.is_directed_acyclic_graph(links_of(side)) for side in sides):
            result = found.document if name is None else found.document.subgraphs[name]
            assert nx.is_directed_acyclic_graph(links_of(result))


def links_of(graph: Any) -> Any:
    made: Any = nx.DiGraph()
    for name, entry in graph.nodes.items():
        for link in entry.links.values():
            sources = [ref.partition(".")[0] for ref in (link if isinstance(link, list) else [link])]
            made.add_edges_from((source, name) for source in sources if source in graph.nodes)
    return made


items = st.lists(st.sampled_from("abcdef"), max_size=5)


@given(items, items)
def test_a_list_that_one_side_changed_is_as_that_side_has_it(base: list[str], side: list[str]) -> None:
    for one, other in ((side, base), (base, side), (side, side)):
        assert merged_list(base, one, other) == (side, False)


@given(items, items, items)
def test_a_merged_list_has_what_either_side_put_in_and_nothing_that_either_took_out(
    base: list[str], ours: list[str], theirs: list[str]
) -> None:
    found, _ = merged_list(base, ours, theirs)
    for item in "abcdef":
        counts = base.count(item), ours.count(item), theirs.count(item)
        more = max(0, counts[1] - counts[0], counts[2] - counts[0])
        assert found.count(item) == min(counts) + more


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "result", "clash"),
    [
        ("ab", "abx", "aby", "abxy", False),
        ("ab", "axb", "ayb", "axyb", False),
        ("abc", "cab", "abc", "cab", False),
        ("abc", "abcx", "cba", "cxba", False),
        ("abc", "cab", "bac", "cab", True),
        ("abc", "ac", "cba", "ca", False),
        ("", "xy", "yx", "xy", True),
        ("a", "xa", "ya", "xya", False),
        ("abc", "axbc", "cayb", "caxyb", False),
    ],
)
def test_orders_are_merged(base: str, ours: str, theirs: str, result: str, clash: bool) -> None:
    assert merged_order(base, ours, theirs) == (list(result), clash)


# ---- edits that go together ----


def test_edits_of_different_inputs_of_one_node_both_survive() -> None:
    found = merged(
        lambda d: d["nodes"]["denoise"]["inputs"].update(steps=30),
        lambda d: (d["nodes"]["denoise"]["inputs"].update(value=2.0), d["nodes"]["denoise"].update(disabled=True)),
    )
    entry = found.document.nodes["denoise"]
    assert (found.conflicts, entry.inputs, entry.disabled) == ((), {"steps": 30, "value": 2.0}, True)


def test_links_that_both_add_to_one_input_are_joined_ours_first() -> None:
    def add(ref: str) -> Edit:
        return lambda d: d["nodes"]["denoise"]["links"]["items"].append(ref)

    found = merged(add("model.x"), add("model.y"))
    assert found.document.nodes["denoise"].links["items"] == ["prompt.text", "prompt_2.text", "model.x", "model.y"]
    assert not found.conflicts


def test_edits_follow_a_rename() -> None:
    def edit(data: dict[str, Any]) -> None:
        data["nodes"]["prompt"]["inputs"]["text"] = "a green apple"
        data["nodes"]["new"] = {"type": "x/y", "links": {"a": "prompt.text"}}
        data["interface"]["outputs"]["extra"] = "prompt.text"

    for found in (
        merged(lambda d: rename_node(d, "prompt", "positive"), edit),
        merged(edit, lambda d: rename_node(d, "prompt", "positive")),
    ):
        document = found.document
        assert not found.conflicts
        assert "prompt" not in document.nodes
        assert document.nodes["positive"].inputs["text"] == "a green apple"
        assert document.nodes["new"].links["a"] == document.interface.outputs["extra"] == "positive.text"


def test_renames_of_different_nodes_and_the_same_rename_go_together() -> None:
    found = merged(
        lambda d: (rename_node(d, "prompt", "positive"), rename_node(d, "model", "m")),
        lambda d: (rename_node(d, "prompt_2", "negative"), rename_node(d, "model", "m")),
    )
    assert not found.conflicts
    assert set(found.document.nodes) == {"m", "positive", "negative", "denoise", "a", "save-it"}
    assert found.document.nodes["denoise"].links["items"] == ["positive.text", "negative.text"]


def test_subgraphs_are_merged_inside() -> None:
    found = merged(
        lambda d: d["subgraphs"]["year"]["nodes"]["b"]["inputs"].update(value=3),
        lambda d: (rename_node(d["subgraphs"]["year"], "b", "grown"), d["subgraphs"]["year"].update(title="Year")),
    )
    year = found.document.subgraphs["year"]
    assert not found.conflicts
    assert (year.title, year.nodes["grown"].inputs["value"]) == ("Year", 3)
    assert year.interface.inputs["seed"].to == ["grown.value"]


def test_public_inputs_that_both_add_and_one_moves_are_all_there_in_order() -> None:
    def add(name: str) -> Edit:
        return lambda d: d["interface"]["inputs"].update({name: {"to": ["a.steps"]}})

    def move(data: dict[str, Any]) -> None:
        inputs = data["interface"]["inputs"]
        data["interface"]["inputs"] = {name: inputs[name] for name in ("steps", "prompt", "seed")}

    both = merged(add("x"), add("y"))
    assert (list(both.document.interface.inputs), both.conflicts) == (["prompt", "seed", "steps", "x", "y"], ())
    moved = merged(add("x"), move)
    assert (list(moved.document.interface.inputs), moved.conflicts) == (["steps", "x", "prompt", "seed"], ())


def test_layout_that_both_moved_is_ours_without_a_word() -> None:
    found = merged(
        lambda d: d["layout"]["nodes"].update(model=[1, 1], a=[2, 2]),
        lambda d: d["layout"]["nodes"].update(model=[5, 5], denoise=[6, 6]),
    )
    assert not found.conflicts
    assert found.document.layout["nodes"] == {"model": [1, 1], "a": [2, 2], "prompt": [1, 0], "denoise": [6, 6]}


def test_a_node_that_one_side_removed_with_its_links_goes() -> None:
    def remove(data: dict[str, Any]) -> None:
        del data["nodes"]["save-it"]

    found = merged(remove, lambda d: d["nodes"]["a"]["inputs"].update(steps=5))
    assert ("save-it" in found.document.nodes, found.conflicts) == (False, ())


def test_a_node_goes_from_a_list_that_the_other_side_made_longer() -> None:
    def remove(data: dict[str, Any]) -> None:
        del data["nodes"]["prompt_2"]
        data["nodes"]["denoise"]["links"] = {"image": "prompt.image", "items": ["prompt.text"]}
        data["interface"]["inputs"]["prompt"]["to"] = ["prompt.text"]

    for found in (
        merged(remove, lambda d: d["nodes"]["denoise"]["links"]["items"].append("model.x")),
        merged(lambda d: d["nodes"]["denoise"]["links"]["items"].append("model.x"), remove),
    ):
        assert not found.conflicts
        assert found.document.nodes["denoise"].links["items"] == ["prompt.text", "model.x"]
        assert "prompt_2" not in found.document.nodes


def test_a_circle_that_one_side_has_by_itself_is_no_matter_of_the_merge() -> None:
    base = document_from({"nodes": {name: {"type": "x/y"} for name in "abc"}})
    found = merged(
        lambda d: d["nodes"]["c"].update(links={"in": "a.out"}),
        lambda d: (d["nodes"]["a"].update(links={"in": "b.out"}), d["nodes"]["b"].update(links={"in": "a.out"})),
        base,
    )
    assert not found.conflicts
    assert [found.document.nodes[name].links["in"] for name in "abc"] == ["b.out", "a.out", "a.out"]


# ---- conflicts ----


def the_conflict(found: Merged) -> Conflict:
    (conflict,) = found.conflicts
    return conflict


def test_one_input_with_two_new_values_is_ours_and_says_theirs() -> None:
    found = merged(
        lambda d: d["nodes"]["denoise"]["inputs"].update(steps=30), lambda d: d["nodes"]["denoise"]["inputs"].update(steps=25)
    )
    conflict = the_conflict(found)
    assert (conflict.kind, conflict.place, conflict.base, conflict.ours, conflict.theirs) == (
        *("both_changed", "denoise.steps"),
        *(20, 30, 25),
    )
    assert found.document.nodes["denoise"].inputs["steps"] == 30
    assert conflict.to_json()["message"] == "Both sides changed this, and differently. It is as ours has it."


@pytest.mark.parametrize("we_remove", [True, False])
def test_a_node_that_one_side_removed_and_the_other_edited_is_as_ours_has_it(we_remove: bool) -> None:
    def remove(data: dict[str, Any]) -> None:
        del data["nodes"]["save-it"]

    def edit(data: dict[str, Any]) -> None:
        data["nodes"]["save-it"]["inputs"] = {"width": 8}

    found = merged(remove, edit) if we_remove else merged(edit, remove)
    conflict = the_conflict(found)
    assert (conflict.kind, conflict.place) == ("deleted_and_used", "save-it")
    assert (conflict.ours is ABSENT, conflict.theirs is ABSENT) == (we_remove, not we_remove)
    assert ("save-it" in found.document.nodes) is not we_remove


@pytest.mark.parametrize("we_remove", [True, False])
def test_a_new_link_to_a_node_that_the_other_side_removed(we_remove: bool) -> None:
    def remove(data: dict[str, Any]) -> None:
        del data["nodes"]["save-it"]

    def link(data: dict[str, Any]) -> None:
        data["nodes"]["show"] = {"type": "x/y", "links": {"image": "save-it.image", "mask": "a.image"}}

    found = merged(remove, link) if we_remove else merged(link, remove)
    assert {(conflict.kind, conflict.place) for conflict in found.conflicts} == {
        ("deleted_and_used", "save-it"),
        ("link_to_deleted", "show.image"),
    }
    links = found.document.nodes["show"].links
    assert links == ({"mask": "a.image"} if we_remove else {"mask": "a.image", "image": "save-it.image"})
    assert ("save-it" in found.document.nodes) is not we_remove


@pytest.mark.parametrize("we_remove", [True, False])
def test_a_new_public_input_of_a_node_that_the_other_side_removed(we_remove: bool) -> None:
    def remove(data: dict[str, Any]) -> None:
        del data["nodes"]["save-it"]

    def add(data: dict[str, Any]) -> None:
        data["interface"]["inputs"]["width"] = {"to": ["save-it.width"]}

    found = merged(remove, add) if we_remove else merged(add, remove)
    assert {conflict.place for conflict in found.conflicts} == {"save-it", "interface.inputs.width.to"}
    assert found.document.interface.inputs["width"].to == ([] if we_remove else ["save-it.width"])


@pytest.mark.parametrize("we_remove", [True, False])
def test_an_edit_of_a_public_input_that_the_other_side_removed_with_its_node(we_remove: bool) -> None:
    def remove(data: dict[str, Any]) -> None:
        del data["nodes"]["denoise"], data["nodes"]["a"]["links"]
        del data["interface"]["outputs"]["steps"], data["interface"]["inputs"]["steps"], data["interface"]["inputs"]["seed"]

    def edit(data: dict[str, Any]) -> None:
        data["interface"]["inputs"]["steps"]["title"] = "Steps"

    found = merged(remove, edit) if we_remove else merged(edit, remove)
    assert {conflict.place for conflict in found.conflicts} >= {"denoise", "interface.inputs.steps"}
    assert ("denoise" in found.document.nodes) is not we_remove
    assert ("steps" in found.document.interface.inputs) is not we_remove


def test_a_new_use_keeps_what_the_used_node_reads_too() -> None:
    def remove(data: dict[str, Any]) -> None:
        for name in ("a", "save-it"):
            del data["nodes"][name]
        del data["interface"]["outputs"]["size"]

    found = merged(lambda d: d["nodes"].update(show={"type": "x/y", "links": {"image": "save-it.image"}}), remove)
    assert {"a", "save-it"} <= found.document.nodes.keys()
    assert {conflict.place for conflict in found.conflicts} == {"a", "save-it", "show.image"}


def test_a_node_that_both_renamed_differently_has_our_name() -> None:
    found = merged(lambda d: rename_node(d, "prompt", "positive"), lambda d: rename_node(d, "prompt", "wanted"))
    conflict = the_conflict(found)
    assert (conflict.kind, conflict.base, conflict.ours, conflict.theirs) == ("renamed_twice", "prompt", "positive", "wanted")
    assert found.document.nodes["denoise"].links["items"] == ["positive.text", "prompt_2.text"]
    assert "wanted" not in found.document.nodes


def test_two_new_nodes_of_one_name_are_both_kept_each_with_its_links() -> None:
    def add(scale: float) -> Edit:
        def edit(data: dict[str, Any]) -> None:
            data["nodes"]["upscale"] = {"type": "image/resize_image", "inputs": {"scale": scale}}
            data["nodes"][f"save{int(scale)}"] = {"type": "x/save", "links": {"image": "upscale.image"}}

        return edit

    found = merged(add(2.0), add(4.0))
    conflict = the_conflict(found)
    nodes = found.document.nodes
    assert (conflict.kind, conflict.place, conflict.kept_as) == ("same_name", "upscale", "upscale_2")
    assert [nodes[name].inputs["scale"] for name in ("upscale", "upscale_2")] == [2.0, 4.0]
    assert [nodes[name].links["image"] for name in ("save2", "save4")] == ["upscale.image", "upscale_2.image"]


def test_the_same_new_node_on_both_sides_is_one_node() -> None:
    def add(data: dict[str, Any]) -> None:
        data["nodes"]["upscale"] = {"type": "image/resize_image", "links": {"image": "a.image"}}

    found = merged(lambda d: (add(d), d.update(title="T")), add)
    assert ("upscale_2" in found.document.nodes, found.conflicts) == (False, ())


def test_a_name_that_one_side_gives_to_a_new_node_and_the_other_to_an_old_one() -> None:
    def add(data: dict[str, Any]) -> None:
        data["nodes"]["positive"] = {"type": "x/y"}

    def rename(data: dict[str, Any]) -> None:
        rename_node(data, "prompt", "positive")

    renamed, added = merged(rename, add), merged(add, rename)
    assert the_conflict(renamed).kept_as == "positive_2"
    assert the_conflict(added).kept_as == "prompt"
    for found, old, new in ((renamed, "positive", "positive_2"), (added, "prompt", "positive")):
        assert (found.document.nodes[old].type, found.document.nodes[new].type) == ("core/text", "x/y")
        assert found.document.nodes["denoise"].links["image"] == f"{old}.image"


def test_links_of_both_sides_that_would_close_a_circle_leave_theirs_out() -> None:
    base = document_from({"nodes": {name: {"type": "x/y"} for name in "abc"}})
    found = merged(
        lambda d: d["nodes"]["b"].update(links={"in": "a.out"}),
        lambda d: d["nodes"]["a"].update(links={"in": "b.out", "more": "c.out"}),
        base,
    )
    conflict = the_conflict(found)
    assert (conflict.kind, conflict.ours, conflict.theirs) == ("circle", {"b.in": "a.out"}, {"a.in": "b.out"})
    assert {name: entry.links for name, entry in found.document.nodes.items()} == {
        "a": {"more": "c.out"},
        "b": {"in": "a.out"},
        "c": {},
    }


def test_orders_that_both_changed_differently_are_a_conflict() -> None:
    def order(*names: str) -> Edit:
        def edit(data: dict[str, Any]) -> None:
            inputs = data["interface"]["inputs"]
            data["interface"]["inputs"] = {name: inputs[name] for name in names}

        return edit

    found = merged(order("steps", "prompt", "seed"), order("seed", "prompt", "steps"))
    assert (the_conflict(found).kind, the_conflict(found).place) == ("reordered", "interface.inputs")
    assert list(found.document.interface.inputs) == ["steps", "prompt", "seed"]


@pytest.mark.parametrize("we_remove", [True, False])
def test_a_subgraph_that_one_side_removed_and_the_other_gives_to_a_new_node(we_remove: bool) -> None:
    def remove(data: dict[str, Any]) -> None:
        del data["subgraphs"]["body"]

    def use(data: dict[str, Any]) -> None:
        data["nodes"]["loop"] = {"type": "core/map", "inputs": {"body": "body"}}

    found = merged(remove, use) if we_remove else merged(use, remove)
    assert (the_conflict(found).kind, the_conflict(found).place) == ("deleted_and_used", "subgraphs.body")
    assert ("body" in found.document.subgraphs) is not we_remove


def test_two_different_new_subgraphs_of_one_name_are_a_conflict() -> None:
    found = merged(lambda d: d["subgraphs"].update(new={"title": "A"}), lambda d: d["subgraphs"].update(new={"title": "B"}))
    assert (the_conflict(found).kind, the_conflict(found).theirs) == ("both_added", {"title": "B"})
    assert found.document.subgraphs["new"].title == "A"


def test_conflicts_are_json_and_worded_plainly() -> None:
    found = merged(
        lambda d: (d["nodes"].pop("save-it"), d["nodes"]["denoise"]["inputs"].update(steps=1)),
        lambda d: (d["nodes"]["save-it"].update(disabled=False), d["nodes"]["denoise"]["inputs"].update(steps=2)),
    )
    said = json.loads(json.dumps([conflict.to_json() for conflict in found.conflicts]))
    assert [("ours" in item, "theirs" in item) for item in said] == [(True, True), (False, True)]
    assert all(re.fullmatch(r"[A-Z][^{}]*\.", item["message"]) for item in said)


def test_inputs_of_a_merge_stay_as_they_were() -> None:
    sides = [CROWDED, changed(lambda d: rename_node(d, "prompt", "x")), changed(lambda d: d["nodes"].pop("a"))]
    texts = [dump_document(side) for side in sides]
    found = merge(*sides)
    copy.deepcopy(found)
    assert [dump_document(side) for side in sides] == texts


# ---- speed ----


def test_five_thousand_nodes_merge_in_a_moment() -> None:
    base = chain(5000, "n")

    def edit(first: int, key: str) -> Edit:
        def change(data: dict[str, Any]) -> None:
            for name in list(data["nodes"])[first::2]:
                data["nodes"][name].setdefault("inputs", {})[key] = 1

        return change

    ours, theirs = changed(edit(1, "x"), base), changed(edit(2, "y"), base)
    started = time.process_time()
    found = merge(base, ours, theirs)
    taken = time.process_time() - started
    keys: Sequence[set[str]] = [set(entry.inputs) & {"x", "y"} for entry in found.document.nodes.values()]
    assert (found.conflicts, sum(map(len, keys))) == ((), 5000)
    assert taken < 4, "this takes a third of a second where nothing else runs"
