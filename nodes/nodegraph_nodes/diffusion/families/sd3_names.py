"""Names of Stable Diffusion 3's transformer in its original layout (sd3-ref, `joint_blocks.`), from diffusers' names."""

import re
from collections.abc import Mapping
from typing import Any

from .parts import Piece
from .source import TensorInfo

PREFIXES: tuple[str, ...] = ("model.diffusion_model.", "")
LANDMARK = "joint_blocks.0.context_block.adaLN_modulation.1.bias"

_TOP = {
    "pos_embed.pos_embed": "pos_embed",
    "pos_embed.proj": "x_embedder.proj",
    "time_text_embed.timestep_embedder.linear_1": "t_embedder.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "t_embedder.mlp.2",
    "time_text_embed.text_embedder.linear_1": "y_embedder.mlp.0",
    "time_text_embed.text_embedder.linear_2": "y_embedder.mlp.2",
    "context_embedder": "context_embedder",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    "proj_out": "final_layer.linear",
}
_BLOCK = {  # within a block: (stream, name there); q, k and v are thirds of one tensor
    "attn.norm_q": "x_block.attn.ln_q",
    "attn.norm_k": "x_block.attn.ln_k",
    "attn.norm_added_q": "context_block.attn.ln_q",
    "attn.norm_added_k": "context_block.attn.ln_k",
    "attn.to_out.0": "x_block.attn.proj",
    "attn.to_add_out": "context_block.attn.proj",
    "attn2.norm_q": "x_block.attn2.ln_q",
    "attn2.norm_k": "x_block.attn2.ln_k",
    "attn2.to_out.0": "x_block.attn2.proj",
    "norm1.linear": "x_block.adaLN_modulation.1",
    "norm1_context.linear": "context_block.adaLN_modulation.1",
    "ff.net.0.proj": "x_block.mlp.fc1",
    "ff.net.2": "x_block.mlp.fc2",
    "ff_context.net.0.proj": "context_block.mlp.fc1",
    "ff_context.net.2": "context_block.mlp.fc2",
}
_FUSED = {
    "attn.to_": "x_block.attn.qkv",
    "attn.add_": "context_block.attn.qkv",
    "attn2.to_": "x_block.attn2.qkv",
}


def piece(name: str, config: Mapping[str, Any], prefix: str) -> Piece:
    """Where a diffusers tensor lies. config: the transformer's.

    The two modulations of a final norm are stored as shift, scale; diffusers wants scale, shift.
    """
    inner, last = config["num_attention_heads"] * config["attention_head_dim"], config["num_layers"] - 1
    match = re.fullmatch(r"transformer_blocks\.(\d+)\.(.+)", name)
    if match is None:
        if name in _TOP:
            return Piece(prefix + _TOP[name])
        stem, leaf = name.rsplit(".", 1)
        return Piece(f"{prefix}{_TOP.get(stem, stem)}.{leaf}", swapped=stem == "norm_out.linear")
    block = f"{prefix}joint_blocks.{match[1]}."
    stem, leaf = match[2].rsplit(".", 1)
    fused = re.fullmatch(r"(attn2?\.(?:to|add)_)([qkv])(?:_proj)?", stem)
    if fused is not None:
        start = "qkv".index(fused[2]) * inner
        return Piece(f"{block}{_FUSED[fused[1]]}.{leaf}", (start, start + inner))
    swapped = stem == "norm1_context.linear" and int(match[1]) == last
    return Piece(f"{block}{_BLOCK.get(stem, stem)}.{leaf}", swapped=swapped)


def config_from(header: Mapping[str, TensorInfo], prefix: str) -> dict[str, Any]:
    """The transformer's diffusers config, read off the shapes. Heads are 64 wide in every published model."""
    shape = {name.removeprefix(prefix): info.shape for name, info in header.items() if name.startswith(prefix)}
    inner, channels, patch, _ = shape["x_embedder.proj.weight"]
    layers = {int(name.split(".")[1]) for name in shape if name.startswith("joint_blocks.")}
    dual = {int(name.split(".")[1]) for name in shape if name.startswith("joint_blocks.") and ".attn2." in name}
    return {
        "sample_size": 128,
        "patch_size": patch,
        "in_channels": channels,
        "out_channels": shape["final_layer.linear.weight"][0] // patch**2,
        "num_layers": len(layers),
        "attention_head_dim": 64,
        "num_attention_heads": inner // 64,
        "joint_attention_dim": shape["context_embedder.weight"][1],
        "caption_projection_dim": shape["context_embedder.weight"][0],
        "pooled_projection_dim": shape["y_embedder.mlp.0.weight"][1],
        "pos_embed_max_size": round(shape["pos_embed"][1] ** 0.5),
        "dual_attention_layers": sorted(dual),
        "qk_norm": "rms_norm" if any(".ln_q." in name for name in shape) else None,
    }
