"""Which nodes of one graph are nodes of another under a new name.

Nodes of the same id are the same node. Of the rest, those that have one type and stand alike among values, links and readers
are a renamed pair. Near-linear: a pair that is found leads to its neighbours, and what many nodes share is no evidence.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from nodegraph.editing.shapes import node_in, refs_in
from nodegraph.graph.canonical import compact

ALIKE = 0.5
"""More than this part of what is known of two nodes has to agree."""
COMMON = 16
"""A feature that more nodes of a type share than this says nothing of which is which."""

Nodes = Mapping[str, Mapping[str, Any]]
Feature = tuple[str, ...]


def renames(before: Nodes, after: Nodes) -> dict[str, str]:
    """New ids for old: of nodes that vanished, those that came back under another id. Deterministic."""
    gone, come = before.keys() - after.keys(), after.keys() - before.keys()
    types = {before[name]["type"] for name in gone} & {after[name]["type"] for name in come}
    old = sorted((name for name in gone if before[name]["type"] in types), key=_natural)
    new = sorted((name for name in come if after[name]["type"] in types), key=_natural)
    return _Matching(_Side(before, old), _Side(after, new)).found() if types else {}


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """`node_2` before `node_10`."""
    parts = re.split(r"(\d+)", name)
    return [(int(part) if i % 2 else 0, part) for i, part in enumerate(parts)], name


class _Reader(NamedTuple):
    """Who reads a node: the input of another node that is linked to an output."""

    name: str
    input: str
    output: str


class _Side:
    """One of the two graphs: its nodes, who reads them, and what is known of those that look for a counterpart."""

    def __init__(self, nodes: Nodes, free: Iterable[str]) -> None:
        self.nodes, self.free = nodes, dict.fromkeys(free)
        self.seeking = frozenset(self.free)
        self.called: dict[str, str] = {}
        """What found nodes are called by both sides: their new name."""
        self.readers: dict[str, list[_Reader]] = defaultdict(list)
        for name, entry in nodes.items():
            for key, link in entry.get("links", {}).items():
                for ref in refs_in(link):
                    node, _, output = ref.partition(".")
                    if node in self.seeking:
                        self.readers[node].append(_Reader(name, key, output))
        self._values: dict[str, list[Feature]] = {}

    def known(self, name: str) -> str:
        """How both sides may speak of a node: by name where it has a counterpart, else by type."""
        if name in self.called:
            return self.called[name]
        return f"?{self.nodes[name]['type']}" if name in self.seeking else name

    def own(self, name: str) -> list[Feature]:
        """A node's values and links."""
        entry = self.nodes[name]
        if name not in self._values:
            found: list[Feature] = [("input", key, compact(value)) for key, value in entry.get("inputs", {}).items()]
            other = [key for key in entry if key not in ("type", "version", "inputs", "links", "disabled")]
            self._values[name] = found + [("field", key, compact(entry[key])) for key in other]
        links = [
            ("link", key, self.known(node_in(ref)), ref.partition(".")[2])
            for key, link in entry.get("links", {}).items()
            for ref in refs_in(link)
        ]
        return self._values[name] + links

    def features(self, name: str) -> list[Feature]:
        """All that is known of a node: values, links, and (twice, for an input is read from one place) its readers."""
        readers = [("reader", self.known(reader.name), reader.input, reader.output) for reader in self.readers[name]]
        return self.own(name) + readers * 2


class _Matching:
    def __init__(self, old: _Side, new: _Side) -> None:
        self.old, self.new = old, new
        self.pairs: dict[str, str] = {}
        self._fresh: deque[tuple[str, str]] = deque()
        self._tried: set[tuple[str, str]] = set()
        """Neighbours that were compared once: a hub is not compared anew for each of its readers."""

    def found(self) -> dict[str, str]:
        for whole in (True, False, True):
            self._pair_equal(whole)
        self._pair_alike()
        return self.pairs

    def _pair(self, old: str, new: str) -> None:
        """Take two nodes for one, and look at their neighbours."""
        self._accept(old, new)
        while self._fresh:
            self._look_around(*self._fresh.popleft())

    def _accept(self, old: str, new: str) -> None:
        self.pairs[old] = new
        self.old.called[old] = self.new.called[new] = new
        del self.old.free[old], self.new.free[new]
        self._fresh.append((old, new))

    def _both_free(self, old: str, new: str) -> bool:
        return old in self.old.free and new in self.new.free

    # ---- equal ----

    def _pair_equal(self, whole: bool) -> None:
        """Pair nodes of which the same is known: first those that are alone with it, then the rest in order of name."""
        groups = self._groups(whole)
        for old, new in groups:
            if len(old) == len(new) == 1 and self._both_free(old[0], new[0]):
                self._pair(old[0], new[0])
        for old, new in groups:
            still = [name for name in old if name in self.old.free]
            for one, other in zip(still, [name for name in new if name in self.new.free], strict=False):
                if self._both_free(one, other) and self._alike(one, other):
                    self._pair(one, other)

    def _groups(self, whole: bool) -> list[tuple[list[str], list[str]]]:
        found: dict[Any, tuple[list[str], list[str]]] = {}
        for index, side in enumerate((self.old, self.new)):
            for name in side.free:
                known = side.features(name) if whole else side.own(name)
                key = (side.nodes[name]["type"], *sorted(known))
                found.setdefault(key, ([], []))[index].append(name)
        return [group for group in found.values() if group[0] and group[1]]

    # ---- neighbours ----

    def _look_around(self, old: str, new: str) -> None:
        for one, other in [*self._sources(old, new), *self._readers(old, new)]:
            if (one, other) not in self._tried and self._both_free(one, other):
                self._tried.add((one, other))
                if self._alike(one, other):
                    self._accept(one, other)

    def _sources(self, old: str, new: str) -> Iterator[tuple[str, str]]:
        """What the two read through the same link."""
        theirs = self.new.nodes[new].get("links", {})
        for key, link in self.old.nodes[old].get("links", {}).items():
            for one, other in zip(refs_in(link), refs_in(theirs.get(key)), strict=False):
                yield node_in(one), node_in(other)

    def _readers(self, old: str, new: str) -> Iterator[tuple[str, str]]:
        """Who reads the two through the same link, as long as it is clear who is who."""
        groups: dict[tuple[str, ...], tuple[list[str], list[str]]] = {}
        for index, (side, name) in enumerate(((self.old, old), (self.new, new))):
            for reader in side.readers[name]:
                if reader.name in side.free:
                    key = (side.nodes[reader.name]["type"], reader.input, reader.output)
                    groups.setdefault(key, ([], []))[index].append(reader.name)
        for ours, theirs in groups.values():
            if len(ours) == len(theirs) == 1:
                yield ours[0], theirs[0]

    def _alike(self, old: str, new: str) -> bool:
        if self.old.nodes[old]["type"] != self.new.nodes[new]["type"]:
            return False
        ours, theirs = Counter(self.old.features(old)), Counter(self.new.features(new))
        most = max(ours.total(), theirs.total())
        return not most or (ours & theirs).total() > ALIKE * most

    # ---- nearly equal ----

    def _pair_alike(self) -> None:
        """Pair the rest by how much agrees, the best pairs first."""
        holders: dict[Any, tuple[list[str], list[str]]] = {}
        sizes: tuple[dict[str, int], dict[str, int]] = ({}, {})
        for index, side in enumerate((self.old, self.new)):
            for name in side.free:
                known = Counter(side.features(name))
                sizes[index][name] = known.total()
                for feature, count in known.items():
                    for number in range(count):
                        key = (side.nodes[name]["type"], feature, number)
                        holders.setdefault(key, ([], []))[index].append(name)
        shared: Counter[tuple[str, str]] = Counter()
        for ours, theirs in holders.values():
            if len(ours) <= COMMON and len(theirs) <= COMMON:
                shared.update((one, other) for one in ours for other in theirs)
        rated = {pair: count / max(sizes[0][pair[0]], sizes[1][pair[1]]) for pair, count in shared.items()}
        best = sorted((pair for pair, rate in rated.items() if rate > ALIKE), key=lambda pair: (-rated[pair], pair))
        for old, new in best:
            if self._both_free(old, new):
                self._pair(old, new)
