"""What a LoRA file is for, from its header alone: which family, and how much of it a network has layers for."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from nodegraph_nodes.diffusion.families.source import TensorInfo

from .reading import LoraFile, LoraLayer
from .targets import Index, Target, find

_WIDTHS = {768: "sd1", 1024: "sd2", 2048: "sdxl"}
_WORDS = {
    "starter": "the starter model",
    "sd1": "Stable Diffusion 1",
    "sd2": "Stable Diffusion 2",
    "sdxl": "SDXL",
    "sdxl_refiner": "the SDXL refiner",
    "sd3": "Stable Diffusion 3",
    "flux": "FLUX.1",
}


class Fit(NamedTuple):
    """How much of a file a network has layers for. total: what the file has for this network."""

    total: int
    fitting: int
    missing: tuple[str, ...]


def told_family(family: str) -> str:
    """A family as users call it."""
    return _WORDS.get(family, family)


def lora_family(file: LoraFile) -> str | None:
    """The family that a file was made for, by its layers' names and the width of the text they attend to; None: unknown."""
    names = [layer.layer for layer in file.layers if layer.component == "denoiser"]
    if any("single_blocks_" in name or "single_transformer_blocks_" in name or "double_blocks_" in name for name in names):
        return "flux"
    if any("joint_blocks_" in name or name.endswith("attn_add_q_proj") for name in names):
        return "sd3"
    for layer in file.layers:
        if layer.component == "denoiser" and layer.layer.endswith(("attn2_to_k", "attn2_to_v")):
            if "down" in layer.parts:
                return _WIDTHS.get(math.prod(file.shapes[layer.parts["down"]].shape[1:]))
            if "hada_w1_b" in layer.parts:
                return _WIDTHS.get(file.shapes[layer.parts["hada_w1_b"]].shape[1])
    return None


def fit(file: LoraFile, index: Index, components: tuple[str, ...]) -> Fit:
    """Compare a file's layers for these components with a network's."""
    layers = [layer for layer in file.layers if layer.component in components]
    missing = tuple(layer.layer for layer in layers if not matching(file, layer, index))
    return Fit(len(layers), len(layers) - len(missing), missing)


def matching(file: LoraFile, layer: LoraLayer, index: Index) -> tuple[Target, ...]:
    """The network's layers that a file's change is for and fits; none where there are none or one has another shape."""
    found = find(index, layer.component, layer.layer)
    return found if found and _fits(layer, file.shapes, found) else ()


def _fits(layer: LoraLayer, shapes: Mapping[str, TensorInfo], targets: tuple[Target, ...]) -> bool:
    part = {name: shapes[stored].shape for name, stored in layer.parts.items()}
    rows = max(target.rows[1] or target.rows[0] + target.shape[0] if target.rows else target.shape[0] for target in targets)
    columns = math.prod(targets[0].shape[1:])
    if layer.method == "lora":
        inner = math.prod(part["down"][1:]) * (math.prod(part["mid"][2:]) if "mid" in part else 1)
        return part["up"][0] == rows and inner == columns
    if layer.method == "loha":
        core = math.prod(part["hada_t1"][2:]) if "hada_t1" in part else 1
        outer = part["hada_w1_a"][1 if "hada_t1" in part else 0]
        return outer == rows and math.prod(part["hada_w1_b"][1:]) * core == columns
    if layer.method == "lokr":
        return _lokr_numel(part) == rows * columns
    return math.prod(part["difference"]) == rows * columns


def _lokr_numel(part: Mapping[str, tuple[int, ...]]) -> int:
    first = math.prod(part["lokr_w1"]) if "lokr_w1" in part else part["lokr_w1_a"][0] * part["lokr_w1_b"][1]
    if "lokr_w2" in part:
        return first * math.prod(part["lokr_w2"])
    if "lokr_t2" in part:
        return first * part["lokr_w2_a"][1] * part["lokr_w2_b"][1] * math.prod(part["lokr_t2"][2:])
    return first * part["lokr_w2_a"][0] * math.prod(part["lokr_w2_b"][1:])
