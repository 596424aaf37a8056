"""What a denoiser's training is told to be, and whether the data have what it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nodegraph import NodeError
from nodegraph_nodes.types import Dataset, Prediction, TextEncoder

from .noising import Emphasis
from .telling import What

FurtherKind = Literal["nothing", "layout", "inpainting"]


@dataclass(frozen=True, slots=True)
class DenoiserSettings:
    """prompts: what it draws to be looked at. variants: of each picture, encoded beforehand; 0: encode as they are read."""

    conditioning: What = "prompt"
    further: FurtherKind = "nothing"
    prediction: Prediction = "flow"
    zero_terminal_snr: bool = False
    channels: tuple[int, ...] = (96, 144, 192)
    layers: int = 1
    attention_levels: tuple[int, ...] = (1, 2)
    heads: int = 4
    variants: int = 4
    dropout: float = 0.1
    emphasis: Emphasis = field(default_factory=Emphasis)
    prompts: tuple[str, ...] = ()
    guidance_scale: float = 4.0

    @property
    def uses_layouts(self) -> bool:
        return self.conditioning == "layout" or self.further == "layout"


def check_told(settings: DenoiserSettings, data: Dataset, validation: Dataset | None, encoder: TextEncoder | None) -> None:
    """What the network is to be told must be there. Raises NodeError."""
    for socket, pictures in (("data", data), ("validation", validation)):
        if pictures is None:
            continue
        if not pictures.entries:
            raise NodeError("There are no pictures.", socket=socket, expected="at least one", got="none")
        if settings.conditioning == "prompt":
            _check_captions(pictures, socket)
        if settings.conditioning == "class":
            _check_classes(pictures, socket)
        if settings.uses_layouts:
            _check_layouts(pictures, socket)
    if settings.conditioning == "prompt" and encoder is None:
        raise NodeError(
            "A text encoder has to read the captions.",
            socket="text_encoder",
            expected="a text encoder, such as the starter model's",
            got="none",
            hint="Link one, or choose another conditioning.",
        )
    if settings.conditioning == "layout" and settings.further != "nothing":
        raise NodeError(
            "A layout that is attended to goes without further channels.",
            socket="further",
            expected="nothing",
            got=settings.further,
            hint="Choose the conditioning none for a layout in further channels alone.",
        )
    if settings.conditioning == "class" and validation is not None and validation.classes != data.classes:
        _other_names("classes", data.classes, validation.classes)
    if settings.uses_layouts and validation is not None and validation.regions != data.regions:
        _other_names("regions", data.regions, validation.regions)


def _check_captions(pictures: Dataset, socket: str) -> None:
    if not any(entry.captions or entry.subject for entry in pictures.entries):
        raise NodeError(
            "The pictures have no captions.",
            socket=socket,
            expected="captions",
            got=f"{len(pictures.entries)} pictures without",
            hint="Give them captions, or choose the conditioning class or none.",
        )


def _check_classes(pictures: Dataset, socket: str) -> None:
    if not pictures.classes or all(entry.label is None for entry in pictures.entries):
        raise NodeError(
            "The pictures have no classes.",
            socket=socket,
            expected="a class of each picture",
            got=f"{len(pictures.entries)} pictures without",
            hint="Load pictures with classes, such as a folder for each, or choose the conditioning prompt or none.",
        )


def _check_layouts(pictures: Dataset, socket: str) -> None:
    without = [entry.file for entry in pictures.entries if not entry.layout]
    if without or not pictures.regions:
        raise NodeError(
            "The pictures do not all have a layout." if without else "Nothing says what the layouts show.",
            socket=socket,
            expected="a segmentation map of each picture, and the names of its regions",
            got=f"{len(without)} of {len(pictures.entries)} without, such as {without[0]}" if without else "no regions",
            hint="Load pictures with their maps, or choose another conditioning.",
        )


def _other_names(what: str, expected: tuple[str, ...], got: tuple[str, ...]) -> None:
    raise NodeError(
        f"These pictures have other {what} than those to learn from.",
        socket="validation",
        expected=_some(expected),
        got=_some(got),
        hint="Split one data set in two, so that both know the same.",
    )


def _some(names: tuple[str, ...]) -> str:
    return f"{len(names)}: {', '.join(names[:4])}" + (" ..." if len(names) > 4 else "")
