"""Encoding prompts: what people write, with weights and switches, into conditionings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from nodegraph import Context, Inputs, NodeError, OldNode, Problem, migrate, node
from nodegraph.sdk.errors import nearest
from nodegraph_nodes.diffusion.families import LoadedTextEncoder
from nodegraph_nodes.diffusion.prompts import (
    Prompt,
    PromptError,
    Stretch,
    Syntax,
    is_weighted,
    parse,
    stretches,
    text_of,
)
from nodegraph_nodes.diffusion.prompts.chunks import LongWord
from nodegraph_nodes.diffusion.prompts.encoding import encode_spans, reads_on, reads_weights
from nodegraph_nodes.diffusion.prompts.words import UnknownWord
from nodegraph_nodes.types import Conditioning, TextEncoder

_ANY_STEPS = 1000  # stands for a number of steps that comes over a link
_SURELY_PLAIN_BYTES = (
    75  # no token is shorter than a byte, and no model reads fewer, but the starter model, which has no chunks
)


def _can_be_read(values: Mapping[str, object]) -> list[Problem]:
    text, weights, steps = values.get("text"), values.get("weights"), values.get("steps", _ANY_STEPS)
    if not isinstance(text, str) or weights is None:
        return []
    try:
        _read(text, weights, steps)  # type: ignore[arg-type]
    except NodeError as error:
        return [error.problem("", "bad_value")]
    return []


@node(category="diffusion/prompt", lane="gpu", version=2, check=_can_be_read)
def encode_prompt(
    context: Context,
    encoder: TextEncoder,
    text: Annotated[str, Field(description="What the picture is to show.", json_schema_extra={"format": "prompt"})] = "",
    weights: Annotated[
        Syntax,
        Field(
            description="How brackets are read. a1111: (more:1.2), [less], [from:to:0.4], AND, BREAK; comfy: (more:1.2) alone, "
            "with ComfyUI's arithmetic; plain: all of it is text."
        ),
    ] = "a1111",
    steps: Annotated[
        int | None,
        Field(ge=1, le=1000, description="The schedule's number of steps: for [from:to:8] and [this|that], which count steps."),
    ] = None,
) -> Conditioning:
    """Turn a prompt into token states, which the denoiser attends to."""
    (found,) = _encoded([Inputs(encoder=encoder, text=text, weights=weights, steps=steps, context=context)])
    if isinstance(found, NodeError):
        raise found
    return found


@encode_prompt.batched(key=lambda inputs: (inputs.encoder, inputs.weights))
def encode_prompts(calls: Sequence[Inputs]) -> list[Conditioning | NodeError]:
    """Several prompts for one encoder, in one pass."""
    return _encoded(calls)


@migrate("diffusion/encode_prompt", from_version=1)
def encode_prompt_2(old: OldNode) -> None:
    """Version 1 read no brackets, and no more of a long prompt than a model reads at once."""
    text = old.inputs.get("text", "")
    plain = isinstance(text, str) and "text" not in old.links and len(text.encode()) <= _SURELY_PLAIN_BYTES
    if plain and not _means_something(str(text)):
        return
    old.inputs["weights"] = "plain"
    if _means_something(str(text)):
        old.note("Its brackets stay text, as they were; set weights to a1111 or comfy to have them read as weights.")


def _means_something(text: str) -> bool:
    return any(mark in text for mark in ("(", ")", "[", "]", "\\", "<", "embedding:", "AND", "BREAK"))


# ---- from text to conditionings ----


def _read(text: str, weights: Syntax, steps: int | None) -> tuple[Prompt, tuple[Stretch, ...]]:
    """Raises NodeError that shows the place."""
    try:
        prompt = parse(text, weights)
        return prompt, stretches(prompt, steps)
    except PromptError as error:
        raise NodeError(str(error), socket="text", got=error.excerpt, hint=error.hint or None) from None


def _encoded(calls: Sequence[Inputs]) -> list[Conditioning | NodeError]:
    """The prompts of several calls with one encoder and one syntax."""
    network: LoadedTextEncoder = calls[0].context.resident(calls[0].encoder)
    syntax: Syntax = calls[0].weights
    read: list[tuple[Stretch, ...] | NodeError] = []
    for call in calls:
        try:
            prompt, found = _read(call.text, syntax, call.steps)
            _warn(call.context, network, syntax, prompt, found)
            read.append(found)
        except NodeError as error:
            read.append(error)
    spans = [part.spans for parts in read if not isinstance(parts, NodeError) for part in parts]
    encoded = iter(encode_spans(network, spans, syntax))
    return [parts if isinstance(parts, NodeError) else _joined(parts, [next(encoded) for _ in parts]) for parts in read]


def _joined(parts: Sequence[Stretch], encoded: Sequence[Conditioning | UnknownWord | LongWord]) -> Conditioning | NodeError:
    """The stretches of a prompt as one conditioning of several parts."""
    found: list[Conditioning] = []
    for part, each in zip(parts, encoded, strict=True):
        if isinstance(each, UnknownWord):
            hint = nearest(each.name, each.known, "There are") or "Load it with load_embedding."
            return NodeError(str(each), socket="text", got=f"embedding:{each.name}", hint=hint)
        if isinstance(each, LongWord):
            return NodeError(str(each), socket="text")
        found.append(replace(each, weight=part.weight, start=part.start, end=part.end))
    return replace(found[0], others=tuple(found[1:]))


def _warn(context: Context, network: LoadedTextEncoder, syntax: Syntax, prompt: Prompt, parts: Sequence[Stretch]) -> None:
    """Say in the log what of a prompt does not count."""

    def warn(message: str, *values: Any) -> None:
        context.log.warning(f"%s: {message}", context.node, *values)

    for name in prompt.networks:
        warn("the prompt calls for the network %r, which is left out: a LoRA is loaded by a node here.", name)
    if not reads_weights(network) and any(is_weighted(part.spans) for part in parts):
        warn("this model's text encoder reads no weights: the words count as they are.")
    if syntax == "plain" or not reads_on(network):
        count = max(network.count_tokens(text_of(part.spans)) for part in parts)
        if count > network.max_tokens:
            warn(
                "the prompt has %d tokens, this model reads the first %d and ignores the rest.",
                count,
                network.max_tokens,
            )
