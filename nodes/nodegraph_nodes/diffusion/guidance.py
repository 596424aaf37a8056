"""Guidance: how strongly a prompt pulls, and away from what."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nodegraph import Curve, NodeError, Problem, node
from nodegraph.sdk.curve import check_curve
from nodegraph_nodes.types import Conditioning, Guidance, GuidanceMethod

Share = Annotated[float, Field(ge=0, le=1)]


def range_is_ordered(values: dict[str, object]) -> list[Problem]:
    """A check for nodes with a start and an end."""
    start, end = values.get("start", 0.0), values.get("end", 1.0)
    if isinstance(start, float) and isinstance(end, float) and start > end:
        return [
            Problem("bad_value", "This ends before it starts.", socket="end", expected=f"at least {start:g}", got=f"{end:g}")
        ]
    return []


def _fits_together(values: dict[str, object]) -> list[Problem]:
    problems = range_is_ordered(values)
    curve = values.get("curve")
    if isinstance(curve, list):
        try:
            check_curve(curve, "curve")
        except NodeError as error:
            problems.append(error.problem("", "bad_value"))
    return problems


@node(category="diffusion/guidance", check=_fits_together)
def guidance(
    positive: Conditioning,
    negative: Conditioning | None = None,
    scale: Annotated[
        float, Field(ge=0, le=100, description="1: none, and twice as fast. Higher follows the prompt more closely.")
    ] = 7.0,
    rescale: Annotated[Share, Field(description="Tames over-exposure at high scales; 0 is off.")] = 0.0,
    start: Annotated[Share, Field(description="Share of the steps after which guidance begins.")] = 0.0,
    end: Annotated[Share, Field(description="Share of the steps after which guidance ends.")] = 1.0,
    method: Annotated[
        GuidanceMethod,
        Field(
            description="perpendicular: a negative prompt cannot undo the positive one (needs `empty`). orthogonal: high "
            "scales without over-saturation. zero_star: for flow models."
        ),
    ] = "classifier_free",
    empty: Annotated[
        Conditioning | None, Field(description="For perpendicular: an encoded prompt that says nothing. A third network pass.")
    ] = None,
    negative_scale: Annotated[
        float, Field(ge=0, le=100, description="For perpendicular: how strongly the negative prompt pushes.")
    ] = 1.0,
    threshold: Annotated[
        Share,
        Field(
            description="Dynamic thresholding: this share of the values (0.99) is kept as strong as without guidance; 0 is off."
        ),
    ] = 0.0,
    curve: Annotated[
        Curve | None, Field(description="How much of the guidance counts, from the first step (left) to the last.")
    ] = None,
    distilled: Annotated[
        float, Field(ge=0, le=100, description="The scale that a model distilled with guidance is told; others ignore it.")
    ] = 3.5,
) -> Guidance:
    """Classifier-free guidance (Ho and Salimans 2022): away from the negative prompt, towards the positive one."""
    if method == "perpendicular" and negative is not None and empty is None:
        raise NodeError(
            "Perpendicular guidance compares both prompts with one that says nothing.",
            socket="empty",
            expected="an encoded empty prompt",
            got="nothing",
            hint="Link another diffusion/encode_prompt without text to it.",
        )
    for socket, prompt in (("negative", negative), ("empty", empty)):
        if prompt is not None and prompt.family != positive.family:
            raise NodeError(
                "This prompt and the positive one were encoded for different kinds of models.",
                socket=socket,
                expected=positive.family,
                got=prompt.family,
                hint="Encode both with the text encoder of one model.",
            )
    if curve is not None:
        check_curve(curve, "curve")
    return Guidance(
        positive,
        negative,
        scale,
        rescale,
        start,
        end,
        method=method,
        empty=empty,
        negative_scale=negative_scale,
        threshold=threshold,
        curve=() if curve is None else tuple((x, y) for x, y in curve),
        distilled=distilled,
    )
