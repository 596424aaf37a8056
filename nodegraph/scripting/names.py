"""Names for what a script holds: those of the document where Python can have them, and never two that are the same."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from nodegraph.scripting.source import WIDTH, width

_TAKEN = frozenset({*dir(builtins), *keyword.kwlist, *keyword.softkwlist})


def variables(names: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """A variable for each name: hyphens become underscores, what Python or the script needs itself gets one at the end."""
    fixed = frozenset({*_TAKEN, *taken})
    reserved = set(fixed)
    found: dict[str, str] = {}
    for name in names:
        wanted = re.sub(r"\W", "_", name, flags=re.ASCII)
        wanted = f"_{wanted}" if not wanted or wanted[0].isdigit() else wanted
        wanted = f"{wanted}_" if wanted in fixed else wanted
        variable, number = wanted, 2
        while variable in reserved:
            variable, number = f"{wanted}_{number}", number + 1
        reserved.add(variable)
        found[name] = variable
    return found


@dataclass(frozen=True, slots=True)
class Imports:
    """The import lines of a script, and the name that each pack has in it."""

    lines: tuple[str, ...]
    aliases: Mapping[str, str]


def imports(packs: Mapping[str, str], taken: Collection[str] = ()) -> Imports:
    """Import packs (name -> module) each under its name, in the order in which isort and ruff sort them."""
    aliases = variables(sorted(packs), taken)
    plain: list[str] = ["import nodegraph"]
    members: dict[str, list[str]] = {}
    for pack, alias in aliases.items():
        parent, _, last = packs[pack].rpartition(".")
        renamed = "" if last == alias else f" as {alias}"
        if parent:
            members.setdefault(parent, []).append(last + renamed)
        else:
            plain.append(f"import {last}{renamed}")
    froms = [line for parent in sorted(members) for line in from_import(parent, sorted(members[parent]))]
    return Imports((*sorted(plain), *froms), aliases)


def from_import(parent: str, members: list[str]) -> list[str]:
    """The lines that import names from a module: one while they fit."""
    line = f"from {parent} import {', '.join(members)}"
    if width(line) <= WIDTH:
        return [line]
    return [f"from {parent} import (", *(f"    {member}," for member in members), ")"]
