"""The original checkpoint layouts (LDM, generative-models, OpenCLIP), written from diffusers' side, apart from our loaders."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_OPEN_CLIP = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
_TOP = {
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def pipeline_to_ldm(pipeline: Any) -> dict[str, Tensor]:
    """All weights under their original names. That diffusers' own single-file loader reads them is tested beside ours."""
    unet = pipeline.unet
    tensors = {ldm_unet_name(name, unet.config): t for name, t in unet.state_dict().items()}
    tensors |= vae_to_ldm(pipeline.vae)
    first, second = pipeline.text_encoder, pipeline.components.get("text_encoder_2")
    if second is not None and first is None:
        tensors |= open_clip(second, "conditioner.embedders.0.model.")
    elif second is not None:
        tensors |= _clip(first, "conditioner.embedders.0.transformer.") | open_clip(second, "conditioner.embedders.1.model.")
    elif first.config.hidden_act == "gelu":
        tensors |= open_clip(first, "cond_stage_model.model.")
    else:
        tensors |= _clip(first, "cond_stage_model.transformer.")
    return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def vae_to_ldm(vae: Any, prefix: str = "first_stage_model.") -> dict[str, Tensor]:
    tensors = {}
    for name, tensor in vae.state_dict().items():
        convolution = "attentions" in name and tensor.ndim == 2
        tensors[prefix + ldm_vae_name(name, vae.config)] = tensor[:, :, None, None] if convolution else tensor
    return tensors


def _clip(encoder: Any, prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}text_model.{name.removeprefix('text_model.')}": t for name, t in encoder.state_dict().items()}


def open_clip(encoder: Any, prefix: str) -> dict[str, Tensor]:
    """An encoder under OpenCLIP's names: queries, keys and values in one tensor, the projection transposed."""
    state = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    tensors = {
        "token_embedding.weight": state.pop("embeddings.token_embedding.weight"),
        "positional_embedding": state.pop("embeddings.position_embedding.weight"),
        "ln_final.weight": state.pop("final_layer_norm.weight"),
        "ln_final.bias": state.pop("final_layer_norm.bias"),
    }
    if "text_projection.weight" in state:
        tensors["text_projection"] = state.pop("text_projection.weight").T
    for number in range(encoder.config.num_hidden_layers):
        layer, block = f"encoder.layers.{number}.", f"transformer.resblocks.{number}."
        for leaf in ("weight", "bias"):
            joined = [state.pop(f"{layer}self_attn.{each}_proj.{leaf}") for each in "qkv"]
            tensors[f"{block}attn.in_proj_{leaf}"] = torch.cat(joined)
            tensors[f"{block}attn.out_proj.{leaf}"] = state.pop(f"{layer}self_attn.out_proj.{leaf}")
            for ours, theirs in _OPEN_CLIP.items():
                tensors[f"{block}{theirs}.{leaf}"] = state.pop(f"{layer}{ours}.{leaf}")
    assert not state, state.keys()
    return {prefix + name: tensor for name, tensor in tensors.items()}


def ldm_unet_name(name: str, config: Mapping[str, Any]) -> str:
    prefix, layers = "model.diffusion_model.", config["layers_per_block"]
    match = re.match(r"(?:(down|up)_blocks\.(\d+)|mid_block)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name)
    if match is None:
        stem, leaf = name.rsplit(".", 1)
        return f"{prefix}{_TOP[stem]}.{leaf}"
    way, level, kind, index, rest = match[1], int(match[2] or 0), match[3], int(match[4]), match[5]
    if kind == "resnets":
        rest = re.sub("^[a-z_0-9]+", lambda part: _RESNET[part[0]], rest)
    if way is None:
        return f"{prefix}middle_block.{2 * index if kind == 'resnets' else 1}.{rest}"
    if kind == "downsamplers":
        return f"{prefix}input_blocks.{(level + 1) * (layers + 1)}.0.op.{rest.split('.')[-1]}"
    if kind == "upsamplers":
        slot = 2 if "CrossAttn" in config["up_block_types"][level] else 1
        return f"{prefix}output_blocks.{level * (layers + 1) + layers}.{slot}.{rest}"
    block = level * (layers + 1) + index + (1 if way == "down" else 0)
    return f"{prefix}{'input' if way == 'down' else 'output'}_blocks.{block}.{0 if kind == 'resnets' else 1}.{rest}"


def ldm_vae_name(name: str, config: Mapping[str, Any]) -> str:
    last = len(config["up_block_types"]) - 1
    for pattern, replacement in (
        (r"conv_norm_out", "norm_out"),
        (r"conv_shortcut", "nin_shortcut"),
        (r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2"),
        (r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample"),
        (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
        (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
        (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    ):
        name = re.sub(pattern, replacement, name)
    name = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"up.{last - int(m[1])}.block.{m[2]}", name)
    name = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    return name
