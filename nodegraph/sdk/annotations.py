"""From Python annotations to sockets: the one place where a signature becomes a schema.

JSON-like types get a JSON Schema from pydantic and a converter for the call; socket types only a type expression.
"""

from __future__ import annotations

import enum
import inspect
import re
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from nodegraph.sdk import typeexpr as te
from nodegraph.sdk.errors import NodeError
from nodegraph.sdk.socket import SocketType, socket_of
from nodegraph.sdk.spec import InputSpec, OutputSpec
from nodegraph.sdk.typeexpr import TypeExpr
from nodegraph.sdk.values import Lazy, ModelFile, Secret, ValueKind
from nodegraph.sdk.views import VALUES, what_is_wrong

_SCALARS: dict[Any, str] = {int: "int", float: "float", str: "str", bool: "bool"}


@dataclass(frozen=True, slots=True)
class Parsed:
    """An annotation, understood. `convert` turns a JSON value into what the function wants (None: as it is)."""

    type: TypeExpr
    json_annotation: Any = None  # what pydantic sees; None for types that cannot be typed in
    convert: Callable[[Any], Any] | None = None
    description: str = ""
    title: str = ""
    file: str = ""
    sockets: tuple[SocketType, ...] = ()


def parse(annotation: Any) -> Parsed:
    """Understand one annotation. Raises TypeError for what can be neither typed nor linked."""
    metadata: tuple[Any, ...] = ()
    while get_origin(annotation) is Annotated:
        annotation, *extra = get_args(annotation)
        metadata = (*extra, *metadata)
    text = _field_text(metadata)
    for item in metadata:
        if isinstance(item, SocketType):
            return Parsed(te.socket_type(item.name), sockets=(item,), **text)
        if isinstance(item, ValueKind):
            return _value_kind(annotation, item, metadata, text)
    if isinstance(annotation, TypeVar):
        return Parsed(te.var(annotation.__name__), **text)
    if found := socket_of(annotation):
        return Parsed(te.socket_type(found.name), sockets=(found,), **text)
    if annotation in _SCALARS:
        return Parsed(te.value(_SCALARS[annotation]), _annotated(annotation, metadata), **text)
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal or (isinstance(annotation, type) and issubclass(annotation, enum.Enum)):
        convert = None if origin is Literal else TypeAdapter(annotation).validate_python
        return Parsed(te.value("enum"), _annotated(annotation, metadata), convert, **text)
    if annotation is Secret:
        return Parsed(te.value("secret"), _annotated(str, metadata), Secret, **text)
    if origin is ModelFile:
        kind, *others = get_args(args[0]) if get_origin(args[0]) is Literal else ("model",)
        if others:
            metadata = (*metadata, Field(json_schema_extra={"x-models": [kind, *others]}))
        return Parsed(te.value(f"model:{kind}"), _annotated(str, metadata), file=f"model:{kind}", **text)
    if origin in (list, tuple) or annotation in (dict, list) or origin is dict:
        return _container(annotation, origin, args, metadata, text)
    if origin in (Union, types.UnionType):
        return _union(args, metadata, text)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        kind = next((name for name, model in VALUES.items() if model is annotation), "json")
        return Parsed(te.value(kind), _annotated(annotation, metadata), _model(annotation), **text)
    raise TypeError(f"{annotation!r} is neither a JSON-like type nor a socket type. Decorate its class with @socket.")


def _value_kind(annotation: Any, kind: ValueKind, metadata: tuple[Any, ...], text: dict[str, Any]) -> Parsed:
    fields = tuple(item for item in metadata if not isinstance(item, ValueKind))
    if kind.name in ("file", "folder"):
        return Parsed(te.value(kind.name), _annotated(str, fields), Path, file=kind.name, **text)
    return Parsed(te.value(kind.name), _annotated(annotation, fields), **text)


def _model(model: type[BaseModel]) -> Callable[[Any], Any]:
    """Makes a model of its data. What the model refuses beyond its schema is the user's to mend."""

    def convert(data: Any) -> Any:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise NodeError(f"This value does not fit: {what_is_wrong(error)}.") from None

    return convert


def _container(annotation: Any, origin: Any, args: tuple[Any, ...], metadata: Any, text: dict[str, Any]) -> Parsed:
    if origin is list:
        inner = parse(args[0])
        if inner.file:
            raise TypeError("a list of files cannot be an input; take one file, and link a list to it")
        item_convert = inner.convert
        convert = (lambda items: [item_convert(item) for item in items]) if item_convert else None
        json_annotation = _annotated(list[inner.json_annotation], metadata) if inner.json_annotation else None  # type: ignore[name-defined]
        return Parsed(te.list_of(inner.type), json_annotation, convert, sockets=inner.sockets, **text)
    return Parsed(te.value("json"), _annotated(annotation, metadata), TypeAdapter(annotation).validate_python, **text)


def _union(args: tuple[Any, ...], metadata: tuple[Any, ...], text: dict[str, Any]) -> Parsed:
    members = [parse(arg) for arg in args if arg is not type(None)]
    expr = te.union(*(member.type for member in members))
    convert = members[0].convert if len(members) == 1 else None
    known = [member.json_annotation for member in members if member.json_annotation is not None]
    json_annotation: Any = None
    if len(known) == len(members):
        json_annotation = Union[tuple(known)] if len(known) > 1 else known[0]  # noqa: UP007
    file = members[0].file
    if len(members) > 1 and any(member.file for member in members):
        raise TypeError("a file cannot be one of several types")
    if type(None) in args:
        expr = te.optional(expr)
        json_annotation = json_annotation | None if json_annotation is not None else None
        if convert:
            inner = convert
            convert = lambda item: None if item is None else inner(item)  # noqa: E731
    sockets = tuple(found for member in members for found in member.sockets)
    if json_annotation is not None:
        json_annotation = _annotated(json_annotation, metadata)
    return Parsed(expr, json_annotation, convert, file=file, sockets=sockets, **text)


def _annotated(annotation: Any, metadata: tuple[Any, ...]) -> Any:
    return Annotated[(annotation, *metadata)] if metadata else annotation


def _field_text(metadata: tuple[Any, ...]) -> dict[str, Any]:
    fields = [item for item in metadata if isinstance(item, FieldInfo)]
    return {
        "description": next((item.description for item in reversed(fields) if item.description), ""),
        "title": next((item.title for item in reversed(fields) if item.title), ""),
    }


def json_schema(annotation: Any) -> dict[str, Any]:
    """The JSON Schema that pydantic gives an annotation, without the words that live beside it in the spec."""
    schema = _inlined(TypeAdapter(annotation).json_schema())
    return {name: value for name, value in schema.items() if name not in ("title", "description", "default")}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with its definitions put where they are used; one that refers to itself stays as it is."""
    definitions = schema.get("$defs", {})

    def inline(item: Any, within: tuple[str, ...]) -> Any:
        if isinstance(item, list):
            return [inline(part, within) for part in item]
        if not isinstance(item, dict):
            return item
        name = str(item.get("$ref", "")).removeprefix("#/$defs/")
        if name in within:
            raise RecursionError
        found = inline(definitions[name], (*within, name)) if name in definitions else {}
        return found | {key: inline(part, within) for key, part in item.items() if key != "$ref"}

    try:
        inlined: dict[str, Any] = inline({key: part for key, part in schema.items() if key != "$defs"}, ())
    except RecursionError:
        return schema
    return inlined


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a node function: its spec and how a JSON value is converted for the call."""

    spec: InputSpec
    convert: Callable[[Any], Any] | None
    sockets: tuple[SocketType, ...]


def input_parameter(parameter: inspect.Parameter, annotation: Any) -> Parameter:
    """The input that a parameter declares. Raises TypeError with the parameter's name where it declares none."""
    many = parameter.kind is inspect.Parameter.VAR_POSITIONAL
    lazy = get_origin(annotation) is Lazy
    if lazy:
        (annotation,) = get_args(annotation)
    try:
        parsed = parse(annotation)
    except TypeError as error:
        raise TypeError(f"parameter {parameter.name!r}: {error}") from None
    has_default = parameter.default is not inspect.Parameter.empty
    schema = None if parsed.json_annotation is None or many else json_schema(parsed.json_annotation)
    default = plain(parameter.default) if has_default else None
    required = not has_default and not many
    spec = InputSpec(
        name=parameter.name,
        type=parsed.type,
        required=required,
        default=default,
        schema=schema,
        many=many,
        lazy=lazy,
        title=parsed.title or title_of(parameter.name),
        description=parsed.description,
        file=parsed.file,
    )
    convert = _each(parsed.convert) if many and not lazy else parsed.convert
    return Parameter(spec, _named(convert, parameter.name), parsed.sockets)


def _each(convert: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    """A converter for the values of many links."""
    return None if convert is None else lambda values: [convert(value) for value in values]


def _named(convert: Callable[[Any], Any] | None, socket: str) -> Callable[[Any], Any] | None:
    """A converter whose refusals say at which input they are."""
    if convert is None:
        return None

    def converted(value: Any) -> Any:
        try:
            return convert(value)
        except NodeError as error:
            error.socket = socket
            raise

    return converted


def outputs_of(annotation: Any, name: str | None) -> tuple[tuple[OutputSpec, ...], tuple[SocketType, ...]]:
    """The outputs that a return annotation declares: a NamedTuple's fields, or one output (named after its type)."""
    if annotation is None or annotation is type(None):
        return (), ()
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        hints = typing.get_type_hints(annotation, include_extras=True)
        parsed = {field: parse(hints[field]) for field in annotation._fields}
    else:
        single = parse(annotation)
        parsed = {name or _output_name(single.type): single}
    specs = tuple(OutputSpec(field, item.type, item.description) for field, item in parsed.items())
    return specs, tuple(found for item in parsed.values() for found in item.sockets)


def _output_name(expr: TypeExpr) -> str:
    if expr.kind == "list":
        inner = _output_name(expr.item)
        return inner if inner == "value" else inner + ("es" if inner.endswith(("s", "x", "ch", "sh")) else "s")
    if expr.kind == "socket":
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", expr.name).lower()
    return "value"


def plain(value: Any) -> Any:
    """A Python value as the JSON value that a document holds."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, (Secret, ModelFile)):
        return value.name
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def title_of(name: str) -> str:
    """`guidance_scale` -> `Guidance scale`."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]
