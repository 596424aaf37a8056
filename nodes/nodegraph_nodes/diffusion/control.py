"""Control pictures: edges, depths, poses and sketches that a run is to follow, through a ControlNet or a T2I-Adapter."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field

from nodegraph import ModelFile, NodeError, Problem, loader, node
from nodegraph_nodes.diffusion.families import LoadedControl, ModelError, describe_control, load_control
from nodegraph_nodes.diffusion.families.kinds import CONTROLNET, T2I_ADAPTER
from nodegraph_nodes.diffusion.unfit import unfit
from nodegraph_nodes.types import Balance, Control, ControlNet, Fit, Guidance, Image, Mask, Precision

Share = Annotated[float, Field(ge=0, le=1)]


def _range_is_ordered(values: dict[str, object]) -> list[Problem]:
    start, end = values.get("start", 0.0), values.get("end", 1.0)
    if isinstance(start, float) and isinstance(end, float) and start > end:
        message = "The control ends before it starts."
        return [Problem("bad_value", message, socket="end", expected=f"at least {start:g}", got=f"{end:g}")]
    return []


@node(title="Load ControlNet", category="diffusion/control", output_name="controlnet")
def load_controlnet(
    model: Annotated[
        ModelFile[Literal["controlnet"]],
        Field(description="A ControlNet or T2I-Adapter in the model folders: a diffusers folder, or a .safetensors file."),
    ],
    precision: Annotated[Precision, Field(description="What it computes in; auto is the device's best.")] = "auto",
) -> ControlNet:
    """Read what a ControlNet or T2I-Adapter is. Its weights stay on disk until a node needs them."""
    try:
        return describe_control(model.path, model.digest, precision)
    except ModelError as error:
        raise unfit(model, "control network", error, CONTROLNET, T2I_ADAPTER) from None


@node(category="diffusion/control", check=_range_is_ordered)
def apply_control(
    guidance: Guidance,
    controlnet: Annotated[ControlNet, Field(title="ControlNet")],
    image: Annotated[Image, Field(description="What the network reads: edges, depths, a pose, as it was trained on.")],
    strength: Annotated[float, Field(ge=0, le=10, description="How strongly the picture steers; 0 is off.")] = 1.0,
    start: Annotated[Share, Field(description="Share of the steps after which it begins to steer.")] = 0.0,
    end: Annotated[Share, Field(description="Share of the steps after which it stops.")] = 1.0,
    mask: Annotated[Mask | None, Field(description="Where it steers; stretched over the picture that is made.")] = None,
    fit: Annotated[
        Fit,
        Field(description="How it comes to the size of the picture that is made; contain leaves black margins, cover cuts."),
    ] = "cover",
    balance: Annotated[
        Balance,
        Field(
            description="Whose word counts more: prompt weakens the fine layers; control spares the negative prompt as well."
        ),
    ] = "balanced",
) -> Guidance:
    """Let a picture steer the run. Several of these, one after the other, add up."""
    if guidance.positive.family != controlnet.family:
        raise NodeError(
            "This control network was made for another kind of model.",
            socket="controlnet",
            expected=guidance.positive.family,
            got=controlnet.family,
            hint="Use a control network for the model whose text encoder read the prompt.",
        )
    if image.shape[-1] == 4:  # what is transparent is black: nothing there
        image = image[..., :3] * image[..., 3:]
    control = Control(controlnet, image, strength, start, end, mask, fit, balance)
    return replace(guidance, controls=(*guidance.controls, control))


@loader(ControlNet)
def control_network(recipe: ControlNet, device: torch.device) -> LoadedControl:
    """A control network on a device."""
    try:
        return load_control(recipe, device)
    except ModelError as error:
        raise NodeError(f"The control network cannot be loaded: {error}") from None
