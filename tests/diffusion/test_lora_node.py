"""LoRA in workflows: put on between a model and its users, refused where it does not belong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import nodegraph
from nodegraph.api.paths import shipped
from nodegraph_nodes.diffusion import apply_lora
from nodegraph_nodes.diffusion.families import describe_model, outline
from nodegraph_nodes.diffusion.families.lora import denoiser_index, text_index

STARTER = Path(__file__).parents[2] / "models/starter"
SDXL = {
    f"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_{n}.weight": s
    for n, s in (("down", (4, 2048)), ("up", (640, 4)))
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with LoRAs: for the starter model, half for it, for another."""
    folder = tmp_path_factory.mktemp("loras")
    recipes = describe_model(STARTER, "digest")
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for prefix, index, ends in (
        ("lora_unet_", denoiser_index(outline(recipes.denoiser)), ("to_q", "to_v", "to_out_0", "conv1")),
        ("lora_te_", text_index(outline(recipes.text_encoder)), ("query", "value")),
    ):
        for (_, name), (target,) in index.items():
            if name.endswith(ends) and not name.startswith(("input_", "output_", "middle_")):
                out, *inner = target.shape
                down, up = (
                    torch.randn(4, *inner, generator=generator),
                    torch.randn(out, 4, *[1] * (len(inner) - 1), generator=generator),
                )
                tensors |= {f"{prefix}{name}.lora_down.weight": down * 0.05, f"{prefix}{name}.lora_up.weight": up * 0.1}
    save_file(tensors, folder / "fits.safetensors")
    more = {f"lora_unet_nowhere.lora_{n}.weight": torch.zeros(4, 4) for n in ("down", "up")}
    save_file(tensors | more, folder / "partly.safetensors")
    save_file(more, folder / "nowhere.safetensors")
    save_file({name: torch.zeros(shape) for name, shape in SDXL.items()}, folder / "sdxl.safetensors")
    return folder


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[nodegraph.Session]:
    with nodegraph.Session(tmp_path_factory.mktemp("data"), disk_bytes=0, models=[models]) as session:
        yield session


def workflow(session: nodegraph.Session, tmp_path: Path, *loras: dict[str, Any], storage: str = "as_stored") -> Any:
    """Text to image with LoRAs one after the other."""
    document = json.loads((shipped("workflows") / "text_to_image.json").read_text())
    nodes, last = document["nodes"], "model"
    nodes["model"]["inputs"]["storage"] = storage
    users = [
        node
        for node in nodes.values()
        if "model.denoiser" in node.get("links", {}).values() or "model.text_encoder" in node.get("links", {}).values()
    ]
    for number, inputs in enumerate(loras):
        links = {"denoiser": f"{last}.denoiser", "text_encoder": f"{last}.text_encoder"}
        last = f"lora_{number}"
        nodes[last] = {"type": "diffusion/apply_lora", "version": 1, "inputs": inputs, "links": links}
    for node in users:
        for socket, source in node["links"].items():
            if source in ("model.denoiser", "model.text_encoder"):
                node["links"][socket] = f"{last}.{source.partition('.')[2]}"
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(document))
    return nodegraph.load(path, session)


def picture(flow: Any) -> Any:
    return flow.run(wanted=["decode.image"], prompt="a panda", seed=4, steps=2)["decode.image"].numpy()


@pytest.mark.slow
def test_a_lora_changes_the_picture_and_leaves_the_model_as_it_was(session, tmp_path):
    plain = picture(workflow(session, tmp_path))
    with_lora = picture(workflow(session, tmp_path, {"lora": "fits"}))
    assert np.abs(with_lora - plain).max() > 0.1
    curve = picture(workflow(session, tmp_path, {"lora": "fits", "curve": [[0, 1], [1, 0]]}))
    assert np.abs(curve - with_lora).max() > 0.02
    assert np.array_equal(picture(workflow(session, tmp_path, {"lora": "fits", "weight": 0.0})), plain)
    twice = picture(workflow(session, tmp_path, {"lora": "fits", "weight": 0.4}, {"lora": "fits", "weight": 0.6}))
    assert np.abs(twice - with_lora).max() < 1e-3
    packed = picture(workflow(session, tmp_path, {"lora": "fits"}, storage="int8"))
    assert np.abs(packed - with_lora).max() < 0.01


@pytest.mark.slow
def test_a_curve_that_goes_back_is_refused_before_the_run(session, tmp_path):
    with pytest.raises(nodegraph.InvalidWorkflow, match="left to right"):
        picture(workflow(session, tmp_path, {"lora": "fits", "curve": [[0.5, 1], [0.2, 0]]}))


# ---- the node alone ----


class Context:
    """What the node says."""

    node = "lora"

    def __init__(self) -> None:
        self.said: list[str] = []

    @property
    def log(self) -> Any:
        return SimpleNamespace(warning=lambda text, *values: self.said.append(text % values))


def put_on(models: Path, name: str, context: Context | None = None, **options: Any) -> Any:
    recipes = describe_model(STARTER, "digest")
    file = nodegraph.ModelFile(name, models / f"{name}.safetensors", name)
    return apply_lora(context or Context(), recipes.denoiser, recipes.text_encoder, file, **options)


def test_both_recipes_get_the_lora_with_a_weight_of_their_own(models):
    found = put_on(models, "fits", weight=0.5, text_weight=0.25, curve=[[0, 1], [1, 0.5]])
    assert [(p.weight, p.curve) for p in found.denoiser.patches] == [(0.5, ((0.0, 1.0), (1.0, 0.5)))]
    assert [(p.weight, p.curve) for p in found.text_encoder.patches] == [(0.25, ())]
    assert put_on(models, "fits", weight=0.5).text_encoder.patches[0].weight == 0.5


def test_a_weight_of_nothing_leaves_the_recipe_as_it_is(models):
    """So what was made with it need not be made again."""
    plain = describe_model(STARTER, "digest")
    assert put_on(models, "fits", weight=0.0) == (plain.denoiser, plain.text_encoder)
    assert put_on(models, "fits", text_weight=0.0).text_encoder == plain.text_encoder


@pytest.mark.parametrize(
    ("name", "message"),
    [("sdxl", "This LoRA was made for SDXL, the model is the starter model."), ("nowhere", "Nothing in the LoRA")],
)
def test_a_lora_for_another_model_is_refused(models, name, message):
    with pytest.raises(nodegraph.NodeError, match=message) as caught:
        put_on(models, name)
    assert caught.value.socket == "lora"


def test_what_does_not_fit_of_a_lora_is_told(models):
    context = Context()
    found = put_on(models, "partly", context)
    assert found.denoiser.patches
    layers = sum("unet" in name for name in load_file(models / "fits.safetensors")) // 2
    assert [f"{layers} of the {layers + 1} layers" in text for text in context.said] == [True]


@pytest.mark.parametrize(
    ("name", "inner", "family"),
    [
        ("lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight", 768, "Stable Diffusion 1"),
        (
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.down.weight",
            1024,
            "Stable Diffusion 2",
        ),
        ("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_v.hada_w1_b", 2048, "SDXL"),
        ("transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight", 3072, "FLUX.1"),
        ("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight", 3072, "FLUX.1"),
        ("transformer.transformer_blocks.0.attn.add_q_proj.lora_A.weight", 1536, "Stable Diffusion 3"),
    ],
)
def test_the_family_of_a_lora_is_read_off_its_names_and_shapes(tmp_path, name, inner, family):
    stem = name.removesuffix(name[name.rindex(".", 0, -8) if "hada" not in name else name.rindex(".") :])
    for old, new in (("down.weight", "up.weight"), ("lora_A", "lora_B"), ("hada_w1_b", "hada_w1_a")):
        if old in name:
            tensors = {name: torch.zeros(4, inner), name.replace(old, new): torch.zeros(8, 4)}
    if "hada" in name:
        tensors |= {f"{stem}.hada_w2_a": torch.zeros(8, 4), f"{stem}.hada_w2_b": torch.zeros(4, inner)}
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(nodegraph.NodeError, match=f"This LoRA was made for {family}"):
        put_on(tmp_path, "x")
