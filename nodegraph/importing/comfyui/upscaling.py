"""Other sizes: pictures by a filter or a network, latents by a filter."""

from __future__ import annotations

from functools import partial

from nodegraph.importing.comfyui.draft import Draft, Unmappable, number, whole
from nodegraph.importing.comfyui.loading import model_name
from nodegraph.importing.comfyui.sizes import picture_size

_METHODS = {"nearest-exact": "nearest", "bilinear": "bilinear", "area": "area", "bicubic": "bicubic", "lanczos": "lanczos"}
_LATENT_METHODS = {"nearest-exact": "nearest", "bilinear": "bilinear", "bicubic": "bicubic"}
_MEGAPIXEL = 1024.0 * 1024


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
    """Width and height are rounded by themselves in both."""
    scaled = draft.add("scale", "upscale/scale_image")
    draft.take(f"{scaled}.image", "image", value=False)
    draft.take(f"{scaled}.factor", "scale_by", otherwise=1.0)
    _method(draft, scaled)
    draft.output(0, f"{scaled}.image")


def scale_to_total_pixels(draft: Draft) -> None:
    """The factor is the root of the wanted number of pixels by that of the picture."""
    if not draft.linked("megapixels") and (number(draft.value("megapixels", 1.0)) or 0) <= 0:
        raise Unmappable("its megapixels are no number above 0")
    measured, scaled = draft.add("size", "image/image_size"), draft.add("scale", "upscale/scale_image")
    draft.main = scaled
    area, ratio, factor = (draft.add(name, "core/calculate") for name in ("area", "ratio", "factor"))
    for place in (measured, scaled):
        draft.take(f"{place}.image", "image", value=False)
    draft.link(f"{area}.a", f"{measured}.width")
    draft.set(f"{area}.operation", "multiply")
    draft.link(f"{area}.b", f"{measured}.height")
    wanted, pixels = draft.add("wanted", "core/calculate"), draft.add("pixels", "core/round_number")
    draft.take(f"{wanted}.a", "megapixels", otherwise=1.0)
    draft.set(f"{wanted}.operation", "multiply")
    draft.set(f"{wanted}.b", _MEGAPIXEL)
    draft.link(f"{pixels}.value", f"{wanted}.value")
    draft.set(f"{pixels}.how", "down")
    draft.link(f"{ratio}.a", f"{pixels}.value")
    draft.set(f"{ratio}.operation", "divide")
    draft.link(f"{ratio}.b", f"{area}.value")
    draft.link(f"{factor}.a", f"{ratio}.value")
    draft.set(f"{factor}.operation", "power")
    draft.set(f"{factor}.b", 0.5)
    draft.link(f"{scaled}.factor", f"{factor}.value")
    draft.take(f"{scaled}.multiple", "resolution_steps", otherwise=1)
    _method(draft, scaled)
    draft.output(0, f"{scaled}.image")


def _method(draft: Draft, resized: str) -> None:
    method = draft.value("upscale_method", "lanczos")
    if method not in _METHODS:
        raise Unmappable(f"the method {method!r} has no counterpart")
    draft.set(f"{resized}.method", _METHODS[method])
    if method in ("bilinear", "bicubic"):
        draft.note(f"{method} filters when it makes a picture smaller, where ComfyUI picks pixels: smoother here")


def load_upscaler(draft: Draft) -> None:
    loaded = draft.add("upscaler", "upscale/load_upscaler")
    draft.take(f"{loaded}.model", "model_name", otherwise="", convert=partial(model_name, draft))
    draft.output(0, f"{loaded}.upscaler")
    draft.publish("upscaler", "Upscaler", "model_name")


def upscale_with_model(draft: Draft) -> None:
    """Windows of 512 pixels with 32 in common, in both."""
    larger = draft.add("upscale", "upscale/upscale_image")
    draft.take(f"{larger}.upscaler", "upscale_model", value=False)
    draft.take(f"{larger}.image", "image", value=False)
    draft.output(0, f"{larger}.image")


def upscale_latent_by(draft: Draft) -> None:
    larger = _larger_latent(draft)
    draft.take(f"{larger}.factor", "scale_by", otherwise=1.5)
    factor = number(draft.scope.constant(draft.node, "scale_by"))
    if factor is None or factor < 1:
        _note_smaller(draft)


def upscale_latent(draft: Draft) -> None:
    """By the factor that its width and height come to, where the size of what it reads is known."""
    wanted = [whole(draft.value(side, 512)) or 0 for side in ("width", "height")]
    source = picture_size(draft, draft.node, "samples")
    given = [draft.scope.constant(source.node, side) for side in ("width", "height")] if source and not source.pixels else []
    latents = [round((whole(side) or 0) // 8 * source.scale) for side in given] if source else []
    if len(latents) != 2 or min(latents) < 1:
        raise Unmappable("the size of the latent that it reads is not known here, so that no factor can be said")
    pairs = [(max(8, side) // 8, old) for side, old in zip(wanted, latents, strict=True) if side]
    if not pairs:
        raise Unmappable("its width and height are both 0")
    factor = pairs[0][0] / pairs[0][1]
    if any(round(old * factor) != new for new, old in pairs):
        raise Unmappable("its width and its height grow by different factors, and ours has one")
    larger = _larger_latent(draft)
    draft.set(f"{larger}.factor", factor)
    if factor < 1:
        _note_smaller(draft)
    draft.note(f"a width of {wanted[0]} and a height of {wanted[1]} are a factor of {factor:g}, which no longer follows them")


def _larger_latent(draft: Draft) -> str:
    method = draft.value("upscale_method", "nearest-exact")
    if method not in _LATENT_METHODS:
        raise Unmappable(f"the method {method!r} has no counterpart (there are {', '.join(_LATENT_METHODS)})")
    larger = draft.add("larger", "upscale/upscale_latent")
    draft.take(f"{larger}.latent", "samples", value=False)
    draft.set(f"{larger}.method", _LATENT_METHODS[method])
    draft.output(0, f"{larger}.latent")
    return larger


def _note_smaller(draft: Draft) -> None:
    draft.note("a latent that becomes smaller is filtered here, where ComfyUI picks: smoother here")
