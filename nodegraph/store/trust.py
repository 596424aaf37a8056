"""What a person has accepted of documents: per file, and per content for those that come and go (pictures, downloads)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nodegraph.graph.uses import Use
from nodegraph.sdk.writing import write_atomically

MOST = 2000
"""How many acceptances are remembered; the oldest go first."""


class Trust:
    """The accepted uses in `file`, read anew each time: other processes write there too.

    A file that cannot be read counts as empty: the person is asked again.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def accepted(self, *keys: str) -> set[Use]:
        """What has been accepted for a document that goes by any of these keys: its file's path, its content's digest."""
        rows = self._read()
        return {Use(*pair) for key in keys for pair in rows.get(key, ())}

    def accept(self, found: Iterable[Use], place: str, content: str) -> bool:
        """Remember, beside what was accepted before, for a document's file and its content; whether that could be written.

        Names of files mean other files in another folder: they are remembered for the place alone.
        """
        rows, pairs = self._read(), {(use.kind, use.name) for use in found}
        anywhere = {pair for pair in pairs if pair[0] != "file"}
        for key, accepted in ((place, pairs), (content, anywhere)):
            if accepted:
                rows[key] = sorted({*accepted, *rows.pop(key, ())})
        kept = dict(list(rows.items())[-MOST:])
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._file, json.dumps({"accepted": kept}, indent=1).encode())
            return True
        return False

    def _read(self) -> dict[str, list[tuple[str, str]]]:
        try:
            found: Any = json.loads(self._file.read_text("utf-8"))["accepted"]
            return {str(key): [(str(kind), str(name)) for kind, name in pairs] for key, pairs in dict(found).items()}
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            return {}


def unaccepted(trust: Trust, keys: Iterable[str], found: Mapping[Use, str]) -> dict[Use, str]:
    """Those uses that still need a person's consent."""
    known = trust.accepted(*keys)
    return {use: node for use, node in found.items() if use.needs_consent and use not in known}
