"""Documents that were opened lately, by what they came from: who sends a hundred variations has each opened once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from nodegraph.graph import Document, PublicInput

_MOST = 32
_LARGEST_CHARACTERS = 1 << 20


class Opened(NamedTuple):
    """A document as it runs before values are set, its public inputs, and what it goes by where consent is remembered.

    `written` is the same before subgraphs of other files were taken in: it says which files those are.
    """

    document: Document
    inputs: dict[str, PublicInput]
    keys: tuple[str, ...]
    written: Document


class OpenedDocuments:
    """The latest few, for any thread. Only those belong here that are made of nothing but their own text."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, ...], Opened] = OrderedDict()

    def get(self, key: tuple[str, ...]) -> Opened | None:
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
            return self._known.get(key)

    def add(self, key: tuple[str, ...], opened: Opened, characters: int) -> None:
        """Remember one, unless its text is so long that it would take much memory."""
        if characters > _LARGEST_CHARACTERS:
            return
        with self._lock:
            self._known[key] = opened
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
