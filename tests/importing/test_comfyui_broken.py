"""Files that are no workflows, or damaged ones: a plain word about it, never a traceback, and what is whole is kept."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importing.comfy import API, catalog, imported, node, picture, row, templates, ui
from nodegraph.graph import validate
from nodegraph.graph.document import document_from, to_json
from nodegraph.importing import from_comfyui, read_foreign_json
from nodegraph.sdk.errors import InvalidWorkflow


@pytest.mark.parametrize(
    "data",
    [None, 3, "text", [], {}, {"a": 1}, {"nodes": 3}, {"nodes": [{}]}, {"nodes": [{"id": 1}]}, {"3": {"class_type": 5}}, [API]],
)
def test_what_is_no_comfyui_workflow_is_said_plainly(data: Any) -> None:
    with pytest.raises(InvalidWorkflow) as refused:
        from_comfyui(data, catalog())
    assert "ComfyUI" in str(refused.value)


def test_a_workflow_of_ours_is_told_apart() -> None:
    with pytest.raises(InvalidWorkflow, match="nodegraph workflow already"):
        from_comfyui({"nodegraph": 1, "nodes": {}}, catalog())


def test_broken_pieces_are_skipped_and_said() -> None:
    data = ui(*picture())
    data["nodes"] += ["no node", {"id": 77}, dict(data["nodes"][0]), {"type": "KSampler"}]
    data["links"] += [[1], "no link", None]
    data["nodes"][5]["inputs"][0]["link"] = 999
    data["links"][0][1] = 555
    found = imported(data)
    text = " ".join(found.report.skipped)
    assert "misshapen entries among the nodes" in text
    assert "without an id or a type" in text
    assert "second node with the id 4" in text
    assert "misshapen link" in text
    assert "link 999 into node 8 is missing" in text
    assert "node 555, which is missing" in text
    assert len(found.document.nodes) == 10
    assert "latent" not in found.document.nodes["decode"].links


def test_broken_pieces_of_the_api_format_too() -> None:
    data = {**copy.deepcopy(API), "12": {"inputs": {}}, "13": 5, "14": {"class_type": "Mystery", "inputs": [1]}}
    data["8"]["inputs"]["samples"] = ["99", 0]
    data["9"]["inputs"]["images"] = ["8", -1]
    found = imported(data)
    text = " ".join(found.report.skipped)
    assert "'12' has no class_type" in text
    assert "'13' has no class_type" in text
    assert "inputs of node 14" in text
    assert "output 0 of node 99" in text
    assert "output -1 of node 8" in text


def test_two_texts_in_a_list_are_no_link() -> None:
    data = {
        "1": {"class_type": "Mystery", "inputs": {"pair": ["left", 0], "boxed": {"__value__": ["2", 0]}, "list": [1, 2, 3]}}
    }
    inputs = imported(data).document.nodes["mystery"].inputs
    assert inputs == {"pair": ["left", 0], "boxed": ["2", 0], "list": [1, 2, 3]}


def test_what_json_cannot_hold_does_not_stop_an_import() -> None:
    text = '{"1": {"class_type": "Mystery", "is_changed": [NaN], "inputs": {"a": 1e999, "b": "\\ud800", "c": -Infinity}}}'
    inputs = imported(read_foreign_json(text)).document.nodes["mystery"].inputs
    assert inputs == {"a": None, "b": "?", "c": None}
    assert imported({"1": {"class_type": "M", "inputs": {"a": math.nan, 3: (1, 2)}}}).document.nodes["m"].inputs["3"] == [1, 2]


@pytest.mark.parametrize(
    "text", ["", "{", "[1,]", '{"a": ' * 200 + "1" + "}" * 200, "[" * 100_000, '{"a": ' + "9" * 5000 + "}"]
)
def test_text_that_is_no_json_says_where(text: str) -> None:
    with pytest.raises(InvalidWorkflow):
        read_foreign_json(text)


@pytest.mark.slow
def test_a_long_chain_and_a_wide_file_are_read_in_a_moment() -> None:
    chain = [node(0, "LoadImage", ["a.png", "image"])]
    chain += [node(i, "ImageScale", ["area", 32, 32, "disabled"], {"image": (i - 1, 0)}) for i in range(1, 3000)]
    wide = [node(i, "Mystery", [i], {"image": (0, 0)}) for i in range(3000, 6000)]
    reroutes = [node(i, "Reroute", None, {"": (i - 1 if i > 6000 else 0, 0)}) for i in range(6000, 8000)]
    found = imported(ui(*chain, *wide, *reroutes, node(9000, "SaveImage", ["x"], {"images": (7999, 0)})))
    assert found.document.nodes["save"].links["image"] == "image.image"
    assert len(found.document.nodes) == 6001


# ---- any mutation ----

_WRONG = st.sampled_from(
    [None, True, -1, 0, 3, 1e30, math.inf, "", "x", "-10", [], {}, [[]], {"0": 1}, [1, 2], "KSampler", 2**70]
)


@st.composite
def mutated(draw: st.DrawFn, files: list[Any]) -> Any:
    """A real file with some of its parts dropped, doubled, or put in another's place."""
    data = copy.deepcopy(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(1, 12))):
        place, parents = data, []
        while isinstance(place, (dict, list)) and place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            parents.append((place, key))
            place = place[key]
            if draw(st.integers(0, 3)) == 0:
                break
        if not parents:
            break
        parent, key = parents[-1]
        match draw(st.sampled_from(["drop", "change", "move"])):
            case "drop":
                del parent[key]
            case "change":
                parent[key] = copy.deepcopy(draw(_WRONG))
            case "move":
                other, elsewhere = draw(st.sampled_from(parents))
                parent[key] = copy.deepcopy(other[elsewhere]) if other is not parent else None
    return data


def _sample(count: int) -> list[Any]:
    small = sorted((file for file in templates() if file.stat().st_size < 60_000), key=lambda file: file.stat().st_size)
    chosen = small[:: max(1, len(small) // count)]
    return [ui(*picture()), ui(*picture(), objects=True), API, *(json.loads(file.read_text("utf-8")) for file in chosen)]


_SAMPLE = _sample(40)


@given(st.deferred(lambda: mutated(_SAMPLE)))
def test_no_mutation_of_a_real_file_does_more_than_be_refused(data: Any) -> None:
    try:
        found = from_comfyui(data, catalog())
    except InvalidWorkflow:
        return
    validate(document_from(to_json(found.document)), catalog())


def test_a_row_for_every_node() -> None:
    found = imported(ui(*picture()))
    assert {item.id for item in found.report.rows} == {"3", "4", "5", "6", "7", "8", "9"}
    assert row(found, 5).reason == "part of denoise"
    assert found.report.closing == "7 of 7 nodes mapped."
