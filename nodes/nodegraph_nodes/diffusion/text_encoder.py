"""Changing how a text encoder reads: learned words, and layers left out. Recipes only; nothing is loaded here."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field

from nodegraph import ModelFile, NodeError, node
from nodegraph_nodes.diffusion.families import ModelError, check_reading
from nodegraph_nodes.diffusion.families.kinds import EMBEDDING
from nodegraph_nodes.diffusion.families.learned_words import check_layout
from nodegraph_nodes.diffusion.unfit import unfit
from nodegraph_nodes.types import Embedding, TextEncoder


@node(category="diffusion/model")
def load_embedding(
    encoder: TextEncoder,
    embedding: Annotated[
        ModelFile[Literal["embedding"]],
        Field(description="A learned word's file (textual inversion), made for this kind of model."),
    ],
    word: Annotated[str, Field(max_length=100, description="How prompts call it; empty: by the file's name.")] = "",
) -> TextEncoder:
    """Teach a text encoder a word, which prompts call embedding:NAME or <NAME>. For several words, link several of these."""
    name = word.strip() or embedding.path.stem
    if any(letter in name for letter in " ,()[]|:<>\\"):
        hint = "Set `word` to a name without spaces, commas, colons and brackets."
        raise NodeError("Prompts cannot call an embedding by this name.", socket="word", got=name, hint=hint)
    others = tuple(each for each in encoder.embeddings if each.name.casefold() != name.casefold())
    learned = Embedding(name, str(embedding.path), embedding.digest)
    try:
        check_layout(embedding.path)
        check_reading(replace(encoder, embeddings=(learned,), skip=0))
    except ModelError as error:
        raise unfit(embedding, "embedding", error, EMBEDDING, socket="embedding") from None
    return replace(encoder, embeddings=(*others, learned))


@node(category="diffusion/model")
def clip_skip(
    encoder: TextEncoder,
    skip: Annotated[
        int, Field(ge=0, le=30, description='How many of its last layers are left out: A1111\'s "Clip skip" less one.')
    ] = 1,
) -> TextEncoder:
    """Leave out the last layers of a CLIP text encoder, as models want that were trained so (many for drawings)."""
    try:
        check_reading(replace(encoder, embeddings=(), skip=skip))
    except ModelError as error:
        message = f"This text encoder cannot be cut short: {error.problem}"
        raise NodeError(message, socket="skip", got=str(skip)) from None
    return replace(encoder, skip=skip)
