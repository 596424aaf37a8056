"""How a denoiser's network is run: what changes its speed and not its pictures, but for their last digits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

from pydantic import Field

from nodegraph import NodeError, node
from nodegraph_nodes.diffusion.families.compiling import attention_by
from nodegraph_nodes.types import Attention, Compiled, Denoiser


@node(category="diffusion/model")
def tune_denoiser(
    denoiser: Denoiser,
    compiled: Annotated[
        Compiled,
        Field(description="Let torch compile it: the first step takes a minute or more, the others are faster. For many runs."),
    ] = "off",
    attention: Annotated[
        Attention, Field(description="Which kernel computes attention; auto is torch's choice, math takes the most memory.")
    ] = "auto",
) -> Denoiser:
    """Choose how a denoiser is computed. What was compiled is kept for the next start."""
    return replace(denoiser, compiled=compiled, attention=attention)


@contextmanager
def attention_of(denoiser: Denoiser) -> Iterator[None]:
    """Compute attention with the kernel that a recipe chose. Raises NodeError where this device has no such kernel."""
    try:
        with attention_by(denoiser.attention):
            yield
    except RuntimeError as error:
        if not any(words in str(error) for words in ("No viable backend", "No available kernel")):
            raise
        raise NodeError(
            f"The attention kernel {denoiser.attention!r} cannot do this model's work on this device.",
            socket="denoiser",
            expected="auto or math",
            got=denoiser.attention,
            hint="Set attention to auto in diffusion/tune_denoiser.",
        ) from None
