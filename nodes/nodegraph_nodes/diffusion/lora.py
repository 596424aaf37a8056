"""LoRA: small files that change what a model draws, put on recipes; the networks are changed when they are next used."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from nodegraph import Context, Curve, ModelFile, NodeError, Problem, node
from nodegraph.sdk.curve import check_curve
from nodegraph_nodes.diffusion.families import ModelError, outline
from nodegraph_nodes.diffusion.families.kinds import LORA
from nodegraph_nodes.diffusion.families.lora import (
    Fit,
    LoraFile,
    denoiser_index,
    fit,
    lora_family,
    read_names,
    text_index,
    told_family,
)
from nodegraph_nodes.diffusion.unfit import unfit
from nodegraph_nodes.types import Denoiser, Lora, TextEncoder

_TEXT = ("text", "text_2", "text_3")
Weight = Annotated[float, Field(ge=-10, le=10, description="1 is as trained, 0 is off, below 0 the opposite.")]


class WithLora(NamedTuple):
    denoiser: Denoiser
    text_encoder: TextEncoder


def _is_a_curve(values: dict[str, object]) -> list[Problem]:
    curve = values.get("curve")
    if isinstance(curve, list):
        try:
            check_curve(curve, "curve")
        except NodeError as error:
            return [error.problem("", "bad_value")]
    return []


@node(title="Apply LoRA", category="diffusion/model", check=_is_a_curve)
def apply_lora(
    context: Context,
    denoiser: Denoiser,
    text_encoder: TextEncoder,
    lora: Annotated[
        ModelFile[Literal["lora"]], Field(title="LoRA", description="LoRA, LoCon, LoHa, LoKr or DoRA, as .safetensors.")
    ],
    weight: Weight = 1.0,
    text_weight: Annotated[
        float | None, Field(ge=-10, le=10, description="For the text encoder; none: the same weight.")
    ] = None,
    curve: Annotated[
        Curve | None, Field(description="From the first step to the last: what share of the weight counts there.")
    ] = None,
) -> WithLora:
    """Put a LoRA on a model. Link several one after the other to have them all."""
    path = str(lora.path)
    try:
        file = read_names(path)
        _same_family(file, denoiser, lora.name)
        found = fit(file, denoiser_index(outline(denoiser)), ("denoiser",))
        told = fit(file, text_index(outline(text_encoder)), _TEXT)
    except ModelError as error:
        raise unfit(lora, "LoRA", error, LORA, socket="lora") from None
    if not found.fitting + told.fitting:
        raise NodeError(
            f"Nothing in the LoRA {lora.name!r} fits this model.",
            socket="lora",
            expected=f"a LoRA for {told_family(denoiser.family)}",
            got=f"{found.total + told.total} layers that it does not have, such as {(*found.missing, *told.missing)[0]}",
        )
    _warn(context, lora.name, "denoiser", found)
    _warn(context, lora.name, "text encoder", told)
    if found.fitting and weight:
        points = tuple((float(x), float(y)) for x, y in curve or ())
        denoiser = replace(denoiser, patches=(*denoiser.patches, Lora(lora.name, path, lora.digest, weight, points)))
    amount = weight if text_weight is None else text_weight
    if told.fitting and amount:
        text_encoder = replace(text_encoder, patches=(*text_encoder.patches, Lora(lora.name, path, lora.digest, amount)))
    return WithLora(denoiser, text_encoder)


def _same_family(file: LoraFile, denoiser: Denoiser, name: str) -> None:
    family = lora_family(file)
    if family is not None and family != denoiser.family:
        raise NodeError(
            f"This LoRA was made for {told_family(family)}, the model is {told_family(denoiser.family)}.",
            socket="lora",
            expected=f"a LoRA for {told_family(denoiser.family)}",
            got=f"{name}, for {told_family(family)}",
        )


def _warn(context: Context, name: str, network: str, found: Fit) -> None:
    if len(found.missing) > 0:
        context.log.warning(
            "%s: %d of the %d layers that %s has for the %s fit it; the others are left out, such as %s.",
            context.node,
            found.fitting,
            found.total,
            name,
            network,
            found.missing[0],
        )
