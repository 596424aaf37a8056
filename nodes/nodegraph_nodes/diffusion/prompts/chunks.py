"""Long prompts in chunks: what a text encoder reads at once, as A1111 and ComfyUI cut it.

A piece is never cut: A1111 cuts between any two tokens, and goes back to a comma that is at most twenty tokens away; ComfyUI
cuts between words, unless a word has more than eight tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from .timing import Spans
from .words import Word, split_words

_BACKTRACK = 20
_LONG_WORD = 8


class LongWord(ValueError):
    """A learned word that is longer than a chunk."""


class Token(NamedTuple):
    """A token and its weight; or one of a learned word's vectors: that word, and which of its vectors."""

    id: int
    weight: float
    word: str = ""
    vector: int = 0


Piece = tuple[Token, ...]
Chunk = list[Token]


def pieces_of(
    spans: Spans,
    token_ids: Callable[[str], Sequence[int]],
    words: Mapping[str, int],
    syntax: Literal["comfy", "a1111"],
) -> list[list[Piece]]:
    """The pieces of each group of spans. words: how many vectors each learned word has. Raises UnknownWord."""
    return [[piece for span in group for piece in _pieces(span.text, span.weight, token_ids, words, syntax)] for group in spans]


def _pieces(
    text: str, weight: float, token_ids: Callable[[str], Sequence[int]], words: Mapping[str, int], syntax: str
) -> Iterable[Piece]:
    for part in split_words(text, words, bare=syntax == "a1111"):
        if isinstance(part, Word):
            yield tuple(Token(0, weight, part.name, number) for number in range(words[part.name]))
        elif syntax == "a1111":
            yield from ((Token(id, weight),) for id in token_ids(part))
        else:
            for word in part.split():
                tokens = tuple(Token(id, weight) for id in token_ids(word))
                yield from [tokens] if len(tokens) < _LONG_WORD else [(token,) for token in tokens]


def chunked(groups: Sequence[Sequence[Piece]], length: int, comma: int | None = None) -> list[Chunk]:
    """Chunks of up to `length` tokens; every group begins a new one.

    comma: the token to go back to, or None for not going back. A group without pieces is an empty chunk, unless it is the last.
    Raises LongWord for a piece that is longer than a chunk.
    """
    chunks: list[Chunk] = []
    for number, group in enumerate(groups):
        chunk: Chunk = []
        last_comma = -1
        for piece in group:
            if len(piece) > length:
                raise LongWord(f"The embedding {piece[0].word!r} has {len(piece)} vectors; this model reads {length} at once.")
            while len(chunk) + len(piece) > length:
                at = len(chunk)
                if last_comma >= 0 and at - last_comma <= _BACKTRACK and not _is(piece, comma):
                    at = last_comma + 1
                chunks.append(chunk[:at])
                chunk, last_comma = chunk[at:], -1
            if _is(piece, comma):
                last_comma = len(chunk)
            chunk.extend(piece)
        if chunk or number < len(groups) - 1 or not chunks:
            chunks.append(chunk)
    return chunks


def _is(piece: Piece, comma: int | None) -> bool:
    return comma is not None and len(piece) == 1 and piece[0].id == comma and not piece[0].word
