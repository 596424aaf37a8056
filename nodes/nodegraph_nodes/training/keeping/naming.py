"""Names of what is kept. Whether a typed one can be a folder's or a file's is said before a training begins, not after it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from nodegraph import NodeError, Problem

_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PART = re.compile(r"\w[\w .()+-]*")
_LONGEST = 200
"""Bytes of a name that every file system takes, with an ending and what is put behind it while it is written."""


def check_folder_name(name: str) -> None:
    """Raises NodeError."""
    if not _FOLDER.fullmatch(name):
        raise NodeError(
            "This is no name for a model.", socket="name", expected="letters, digits, dots, dashes, underscores", got=name[:100]
        )


def file_parts(name: str) -> list[str]:
    """A file's name without its ending, behind the folders that it begins with. Raises NodeError."""
    parts = name.strip().removesuffix(".safetensors").split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        raise NodeError(
            "This is no name for a file.", socket="name", expected="letters, digits, spaces and _ - . ( ) +", got=name
        )
    if any(len(part.encode("utf-8", "surrogatepass")) > _LONGEST for part in parts):
        raise NodeError(
            "This name is too long for a file.", socket="name", expected=f"at most {_LONGEST} bytes", got=name[:100]
        )
    return parts


def folder_is_named(values: Mapping[str, Any]) -> list[Problem]:
    """For `check=` of nodes that keep folders."""
    return _problems(check_folder_name, values)


def file_is_named(values: Mapping[str, Any]) -> list[Problem]:
    """For `check=` of nodes that keep files."""
    return _problems(file_parts, values)


def _problems(check: Callable[[str], object], values: Mapping[str, Any]) -> list[Problem]:
    name = values.get("name")  # a link's comes later
    if isinstance(name, str):
        try:
            check(name)
        except NodeError as error:
            return [error.problem("", "bad_value")]
    return []
