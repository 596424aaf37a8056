"""Control networks on disk: every layout is read, by shapes alone, and what is none is refused in words."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, T2IAdapter
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from safetensors.torch import save_file
from tiny_controls import original_adapter, original_controlnet, tiny_adapter, tiny_controlnet
from tiny_models import save_single_file, tiny_sd1

from nodegraph import ModelFile, NodeError
from nodegraph_nodes.diffusion import apply_control, load_controlnet
from nodegraph_nodes.diffusion.families import ModelError, describe_control, load_control
from nodegraph_nodes.diffusion.families.assemble import skeleton
from nodegraph_nodes.diffusion.families.control_names import (
    adapter_config,
    adapter_names,
    controlnet_config,
    controlnet_family,
    controlnet_names,
)
from nodegraph_nodes.diffusion.families.source import TensorInfo
from nodegraph_nodes.types import Conditioning, ControlNet, Guidance

FULL_SIZE: dict[str, dict[str, Any]] = {
    "sd1": {"cross_attention_dim": 768},
    "sd2": {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True},
    "sdxl": {
        "block_out_channels": [320, 640, 1280],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        "cross_attention_dim": 2048,
        "attention_head_dim": [5, 10, 20],
        "transformer_layers_per_block": [1, 2, 10],
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
"""As lllyasviel/control_v11p_sd15_canny, thibaud/controlnet-sd21 and diffusers/controlnet-canny-sdxl-1.0 say of themselves."""

ADAPTERS: dict[str, dict[str, Any]] = {
    "full_adapter": {"adapter_type": "full_adapter"},
    "light_adapter": {"adapter_type": "light_adapter", "channels": [320, 640, 1280], "num_res_blocks": 4},
    "full_adapter_xl": {"adapter_type": "full_adapter_xl", "downscale_factor": 16},
    "grey": {"adapter_type": "full_adapter", "in_channels": 1},
}


@pytest.fixture(scope="module")
def network() -> ControlNetModel:
    return tiny_controlnet(tiny_sd1().unet)


def header_of(tensors: dict[str, Any]) -> dict[str, TensorInfo]:
    return {name: TensorInfo("F32", tuple(tensor.shape)) for name, tensor in tensors.items()}


def save(tensors: dict[str, Any], path: Path, config: Any = None) -> Path:
    """A single file, with a config in its sidecar folder where shapes do not tell (a tiny network's heads)."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    if config is not None:
        path.with_suffix(".config").mkdir()
        (path.with_suffix(".config") / "config.json").write_text(json.dumps(dict(config), default=str))
    return path


# ---- layouts ----


@pytest.mark.parametrize("layout", ["diffusers", "original", "original without its prefix"])
def test_a_controlnet_file_in_any_layout_gives_the_same_network(network, layout, tmp_path):
    prefix = "control_model." if layout == "original" else ""
    tensors = network.state_dict() if layout == "diffusers" else original_controlnet(network, prefix)
    path = save(tensors, tmp_path / "edges.safetensors", network.config)
    recipe = describe_control(path, "digest")
    assert recipe == ControlNet("sd1", str(path), "digest", "controlnet", "auto")
    loaded = load_control(recipe, "cpu").module.state_dict()
    assert loaded.keys() == network.state_dict().keys()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in network.state_dict().items())


def test_diffusers_reads_the_original_layout_to_the_same_names(network):
    """So the layout that our loader is tested with is the real one."""
    original = original_controlnet(network)
    theirs = convert_controlnet_checkpoint(dict(original), network.config)
    ours = {name: original[stored] for name, stored in controlnet_names(header_of(original)).items()}
    hint = {name for name in ours if "controlnet_cond_embedding.blocks" in name}  # diffusers knows only networks of full size
    assert ours.keys() - hint == theirs.keys() - hint
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items() if name not in hint)


@pytest.mark.parametrize("family", FULL_SIZE)
def test_shapes_tell_the_config_of_published_controlnets(family):
    published = skeleton(lambda: ControlNetModel(**FULL_SIZE[family]))
    shapes = {name: tuple(tensor.shape) for name, tensor in published.state_dict().items()}
    assert controlnet_family(shapes) == family
    rebuilt = skeleton(lambda: ControlNetModel.from_config(controlnet_config(shapes)))
    assert {name: tuple(tensor.shape) for name, tensor in rebuilt.state_dict().items()} == shapes
    heads = [
        block.attentions[0].transformer_blocks[0].attn1.heads for block in rebuilt.down_blocks if hasattr(block, "attentions")
    ]
    known = [
        block.attentions[0].transformer_blocks[0].attn1.heads for block in published.down_blocks if hasattr(block, "attentions")
    ]
    assert heads == known
    original = {name: TensorInfo("F16", shape) for name, shape in zip(_originals(published), shapes.values(), strict=True)}
    assert set(controlnet_names(original)) == set(shapes)


def _originals(network: ControlNetModel) -> list[str]:
    from tiny_controls import _original

    return [f"control_model.{_original(name, network.config.layers_per_block)}" for name in network.state_dict()]


@pytest.mark.parametrize("kind", ADAPTERS)
def test_shapes_tell_the_config_of_published_adapters(kind):
    published = skeleton(lambda: T2IAdapter(**ADAPTERS[kind]))
    shapes = {name: tuple(tensor.shape) for name, tensor in published.state_dict().items()}
    config = adapter_config(shapes)
    assert config == {name: published.config[name] for name in config}


@pytest.mark.parametrize("original", [False, True], ids=["diffusers", "original"])
@pytest.mark.parametrize("kind", ["full_adapter", "light_adapter", "full_adapter_xl"])
def test_an_adapter_file_in_either_layout_gives_the_same_network(kind, original, tmp_path):
    adapter = tiny_adapter(kind)
    path = save(original_adapter(adapter) if original else adapter.state_dict(), tmp_path / "adapter.safetensors")
    recipe = describe_control(path, "digest")
    assert (recipe.kind, recipe.family) == ("t2i_adapter", "sdxl" if kind == "full_adapter_xl" else "sd1")
    loaded = load_control(recipe, "cpu").module
    assert loaded.config.adapter_type == kind
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in adapter.state_dict().items())


def test_names_of_a_file_that_is_no_adapter_are_none(network):
    assert adapter_names(header_of(network.state_dict())) == {}
    assert controlnet_names(header_of(tiny_adapter().state_dict())) == {}


# ---- what cannot be used ----

NOT_CONTROL = {
    "a LoRA": ({"lora_unet_down_blocks_0.lora_down.weight": (4, 32)}, "it is a LoRA"),
    "another LoRA": ({"unet.down_blocks.0.attn1.to_q.lora_A.weight": (4, 32)}, "it is a LoRA"),
    "a Control-LoRA": ({"lora_controlnet": (0,), "input_hint_block.0.weight": (16, 3, 3, 3)}, "Control-LoRA"),
    "a union": (
        {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "task_embedding": (6, 320)},
        "ControlNet-Union",
    ),
    "a difference": ({"difference": (1,), "input_hint_block.0.weight": (16, 3, 3, 3)}, "difference file"),
    "an upscaler": ({"model.0.weight": (64, 3, 3, 3)}, r"neither a ControlNet .* nor a T2I-Adapter"),
    "a part of one": ({"input_hint_block.0.weight": (16, 3, 3, 3)}, "lacks tensors"),
}


@pytest.mark.parametrize("kind", NOT_CONTROL)
def test_another_file_is_refused_in_words(kind, tmp_path):
    shapes, words = NOT_CONTROL[kind]
    path = tmp_path / "file.safetensors"
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, path)
    with pytest.raises(ModelError, match=words):
        describe_control(path, "digest")


def test_a_whole_model_is_refused_in_either_layout_at_the_node(tmp_path):
    pipeline = tiny_sd1()
    pipeline.save_pretrained(tmp_path / "folder")
    save_single_file(pipeline, tmp_path / "single.safetensors")
    for name in ("folder", "single.safetensors"):
        with pytest.raises(NodeError, match="is a whole model") as caught:
            load_controlnet(ModelFile(name, tmp_path / name, "digest"))
        assert caught.value.socket == "model"
        assert "diffusion/load_model" in str(caught.value.hint)


def test_pickles_are_refused(tmp_path):
    (tmp_path / "old.pth").write_bytes(b"\x80\x04.")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04.")
    (tmp_path / "folder" / "config.json").write_text('{"_class_name": "ControlNetModel"}')
    for name in ("old.pth", "folder"):
        with pytest.raises(ModelError, match="pickle"):
            describe_control(tmp_path / name, "digest")


def test_a_path_that_does_not_exist(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        describe_control(tmp_path / "nothing.safetensors", "digest")


def test_tensors_that_are_missing_are_named_when_the_network_is_loaded(network, tmp_path):
    tensors = {name: tensor for name, tensor in network.state_dict().items() if name != "controlnet_mid_block.weight"}
    path = save(tensors, tmp_path / "cut.safetensors", network.config)
    with pytest.raises(ModelError, match=r"lacks 1 tensors: controlnet_mid_block\.weight"):
        load_control(describe_control(path, "digest"), "cpu")


def test_a_config_that_does_not_describe_the_weights_is_told(network, tmp_path):
    path = save(network.state_dict(), tmp_path / "odd.safetensors", dict(network.config) | {"cross_attention_dim": 48})
    with pytest.raises(ModelError, match="config does not describe"):
        load_control(describe_control(path, "digest"), "cpu")


# ---- the node ----


def guidance(family: str = "sd1") -> Guidance:
    return Guidance(Conditioning(torch.zeros(2, 4), family), None, 7.0)


def test_several_controls_stand_in_the_order_in_which_they_were_applied():
    first, second = (ControlNet("sd1", name, name) for name in "ab")
    once = apply_control(guidance(), first, torch.ones(4, 4, 3), strength=0.5)
    twice = apply_control(once, second, torch.ones(4, 4, 3), start=0.25, balance="prompt")
    assert [(c.network, c.strength, c.start, c.balance) for c in twice.controls] == [
        (first, 0.5, 0.0, "balanced"),
        (second, 1.0, 0.25, "prompt"),
    ]
    assert len(once.controls) == 1  # values do not change


def test_a_control_network_of_another_family_is_refused_where_it_is_applied():
    with pytest.raises(NodeError) as caught:
        apply_control(guidance(), ControlNet("sdxl", "", ""), torch.ones(4, 4, 3))
    assert (caught.value.socket, caught.value.expected, caught.value.got) == ("controlnet", "sd1", "sdxl")


def test_what_is_transparent_in_a_control_picture_is_black():
    image = torch.ones(2, 2, 4)
    image[0, 0, 3] = 0.25
    (control,) = apply_control(guidance(), ControlNet("sd1", "", ""), image).controls
    assert control.image.shape == (2, 2, 3)
    assert control.image[0, 0].tolist() == [0.25] * 3
