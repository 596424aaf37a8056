"""Denoising: begin with noise, take steps, finish with a clean latent.

A step is a node of its own, so a run can stop, go on, and fork at any step, and every step is cached.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field
from torch import Tensor

from nodegraph import Context, GraphBuilder, Inputs, NodeError, Seed, composite, node
from nodegraph_nodes.diffusion.families import LoadedDenoiser, latents_of
from nodegraph_nodes.diffusion.families.attention import misfit
from nodegraph_nodes.diffusion.families.networks import UNetDenoiser
from nodegraph_nodes.diffusion.finite import latent_problem, step_problem
from nodegraph_nodes.diffusion.predict import Evaluation, prompt_shape
from nodegraph_nodes.diffusion.previews import in_progress
from nodegraph_nodes.diffusion.samplers import Request, begin, finish, masked_step, run_step, run_steps, sampler_of
from nodegraph_nodes.diffusion.steering import Resident
from nodegraph_nodes.diffusion.tiling import estimates
from nodegraph_nodes.diffusion.tune import attention_of
from nodegraph_nodes.pictures import to_preview
from nodegraph_nodes.types import Conditioning, Denoiser, DenoiseState, Guidance, Latent, Point, Schedule

SamplerName = Literal[
    "euler",
    "euler_ancestral",
    "heun",
    "dpm2",
    "dpmpp_2s_ancestral",
    "dpmpp_2m",
    "dpmpp_sde",
    "dpmpp_2m_sde",
    "ddim",
    "ddpm",
    "lms",
    "uni_pc",
    "uni_pc_bh2",
    "lcm",
]
Sampler = Annotated[
    SamplerName,
    Field(
        description="The solver. dpmpp_2m, uni_pc and lms need few steps; heun, dpm2, dpmpp_2s_ancestral and dpmpp_sde predict "
        "twice a step; ancestral, sde, ddpm and lcm add noise on the way; lcm is for models distilled to a few steps."
    ),
]
Eta = Annotated[
    float | None,
    Field(
        ge=0,
        le=1,
        description="How much noise ancestral and sde samplers and ddim add; empty: the sampler's own (1, and 0 for ddim). "
        "Others ignore it.",
    ),
]


class Denoised(NamedTuple):
    state: Annotated[DenoiseState, Field(description="Where the run is now: link it to another denoise to go on.")]
    latent: Annotated[Latent, Field(description="The picture so far, clean.")]


@node(category="diffusion/denoise")
def begin_denoise(
    noise: Latent,
    schedule: Schedule,
    latent: Annotated[
        Latent | None,
        Field(description="A picture to start from, with a mask if only a part is to be repainted; none: noise alone."),
    ] = None,
    first_step: Annotated[
        int, Field(ge=0, le=1000, description="Steps to leave out at the start: more keeps more of the picture.")
    ] = 0,
    seed: Annotated[Seed, Field(description="For samplers that add noise on the way.")] = 0,
) -> DenoiseState:
    """Begin a run: noise at the schedule's first level, over a picture if there is one."""
    if first_step > schedule.steps:
        expected = f"at most {schedule.steps}"
        raise NodeError(
            "The schedule has fewer steps than are left out.", socket="first_step", expected=expected, got=str(first_step)
        )
    if latent is not None:
        _same_latents(latent.family, schedule.family, "latent")
        if latent.samples.shape != noise.samples.shape:
            raise NodeError(
                "The picture and the noise have different sizes.",
                socket="latent",
                expected=f"a latent of {_size(noise)}",
                got=_size(latent),
            )
    start, mask = (None, None) if latent is None else (latent.samples, latent.mask)
    return begin(noise.samples, schedule, seed, index=first_step, latent=start, mask=mask)


@node(category="diffusion/denoise", lane="gpu")
def denoise_step(
    context: Context,
    denoiser: Denoiser,
    state: DenoiseState,
    schedule: Schedule,
    guidance: Guidance,
    sampler: Sampler = "euler",
    eta: Eta = None,
) -> DenoiseState:
    """Take one denoise step."""
    _check_step(denoiser, state, schedule, guidance)
    network = context.resident(denoiser)
    _check_network(network, denoiser, state, guidance, context.resident)
    progress = state.index / schedule.steps

    def predict(x: Tensor, point: Point) -> Tensor:
        return estimates(network, denoiser, [Evaluation(x, point, guidance, progress)], context.resident)[0]

    with attention_of(denoiser):
        after = run_step(sampler_of(sampler, eta), state, schedule, predict)
    if problem := step_problem(after.x, sampler, after.index, schedule.steps):
        raise problem
    _show(context, after, schedule, denoiser)
    return after


@denoise_step.batched(key=lambda inputs: (inputs.denoiser, inputs.state.x.shape, _guidance_shape(inputs.guidance)))
def denoise_steps(calls: Sequence[Inputs]) -> list[DenoiseState | NodeError]:
    """One step of several runs with one network pass per estimate.

    Prompts, seeds, noise levels, samplers and guidance may all differ; sizes and the model may not.
    """
    results: dict[int, DenoiseState | NodeError] = {}
    network = calls[0].context.resident(calls[0].denoiser)
    for i, call in enumerate(calls):
        try:
            _check_step(call.denoiser, call.state, call.schedule, call.guidance)
            _check_network(network, call.denoiser, call.state, call.guidance, call.context.resident)
        except NodeError as error:
            results[i] = error
    fit = [call for i, call in enumerate(calls) if i not in results]
    if fit:

        def predict(requests: Sequence[Request]) -> list[Tensor]:
            wanted = [(fit[request.item], request) for request in requests]
            return estimates(
                network,
                calls[0].denoiser,
                [Evaluation(r.x, r.point, call.guidance, call.state.index / call.schedule.steps) for call, r in wanted],
                calls[0].context.resident,
            )

        steps = [masked_step(sampler_of(call.sampler, call.eta), call.state, call.schedule) for call in fit]
        with attention_of(calls[0].denoiser):
            after = iter(run_steps(steps, predict))
        for i, call in enumerate(calls):
            if i not in results:
                state = next(after)
                problem = step_problem(state.x, call.sampler, state.index, call.schedule.steps)
                results[i] = problem or state
                if problem is None:
                    _show(call.context, state, call.schedule, call.denoiser)
    return [results[i] for i in range(len(calls))]


def _guidance_shape(guidance: Guidance) -> tuple[object, ...]:
    """What must agree for guidances to be evaluated together. A negative prompt of another length keeps a run alone."""
    shapes = {prompt_shape(part) for part in _parts(guidance)}
    adapters = tuple(prompt.network for prompt in guidance.image_prompts)
    return (guidance.positive.family, *sorted(shapes, key=repr), adapters, guidance.concat is None)


def _parts(guidance: Guidance) -> list[Conditioning]:
    """All that its prompts consist of."""
    prompts = (guidance.positive, guidance.negative, guidance.empty)
    return [part for prompt in prompts if prompt is not None for part in prompt.parts]


def _check_step(denoiser: Denoiser, state: DenoiseState, schedule: Schedule, guidance: Guidance) -> None:
    if state.index >= schedule.steps:
        raise NodeError(
            f"The run has done all {schedule.steps} steps of its schedule.",
            socket="state",
            hint="Take fewer steps here, or give the schedule more.",
        )
    _same_latents(state.family, denoiser.family, "state")
    _same_latents(schedule.family, denoiser.family, "schedule")
    for part in _parts(guidance):
        _same_family(part.family, denoiser.family, "guidance")
    _check_channels(denoiser, state, guidance)
    _same_kind(guidance, denoiser)
    _small_enough(state, denoiser)


def _check_channels(denoiser: Denoiser, state: DenoiseState, guidance: Guidance) -> None:
    """Refuse a guidance whose further input channels are not those that the network has."""
    wanted, height, width = denoiser.concat_channels, *state.x.shape[1:]
    got = None if guidance.concat is None else tuple(guidance.concat.shape)
    if got == ((wanted, height, width) if wanted else None):
        return
    if got is None or not wanted:
        paints = wanted == denoiser.latent_channels + 1  # else it was trained on layouts
        before = f"Link diffusion/{'inpaint_guidance' if paints else 'layout_guidance'} before it."
        message = f"This model has to be told what {'to paint' if paints else 'lies where'}."
        if not wanted:
            message = "This model cannot be told a mask and a picture."
        hint = before if wanted else "Use an inpainting model, or diffusion/masked_latent."
        raise NodeError(
            message, socket="guidance", expected=f"{wanted} further channels", got=str(got[0] if got else 0), hint=hint
        )
    raise NodeError(
        "The picture that the model is told has another size than the one it makes.",
        socket="guidance",
        expected=f"{wanted} channels, {width} x {height}",
        got=f"{got[0]} channels, {got[2]} x {got[1]}",
        hint="Make the noise as large as the picture of diffusion/inpaint_guidance.",
    )


def _check_network(
    network: LoadedDenoiser, denoiser: Denoiser, state: DenoiseState, guidance: Guidance, resident: Resident
) -> None:
    """Refuse what this kind of network cannot do. diffusers' conditional U-Net makes odd sizes even by itself."""
    if type(getattr(network, "module", None)).__name__ != "UNet2DConditionModel":
        _whole_patches(denoiser, state)
    _check_attention(network, guidance, resident)


def _whole_patches(denoiser: Denoiser, state: DenoiseState) -> None:
    height, width = (side * denoiser.downscale for side in state.x.shape[1:])
    if height % denoiser.size_multiple or width % denoiser.size_multiple:
        raise NodeError(
            "A picture of this size does not fit the model.",
            socket="state",
            expected=f"sides that are multiples of {denoiser.size_multiple} pixels",
            got=f"{width} x {height}",
            hint="Make the noise, or the picture that the run begins with, of another size.",
        )


def _check_attention(network: LoadedDenoiser, guidance: Guidance, resident: Resident) -> None:
    regions = any(part.attend for part in _parts(guidance))
    if not regions and not guidance.image_prompts:
        return
    if not isinstance(network, UNetDenoiser):
        what = "Regions by attention" if regions else "Image prompts"
        raise NodeError(
            f"{what} work inside a U-Net's cross-attention, which models of the family {network.family!r} do not have.",
            socket="guidance",
            expected="a model with a U-Net, such as Stable Diffusion 1, 2 or XL",
            got=network.family,
            hint='Use the region mode "latent".' if regions else "Use another model, or leave the image prompt out.",
        )
    for prompt in guidance.image_prompts:
        if problem := misfit(network.cross_attentions, resident(prompt.network)):
            hint = "Use an adapter that was made for this kind of model."
            raise NodeError(f"The IP-Adapter does not fit the model: {problem}.", socket="guidance", hint=hint)


def _show(context: Context, state: DenoiseState, schedule: Schedule, denoiser: Denoiser) -> None:
    context.preview(lambda: to_preview(in_progress(finish(state, schedule), denoiser, context.resident)))


@node(category="diffusion/denoise")
def finish_denoise(state: DenoiseState, schedule: Schedule) -> Latent:
    """The clean latent of a run: its result after the last step, its latest estimate before. It keeps the run's mask."""
    samples = finish(state, schedule)
    if problem := latent_problem(samples):
        raise problem
    return Latent(samples, state.family, None if state.repaint is None else state.repaint.mask)


@composite(category="diffusion/denoise")
def denoise(
    graph: GraphBuilder,
    denoiser: Denoiser,
    state: DenoiseState,
    schedule: Schedule,
    guidance: Guidance,
    sampler: Sampler = "euler",
    steps: Annotated[int, Field(ge=0, le=1000, description="How many steps to take from where the run is.")] = 20,
    eta: Eta = None,
) -> Denoised:
    """Take several denoise steps. Each is a node, cached by itself."""
    for number in range(1, steps + 1):
        state = graph.add(
            denoise_step,
            f"step_{number}",
            denoiser=denoiser,
            state=state,
            schedule=schedule,
            guidance=guidance,
            sampler=sampler,
            eta=eta,
        )
    return Denoised(state, graph.add(finish_denoise, "finish", state=state, schedule=schedule))


def _same_family(got: str, wanted: str, socket: str) -> None:
    if got != wanted:
        hint = "Everything in a run comes from one model."
        raise NodeError("This was made for another kind of model.", socket=socket, expected=wanted, got=got, hint=hint)


def _same_latents(got: str, wanted: str, socket: str) -> None:
    """Families that share their latents hand runs to each other: SDXL's base to its refiner."""
    _same_family(latents_of(got), latents_of(wanted), socket)


_TOLD = {
    "prompt": ("a prompt", "Link diffusion/encode_prompt to the guidance."),
    "class": ("a class", "Link diffusion/class_label to the guidance."),
    "none": ("nothing", "Link diffusion/unconditional to the guidance, as positive alone."),
}


def _same_kind(guidance: Guidance, denoiser: Denoiser) -> None:
    """A prompt means nothing to a model that is told a class, and the other way round."""
    expected, hint = _TOLD[denoiser.conditioning]
    for part in _parts(guidance):
        if part.kind != denoiser.conditioning:
            got = _TOLD[part.kind][0]
            raise NodeError(f"This model is told {expected}.", socket="guidance", expected=expected, got=got, hint=hint)


def _small_enough(state: DenoiseState, denoiser: Denoiser) -> None:
    """Windows may be put over any picture, but what a model sees at once has its limits."""
    side = max(state.x.shape[1:]) * denoiser.downscale
    if denoiser.largest_side and denoiser.tiles is None and side > denoiser.largest_side:
        raise NodeError(
            "This picture is larger than the model has positions for.",
            socket="state",
            expected=f"sides of at most {denoiser.largest_side} pixels",
            got=str(side),
            hint="Make it smaller, or link diffusion/tile_denoiser before this step.",
        )


def _size(latent: Latent) -> str:
    channels, height, width = latent.samples.shape
    return f"{channels} channels, {width} x {height}"
