"""The configuration file: TOML in the data folder, or one that is named. It is read, never written."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from nodegraph.sdk.errors import Problem

CONFIG_NAME = "config.toml"
MOST_BYTES = 1 << 20


def read_config(file: Path, *, asked: bool) -> tuple[dict[str, Any] | None, list[Problem]]:
    """What the file holds (None where it cannot be read), and what is wrong with it.

    That there is no file is a problem only where it was asked for.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        hint = "Give the path of a TOML file, or leave --config out."
        return None, [Problem("no_settings", f"There is no file {file}.", hint=hint)] if asked else []
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return None, [
            Problem("unreadable_settings", f"{file} cannot be read ({why}).", hint="Allow reading it, or move it away.")
        ]
    if len(data) > MOST_BYTES:
        return None, [Problem("unreadable_settings", f"{file} is larger than a megabyte.", hint="Is it the right file?")]
    try:
        return tomllib.loads(data.decode("utf-8-sig")), []
    except UnicodeDecodeError:
        return None, [Problem("unreadable_settings", f"{file} is not UTF-8 text.", hint="Save it as UTF-8.")]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return None, [_not_toml(file, error)]


def _not_toml(file: Path, error: Exception) -> Problem:
    """The parser's words, with its line and column as fields. It names characters at most, never a value."""
    found = re.search(r" \(at line (\d+), column (\d+)\)$", str(error))
    words = str(error)[: found.start()] if found else "too deeply nested" if isinstance(error, RecursionError) else str(error)
    line, column = (int(found[1]), int(found[2])) if found else (None, None)
    hint = 'A line is `name = value` below its `[section]`; texts stand in quotes: host = "127.0.0.1".'
    return Problem("unreadable_settings", f"{file} is not TOML: {words}.", line=line, column=column, hint=hint)
