"""An interface input as an input of its own: what all the sockets that it sets take, made narrower by what it says itself.

Its rules reach into optional inputs and lists: they hold for what is given, and for each item.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from nodegraph.graph.document import Interface, InterfaceInput, NodeEntry
from nodegraph.graph.intersection import NULL, Schema, accepted, any_of, fits, intersection, lower, upper
from nodegraph.graph.links import OUTER
from nodegraph.graph.relations import relate
from nodegraph.graph.values import BadValue, describe_schema, shown
from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.errors import Problem
from nodegraph.sdk.spec import InputSpec, NodeSpec

NARROWER = "An interface may only narrow what the nodes take."


class Target(NamedTuple):
    """A socket that an interface input sets."""

    place: str
    entry: NodeEntry
    spec: InputSpec


@dataclass(frozen=True, slots=True)
class Narrowed:
    """An interface input as an input, and what is wrong with it. Rules that are wrong are left out of it.

    `typeable` says whether a value can be typed into every socket that it sets.
    """

    spec: InputSpec
    typeable: bool
    problems: tuple[Problem, ...] = ()


def targets(item: InterfaceInput, nodes: Mapping[str, NodeEntry], spec_of: Callable[[str], NodeSpec | None]) -> list[Target]:
    """The sockets that an interface input sets; those that are not there are left out."""
    found = []
    for text in item.to:
        node, _, key = text.partition(".")
        spec = spec_of(node) if node in nodes else None
        if spec is not None and key in spec.input_by_name:
            found.append(Target(text, nodes[node], spec.input_by_name[key]))
    return found


def narrowed(name: str, item: InterfaceInput, sockets: list[Target]) -> Narrowed | None:
    """The input that an interface input is, for the sockets that it sets; None where there are none.

    It is required where one of them has nothing and there is no default; its default is the interface's, else the value inside.
    """
    if not sockets:
        return None
    rules = _Rules(name)
    chosen, schema, typeable = _joined(sockets, rules)
    if item.as_list:
        chosen, schema, typeable = _listing(chosen), _list_of(schema, chosen.spec), False
    taken = schema
    if schema is not None:
        schema = _chosen(item, _in_range(item, schema, rules), rules)
    elif said := [word for word in ("minimum", "maximum", "step", "choices") if getattr(item, word) is not None]:
        got = f"a {chosen.spec.type}, which is linked and not typed in"
        rules.broken(f"{_listed(said)} cannot be said of this input.", "numbers or choices", got, "Remove it.")
    default, has_one = _default(item, taken if rules.problems else schema, chosen.spec, rules)
    unset = [socket for socket in sockets if socket.spec.name not in {*socket.entry.inputs, *socket.entry.links}]
    spec = replace(
        chosen.spec,
        name=name,
        schema=schema,
        required=not has_one and any(socket.spec.required for socket in unset),
        default=default if has_one else None if item.as_list else present(chosen),
        title=item.title or chosen.spec.title,
        description=item.description or chosen.spec.description,
    )
    return Narrowed(spec, typeable, tuple(rules.problems))


def present(socket: Target) -> Any:
    """The value that a socket has where nothing is linked to it."""
    return socket.entry.inputs.get(socket.spec.name, socket.spec.default)


def interface_problems(
    interface: Interface, nodes: Mapping[str, NodeEntry], spec_of: Callable[[str], NodeSpec | None]
) -> list[Problem]:
    """What an interface says of its inputs that cannot be. Inputs that go where nothing is are not looked at here."""
    found: list[Problem] = []
    setters: dict[str, str] = {}
    for name, item in interface.inputs.items():
        rules, sockets = _Rules(name), targets(item, nodes, spec_of)
        if not item.to:
            rules.broken("This input sets nothing.", hint="Name the node.inputs that it sets, or remove it.")
        for socket in sockets:
            first = setters.setdefault(socket.place, name)
            if first != name and not socket.spec.many:
                hint = "Only one of them could count: let one input set it."
                rules.broken(f"{socket.place} is set by the input {first!r} already.", hint=hint)
        made = narrowed(name, item, sockets)
        found += [*rules.problems, *(made.problems if made is not None else ())]
    return found


class _Rules:
    """What is wrong with an interface input."""

    def __init__(self, name: str) -> None:
        self.place, self.problems = f"interface.{name}", list[Problem]()

    def broken(self, message: str, expected: str | None = None, got: str | None = None, hint: str | None = None) -> None:
        self.problems.append(Problem("bad_interface", message, self.place, None, expected, got, hint))


def _joined(sockets: list[Target], rules: _Rules) -> tuple[Target, Schema | None, bool]:
    """The socket that stands for all in what may be linked, the schema of what all take, and whether all can be typed into."""
    known = [socket for socket in sockets if not socket.spec.type.has_var()]
    chosen = _narrowest(known) if known else sockets[0]
    typeable = all(socket.spec.schema is not None for socket in sockets)
    schema = chosen.spec.schema
    for socket in known:
        both, met = _met(chosen.spec, schema, socket.spec)
        if both is not None:
            schema = both
        elif met:  # a list here, one of its items there, or no JSON at all: that can be linked
            typeable = False
        elif not _fed(socket) or relate(chosen.spec.type, socket.spec.type) is not None:
            got = f"{chosen.place} takes {_takes(chosen.spec)}, {socket.place} takes {_takes(socket.spec)}"
            hint = "Give each of them an interface input of its own."
            rules.broken("There is no value that all of its sockets take.", "sockets that take the same", got, hint)
            return chosen, schema, False
    return chosen, schema, typeable


def _listing(socket: Target) -> Target:
    """The socket as one that takes a list of what it takes."""
    expr = socket.spec.type.item if socket.spec.type.kind == "optional" else socket.spec.type
    return socket._replace(spec=replace(socket.spec, type=te.list_of(expr), file="", lazy=False))


def _list_of(schema: Schema | None, spec: InputSpec) -> Schema | None:
    """The schema of a list. Files are counted by content, so a list of names cannot be typed."""
    return {"type": "array", "items": schema} if schema is not None and not spec.file else None


def _met(one: InputSpec, schema: Schema | None, other: InputSpec) -> tuple[Schema | None, bool]:
    """What two inputs both take when it is typed, and else whether one link can feed them both."""
    relations = [relate(one.type, other.type), relate(other.type, one.type)]
    if schema is None or other.schema is None or (one.file and other.file and one.file != other.file):
        return None, any(relations)
    both = intersection(schema, other.schema)
    return both, any(found is not None and found.how != "direct" for found in relations)


def _fed(socket: Target) -> bool:
    """Whether a socket is linked to what a subgraph is given: then a type that does not fit is found like that of any link."""
    links = socket.entry.links.get(socket.spec.name, ())
    return any(link.startswith(f"{OUTER}.") for link in ([links] if isinstance(links, str) else links))


def _narrowest(sockets: list[Target]) -> Target:
    """A file, else the first whose type may be linked into all the others, as it is if there is one."""
    sockets = sorted(sockets, key=lambda socket: not socket.spec.file)
    for straight in (True, False):
        for socket in sockets:
            relations = [relate(socket.spec.type, other.spec.type) for other in sockets]
            if all(found is not None and (found.how == "direct" or not straight) for found in relations):
                return socket
    return sockets[0]


def _takes(spec: InputSpec) -> str:
    return str(spec.type) if spec.schema is None or spec.file else describe_schema(spec.schema)


# ---- rules ----


def _leaves(schema: Schema) -> Iterator[Schema]:
    """What an input may be given: through null, the members of a union, and the items of lists."""
    if "anyOf" in schema:
        for member in schema["anyOf"]:
            yield from _leaves(member)
    elif _is_list(schema):
        yield from _leaves(schema["items"])
    elif schema != NULL:
        yield schema


def _each(schema: Schema, change: Callable[[Schema], Schema | None]) -> Schema | None:
    """A schema with each of its leaves changed; None where nothing is left to be given."""
    if "anyOf" in schema:
        members = [found for member in schema["anyOf"] if (found := _each(member, change)) is not None]
        return any_of(members) if any(member != NULL for member in members) else None
    if _is_list(schema):
        items = _each(schema["items"], change)
        return None if items is None else {**schema, "items": items}
    return schema if schema == NULL else change(schema)


def _is_list(schema: Schema) -> bool:
    """Whether it is the items of a value that may be narrowed. A curve is one value, its points are not."""
    return schema.get("type") == "array" and bool(schema.get("items")) and schema.get("format") != "curve"


def _is_number(schema: Schema) -> bool:
    if schema.get("type") in ("integer", "number") or any(type(choice) in (int, float) for choice in schema.get("enum", ())):
        return True
    return any(_is_number(part) for part in schema.get("allOf", ()))


def _in_range(item: InterfaceInput, schema: Schema, rules: _Rules) -> Schema:
    """A schema with the interface's minimum and maximum, as far as they are right. The step is looked at, too."""
    said = {word: getattr(item, word) for word in ("minimum", "maximum", "step") if getattr(item, word) is not None}
    numbers = [leaf for leaf in _leaves(schema) if _is_number(leaf)]
    takes = describe_schema(schema)
    if said and not numbers:
        rules.broken(f"{_listed(list(said))} can be said of numbers only.", takes, _worded(said), "Remove it.")
        return schema
    whole = all(leaf.get("type") == "integer" for leaf in numbers)
    right: Schema = {}
    for word, limit in said.items():
        if not abs(limit) <= sys.float_info.max or (whole and limit != int(limit)):
            rules.broken(f"The {word} is no number that fits here.", takes, shown(limit))
        elif word == "step":
            _check_step(limit, numbers, rules)
        elif all(_beyond(leaf, word, limit) for leaf in numbers):
            rules.broken(f"The {word} lies outside of what the nodes take.", takes, shown(limit), NARROWER)
        else:
            right[word] = limit
    if "minimum" in right and "maximum" in right and right["minimum"] > right["maximum"]:
        got = f"from {shown(right['minimum'])} to {shown(right['maximum'])}"
        rules.broken("The minimum is larger than the maximum.", "a range with something in it", got)
        return schema
    if not right:
        return schema
    found = _each(schema, lambda leaf: intersection(leaf, {"type": "number", **right}) if _is_number(leaf) else leaf)
    if found is None:
        rules.broken("Nothing that the nodes take lies in this range.", takes, _worded(right), NARROWER)
    return schema if found is None else found


def _beyond(leaf: Schema, word: str, limit: float) -> bool:
    """Whether a limit lies outside of the range that a leaf takes already."""
    if "enum" in leaf:
        choices = [choice for choice in leaf["enum"] if type(choice) in (int, float)]
        return not min(choices) <= limit <= max(choices)
    low, high = lower(leaf), upper(leaf)
    if low is not None and (limit < low[0] or (limit == low[0] and low[1])):
        return True
    return high is not None and (limit > high[0] or (limit == high[0] and not high[1]))


def _check_step(step: float, numbers: list[Schema], rules: _Rules) -> None:
    if step <= 0:
        rules.broken("The step must be larger than 0.", "a number above 0", shown(step))
    for coarse in {leaf["multipleOf"] for leaf in numbers if "multipleOf" in leaf}:
        if abs(step / coarse - round(step / coarse)) > 1e-9:
            rules.broken("The step leads to values that the nodes do not take.", f"a multiple of {coarse:g}", shown(step))


def _chosen(item: InterfaceInput, schema: Schema, rules: _Rules) -> Schema:
    """A schema with the interface's choices, as far as they are right. Nothing (null) may be given as before."""
    if item.choices is None:
        return schema
    leaves = list(_leaves(schema))
    if leaves and all(leaf.get("type") == "boolean" for leaf in leaves):
        got = f"choices {shown(item.choices)}"
        rules.broken("Choices cannot be said of this input.", "true or false", got, "It has its two already: remove them.")
        return schema
    if not item.choices:
        rules.broken("There are no choices in the list.", "at least one", "[]", "Remove the list to allow everything.")
        return schema
    given = [choice for choice in item.choices if not (choice is None and fits(schema, None))]
    wrong = [choice for choice in given if not any(fits(leaf, choice) for leaf in leaves)]
    if wrong:
        what = "This choice is" if len(wrong) == 1 else "These choices are"
        got = ", ".join(map(shown, wrong))
        rules.broken(f"{what} not among what the nodes take.", describe_schema(any_of(leaves) or schema), got, NARROWER)
    return _each(schema, lambda leaf: _limited(leaf, given)) or schema


def _limited(leaf: Schema, choices: list[Any]) -> Schema | None:
    """What a leaf takes of some choices, numbers in its own spelling."""
    fitting = [choice for choice in choices if fits(leaf, choice)]
    taken = [choice if isinstance(choice, (dict, list)) else accepted(leaf, choice) for choice in fitting]
    kept = {"type": leaf["type"]} if "type" in leaf else {}
    return {"enum": taken, **kept} if taken else None


def _default(item: InterfaceInput, schema: Schema | None, spec: InputSpec, rules: _Rules) -> tuple[Any, bool]:
    """The interface's default and whether it has one: null is none, except where the input may be given nothing."""
    if schema is None:
        if item.default is not None:
            rules.broken("This input cannot have a default.", f"a link of type {spec.type}", shown(item.default), "Remove it.")
        return None, False
    if not has_default(item, schema):
        return None, False
    try:
        return accepted(schema, item.default), True
    except BadValue as bad:
        rules.broken("The default does not fit.", bad.expected, bad.got)
        return None, False


def has_default(item: InterfaceInput, schema: Schema | None) -> bool:
    """Whether an interface input has a default: null is none, except where null may be given."""
    if item.default is None:
        return "default" in item.model_fields_set and schema is not None and fits(schema, None)
    return True


def _listed(words: list[str]) -> str:
    text = " and ".join(words)
    return text[:1].upper() + text[1:]


def _worded(said: Mapping[str, Any]) -> str:
    return ", ".join(f"{word} {shown(value)}" for word, value in said.items())
