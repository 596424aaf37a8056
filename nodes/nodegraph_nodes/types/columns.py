"""How data sets are written down: their entries as columns, for there may be a million; what all leave out takes no room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from typing import Any

from nodegraph import Buffer, Codec

from .coding import CODEC


def columnar(name: str) -> Codec:
    """A codec for dataclasses whose field `name` is a long tuple of one flat dataclass: of texts, numbers, tuples of texts."""

    def encode(value: Any) -> tuple[Any, Mapping[str, Buffer]]:
        rest, buffers = CODEC.encode(replace(value, **{name: ()}))
        rows: Sequence[Any] = getattr(value, name)
        columns: dict[str, list[Any]] = {}
        for field in fields(rows[0]) if rows else ():
            column = [getattr(row, field.name) for row in rows]
            if field.default is MISSING or any(item != field.default for item in column):
                columns[field.name] = [list(item) if isinstance(item, tuple) else item for item in column]
        return {"rest": rest, "class": type(rows[0]).__name__ if rows else "", "columns": columns}, buffers

    def decode(data: Any, buffers: Mapping[str, Buffer]) -> Any:
        value = CODEC.decode(data["rest"], buffers)
        if not data["columns"]:
            return value
        row = type(CODEC.decode({"$class": data["class"], **{key: column[0] for key, column in data["columns"].items()}}, {}))
        columns = [[tuple(item) if isinstance(item, list) else item for item in column] for column in data["columns"].values()]
        names = tuple(data["columns"])
        rows = (row(**dict(zip(names, items, strict=True))) for items in zip(*columns, strict=True))
        return replace(value, **{name: tuple(rows)})

    return Codec(encode, decode)
