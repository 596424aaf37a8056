"""Annotations of node functions as text in a stub: what a call takes and gives as values, and what comes over links.

Socket types are told apart in links even where one Python class serves several of them: a picture and a mask are both tensors.
"""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel

from nodegraph.scripting.source import literal
from nodegraph.sdk.socket import SocketType, socket_of
from nodegraph.sdk.values import Lazy, ModelFile, Secret, ValueKind

SOCKETS = "nodegraph_sockets"
"""The module of stubs for socket types that are no class of their own."""

_BUILTIN = (int, float, str, bool, bytes, list, dict, tuple, set, object)


@dataclass(slots=True)
class Names:
    """What the stub of one module uses: imports, type variables, and the socket types that need a class of their own."""

    module: str
    reserved: frozenset[str]
    imports: dict[tuple[str, str], str] = field(default_factory=dict)
    variables: set[str] = field(default_factory=set)
    sockets: dict[str, dict[str, Any]] = field(default_factory=dict)

    def use(self, module: str, name: str) -> str:
        """Import a name, under another where this one is taken."""
        if (module, name) not in self.imports:
            taken = {*self.reserved, *self.imports.values()}
            alias = name
            while alias in taken:
                alias = f"{alias}_"
            self.imports[module, name] = alias
        return self.imports[module, name]

    def typing(self, name: str) -> str:
        return self.use("typing", name)

    def builtin(self, cls: type) -> str:
        return cls.__name__ if cls.__name__ not in self.reserved else self.use("builtins", cls.__name__)

    def cls(self, cls: type) -> str:
        """A class by its name. One that lives inside a function has none."""
        if cls is type(None):
            return "None"
        if cls in _BUILTIN:
            return self.builtin(cls)
        outer, _, inner = cls.__qualname__.partition(".")
        if "<locals>" in cls.__qualname__:
            return self.typing("Any")
        name = outer if cls.__module__ == self.module else self.use(cls.__module__, outer)
        return f"{name}.{inner}" if inner else name

    def variable(self, found: TypeVar) -> str:
        self.variables.add(found.__name__)
        return found.__name__

    def socket(self, found: SocketType, base: Any) -> str:
        """The class that stands for a socket type which is declared in an annotation."""
        known = [base.__module__, base.__qualname__] if isinstance(base, type) and "<locals>" not in base.__qualname__ else None
        self.sockets[found.name] = {"base": known, "description": found.description}
        return self.use(SOCKETS, found.name)


def has_variable(annotation: Any) -> bool:
    return isinstance(annotation, TypeVar) or any(has_variable(item) for item in get_args(annotation))


def members(annotation: Any) -> tuple[Any, ...]:
    """What a union is of; anything else is a union of itself."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def joined(parts: Iterator[str] | list[str]) -> str:
    return " | ".join(dict.fromkeys(parts))


def bare(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """An annotation without `Annotated` and `Lazy`, and the metadata that was there."""
    metadata: tuple[Any, ...] = ()
    while get_origin(annotation) in (Annotated, Lazy):
        annotation, *extra = get_args(annotation)
        metadata = (*metadata, *extra)
    return annotation, metadata


def as_python(annotation: Any, names: Names) -> str:
    """What the function itself takes or gives: tensors, paths, members of an enum."""
    if get_origin(annotation) is Annotated:
        return as_python(get_args(annotation)[0], names)
    if isinstance(annotation, TypeVar):
        return names.variable(annotation)
    if annotation is Any:
        return names.typing("Any")
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return _literal(args, names)
    if len(found := members(annotation)) > 1:
        return joined(as_python(item, names) for item in found)
    if origin is None:
        return names.cls(annotation) if isinstance(annotation, type) else names.typing("Any")
    if not isinstance(origin, type):
        return names.typing("Any")
    inner = ", ".join("..." if item is ... else as_python(item, names) for item in args)
    return f"{names.cls(origin)}[{inner}]"


def as_value(annotation: Any, names: Names) -> str:
    """What may be typed in for an input of a graph, or nothing where only links go."""
    annotation, metadata = bare(annotation)
    if any(isinstance(item, SocketType) for item in metadata) or socket_of(annotation) or isinstance(annotation, TypeVar):
        return ""
    if any(isinstance(item, ValueKind) and item.name in ("file", "folder") for item in metadata):
        return f"{names.builtin(str)} | {names.use('pathlib', 'Path')}"
    if len(found := members(annotation)) > 1:
        parts = [as_value(item, names) for item in found]
        return joined(parts) if all(parts) else "None" if type(None) in found else ""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is ModelFile:
        return names.builtin(str)
    if origin is Literal:
        return _literal(args, names)
    if origin in (list, tuple) or annotation in (list, tuple):
        inner = as_value(args[0], names) if origin is list else names.typing("Any")
        return f"{names.use('collections.abc', 'Sequence')}[{inner}]" if inner else ""
    if origin is dict or annotation is dict:
        return _mapping(names)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return joined([names.cls(annotation), _literal(tuple(item.value for item in annotation), names)])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return joined([names.cls(annotation), _mapping(names)])
    if annotation is Secret:
        return f"{names.cls(Secret)} | {names.builtin(str)}"
    return names.cls(annotation) if isinstance(annotation, type) else names.typing("Any")


def _mapping(names: Names) -> str:
    return f"{names.use('collections.abc', 'Mapping')}[{names.builtin(str)}, {names.typing('Any')}]"


def _literal(values: tuple[Any, ...], names: Names) -> str:
    return f"{names.typing('Literal')}[{', '.join(map(literal, values))}]"


Shown = Callable[[Any, Names], str]


def over_link(annotation: Any, names: Names, *, taken: bool = False, variables: bool = True) -> str:
    """What comes over a link of this type. `taken`: what an input takes, which is wider than what an output gives.

    Without `variables` a type variable is whatever comes.
    """
    annotation, metadata = bare(annotation)
    for item in metadata:
        if isinstance(item, SocketType):
            return names.socket(item, annotation)
    if isinstance(annotation, TypeVar):
        return names.variable(annotation) if variables else names.typing("Any")
    if len(found := members(annotation)) > 1:
        return joined(over_link(item, names, taken=taken, variables=variables) for item in found)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is list:
        outer = names.use("collections.abc", "Sequence") if taken else names.builtin(list)
        return f"{outer}[{over_link(args[0], names, taken=taken, variables=variables)}]"
    if taken and (origin is Literal or (isinstance(annotation, type) and issubclass(annotation, enum.Enum))):
        return _plain_kind(annotation, names)
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return names.builtin(str)
    if taken and (origin in (dict, tuple) or (isinstance(annotation, type) and issubclass(annotation, (BaseModel, dict)))):
        return names.typing("Any")  # any JSON
    return as_python(annotation, names)


def _plain_kind(annotation: Any, names: Names) -> str:
    """The types of the values that a choice is from: text may be linked into a choice of texts."""
    values = get_args(annotation) or tuple(item.value for item in annotation)
    return joined([names.cls(type(item)) for item in values])


def of_one(annotation: Any) -> Any:
    """What an input takes one of, whatever lists it is in: links bring one, a list, or lists of lists of it."""
    inner, metadata = bare(annotation)
    if metadata and any(isinstance(item, SocketType) for item in metadata):
        return annotation
    kinds = [item for item in members(inner) if item is not type(None)]
    if len(kinds) == 1 and get_origin(bare(kinds[0])[0]) is list:
        return of_one(get_args(bare(kinds[0])[0])[0])
    return annotation
