"""What goes wrong with files, worded for somebody who sees this machine only through the API: no path of it is told."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from nodegraph.api.paths import shipped
from nodegraph.sdk.errors import Problem
from nodegraph.sdk.writing import NotWritten
from nodegraph.server.problems import Refused
from nodegraph.settings import Settings

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
_NOT_NOW = (errno.ETIMEDOUT, errno.EAGAIN, errno.EBUSY)


def without_paths(text: str, settings: Settings) -> str:
    """A text that names folders of this machine, with words in their place."""
    for folder, word in _folders(settings.data, tuple(settings.models), tuple(settings.files)):
        text = text.replace(folder, word)
    return text


def told_apart(problems: Iterable[Problem], settings: Settings) -> list[Problem]:
    """Problems without this machine's folders."""

    def hushed(text: str | None) -> str | None:
        return None if text is None else without_paths(text, settings)

    return [
        replace(
            problem,
            message=hushed(problem.message) or "",
            expected=hushed(problem.expected),
            got=hushed(problem.got),
            hint=hushed(problem.hint),
        )
        for problem in problems
    ]


@lru_cache(maxsize=8)
def _folders(data: Path, models: tuple[Path, ...], files: tuple[Path, ...]) -> list[tuple[str, str]]:
    """The folders and what they are called, the longest first, as they are written and as they really are."""
    named = [(data, "DATA"), (shipped("workflows"), "WORKFLOWS"), (shipped("models"), "MODELS")]
    named += [(folder, "MODELS") for folder in models] + [(folder, "FILES") for folder in files]
    found = {str(form): word for folder, word in named for form in _forms(folder)}
    return sorted(found.items(), key=lambda pair: -len(pair[0]))


def _forms(folder: Path) -> set[Path]:
    try:
        return {folder, folder.absolute(), folder.resolve()}
    except (OSError, RuntimeError):
        return {folder, folder.absolute()}


def not_written(error: OSError, what: str) -> Refused:
    """Why something could not be written: `what` begins the sentence. What was there before is there whole."""
    if error.errno in _NO_ROOM:
        problem = Problem("no_room", f"{what} cannot be written: the disk is full.", hint="Make room in the data folder.")
        return Refused(507, "no_room", problem.message, [problem])
    if error.errno in _NOT_ALLOWED:
        message = f"{what} cannot be written: the server may not write there."
        problem = Problem("read_only", message, hint="Allow the server's user to write to the data folder and what is in it.")
        return Refused(403, "read_only", message, [problem])
    if error.errno in _NOT_NOW or (isinstance(error, NotWritten) and error.strerror == "busy"):
        message = f"{what} cannot be written now: another program is writing there."
        return Refused(503, "busy", message, [Problem("busy", message, hint="Try again.")], headers={"Retry-After": "5"})
    message = f"{what} cannot be written: {error.strerror or 'the disk reports an error'}."
    return Refused(507, "not_written", message, [Problem("not_written", message, hint="Look at the data folder's disk.")])
