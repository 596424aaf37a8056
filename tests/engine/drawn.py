"""Random documents: nodes drawn as seeds, a kind and a few numbers each, that are resolved against what fits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.reference import ANY, BODIES_OF, INT, INTS, KINDS, Type
from engine.terms import BODIES

OFTEN = [
    "grow",
    "step",
    "gather",
    "few_things",
    "few",
    "denoise",
    "grow_all",
    "switch",
    "pick",
    "countdown",
    "weigh",
    "join",
    "two",
    "forecast",
]
NAMES = sorted(KINDS) + OFTEN


class Seed(NamedTuple):
    """A node to be: `choices` decide its inputs among what fits."""

    uid: int
    kind: str
    choices: tuple[int, int, int]
    disabled: bool = False


class Source(NamedTuple):
    node: str
    output: str
    mode: str  # direct, wrap, map


@dataclass(frozen=True)
class Made:
    kind: str
    values: dict[str, Any]
    sources: dict[str, tuple[Source, ...]]
    outputs: dict[str, Type]
    disabled: bool = False


Graph = dict[str, Made]


def resolve(seeds: Iterable[Seed]) -> Graph:
    graph: Graph = {}
    for seed in seeds:
        made = _made(seed, graph)
        graph[f"n{seed.uid}"] = made or Made("make", {"content": seed.choices[0] % 4}, {}, {"thing": ("thing", 0)})
    return graph


def _how(source: Type, target: Type, strict: bool) -> str | None:
    if target == ANY:
        return "direct"
    if source[0] != target[0]:
        return None
    found = {0: "direct", -1: "wrap", 1: "map"}.get(source[1] - target[1])
    return None if strict and found != "direct" else found


def _made(seed: Seed, graph: Graph) -> Made | None:
    kind = KINDS[seed.kind]
    values: dict[str, Any] = {}
    sources: dict[str, tuple[Source, ...]] = {}
    bound = ANY
    for (name, declared), choice in zip(kind.inputs.items(), seed.choices, strict=False):
        target = bound if declared == ANY else declared
        fits = [
            Source(node, output, mode)
            for node, made in graph.items()
            for output, given in made.outputs.items()
            if (mode := _how(given, target, kind.strict or declared == ANY))
        ]
        fits.sort(key=lambda source: _shuffled(source, choice))
        if name == kind.many:
            sources[name] = tuple(fits[: choice % 4])
        elif target in (INT, INTS) and (choice % 5 == 0 or not fits) and not (kind.lazy and fits):
            values[name] = choice // 5 % 4 if target == INT else list(range(choice // 5 % 4))
        elif target[0] == "truth" and not fits:
            values[name] = choice % 2 == 0
        elif fits:
            sources[name] = (fits[0],)
            if declared == ANY:
                bound = graph[fits[0].node].outputs[fits[0].output]
        else:
            return None
    if seed.disabled and seed.kind in ("grow", "step", "later") and (source := sources["thing"][0]).mode in ("direct", "map"):
        return Made(seed.kind, values, sources, {"thing": graph[source.node].outputs[source.output]}, True)
    outputs = {name: bound if given == ANY else given for name, given in kind.outputs.items()}
    if any(source.mode == "map" for found in sources.values() for source in found):
        outputs = {name: (base, depth + 1) for name, (base, depth) in outputs.items()}
    return Made(seed.kind, values, sources, outputs) if all(depth <= 2 for _, depth in outputs.values()) else None


def _shuffled(source: Source, choice: int) -> tuple[int, str]:
    """An order that a choice makes, the same whatever else there is: edits stay local. The last bit chooses among outputs."""
    output = source.output if choice % 2 else source.output[::-1]
    return (int(source.node[1:]) + 1) * (choice // 2 * 2 + 1) * 2654435761 % 2**32, output


def behind(graph: Graph, wanted: Iterable[str]) -> Graph:
    """The nodes that lead to what is wanted."""
    found: Graph = {}
    stack = list(wanted)
    while stack:
        name = stack.pop()
        if name not in found:
            found[name] = graph[name]
            stack += [source.node for sources in graph[name].sources.values() for source in sources]
    return found


def as_document(graph: Graph) -> dict[str, Any]:
    nodes = {}
    for name, made in graph.items():
        links = {
            key: (texts if key == KINDS[made.kind].many else texts[0])
            for key, found in made.sources.items()
            if (texts := [f"{source.node}.{source.output}" for source in found])
        }
        loop = BODIES_OF.get(made.kind)
        nodes[name] = {
            "type": f"core/{made.kind}" if loop else f"m/{made.kind}",
            "version": 1,
            "inputs": {**made.values, **({"body": loop} if loop else {})},
            "links": links,
        } | ({"disabled": True} if made.disabled else {})
    return {"nodegraph": 1, "id": "model", "nodes": nodes, "subgraphs": BODIES, "interface": {"outputs": {}}}


def described(graph: Graph) -> str:
    """A graph in a few words per node, for people who read a failure."""
    signs = {"direct": "", "wrap": "[]", "map": "*"}

    def one(made: Made) -> str:
        given = [f"{name}={value}" for name, value in made.values.items()]
        for name, found in made.sources.items():
            given.append(f"{name}={'+'.join(f'{signs[s.mode]}{s.node}.{s.output}' for s in found)}")
        return f"{'off ' if made.disabled else ''}{made.kind}({', '.join(given)})"

    return "; ".join(f"{name} = {one(made)}" for name, made in graph.items())
