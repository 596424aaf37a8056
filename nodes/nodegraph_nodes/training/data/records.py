"""What a captions file says of pictures: JSON lines (or JSON lists) with one object for each picture, fields by name."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any

from nodegraph import NodeError

_ENDS = re.compile(r"\r\n|\r|\n")  # of lines: a caption may hold what str.splitlines takes for an end, too


@dataclass(frozen=True, slots=True)
class Fields:
    """In which fields of a record what is found; of several names the first that a record has counts."""

    file: Sequence[str] = ("file_name", "file", "image", "path", "key")
    captions: Sequence[str] = ("text", "caption", "captions", "prompt")
    subject: Sequence[str] = ("subject",)
    style: Sequence[str] = ("style",)
    label: Sequence[str] = ("label", "class")
    tags: Sequence[str] = ("tags",)
    aliases: Sequence[str] = ("aliases",)
    group: Sequence[str] = ("group",)
    layout: Sequence[str] = ("layout", "segmentation")

    def all(self) -> tuple[Sequence[str], ...]:
        return astuple(self)


@dataclass(frozen=True, slots=True)
class Record:
    """What is said of one picture; see `Entry`. label: a class's name, or its number."""

    captions: tuple[str, ...] = ()
    subject: str = ""
    style: str = ""
    label: str | int | None = None
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    group: str = ""
    layout: str = ""

    @property
    def says_something(self) -> bool:
        """Whether a picture with it can be asked for: by words or by a class."""
        return bool(self.captions or self.subject or self.label is not None)

    def replaced(self, **changes: Any) -> Record:
        return replace(self, **changes)


def read_records(text: str, name: str, fields: Fields, styles: Mapping[str, str] | None = None) -> dict[str, Record]:
    """Records by file name. styles: words that stand for the styles' names in captions. Raises NodeError."""
    found: dict[str, Record] = {}
    for number, row in _rows(text, name):
        file = _first(row, fields.file)
        if not isinstance(file, str) or not file:
            raise NodeError(
                f"Line {number} of {name} names no picture.",
                socket="captions",
                expected=f"a field {' or '.join(fields.file)}",
                got=", ".join(map(str, row)) or "no fields",
                hint="Say in `file_field` which field has the picture's file name.",
            )
        record = record_of(row, fields, styles)
        key = file.replace("\\", "/").removeprefix("./")
        found[key] = _joined(found[key], record) if key in found else record
    return found


def record_of(row: Mapping[str, Any], fields: Fields, styles: Mapping[str, str] | None = None) -> Record:
    """What a row of fields says."""
    style = _text(_first(row, fields.style))
    label = _first(row, fields.label)
    return Record(
        captions=_texts(_first(row, fields.captions)),
        subject=bare_noun(_text(_first(row, fields.subject))),
        style=(styles or {}).get(style, style),
        label=label if isinstance(label, int) and not isinstance(label, bool) else _text(label) or None,
        tags=_texts(_first(row, fields.tags)),
        aliases=_texts(_first(row, fields.aliases)),
        group=_text(_first(row, fields.group)),
        layout=_text(_first(row, fields.layout)),
    )


def bare_noun(text: str) -> str:
    """A label as it stands in a caption: small letters, no colon, plain apostrophes."""
    return " ".join(text.lower().replace("\u2019", "'").replace(":", "").split())


def _rows(text: str, name: str) -> list[tuple[int, dict[str, Any]]]:
    text = text.removeprefix("\ufeff")
    if text.lstrip().startswith("["):
        try:
            listed = json.loads(text)
        except ValueError as error:
            raise NodeError(f"{name} is not JSON: {error}.", socket="captions") from None
        rows = list(enumerate(listed, 1))
    else:
        rows = []
        for number, line in enumerate(_ENDS.split(text), 1):
            if line.strip():
                try:
                    rows.append((number, json.loads(line)))
                except ValueError:
                    raise _no_row(name, number, line) from None
    for number, row in rows:
        if not isinstance(row, dict):
            raise _no_row(name, number, json.dumps(row))
    return rows


def _no_row(name: str, number: int, got: str) -> NodeError:
    return NodeError(
        f"Line {number} of {name} is not a JSON object.",
        socket="captions",
        expected='{"file_name": "cat.png", "text": "a cat"}',
        got=got if len(got) <= 80 else got[:77] + "...",
    )


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _text(value: Any) -> str:
    return unicodedata.normalize("NFC", " ".join(str(value).split())) if isinstance(value, str | int | float) else ""


def _texts(value: Any) -> tuple[str, ...]:
    many = value if isinstance(value, list | tuple) else [value]
    return tuple(filter(None, map(_text, many)))


def _joined(first: Record, second: Record) -> Record:
    """A picture with two lines has the captions of both."""
    return first.replaced(captions=(*first.captions, *second.captions))
