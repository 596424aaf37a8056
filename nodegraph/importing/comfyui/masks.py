"""Masks: made, changed, laid over pictures, and brought into latents and inpainting models."""

from __future__ import annotations

import math

from nodegraph.importing.comfyui.draft import Draft, Unmappable, whole
from nodegraph.importing.comfyui.images import file_name

_GREY = "#808080"
_CHANNELS = ("red", "green", "blue", "alpha")
_OPERATIONS = {"multiply": "multiply", "add": "union", "or": "union", "and": "intersection", "subtract": "difference"}
_OF_HARD_MASKS = frozenset({"add", "and", "or", "subtract"})


def load_mask(draft: Draft) -> None:
    """ComfyUI's alpha channel is 1 where the picture is transparent."""
    channel = _channel(draft)
    loaded = draft.add("mask", "mask/load_mask")
    draft.take(f"{loaded}.path", "image", otherwise="", convert=lambda name: file_name(draft, name))
    draft.set(f"{loaded}.channel", channel)
    draft.publish("mask", "Mask", "image")
    place = f"{loaded}.mask"
    if channel == "alpha":
        inverted = draft.add("inverted", "mask/invert_mask")
        draft.link(f"{inverted}.mask", place)
        place = f"{inverted}.mask"
    draft.output(0, place)


def image_to_mask(draft: Draft) -> None:
    made = draft.add("mask", "mask/mask_from_channel")
    draft.take(f"{made}.image", "image", value=False)
    draft.set(f"{made}.channel", _channel(draft))
    draft.output(0, f"{made}.mask")


def _channel(draft: Draft) -> str:
    channel = draft.value("channel", "red")
    if channel not in _CHANNELS:
        raise Unmappable(f"the channel {channel!r} has no counterpart")
    return str(channel)


def mask_to_image(draft: Draft) -> None:
    shown = draft.add("mask_image", "mask/mask_to_image")
    draft.take(f"{shown}.mask", "mask", value=False)
    draft.output(0, f"{shown}.image")


def invert_mask(draft: Draft) -> None:
    inverted = draft.add("inverted", "mask/invert_mask")
    draft.take(f"{inverted}.mask", "mask", value=False)
    draft.output(0, f"{inverted}.mask")


def grow_mask(draft: Draft) -> None:
    grown = draft.add("grown", "mask/grow_mask")
    draft.take(f"{grown}.mask", "mask", value=False)
    draft.take(f"{grown}.pixels", "expand", otherwise=0)
    draft.value("tapered_corners", True)
    draft.note("the mask grows with a round brush, where ComfyUI's is a diamond or a square")
    draft.output(0, f"{grown}.mask")


def feather_mask(draft: Draft) -> None:
    sides = [draft.value(side, 0) for side in ("left", "top", "right", "bottom")]
    raise Unmappable(f"it fades a mask along the picture's borders {sides}; mask/feather_mask softens the mask's own edge")


def combine_masks(draft: Draft) -> None:
    _at_the_corner(draft)
    operation = draft.value("operation", "multiply")
    if operation not in _OPERATIONS:
        raise Unmappable(f"the operation {operation!r} has no counterpart")
    combined = draft.add("masks", "mask/combine_masks")
    draft.take(f"{combined}.a", "destination", value=False)
    draft.take(f"{combined}.b", "source", value=False)
    draft.set(f"{combined}.operation", _OPERATIONS[operation])
    if operation in _OF_HARD_MASKS:
        draft.note(f"{operation} is {_OPERATIONS[operation]} here: the same where both masks are 0 or 1")
    draft.output(0, f"{combined}.mask")


def _at_the_corner(draft: Draft) -> None:
    if any(whole(draft.value(side, 0)) != 0 for side in ("x", "y")):
        raise Unmappable("its source lies at another place than the upper left corner, and here both have one size")


def composite(draft: Draft) -> None:
    _at_the_corner(draft)
    if not draft.linked("mask"):
        raise Unmappable("it has no mask")
    laid = draft.add("composite", "mask/composite")
    draft.main = laid
    draft.take(f"{laid}.image", "destination", value=False)
    draft.take(f"{laid}.mask", "mask", value=False)
    if draft.value("resize_source", False) is True:
        measured, resized = draft.add("size", "image/image_size"), draft.add("resized", "image/resize_image")
        draft.take(f"{measured}.image", "destination", value=False)
        draft.take(f"{resized}.image", "source", value=False)
        draft.set(f"{resized}.method", "bilinear")
        for side in ("width", "height"):
            draft.link(f"{resized}.{side}", f"{measured}.{side}")
        draft.link(f"{laid}.over", f"{resized}.image")
    else:
        draft.take(f"{laid}.over", "source", value=False)
    draft.note("both pictures and the mask have one size here; ComfyUI cuts and scales them to the first")
    draft.output(0, f"{laid}.image")


def pad_for_outpaint(draft: Draft) -> None:
    padded = draft.add("canvas", "image/pad_image")
    draft.take(f"{padded}.image", "image", value=False)
    for side in ("left", "top", "right", "bottom"):
        draft.take(f"{padded}.{side}", side, otherwise=0)
    draft.take(f"{padded}.feather", "feathering", otherwise=40)
    draft.set(f"{padded}.infill", "color")
    draft.set(f"{padded}.color", _GREY)
    draft.output(0, f"{padded}.image")
    draft.output(1, f"{padded}.mask")


def mask_latent(draft: Draft) -> None:
    masked = draft.add("masked", "diffusion/masked_latent")
    draft.take(f"{masked}.latent", "samples", value=False)
    draft.take(f"{masked}.mask", "mask", value=False)
    _note_size(draft)
    draft.output(0, f"{masked}.latent")


def encode_for_inpaint(draft: Draft) -> None:
    """Grey where the mask is above a half, and a hard mask that is grown by a square of `grow_mask_by` pixels."""
    side = whole(draft.value("grow_mask_by", 6))
    if side is None:
        raise Unmappable("its grow_mask_by is no whole number")
    hard, grey = draft.add("hard_mask", "mask/threshold_mask"), draft.add("grey", "mask/infill")
    encoded, masked = draft.add("encode", "diffusion/encode"), draft.add("masked", "diffusion/masked_latent")
    draft.main = masked
    draft.take(f"{hard}.mask", "mask", value=False)
    draft.take(f"{grey}.image", "pixels", value=False)
    draft.link(f"{grey}.mask", f"{hard}.mask")
    draft.set(f"{grey}.method", "color")
    draft.set(f"{grey}.color", _GREY)
    draft.take(f"{encoded}.autoencoder", "vae", value=False)
    draft.link(f"{encoded}.image", f"{grey}.image")
    draft.link(f"{masked}.latent", f"{encoded}.latent")
    place = f"{hard}.mask"
    if side > 1:
        grown = draft.add("grown", "mask/grow_mask")
        draft.link(f"{grown}.mask", place)
        draft.set(f"{grown}.pixels", math.ceil((side - 1) / 2))
        draft.note(f"a grow_mask_by of {side} is {math.ceil((side - 1) / 2)} pixels in all directions, with a round brush")
        place = f"{grown}.mask"
    draft.link(f"{masked}.mask", place)
    _note_size(draft)
    draft.output(0, f"{masked}.latent")


def inpaint_conditioning(draft: Draft) -> None:
    """Its prompts pass on as they are: what they carry for the model goes into the guidance of the samplers that read them."""
    for name in ("positive", "negative"):
        source = draft.scope.wiring.origin(draft.node, name)
        if source is not None and source.type == "FluxGuidance":
            raise Unmappable("its prompts come through FluxGuidance: it is for FLUX.1 Fill, which is not known yet")
    encoded = draft.add("encode", "diffusion/encode")
    draft.take(f"{encoded}.autoencoder", "vae", value=False)
    draft.take(f"{encoded}.image", "pixels", value=False)
    place = f"{encoded}.latent"
    if draft.value("noise_mask", True) is True:
        masked = draft.add("masked", "diffusion/masked_latent")
        draft.link(f"{masked}.latent", place)
        draft.take(f"{masked}.mask", "mask", value=False)
        place = f"{masked}.latent"
    for slot, name in enumerate(("positive", "negative")):
        draft.pass_on(slot, name)
    _note_size(draft)
    draft.output(2, place)


def _note_size(draft: Draft) -> None:
    draft.note("the mask has to be as large as its picture here; ComfyUI scales it")
