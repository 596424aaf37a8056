"""What a picture's parameters add to the plain text-to-image workflow: LoRA, clip skip, a second pass at a larger size."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from nodegraph.importing.parameters import Parameters

_TAG = re.compile(r"<(?:lora|lyco):([^:<>]{1,200})((?::[^:<>]{0,50}){0,6})>")
_MOST_LORAS = 32
_HEAVIEST = 10.0
_LONGEST_SKIP = 12
_LONGEST_SCHEDULE = 1000
_FULL = 0.999  # the web UI takes no larger denoising strength
_LATENT_UPSCALERS = {
    "Latent": "bilinear",
    "Latent (antialiased)": "bilinear",
    "Latent (bicubic)": "bicubic",
    "Latent (nearest-exact)": "nearest",
}
"""The web UI's ways to enlarge a latent, by ours. To antialias changes nothing where a latent grows."""
_HIRES_FIELDS = frozenset({"upscale", "upscaler", "steps"})


@dataclass(slots=True)
class Plan:
    """A document in the making: nodes with their types and links, the interface's inputs, and where nodes stand."""

    nodes: dict[str, tuple[str, dict[str, str]]]
    values: dict[str, dict[str, Any]]
    inputs: dict[str, dict[str, Any]]
    places: dict[str, list[int]]

    def add(self, name: str, kind: str, links: dict[str, str], values: dict[str, Any], place: list[int]) -> None:
        self.nodes[name], self.places[name] = (kind, links), place
        if values:
            self.values.setdefault(name, {}).update(values)

    def reroute(self, old: str, new: str) -> None:
        """Whatever reads one output reads another, but for that other's own node."""
        for name, (_, links) in self.nodes.items():
            if name != new.partition(".")[0]:
                links.update({key: new for key, place in links.items() if place == old})


class Lora(NamedTuple):
    """A LoRA as a prompt calls it, with its weights for the denoiser and the text encoder."""

    name: str
    weight: float
    text_weight: float


def loras_of(prompt: str) -> tuple[str, list[Lora]]:
    """A prompt without the LoRA that can be loaded, and these, in order.

    `<lora:NAME:TEXT:DENOISER>`; where the second weight is not said it is the first, and 1 without any.
    """
    found: list[Lora] = []

    def take(match: re.Match[str]) -> str:
        words = [word.strip() for word in match[2].split(":")[1:]]
        named = {key.strip(): value for key, _, value in (word.partition("=") for word in words if "=" in word)}
        plain = [word for word in words if "=" not in word]
        try:
            text = float(named.pop("te", plain[0] if plain else "1"))
            lora = Lora(match[1].strip(), float(named.pop("unet", plain[1] if len(plain) > 1 else text)), text)
        except ValueError:
            return match[0]
        usual = all(-_HEAVIEST <= weight <= _HEAVIEST for weight in lora[1:])
        if not usual or named or not lora.name or len(plain) > 2 or len(found) == _MOST_LORAS:
            return match[0]
        found.append(lora)
        return ""

    return _TAG.sub(take, prompt), found


def add_loras(plan: Plan, loras: list[Lora]) -> list[str]:
    """Put LoRA on the model, one after the other."""
    notes = []
    denoiser, encoder = "model.denoiser", "model.text_encoder"
    for i, lora in enumerate(loras):
        name = "lora" if i == 0 else f"lora_{i + 1}"
        values = {"lora": lora.name, "weight": lora.weight}
        if lora.text_weight != lora.weight:
            values["text_weight"] = lora.text_weight
        place = [140, 340 + 160 * i]
        plan.reroute(denoiser, f"{name}.denoiser")
        plan.reroute(encoder, f"{name}.text_encoder")
        plan.add(name, "diffusion/apply_lora", {"denoiser": denoiser, "text_encoder": encoder}, values, place)
        denoiser, encoder = f"{name}.denoiser", f"{name}.text_encoder"
        notes.append(f"The LoRA {lora.name} is loaded by a node, from the file of that name in a folder of LoRA.")
    return notes


def add_clip_skip(plan: Plan, clip_skip: int) -> list[str]:
    """The web UI counts from 1, the last layer itself."""
    if clip_skip > _LONGEST_SKIP:
        return [f"Clip skip {clip_skip} is left out: the web UI's ends at {_LONGEST_SKIP}."]
    encoder = plan.nodes["prompt"][1]["encoder"]
    plan.reroute(encoder, "clip_skip.text_encoder")
    plan.add("clip_skip", "diffusion/clip_skip", {"encoder": encoder}, {"skip": clip_skip - 1}, [140, 200])
    return [f"Clip skip {clip_skip} pays no attention to Stable Diffusion XL in the web UI: for such a model set skip to 0."]


def add_second_pass(plan: Plan, found: Parameters) -> bool:
    """The web UI's "Hires fix", where it enlarges the latent: of a schedule of steps / strength steps, the last `steps`.

    False where it is another kind, or not all is known.
    """
    method = _LATENT_UPSCALERS.get(found.hires.get("upscaler", ""))
    factor, steps, strength = (
        _number(found.hires.get("upscale")),
        _number(found.hires.get("steps", "0")),
        found.denoising_strength,
    )
    if method is None or factor is None or steps is None or strength is None or found.hires.keys() - _HIRES_FIELDS:
        return False
    taken = int(steps) or found.steps or 0
    if not 1 <= factor <= 8 or not 0 < strength <= 1 or taken < 1 or taken / min(strength, _FULL) > _LONGEST_SCHEDULE:
        return False
    total = math.floor(taken / min(strength, _FULL))
    denoiser = plan.nodes["denoise"][1]["denoiser"]
    plan.nodes["decode"][1]["latent"] = "denoise_2.latent"
    inputs = {"factor": factor, "method": method}
    plan.add("larger", "upscale/upscale_latent", {"latent": "denoise.latent"}, inputs, [840, 280])
    plan.add("noise_2", "diffusion/noise_like", {"latent": "larger.latent"}, {}, [840, 420])
    plan.add("schedule_2", "diffusion/noise_schedule", {"denoiser": denoiser}, {"steps": total}, [840, 560])
    links = {"noise": "noise_2.latent", "schedule": "schedule_2.schedule", "latent": "larger.latent"}
    plan.add("begin_2", "diffusion/begin_denoise", links, {"first_step": total - taken}, [1120, 420])
    links = {"denoiser": denoiser, "state": "begin_2.denoise_state", "schedule": "schedule_2.schedule"}
    links["guidance"] = "guidance.guidance"
    plan.add("denoise_2", "diffusion/denoise", links, {"steps": taken}, [1120, 240])
    for first, second in (("noise", "noise_2"), ("begin", "begin_2"), ("denoise", "denoise_2"), ("schedule", "schedule_2")):
        shared = {key: plan.values.get(first, {}).get(key) for key in ("seed", "sampler", "schedule")}
        plan.values.setdefault(second, {}).update({key: value for key, value in shared.items() if value is not None})
    for name, places in {
        "seed": ["noise_2.seed", "begin_2.seed"],
        "sampler": ["denoise_2.sampler"],
        "schedule": ["schedule_2.schedule"],
    }.items():
        plan.inputs[name]["to"] += places
    return True


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) < 1e6 else None
