"""A LoRA file taken apart: which layer each tensor is for and what part it plays there, whatever program wrote it.

Known: kohya's sd-scripts and LyCORIS (`lora_unet_x.lora_down.weight`), diffusers and PEFT (`unet.x.lora_A.weight`, and older
`unet.x.processor.to_q_lora.down.weight`), FLUX trainers (`diffusion_model.x.lora_A.weight`). A layer's name is kept with `_`
between its parts, as kohya writes it: all the others can be brought to that, and it cannot be taken apart again.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import Tensor

from nodegraph_nodes.diffusion.families.errors import BrokenModel, ModelError
from nodegraph_nodes.diffusion.families.source import TensorInfo, read_header, read_metadata, read_tensors

Component = Literal["denoiser", "text", "text_2", "text_3"]
Method = Literal["lora", "loha", "lokr", "difference"]

_LEAVES = tuple(
    (re.compile(pattern), part)
    for pattern, part in (
        (r"[._]lora_down\.weight", "down"),
        (r"[._]lora_up\.weight", "up"),
        (r"[._]lora_mid\.weight", "mid"),
        (r"\.lora_A(\.\w+)?\.weight", "down"),
        (r"\.lora_B(\.\w+)?\.weight", "up"),
        (r"[._]lora(_linear_layer)?\.down\.weight", "down"),
        (r"[._]lora(_linear_layer)?\.up\.weight", "up"),
        (r"(_lora|\.lora(_linear_layer)?)?\.alpha", "alpha"),
        (r"\.lora_magnitude_vector(\.\w+)?(\.weight)?", "magnitude"),
        (r"\.dora_scale", "dora_scale"),
        (r"\.(hada_w[12]_[ab]|hada_t[12]|lokr_w[12](_[ab])?|lokr_t2)", ""),  # their own names
        (r"\.diff", "difference"),
        (r"\.diff_b", "bias"),
        (r"\.lora_[AB](\.\w+)?\.bias", "bias"),
    )
)
_FOREIGN = {  # by a part of a tensor's name: methods that are not known here
    ".oft_": "OFT",
    ".boft_": "BOFT",
    ".oft_R": "OFT",
    ".on_input": "IA3",
    ".a1.weight": "GLoRA",
    ".glora_": "GLoRA",
    "lora_embedding_A": "embedding layers",
    ".set_weight": "set weights",
}
_PREFIXES: tuple[tuple[str, Component], ...] = (
    ("lora_unet_", "denoiser"),
    ("lora_transformer_", "denoiser"),
    ("lora_te1_", "text"),
    ("lora_te2_", "text_2"),
    ("lora_te3_", "text_3"),
    ("lora_te_", "text"),
    ("lycoris_", "denoiser"),
    ("unet.", "denoiser"),
    ("transformer.", "denoiser"),
    ("model.diffusion_model.", "denoiser"),
    ("diffusion_model.", "denoiser"),
    ("text_encoder.", "text"),
    ("text_encoder_2.", "text_2"),
    ("text_encoder_3.", "text_3"),
    ("text_encoders.clip_l.", "text"),
    ("text_encoders.clip_g.", "text_2"),
)


class UnsupportedLora(ModelError):
    """A file that changes weights in a way that is not known here."""


class LoraLayer(NamedTuple):
    """What a file says of one layer. layer: its name with `_` throughout; parts: {part: name of the tensor}."""

    component: Component
    layer: str
    parts: dict[str, str]

    @property
    def method(self) -> Method:
        if "difference" in self.parts:
            return "difference"
        return "loha" if "hada_w1_a" in self.parts else "lokr" if any(p.startswith("lokr") for p in self.parts) else "lora"


@dataclass(frozen=True, slots=True, eq=False)
class LoraFile:
    """A LoRA on disk. tensors are mapped from the file. alphas: from its metadata, by layer, where PEFT wrote them."""

    path: str
    layers: tuple[LoraLayer, ...]
    shapes: Mapping[str, TensorInfo]
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


def read_names(path: str | Path) -> LoraFile:
    """A file's header alone: `tensors` is empty. Raises BrokenModel, UnsupportedLora."""
    shapes = read_header(Path(path))
    return LoraFile(str(path), layers_of(shapes, str(path)), shapes, {}, read_metadata(Path(path)))


def read_lora(path: str | Path) -> LoraFile:
    """Raises BrokenModel, UnsupportedLora."""
    found = read_names(path)
    return LoraFile(found.path, found.layers, found.shapes, read_tensors(Path(path)), found.metadata)


def layers_of(names: Iterable[str], path: str) -> tuple[LoraLayer, ...]:
    """The layers that tensors of these names change. Raises UnsupportedLora, BrokenModel where there is none."""
    layers: dict[tuple[Component, str], LoraLayer] = {}
    for name in names:
        for mark, method in _FOREIGN.items():
            if mark in name:
                raise UnsupportedLora(
                    path,
                    f"it holds {method}, which is not supported. LoRA, LoCon, LoHa, LoKr and DoRA are; look for one of those.",
                )
        if (found := _leaf(name)) is not None:
            stem, part = found
            component, layer = _place(stem)
            layers.setdefault((component, layer), LoraLayer(component, layer, {})).parts[part] = name
    complete = tuple(layer for layer in layers.values() if _is_complete(layer.parts))
    if not complete:
        raise BrokenModel(path, "it is no LoRA: none of its tensors changes a layer.")
    return complete


def _leaf(name: str) -> tuple[str, str] | None:
    """The layer's name in a tensor's, and the tensor's part."""
    for pattern, part in _LEAVES:
        ends = [match for match in pattern.finditer(name) if match.end() == len(name)]
        if ends:
            return name[: ends[0].start()], part or ends[0][1]
    return None


def _place(stem: str) -> tuple[Component, str]:
    stem = stem.removeprefix("base_model.model.")
    for prefix, component in _PREFIXES:
        if stem.startswith(prefix):
            return component, _flat(stem.removeprefix(prefix))
    return "denoiser", _flat(stem)


def _flat(stem: str) -> str:
    return stem.removeprefix("base_model.model.").replace(".", "_").replace("_processor_", "_")


def _is_complete(parts: Mapping[str, str]) -> bool:
    kron = ("lokr_w1" in parts or "lokr_w1_a" in parts) and ("lokr_w2" in parts or "lokr_w2_b" in parts)
    return {"down", "up"} <= parts.keys() or {"hada_w1_a", "hada_w2_b"} <= parts.keys() or "difference" in parts or kron


def peft_alpha(file: LoraFile, layer: LoraLayer) -> float | None:
    """The layer's alpha / sqrt(rank) or alpha, times what turns it into the factor alpha / rank; None where nothing is said.

    From the `lora_adapter_metadata` that diffusers writes: lora_alpha and alpha_pattern by component; use_rslora divides by the
    rank's square root instead (Kalajdzievski 2023).
    """
    settings = _adapter_settings(file.metadata, layer.component)
    if not settings:
        return None
    alpha = float(settings.get("lora_alpha", 0)) or None
    for pattern, value in (settings.get("alpha_pattern") or {}).items():
        flat = _flat(pattern.strip("^$").replace("\\.", "."))
        if layer.layer == flat or layer.layer.endswith("_" + flat):
            alpha = float(value)
    if alpha is not None and settings.get("use_rslora"):
        alpha *= file.shapes[layer.parts["down"]].shape[0] ** 0.5
    return alpha


def _adapter_settings(metadata: Mapping[str, str], component: Component) -> dict[str, Any]:
    try:
        rows = json.loads(metadata.get("lora_adapter_metadata", "{}"))
        names = {"denoiser": ("unet.", "transformer."), "text": ("text_encoder.",)}.get(
            component, (f"text_encoder{component.removeprefix('text')}.",)
        )
        return {key.removeprefix(name): value for name in names for key, value in rows.items() if key.startswith(name)}
    except (ValueError, AttributeError):
        return {}
