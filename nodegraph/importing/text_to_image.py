"""A text-to-image workflow from the parameters of a picture that another program made.

What the nodes here have no equal for is not made up: the nearest is taken and named, or the field is left out and named.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

from nodegraph.graph import Catalog, Document
from nodegraph.graph.document import document_from
from nodegraph.graph.values import BadValue, accept
from nodegraph.importing.additions import Plan, add_clip_skip, add_loras, add_second_pass, loras_of
from nodegraph.importing.parameters import Parameters

# What each name of the web UI computes, and what comes nearest to it, in the order of preference. The first is the same.
SAMPLERS: Mapping[str, tuple[str, ...]] = {
    "euler": ("euler",),
    "euler a": ("euler_ancestral",),
    "heun": ("heun",),
    "dpm++ 2m": ("dpmpp_2m",),
    "ddim": ("ddim",),
    "dpm++ 2m sde": ("dpmpp_2m_sde", "dpmpp_2m"),
    "dpm++ 2m sde heun": ("dpmpp_2m_sde_heun", "dpmpp_2m_sde", "dpmpp_2m"),
    "dpm++ 3m sde": ("dpmpp_3m_sde", "dpmpp_2m_sde", "dpmpp_2m"),
    "dpm++ 2s a": ("dpmpp_2s_ancestral", "euler_ancestral"),
    "dpm++ sde": ("dpmpp_sde", "euler_ancestral"),
    "dpm2": ("dpm2", "heun"),
    "dpm2 a": ("dpm2_ancestral", "dpmpp_2s_ancestral"),
    "dpm fast": ("dpm_fast", "dpmpp_2m"),
    "dpm adaptive": ("dpm_adaptive", "dpmpp_2m"),
    "lms": ("lms", "euler"),
    "plms": ("plms", "ddim"),
    "unipc": ("uni_pc", "dpmpp_2m"),
    "ddim cfg++": ("ddim_cfgpp", "ddim"),
    "restart": ("restart", "heun"),
    "lcm": ("lcm", "euler_ancestral"),
}
SCHEDULES: Mapping[str, tuple[str, ...]] = {
    "uniform": ("normal",),
    "normal": ("normal",),
    "karras": ("karras",),
    "simple": ("simple",),
    "ddim": ("ddim_uniform",),
    "exponential": ("exponential", "karras"),
    "polyexponential": ("polyexponential", "karras"),
    "sgm uniform": ("sgm_uniform", "simple"),
    "kl optimal": ("kl_optimal", "karras"),
    "align your steps": ("align_your_steps", "karras"),
    "beta": ("beta_sigma", "beta"),
    "turbo": ("turbo", "simple"),
}
_OWN_KARRAS = frozenset({"dpm++ 2m", "dpm++ sde", "dpm++ 2s a", "dpm2", "dpm2 a", "dpm++ 2m sde", "dpm++ 3m sde"})
"""Samplers for which the web UI's schedule "Automatic" is not the model's own."""

_NETWORK = re.compile(r"<(?:lora|lyco|hypernet):([^:<>]{1,200})(?::[^<>]{0,200})?>")
_ALIKE = (
    "The web UI draws its noise on the graphics card unless told otherwise: expect a picture of the same kind, not the same "
    "picture."
)


class FromParameters(NamedTuple):
    """A document, and in words everything that it could not take over as it was."""

    document: Document
    notes: tuple[str, ...]


def from_parameters(found: Parameters, catalog: Catalog) -> FromParameters:
    """A text-to-image document with these parameters.

    It may lack its model, where the picture does not name it: validation says so.
    """
    making = _Making(catalog, list(found.unread))
    sampler, schedule = making.sampling(found)
    prompt, loras = loras_of(found.prompt)
    making.set("prompt", "text", prompt, "The prompt")
    making.set("negative", "text", found.negative_prompt, "The negative prompt")
    for node in ("noise", "begin"):
        making.set(node, "seed", found.seed, "Seed" if node == "noise" else "")
    making.set("noise", "width", found.width, "The width")
    making.set("noise", "height", found.height, "The height")
    making.set("schedule", "steps", found.steps, "Steps")
    for node in ("denoise", "prompt", "negative"):
        making.set(node, "steps", found.steps, "")
    making.set("guidance", "scale", found.guidance_scale, "CFG scale")
    making.set("model", "model", found.model, "Model")
    making.set("denoise", "sampler", sampler, "Sampler")
    making.set("schedule", "schedule", schedule, "Schedule type")
    plan = making.plan
    making.notes += add_loras(plan, loras)
    if found.clip_skip is not None and found.clip_skip > 1:
        making.notes += add_clip_skip(plan, found.clip_skip)
    making.remark(found, prompt, {lora.name for lora in loras}, twice=bool(found.hires) and add_second_pass(plan, found))
    nodes = {
        name: {
            "type": kind,
            **({"version": catalog.nodes[kind].version} if kind in catalog.nodes else {}),
            **({"inputs": plan.values[name]} if plan.values.get(name) else {}),
            **({"links": links} if links else {}),
        }
        for name, (kind, links) in plan.nodes.items()
    }
    interface = {**_INTERFACE, "inputs": plan.inputs}
    document = document_from(
        {"nodegraph": 1, "title": "Text to image", "nodes": nodes, "interface": interface, "layout": {"nodes": plan.places}}
    )
    return FromParameters(document, tuple(dict.fromkeys(making.notes)))


class _Making:
    """The values of the document's nodes as they come together, and the notes."""

    def __init__(self, catalog: Catalog, notes: list[str]) -> None:
        self._catalog, self.notes = catalog, notes
        values: dict[str, dict[str, Any]] = {"save": {"name": "{prompt}-{seed}-{digest}"}}
        self.plan = Plan(deepcopy(dict(_NODES)), values, deepcopy(_INTERFACE["inputs"]), deepcopy(_LAYOUT["nodes"]))

    def set(self, node: str, name: str, value: Any, called: str) -> None:
        """Set an input, where its node takes the value; else note it, if the field has a name."""
        if value is None:
            if called and name not in ("model", "sampler", "schedule"):
                self.notes.append(f"{called} is not said: the node's own is used.")
            return
        known = self._catalog.nodes.get(_NODES[node][0])
        spec = known.input_by_name.get(name) if known is not None else None
        try:
            accepted = value if spec is None else accept(spec, value)
        except BadValue as bad:
            if called:
                self.notes.append(f"{called} is {bad.got}, and here it is {bad.expected}: the node's own is used.")
        else:
            self.plan.values.setdefault(node, {})[name] = accepted

    def sampling(self, found: Parameters) -> tuple[str | None, str | None]:
        """The sampler and the schedule by our names. Older pictures have both in one: `DPM++ 2M Karras`."""
        said, spaced = found.sampler, found.schedule
        if said is None:
            self.notes.append("Sampler is not said: the node's own is used.")
        plain = (said or "").strip()
        for name in sorted(SCHEDULES, key=len, reverse=True):
            if plain.lower() not in SAMPLERS and plain.lower().endswith(f" {name}"):
                spaced, plain = spaced or plain[-len(name) :], plain[: -len(name) - 1]
                break
        sampler = self._nearest("Sampler", plain, SAMPLERS, "denoise", "sampler") if plain else None
        return sampler, self._schedule(spaced, plain.lower())

    def _schedule(self, said: str | None, sampler: str) -> str | None:
        if said is None:
            return "ddim_uniform" if sampler in ("ddim", "plms") else "normal"
        if said.lower() == "automatic":
            schedule = "karras" if sampler in _OWN_KARRAS else "ddim_uniform" if sampler in ("ddim", "plms") else "normal"
            if schedule != "normal":
                self.notes.append(f"Schedule type is Automatic: {schedule}, as the web UI takes with this sampler.")
            return schedule
        return self._nearest("Schedule type", said, SCHEDULES, "schedule", "schedule")

    def _nearest(self, called: str, said: str, table: Mapping[str, tuple[str, ...]], node: str, name: str) -> str | None:
        """Our name for one of theirs: the first in the table that the node here takes."""
        known = self._catalog.nodes.get(_NODES[node][0])
        spec = known.input_by_name.get(name) if known is not None else None
        choices = (spec.schema or {}).get("enum", ()) if spec is not None else ()
        wanted = table.get(said.lower(), ())
        found = next((choice for choice in wanted if choice in choices), None)
        if found is None:
            own = spec.default if spec is not None else None
            self.notes.append(f"{called} {said!r} is not known here: {own} is used.")
        elif found != wanted[0]:
            self.notes.append(f"{called} {said!r} is not here: {found} is the nearest.")
        return found

    def remark(self, found: Parameters, prompt: str, loaded: Collection[str], *, twice: bool) -> None:
        """Say what of the fields has no place in the document.

        prompt: it without the LoRA that are `loaded`; twice: there is a second pass, for which the denoising strength is.
        """
        note = self.notes.append
        if found.model is None:
            note("The model is not named: set it with --model.")
        if found.model_hash:
            what = "the model" if found.model is None else f"the model {found.model}"
            note(f"The hash of {what} was {found.model_hash}; it is not compared with the file here.")
        fields = ", ".join(f"{name}: {value}" for name, value in found.hires.items())
        if found.hires and not twice:
            note(f"The picture had a second pass at a larger size, which is left out (Hires {fields}).")
        if twice:
            note(f"The second pass at a larger size is made of nodes (Hires {fields}); its steps do not follow the first's.")
        elif found.denoising_strength is not None:
            part = (
                "It belongs to that pass."
                if found.hires
                else "The picture was made from another one, which is not inside; this starts from noise."
            )
            note(f"Denoising strength {found.denoising_strength:g} is left out. {part}")
        if found.ensd:
            note(f"ENSD {found.ensd} is left out: it changes the noise that ancestral samplers add.")
        for name, digest in found.lora_hashes.items():
            if name in loaded:
                note(f"The hash of the LoRA {name} was {digest}; it is not compared with the file here.")
            else:
                note(f"The LoRA {name} (hash {digest}) is left out.")
        for text in (prompt, found.negative_prompt):
            for name in dict.fromkeys(_NETWORK.findall(text)):
                note(f"The prompt calls for {name!r} in angle brackets, which is left out here.")
        for name, value in found.extra.items():
            note(f"{name} is left out: {value if len(value) <= 100 else value[:97] + '...'}")
        note(_ALIKE)


_NODES: Mapping[str, tuple[str, dict[str, str]]] = {
    "model": ("diffusion/load_model", {}),
    "prompt": ("diffusion/encode_prompt", {"encoder": "model.text_encoder"}),
    "negative": ("diffusion/encode_prompt", {"encoder": "model.text_encoder"}),
    "guidance": ("diffusion/guidance", {"positive": "prompt.conditioning", "negative": "negative.conditioning"}),
    "noise": ("diffusion/sample_noise", {"denoiser": "model.denoiser"}),
    "schedule": ("diffusion/noise_schedule", {"denoiser": "model.denoiser"}),
    "begin": ("diffusion/begin_denoise", {"noise": "noise.latent", "schedule": "schedule.schedule"}),
    "denoise": (
        "diffusion/denoise",
        {
            "denoiser": "model.denoiser",
            "state": "begin.denoise_state",
            "schedule": "schedule.schedule",
            "guidance": "guidance.guidance",
        },
    ),
    "decode": ("diffusion/decode", {"autoencoder": "model.autoencoder", "latent": "denoise.latent"}),
    "save": ("image/save_image", {"image": "decode.image"}),
}
_INTERFACE: dict[str, Any] = {
    "inputs": {
        "prompt": {"to": ["prompt.text"], "title": "Prompt"},
        "negative_prompt": {"to": ["negative.text"], "title": "Negative prompt"},
        "seed": {"to": ["noise.seed", "begin.seed"], "title": "Seed"},
        "steps": {"to": ["schedule.steps", "denoise.steps", "prompt.steps", "negative.steps"], "title": "Steps"},
        "guidance_scale": {"to": ["guidance.scale"], "title": "Guidance scale"},
        "sampler": {"to": ["denoise.sampler"], "title": "Sampler"},
        "schedule": {"to": ["schedule.schedule"], "title": "Schedule"},
        "width": {"to": ["noise.width"], "title": "Width"},
        "height": {"to": ["noise.height"], "title": "Height"},
        "model": {"to": ["model.model"], "title": "Model"},
    },
    "outputs": {"image": "save.file"},
}
_LAYOUT: dict[str, Any] = {
    "nodes": {
        "model": [0, 0],
        "prompt": [280, -120],
        "negative": [280, 40],
        "noise": [280, 200],
        "schedule": [280, 380],
        "guidance": [560, -60],
        "begin": [560, 240],
        "denoise": [840, 40],
        "decode": [1120, 40],
        "save": [1400, 40],
    }
}
