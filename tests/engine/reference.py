"""What the engine is measured against: an evaluator by need, without a cache, that knows every computation by its key.

`Cell` is what travels along a link. `value` says what it is, whatever that takes; `need()` says that somebody wants it, and
adds to `needed` the computations that this takes beyond those in `cached`. A key is a node type and what it is given: JSON by
value, anything else by where it lies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from engine.terms import RULES, Label, frozen, label
from nodegraph import NodeError

Key = tuple[Any, ...]


class Lost(Exception):
    """No value: a node failed."""


class Cell:
    """`token` is how it enters keys, `items` are known when `count()` was called for: the structure, not the values."""

    json = False
    value: Any
    token: Any
    static: Any  # the way that it comes about in the document, whatever the values

    def need(self) -> None: ...

    def is_fleeting(self) -> bool:
        """Whether it comes from a node that is never cached, not by value."""
        return False

    def count(self) -> int:
        """How many items a list has, needing no more than that takes."""
        self.need()
        return len(self.value)

    def item(self, i: int) -> Cell:
        return Item(self, i, self.json)

    def is_cached(self) -> bool:
        return True


@dataclass(eq=False)
class Given(Cell):
    """Typed into the document."""

    value: Any
    json = True

    @property
    def token(self) -> Any:
        return ("v", type(self.value).__name__, frozen(self.value))

    static = token


@dataclass(eq=False)
class Item(Cell):
    whole: Cell
    i: int
    json: bool

    @property
    def value(self) -> Any:
        return self.whole.value[self.i]

    @property
    def token(self) -> Any:
        return ("v", type(self.value).__name__, frozen(self.value)) if self.json else (*self.whole.token, self.i)

    @property
    def static(self) -> Any:  # type: ignore[override]
        return (self.whole.static, self.i)

    def need(self) -> None:
        self.whole.need()

    def is_cached(self) -> bool:
        return self.whole.is_cached()

    def is_fleeting(self) -> bool:
        return not self.json and self.whole.is_fleeting()


@dataclass(eq=False)
class Many(Cell):
    """A list of cells. To know them, `before` had to be counted, and `first` needed."""

    cells: Sequence[Cell]
    json: bool
    before: Sequence[Cell] = ()

    @property
    def value(self) -> Any:
        return [cell.value for cell in self.cells]

    @property
    def token(self) -> Any:
        return ("v", "list", frozen(self.value)) if self.json else ("list", *(cell.token for cell in self.cells))

    @cached_property
    def static(self) -> Any:  # type: ignore[override]
        return _number(tuple(cell.static for cell in self.cells))

    def need(self) -> None:
        if not self.is_cached():
            self.count()
            for cell in self.cells:
                cell.need()

    def count(self) -> int:
        for cell in self.before:
            cell.count()
        return len(self.cells)

    def item(self, i: int) -> Cell:
        return self.cells[i]

    def is_cached(self) -> bool:
        return bool(self.cells) and all(cell.is_cached() for cell in self.cells)  # an empty list lies nowhere

    def is_fleeting(self) -> bool:
        return not self.json and any(cell.is_fleeting() for cell in self.cells)


@dataclass(eq=False)
class Inside(Cell):
    """What a composite or a loop gives: a cell inside, and what had to be known to get there."""

    cell: Cell
    before: Sequence[Cell]
    static: Any
    beside: Sequence[Cell] = ()  # the other outputs: the engine asks for a composite as a whole

    @property
    def json(self) -> bool:  # type: ignore[override]
        return self.cell.json

    @property
    def value(self) -> Any:
        return self.cell.value

    @property
    def token(self) -> Any:
        return self.cell.token

    def need(self) -> None:
        if not self.is_cached():
            for cell in self.before:
                cell.need()
            self.cell.need()
            for cell in self.beside:
                cell.need()

    def count(self) -> int:
        for cell in self.before:
            cell.need()
        return self.cell.count()

    def item(self, i: int) -> Cell:
        return Inside(self.cell.item(i), self.before, (self.static, i))

    def is_cached(self) -> bool:
        return self.cell.is_cached() and all(cell.is_cached() for cell in self.beside)

    def is_fleeting(self) -> bool:
        return self.cell.is_fleeting()


@dataclass(eq=False)
class Broken(Cell):
    """Nothing: lists of different lengths met, or a composite's value was lost."""

    before: Sequence[Cell]
    json: bool
    structural: bool = False

    @property
    def value(self) -> Any:
        raise Lost

    token = value

    @property
    def static(self) -> Any:  # type: ignore[override]
        return id(self)

    def need(self) -> None:
        for cell in self.before:
            if self.structural:
                _try(cell.count)
            else:
                cell.need()

    def count(self) -> int:
        self.need()
        raise Lost

    def item(self, i: int) -> Cell:
        return self

    def is_cached(self) -> bool:
        return False


@dataclass(eq=False)
class Out(Cell):
    call: Call
    name: str
    json: bool

    @property
    def value(self) -> Any:
        return self.call.values[self.name]

    @property
    def token(self) -> Any:
        value = self.value
        return ("v", type(value).__name__, frozen(value)) if self.json else ("k", self.call.key, self.name)

    @property
    def static(self) -> Any:  # type: ignore[override]
        return (self.call.static, self.name)

    def need(self) -> None:
        self.call.need()

    def is_cached(self) -> bool:
        return self.call.is_cached()

    def is_fleeting(self) -> bool:
        return not self.json and self.call.is_fleeting()


@dataclass(eq=False)
class Call:
    """One computation. Lazy inputs enter its key in the order in which they are asked for."""

    reference: Reference
    kind: Kind
    given: Mapping[str, Any]
    asked: bool = False

    @cached_property
    def awaited(self) -> Sequence[str]:
        """The lazy inputs that the node asks for."""
        if self.kind.name == "switch":
            return ["yes" if self.given["condition"].value else "no"]
        found: list[str] = []
        for name in self.kind.lazy:
            found.append(name)
            try:
                if self.given[name].value > 0:
                    break
            except Lost:
                break
        return found

    def inputs(self) -> list[Cell]:
        """The inputs that count, in the order of the key."""
        eager = [cell for name, cell in self.given.items() if name not in self.kind.lazy]
        found = [one for cell in eager for one in (cell if isinstance(cell, list) else [cell])]
        try:
            return found + [self.given[name] for name in self.awaited]
        except Lost:
            return found

    @cached_property
    def key(self) -> Key:
        tokens = tuple(cell.token for cell in self.inputs())
        names = tuple(self.awaited)
        if self.is_fleeting():
            return (self.kind.name, "only here", self.reference, self, *tokens)
        typed = tuple(cell.token for name, cell in self.given.items() if name in self.kind.lazy and isinstance(cell, Given))
        return (self.kind.name, self.kind.batched and self.reference.exact, names, typed, *tokens)

    @cached_property
    def static(self) -> int:
        given = (cell.static if not isinstance(cell, list) else tuple(c.static for c in cell) for cell in self.given.values())
        return _number((self.kind.name, self.kind.never and self, *given))

    @property
    def place(self) -> Key:
        """What is computed once. What two nodes with lazy inputs will ask for nobody knows before both have."""
        if not self.kind.lazy:
            return self.key
        changing = any(KINDS[made.kind].never or made.kind == "forecast" for made in self.reference.graph.values())
        return (*self.key, self if changing else (self.static, self.reference.exact))

    def is_fleeting(self) -> bool:
        return self.kind.never or any(cell.is_fleeting() for cell in self.inputs())

    @cached_property
    def seen(self) -> dict[str, Any]:
        """The values that the node sees."""
        names = [name for name in self.given if name not in self.kind.lazy] + list(self.awaited)
        seen = {name: [c.value for c in cell] if isinstance(cell := self.given[name], list) else cell.value for name in names}
        if self.kind.name == "switch":
            seen = {"condition": seen["condition"], "chosen": seen[names[1]]}
        return seen | ({"today": self.reference.today} if self.kind.never else {})

    @property
    def label(self) -> Label:
        return label(self.kind.name, self.seen)

    @cached_property
    def _values(self) -> dict[str, Any] | None:
        try:
            seen = self.seen
            found = RULES[self.kind.name](**seen) if self.kind.name != "first_positive" else list(seen.values())[-1]
        except (NodeError, Lost):
            return None
        return dict(zip(self.kind.outputs, found if len(self.kind.outputs) > 1 else [found], strict=True))

    @property
    def values(self) -> dict[str, Any]:
        if self._values is None:
            raise Lost
        return self._values

    def is_cached(self) -> bool:
        return self._values is not None and self.place in self.reference.cached

    def need(self) -> None:
        if self.asked or self.is_cached():
            return
        self.asked = True
        for cell in self.inputs():
            cell.need()
        try:
            self.reference.needed[self.place] = self.label
        except Lost:
            return
        if self._values is None:
            self.reference.failing.add(self.label)


@dataclass(frozen=True, eq=False)
class Kind:
    """A node type as the reference sees it: `inside` gives the cells of a composite, whose JSON inputs come as values."""

    name: str
    inputs: Mapping[str, Type]
    outputs: Mapping[str, Type]
    many: str = ""
    lazy: tuple[str, ...] = ()
    never: bool = False
    batched: bool = False
    strict: bool = False  # its inputs are linked as they are, never mapped nor wrapped
    inside: Callable[..., tuple[dict[str, Cell], list[Cell]]] | None = None


Type = tuple[str, int]  # number, truth, thing or any; how many lists around it


@dataclass(eq=False)
class Reference:
    """Evaluates one document once. `needed` are the computations that what was asked for takes, by key."""

    kinds: Mapping[str, Kind]
    graph: Mapping[str, Any]
    exact: bool
    today: int
    cached: frozenset[Key] = frozenset()
    needed: dict[Key, Label] = field(default_factory=dict)
    failing: set[Label] = field(default_factory=set)
    whole: bool = True  # set by who compares: whether nothing was lost
    _nodes: dict[str, dict[str, Cell]] = field(default_factory=dict)

    def node(self, name: str) -> dict[str, Cell]:
        """The outputs of a node of the graph."""
        if name not in self._nodes:
            made = self.graph[name]
            links = [(key, Given(value), "direct") for key, value in made.values.items()]
            links += [(key, self.node(s.node)[s.output], s.mode) for key, sources in made.sources.items() for s in sources]
            if made.disabled:
                taken = next(cell for key, cell, _ in links if key == "thing")  # by way of the first link of a fitting type
                self._nodes[name] = dict.fromkeys(made.outputs, taken)
            else:
                self._nodes[name] = self.mapped(self.kinds[made.kind], links, made.outputs)
        return self._nodes[name]

    def mapped(self, kind: Kind, links: list[tuple[str, Cell, str]], outputs: Mapping[str, Type]) -> dict[str, Cell]:
        """A node, once or for every item of the lists that it is mapped over."""
        lists = [cell for _, cell, mode in links if mode == "map"]
        if not lists:
            return self.once(kind, links, outputs)
        try:
            counts = {len(_structure(cell)) for cell in lists} - {1}
        except Lost:
            return {name: Broken(lists, given[0] != "thing", structural=True) for name, given in outputs.items()}
        if len(counts) > 1:
            return {name: Broken(lists, given[0] != "thing", structural=True) for name, given in outputs.items()}
        rows = []
        for i in range(counts.pop() if counts else 1):
            own = [
                (name, _picked(cell, i) if mode == "map" else cell, "direct" if mode == "map" else mode)
                for name, cell, mode in links
            ]
            rows.append(self.once(kind, own, outputs))
        return {name: Many([row[name] for row in rows], given[0] != "thing", lists) for name, given in outputs.items()}

    def once(self, kind: Kind, links: list[tuple[str, Cell, str]], outputs: Mapping[str, Type]) -> dict[str, Cell]:
        given: dict[str, Any] = {kind.many: []} if kind.many else {}
        for name, cell, mode in links:
            cell = Many([cell], cell.json) if mode == "wrap" else cell
            if name == kind.many:
                given[name].append(cell)
            else:
                given[name] = cell
        if kind.inside is None:
            order = {name: given[name] for name in kind.inputs}
            return self.call(kind.name, outputs, **order)
        before = [one for cell in given.values() for one in (cell if isinstance(cell, list) else [cell]) if one.json]
        try:
            known = {
                name: (
                    [c.value if c.json else c for c in cell] if isinstance(cell, list) else cell.value if cell.json else cell
                )
                for name, cell in given.items()
            }
        except Lost:
            return {name: Broken(before, of[0] != "thing") for name, of in outputs.items()}
        found, more = kind.inside(self, **known)
        static = _number((kind.name, *(cell.static for _, cell, _ in links)))
        return {
            name: Inside(cell, [*before, *more], (static, name), [other for other in found.values() if other is not cell])
            for name, cell in found.items()
        }

    def call(self, kind: str, outputs: Mapping[str, Type] | None = None, **given: Any) -> dict[str, Cell]:
        call = Call(self, self.kinds[kind], given)
        return {name: Out(call, name, of[0] != "thing") for name, of in (outputs or self.kinds[kind].outputs).items()}


_NUMBERS: dict[Any, int] = {}


def _number(of: Any) -> int:
    """A number for something long, the same for the same."""
    return _NUMBERS.setdefault(of, len(_NUMBERS))


def _structure(cell: Cell) -> Sequence[Any]:
    """The list's items, whatever it takes to know how many there are."""
    while isinstance(cell, Inside):
        cell = cell.cell
    return cell.cells if isinstance(cell, Many) else cell.value


def _picked(cell: Cell, i: int) -> Cell:
    return cell.item(0 if len(_structure(cell)) == 1 else i)


def _try(action: Callable[[], Any]) -> None:
    try:
        action()
    except Lost:
        return


# ---- the kinds of nodes of random documents ----

INT, TRUTH, THING, INTS, THINGS, ANY = ("number", 0), ("truth", 0), ("thing", 0), ("number", 1), ("thing", 1), ("any", 0)


def _grown(ref: Reference, thing: Cell, *amounts: int, kind: str = "grow") -> Cell:
    for by in amounts:
        thing = ref.call(kind, thing=thing, by=Given(by))["thing"]
    return thing


def _countdown(ref: Reference, thing: Cell, depth: int) -> tuple[dict[str, Cell], list[Cell]]:
    while depth % 3:
        thing, depth = _grown(ref, thing, depth), depth % 3 - 1
    return {"thing": thing}, []


def _grow_all(ref: Reference, things: Cell, by: int) -> tuple[dict[str, Cell], list[Cell]]:
    return ref.mapped(ref.kinds["grow"], [("thing", things, "map"), ("by", Given(by), "direct")], {"thing": THINGS}), []


def _add_some(ref: Reference, a: int, times: int) -> tuple[dict[str, Cell], list[Cell]]:
    found = ref.call("add", a=Given(a), b=Given(1))["value"]
    for _ in range(times % 3):
        found = ref.call("add", a=found, b=Given(2))["value"]
    return {"value": found}, []


def _fold(ref: Reference, items: Sequence[int], initial: Cell) -> tuple[dict[str, Cell], list[Cell]]:
    return {"state": _grown(ref, initial, *items)}, []


def _map(ref: Reference, items: Cell) -> tuple[dict[str, Cell], list[Cell]]:
    try:
        cells = [items.item(i) for i in range(len(_structure(items)))]
    except Lost:
        return {"weight": Broken([items], True)}, []
    weights = [ref.call("weigh", thing=_grown(ref, cell, 5), plus=Given(0))["value"] for cell in cells]
    return {"weight": Many(weights, True, [items])}, []


def _while(ref: Reference, initial: int) -> tuple[dict[str, Cell], list[Cell]]:
    state, told = ref.call("half", a=Given(initial))["value"], []
    while True:
        go_on = ref.call("above_one", a=state)["value"]
        told += [state, go_on]
        if not go_on.value:
            return {"state": state, "rounds": Given(len(told) // 2)}, told
        state = ref.call("half", a=state)["value"]


def _all(*kinds: Kind) -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds}


_VALUE, _ONE, _LIST = {"value": INT}, {"thing": THING}, {"things": THINGS}

KINDS = _all(
    Kind("add", {"a": INT, "b": INT}, _VALUE),
    Kind("half", {"a": INT}, _VALUE),
    Kind("above_one", {"a": INT}, {"value": TRUTH}),
    Kind("pair", {"a": INT, "b": INT}, {"low": INT, "high": INT}),
    Kind("even", {"a": INT}, {"value": TRUTH}),
    Kind("few", {"count": INT}, {"value": INTS}),
    Kind("total", {"items": INTS}, _VALUE),
    Kind("sum_all", {"items": INT}, _VALUE, many="items"),
    Kind("make", {"content": INT}, _ONE),
    Kind("few_things", {"count": INT}, _LIST),
    Kind("grow", {"thing": THING, "by": INT}, _ONE),
    Kind("later", {"thing": THING}, _ONE),
    Kind("kept_here", {"thing": THING}, _ONE),
    Kind("step", {"thing": THING, "by": INT}, _ONE, batched=True),
    Kind("step_alone", {"thing": THING}, _ONE),
    Kind("weigh", {"thing": THING, "plus": INT}, _VALUE),
    Kind("two", {"a": THING, "b": THING}, {"low": THING, "high": THING}),
    Kind("join", {"things": THING}, _ONE, many="things"),
    Kind("gather", {"things": THING}, _LIST, many="things"),
    Kind("count", {"things": THINGS}, _VALUE),
    Kind("bundle", {"things": THINGS}, _ONE),
    Kind("fail_odd", {"a": INT}, _VALUE),
    Kind("fail_heavy", {"thing": THING}, _ONE),
    Kind("weather", {"a": INT}, _VALUE, never=True),
    Kind("fresh", {"content": INT}, _ONE, never=True),
    Kind("switch", {"condition": TRUTH, "yes": ANY, "no": ANY}, {"value": ANY}, lazy=("yes", "no")),
    Kind("first_positive", {"a": INT, "b": INT, "c": INT}, _VALUE, lazy=("a", "b", "c")),
    Kind(
        "grow_some",
        {"thing": THING, "times": INT},
        _ONE,
        inside=lambda ref, thing, times: ({"thing": _grown(ref, thing, *range(times % 3))}, []),
    ),
    Kind(
        "denoise",
        {"thing": THING, "times": INT},
        _ONE,
        inside=lambda ref, thing, times: ({"thing": _grown(ref, thing, *range(times % 4), kind="step")}, []),
    ),
    Kind("countdown", {"thing": THING, "depth": INT}, _ONE, inside=_countdown),
    Kind(
        "pick",
        {"which": INT, "a": THING, "b": THING},
        _ONE,
        inside=lambda ref, which, a, b: ({"thing": b if which % 2 else a}, []),
    ),
    Kind(
        "grow_all",
        {"things": THINGS, "by": INT},
        _LIST,
        inside=lambda ref, things, by: ({"things": _grow_all(ref, things, by)[0]["thing"]}, []),
    ),
    Kind("same", {"things": THINGS}, _LIST, inside=lambda ref, things: ({"things": things}, [])),
    Kind(
        "gather_grown",
        {"things": THING},
        _LIST,
        many="things",
        inside=lambda ref, things: (ref.call("gather", things=[_grown(ref, thing, 1) for thing in things]), []),
    ),
    Kind(
        "both",
        {"thing": THING, "by": INT},
        {"low": THING, "high": THING},
        inside=lambda ref, thing, by: ({"low": _grown(ref, thing, by), "high": _grown(ref, thing, by, kind="step")}, []),
    ),
    Kind("add_some", {"a": INT, "times": INT}, _VALUE, inside=_add_some),
    Kind(
        "risky",
        {"a": INT},
        _VALUE,
        inside=lambda ref, a: (ref.call("add", a=ref.call("fail_odd", a=Given(a))["value"], b=Given(1)), []),
    ),
    Kind(
        "forecast", {"a": INT}, _VALUE, inside=lambda ref, a: (ref.call("half", a=ref.call("weather", a=Given(a))["value"]), [])
    ),
    Kind("fold", {"items": INTS, "initial": THING}, {"state": THING}, strict=True, inside=_fold),
    Kind("map", {"items": THINGS}, {"weight": INTS}, strict=True, inside=_map),
    Kind("while_", {"initial": INT}, {"state": INT, "rounds": INT}, strict=True, inside=_while),
)
BODIES_OF = {"fold": "growing", "map": "weighing", "while_": "halving"}
