"""Learned words (textual inversion) in a prompt: `embedding:NAME`, `<NAME>`, and in A1111's syntax the bare name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_CALLED = re.compile(r"\bembedding:([^\s,()\[\]|:<>\\]+)|<([^<>\s]+)>")
_AFTER = ".;!?'\""  # what may follow a name in a sentence
_ENDING = ".safetensors"


class Word(NamedTuple):
    """A learned word that a prompt calls by its name."""

    name: str


class UnknownWord(LookupError):
    """`embedding:NAME` where no learned word has this name. known: those that there are."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name, self.known = name, sorted(known)
        super().__init__(f"The prompt calls the embedding {name!r}, which is not loaded.")


def split_words(text: str, names: Iterable[str], *, bare: bool = False) -> Iterator[str | Word]:
    """The text's parts between the learned words, and these. Texts are not empty. Raises UnknownWord.

    Names are found in any case. bare: the name alone stands for the word, too.
    """
    known = {name.casefold(): name for name in names}
    at = 0
    for start, end, name in sorted(_calls(text, known, bare)):
        if start < at:
            continue  # within one that began before
        if text[at:start].strip():
            yield text[at:start]
        yield Word(name)
        at = end
    if text[at:].strip():
        yield text[at:]


def _calls(text: str, known: dict[str, str], bare: bool) -> Iterator[tuple[int, int, str]]:
    """Where the text calls a learned word: from, to, its name."""
    for match in _CALLED.finditer(text):
        if match[2] is not None:
            if match[2].casefold() in known:
                yield match.start(), match.end(), known[match[2].casefold()]
            continue
        name = match[1]
        found = next((each for each in (name, name.rstrip(_AFTER)) if _stem(each) in known), None)
        if found is None:
            raise UnknownWord(name.rstrip(_AFTER) or name, known.values())
        yield match.start(), match.start(1) + len(found), known[_stem(found)]
    if bare and known:
        names = "|".join(sorted(map(re.escape, known), key=len, reverse=True))
        for match in re.finditer(rf"(?<![\w:<-])({names})(?![\w>-])", text, re.IGNORECASE):
            yield match.start(), match.end(), known[match[1].casefold()]


def _stem(name: str) -> str:
    return name.casefold().removesuffix(_ENDING)
