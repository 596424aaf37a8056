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

from nodegraph.sdk.errors import NodeError

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

FolderPath = Annotated[Path, ValueKind("folder")]
"""A folder of files to read, or one file that stands for it (an archive). Named as a `FilePath` is; the result is keyed by the
names and the content of what lies in it, at any depth, but for hidden files and links that lead out of it."""


@dataclass(frozen=True, slots=True)
class ModelFile(Generic[T]):
    """A model on disk, a single `.safetensors` or `.gguf` file or a folder; annotate as `ModelFile[Literal["checkpoint"]]`.

    Where a node reads models of several kinds, all are named, the first being the type: `ModelFile[Literal["autoencoder",
    "checkpoint"]]`; the editor offers them all.

    `digest` is the sha256 of the content (of a folder: of its files' names and digests).
    """

    name: str
    path: Path
    digest: str


class SecretError(NodeError, LookupError):
    """A secret that cannot be had: it is not set, or where it lies cannot be read. What it says names no value."""


@dataclass(frozen=True, repr=False)
class Secret:
    """The name of a secret. Its value lives outside every document and is read only where it is used.

    One that a run hands to a node knows where this name's value is to be had, and no other; a copy in another process does not.
    """

    __slots__ = ("_read", "name")

    name: str

    @classmethod
    def granted(cls, name: str, read: Callable[[str], str]) -> Secret:
        """A secret whose value `read` finds by its name: what whoever runs a node hands to it."""
        secret = cls(name)
        object.__setattr__(secret, "_read", lambda: read(name))
        return secret

    def reveal(self) -> str:
        """The value: from where it was granted, else from the environment variable `NODEGRAPH_SECRET_<NAME>`.

        Raises SecretError (a LookupError) when it is not set.
        """
        read: Callable[[], str] | None = getattr(self, "_read", None)
        if read is not None:
            return read()
        if not is_secret_name(self.name):
            raise SecretError(NO_SECRET_NAME, hint=SECRET_NAME_HINT)
        variable = secret_variable(self.name)
        if variable not in os.environ:
            raise SecretError(f"The secret {self.name!r} is not set. Set the environment variable {variable}.")
        return os.environ[variable]

    def __repr__(self) -> str:
        return f"Secret(name={self.name!r})" if is_secret_name(self.name) else "Secret(no name: perhaps the secret itself)"

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return Secret, (self.name,)


SECRET_VARIABLES = "NODEGRAPH_SECRET_"
"""What the names of the environment variables begin with that hold secrets."""

NO_SECRET_NAME = "This is no name of a secret."
SECRET_NAME_HINT = "A name has letters, digits and _ and does not look like a token: HUB_TOKEN, for example."

_LONGEST_SECRET_NAME = 64


def secret_variable(name: str) -> str:
    """The environment variable that holds a secret, where it is set: there it counts before any other place."""
    return f"{SECRET_VARIABLES}{name.upper()}"


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
