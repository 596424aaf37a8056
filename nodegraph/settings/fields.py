"""The settings one by one: by key, what each takes in words, and how a value from outside becomes one of the model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import ConfigDict, SecretStr, TypeAdapter
from pydantic.fields import FieldInfo

from nodegraph.settings.model import Section, Settings, callable_host, host_name
from nodegraph.settings.sizes import parse_size, size_text

PREFIX = "NODEGRAPH_"


class Setting(NamedTuple):
    """One setting. key: `server.port`; about: a sentence; expected: what it takes, in words."""

    key: str
    field: FieldInfo
    expected: str
    secret: bool
    listed: bool
    folder: bool

    @property
    def about(self) -> str:
        return self.field.description or ""

    @property
    def default(self) -> Any:
        return None if self.field.is_required() else self.field.default

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.key.replace(".", "__").upper()

    @property
    def in_bytes(self) -> bool:
        return parse_size in _validators(self.field)

    def text(self, value: Any) -> str:
        """A value of this setting as people write it; secrets are not told."""
        if self.secret:
            return "(set)" if value is not None else "none"
        if value is None:
            return "none"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, list):
            return ", ".join(map(str, value)) or "none"
        return size_text(value) if self.in_bytes else f"{value:g}" if isinstance(value, float) else str(value)

    def read(self, value: Any, *, strict: bool) -> Any:
        """A value from outside, checked. strict: as TOML has it, so a text is no number. Raises ValueError."""
        said = self.field.metadata
        checked: Any = Annotated[(self.field.annotation, *said)] if said else self.field.annotation
        adapter: TypeAdapter[Any] = TypeAdapter(checked, config=ConfigDict(allow_inf_nan=False))
        if not strict:
            return adapter.validate_python(value)
        try:
            text = json.dumps(value)
        except TypeError:  # TOML has dates and times; no setting is one
            raise ValueError(self.expected) from None
        return adapter.validate_json(text, strict=True)


@cache
def known_settings() -> Mapping[str, Setting]:
    """All settings, in the order of the documentation."""
    return {key: _setting(key, field) for key, field in _leaves(Settings, "")}


def sections() -> list[str]:
    return [name for name, field in Settings.model_fields.items() if _is_section(field)]


def value_of(settings: Settings, key: str) -> Any:
    """The value that a setting has."""
    value: Any = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _leaves(model: type[Section], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if _is_section(field):
            assert isinstance(field.annotation, type)
            yield from _leaves(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def _setting(key: str, field: FieldInfo) -> Setting:
    inner = _plain_types(field.annotation)
    listed = get_origin(field.annotation) is list
    return Setting(key, field, _expected(field, inner, listed), SecretStr in inner, listed, Path in inner)


def _plain_types(annotation: Any) -> list[Any]:
    """The types that an annotation is made of, without what is said about them."""
    if get_origin(annotation) is Annotated or get_origin(annotation) is list:
        return _plain_types(get_args(annotation)[0])
    if get_origin(annotation) is Union or (get_args(annotation) and get_origin(annotation) is not Literal):
        return [inner for part in get_args(annotation) for inner in _plain_types(part)]
    return [annotation]


def _validators(part: Any) -> list[Any]:
    """The functions that check a field, or an annotation and what it is made of."""
    said = part.metadata if isinstance(part, FieldInfo) else getattr(part, "__metadata__", ())
    inner = [part.annotation] if isinstance(part, FieldInfo) else get_args(part)
    return [getattr(one, "func", None) for one in said] + [found for one in inner for found in _validators(one)]


def _constraints(part: Any) -> list[Any]:
    said = part.metadata if isinstance(part, FieldInfo) else getattr(part, "__metadata__", ())
    inner = [part.annotation] if isinstance(part, FieldInfo) else get_args(part)
    return [*said, *(found for one in inner for found in _constraints(one))]


def _expected(field: FieldInfo, inner: list[Any], listed: bool) -> str:
    functions = _validators(field)
    if Path in inner:
        return "a list of folders" if listed else "a folder"
    if host_name in functions:
        return "a list of host names or IP addresses" if listed else "a host name or an IP address"
    if callable_host in functions:
        return "a list of host names or IP addresses, each with a port or without"
    if SecretStr in inner:
        return "a text of 1 to 512 plain characters (ASCII) without spaces"
    if bool in inner:
        return "true or false"
    choices = [choice for one in inner if get_origin(one) is Literal for choice in get_args(one)]
    words = [_range(field, inner, parse_size in functions)] if int in inner or float in inner else []
    return " or ".join(filter(None, [*words, _either(choices)]))


def _either(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}" if choices else ""


def _range(field: FieldInfo, inner: list[Any], sized: bool) -> str:
    def show(number: float) -> str:
        return size_text(int(number)) if sized else f"{number:,g}" if isinstance(number, float) else f"{number:,}"

    def limit(kind: type[Ge] | type[Gt] | type[Le], name: str) -> Any:
        return next((getattr(one, name) for one in _constraints(field) if isinstance(one, kind)), None)

    least, above, most = limit(Ge, "ge"), limit(Gt, "gt"), limit(Le, "le")
    if sized:
        return "a size, as 500 MB or 4 GiB" + (f", of at least {show(least)}" if least else "")
    what = "a whole number" if int in inner else "a number"
    return (
        f"{what} above {show(above)}, up to {show(most)}" if above is not None else f"{what} from {show(least)} to {show(most)}"
    )
