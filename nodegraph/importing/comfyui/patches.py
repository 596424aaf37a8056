"""What ComfyUI puts on the model, or on the prompts, and we on the guidance of the run that reads them."""

from __future__ import annotations

from nodegraph.importing.comfyui.draft import Draft, Unmappable, number
from nodegraph.importing.comfyui.source import SourceNode

PATCHES = frozenset({"FluxGuidance", "RescaleCFG"})
"""Classes that become part of the runs behind them."""


def take_model(draft: Draft, place: str, node: SourceNode) -> None:
    """An input of ours from the model that a node reads, behind what belongs to the guidance."""
    draft.take(place, "model", of=_behind(draft, node)[0], value=False)


def _behind(draft: Draft, node: SourceNode) -> tuple[SourceNode, list[SourceNode]]:
    """The node whose `model` input is no RescaleCFG, and the RescaleCFG before it."""
    found: list[SourceNode] = []
    while (source := draft.scope.wiring.origin(node, "model")) is not None and source.type == "RescaleCFG":
        if source in found:
            break
        draft.absorb("model", of=node)
        found.append(source)
        node = source
    return node, found


def add_rescale(draft: Draft, guidance: str, guider: SourceNode) -> None:
    """RescaleCFG: on the guidance here."""
    _, found = _behind(draft, guider)
    if len(found) > 1:
        raise Unmappable("two RescaleCFG stand one behind the other")
    if found:
        draft.take(f"{guidance}.rescale", "multiplier", of=found[0], otherwise=0.7)
        draft.publish("rescale", "Rescale", "multiplier", of=found[0])
        draft.note("RescaleCFG works on v there, on what the model predicts here: the same for models that predict v")


def add_distilled(draft: Draft, guidance: str, told: SourceNode | None, spared: SourceNode | None) -> None:
    """FluxGuidance: the scale that a distilled model is told. told, spared: those of the positive and the negative prompt."""
    if told is not None:
        draft.take(f"{guidance}.distilled", "guidance", of=told, otherwise=3.5)
        draft.publish("distilled", "Distilled guidance", "guidance", of=told)
    if spared is not None and (told is None or _scale(draft, spared) != _scale(draft, told)):
        draft.note("both prompts tell the model one scale here (FluxGuidance): that of the positive prompt")


def _scale(draft: Draft, node: SourceNode) -> float | None:
    return number(draft.scope.constant(node, "guidance"))


def add_perpendicular(draft: Draft, guidance: str, guider: SourceNode) -> None:
    """PerpNegGuider: the negative prompt cannot undo the positive one."""
    if number(draft.scope.constant(guider, "cfg")) == 1:
        raise Unmappable("perpendicular guidance at a scale of 1 is no guidance here")
    draft.set(f"{guidance}.method", "perpendicular")
    draft.take(f"{guidance}.empty", "empty_conditioning", of=guider, value=False)
    draft.take(f"{guidance}.negative_scale", "neg_scale", of=guider, otherwise=1.0)
