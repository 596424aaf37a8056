"""One set of node names for three versions of a graph, so that they can be merged place by place.

A node keeps its identity through renames; a new name goes to both sides, and two different nodes never share one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nodegraph.editing.matching import renames
from nodegraph.editing.shapes import NODE, node_in, permutation, ref_places, refs_in, renamed, same

Nodes = dict[str, Any]


class Clash(NamedTuple):
    """A name that both sides gave to different nodes: theirs is called `kept_as` in the merged graph."""

    name: str
    kept_as: str


class Naming(NamedTuple):
    """What the nodes of each version are called in the merged graph, as permutations of names."""

    base: dict[str, str]
    ours: dict[str, str]
    theirs: dict[str, str]
    renamed_by_us: frozenset[str]
    """Merged names of nodes of the base that one side renamed."""
    renamed_by_them: frozenset[str]
    torn: tuple[tuple[str, str, str], ...]
    """Nodes that both renamed, and differently: the name in base, ours (which stays) and theirs."""
    clashes: tuple[Clash, ...]


def agreed(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Naming:
    """The names of three graphs' nodes in their merged graph. Where both sides name one node, ours counts."""
    b, o, t = (graph.get("nodes", {}) for graph in (base, ours, theirs))
    by_us, by_them = renames(b, o), renames(b, t)
    called_by_us = {name: name if name in o else by_us.get(name) for name in b}
    called_by_them = {name: name if name in t else by_them.get(name) for name in b}
    final: dict[str, str] = {}
    torn = []
    for name in b:
        us, them = called_by_us[name], called_by_them[name]
        if us is not None and (us != name or them is None):
            final[name] = us
        else:
            final[name] = them if them is not None and them not in o else name
        if us is not None and them is not None and us != name != them != us:
            torn.append((name, us, them))
    from_us = {us: name for name, us in called_by_us.items() if us is not None}
    from_them = {them: name for name, them in called_by_them.items() if them is not None}
    names_of_ours = {name: final[from_us[name]] if name in from_us else name for name in o}
    names_of_theirs: dict[str, str] = {}
    taken: set[str] | None = None
    clashes = []
    for name in t:
        same_node = _one_node(name, o, t, from_us, from_them)
        if name in from_them:
            names_of_theirs[name] = final[from_them[name]]
        elif name not in o or same_node:
            names_of_theirs[name] = name
        else:
            taken = taken if taken is not None else _names_in(base, ours, theirs) | set(final.values())
            names_of_theirs[name] = _free(name, taken)
        if name in o and not same_node:
            clashes.append(Clash(name, names_of_theirs[name]))
    return Naming(
        permutation(final),
        permutation(names_of_ours),
        permutation(names_of_theirs),
        frozenset(final[name] for name in by_us),
        frozenset(final[name] for name in by_them),
        tuple(torn),
        tuple(clashes),
    )


def _one_node(name: str, ours: Nodes, theirs: Nodes, from_us: dict[str, str], from_them: dict[str, str]) -> bool:
    """Whether a name means one node on both sides: the same of the base, or one that both added alike."""
    if name not in ours:
        return False
    if name in from_us or name in from_them:
        return from_us.get(name) == from_them.get(name)
    one = renamed(NODE, ours[name], {new: old for new, old in from_us.items() if new != old})
    other = renamed(NODE, theirs[name], {new: old for new, old in from_them.items() if new != old})
    return same(one, other)


def _names_in(*graphs: Mapping[str, Any]) -> set[str]:
    """Every name of a node that a graph has or mentions."""
    found: set[str] = set()
    for graph in graphs:
        found.update(graph.get("nodes", {}))
        found.update(node_in(ref) for _, value in ref_places(graph) for ref in refs_in(value))
    return found


def _free(name: str, taken: set[str]) -> str:
    """The name with the first number that nothing else has: `upscale_2`."""
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    taken.add(f"{name}_{number}")
    return f"{name}_{number}"
