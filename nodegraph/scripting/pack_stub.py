"""The stub of one pack's module: its nodes, and whatever else the module offers, as far as others need it."""

from __future__ import annotations

import enum
import inspect
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

from nodegraph.scripting.annotations import Names, as_python
from nodegraph.scripting.names import from_import
from nodegraph.scripting.node_stub import docstring, node_stub
from nodegraph.scripting.source import literal
from nodegraph.sdk.node import Node
from nodegraph.sdk.pack import Pack

MARK = "# Written by `nodegraph stubs`; it would write over changes."
_MYPY = '# mypy: disable-error-code="overload-overlap, overload-cannot-match, override"'


@dataclass(frozen=True, slots=True)
class PackStub:
    """A module's stub, and the socket types in it that have no class of their own."""

    text: str
    sockets: dict[str, dict[str, Any]]


def pack_stub(module: ModuleType, pack: Pack) -> PackStub:
    """The stub of a pack that has been imported."""
    public = _public(module)
    nodes = sorted(name for name, item in vars(module).items() if isinstance(item, Node) and pack.nodes.get(item.name) is item)
    reserved = frozenset({*nodes, *public, *(f"_{name}_links" for name in nodes)})
    names = Names(module.__name__, reserved)
    others = [_other(name, public[name], names) for name in sorted(public) if name not in nodes]
    classes = [node_stub(name, getattr(module, name), names) for name in nodes]
    variables = [f'{name} = {names.typing("TypeVar")}("{name}")' for name in sorted(names.variables)]
    top = "\n".join([MARK, _MYPY, "", *_imports(names)])
    parts = [top, *(["\n".join(variables)] if variables else []), *others, *classes]
    return PackStub("\n\n".join(parts) + "\n", names.sockets)


def _imports(names: Names) -> list[str]:
    """Import lines, sorted, the names of one module together."""
    found: dict[str, list[str]] = {}
    for (place, name), alias in names.imports.items():
        found.setdefault(place, []).append(name if name == alias else f"{name} as {alias}")
    return [line for place in sorted(found) for line in from_import(place, sorted(found[place]))]


# ---- what the module holds beside nodes ----


def _public(module: ModuleType) -> dict[str, Any]:
    """What a module offers by name: what its `__all__` says, else what is defined in it."""
    if hasattr(module, "__all__"):
        return {name: getattr(module, name) for name in module.__all__ if hasattr(module, name)}
    hidden = (ModuleType, TypeVar)
    found = {name: item for name, item in vars(module).items() if not name.startswith("_") and not isinstance(item, hidden)}
    return {name: item for name, item in found.items() if getattr(item, "__module__", module.__name__) == module.__name__}


def _other(name: str, item: Any, names: Names) -> str:
    """A member that is no node, as far as other stubs and scripts need it."""
    if isinstance(item, type) and item.__module__ == names.module:
        return _class(name, item, names)
    if callable(item) and getattr(item, "__name__", None) == name and item.__module__ not in (names.module, "builtins"):
        return f"from {item.__module__} import {name} as {name}"
    anything = names.typing("Any")
    if inspect.isfunction(item):
        return f"def {name}(*args: {anything}, **kwargs: {anything}) -> {anything}: ..."
    return f"{name}: {anything}"


def _class(name: str, cls: type, names: Names) -> str:
    words = (
        "" if (cls.__doc__ or "").startswith(f"{cls.__name__}(") else cls.__doc__ or ""
    )  # what NamedTuple and dataclass write
    doc = docstring(inspect.cleandoc(words), 4)
    if hasattr(cls, "_fields"):
        hints = inspect.get_annotations(cls, eval_str=True)
        rows = [f"    {field}: {as_python(hint, names)}\n" for field, hint in hints.items()]
        return f"class {name}({names.typing('NamedTuple')}):\n{doc}{''.join(rows)}".rstrip("\n")
    if issubclass(cls, enum.Enum):
        rows = [f"    {item.name} = {literal(item.value)}\n" for item in cls]
        return f"class {name}({names.use('enum', 'Enum')}):\n{doc}{''.join(rows)}".rstrip("\n")
    anything = names.typing("Any")
    return (
        f"class {name}:\n{doc}    def __init__(self, *args: {anything}, **kwargs: {anything}) -> None: ...\n"
        f"    def __getattr__(self, name: str) -> {anything}: ..."
    )
