"""A node in a stub: a class with one instance. Overloads of `__call__` tell values from links, `linked` is what `add` reads.

Links that bring lists are taken wherever one item is, as the engine does; that the result is a list then too is not told.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterable
from typing import Any, TypeVar, get_args, get_origin

from nodegraph.scripting.annotations import (
    Names,
    as_python,
    as_value,
    bare,
    has_variable,
    joined,
    members,
    of_one,
    over_link,
)
from nodegraph.scripting.source import Bracketed, laid_out, literal
from nodegraph.sdk.builder import GraphBuilder
from nodegraph.sdk.context import Context
from nodegraph.sdk.node import Node

_BUILDER = "nodegraph.sdk.builder"


def node_stub(name: str, node: Node, names: Names) -> str:
    """The text for one node: the links it gives where they are several, its class, and itself."""
    doc = _description(node)
    calls = _calls(name, node, names)
    overload = f"    @{names.typing('overload')}\n" if len(calls) > 1 else ""
    rows = [overload + _method("__call__", parameters, gives) for parameters, gives in calls]
    linked = [f"{key}: {takes} = {default}" for key, takes, default in _by_name(node, names)]
    star = ["*"] if linked else []
    linked = [*star, *linked, f"**captured: {names.typing('Any')}"] if node.iterates else [*star, *linked]
    last = _method("linked", linked, _given(name, node, names, variables=False))
    head = f"class _{name}({names.use('nodegraph.sdk.node', 'Node')}):\n{docstring(doc, 4)}"
    return (
        _links_class(name, node, names) + head + "".join(rows) + last + f"\n{name}: _{name}\n" + docstring(doc, 0).rstrip("\n")
    )


def _method(name: str, parameters: Iterable[str], gives: str) -> str:
    written = Bracketed(f"def {name}(", tuple(("", item) for item in ("self", *parameters)), f") -> {gives}: ...")
    return f"    {laid_out(written, indent=4)}\n"


def docstring(text: str, indent: int) -> str:
    """A docstring at some depth; nothing for no text."""
    if not text:
        return ""
    pad = " " * indent
    plain = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    lines = [f"{pad}{line}".rstrip() for line in plain.splitlines()]
    if len(lines) == 1 and not plain.endswith('"'):
        return f'{pad}"""{plain}"""\n'
    return "\n".join([f'{pad}"""{plain.splitlines()[0]}', *lines[1:], f'{pad}"""']) + "\n"


def _description(node: Node) -> str:
    """What editors show: the node's own words, and those of its inputs and outputs."""
    inputs = [f"{spec.name}: {spec.description}" for spec in node.inputs if spec.description]
    outputs = [f"{spec.name}: {spec.description}" for spec in node.outputs if spec.description]
    parts = [inspect.getdoc(node.function) or "", "\n".join(inputs), "\n".join(["Gives", *outputs] if outputs else [])]
    return "\n\n".join(part for part in parts if part)


# ---- what is given ----


def _links_class(name: str, node: Node, names: Names) -> str:
    """The outputs of a node that has several, as links."""
    hints = _fields(node)
    if not hints:
        return ""
    variables = sorted({item for hint in hints.values() for item in _variables(hint, names)})
    base = f", {names.typing('Generic')}[{', '.join(variables)}]" if variables else ""
    rows = [f"    {field}: {_link(over_link(hint, names), names)}\n" for field, hint in hints.items()]
    return f"class _{name}_links({names.typing('NamedTuple')}{base}):\n{''.join(rows)}\n"


def _fields(node: Node) -> dict[str, Any]:
    gives = node.hints["return"]
    if isinstance(gives, type) and hasattr(gives, "_fields"):
        hints = inspect.get_annotations(gives, eval_str=False)
        return {spec.name: _resolved(gives, hints[spec.name]) for spec in node.outputs}
    return {}


def _resolved(cls: type, hint: Any) -> Any:
    """A field's annotation as an object."""
    if not isinstance(hint, (str, typing.ForwardRef)):
        return hint
    found = typing.get_type_hints(cls, include_extras=True)
    text = hint if isinstance(hint, str) else hint.__forward_arg__
    return next(found[key] for key, item in cls.__annotations__.items() if item is hint or item == text)


def _variables(annotation: Any, names: Names) -> set[str]:
    if isinstance(annotation, TypeVar):
        return {names.variable(annotation)}
    return {name for item in get_args(annotation) for name in _variables(item, names)}


def _given(name: str, node: Node, names: Names, *, variables: bool = True) -> str:
    """What a call with links gives."""
    if node.iterates and not node.outputs:
        return names.use(_BUILDER, "OpenOutputs")
    fields = _fields(node)
    if fields:
        used = sorted({item for hint in fields.values() for item in _variables(hint, names)})
        shown = [item if variables and not node.iterates else names.typing("Any") for item in used]
        return f"_{name}_links[{', '.join(shown)}]" if used else f"_{name}_links"
    if not node.outputs:
        return "None"
    return _link(over_link(node.hints["return"], names, variables=variables and not node.iterates), names)


def _link(text: str, names: Names) -> str:
    return f"{names.use(_BUILDER, 'Link')}[{text}]"


# ---- what is taken ----


def _calls(name: str, node: Node, names: Names) -> list[tuple[list[str], str]]:
    """The signatures of a call: with values (or a builder, for a composite) and with links."""
    linked = [(_parameters(node, names, lists), _given(name, node, names)) for lists in _readings(node)]
    if node.iterates:
        return linked
    if node.builder_parameter is not None:
        builder = names.use(_BUILDER, "GraphBuilder")
        with_builder = [
            (_parameters(node, names, lists, builder), gives) for lists, (_, gives) in zip(_readings(node), linked, strict=True)
        ]
        return [*with_builder, *linked] if node.inputs else with_builder
    values = (_value_parameters(node, names), _returned(node, names))
    if not node.inputs:
        return [values]
    if any(isinstance(bare(hint)[0], TypeVar) for _, hint in _shown(node)):  # a link is a value of any type, too
        return [*linked, values]
    return [values, *linked]


def _readings(node: Node) -> list[bool]:
    """Whether a link into a list of a type variable is read as a list or as one item of it: each is a signature."""
    lists = any(get_origin(bare(hint)[0]) is list and has_variable(hint) for _, hint in _shown(node))
    return [True, False] if lists and not node.iterates else [True]


def _shown(node: Node) -> list[tuple[inspect.Parameter, Any]]:
    """The parameters that are inputs, with their annotations."""
    found = inspect.signature(node.function).parameters
    return [(item, node.hints[name]) for name, item in found.items() if node.hints[name] not in (Context, GraphBuilder)]


def _parameters(node: Node, names: Names, lists: bool, builder: str = "") -> list[str]:
    """The parameters of a call with links; the builder stands where the function has it."""
    rows = []
    for item in inspect.signature(node.function).parameters.values():
        hint = node.hints[item.name]
        if hint is GraphBuilder and builder:
            rows.append((item, builder))
        elif hint not in (Context, GraphBuilder):
            rows.append((item, _takes(node, item, hint, names, lists)))
    written = _written(rows)
    return [*written, f"**captured: {names.typing('Any')}"] if node.iterates else written


def _value_parameters(node: Node, names: Names) -> list[str]:
    signature = inspect.signature(node.function)
    return _written([(item, as_python(node.hints[item.name], names)) for item in signature.parameters.values()])


def _written(rows: list[tuple[inspect.Parameter, str]]) -> list[str]:
    """Parameters as text, with the marks that Python needs between their kinds."""
    found: list[str] = []
    kinds = [item.kind for item, _ in rows]
    for i, (item, text) in enumerate(rows):
        if item.kind is item.KEYWORD_ONLY and item.VAR_POSITIONAL not in kinds and item.KEYWORD_ONLY not in kinds[:i]:
            found.append("*")
        star = "*" if item.kind is item.VAR_POSITIONAL else ""
        default = "" if item.default is item.empty else f" = {_default(item.default)}"
        found.append(f"{star}{item.name}: {text}{default}")
        if item.kind is item.POSITIONAL_ONLY and item.POSITIONAL_ONLY not in kinds[i + 1 :]:
            found.append("/")
    return found


def _default(default: Any) -> str:
    return literal(default) if default is None or type(default) in (bool, int, float, str) else "..."


def _by_name(node: Node, names: Names) -> list[tuple[str, str, str]]:
    """The inputs as `graph.add` takes them: all by name, none required, for an interface may set what is not linked."""
    found = []
    for item, hint in _shown(node):
        takes = _takes(node, item, hint, names, lists=True, variables=False)
        if item.kind is item.VAR_POSITIONAL:
            takes = f"{names.use('collections.abc', 'Sequence')}[{takes}] | {takes}"
        default = "..." if item.default is item.empty else _default(item.default)
        found.append((item.name, takes, default))
    return found


def _takes(node: Node, item: inspect.Parameter, hint: Any, names: Names, lists: bool, variables: bool = True) -> str:
    """What an input of a graph's node takes: values that can be typed in, and links."""
    if node.iterates and has_variable(hint):
        return names.typing("Any")
    typed = "" if item.kind is item.VAR_POSITIONAL else as_value(hint, names)
    optional = ["None"] if type(None) in members(bare(hint)[0]) and "None" not in typed else []
    return joined([*([typed] if typed else []), _links_for(hint, names, lists, variables), *optional])


def _links_for(hint: Any, names: Names, lists: bool, variables: bool) -> str:
    if not has_variable(hint):
        return f"{names.use(_BUILDER, 'Into')}[{over_link(of_one(hint), names, taken=True)}]"
    if not variables:
        return _link(names.typing("Any"), names)
    inner = bare(hint)[0]
    kinds = [item for item in members(inner) if item is not type(None)]
    inner = bare(kinds[0])[0] if len(kinds) == 1 else inner
    if get_origin(inner) is list and not lists:
        inner = get_args(inner)[0]
    return _link(over_link(inner, names, taken=True), names)


def _returned(node: Node, names: Names) -> str:
    gives = as_python(node.hints["return"], names)
    if not node.is_async:
        return gives
    anything = names.typing("Any")
    return f"{names.use('collections.abc', 'Coroutine')}[{anything}, {anything}, {gives}]"
