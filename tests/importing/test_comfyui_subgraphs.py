"""Subgraphs of ComfyUI become ours: their sockets, promoted widgets, values, and what they show."""

from __future__ import annotations

from typing import Any

from importing.comfy import catalog, imported, node, picture, row, ui
from nodegraph.graph import validate

UUID = "f2fdebf6-dfaf-43b6-9eb2-7f70613cfdc1"
OTHER = "3a670214-a2de-4768-bdf7-dc627efc7de9"


def inside(*, name: str = "Make a picture", id: str = UUID) -> dict[str, Any]:
    """A subgraph with the inputs text, seed and steps, which gives the decoded picture."""
    nodes = picture(sampler=(5, "fixed", 20, 8, "euler", "normal", 1))[:-1]
    for entry, key in ((nodes[1], "text"), (nodes[4], "seed"), (nodes[4], "steps")):
        entry["inputs"].append({"name": key, "type": "INT", "widget": {"name": key}, "link": None})
    data = ui(*nodes, objects=True)
    for slot, (target, key) in enumerate(((6, "text"), (3, "seed"), (3, "steps"))):
        entry = next(n for n in data["nodes"] if n["id"] == target)
        item = next(i for i in entry["inputs"] if i["name"] == key)
        item["link"] = 100 + slot
        data["links"].append({"id": 100 + slot, "origin_id": -10, "origin_slot": slot, "target_id": target, "target_slot": 9})
    data["links"].append({"id": 200, "origin_id": 8, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "IMAGE"})
    kinds = (("text", "STRING"), ("seed", "INT"), ("steps", "INT"))
    data["inputs"] = [{"id": key, "name": key, "type": kind, "linkIds": []} for key, kind in kinds]
    data["outputs"] = [{"id": "o", "name": "IMAGE", "type": "IMAGE", "linkIds": [200]}]
    return data | {"id": id, "name": name}


def instance(id: int, values: Any = None, type: str = UUID, **more: Any) -> dict[str, Any]:
    return node(id, type, values, outputs=[{"name": "IMAGE", "type": "IMAGE"}], **more)


def whole(*nodes: dict[str, Any], subgraphs: list[dict[str, Any]]) -> dict[str, Any]:
    return ui(*nodes, definitions={"subgraphs": subgraphs})


def test_a_subgraph_is_ours_with_its_sockets_values_and_promoted_widgets() -> None:
    proxies = {"proxyWidgets": [["6", "text"], ["3", "cfg"], ["3", "control_after_generate"], ["5", "width"]]}
    first = instance(1, ["a tree", 2**32 + 1, 12], properties=proxies)
    saved = [node(2, "SaveImage", ["x"], {"images": (1, 0)}), node(3, "SaveImage", ["y"], {"images": (4, 0)})]
    found = imported(whole(first, *saved, instance(4, []), subgraphs=[inside()]))
    assert validate(found.document, catalog()) == []
    made = found.document.subgraphs["make_a_picture"]
    assert {key: item.to for key, item in made.interface.inputs.items()} == {
        "text": ["positive.text"],
        "seed": ["noise.seed", "begin.seed"],
        "steps": ["schedule.steps", "denoise.steps"],
        "cfg": ["guidance.scale"],
        "width": ["noise.width"],
    }
    assert made.interface.outputs == {"image": "decode.image"}
    one, two = found.document.nodes["make_a_picture"], found.document.nodes["make_a_picture_2"]
    assert one.type == two.type == "subgraph/make_a_picture"
    assert one.inputs == {"text": "a tree", "seed": 1, "steps": 12}
    assert two.inputs == {}
    assert made.nodes["denoise"].inputs["steps"] == 20
    assert found.document.nodes["save"].links["image"] == "make_a_picture.image"
    assert "4294967297" in row(found, 1).notes[0]
    assert row(found, "make_a_picture/3").fate == "mapped"


def test_its_promoted_widgets_are_inputs_of_the_workflow() -> None:
    found = imported(whole(instance(1, []), subgraphs=[inside()]))
    assert found.document.interface.inputs["seed"].to == ["make_a_picture.seed"]
    assert list(found.document.interface.inputs) == ["seed", "steps", "text"]


def test_what_a_subgraph_saves_and_shows_comes_out_of_it() -> None:
    inner = inside()
    inner["links"].append({"id": 300, "origin_id": 8, "origin_slot": 0, "target_id": 50, "target_slot": 0, "type": "IMAGE"})
    preview = node(50, "PreviewImage", None, {"images": (0, 0)})
    preview["inputs"][0]["link"] = 300
    inner["nodes"].append(preview)
    found = imported(whole(instance(1, []), subgraphs=[inner]))
    assert found.document.subgraphs["make_a_picture"].interface.outputs["preview"] == "decode.image"
    assert found.document.interface.outputs == {"preview": "make_a_picture.preview"}


def test_subgraphs_lie_in_subgraphs() -> None:
    outer = ui(instance(1, ["a tree", 3, 9]), objects=True) | {"id": OTHER, "name": "Outer", "inputs": [], "outputs": []}
    outer["links"].append({"id": 9, "origin_id": 1, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "IMAGE"})
    outer["outputs"] = [{"id": "o", "name": "picture", "type": "IMAGE", "linkIds": [9]}]
    save = node(2, "SaveImage", ["x"], {"images": (1, 0)})
    found = imported(whole(instance(1, [], OTHER), save, subgraphs=[outer, inside()]))
    assert found.document.subgraphs["outer"].nodes["make_a_picture"].inputs["steps"] == 9
    assert validate(found.document, catalog()) == []


def test_one_that_contains_itself_is_said_and_not_followed() -> None:
    inner = inside()
    inner["nodes"].append(instance(77, []))
    found = imported(whole(instance(1, []), subgraphs=[inner]))
    assert "contains itself" in found.report.notes[0]
    assert row(found, "make_a_picture/77").fate == "placeholder"


def test_an_instance_without_its_definition_is_kept() -> None:
    found = imported(whole(instance(1, ["a", 2]), subgraphs=[]))
    assert row(found, 1).fate == "placeholder"
    assert list(found.document.nodes) == ["f2fdebf6_dfaf_43b6_9eb2_7f70613cfdc1"]
    assert "definition" in row(found, 1).reason


def test_a_sampler_inside_whose_latent_comes_from_outside_stays_a_placeholder() -> None:
    inner = inside()
    sampler = next(n for n in inner["nodes"] if n["id"] == 3)
    inner["inputs"].append({"id": "l", "name": "latent", "type": "LATENT", "linkIds": [400]})
    inner["links"].append({"id": 400, "origin_id": -10, "origin_slot": 3, "target_id": 3, "target_slot": 3, "type": "LATENT"})
    sampler["inputs"][3]["link"] = 400
    found = imported(whole(instance(1, []), subgraphs=[inner]))
    assert "size of its latent" in row(found, "make_a_picture/3").reason
    assert found.document.subgraphs["make_a_picture"].interface.inputs["latent"].to == ["ksampler.latent_image"]


def test_a_promoted_sampler_that_we_lack_is_never_another_one() -> None:
    """The value that counts may stand inside: then the sampler is no sampler of ours."""
    inner = inside()
    sampler = next(n for n in inner["nodes"] if n["id"] == 3)
    sampler["widgets_values"][4] = "res_multistep"
    inner["inputs"].append({"id": "s", "name": "sampler_name", "type": "COMBO", "linkIds": [400]})
    inner["links"].append({"id": 400, "origin_id": -10, "origin_slot": 3, "target_id": 3, "target_slot": 8, "type": "COMBO"})
    sampler["inputs"].append({"name": "sampler_name", "type": "COMBO", "widget": {"name": "sampler_name"}, "link": 400})
    assert row(imported(whole(instance(1, []), subgraphs=[inner])), "make_a_picture/3").fate == "placeholder"
    sampler["widgets_values"][4] = "euler"
    found = imported(whole(instance(1, ["a", 1, 2, "res_multistep"]), subgraphs=[inner]))
    assert any("res_multistep" in note for note in row(found, 1).notes)
    assert "bad_value" in {problem.code for problem in validate(found.document, catalog())}
