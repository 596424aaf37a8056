"""Names of FLUX.1's transformer in its original layout (Black Forest Labs, `double_blocks.`), from diffusers' names."""

import re
from collections.abc import Mapping
from typing import Any

from .parts import Piece
from .source import TensorInfo

PREFIXES: tuple[str, ...] = ("model.diffusion_model.", "")
LANDMARK = "double_blocks.0.img_attn.norm.key_norm.scale"

_TOP = {
    "time_text_embed.timestep_embedder.linear_1": "time_in.in_layer",
    "time_text_embed.timestep_embedder.linear_2": "time_in.out_layer",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.in_layer",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.out_layer",
    "context_embedder": "txt_in",
    "x_embedder": "img_in",
    "norm_out.linear": "final_layer.adaLN_modulation.1",
    "proj_out": "final_layer.linear",
}
_DOUBLE = {
    "norm1.linear": "img_mod.lin",
    "norm1_context.linear": "txt_mod.lin",
    "attn.norm_q": "img_attn.norm.query_norm",
    "attn.norm_k": "img_attn.norm.key_norm",
    "attn.norm_added_q": "txt_attn.norm.query_norm",
    "attn.norm_added_k": "txt_attn.norm.key_norm",
    "attn.to_out.0": "img_attn.proj",
    "attn.to_add_out": "txt_attn.proj",
    "ff.net.0.proj": "img_mlp.0",
    "ff.net.2": "img_mlp.2",
    "ff_context.net.0.proj": "txt_mlp.0",
    "ff_context.net.2": "txt_mlp.2",
}
_SINGLE = {
    "norm.linear": "modulation.lin",
    "attn.norm_q": "norm.query_norm",
    "attn.norm_k": "norm.key_norm",
    "proj_out": "linear2",
}


def piece(name: str, config: Mapping[str, Any], prefix: str) -> Piece:
    """Where a diffusers tensor lies. config: the transformer's.

    The last norm's modulation is stored as shift, scale; diffusers wants scale, shift. A single block's first tensor is q, k,
    v and the mlp in one.
    """
    inner = config["num_attention_heads"] * config["attention_head_dim"]
    match = re.fullmatch(r"(single_)?transformer_blocks\.(\d+)\.(.+)", name)
    stem, leaf = (name if match is None else match[3]).rsplit(".", 1)
    if match is None:
        return Piece(f"{prefix}{_TOP.get(stem, stem)}.{leaf}", swapped=stem == "norm_out.linear")
    if ".norm_" in stem:
        leaf = "scale"
    single, block = match[1], f"{prefix}{'single' if match[1] else 'double'}_blocks.{match[2]}."
    fused = re.fullmatch(r"attn\.(to|add)_([qkv])(?:_proj)?", stem)
    if fused is not None:
        start = "qkv".index(fused[2]) * inner
        stored = "linear1" if single else "img_attn.qkv" if fused[1] == "to" else "txt_attn.qkv"
        return Piece(f"{block}{stored}.{leaf}", (start, start + inner))
    if single and stem == "proj_mlp":
        return Piece(f"{block}linear1.{leaf}", (3 * inner, None))
    return Piece(f"{block}{(_SINGLE if single else _DOUBLE).get(stem, stem)}.{leaf}")


def config_from(header: Mapping[str, TensorInfo], prefix: str) -> dict[str, Any]:
    """The transformer's diffusers config, read off the shapes. A head's width is divided 1 : 3.5 : 3.5 among the three axes."""
    shape = {name.removeprefix(prefix): info.shape for name, info in header.items() if name.startswith(prefix)}
    inner, channels = shape["img_in.weight"]
    (head,) = shape[LANDMARK]
    return {
        "patch_size": 1,
        "in_channels": channels,
        "out_channels": shape["final_layer.linear.weight"][0],
        "num_layers": len({name.split(".")[1] for name in shape if name.startswith("double_blocks.")}),
        "num_single_layers": len({name.split(".")[1] for name in shape if name.startswith("single_blocks.")}),
        "attention_head_dim": head,
        "num_attention_heads": inner // head,
        "joint_attention_dim": shape["txt_in.weight"][1],
        "pooled_projection_dim": shape["vector_in.in_layer.weight"][1],
        "guidance_embeds": "guidance_in.in_layer.weight" in shape,
        "axes_dims_rope": [head // 8, head * 7 // 16, head * 7 // 16],
    }
