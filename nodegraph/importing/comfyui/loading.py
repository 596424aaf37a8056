"""Models."""

from __future__ import annotations

from functools import partial

from nodegraph.importing.comfyui.draft import Draft


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
    if path.lower().endswith((".ckpt", ".pt", ".bin")):
        draft.note("models in pickle files are refused here: convert it to safetensors")
    return path
