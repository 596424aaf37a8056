"""Pictures: files, sizes, and the way into latents and back."""

from __future__ import annotations

import re

from nodegraph.importing.comfyui.draft import Draft, Unmappable, whole
from nodegraph.importing.comfyui.sizes import picture_size
from nodegraph.importing.comfyui.source import Origin

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


def encode_picture(draft: Draft, *, tiled: bool = False) -> None:
    encoded = draft.add("encode", "diffusion/encode")
    _autoencoder(draft, encoded, tiled)
    draft.take(f"{encoded}.image", "pixels", value=False)
    draft.output(0, f"{encoded}.latent")


def encode_tiled(draft: Draft) -> None:
    encode_picture(draft, tiled=True)


def decode_picture(draft: Draft, *, tiled: bool = False) -> None:
    """Only latents that are known to be pictures: those of video and sound have other shapes."""
    if draft.linked("samples") and picture_size(draft, draft.node, "samples") is None:
        raise Unmappable("its latent comes from a node, or an outer input, that is not known: it may not be a picture's")
    decoded = draft.add("decode", "diffusion/decode")
    _autoencoder(draft, decoded, tiled)
    draft.take(f"{decoded}.latent", "samples", value=False)
    draft.output(0, f"{decoded}.image")


def decode_tiled(draft: Draft) -> None:
    decode_picture(draft, tiled=True)


def _autoencoder(draft: Draft, reader: str, tiled: bool) -> None:
    """The autoencoder, in tiles where it is asked for. ComfyUI narrows an overlap that is above a quarter of the tile."""
    draft.main = reader
    if not tiled:
        draft.take(f"{reader}.autoencoder", "vae", value=False)
        return
    tiles = draft.add("tiles", "diffusion/tile_autoencoder")
    draft.take(f"{tiles}.autoencoder", "vae", value=False)
    draft.link(f"{reader}.autoencoder", f"{tiles}.autoencoder")
    side, overlap = whole(draft.value("tile_size", 512)), whole(draft.value("overlap", 64))
    if side is None or overlap is None:
        raise Unmappable("its tile_size or its overlap is no whole number")
    draft.take(f"{tiles}.width", "tile_size", otherwise=512)
    draft.take(f"{tiles}.height", "tile_size", otherwise=512)
    draft.take(f"{tiles}.overlap", "overlap", otherwise=64, convert=lambda _: min(overlap, side // 4))
    draft.note("ComfyUI takes the mean of three tilings, ours blends one: faint differences")


def image_size(draft: Draft) -> None:
    if draft.scope.graph.readers.get(Origin(draft.node.id, 2)):
        raise Unmappable("its batch_size is used: here there are lists, whose length core/list_length says")
    measured = draft.add("size", "image/image_size")
    draft.take(f"{measured}.image", "image", value=False)
    draft.output(0, f"{measured}.width")
    draft.output(1, f"{measured}.height")


def invert_image(draft: Draft) -> None:
    """A falling line as the curve of tones: 1 minus each value."""
    inverted = draft.add("inverted", "image/adjust_curve")
    draft.take(f"{inverted}.image", "image", value=False)
    draft.set(f"{inverted}.curve", [[0.0, 1.0], [1.0, 0.0]])
    draft.output(0, f"{inverted}.image")
