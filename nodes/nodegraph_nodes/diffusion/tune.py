"""How a denoiser's network is run: what changes its speed and not its pictures, but for their last digits."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from nodegraph import node
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
