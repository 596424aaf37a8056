"""Tiny random control networks that fit `tiny_models`, with their last layers turned up: trained ones begin at zero."""

import re
from typing import Any

import torch
from diffusers import ControlNetModel, T2IAdapter
from torch import Tensor


def tiny_controlnet(unet: Any, seed: int = 1, **config: Any) -> ControlNetModel:
    """A ControlNet with the U-Net's shape and weights, and random ones where a new one would have zeros."""
    torch.manual_seed(seed)
    network = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 24, 32))
    network.register_to_config(**config)
    with torch.no_grad():
        for layer in (*network.controlnet_down_blocks, network.controlnet_mid_block):
            torch.nn.init.normal_(layer.weight, std=0.5 / layer.in_channels**0.5)
        hint = network.controlnet_cond_embedding
        for layer in (hint.conv_in, *hint.blocks, hint.conv_out):  # so that pictures can be told apart
            torch.nn.init.normal_(layer.weight, std=1.5 / (layer.in_channels * 9) ** 0.5)
    return network.eval().requires_grad_(False)


def tiny_adapter(kind: str = "full_adapter", seed: int = 2, channels: tuple[int, ...] = (32, 64)) -> T2IAdapter:
    """A T2I-Adapter with a feature for each level of the tiny U-Net."""
    torch.manual_seed(seed)
    factor = 16 if kind == "full_adapter_xl" else 8
    blocks = 1 if kind == "light_adapter" else 2
    adapter = T2IAdapter(
        in_channels=3, channels=list(channels), num_res_blocks=blocks, downscale_factor=factor, adapter_type=kind
    )
    return adapter.eval().requires_grad_(False)


# ---- the layouts in which they were first published, written from diffusers' side ----

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "controlnet_mid_block": "middle_block_out.0",
    "controlnet_cond_embedding.conv_in": "input_hint_block.0",
    "controlnet_cond_embedding.conv_out": "input_hint_block.14",
}


def original_controlnet(network: ControlNetModel, prefix: str = "control_model.") -> dict[str, Tensor]:
    """Its tensors as lllyasviel's ControlNet names them."""
    layers = network.config.layers_per_block
    return {prefix + _original(name, layers): t.clone().contiguous() for name, t in network.state_dict().items()}


def _original(name: str, layers: int) -> str:
    stem, leaf = name.rsplit(".", 1)
    if stem in _TOP:
        return f"{_TOP[stem]}.{leaf}"
    if match := re.fullmatch(r"controlnet_down_blocks\.(\d+)", stem):
        return f"zero_convs.{match[1]}.0.{leaf}"
    if match := re.fullmatch(r"controlnet_cond_embedding\.blocks\.(\d+)", stem):
        return f"input_hint_block.{2 * int(match[1]) + 2}.{leaf}"
    match = re.match(r"(?:down_blocks\.(\d+)|mid_block)\.(resnets|attentions|downsamplers)\.(\d+)\.(.*)", name)
    assert match is not None, name
    kind, index, rest = match[2], int(match[3]), match[4]
    if kind == "resnets":
        rest = re.sub("^[a-z_0-9]+", lambda part: _RESNET[part[0]], rest)
    if match[1] is None:
        return f"middle_block.{2 * index if kind == 'resnets' else 1}.{rest}"
    if kind == "downsamplers":
        return f"input_blocks.{(int(match[1]) + 1) * (layers + 1)}.0.op.{leaf}"
    return f"input_blocks.{int(match[1]) * (layers + 1) + index + 1}.{0 if kind == 'resnets' else 1}.{rest}"


def original_adapter(adapter: T2IAdapter) -> dict[str, Tensor]:
    """Its tensors as TencentARC names them (the table of diffusers' scripts/convert_original_t2i_adapter.py)."""
    light = adapter.config.adapter_type == "light_adapter"

    def name_of(name: str) -> str:
        name = name.removeprefix("adapter.")
        if light:
            return name.replace(".resnets.", ".body.")
        name = re.sub(r"^body\.(\d)\.resnets\.(\d)\.", lambda m: f"body.{2 * int(m[1]) + int(m[2])}.", name)
        return re.sub(r"^body\.(\d)\.in_conv", lambda m: f"body.{2 * int(m[1])}.in_conv", name)

    return {name_of(name): t.clone().contiguous() for name, t in adapter.state_dict().items()}
