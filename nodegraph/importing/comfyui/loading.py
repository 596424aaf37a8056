"""Models and prompts."""

from __future__ import annotations

import re
from functools import partial

from nodegraph.importing.comfyui.draft import Draft

_WEIGHTS = re.compile(r"(?<!\\)\(.*?(?<!\\)\)", re.DOTALL)
_EMBEDDING = re.compile(r"\bembedding:")
_LONG = 60  # words: about what CLIP's 75 tokens hold
_HOPS = 8


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


def encode_text(draft: Draft) -> None:
    role = _role(draft)
    prompt = draft.add(role or "prompt", "diffusion/encode_prompt")
    draft.take(f"{prompt}.encoder", "clip", value=False)
    draft.take(f"{prompt}.text", "text", otherwise="")
    draft.output(0, f"{prompt}.conditioning")
    named = {"positive": ("prompt", "Prompt"), "negative": ("negative_prompt", "Negative prompt")}
    draft.publish(*named.get(role, ("prompt", "Prompt")), "text")
    text = draft.scope.constant(draft.node, "text")
    if not isinstance(text, str):
        return
    if _WEIGHTS.search(text):
        draft.note("weights such as (word:1.2) are not understood yet: the brackets are read as text")
    elif "\\" in text:
        draft.note("backslashes are read as text, where ComfyUI takes them as escapes")
    if _EMBEDDING.search(text):
        draft.note("embeddings are not understood yet: embedding:NAME is read as text")
    if len(text.split()) > _LONG:
        draft.note("ComfyUI reads long prompts in pieces of 75 tokens; here a model that reads 77 ignores the rest")


def _role(draft: Draft) -> str:
    """`positive` or `negative`, by the first input of that name that the conditioning comes to; else nothing."""
    level, seen = [draft.node.id], {draft.node.id}
    for _ in range(_HOPS):
        readers = [reader for node in level for reader in draft.scope.wiring.readers.get(node, ())]
        for reader in readers:
            if reader.input in ("positive", "negative"):
                return reader.input
        level = [reader.node for reader in readers if reader.node not in seen and _gives_conditioning(draft, reader.node)]
        seen.update(level)
    return ""


def _gives_conditioning(draft: Draft, node: str) -> bool:
    outputs = draft.scope.graph.nodes[node].outputs
    return bool(outputs) and outputs[0].type in ("CONDITIONING", "GUIDER")
