"""Sampling: KSampler and the nodes it can be taken apart into, as noise, schedule, guidance, begin_denoise and denoise.

`denoise` below 1 means in ComfyUI: of a schedule of steps / denoise steps (rounded down) do the last `steps`. Small nodes
compute that here, so that both numbers can still be changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nodegraph.importing.comfyui.controls import add_controls, behind_controls
from nodegraph.importing.comfyui.draft import Draft, Unmappable, number, whole
from nodegraph.importing.comfyui.patches import add_distilled, add_perpendicular, add_rescale, take_model
from nodegraph.importing.comfyui.sizes import EMPTY, PictureSize, batch_of, picture_size, set_noise_size
from nodegraph.importing.comfyui.source import SourceNode
from nodegraph.importing.comfyui.spacing import SIGMAS, add_schedule, fixed_stretch

SAMPLERS = {
    "euler": "euler",
    "euler_ancestral": "euler_ancestral",
    "heun": "heun",
    "dpm_2": "dpm2",
    "dpmpp_2s_ancestral": "dpmpp_2s_ancestral",
    "dpmpp_2m": "dpmpp_2m",
    "dpmpp_sde": "dpmpp_sde",
    "dpmpp_sde_gpu": "dpmpp_sde",
    "dpmpp_2m_sde": "dpmpp_2m_sde",
    "dpmpp_2m_sde_gpu": "dpmpp_2m_sde",
    "ddim": "ddim",
    "ddpm": "ddpm",
    "lms": "lms",
    "uni_pc": "uni_pc",
    "uni_pc_bh2": "uni_pc_bh2",
    "lcm": "lcm",
}
"""ComfyUI's samplers that compute what ours do. What is not here stays a placeholder."""
_RANDOM = frozenset(
    {
        *("euler_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu"),
        *("ddpm", "lcm"),
    }
)
REMEMBERING = frozenset({"dpmpp_2m", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu", "lms", "uni_pc", "uni_pc_bh2"})
"""Samplers that use the estimates of the steps before."""
GUIDERS = ("BasicGuider", "CFGGuider", "PerpNegGuider")
_FULL = 0.9999  # from here on ComfyUI takes denoise as 1
_LONGEST_SCHEDULE = 1000


@dataclass(frozen=True, slots=True)
class Sampling:
    """Which nodes of the source say what of one run. `stretch`: the steps from one to before another of the schedule."""

    guider: SourceNode
    solver: SourceNode
    sigmas: SourceNode
    noise: SourceNode
    seed: str
    guided: bool = True
    stretch: tuple[int, int] | None = None


def ksampler(draft: Draft) -> None:
    node = draft.node
    denoise = run(draft, Sampling(node, node, node, node, "seed"))
    draft.output(0, f"{denoise}.latent")


def sampler_custom(draft: Draft) -> None:
    if draft.value("add_noise", True) is not True:
        raise Unmappable("it adds no noise, which only a sampler that goes on from another can do here")
    node, solver, sigmas = draft.node, _part(draft, "sampler", "KSamplerSelect"), _part(draft, "sigmas", *SIGMAS)
    denoise = run(draft, Sampling(node, solver, sigmas, node, "noise_seed", stretch=fixed_stretch(draft, sigmas)))
    draft.output(0, f"{denoise}.latent")
    draft.output(1, f"{denoise}.latent")


def sampler_custom_advanced(draft: Draft) -> None:
    noise, guider = _part(draft, "noise", "RandomNoise"), _part(draft, "guider", *GUIDERS)
    solver, sigmas = _part(draft, "sampler", "KSamplerSelect"), _part(draft, "sigmas", *SIGMAS)
    guided, stretch = guider.type != "BasicGuider", fixed_stretch(draft, sigmas)
    denoise = run(draft, Sampling(guider, solver, sigmas, noise, "noise_seed", guided=guided, stretch=stretch))
    draft.output(0, f"{denoise}.latent")
    draft.output(1, f"{denoise}.latent")


def _part(draft: Draft, name: str, *classes: str) -> SourceNode:
    """The node that an input reads, which becomes part of this one."""
    found = draft.scope.wiring.origin(draft.node, name)
    if found is None:
        raise Unmappable(f"its {name} is not linked to a node of this graph")
    if found.type not in classes:
        raise Unmappable(f"its {name} comes from {found.type}, which has no counterpart yet")
    draft.absorb(name)
    return found


def run(draft: Draft, sampling: Sampling) -> str:
    """All nodes of a run from its noise to its end; gives the id of the denoise node."""
    size = picture_size(draft, draft.node, "latent_image")
    if size is None:
        raise Unmappable("the size of its latent cannot be said: it comes from a node, or an outer input, that is not known")
    if size.masked:
        draft.note("where its mask is neither 0 nor 1 the picture differs: here that is when a place begins to be repainted")
    partial = sampling.stretch[0] > 0 if sampling.stretch else _is_partial(draft, sampling)
    guidance, schedule = (
        add_guidance(draft, sampling),
        add_schedule(draft, sampling.sigmas, sampling.guider, spread=not (partial and not sampling.stretch)),
    )
    noise, begin = draft.add("noise", "diffusion/sample_noise"), draft.add("begin", "diffusion/begin_denoise")
    denoise = add_denoise(draft, sampling, guidance, schedule)
    draft.link(f"{begin}.noise", f"{noise}.latent")
    draft.link(f"{begin}.schedule", f"{schedule}.schedule")
    draft.link(f"{denoise}.state", f"{begin}.denoise_state")
    _noise(draft, sampling, size, noise, begin)
    if sampling.stretch:
        draft.set(f"{begin}.first_step", sampling.stretch[0])
        draft.set(f"{denoise}.steps", sampling.stretch[1] - sampling.stretch[0])
    else:
        draft.take(f"{denoise}.steps", "steps", of=sampling.sigmas, otherwise=20)
        draft.publish("steps", "Steps", "steps", of=sampling.sigmas)
        if partial:
            _strength(draft, sampling, schedule, begin)
    if not _picture(draft, begin) and partial:
        draft.note("it leaves out steps without a picture to start from: its first noise is a trace larger than in ComfyUI")
    return denoise


def add_guidance(draft: Draft, sampling: Sampling) -> str:
    """The guidance node of a run."""
    guider = sampling.guider
    guidance = draft.add("guidance", "diffusion/guidance")
    prompts = behind_controls(draft, guider, "positive" if sampling.guided else "conditioning")
    (positive_of, positive), (negative_of, negative_name) = prompts.positive, prompts.negative
    draft.take(f"{guidance}.positive", positive, of=positive_of, value=False)
    add_distilled(draft, guidance, prompts.told, prompts.spared)
    add_rescale(draft, guidance, guider)
    if not sampling.guided:
        draft.set(f"{guidance}.scale", 1.0)
        return add_controls(draft, _told_the_mask(draft, positive_of, positive, guidance), prompts.controls)
    draft.take(f"{guidance}.scale", "cfg", of=guider, otherwise=8.0)
    draft.publish("guidance_scale", "Guidance scale", "cfg", of=guider)
    if guider.type == "PerpNegGuider":
        add_perpendicular(draft, guidance, guider)
    negative = draft.scope.wiring.origin(negative_of, negative_name)
    unguided = not draft.linked("cfg", guider) and number(draft.value("cfg", 8.0, of=guider)) == 1
    if unguided and negative is not None and negative.type == "ConditioningZeroOut":
        draft.note("at a guidance scale of 1 the negative prompt (ConditioningZeroOut) is not used, and was left out")
        draft.absorb(negative_name, of=negative_of)
    else:
        draft.take(f"{guidance}.negative", negative_name, of=negative_of, value=False)
    return add_controls(draft, _told_the_mask(draft, positive_of, positive, guidance), prompts.controls)


def _told_the_mask(draft: Draft, guider: SourceNode, prompt: str, guidance: str) -> str:
    """The guidance, with what an inpainting model is told where the prompt comes from InpaintModelConditioning."""
    source = draft.scope.wiring.origin(guider, prompt)
    if source is None or source.type != "InpaintModelConditioning":
        return guidance
    told = draft.add("inpaint", "diffusion/inpaint_guidance")
    draft.link(f"{told}.guidance", f"{guidance}.guidance")
    for key, name in (("autoencoder", "vae"), ("image", "pixels"), ("mask", "mask")):
        draft.take(f"{told}.{key}", name, of=source, value=False)
    draft.note("it is for an inpainting model, of 9 input channels; with another, link the guidance before it instead")
    return told


def add_denoise(draft: Draft, sampling: Sampling, guidance: str, schedule: str) -> str:
    """The node that takes the steps; how many is for the caller to say."""
    denoise = draft.add("denoise", "diffusion/denoise")
    draft.main = denoise
    take_model(draft, f"{denoise}.denoiser", sampling.guider)
    draft.take(f"{denoise}.sampler", "sampler_name", of=sampling.solver, convert=_name_of("sampler", SAMPLERS))
    draft.link(f"{denoise}.schedule", f"{schedule}.schedule")
    draft.link(f"{denoise}.guidance", f"{guidance}.guidance")
    if draft.scope.constant(sampling.solver, "sampler_name") in _RANDOM:
        draft.note("the noise that its sampler adds on the way is drawn otherwise than in ComfyUI: the picture differs")
    if str(draft.scope.constant(sampling.solver, "sampler_name")).startswith("uni_pc"):
        draft.note("uni_pc: ComfyUI's goes to a sigma of 0.001 and leaves the rest, ours to a clean picture")
    draft.publish("sampler", "Sampler", "sampler_name", of=sampling.solver)
    return denoise


def _name_of(what: str, table: Mapping[str, str]) -> Callable[[object], str]:
    def named(value: object) -> str:
        if not isinstance(value, str) or value not in table:
            raise Unmappable(f"the {what} {value!r} has no counterpart yet (there are {', '.join(table)})")
        return table[value]

    return named


def _noise(draft: Draft, sampling: Sampling, size: PictureSize, noise: str, begin: str) -> None:
    take_model(draft, f"{noise}.denoiser", sampling.guider)
    set_noise_size(draft, noise, size)
    if size.node.type in EMPTY and size.scale == 1:
        draft.publish("width", "Width", "width", of=size.node)
        draft.publish("height", "Height", "height", of=size.node)
    draft.publish("seed", "Seed", sampling.seed, of=sampling.noise)
    many = batch_of(draft, size)
    if many is None:
        draft.seed(f"{noise}.seed", sampling.seed, sampling.noise)
        draft.seed(f"{begin}.seed", sampling.seed, sampling.noise)
        return
    seeds = draft.add("seeds", "core/seed_list")
    draft.seed(f"{seeds}.seed", sampling.seed, sampling.noise)
    draft.take(f"{seeds}.count", "batch_size", of=many, otherwise=1)
    draft.publish("pictures", "Pictures", "batch_size", of=many)
    for place in (noise, begin):
        draft.link(f"{place}.seed", f"{seeds}.seeds")
    draft.note("of a batch every picture has a seed of its own, counting up, where ComfyUI goes on drawing from one")


def _picture(draft: Draft, begin: str) -> bool:
    """Link the picture to start from, if it is not an empty one. Whether there is one."""
    source = draft.scope.wiring.origin(draft.node, "latent_image")
    if source is not None and source.type in EMPTY:
        draft.absorb("latent_image")
        return False
    draft.take(f"{begin}.latent", "latent_image", value=False)
    return True


def _is_partial(draft: Draft, sampling: Sampling) -> bool:
    """Whether `denoise` may ask for less than the whole schedule."""
    source = sampling.sigmas
    if draft.linked("denoise", source):
        return True
    share = number(draft.value("denoise", 1.0, of=source))
    if share is None or share <= 0:
        raise Unmappable("a denoise of 0 leaves the latent as it is, which no sampler does here")
    steps = whole(draft.scope.constant(source, "steps"))
    if steps is not None and steps / share > _LONGEST_SCHEDULE:
        raise Unmappable(f"a denoise of {share:g} needs a schedule of more than {_LONGEST_SCHEDULE} steps")
    return share <= _FULL


def _strength(draft: Draft, sampling: Sampling, schedule: str, begin: str) -> None:
    """Nodes that compute the whole schedule's steps, and the first that is done, from steps and denoise."""
    source = sampling.sigmas
    by_strength, total = draft.add("steps_by_strength", "core/calculate"), draft.add("all_steps", "core/round_number")
    first = draft.add("first_step", "core/calculate_whole")
    draft.take(f"{by_strength}.a", "steps", of=source, otherwise=20)
    draft.set(f"{by_strength}.operation", "divide")
    draft.take(f"{by_strength}.b", "denoise", of=source, otherwise=1.0)
    draft.link(f"{total}.value", f"{by_strength}.value")
    draft.set(f"{total}.how", "down")
    draft.link(f"{first}.a", f"{total}.value")
    draft.set(f"{first}.operation", "subtract")
    draft.take(f"{first}.b", "steps", of=source, otherwise=20)
    draft.link(f"{schedule}.steps", f"{total}.value")
    draft.link(f"{begin}.first_step", f"{first}.value")
    draft.publish("strength", "Strength", "denoise", of=source)
