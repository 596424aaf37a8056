"""Schedules: the nodes of ComfyUI that give SIGMAS, as our noise schedules."""

from __future__ import annotations

import math
import re
from itertools import pairwise

from nodegraph.importing.comfyui.draft import Draft, Unmappable, number, whole
from nodegraph.importing.comfyui.patches import take_model
from nodegraph.importing.comfyui.source import SourceNode

SCHEDULES = {
    "normal": "normal",
    "karras": "karras",
    "exponential": "exponential",
    "simple": "simple",
    "sgm_uniform": "sgm_uniform",
    "ddim_uniform": "ddim_uniform",
    "beta": "beta",
    "kl_optimal": "kl_optimal",
}
_SHAPED = {
    "KarrasScheduler": ("karras", {"sigma_max": 14.614642, "sigma_min": 0.0291675, "rho": 7.0}),
    "ExponentialScheduler": ("exponential", {"sigma_max": 14.614642, "sigma_min": 0.0291675}),
    "PolyexponentialScheduler": ("polyexponential", {"sigma_max": 14.614642, "sigma_min": 0.0291675, "rho": 1.0}),
}
"""Schedules from a highest to a lowest level: ours, and ComfyUI's defaults."""
SIGMAS = ("BasicScheduler", "BetaSamplingScheduler", *_SHAPED, "ManualSigmas", "SDTurboScheduler")
"""Classes that become part of the sampler that reads them."""
_BETA = 0.6
_TURBO_STEPS = 10


def add_schedule(draft: Draft, source: SourceNode, guider: SourceNode, *, spread: bool = True) -> str:
    """The schedule of a run. guider: the node whose model it is, where `source` names none; spread: its steps are those of
    the source.
    """
    if source.type == "ManualSigmas":
        return _custom(draft, source, guider)
    schedule = draft.add("schedule", "diffusion/noise_schedule")
    take_model(draft, f"{schedule}.denoiser", source if "model" in source.input_by_name else guider)
    if source.type in _SHAPED:
        name, levels = _SHAPED[source.type]
        draft.set(f"{schedule}.schedule", name)
        for key, usual in levels.items():
            draft.take(f"{schedule}.{key}", key, of=source, otherwise=usual)
    elif source.type == "BetaSamplingScheduler":
        shape = [number(draft.value(name, _BETA, of=source)) for name in ("alpha", "beta")]
        if shape != [_BETA, _BETA]:
            raise Unmappable(f"its alpha and beta are {shape[0]} and {shape[1]}, and here both are {_BETA}")
        draft.set(f"{schedule}.schedule", "beta")
    elif source.type == "SDTurboScheduler":
        draft.set(f"{schedule}.schedule", "simple")
        draft.set(f"{schedule}.steps", _TURBO_STEPS)
        return schedule
    else:
        draft.take(f"{schedule}.schedule", "scheduler", of=source, convert=_name_of_schedule)
        if draft.scope.constant(source, "scheduler") == "ddim_uniform":
            _note_ddim_uniform(draft, source)
        draft.publish("schedule", "Schedule", "scheduler", of=source)
    if spread:
        draft.take(f"{schedule}.steps", "steps", of=source, otherwise=20)
    return schedule


def _name_of_schedule(value: object) -> str:
    if not isinstance(value, str) or value not in SCHEDULES:
        raise Unmappable(f"the scheduler {value!r} has no counterpart yet (there are {', '.join(SCHEDULES)})")
    return SCHEDULES[value]


def _custom(draft: Draft, source: SourceNode, guider: SourceNode) -> str:
    schedule = draft.add("schedule", "diffusion/custom_schedule")
    take_model(draft, f"{schedule}.denoiser", guider)
    levels = manual_levels(draft, source)
    draft.take(f"{schedule}.sigmas", "sigmas", of=source, convert=lambda _: levels)
    return schedule


def manual_levels(draft: Draft, source: SourceNode) -> list[float]:
    """The noise levels that a ManualSigmas says. Raises Unmappable where they do not fall to 0."""
    text = draft.value("sigmas", "1, 0.5", of=source)
    levels = [float(found) for found in re.findall(r"[-+]?(?:\d*\.*\d+)", str(text)) if found.count(".") < 2]
    falling = all(high > low for high, low in pairwise(levels))
    if len(levels) < 2 or not falling or levels[-1] != 0:
        raise Unmappable(f"its noise levels {text!r} do not fall to 0")
    return levels


def fixed_stretch(draft: Draft, source: SourceNode) -> tuple[int, int] | None:
    """The steps of the schedule that are taken, from one to before another, where the source's class says so itself.

    SDTurboScheduler takes some of ten steps that are spread evenly over the training steps, then jumps to the clean picture.
    """
    if source.type == "ManualSigmas":
        return 0, len(manual_levels(draft, source)) - 1
    if source.type != "SDTurboScheduler":
        return None
    steps, share = whole(draft.value("steps", 1, of=source)), number(draft.value("denoise", 1.0, of=source))
    if steps is None or share is None or steps < 1 or not 0 < share <= 1:
        raise Unmappable("its steps or its denoise leave nothing to do")
    first = _TURBO_STEPS - math.floor(_TURBO_STEPS * share)
    if first >= _TURBO_STEPS:
        raise Unmappable(f"a denoise of {share:g} leaves nothing to do")
    return first, min(first + steps, _TURBO_STEPS)


def _note_ddim_uniform(draft: Draft, source: SourceNode) -> None:
    steps = whole(draft.scope.constant(source, "steps")) or 20
    real = len(range(1, 1000, max(1, 1000 // max(1, steps))))
    more = f", and takes {real} steps where {steps} are asked for" if real != steps else ""
    draft.note(f"ddim_uniform: ComfyUI's ends at a clean picture{more}; ours ends at the trace of noise of the first timestep")
