"""Encoding prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from nodegraph import Context, Inputs, node
from nodegraph_nodes.diffusion.families import LoadedTextEncoder
from nodegraph_nodes.types import Conditioning, TextEncoder


@node(category="diffusion/prompt", lane="gpu")
def encode_prompt(
    context: Context,
    encoder: TextEncoder,
    text: Annotated[str, Field(description="What the picture is to show.", json_schema_extra={"format": "prompt"})] = "",
) -> Conditioning:
    """Turn a prompt into token states, which the denoiser attends to."""
    network: LoadedTextEncoder = context.resident(encoder)
    _warn_if_cut(context, network, text)
    return network.encode([text])[0]


@encode_prompt.batched(key=lambda inputs: inputs.encoder)
def encode_prompts(calls: Sequence[Inputs]) -> list[Conditioning]:
    """Several prompts for one encoder, in one pass."""
    network: LoadedTextEncoder = calls[0].context.resident(calls[0].encoder)
    for call in calls:
        _warn_if_cut(call.context, network, call.text)
    return network.encode([call.text for call in calls])


def _warn_if_cut(context: Context, network: LoadedTextEncoder, text: str) -> None:
    count = network.count_tokens(text)
    if count > network.max_tokens:
        context.log.warning(
            "%s: the prompt has %d tokens, this model reads the first %d and ignores the rest.",
            context.node,
            count,
            network.max_tokens,
        )
