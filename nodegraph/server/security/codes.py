"""One-time codes: what the printed address holds, so that the token itself is never in an address bar or a history."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from nodegraph.server.security.tokens import digest

CODE_SECONDS = 15 * 60.0
_MOST = 100


class Codes:
    """Codes that can be used once, for a quarter of an hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def issue(self) -> str:
        """A new code; only its digest is kept."""
        self._drop()
        while len(self._until) >= _MOST:
            del self._until[next(iter(self._until))]
        code = secrets.token_urlsafe(32)
        self._until[digest(code)] = self._clock() + CODE_SECONDS
        return code

    def redeem(self, code: str) -> bool:
        """Whether the code is good; from now on it is not."""
        self._drop()
        return self._until.pop(digest(code), None) is not None

    def _drop(self) -> None:
        now = self._clock()
        self._until = {code: until for code, until in self._until.items() if until > now}
