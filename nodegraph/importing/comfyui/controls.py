"""Control networks: ComfyUI hangs them on the prompts, here they are put on the guidance of the run that reads these."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from nodegraph.importing.comfyui.draft import Draft, Unmappable, number
from nodegraph.importing.comfyui.loading import model_name
from nodegraph.importing.comfyui.source import Origin, SourceNode

APPLIES = frozenset({"ControlNetApply", "ControlNetApplyAdvanced"})
"""Classes that become part of the runs behind them."""

Input = tuple[SourceNode, str]
"""An input of a source node, by its name."""


class Steered(NamedTuple):
    """What a guider reads through control networks. controls: those networks, the first that was applied first.

    told, spared: the FluxGuidance that counts for the positive and for the negative prompt.
    """

    positive: Input
    negative: Input
    controls: tuple[SourceNode, ...]
    told: SourceNode | None
    spared: SourceNode | None


def load_controlnet(draft: Draft) -> None:
    loaded = draft.add("controlnet", "diffusion/load_controlnet")
    draft.take(f"{loaded}.model", "control_net_name", otherwise="", convert=partial(model_name, draft))
    draft.output(0, f"{loaded}.controlnet")
    draft.publish("controlnet", "ControlNet", "control_net_name")


def canny(draft: Draft) -> None:
    """Kornia's, with a Gaussian of 5 pixels and sigma 1; thresholds are the same."""
    edges = draft.add("edges", "image/canny")
    draft.take(f"{edges}.image", "image", value=False)
    draft.take(f"{edges}.low", "low_threshold", otherwise=0.4)
    draft.take(f"{edges}.high", "high_threshold", otherwise=0.8)
    draft.output(0, f"{edges}.image")


def behind_controls(draft: Draft, guider: SourceNode, positive: str) -> Steered:
    """The prompts of a guider without the control networks that they come through, which become part of the run.

    Raises Unmappable where the positive and the negative prompt come through different ones.
    """
    first, steering, told = _chain(draft, (guider, positive), 0)
    second, sparing, spared = _chain(draft, (guider, "negative"), 1)
    plain = all(
        node.type == "ControlNetApply" for node in steering
    )  # ComfyUI's word: it counts for the negative prompt as well
    if steering != sparing and not (plain and not sparing):
        raise Unmappable("its positive and negative prompts come through different control networks")
    return Steered(first, second, tuple(reversed(steering)), told, spared)


def _chain(draft: Draft, place: Input, slot: int) -> tuple[Input, list[SourceNode], SourceNode | None]:
    """The input behind all control networks, these from the last to the first, and the last FluxGuidance among them.

    slot: the output that is to be read.
    """
    found: list[SourceNode] = []
    scales: list[SourceNode] = []
    while isinstance(origin := draft.scope.wiring.effective(place[0].link(place[1])), Origin):
        node = draft.scope.graph.nodes[origin.node]
        if node.type == "FluxGuidance" and node not in scales:
            draft.absorb(place[1], of=place[0])
            scales.append(node)
            place = (node, "conditioning")
            continue
        if node.type not in APPLIES or node in found:
            break
        if node.type == "ControlNetApplyAdvanced" and origin.slot != slot:
            raise Unmappable("it reads a control network's positive output as its negative prompt, or the other way round")
        draft.absorb(place[1], of=place[0])
        found.append(node)
        side = ("positive", "negative")[slot] if node.type == "ControlNetApplyAdvanced" else "conditioning"
        place = (node, side)
    return place, found, scales[0] if scales else None


def add_controls(draft: Draft, guidance: str, controls: tuple[SourceNode, ...]) -> str:
    """Put control networks on a guidance; gives the id of the last node."""
    for node in controls:
        if draft.linked("vae", node):
            raise Unmappable("a control network here reads latents (its vae is linked), which has no counterpart")
        control = draft.add("control", "diffusion/apply_control")
        draft.link(f"{control}.guidance", f"{guidance}.guidance")
        draft.take(f"{control}.controlnet", "control_net", of=node, value=False)
        draft.take(f"{control}.image", "image", of=node, value=False)
        draft.take(f"{control}.strength", "strength", of=node, otherwise=1.0)
        draft.publish("control_strength", "Control strength", "strength", of=node)
        if node.type == "ControlNetApplyAdvanced":
            draft.take(f"{control}.start", "start_percent", of=node, otherwise=0.0)
            draft.take(f"{control}.end", "end_percent", of=node, otherwise=1.0)
            shares = [draft.scope.constant(node, f"{name}_percent") for name in ("start", "end")]
            if [number(share) for share in shares] not in ([0.0, 1.0], [None, None]):
                draft.note(
                    "where a control network starts and ends is a share of the steps here, of the training steps in ComfyUI"
                )
        guidance = control
    return guidance
