"""Captions out of parts: what a picture shows, its colour, its style, what it lies on."""

from __future__ import annotations

from collections.abc import Sequence

from .colours import HUES, NEUTRALS

STYLE_PHRASES = ("{what}, {style} style", "{a style} icon of {what}")
"""How a caption may name a style. {what}: the caption so far; {style}: the style's word; {a style}: with its article."""


def with_article(noun: str) -> str:
    """ "apple" as "an apple"; plurals stay as they are. A rule of thumb: the sound of a letter is not known."""
    if not noun or (noun.endswith("s") and not noun.endswith(("ss", "us"))):
        return noun
    return ("an " if noun[0].lower() in "aeiou" else "a ") + noun


def coloured(noun: str, colour: str) -> str:
    """ "red apple" in blue is "blue apple"."""
    first, _, rest = noun.partition(" ")
    return f"{colour} {rest if rest and first in {*HUES, *NEUTRALS} else noun}"


def on_ground(colour: str) -> str:
    """What a caption says of a background."""
    return f" on {with_article(colour)} background"


def in_style(what: str, style: str, phrase: str) -> str:
    """A caption that names a style, by one of `STYLE_PHRASES` or one like them."""
    return phrase.replace("{what}", what).replace("{a style}", with_article(style)).replace("{style}", style)


def shortened(noun: str, endings: Sequence[str]) -> str:
    """A noun without the ending that stands for nothing: "cat face" as "cat"."""
    for ending in endings:
        if noun.endswith(ending) and len(noun) > len(ending):
            return noun[: -len(ending)].rstrip()
    return noun
