"""Names of tensors in the original latent-diffusion (LDM) checkpoint layout, from diffusers' names.

The layout is that of CompVis/stable-diffusion: `model.diffusion_model.` (U-Net), `first_stage_model.` (autoencoder) and
`cond_stage_model.transformer.` (CLIP); Stability-AI/generative-models has its text encoders under `conditioner.embedders.N.`.
Block numbers there run through the whole path; here they are per resolution. OpenCLIP's towers keep their own names inside.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

LABELS = "model.diffusion_model.label_emb.0.0.weight"
UNET = "model.diffusion_model."
VAE = "first_stage_model."
CLIP = "cond_stage_model.transformer."
OPEN_CLIP = "cond_stage_model.model."
XL_CLIP = "conditioner.embedders.0.transformer."
XL_OPEN_CLIP = "conditioner.embedders.1.model."
XL_ONLY_OPEN_CLIP = "conditioner.embedders.0.model."

_UNET_TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_UNET_BLOCK = re.compile(r"(?:(down|up)_blocks\.(\d+)|mid_block)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")


def unet_name(name: str, config: Mapping[str, Any]) -> str:
    """U-Net tensor. config: the U-Net's; layers_per_block and up_block_types fix the numbering."""
    match = _UNET_BLOCK.fullmatch(name)
    if match is None:
        stem, leaf = name.rsplit(".", 1)
        return f"{UNET}{_UNET_TOP.get(stem, stem)}.{leaf}"
    path, level, kind, position, rest = match[1], int(match[2] or 0), match[3], int(match[4]), match[5]
    per_level = config["layers_per_block"] + 1
    if kind == "resnets":
        part, leaf = rest.split(".", 1)
        rest = f"{_UNET_RESNET[part]}.{leaf}"
    if path is None:
        return f"{UNET}middle_block.{2 * position if kind == 'resnets' else 1}.{rest}"
    if kind == "downsamplers":
        return f"{UNET}input_blocks.{(level + 1) * per_level}.0.op.{rest.removeprefix('conv.')}"
    if kind == "upsamplers":
        after_attention = 2 if "CrossAttn" in config["up_block_types"][level] else 1
        return f"{UNET}output_blocks.{(level + 1) * per_level - 1}.{after_attention}.{rest}"
    slot = 0 if kind == "resnets" else 1
    if path == "down":
        return f"{UNET}input_blocks.{1 + level * per_level + position}.{slot}.{rest}"
    return f"{UNET}output_blocks.{level * per_level + position}.{slot}.{rest}"


def vae_name(name: str, config: Mapping[str, Any], prefix: str = VAE) -> str:
    """Autoencoder tensor. The decoder's levels are numbered from the finest, diffusers' from the coarsest."""
    last = len(config["up_block_types"]) - 1
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets\.", lambda m: f"up.{last - int(m[1])}.block.", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    if "mid_block.attentions.0" in name:
        name = name.replace("mid_block.attentions.0", "mid.attn_1")
        name = name.replace("group_norm", "norm").replace("to_out.0", "proj_out")
        name = re.sub(r"\.to_([qkv])\.", r".\1.", name)
    return prefix + name


def clip_prefix(stored: Sequence[str] | Mapping[str, Any], prefix: str = CLIP) -> str:
    """The prefix of the CLIP tensors; some fine-tunes were saved without the inner `text_model.`."""
    flat = f"{prefix}embeddings.token_embedding.weight" in stored
    return prefix if flat else f"{prefix}text_model."


_OPENCLIP_TOP = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
    "text_projection.weight": "text_projection",
}
_OPENCLIP_PARTS = {
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_CLIP_LAYER = re.compile(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")


def openclip_name(name: str, prefix: str) -> str:
    """Tensor of an OpenCLIP tower, from transformers' name. Queries, keys and values lie in one tensor; see `from_openclip`."""
    if name in _OPENCLIP_TOP:
        return prefix + _OPENCLIP_TOP[name]
    match = _CLIP_LAYER.fullmatch(name)
    if match is None:
        return prefix + name
    block, part, leaf = f"{prefix}transformer.resblocks.{match[1]}", match[2], match[3]
    if part in _OPENCLIP_PARTS:
        return f"{block}.{_OPENCLIP_PARTS[part]}.{leaf}"
    return f"{block}.attn.in_proj_{leaf}"


def from_openclip(name: str, tensor: Tensor) -> Tensor:
    """What transformers' name means of the tensor at `openclip_name`: a third of [3 D, ...], or a projection transposed."""
    if name == "text_projection.weight":
        return tensor.T
    part = re.search(r"self_attn\.([qkv])_proj\.", name)
    return tensor.chunk(3)["qkv".index(part[1])] if part else tensor
