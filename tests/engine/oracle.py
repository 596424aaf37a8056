"""Random graphs and what they give: node kinds, graphs resolved from seeds, and a naive evaluator that knows of no cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

# ---- the kinds of nodes: their sockets, and what the oracle says that they give ----


class Type(NamedTuple):
    """`depth` lists around a number or a box."""

    base: str
    depth: int = 0


INT, BOX, INTS, BOXES, BOOL = Type("int"), Type("box"), Type("int", 1), Type("box", 1), Type("bool")
ANY = Type("any")


class Lost(Exception):
    """No value: `states` are what the engine may call it."""

    def __init__(self, *states: str) -> None:
        self.states = set(states)


Thunk = Callable[[], Any]
Given = Mapping[str, Any]  # a thunk per input, a list of them for variadic ones
Outputs = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """`gives` takes thunks and calls those that it needs; boxes are their contents."""

    inputs: dict[str, Type]
    outputs: dict[str, Type]
    gives: Callable[[Given, int], Outputs]
    many: str = ""
    composite: bool = False


def eager(function: Callable[..., Any], *names: str) -> Callable[[Given, int], Outputs]:
    """A node that needs all of its inputs."""

    def gives(given: Given, weather: int) -> Outputs:
        values = {key: [item() for item in thunk] if isinstance(thunk, list) else thunk() for key, thunk in given.items()}
        found = function(**values)
        return dict(zip(names, found if len(names) > 1 else [found], strict=True))

    return gives


def failing(a: int) -> int:
    raise Lost("failed")


def odd_fails(a: int) -> int:
    return failing(a) if a % 2 else a


def risky_inside(given: Given, weather: int) -> Outputs:
    a = given["a"]()
    if a % 2:  # the inner node failed, what gives the output was skipped
        raise Lost("skipped")
    return {"value": a + 1}


def first_positive(given: Given, weather: int) -> Outputs:
    return {"value": next((value for name in "ab" if (value := given[name]()) > 0), None) or given["c"]()}


def switch(given: Given, weather: int) -> Outputs:
    return {"value": given["yes" if given["condition"]() else "no"]()}


def pick(given: Given, weather: int) -> Outputs:
    return {"box": given["b" if given["which"]() % 2 else "a"]()}


def changing(name: str, source: str, half: bool = False) -> Callable[[Given, int], Outputs]:
    def gives(given: Given, weather: int) -> Outputs:
        value = given[source]() + weather
        return {name: value // 2 if half else value}

    return gives


def grown(boxes: list[int], by: int) -> list[int]:
    return [box + by for box in boxes]


def kind(inputs: dict[str, Type], outputs: dict[str, Type], function: Callable[..., Any], many: str = "", **rest: Any) -> Kind:
    return Kind(inputs, outputs, eager(function, *outputs), many, **rest)


VALUE = {"value": INT}
KINDS: dict[str, Kind] = {
    "add": kind({"a": INT, "b": INT}, VALUE, lambda a, b: a + b),
    "half": kind({"a": INT}, VALUE, lambda a: a // 2),
    "pair": kind({"a": INT, "b": INT}, {"low": INT, "high": INT}, lambda a, b: (min(a, b), max(a, b))),
    "few": kind({"count": INT}, {"value": INTS}, lambda count: list(range(count % 4))),
    "total": kind({"items": INTS}, VALUE, lambda items: sum(items)),
    "untidy": kind({"items": INTS}, VALUE, lambda items: len(items) + 1),
    "sum_all": kind({"items": INT}, VALUE, lambda items: sum(items), "items"),
    "digits": kind({"items": INT}, VALUE, lambda items: int("".join(str(n % 10) for n in items[:3]) or "0"), "items"),
    "later": kind({"a": INT}, VALUE, lambda a: a),
    "slow": kind({"a": INT}, VALUE, lambda a: a),
    "even": kind({"a": INT}, {"value": BOOL}, lambda a: a % 2 == 0),
    "box": kind({"content": INT}, {"box": BOX}, lambda content: content),
    "few_boxes": kind({"count": INT}, {"boxes": BOXES}, lambda count: list(range(count % 4))),
    "box_list": kind({"boxes": BOX}, {"boxes": BOXES}, lambda boxes: boxes, "boxes"),
    "box_pair": kind({"a": BOX, "b": BOX}, {"low": BOX, "high": BOX}, lambda a, b: (min(a, b), max(a, b))),
    "open_box": kind({"box": BOX, "plus": INT}, VALUE, lambda box, plus: box + plus),
    "grow": kind({"box": BOX, "by": INT}, {"box": BOX}, lambda box, by: box + by),
    "grow_there": kind({"box": BOX, "by": INT}, {"box": BOX}, lambda box, by: box + by),
    "count_boxes": kind({"boxes": BOXES}, VALUE, lambda boxes: len(boxes)),
    "fail": kind({"a": INT}, VALUE, failing),
    "fail_odd": kind({"a": INT}, VALUE, odd_fails),
    "weather": Kind({"a": INT}, VALUE, changing("value", "a")),
    "weather_box": Kind({"content": INT}, {"box": BOX}, changing("box", "content")),
    "switch": Kind({"condition": BOOL, "yes": ANY, "no": ANY}, {"value": ANY}, switch),
    "first_positive": Kind({"a": INT, "b": INT, "c": INT}, VALUE, first_positive),
    "pick": Kind({"which": INT, "a": BOX, "b": BOX}, {"box": BOX}, pick, composite=True),
    "grow_some": kind({"box": BOX, "times": INT}, {"box": BOX}, lambda box, times: box + times % 3, composite=True),
    "grow_all": kind({"boxes": BOXES, "by": INT}, {"boxes": BOXES}, grown, composite=True),
    "same_boxes": kind({"boxes": BOXES}, {"boxes": BOXES}, lambda boxes: boxes, composite=True),
    "join": kind({"boxes": BOX}, {"boxes": BOXES}, lambda boxes: grown(boxes, 1), "boxes", composite=True),
    "join_numbers": kind({"items": INT}, VALUE, lambda items: sum(items), "items", composite=True),
    "add_times": kind({"a": INT, "times": INT}, VALUE, lambda a, times: a + 1 + times % 3, composite=True),
    "risky": kind({"a": INT}, VALUE, odd_fails, composite=True),
    "risky_inside": Kind({"a": INT}, VALUE, risky_inside, composite=True),
    "forecast": Kind({"a": INT}, VALUE, changing("value", "a", half=True), composite=True),
}
LAZY = {"switch": ("yes", "no"), "first_positive": ("a", "b", "c")}
CHANGING = frozenset({"weather", "weather_box", "forecast"})


# ---- graphs: seeds, resolved ----


class Seed(NamedTuple):
    """A node to be: `choices` decide its inputs among what fits."""

    uid: int
    kind: str
    choices: tuple[int, ...]


class Source(NamedTuple):
    node: str
    output: str
    mode: str  # direct, wrap, map


@dataclass(frozen=True)
class Made:
    """A node of a graph: typed values, and one or (variadic) many sources per linked input."""

    kind: str
    values: dict[str, Any]
    sources: dict[str, tuple[Source, ...]]
    outputs: dict[str, Type]

    @property
    def mapped(self) -> bool:
        return any(source.mode == "map" for sources in self.sources.values() for source in sources)


Graph = dict[str, Made]


def how(source: Type, target: Type) -> str | None:
    if target == ANY:
        return "direct"
    if source.base != target.base:
        return None
    return {0: "direct", -1: "wrap", 1: "map"}.get(source.depth - target.depth)


def resolve(seeds: Iterable[Seed]) -> Graph:
    """The graph that seeds stand for. Choices prefer the same source whatever else there is, so that edits stay local."""
    graph: Graph = {}
    for seed in seeds:
        made = _resolve_one(seed, graph)
        graph[f"n{seed.uid}"] = made or Made("box", {"content": seed.choices[0] % 4}, {}, {"box": BOX})
    return graph


def _resolve_one(seed: Seed, graph: Graph) -> Made | None:
    spec = KINDS[seed.kind]
    values: dict[str, Any] = {}
    sources: dict[str, tuple[Source, ...]] = {}
    bound = ANY
    for (name, wanted), choice in zip(spec.inputs.items(), seed.choices, strict=False):
        target = bound if wanted == ANY else wanted
        fits = [
            Source(node, output, mode)
            for node, made in graph.items()
            for output, given in made.outputs.items()
            if (mode := how(given, target)) and not (wanted == ANY and mode != "direct")
        ]
        fits.sort(key=lambda source: (_shuffled(source.node, choice), source.output))
        if name == spec.many:
            sources[name] = tuple(fits[: choice % 4])
        elif target in (INT, INTS) and (choice % 5 == 0 or not fits) and not (seed.kind in LAZY and fits):
            values[name] = choice // 5 % 4 if target == INT else list(range(choice // 5 % 4))
        elif target == BOOL and not fits:
            values[name] = choice % 2 == 0
        elif fits:
            sources[name] = (fits[0],)
            if wanted == ANY:
                bound = graph[fits[0].node].outputs[fits[0].output]
        else:
            return None
    outputs = {name: bound if given == ANY else given for name, given in spec.outputs.items()}
    made = Made(seed.kind, values, sources, outputs)
    if made.mapped:
        made = replace(made, outputs={name: Type(base, depth + 1) for name, (base, depth) in outputs.items()})
    return made if all(given.depth <= 2 for given in made.outputs.values()) else None


def _shuffled(node: str, choice: int) -> int:
    return (int(node[1:]) + 1) * (2 * choice + 1) * 2654435761 % 2**32


def as_document(graph: Graph) -> dict[str, Any]:
    return {
        name: {
            "type": f"t/{made.kind}",
            "version": 1,
            "inputs": {**made.values, **({"seconds": 0.001} if made.kind == "slow" else {})},
            "links": {
                key: (texts if key == KINDS[made.kind].many else texts[0])
                for key, sources in made.sources.items()
                if (texts := [f"{source.node}.{source.output}" for source in sources])
            },
        }
        for name, made in graph.items()
    }


# ---- the oracle ----


def oracle(graph: Graph, weather: int) -> Callable[[str], Outputs]:
    """Outputs by node; asking for a lost one raises Lost. It remembers within one graph, else it would take for ever."""
    known: dict[str, Outputs | Lost] = {}

    def evaluate(name: str) -> Outputs:
        if name not in known:
            try:
                known[name] = _evaluate(graph[name], needed, weather)
            except Lost as lost:
                known[name] = lost
        found = known[name]
        if isinstance(found, Lost):
            raise Lost(*found.states)
        return found

    def needed(source: Source) -> Any:
        try:
            value = evaluate(source.node)[source.output]
        except Lost:
            raise Lost("skipped") from None
        return [value] if source.mode == "wrap" else value

    return evaluate


def _evaluate(made: Made, needed: Callable[[Source], Any], weather: int) -> Outputs:
    spec = KINDS[made.kind]
    lists = {source: needed(source) for sources in made.sources.values() for source in sources if source.mode == "map"}
    sizes = {len(items) for items in lists.values()} - {1}
    if len(sizes) > 1:
        raise Lost("failed")

    def given(i: int) -> Given:
        def thunk(source: Source) -> Thunk:
            items = lists.get(source)
            return (lambda: needed(source)) if items is None else (lambda: items[0 if len(items) == 1 else i])

        thunks: dict[str, Any] = {name: (lambda value=value: value) for name, value in made.values.items()}
        for name, sources in made.sources.items():
            many = [thunk(source) for source in sources]
            thunks[name] = many if name == spec.many else many[0]
        return thunks

    if not lists:
        return spec.gives(given(0), weather)
    rows, states = [], set()
    for i in range(sizes.pop() if sizes else 1):
        try:
            rows.append(spec.gives(given(i), weather))
        except Lost as lost:
            states |= lost.states
    if states:
        raise Lost(*states)
    return {name: [row[name] for row in rows] for name in made.outputs}
