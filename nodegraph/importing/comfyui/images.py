"""Pictures: files, sizes, and the way into latents and back."""

from __future__ import annotations

import re

from nodegraph.importing.comfyui.draft import Draft, Unmappable, whole
from nodegraph.importing.comfyui.sizes import picture_size
from nodegraph.importing.comfyui.source import Origin

_METHODS = {"nearest-exact": "nearest", "bilinear": "bilinear", "area": "area", "bicubic": "bicubic", "lanczos": "lanczos"}
_FOLDER = re.compile(r"^(?P<name>.*?)\s*\[(?P<folder>input|output|temp)\]$", re.DOTALL)
_TOKEN = re.compile(r"%[^%\s]+%")


def load_image(draft: Draft) -> None:
    """ComfyUI's mask is 1 where the picture is transparent, ours 1 where it is."""
    file = draft.add("image", "image/load_image")
    draft.take(f"{file}.path", "image", otherwise="", convert=lambda name: file_name(draft, name))
    draft.output(0, f"{file}.image")
    if draft.scope.graph.readers.get(Origin(draft.node.id, 1)):
        inverted = draft.add("mask", "mask/invert_mask")
        draft.link(f"{inverted}.mask", f"{file}.mask")
        draft.output(1, f"{inverted}.mask")
    draft.publish("image", "Image", "image")


def file_name(draft: Draft, name: object) -> object:
    """The name of a file of the input folder, as ours. Raises Unmappable for other folders."""
    if not isinstance(name, str):
        return name
    found = _FOLDER.match(name)
    if found is not None and found["folder"] != "input":
        raise Unmappable(f"it reads {name!r}: only the input folder is read here")
    plain = (found["name"] if found is not None else name).replace("\\", "/")
    if plain != name:
        draft.note(f"the file {name!r} is written {plain!r} here")
    return plain


def save_image(draft: Draft) -> None:
    saved = draft.add("save", "image/save_image")
    draft.take(f"{saved}.image", "images", value=False)
    prefix = draft.value("filename_prefix", "ComfyUI")
    text = prefix if isinstance(prefix, str) else "ComfyUI"
    if _TOKEN.search(text):
        draft.note(f"the file name {text!r} has fields of ComfyUI, which are written as they are; ours are such as {{seed}}")
    draft.set(f"{saved}.name", text.replace("{", "{{").replace("}", "}}") + "-{digest}")
    draft.show("image", f"{saved}.file")


def save_image_advanced(draft: Draft) -> None:
    if (found := draft.value("format", "png")) != "png":
        raise Unmappable(f"it saves as {found!r}, which it has no settings for here")
    if (depth := draft.value("format.bit_depth", "8-bit")) != "8-bit":
        raise Unmappable(f"it saves with {depth}, and pictures have 8 bits here")
    if (space := draft.value("format.input_color_space", "sRGB")) != "sRGB":
        raise Unmappable(f"it saves from the colour space {space}, and only sRGB is known here")
    save_image(draft)


def encode_picture(draft: Draft) -> None:
    encoded = draft.add("encode", "diffusion/encode")
    draft.take(f"{encoded}.autoencoder", "vae", value=False)
    draft.take(f"{encoded}.image", "pixels", value=False)
    draft.output(0, f"{encoded}.latent")


def decode_picture(draft: Draft) -> None:
    """Only latents that are known to be pictures': those of video and sound have other shapes."""
    if draft.linked("samples") and picture_size(draft, draft.node, "samples") is None:
        raise Unmappable("its latent comes from a node, or an outer input, that is not known: it may not be a picture's")
    decoded = draft.add("decode", "diffusion/decode")
    draft.take(f"{decoded}.autoencoder", "vae", value=False)
    draft.take(f"{decoded}.latent", "samples", value=False)
    draft.output(0, f"{decoded}.image")


def decode_tiled(draft: Draft) -> None:
    decode_picture(draft)
    draft.note("it decodes the picture whole, not in tiles: no seams, but more memory")


def encode_tiled(draft: Draft) -> None:
    encode_picture(draft)
    draft.note("it encodes the picture whole, not in tiles: no seams, but more memory")


def image_size(draft: Draft) -> None:
    if draft.scope.graph.readers.get(Origin(draft.node.id, 2)):
        raise Unmappable("its batch_size is used: here there are lists, whose length core/list_length says")
    measured = draft.add("size", "image/image_size")
    draft.take(f"{measured}.image", "image", value=False)
    draft.output(0, f"{measured}.width")
    draft.output(1, f"{measured}.height")


def scale_image(draft: Draft) -> None:
    sides = [draft.scope.constant(draft.node, side) for side in ("width", "height")]
    if all(whole(side) == 0 for side in sides):
        raise Unmappable("its width and height are both 0")
    resized = draft.add("resize", "image/resize_image")
    draft.take(f"{resized}.image", "image", value=False)
    for side in ("width", "height"):
        draft.take(f"{resized}.{side}", side, otherwise=512)
    _method(draft, resized)
    crop = draft.value("crop", "disabled")
    if crop not in ("disabled", "center"):
        raise Unmappable(f"the crop {crop!r} has no counterpart")
    draft.set(f"{resized}.fit", "cover" if crop == "center" else "stretch")
    draft.output(0, f"{resized}.image")


def scale_image_by(draft: Draft) -> None:
    """Width and height are rounded by themselves, as ComfyUI does."""
    measured, resized = draft.add("size", "image/image_size"), draft.add("resize", "image/resize_image")
    draft.main = resized
    draft.take(f"{measured}.image", "image", value=False)
    draft.take(f"{resized}.image", "image", value=False)
    for side in ("width", "height"):
        scaled, rounded = draft.add(f"scaled_{side}", "core/calculate"), draft.add(f"whole_{side}", "core/round_number")
        draft.link(f"{scaled}.a", f"{measured}.{side}")
        draft.set(f"{scaled}.operation", "multiply")
        draft.take(f"{scaled}.b", "scale_by", otherwise=1.0)
        draft.link(f"{rounded}.value", f"{scaled}.value")
        draft.link(f"{resized}.{side}", f"{rounded}.value")
    _method(draft, resized)
    draft.output(0, f"{resized}.image")


def _method(draft: Draft, resized: str) -> None:
    method = draft.value("upscale_method", "lanczos")
    if method not in _METHODS:
        raise Unmappable(f"the method {method!r} has no counterpart")
    draft.set(f"{resized}.method", _METHODS[method])
    if method in ("bilinear", "bicubic"):
        draft.note(f"{method} filters when it makes a picture smaller, where ComfyUI picks pixels: smoother here")
