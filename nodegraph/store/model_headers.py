"""What a model file says about itself without its weights: whether it is whole, and what kind of model it is.

safetensors: 8 bytes of little-endian length, a JSON header with dtype, shape and place of every tensor, then their bytes
without holes (https://github.com/huggingface/safetensors). GGUF: see `nodegraph.sdk.gguf`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nodegraph.sdk.errors import NodeError
from nodegraph.sdk.gguf import read_gguf_header
from nodegraph.store.files import check_safetensors

Shapes = Mapping[str, tuple[int, ...]]

_BITS = {"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16}
_BITS |= {"I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}


class Model(NamedTuple):
    """What a model is; None where its file does not tell. family: sd1, sdxl, flux ..."""

    kind: str | None
    family: str | None


UNKNOWN = Model(None, None)


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """A safetensors header's entries without the metadata, and where the tensors begin. Raises NodeError, OSError."""
    header, start = _whole_header(path)
    header.pop("__metadata__", None)
    return header, start


def _whole_header(path: Path) -> tuple[dict[str, Any], int]:
    check_safetensors(path)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)), 8 + length


def look(path: Path) -> Model:
    """What a file is, by its tensors, and where they leave it open by what its metadata says. Raises NodeError, OSError."""
    model = recognise(shapes_of(path))
    if model.kind == "lora" and model.family is None and path.suffix == ".safetensors":
        return model._replace(family=_told_family(_whole_header(path)[0].get("__metadata__")))
    return model


def _told_family(metadata: object) -> str | None:
    """The family that a LoRA's metadata names, as kohya's programs (`ss_base_model_version`) and the modelspec write it."""
    if not isinstance(metadata, dict):
        return None
    told = " ".join(str(metadata.get(name, "")) for name in ("ss_base_model_version", "modelspec.architecture")).lower()
    marks = {"sdxl": "sdxl", "stable-diffusion-xl": "sdxl", "flux": "flux", "sd3": "sd3", "stable-diffusion-3": "sd3"}
    marks |= {"sd_v2": "sd2", "stable-diffusion-v2": "sd2", "sd_v1": "sd1", "stable-diffusion-v1": "sd1"}
    return next((family for mark, family in marks.items() if mark in told), None)


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """The tensors' shapes by name. Raises NodeError, OSError."""
    if path.suffix == ".gguf":
        return {name: tensor.shape for name, tensor in read_gguf_header(path).tensors.items()}
    header, _ = read_header(path)
    shapes = ((name, entry.get("shape")) for name, entry in header.items())
    return {name: tuple(s) for name, s in shapes if isinstance(s, list) and all(isinstance(n, int) for n in s)}


def check_whole(path: Path) -> None:
    """That every tensor has its bytes: each as many as its shape takes, one after the other up to the file's end.

    Raises NodeError, OSError.
    """
    if path.suffix == ".gguf":
        read_gguf_header(path)
        return
    header, start = read_header(path)
    try:
        rows = sorted((*entry["data_offsets"], name, entry["dtype"], entry["shape"]) for name, entry in header.items())
        end = 0
        for begin, stop, name, dtype, shape in rows:
            if dtype not in _BITS:
                raise _damaged(path, f"its tensor {name[:80]!r} has the unknown type {str(dtype)[:20]!r}")
            if begin != end or stop - begin != (math.prod(shape) * _BITS[dtype] + 7) // 8:
                raise _damaged(path, f"its tensor {name[:80]!r} does not take the bytes that its shape asks for")
            end = stop
    except (TypeError, LookupError, ValueError, AttributeError):
        raise _damaged(path, "its header has entries that are no tensors") from None
    if start + end != path.stat().st_size:
        raise _damaged(path, f"{path.stat().st_size - start - end:,} bytes at its end belong to no tensor")


def _damaged(path: Path, why: str) -> NodeError:
    return NodeError(f"{path.name} is damaged: {why}.", hint="Copy or download it again.")


# ---- what it is ----


def recognise(shapes: Shapes) -> Model:
    """Kind and family by the tensors' names and shapes, as the programs that trained these models name them."""
    for test in (_adapter, _controlnet, _checkpoint, _denoiser, _autoencoder, _text_encoder, _upscaler, _embedding):
        if found := test(shapes):
            return found
    return UNKNOWN


def _adapter(shapes: Shapes) -> Model | None:
    low = [name for name in shapes if "lora_down" in name or "lora_A." in name or ".hada_w1_a" in name or ".lokr_w1" in name]
    if not low:
        return None
    if any("single_blocks" in name or "single_transformer_blocks" in name for name in low):
        return Model("lora", "flux")
    if any("joint_blocks" in name for name in low):
        return Model("lora", "sd3")
    across = [shapes[name] for name in low if "attn2" in name and "to_k" in name]
    return Model("lora", _by_context(across[0][1]) if across and len(across[0]) > 1 else None)


def _controlnet(shapes: Shapes) -> Model | None:
    if any(name.startswith("control_model.") or "controlnet_cond_embedding" in name for name in shapes):
        return Model("controlnet", _unet_family(shapes))
    return None


def _checkpoint(shapes: Shapes) -> Model | None:
    """A file with everything in it, in the original layout of Stable Diffusion."""
    inner = {
        name.removeprefix("model.diffusion_model."): shape
        for name, shape in shapes.items()
        if name.startswith("model.diffusion_model.")
    }
    if not inner:
        return None
    found = _denoiser(inner)
    whole = any(
        name.startswith(("first_stage_model.", "cond_stage_model.", "conditioner.", "text_encoders.", "vae."))
        for name in shapes
    )
    return Model("checkpoint" if whole else "diffusion_model", found.family if found else None)


def _denoiser(shapes: Shapes) -> Model | None:
    if "double_blocks.0.img_attn.qkv.weight" in shapes or any(n.startswith("single_transformer_blocks.0.") for n in shapes):
        return Model("diffusion_model", "flux")
    if any(name.startswith("joint_blocks.0.") for name in shapes):
        return Model("diffusion_model", "sd3")
    if "input_blocks.0.0.weight" in shapes or ("conv_in.weight" in shapes and "time_embedding.linear_1.weight" in shapes):
        return Model("diffusion_model", _unet_family(shapes))
    return None


def _unet_family(shapes: Shapes) -> str | None:
    across = (shape for name, shape in shapes.items() if name.endswith("attn2.to_k.weight") and len(shape) > 1)
    return _by_context(next(across, (0, 0))[1])


def _by_context(width: int) -> str | None:
    """A U-Net's family by the width of the text that it attends to."""
    return {768: "sd1", 1024: "sd2", 1280: "sdxl_refiner", 2048: "sdxl"}.get(width)


def _autoencoder(shapes: Shapes) -> Model | None:
    names = {name.removeprefix("first_stage_model.") for name in shapes}
    return Model("autoencoder", None) if {"decoder.conv_in.weight", "encoder.conv_in.weight"} <= names else None


def _text_encoder(shapes: Shapes) -> Model | None:
    marks = ("text_model.encoder.layers.0.", "encoder.block.0.layer.0.SelfAttention.", "transformer.resblocks.0.")
    return Model("text_encoder", None) if any(mark in name for name in shapes for mark in marks) else None


def _upscaler(shapes: Shapes) -> Model | None:
    marks = ("model.1.sub.0.RDB1.", "body.0.rdb1.", "RRDB_trunk.0.")
    compact = (
        len(shapes.get("body.0.weight", ())) == 4 and len(shapes.get("body.1.weight", ())) == 1
    )  # layers and PReLUs in turn
    return Model("upscaler", None) if compact or any(name.startswith(marks) for name in shapes) else None


def _embedding(shapes: Shapes) -> Model | None:
    if len(shapes) <= 3 and {"emb_params", "clip_l", "clip_g"} & shapes.keys():
        return Model("embedding", "sdxl" if "clip_g" in shapes else None)
    return None
