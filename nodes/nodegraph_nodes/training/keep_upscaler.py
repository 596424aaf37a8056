"""Trained upscalers, kept as files that upscale/load_upscaler and other programs read."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

import torch
from pydantic import Field

from nodegraph import Context, node
from nodegraph_nodes.training.keeping import FileName, Replace, file_is_named, keep_tensors
from nodegraph_nodes.types import TrainedUpscaler, Upscaler


@node(category="training", output=True, cache="never", output_name="upscaler", check=file_is_named)
def keep_upscaler(
    context: Context,
    upscaler: TrainedUpscaler,
    name: FileName = "trained_upscaler",
    precision: Annotated[Literal["float16", "float32"], Field(description="Of its weights.")] = "float16",
    replace: Replace = False,
) -> Upscaler:
    """Write an upscaler to the folder of models: load_upscaler finds it there by its name, upscale_image takes it at once."""
    dtype = torch.float16 if precision == "float16" else torch.float32
    tensors = {name: tensor.to(dtype).contiguous() for name, tensor in upscaler.tensors.items()}
    said = {"nodegraph": json.dumps(json.loads(upscaler.facts), sort_keys=True)}
    file = keep_tensors(context, name, tensors, said, replace)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Upscaler(str(file), digest, upscaler.architecture, upscaler.scale)
