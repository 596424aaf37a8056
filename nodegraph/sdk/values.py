"""Value types with a meaning beyond their JSON form: seeds, colours, files, model files, secrets, lazily evaluated inputs.

A value type is declared by a `ValueKind` in an annotation; the editor, the validator and the engine read that, never a name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ValueKind:
    """Marks an annotation: `name` is the type's name in the catalog, `of` narrows it (a model file's kind)."""

    name: str
    of: str = ""


MAX_SEED = 2**32 - 1
"""The largest seed: torch's CPU generator reads 32 bits, so larger ones would give pictures that were there before."""

Seed = Annotated[int, Field(ge=0, le=MAX_SEED), ValueKind("seed")]
"""A random seed, 0 to 2**32 - 1."""

Color = Annotated[
    str, Field(pattern=r"^#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?$", json_schema_extra={"format": "color"}), ValueKind("color")
]
"""An sRGB colour, `#rrggbb` or `#rrggbbaa`."""

FilePath = Annotated[Path, ValueKind("file")]
"""A file to read. In a document it is a name below the configured roots; the node receives an absolute `Path`, and the
result is keyed by the file's content, not its name."""


@dataclass(frozen=True, slots=True)
class ModelFile(Generic[T]):
    """A model on disk, a single `.safetensors` file or a folder; annotate as `ModelFile[Literal["checkpoint"]]`.

    `digest` is the sha256 of the content (of a folder: of its files' names and digests).
    """

    name: str
    path: Path
    digest: str


@dataclass(frozen=True, slots=True)
class Secret:
    """The name of a secret. Its value lives outside every document and is read only where it is used."""

    name: str

    def reveal(self) -> str:
        """The value, from the environment variable `NODEGRAPH_SECRET_<NAME>`. Raises LookupError when it is not set."""
        variable = f"NODEGRAPH_SECRET_{self.name.upper()}"
        if variable not in os.environ:
            raise LookupError(f"The secret {self.name!r} is not set. Set the environment variable {variable}.")
        return os.environ[variable]


_LONGEST_SECRET_NAME = 64


def is_secret_name(text: str) -> bool:
    """Whether a text can be a secret's name: part of an environment variable's, and not like a token that a service gives out.

    A token is told by a part without `_` that is longer than words are, or of twelve characters with three digits or more.
    """
    if len(text) > _LONGEST_SECRET_NAME or not re.match(r"[A-Za-z_][A-Za-z0-9_]*\Z", text):
        return False
    parts = text.split("_")
    return not any(len(part) > 24 or (len(part) >= 12 and sum(map(str.isdigit, part)) >= 3) for part in parts)


class Lazy(Generic[T]):
    """An input that is evaluated only when awaited: `value = await lazy`."""

    __slots__ = ("_evaluate",)

    def __init__(self, evaluate: Callable[[], Awaitable[T]]) -> None:
        self._evaluate = evaluate

    def __await__(self) -> Generator[Any, Any, T]:
        return self._evaluate().__await__()

    @classmethod
    def of(cls, value: T) -> Lazy[T]:
        """A lazy input that is known already: for calling a node as a plain function."""

        async def known() -> T:
            return value

        return cls(known)
