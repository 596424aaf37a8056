"""Trained LoRAs: kept as files that nearly every program reads, and put on a model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace as with_
from typing import Annotated, Literal

import torch
from pydantic import Field

from nodegraph import Context, NodeError, node
from nodegraph_nodes.diffusion.families import ModelError, outline
from nodegraph_nodes.diffusion.families.lora import denoiser_index, fit, read_names, told_family
from nodegraph_nodes.training.keeping import FileName, Replace, file_is_named, keep_tensors
from nodegraph_nodes.types import Denoiser, Lora, TrainedLora

_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
_VERSIONS = {"sd1": "sd_v1", "sd2": "sd_v2", "sdxl": "sdxl_base_v1-0"}
"""What sd-scripts writes for a family, where it has a word for it."""


@node(title="Keep LoRA", category="training", output=True, cache="never", output_name="lora", check=file_is_named)
def keep_lora(
    context: Context,
    lora: TrainedLora,
    name: FileName = "trained_lora",
    precision: Annotated[
        Literal["float16", "bfloat16", "float32"], Field(description="Of its weights; float32 is twice as large.")
    ] = "float16",
    replace: Replace = False,
) -> Lora:
    """Write a LoRA to the folder of models, in sd-scripts' (kohya's) layout: apply_lora finds it there by its name."""
    tensors = {name: tensor.to(_DTYPES[precision]).contiguous() for name, tensor in lora.tensors.items()}
    file = keep_tensors(context, name, tensors, _metadata(lora), replace)
    return Lora(file.stem, str(file), hashlib.sha256(file.read_bytes()).hexdigest())


def _metadata(lora: TrainedLora) -> dict[str, str]:
    """What sd-scripts says of its files, as far as programs look at it, and how the training went."""
    alphas = {float(tensor) for name, tensor in lora.tensors.items() if name.endswith(".alpha")}
    said = {
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(lora.rank),
        "ss_network_alpha": ", ".join(map(str, sorted(alphas))),
        "ss_output_name": lora.family,
        "nodegraph": json.dumps({"family": lora.family, **json.loads(lora.facts)}, sort_keys=True),
    }
    if lora.family in _VERSIONS:
        said["ss_base_model_version"] = _VERSIONS[lora.family]
        said["ss_v2"] = str(lora.family == "sd2")
    return said


@node(title="Apply trained LoRA", category="training")
def apply_trained_lora(
    denoiser: Denoiser,
    lora: Lora,
    weight: Annotated[float, Field(ge=-10, le=10, description="1 is as trained, 0 is off, below 0 the opposite.")] = 1.0,
) -> Denoiser:
    """Put a LoRA on a model that the same workflow has trained and kept. diffusion/apply_lora takes files by name."""
    try:
        found = fit(read_names(lora.path), denoiser_index(outline(denoiser)), ("denoiser",))
    except ModelError as error:
        raise NodeError(f"The LoRA cannot be used: {error}", socket="lora") from None
    if found.missing:
        raise NodeError(
            f"The LoRA {lora.name!r} was trained for another model.",
            socket="lora",
            expected=f"a LoRA for {told_family(denoiser.family)}",
            got=f"{len(found.missing)} of {found.total} layers that it does not have, such as {found.missing[0]}",
        )
    return with_(denoiser, patches=(*denoiser.patches, with_(lora, weight=weight))) if weight else denoiser
