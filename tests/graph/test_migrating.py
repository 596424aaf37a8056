"""Documents from older days: led on by their packs' migrations, step by step, with everything told and nothing lost."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph import OldNode, Pack, PackError, migrate, node
from nodegraph.graph import Catalog, Document, dump_document, validate
from nodegraph.graph.catalog import PackOrigin
from nodegraph.graph.document import document_from, to_json
from nodegraph.graph.migrating import Migrated, deprecation_remarks, migrated
from nodegraph.graph.packs import with_packs
from nodegraph.sdk.migration import Migration


@node(version=4)
def scale(width: int = 8, height: int = 8, keep: bool = False) -> int:
    """Was called `size`, had `w` and `h`, then `width` and `height` as text."""
    return width * height


@node(deprecated="use t/scale", version=2)
def stretch(factor: float = 1.0) -> int:
    """Still here."""
    return 1


@migrate("t/size", from_version=1)
def size_2(old: OldNode) -> None:
    old.rename("w", "width")
    old.rename("h", "height")


@migrate("t/size", from_version=2)
def size_3(old: OldNode) -> None:
    old.become("t/scale", version=3)
    old.rename_output("area", "value")
    old.drop("colour")


@migrate("t/scale", from_version=3)
def scale_4(old: OldNode) -> None:
    for name in ("width", "height"):
        if isinstance(old.inputs.get(name), str):
            old.inputs[name] = int(old.inputs[name])
    old.inputs.setdefault("keep", True)
    old.note("look at the proportions")


@migrate("t/stretch", from_version=2)
def stretch_away(old: OldNode) -> None:
    old.become("t/scale", version=4)
    old.drop("factor")


@migrate("t/bad", from_version=1)
def bad(old: OldNode) -> None:
    raise RuntimeError("no such luck")


@migrate("t/round", from_version=1)
def round_and_round(old: OldNode) -> None:
    old.become("t/round", version=1)
    old.version = 1
    old.type = "t/trip"


@migrate("t/trip", from_version=1)
def and_back(old: OldNode) -> None:
    old.become("t/round", version=1)


MEMBERS = [scale, stretch, size_2, size_3, scale_4, stretch_away, bad, round_and_round, and_back]
PACK = Pack.of("t", MEMBERS)
CATALOG = Catalog.of([PACK])


def find(type_id: str, version: int) -> Migration:
    return PACK.migrations[type_id, version]


def opened(data: dict[str, Any], **more: Any) -> Migrated:
    return migrated(document_from({"nodegraph": 1, **data}), CATALOG, find, **more)


def old_size(**inputs: Any) -> dict[str, Any]:
    return {"type": "t/size", "version": 1, "inputs": inputs}


def test_a_node_goes_through_every_migration_on_its_way() -> None:
    found = opened({"nodes": {"a": old_size(w="3", h="4", colour="red")}})
    entry = found.document.nodes["a"]
    assert (entry.type, entry.version) == ("t/scale", 4)
    assert entry.inputs == {"width": 3, "height": 4, "keep": True}
    assert to_json(found.document)["nodes"]["a"]["dropped"] == {"colour": {"value": "red"}}
    assert validate(found.document, CATALOG) == []


def test_what_changed_is_told_in_words() -> None:
    (change,) = opened({"nodes": {"a": old_size(w="3", colour="red")}}).changes
    assert str(change) == (
        "a (t/size 1 -> t/scale 4): w is called width now; the output area is called value now; "
        'width is 3 now (it was "3"); colour is gone (it was "red"); keep is new: true; look at the proportions'
    )


def test_links_and_the_interface_follow_what_was_renamed() -> None:
    nodes = {"a": old_size(w="3"), "b": old_size(), "c": {"type": "t/list", "links": {"items": ["a.area", "b.area"]}}}
    nodes["b"]["links"] = {"h": "a.area"}
    interface = {"inputs": {"wide": {"to": ["a.w", "b.w"]}}, "outputs": {"area": "b.area"}}
    found = opened({"nodes": nodes, "interface": interface}).document
    assert found.nodes["b"].links == {"height": "a.value"}
    assert found.nodes["c"].links == {"items": ["a.value", "b.value"]}
    assert found.interface.inputs["wide"].to == ["a.width", "b.width"]
    assert found.interface.outputs == {"area": "b.value"}


def test_subgraphs_are_led_on_too_and_named_by_their_place() -> None:
    part = {"nodes": {"a": old_size(w="3")}, "interface": {"outputs": {"out": "a.area"}}}
    found = opened({"nodes": {}, "subgraphs": {"s": part}})
    assert found.changes[0].node == "subgraphs.s/a"
    assert found.document.subgraphs["s"].interface.outputs == {"out": "a.value"}


def test_a_document_that_is_up_to_date_is_the_same_object() -> None:
    document = document_from({"nodegraph": 1, "nodes": {"a": {"type": "t/scale", "version": 4}}})
    assert migrated(document, CATALOG, find).document is document


def test_deprecated_nodes_are_replaced_only_when_asked_for() -> None:
    data = {"nodes": {"a": {"type": "t/stretch", "version": 2, "inputs": {"factor": 2.0}}}}
    assert opened(data).changes == ()
    assert opened(data, deprecated=True).document.nodes["a"].type == "t/scale"
    (remark,) = deprecation_remarks(document_from({"nodegraph": 1, **data}), CATALOG)
    assert "use t/scale" in remark.message
    assert "--replace-deprecated" in str(remark.hint)


def test_a_migration_that_fails_leaves_its_node_as_it_was_and_is_named() -> None:
    data = {"nodes": {"x": {"type": "t/bad", "version": 1, "inputs": {"w": 1}}, "a": old_size(w="3")}}
    found = opened(data)
    assert to_json(found.document)["nodes"]["x"] == data["nodes"]["x"]
    assert found.document.nodes["a"].type == "t/scale"
    (problem,) = found.problems
    assert (problem.code, problem.node) == ("migration_failed", "x")
    assert "no such luck" in problem.message


def test_migrations_that_lead_to_each_other_end_in_a_problem() -> None:
    found = opened({"nodes": {"x": {"type": "t/round", "version": 1}}})
    assert found.document.nodes["x"].type == "t/round"
    assert [problem.code for problem in found.problems] == ["migration_failed"]


def test_an_older_version_without_a_migration_says_so() -> None:
    document = document_from({"nodegraph": 1, "nodes": {"a": {"type": "t/scale", "version": 1}}})
    assert migrated(document, CATALOG, find).document is document
    (problem,) = validate(document, CATALOG)
    assert problem.code == "version"
    assert "no migration" in str(problem.hint)


values = st.none() | st.booleans() | st.integers(-5, 5).map(str) | st.lists(st.integers(), max_size=2)
old_nodes = st.fixed_dictionaries(
    {"type": st.sampled_from(["t/size", "t/scale", "t/other"]), "version": st.integers(0, 5)},
    optional={"inputs": st.dictionaries(st.sampled_from(["w", "h", "width", "colour", "keep", "x"]), values, max_size=4)},
)


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), old_nodes, max_size=3))
def test_no_value_is_lost_on_the_way_and_going_on_changes_nothing(nodes: dict[str, Any]) -> None:
    document = document_from({"nodegraph": 1, "nodes": nodes})
    found = migrated(document, CATALOG, find)
    for name, entry in document.nodes.items():
        text = str(to_json(found.document)["nodes"][name])
        assert all(str(value).strip("'") in text for value in entry.inputs.values())
    again = migrated(found.document, CATALOG, find)
    assert again.document is found.document


@given(st.dictionaries(st.sampled_from(["a", "b", "c"]), old_nodes, max_size=3))
def test_opening_with_every_pack_in_between_gives_the_same(nodes: dict[str, Any]) -> None:
    """Saved by each version in turn, or opened years later: the same document."""
    document = document_from({"nodegraph": 1, "nodes": nodes})
    stepwise: Document = document
    for steps in ([("t/size", 1)], [("t/size", 2)], [("t/scale", 3)]):
        catalog = Catalog(CATALOG.nodes, migrations=dict.fromkeys(steps, "t"))
        stepwise = migrated(stepwise, catalog, find).document
    assert dump_document(stepwise) == dump_document(migrated(document, CATALOG, find).document)


def test_a_migration_names_a_pack_and_a_node() -> None:
    with pytest.raises(PackError, match="pack/name"):
        migrate("scale", from_version=1)


def test_two_migrations_of_one_version_are_an_error() -> None:
    @migrate("t/size", from_version=1)
    def other(old: OldNode) -> None:
        """The same step."""

    with pytest.raises(PackError, match="two migrations"):
        Pack.of("t", [*MEMBERS, other])
    with pytest.raises(PackError, match="both declare a migration"):
        Catalog.of([PACK, Pack.of("u", [other])])


# ---- what is missing ----


def test_a_missing_pack_is_named_with_the_command_that_brings_it() -> None:
    origins = {"fancy": PackOrigin("nodegraph-fancy", "1.2.0"), "core": PackOrigin("nodegraph", "0.1.0")}
    here = Catalog(CATALOG.nodes, origins=origins)
    document = document_from(
        {"nodegraph": 1, "nodes": {"a": {"type": "fancy/glow", "inputs": {"r": 1}}, "b": {"type": "core/x"}}}
    )
    saved = with_packs(document, here)
    assert to_json(saved)["packs"] == {"fancy": {"distribution": "nodegraph-fancy", "version": "1.2.0"}}
    assert with_packs(saved, CATALOG) is saved, "where the pack is missing its origin stays"
    problem = next(problem for problem in validate(saved, CATALOG) if problem.node == "a")
    assert problem.code == "missing_pack"
    assert 'pip install "nodegraph-fancy==1.2.0"' in str(problem.hint)


def test_what_an_import_could_not_translate_is_named_by_its_own_name() -> None:
    extra = {"comfyui": {"class": "FancySampler", "pack": "fancy-pack"}}
    document = document_from({"nodegraph": 1, "nodes": {"a": {"type": "comfyui/FancySampler", **extra}}})
    (problem,) = validate(document, CATALOG)
    assert problem.code == "untranslated"
    assert "FancySampler, of the pack fancy-pack" in problem.message


@migrate("t/scale", from_version=90)
def over_and_out(old: OldNode) -> None:
    old.rename("w", "width")
    old.become("t/scale", 4)
    if old.drop("gone") is not None:
        old.note("gone had a value")


def migrated_once(**entry: Any) -> tuple[dict[str, Any], Migrated]:
    """A node after `over_and_out`, in a document with public inputs that lead to it."""
    nodes = {"a": {"type": "t/scale", "version": 90, **entry}, "b": {"type": "t/scale", "version": 4}}
    interface = {"inputs": {"g": {"to": ["a.gone"], "title": "G"}, "both": {"to": ["a.gone", "b.width"]}}}
    later = dataclasses.replace(CATALOG.nodes["t/scale"], version=91)
    catalog = Catalog({**CATALOG.nodes, "t/scale": later}, migrations={("t/scale", 90): "t"})
    document = document_from({"nodegraph": 1, "nodes": nodes, "interface": interface})
    found = migrated(document, catalog, lambda *step: over_and_out)
    return to_json(found.document), found


def test_a_value_under_a_link_is_dropped_with_it_and_does_not_count() -> None:
    data, found = migrated_once(inputs={"gone": 3}, links={"gone": "b.value"})
    assert data["nodes"]["a"]["dropped"] == {"gone": {"value": 3, "link": "b.value"}}
    assert "gone had a value" not in str(found.changes[0])


def test_what_lies_where_an_input_is_renamed_to_is_kept() -> None:
    data, _ = migrated_once(inputs={"w": 1, "width": 9})
    assert (data["nodes"]["a"]["inputs"]["width"], data["nodes"]["a"]["dropped"]) == (1, {"width": {"value": 9}})


def test_a_public_input_that_leads_nowhere_any_more_is_taken_out_and_kept() -> None:
    data, found = migrated_once(inputs={"gone": 3})
    assert data["interface"] == {"inputs": {"both": {"to": ["b.width"]}}, "dropped": {"g": {"to": ["a.gone"], "title": "G"}}}
    assert "the public input 'g' led to a.gone, which is gone" in str(found.changes[0])
