"""Versions of the document format: `"nodegraph": N`. A document of an older format is read as one of today's.

An upgrade takes a document's JSON data of one format and gives that of the next; there is one for every format that was ever
released. Format 1 is the first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from nodegraph.sdk.errors import InvalidWorkflow, Problem

FORMAT = 1

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]

UPGRADES: Mapping[int, Upgrade] = {}
"""From each older format to the next one."""


def upgraded(data: dict[str, Any], upgrades: Mapping[int, Upgrade] = UPGRADES, current: int = FORMAT) -> dict[str, Any]:
    """The data in the current format; without a number it counts as the current one.

    Raises InvalidWorkflow for a format that is unknown: a newer nodegraph's, or none at all.
    """
    version = data.get("nodegraph", current)
    if type(version) is not int or version > current or not all(step in upgrades for step in range(version, current)):
        newer = type(version) is int and version > current
        hint = "It was saved by a newer nodegraph. Update to open it." if newer else None
        expected = f'"nodegraph": {current}'
        message = "The format version is unknown."
        raise InvalidWorkflow([Problem("bad_document", message, expected=expected, got=json.dumps(version), hint=hint)])
    for step in range(version, current):
        data = {**upgrades[step](data), "nodegraph": step + 1}
    return data
