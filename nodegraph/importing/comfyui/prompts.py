"""Prompts: encoded, blended, combined, timed."""

from __future__ import annotations

import re

from nodegraph.importing.comfyui.draft import Draft, Unmappable, number, whole

_EMBEDDING = re.compile(r"\bembedding:([^\s,()\[\]|:<>\\]+)")
_ESCAPES = re.compile(r"\\[()]")
_HOPS = 8


def encode_text(draft: Draft) -> None:
    """A prompt; the embeddings that it calls are loaded into its text encoder."""
    role = _role(draft)
    prompt = draft.add(role or "prompt", "diffusion/encode_prompt")
    reader = prompt
    for name in reversed(_embeddings(draft)):
        word = draft.add("embedding", "diffusion/load_embedding")
        draft.set(f"{word}.embedding", f"{name}.safetensors")
        draft.set(f"{word}.word", name)
        draft.link(f"{reader}.encoder", f"{word}.text_encoder")
        reader = word
        draft.note(f"the embedding {name} is loaded by a node here: it has to be a .safetensors file")
    draft.main = prompt
    draft.take(f"{reader}.encoder", "clip", value=False)
    draft.take(f"{prompt}.text", "text", otherwise="")
    draft.set(f"{prompt}.weights", "comfy")
    draft.output(0, f"{prompt}.conditioning")
    named = {"positive": ("prompt", "Prompt"), "negative": ("negative_prompt", "Negative prompt")}
    draft.publish(*named.get(role, ("prompt", "Prompt")), "text")
    text = draft.scope.constant(draft.node, "text")
    if isinstance(text, str) and _is_unbalanced(text):
        draft.note("its brackets do not close, which is an error here: write \\( for one that is only text")


def _embeddings(draft: Draft) -> list[str]:
    """The embeddings that a typed prompt calls, each once."""
    text = draft.scope.constant(draft.node, "text")
    names = (name.rstrip(".;!?'\"") for name in _EMBEDDING.findall(text)) if isinstance(text, str) else ()
    return list(dict.fromkeys(name.removesuffix(".safetensors").removesuffix(".pt") for name in names))


def _is_unbalanced(text: str) -> bool:
    depth = 0
    for letter in _ESCAPES.sub("", text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            return True
    return depth != 0


def blend(draft: Draft) -> None:
    made = draft.add("blend", "diffusion/blend_prompts")
    draft.take(f"{made}.a", "conditioning_from", value=False)
    draft.take(f"{made}.b", "conditioning_to", value=False)
    draft.take(f"{made}.weight", "conditioning_to_strength", otherwise=1.0)
    draft.output(0, f"{made}.conditioning")
    draft.note("prompts of different numbers of tokens are refused here, where ComfyUI fills up with zeros")


def combine(draft: Draft) -> None:
    made = draft.add("combine", "diffusion/combine_prompts")
    draft.gather(f"{made}.prompts", "conditioning_1", "conditioning_2")
    draft.set(f"{made}.how", "mean")
    draft.output(0, f"{made}.conditioning")


def concat(draft: Draft) -> None:
    made = draft.add("concat", "diffusion/concat_prompts")
    draft.take(f"{made}.a", "conditioning_to", value=False)
    draft.take(f"{made}.b", "conditioning_from", value=False)
    draft.output(0, f"{made}.conditioning")


def set_time(draft: Draft) -> None:
    start, end = number(draft.value("start", 0.0)), number(draft.value("end", 1.0))
    if start is None or end is None or start >= end:
        raise Unmappable("its time ends before it begins")
    made = draft.add("time", "diffusion/time_prompt")
    draft.take(f"{made}.prompt", "conditioning", value=False)
    draft.take(f"{made}.start", "start", otherwise=0.0)
    draft.take(f"{made}.end", "end", otherwise=1.0)
    draft.output(0, f"{made}.conditioning")
    draft.note("start and end are shares of the steps here, and of the model's timesteps in ComfyUI")


def set_last_layer(draft: Draft) -> None:
    layer = whole(draft.value("stop_at_clip_layer", -1))
    if layer is None or layer >= 0:
        raise Unmappable("it counts layers from the first, and here they are counted from the last")
    made = draft.add("clip_skip", "diffusion/clip_skip")
    draft.take(f"{made}.encoder", "clip", value=False)
    draft.take(f"{made}.skip", "stop_at_clip_layer", otherwise=-1, convert=lambda value: -1 - (whole(value) or -1))
    draft.output(0, f"{made}.text_encoder")
    if layer == -2:
        draft.note("SDXL leaves out its last layer by itself: there, set skip to 0")


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
