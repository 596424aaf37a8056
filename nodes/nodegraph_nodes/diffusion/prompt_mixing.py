"""Several prompts as one: blended, combined, one after the other, or one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field

from nodegraph import NodeError, Problem, node
from nodegraph_nodes.diffusion.prompts.mixing import lerp, slerp
from nodegraph_nodes.types import Conditioning

Share = Annotated[float, Field(ge=0, le=1)]


@node(category="diffusion/prompt")
def blend_prompts(
    a: Conditioning,
    b: Conditioning,
    weight: Annotated[
        float, Field(ge=-1, le=2, description="0: a alone, 1: b alone, 0.5: half and half.", json_schema_extra={"x-step": 0.05})
    ] = 0.5,
    method: Annotated[
        Literal["linear", "spherical"],
        Field(description="spherical keeps each token's strength where the two say very different things."),
    ] = "linear",
) -> Conditioning:
    """Mix what two prompts say, token by token: something between the two."""
    _alike(a, b)
    for socket, prompt in (("a", a), ("b", b)):
        if prompt.others:
            hint = "Blend prompts before they are combined or scheduled."
            raise NodeError("A prompt of several parts cannot be blended.", socket=socket, hint=hint)
    mix = lerp if method == "linear" else slerp
    pooled = None if a.pooled is None or b.pooled is None else mix(a.pooled, b.pooled, weight)
    return replace(a, states=mix(a.states, b.states, weight), pooled=pooled)


def _alike(a: Conditioning, b: Conditioning) -> None:
    """Raises NodeError for prompts that cannot be blended."""
    _one_family((a, b), "b")
    if a.states.shape != b.states.shape:
        raise NodeError(
            "These prompts have different numbers of tokens.",
            socket="b",
            expected=f"{a.states.shape[0]} tokens of {a.states.shape[1]} numbers",
            got=f"{b.states.shape[0]} tokens of {b.states.shape[1]} numbers",
            hint="A long prompt takes several stretches of tokens: make the other as long by as many BREAKs.",
        )
    if (a.pooled is None) != (b.pooled is None) or a.extra.keys() != b.extra.keys():
        raise NodeError("Only one of the prompts says more than its tokens.", socket="b", hint="Encode both in the same way.")


@node(category="diffusion/prompt")
def combine_prompts(
    *prompts: Conditioning,
    weights: Annotated[list[float] | None, Field(description="How much each counts, in order; none: 1 each.")] = None,
    how: Annotated[
        Literal["add", "mean"],
        Field(description="add: every prompt pulls with all its weight (AND); mean: the prompts share the pull of one."),
    ] = "add",
) -> Conditioning:
    """Several prompts at once: the picture follows all of them (composable diffusion, Liu et al. 2022)."""
    if not prompts:
        raise NodeError("No prompt is linked.", socket="prompts", expected="at least one")
    if weights and len(weights) != len(prompts):
        raise NodeError(
            "There must be as many weights as prompts.", socket="weights", expected=str(len(prompts)), got=str(len(weights))
        )
    _one_family(prompts, "prompts")
    parts = [
        replace(part, weight=part.weight * weight, others=())
        for prompt, weight in zip(prompts, weights or [1.0] * len(prompts), strict=True)
        for part in prompt.parts
    ]
    if how == "mean":  # parts with masks share each place by weight, so one that covers everything makes a mean
        parts = [replace(part, mask=torch.ones(1, 1)) if part.mask is None else part for part in parts]
    return _together(parts)


@node(category="diffusion/prompt")
def concat_prompts(a: Conditioning, b: Conditioning) -> Conditioning:
    """b's tokens behind a's: the picture attends to both at once. The prompt as a whole (pooled) stays a's."""
    _one_family((a, b), "b")
    if b.others:
        raise NodeError("A prompt of several parts cannot be put behind another.", socket="b")
    if a.states.shape[1] != b.states.shape[1]:
        raise NodeError("These prompts are for different kinds of text encoders.", socket="b")
    parts = [replace(part, states=torch.cat([part.states, b.states]), others=()) for part in a.parts]
    return _together(parts)


def _step_has_steps(values: dict[str, object]) -> list[Problem]:
    step, steps = values.get("step"), values.get("steps", 1000)
    if isinstance(step, int) and steps is None:
        hint = "Set steps to the number of steps of the schedule."
        return [Problem("bad_value", "A step needs the number of steps of the run.", socket="steps", hint=hint)]
    if isinstance(step, int) and isinstance(steps, int) and step > steps:
        message = "The second prompt would never count: the run has fewer steps."
        return [Problem("bad_value", message, socket="step", expected=f"at most {steps}", got=str(step))]
    return []


def _time_is_some(values: dict[str, object]) -> list[Problem]:
    start, end = values.get("start", 0.0), values.get("end", 1.0)
    if isinstance(start, float) and isinstance(end, float) and start >= end:
        message = "The prompt ends before it begins."
        return [Problem("bad_value", message, socket="end", expected=f"more than {start:g}", got=f"{end:g}")]
    return []


@node(category="diffusion/prompt", check=_step_has_steps)
def schedule_prompts(
    first: Conditioning,
    then: Conditioning,
    at: Annotated[
        Share,
        Field(description="Share of the run after which the second prompt takes over.", json_schema_extra={"x-step": 0.05}),
    ] = 0.5,
    step: Annotated[int | None, Field(ge=0, le=1000, description="Instead of a share: after this step.")] = None,
    steps: Annotated[int | None, Field(ge=1, le=1000, description="The schedule's number of steps, for `step`.")] = None,
) -> Conditioning:
    """Begin with one prompt and go on with another: the first gives the shape, the second what it becomes."""
    _one_family((first, then), "then")
    if step is not None:
        if steps is None:
            raise NodeError("A step needs the number of steps of the run.", socket="steps")
        at = min(1.0, step / steps)
    parts = [*_within(first, 0, at), *_within(then, at, 1)]
    if not parts:
        raise NodeError("Neither prompt counts at any time of the run.", hint="One of them has a time of its own already.")
    return _together(parts)


@node(category="diffusion/prompt", check=_time_is_some)
def time_prompt(
    prompt: Conditioning,
    start: Annotated[Share, Field(description="Share of the run after which it begins to count.")] = 0.0,
    end: Annotated[Share, Field(description="Share of the run after which it counts no more.")] = 1.0,
) -> Conditioning:
    """Let a prompt count for a part of the run only; for use with combine_prompts."""
    if start >= end:
        raise NodeError("The prompt ends before it begins.", socket="end", expected=f"more than {start:g}", got=f"{end:g}")
    parts = _within(prompt, start, end)
    if not parts:
        raise NodeError("The prompt has a time of its own, which lies outside of this.", socket="start")
    return _together(parts)


def _within(prompt: Conditioning, start: float, end: float) -> list[Conditioning]:
    """The parts of a prompt that count between two moments."""
    cut = [replace(part, start=max(part.start, start), end=min(part.end, end), others=()) for part in prompt.parts]
    return [part for part in cut if part.start < part.end]


def _together(parts: Sequence[Conditioning]) -> Conditioning:
    return replace(parts[0], others=tuple(parts[1:]))


def _one_family(prompts: Sequence[Conditioning], socket: str) -> None:
    families = {prompt.family: None for prompt in prompts}
    if len(families) > 1:
        first, other, *_ = families
        hint = "Encode all prompts with the text encoder of one model."
        raise NodeError("The prompts are for different kinds of models.", socket=socket, expected=first, got=other, hint=hint)
