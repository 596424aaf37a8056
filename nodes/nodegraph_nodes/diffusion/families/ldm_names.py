"""Names of tensors in the original latent-diffusion (LDM) checkpoint layout, from diffusers' names.

The layout is that of CompVis/stable-diffusion: `model.diffusion_model.` (U-Net), `first_stage_model.` (autoencoder) and
`cond_stage_model.transformer.` (CLIP). Block numbers there run through the whole path; here they are per resolution.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

UNET = "model.diffusion_model."
VAE = "first_stage_model."
CLIP = "cond_stage_model.transformer."

_UNET_TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
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


def vae_name(name: str, config: Mapping[str, Any]) -> str:
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
    return VAE + name


def clip_prefix(stored: Sequence[str] | Mapping[str, Any]) -> str:
    """The prefix of the CLIP tensors; some fine-tunes were saved without the inner `text_model.`."""
    flat = f"{CLIP}embeddings.token_embedding.weight" in stored
    return CLIP if flat else f"{CLIP}text_model."
