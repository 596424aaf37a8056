"""For models that are told a class, or nothing, in place of a prompt."""

from __future__ import annotations

import difflib
from typing import Annotated

from pydantic import Field

from nodegraph import NodeError, node
from nodegraph_nodes.diffusion.families import Classes, ModelError, classes_of, told_class, told_nothing
from nodegraph_nodes.types import Conditioning, Denoiser


@node(category="diffusion/prompt")
def class_label(
    denoiser: Denoiser,
    label: Annotated[int, Field(ge=0, description="The class's number. ImageNet models count from 0 to 999.")] = 0,
    name: Annotated[str, Field(description="The class's name, where the model knows names. Empty: by number.")] = "",
) -> Conditioning:
    """Tell a model which class the picture is of, where it was trained on classes rather than prompts."""
    known = _classes(denoiser)
    if name.strip():
        return told_class(denoiser.family, _named(known, name.strip().lower()))
    if label >= known.count:
        raise NodeError("This model has no such class.", socket="label", expected=f"0 to {known.count - 1}", got=str(label))
    return told_class(denoiser.family, label)


@node(category="diffusion/prompt")
def unconditional(denoiser: Denoiser) -> Conditioning:
    """What a model is told when it is told nothing: the negative of a class, or all there is for a model without a prompt."""
    if denoiser.conditioning == "none":
        return told_nothing(denoiser.family)
    if denoiser.conditioning == "prompt":
        raise NodeError(
            "This model is told a prompt.",
            socket="denoiser",
            expected="a model that is told a class or nothing",
            hint="Nothing is an empty prompt here: use diffusion/encode_prompt without a text.",
        )
    known = _classes(denoiser)
    if known.nothing is None:
        raise NodeError(
            "This model was not trained to be told no class.",
            socket="denoiser",
            hint="Leave the guidance's negative empty, or take another class for it.",
        )
    return told_class(denoiser.family, known.nothing)


def _classes(denoiser: Denoiser) -> Classes:
    if denoiser.conditioning != "class":
        told = "a prompt" if denoiser.conditioning == "prompt" else "nothing"
        other = "encode_prompt" if denoiser.conditioning == "prompt" else "unconditional"
        raise NodeError(
            f"This model is told {told}.",
            socket="denoiser",
            expected="a model that is told a class",
            hint=f"Use diffusion/{other} instead.",
        )
    try:
        return classes_of(denoiser)
    except ModelError as error:
        raise NodeError(f"The model cannot be used: {error}", socket="denoiser") from None


def _named(known: Classes, name: str) -> int:
    if name in known.names:
        return known.names[name]
    close = difflib.get_close_matches(name, known.names, n=3)
    if not known.names:
        hint = "This model has no names in its model_index.json: give the class's number."
    else:
        hint = f"Did you mean {' or '.join(close)}?" if close else "Give the class's number."
    raise NodeError("The model knows no class of this name.", socket="name", got=name, hint=hint)
