"""Which classes a caption names: their names, as whole words, the longest first ("red apple" is no "apple")."""

import re
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words(text: str) -> tuple[str, ...]:
    """A text's words, in lower case and without marks."""
    return tuple(_WORD.findall(text.lower().replace("’", "'")))


class Names:
    """Classes by name, to be found in captions."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._place = {words(name): number for number, name in reversed(list(enumerate(classes))) if words(name)}
        self._longest = max(map(len, self._place), default=0)

    def named(self, caption: str) -> list[int]:
        """The classes that a caption names, in its order; where names overlap, the longer counts."""
        said, found, place = words(caption), [], 0
        while place < len(said):
            length = next(
                (n for n in range(min(self._longest, len(said) - place), 0, -1) if said[place : place + n] in self._place), 0
            )
            if length:
                number = self._place[said[place : place + length]]
                found += [number] if number not in found else []
            place += length or 1
        return found
