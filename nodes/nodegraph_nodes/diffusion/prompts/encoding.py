"""From spans to conditionings: tokens in chunks, learned words' vectors in their places, weights on the states.

Text that is nothing but text goes through the network's own `encode`, so that it gives the bits it always gave.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from nodegraph_nodes.diffusion.families.clip import ClipTextEncoder, ClipTower
from nodegraph_nodes.diffusion.families.loaded import LoadedTextEncoder
from nodegraph_nodes.types import Conditioning

from .brackets import Syntax
from .chunks import Chunk, LongWord, Token, chunked, pieces_of
from .timing import Spans, is_weighted, text_of
from .weighting import multiplied, towards_empty
from .words import UnknownWord, Word, split_words

Weights = Literal["comfy", "a1111"]


@runtime_checkable
class ReadsTokens(Protocol):
    """A text encoder without chunks that weighs tokens by itself. words: the vectors [n, D] of its learned words, by name."""

    words: Mapping[str, Tensor]

    def token_ids(self, text: str) -> list[int]: ...

    def encode_tokens(self, tokens: Sequence[Token], weights: Weights) -> Conditioning: ...


def encode_spans(
    network: LoadedTextEncoder, prompts: Sequence[Spans], syntax: Syntax
) -> list[Conditioning | UnknownWord | LongWord]:
    """One conditioning for each of the prompts, which may repeat, or why there is none.

    A family whose encoder knows no tokens (T5 alone) reads the words and no weights: see `reads_weights`.
    """
    found: dict[Spans, Conditioning | UnknownWord | LongWord] = {}
    plain: list[Spans] = []
    for spans in dict.fromkeys(prompts):
        try:
            if syntax == "plain" or _is_plain(network, spans, syntax):
                plain.append(spans)
            else:
                found[spans] = _encoded(network, spans, syntax)
        except (UnknownWord, LongWord) as error:
            found[spans] = error
    if plain:
        found |= zip(plain, network.encode([_text(spans) for spans in plain]), strict=True)
    return [found[spans] for spans in prompts]


def reads_weights(network: LoadedTextEncoder) -> bool:
    return isinstance(network, (ClipTextEncoder, ReadsTokens))


def reads_on(network: LoadedTextEncoder) -> bool:
    """Whether prompts beyond `max_tokens` are read in further chunks."""
    return isinstance(network, ClipTextEncoder)


def _text(spans: Spans) -> str:
    """What plain spans say, to the letter where that matters."""
    return spans[0][0].text if len(spans) == 1 and len(spans[0]) == 1 else text_of(spans)


def _is_plain(network: LoadedTextEncoder, spans: Spans, syntax: Weights) -> bool:
    """Whether the network's own `encode` does all that is asked for."""
    if not reads_weights(network):
        return True
    if len(spans) > 1 or is_weighted(spans):
        return False
    names = _names(network)
    text = text_of(spans)
    if any(isinstance(part, Word) for part in split_words(text, names, bare=syntax == "a1111")):
        return False
    return not reads_on(network) or network.count_tokens(text) <= network.max_tokens


def _names(network: LoadedTextEncoder) -> Sequence[str]:
    return list(getattr(network, "words", ()))


def _encoded(network: LoadedTextEncoder, spans: Spans, syntax: Weights) -> Conditioning:
    if isinstance(network, ClipTextEncoder):
        return encode_clip(network, spans, syntax)
    weighing = cast(ReadsTokens, network)
    counts = {name: len(vectors) for name, vectors in weighing.words.items()}
    groups = pieces_of(spans, weighing.token_ids, counts, syntax)
    tokens = [token for group in groups for piece in group for token in piece]
    return weighing.encode_tokens(tokens, syntax)


def encode_clip(encoder: ClipTextEncoder, spans: Spans, weights: Weights) -> Conditioning:
    """A prompt through all towers of a CLIP encoder: states [chunks x 77, sum of D]; pooled: the first chunk's."""
    per_tower = [_chunks(tower, encoder.words, number, spans, weights) for number, tower in enumerate(encoder.towers)]
    count = max(len(chunks) for chunks in per_tower)
    states, pooled = [], None
    for number, (tower, chunks) in enumerate(zip(encoder.towers, per_tower, strict=True)):
        chunks += [[] for _ in range(count - len(chunks))]
        vectors = {name: each[number] for name, each in encoder.words.items()}
        of_tower, of_first = _through(tower, chunks, vectors, encoder.skip, weights)
        states.append(of_tower)
        pooled = of_first if of_first is not None else pooled
    return Conditioning(torch.cat(states, -1), encoder.family, pooled)


def _chunks(
    tower: ClipTower, words: Mapping[str, Sequence[Tensor]], number: int, spans: Spans, weights: Weights
) -> list[Chunk]:
    counts = {name: len(each[number]) for name, each in words.items()}
    comma = next(iter(tower.token_ids(",")), None) if weights == "a1111" else None
    return chunked(pieces_of(spans, tower.token_ids, counts, weights), tower.length - 2, comma)


def _through(
    tower: ClipTower, chunks: Sequence[Chunk], words: Mapping[str, Tensor], skip: int, weights: Weights
) -> tuple[Tensor, Tensor | None]:
    """The states [n x L, D] of n chunks, weighed, and the first one's pooled state [P]."""
    ids = torch.tensor([tower.padded([token.id for token in chunk]) for chunk in [*chunks, []]])
    vectors = None
    if any(token.word for chunk in chunks for token in chunk):
        vectors = tower.embed(ids).clone()
        for row, chunk in enumerate(chunks):
            for place, token in enumerate(chunk, 1):  # after the start mark
                if token.word:
                    vectors[row, place] = words[token.word][token.vector].to(vectors)
    encoded = tower.encode_ids(ids, skip, vectors)
    states, empty = encoded.states[:-1], encoded.states[-1:]
    factors = torch.ones(ids[:-1].shape)
    for row, chunk in enumerate(chunks):
        factors[row, 1 : len(chunk) + 1] = torch.tensor([token.weight for token in chunk])
    states = towards_empty(states, factors, empty) if weights == "comfy" else multiplied(states, factors)
    return states.flatten(0, 1), None if encoded.pooled is None else encoded.pooled[0].clone()
