"""Models, and what is put on them: LoRA, autoencoders of their own, what a model predicts."""

from __future__ import annotations

import re
from functools import partial

from nodegraph.importing.comfyui.draft import Draft, Unmappable, number
from nodegraph.importing.comfyui.source import Origin, Outer, SourceNode

_PICKLES = (".ckpt", ".pt", ".pth", ".bin")
_TEXT_ENCODERS = {
    "CheckpointLoaderSimple": 1,
    **dict.fromkeys(("CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader", "QuadrupleCLIPLoader"), 0),
}
"""Nodes that load a text encoder, and the slot where it comes out."""
_OF_FAMILY = {
    "sdxl": re.compile(r"sdxl|(^|[-_/.])xl([-_.]|$)"),
    "sd1": re.compile(r"vae-ft-|kl-f8|sd-?v?1|840000|560000|orangemix|clearvae|blessed"),
}
"""What the names of well-known autoencoders hold. Those of Stable Diffusion 2 are those of 1."""
_FOREIGN = re.compile(r"^ae\.|^pixel_space$|tae|flux|wan|qwen|ltx|hunyuan|video|audio|cogvideo|mochi|cosmos")
_PREDICTIONS = {"eps": "epsilon", "v_prediction": "v"}
_SD3_SHIFT = 3.0
_FLUX_SHIFTS = (1.15, 0.5)


def load_checkpoint(draft: Draft) -> None:
    model = draft.add("model", "diffusion/load_model")
    draft.take(f"{model}.model", "ckpt_name", otherwise="", convert=partial(model_name, draft))
    for slot, output in enumerate(("denoiser", "text_encoder", "autoencoder")):
        draft.output(slot, f"{model}.{output}")
    draft.publish("model", "Model", "ckpt_name")


def model_name(draft: Draft, name: object) -> object:
    """A model's file as we name it, with notes on what differs."""
    if not isinstance(name, str):
        return name
    path = name.replace("\\", "/")
    if path != name:
        draft.note(f"the model {name!r} is written {path!r} here")
    if path.lower().endswith(_PICKLES):
        draft.note("models in pickle files are refused here: convert it to safetensors")
    return path


def load_autoencoder(draft: Draft) -> None:
    """Only where the file may be one of Stable Diffusion 1, 2 or XL: by its name, or because a checkpoint stands beside it."""
    name = draft.value("vae_name", "")
    plain = str(name).replace("\\", "/").lower()
    family = next((family for family, sign in _OF_FAMILY.items() if sign.search(plain)), None)
    types = {node.type for node in draft.scope.graph.nodes.values()}
    beside = "CheckpointLoaderSimple" in types and not types & {"UNETLoader", "CLIPLoader", "DualCLIPLoader"}
    if _FOREIGN.search(plain.rpartition("/")[2]) or (family is None and not beside):
        raise Unmappable(
            f"nothing says that {name!r} is an autoencoder of Stable Diffusion 1, 2 or XL, and others are not read yet"
        )
    loaded = draft.add("autoencoder", "diffusion/load_autoencoder")
    draft.take(f"{loaded}.model", "vae_name", convert=partial(model_name, draft))
    if family is not None:
        draft.set(f"{loaded}.family", family)
        draft.note(f"its family, {family}, is read off its name")
    else:
        draft.note("a single file does not say whose latents it makes: choose its family")
    draft.output(0, f"{loaded}.autoencoder")
    draft.publish("autoencoder", "Autoencoder", "vae_name")


def load_lora(draft: Draft) -> None:
    lora = _lora(draft)
    draft.take(f"{lora}.text_encoder", "clip", value=False)
    draft.take(f"{lora}.text_weight", "strength_clip", otherwise=1.0)
    draft.publish("lora_text_weight", "LoRA text weight", "strength_clip")
    draft.output(1, f"{lora}.text_encoder")


def load_lora_model_only(draft: Draft) -> None:
    """Ours wants a text encoder too, which stays as it is at a weight of 0: the model's own, or the only one there is."""
    lora = _lora(draft)
    place = _text_encoder(draft)
    if isinstance(place, Origin):
        draft.entries[lora].links["text_encoder"] = place
    else:
        draft.outer.setdefault(place.name, []).append(f"{lora}.text_encoder")
    draft.set(f"{lora}.text_weight", 0.0)


def _lora(draft: Draft) -> str:
    lora = draft.add("lora", "diffusion/apply_lora")
    draft.take(f"{lora}.denoiser", "model", value=False)
    draft.take(f"{lora}.lora", "lora_name", otherwise="", convert=partial(model_name, draft))
    draft.take(f"{lora}.weight", "strength_model", otherwise=1.0)
    draft.output(0, f"{lora}.denoiser")
    draft.publish("lora", "LoRA", "lora_name")
    draft.publish("lora_weight", "LoRA weight", "strength_model")
    return lora


def _text_encoder(draft: Draft) -> Origin | Outer:
    """The text encoder that goes with the model, which has to be known but is not changed."""
    graph = draft.scope.graph
    known = {name: node for name, node in graph.nodes.items() if node.type in _TEXT_ENCODERS and node.mode == "active"}
    source = model_source(draft, draft.node)
    if source is not None and source.id in known:
        return Origin(source.id, _TEXT_ENCODERS[source.type])
    outer = [Outer(item.name) for item in graph.inputs if item.type == "CLIP"]
    if len(known) + len(outer) != 1:
        raise Unmappable("ours reads the model's text encoder too, and which one that is cannot be said")
    return outer[0] if outer else next(Origin(name, _TEXT_ENCODERS[node.type]) for name, node in known.items())


def model_source(draft: Draft, node: SourceNode) -> SourceNode | None:
    """The node that a model comes from, through all that is put on it."""
    seen = {node.id}
    while (found := draft.scope.wiring.origin(node, "model")) is not None and found.id not in seen:
        seen.add(found.id)
        node = found
    return node if "model" not in node.input_by_name else None


def model_sampling(draft: Draft) -> None:
    prediction = draft.value("sampling", "eps")
    if prediction not in _PREDICTIONS:
        raise Unmappable(f"the sampling {prediction!r} has no counterpart")
    told = draft.add("predicts", "diffusion/set_prediction")
    draft.take(f"{told}.denoiser", "model", value=False)
    draft.take(f"{told}.prediction", "sampling", otherwise="eps", convert=lambda value: _PREDICTIONS[str(value)])
    draft.take(f"{told}.zero_terminal_snr", "zsnr", otherwise=False)
    draft.output(0, f"{told}.denoiser")


def shift_sd3(draft: Draft) -> None:
    shift = number(draft.value("shift", _SD3_SHIFT))
    if shift != _SD3_SHIFT:
        raise Unmappable(f"its shift is {shift}: here a model keeps its own, which for Stable Diffusion 3 is 3")
    if "sd3" not in _file(draft):
        raise Unmappable("its shift is 3, and nothing says that its model is Stable Diffusion 3, which has that by itself")
    draft.note("a shift of 3 is what Stable Diffusion 3 has by itself")
    draft.pass_on(0, "model")


def shift_flux(draft: Draft) -> None:
    shifts = tuple(number(draft.value(name, own)) for name, own in zip(("max_shift", "base_shift"), _FLUX_SHIFTS, strict=True))
    if shifts != _FLUX_SHIFTS:
        raise Unmappable(f"its shifts are {shifts[0]} and {shifts[1]}: here a model keeps its own, for FLUX.1 dev 1.15 and 0.5")
    if "flux" not in _file(draft):
        raise Unmappable("its shifts are FLUX.1's own, and nothing says that its model is FLUX.1")
    draft.note("FLUX.1 shifts like this by itself: link the noise to `latent` of the schedule, so that it knows the size")
    draft.pass_on(0, "model")


def _file(draft: Draft) -> str:
    source = model_source(draft, draft.node)
    names = [source.values.get(name) for name in ("ckpt_name", "unet_name")] if source is not None else []
    return next((name.lower() for name in names if isinstance(name, str)), "")


def differential(draft: Draft) -> None:
    if (strength := number(draft.value("strength", 1.0))) != 1:
        raise Unmappable(f"its strength is {strength}: every run with a mask is one of differential diffusion here, wholly")
    draft.note("every run with a mask is one of differential diffusion here")
    draft.pass_on(0, "model")
