"""The system's keyring, where there is one that works: found without a prompt, and whatever hangs is given up.

Behind it may lie a service that does not answer or asks somebody to unlock it. So every question goes to a thread of its own
and has a deadline; where nobody can see a prompt, a short one.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")

_FINDING_SECONDS = 5.0
_ANSWERING_SECONDS, _UNSEEN_SECONDS = 60.0, 5.0


class Keyring(Protocol):
    """What is needed of a backend of the package `keyring`."""

    def get_password(self, service: str, username: str, /) -> str | None: ...

    def set_password(self, service: str, username: str, password: str, /) -> None: ...

    def delete_password(self, service: str, username: str, /) -> None: ...


class KeyringSilent(Exception):
    """The keyring did not answer, or refused. It says why in a word, and never what it was asked to keep."""


def working_keyring() -> Keyring | None:
    """The keyring that the system recommends; None where there is none, as on most machines without a screen."""
    try:
        return _in_time(_recommended, _FINDING_SECONDS)
    except KeyringSilent:
        return None


def _recommended() -> Keyring | None:
    from keyring.core import get_keyring, recommended

    found = get_keyring()
    return found if recommended(found) else None  # keyrings in plain files, or none at all, are not


def ask(question: Callable[[], T]) -> T:
    """Ask the keyring something. Raises KeyringSilent."""
    seen = not sys.platform.startswith("linux") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    return _in_time(question, _ANSWERING_SECONDS if seen else _UNSEEN_SECONDS)


def _in_time(question: Callable[[], T], seconds: float) -> T:
    """The answer, if it comes in time. What a backend raises may hold what it was given: only its type is told."""
    answers: list[T] = []
    failures: list[str] = []

    def work() -> None:
        try:
            answers.append(question())
        except BaseException as error:  # backends raise all sorts, of libraries that need not be here
            failures.append(type(error).__name__)

    thread = threading.Thread(target=work, name="nodegraph-keyring", daemon=True)
    thread.start()
    thread.join(seconds)
    if answers:
        return answers[0]
    raise KeyringSilent(failures[0] if failures else f"no answer in {seconds:.0f} s")
