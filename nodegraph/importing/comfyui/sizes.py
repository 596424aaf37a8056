"""How large a latent's picture is, read off the nodes it comes from: our noise is made for a size, ComfyUI's for a latent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from nodegraph.importing.comfyui.draft import Draft, number, whole
from nodegraph.importing.comfyui.source import SourceNode

EMPTY = frozenset({"EmptyLatentImage", "EmptySD3LatentImage", "EmptyFlux2LatentImage"})
_THROUGH = {
    "KSampler": "latent_image",
    "KSamplerAdvanced": "latent_image",
    "LatentBlend": "samples1",
    "LatentComposite": "samples_to",
    "LatentCompositeMasked": "destination",
    "SamplerCustom": "latent_image",
    "SamplerCustomAdvanced": "latent_image",
    "SetLatentNoiseMask": "samples",
}
"""Nodes whose latent is as large as the one they read."""
_OF_PIXELS = dict.fromkeys(("VAEEncode", "VAEEncodeTiled", "VAEEncodeForInpaint", "InpaintModelConditioning"), "pixels")
_MASKED = frozenset({"SetLatentNoiseMask", "VAEEncodeForInpaint", "InpaintModelConditioning"})


@dataclass(frozen=True, slots=True)
class PictureSize:
    """Where a latent's size comes from: the `width` and `height` of a node, or the picture that a node reads (`pixels`).

    `scale` multiplies the former. `batched`: the node has a `batch_size`. `masked`: only a part of it is to be sampled.
    """

    node: SourceNode
    pixels: str = ""
    scale: float = 1.0
    batched: bool = False
    masked: bool = False


def picture_size(draft: Draft, node: SourceNode, name: str) -> PictureSize | None:
    """The size of the latent that an input reads. None where it cannot be said, or where it may not be a picture's."""
    scale, masked = 1.0, False
    seen: set[str] = set()
    while (source := draft.scope.wiring.origin(node, name)) is not None and source.id not in seen:
        seen.add(source.id)
        masked = masked or source.type in _MASKED
        if source.type in EMPTY:
            return PictureSize(source, scale=scale, batched=True, masked=masked)
        if source.type in _OF_PIXELS:
            linked = source.link(_OF_PIXELS[source.type]) is not None and scale == 1
            return PictureSize(source, _OF_PIXELS[source.type], masked=masked) if linked else None
        if source.type == "LatentUpscale":
            sides = [draft.scope.constant(source, side) for side in ("width", "height")]
            plain = all(whole(side) for side in sides) and scale == 1
            return PictureSize(source, masked=masked) if plain else None
        if source.type == "LatentUpscaleBy":
            factor = number(draft.scope.constant(source, "scale_by"))
            if factor is None or factor <= 0:
                return None
            scale *= factor
            node, name = source, "samples"
        elif source.type in _THROUGH:
            node, name = source, _THROUGH[source.type]
        else:
            return None
    return None


def batch_of(draft: Draft, size: PictureSize) -> SourceNode | None:
    """The node whose `batch_size` says how many latents there are; None where it is one."""
    if not size.batched or (
        not draft.linked("batch_size", size.node) and whole(draft.value("batch_size", 1, of=size.node)) == 1
    ):
        return None
    return size.node


def set_noise_size(draft: Draft, noise: str, size: PictureSize) -> None:
    """Give a noise node its width and height."""
    if size.pixels:
        place = draft.place(size.pixels, size.node)
        measured = draft.add("size", "image/image_size")
        draft.take(f"{measured}.image", size.pixels, of=size.node, value=False)
        if place is not None:
            for side in ("width", "height"):
                draft.link(f"{noise}.{side}", f"{measured}.{side}")
        return
    for side in ("width", "height"):
        if size.scale == 1:
            convert = partial(_whole_latents, draft, side)
            draft.take(f"{noise}.{side}", side, of=size.node, otherwise=512, convert=convert)
        else:
            latents = whole(draft.value(side, 512, of=size.node))
            scaled = 8 * round((latents or 0) // 8 * size.scale)
            draft.set(f"{noise}.{side}", scaled)
            draft.note(f"the {side} {scaled} was computed from {latents} x {size.scale:g} and no longer follows it")


def _whole_latents(draft: Draft, side: str, value: object) -> object:
    pixels = whole(value)
    if pixels is None or pixels % 8 == 0:
        return value
    draft.note(f"the {side} {pixels} became {pixels // 8 * 8}, as ComfyUI does too: a latent's pixel is 8 of the picture")
    return pixels // 8 * 8
