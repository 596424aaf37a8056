"""Encoding prompts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from nodegraph import Context, node
from nodegraph_nodes.diffusion.families import LoadedTextEncoder
from nodegraph_nodes.types import Conditioning, TextEncoder


@node(category="diffusion/prompt", lane="gpu")
def encode_prompt(
    context: Context,
    encoder: TextEncoder,
    text: Annotated[str, Field(description="What the picture is to show.", json_schema_extra={"format": "multiline"})] = "",
) -> Conditioning:
    """Turn a prompt into token states, which the denoiser attends to."""
    network: LoadedTextEncoder = context.resident(encoder)
    count = network.count_tokens(text)
    if count > network.max_tokens:
        context.log.warning(
            "%s: the prompt has %d tokens, this model reads the first %d and ignores the rest.",
            context.node,
            count,
            network.max_tokens,
        )
    return network.encode([text])[0]
