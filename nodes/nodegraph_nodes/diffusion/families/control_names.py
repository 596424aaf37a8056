"""What control networks call their tensors, and what their shapes say about their architecture.

A file carries no config, so all that shapes can tell is read from them: a ControlNet's levels, layers and widths, a
T2I-Adapter's channels. Every layout is brought to diffusers' names first.
"""

import re
from collections.abc import Mapping
from typing import Any

from .source import TensorInfo

Header = Mapping[str, TensorInfo]

_PREFIX = "control_model."
_TOP = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "middle_block_out.0": "controlnet_mid_block",
}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_HINT = "controlnet_cond_embedding"


def controlnet_names(header: Header) -> dict[str, str]:
    """{diffusers' name: the name in the file} for a ControlNet in diffusers' or the original layout; empty for another file.

    The original layout is that of lllyasviel/ControlNet, with or without its `control_model.` in front.
    """
    if f"{_HINT}.conv_in.weight" in header:
        return {name: name for name in header}
    prefix = _PREFIX if f"{_PREFIX}input_hint_block.0.weight" in header else ""
    if f"{prefix}input_hint_block.0.weight" not in header:
        return {}
    names = [name.removeprefix(prefix) for name in header if name.startswith(prefix)]
    downs = [int(name.split(".")[1]) for name in names if re.match(r"input_blocks\.\d+\.0\.op\.weight", name)]
    blocks = {int(name.split(".")[1]) for name in names if name.startswith("input_blocks.")}
    per_level = min(downs, default=max(blocks, default=0) + 1)
    last_hint = max(int(name.split(".")[1]) for name in names if name.startswith("input_hint_block."))
    return {_from_original(name, per_level, last_hint): prefix + name for name in names}


def _from_original(name: str, per_level: int, last_hint: int) -> str:
    """One tensor's name. per_level: blocks of a level with its downsampler; last_hint: the last layer of the hint's network."""
    stem, leaf = name.rsplit(".", 1)
    if stem in _TOP:
        return f"{_TOP[stem]}.{leaf}"
    part, number, *rest = stem.split(".")
    if part == "zero_convs":
        return f"controlnet_down_blocks.{number}.{leaf}"
    if part == "input_hint_block":
        place = {0: "conv_in", last_hint: "conv_out"}.get(int(number), f"blocks.{int(number) // 2 - 1}")
        return f"{_HINT}.{place}.{leaf}"
    if part == "input_blocks":
        level, position = divmod(int(number) - 1, per_level)
        slot, inner = rest[0], ".".join(rest[1:])
        if inner == "op":
            return f"down_blocks.{level}.downsamplers.0.conv.{leaf}"
        if slot == "0":
            return f"down_blocks.{level}.resnets.{position}.{_RESNET.get(inner, inner)}.{leaf}"
        return f"down_blocks.{level}.attentions.{position}.{inner}.{leaf}"
    if part == "middle_block":
        inner = ".".join(rest)
        if number == "1":
            return f"mid_block.attentions.0.{inner}.{leaf}"
        return f"mid_block.resnets.{int(number) // 2}.{_RESNET.get(inner, inner)}.{leaf}"
    return name


def controlnet_config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The config of a ControlNet by its tensors' shapes, under diffusers' names.

    Shapes do not tell the number of attention heads: 8, as in Stable Diffusion 1; 64 channels each where projections are
    linear, as in Stable Diffusion 2 and XL.
    """
    levels = 1 + _last(shapes, r"down_blocks\.(\d+)\.")
    channels = [shapes[f"down_blocks.{i}.resnets.0.conv2.weight"][0] for i in range(levels)]
    depths = [1 + _last(shapes, rf"down_blocks\.{i}\.attentions\.0\.transformer_blocks\.(\d+)\.") for i in range(levels)]
    middle = 1 + _last(shapes, r"mid_block\.attentions\.0\.transformer_blocks\.(\d+)\.")
    linear = any(name.endswith("attentions.0.proj_in.weight") and len(shape) == 2 for name, shape in shapes.items())
    widths = [shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight")]
    hints = 1 + _last(shapes, rf"{_HINT}\.blocks\.(\d+)\.")
    added = shapes.get("add_embedding.linear_1.weight")
    return {
        "in_channels": shapes["conv_in.weight"][1],
        "conditioning_channels": shapes[f"{_HINT}.conv_in.weight"][1],
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths],
        "mid_block_type": "UNetMidBlock2DCrossAttn" if middle else "UNetMidBlock2D",
        "block_out_channels": channels,
        "layers_per_block": 1 + _last(shapes, r"down_blocks\.0\.resnets\.(\d+)\."),
        "transformer_layers_per_block": [*(depth or 1 for depth in depths[:-1]), depths[-1] or middle or 1],
        "cross_attention_dim": widths[0] if widths else 1280,
        "attention_head_dim": [max(1, width // 64) for width in channels] if linear else 8,
        "use_linear_projection": linear,
        "conditioning_embedding_out_channels": [
            shapes[f"{_HINT}.conv_in.weight"][0],
            *(shapes[f"{_HINT}.blocks.{i}.weight"][0] for i in range(1, hints, 2)),
        ],
        **(
            {}
            if added is None
            else {
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 256,
                "projection_class_embeddings_input_dim": added[1],
            }
        ),
    }


def controlnet_family(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Whose denoisers it fits: XL is told sizes beside the prompt, 2 has linear projections, 1 has neither."""
    if "add_embedding.linear_1.weight" in shapes:
        return "sdxl"
    projection = next((shape for name, shape in shapes.items() if name.endswith("attentions.0.proj_in.weight")), ())
    return "sd2" if len(projection) == 2 else "sd1"


def adapter_names(header: Header) -> dict[str, str]:
    """{diffusers' name: the name in the file} for a T2I-Adapter in diffusers' or TencentARC's layout; empty for others."""
    if any(name.startswith("adapter.body.0.") for name in header):
        return {name: name for name in header}
    if "body.0.block1.weight" in header:
        return {_full_adapter_name(name): name for name in header}
    if "body.0.body.0.block1.weight" in header:
        return {"adapter." + re.sub(r"^(body\.\d+)\.body\.", r"\1.resnets.", name): name for name in header}
    return {}


def _full_adapter_name(name: str) -> str:
    """TencentARC counts the residual blocks of all levels in one row, two a level; the first of a level changes the width."""
    match = re.fullmatch(r"body\.(\d+)\.(block\d|in_conv)\.(.+)", name)
    if match is None:
        return f"adapter.{name}"
    level, position = divmod(int(match[1]), 2)
    part = "in_conv" if match[2] == "in_conv" else f"resnets.{position}.{match[2]}"
    return f"adapter.body.{level}.{part}.{match[3]}"


def adapter_config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The config of a T2I-Adapter by its tensors' shapes, under diffusers' names.

    Pictures are unshuffled by 8 pixels, by 16 in those for XL, so the first layer has 64 or 256 inputs for each channel.
    """
    light = "adapter.conv_in.weight" not in shapes
    inputs = shapes["adapter.body.0.in_conv.weight" if light else "adapter.conv_in.weight"][1]
    factor = 16 if inputs % 256 == 0 and not light else 8
    levels = 1 + _last(shapes, r"adapter\.body\.(\d+)\.")
    if light:
        # its last level goes on with the channels of the one before, and is not named in the config
        channels = [shapes[f"adapter.body.{i}.out_conv.weight"][0] for i in range(levels - 1)]
    else:
        channels = [shapes[f"adapter.body.{i}.resnets.0.block1.weight"][0] for i in range(levels)]
    return {
        "in_channels": inputs // factor**2,
        "channels": channels,
        "num_res_blocks": 1 + _last(shapes, r"adapter\.body\.0\.resnets\.(\d+)\."),
        "downscale_factor": factor,
        "adapter_type": "light_adapter" if light else "full_adapter_xl" if factor == 16 else "full_adapter",
    }


def _last(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> int:
    """The largest number in the pattern's place, -1 if there is none."""
    return max((int(match[1]) for name in shapes if (match := re.match(pattern, name))), default=-1)
