"""What a model that no family recognises is, in words: a part of a model, a change of one, or nearly a checkpoint."""

from collections.abc import Mapping
from typing import Any

from . import ldm_names
from .kinds import CONTROLNET, EMBEDDING, IMAGE_ENCODER, IP_ADAPTER, LORA, T2I_ADAPTER, UPSCALER, kind_of_names
from .source import ModelSource, TensorInfo, read_header

Header = Mapping[str, TensorInfo]

_TOWERS = {
    "Stable Diffusion 1": (ldm_names.CLIP,),
    "Stable Diffusion 2": (ldm_names.OPEN_CLIP,),
    "Stable Diffusion XL": (ldm_names.XL_CLIP, ldm_names.XL_OPEN_CLIP),
    "Stable Diffusion XL's refiner": (ldm_names.XL_ONLY_OPEN_CLIP,),
}
_BY_CONTEXT = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
_BY_CONTEXT[1280] = "Stable Diffusion XL's refiner"
_LDM_UNET = "input_blocks.0.0.weight"
_WHOLE = "Choose the checkpoint that it is for."
_ADDED = (LORA, CONTROLNET, T2I_ADAPTER, IP_ADAPTER, IMAGE_ENCODER, EMBEDDING, UPSCALER)
_AUTOENCODER = "It is an autoencoder (VAE) alone: load it with diffusion/load_autoencoder beside a checkpoint."
_ALONE = {
    "AutoencoderKL": _AUTOENCODER,
    "ControlNetModel": f"It is a ControlNet alone. {_WHOLE}",
    "T2IAdapter": f"It is a T2I-Adapter alone. {_WHOLE}",
}


def what_it_is(source: ModelSource) -> str | None:
    """A sentence or two about a model that is not a checkpoint, or None where nothing tells. Raises BrokenModel."""
    return _folder(source) if source.is_folder else _file(read_header(source.path))


def _folder(source: ModelSource) -> str | None:
    if source.has("model_index.json"):
        pipeline = source.json("model_index.json").get("_class_name")
        return f"Its model_index.json names the pipeline {pipeline}, which no family here knows."
    if not source.has("config.json"):
        return None
    part = source.json("config.json").get("_class_name", "a text encoder or the like")
    return _ALONE.get(part, f"It is one part of a model ({part}): choose the folder above it, with model_index.json.")


def _file(header: Header) -> str | None:
    for test in (_added_to_a_model, _nearly_a_checkpoint, _part_of_a_model):
        if found := test(header):
            return found
    return None


def _added_to_a_model(header: Header) -> str | None:
    kind = kind_of_names(header)
    return f"It is {kind.name}: {kind.node} reads it. {_WHOLE}" if kind in _ADDED else None


def _nearly_a_checkpoint(header: Header) -> str | None:
    """A file with a U-Net under its name in checkpoints, and not all that belongs to it."""
    if ldm_names.UNET + _LDM_UNET not in header:
        return None
    present = {title: [prefix for prefix in towers if _starts(header, prefix)] for title, towers in _TOWERS.items()}
    across = (info.shape for name, info in header.items() if name.endswith("attn2.to_k.weight") and len(info.shape) > 1)
    guess = _BY_CONTEXT.get(next(across, (0, 0))[1])
    title = max(present, key=lambda name: (len(present[name]), name == guess))
    if not present[title] and guess is None:
        return "It has a U-Net, and no text encoder that is known."
    if len(present[title]) == len(_TOWERS[title]):
        what = "a label that it has (label_emb)" if ldm_names.LABELS in header else "the sizes that it lacks (label_emb)"
        return f"It is almost {title}, but for {what}: an unCLIP model, perhaps."
    missing = " and ".join(f"{prefix}*" for prefix in _TOWERS[title] if prefix not in present[title])
    return f"It is almost {title}: it has a U-Net, but lacks the text encoder's tensors {missing}."


def _part_of_a_model(header: Header) -> str | None:
    if _any(header, "decoder.mid.block_1.conv1.weight", "decoder.mid_block.resnets.0.conv1.weight"):
        return _AUTOENCODER
    if _LDM_UNET in header or {"conv_in.weight", "time_embedding.linear_1.weight"} <= header.keys():
        return f"It is a U-Net alone, without text encoder and autoencoder. {_WHOLE}"
    if _any(header, "text_model.encoder.layers.0.", "transformer.resblocks.0.", "encoder.block.0.layer.0.SelfAttention."):
        return f"It is a text encoder alone. {_WHOLE}"
    return None


def _any(header: Mapping[str, Any], *marks: str) -> bool:
    return any(mark in name for name in header for mark in marks)


def _starts(header: Mapping[str, Any], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in header)
