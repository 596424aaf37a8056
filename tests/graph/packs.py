"""A small pack for tests of compiling: one node per kind of socket."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import Field

from nodegraph import Lazy, Pack, node, socket
from nodegraph.graph import Catalog

T = TypeVar("T")


@socket()
class Picture:
    """A picture."""


@socket()
class Sound:
    """A sound."""


class Halves(NamedTuple):
    left: Picture
    right: Picture


@node()
def paint(size: Annotated[int, Field(ge=1, le=64)] = 8, mode: Literal["flat", "round"] = "flat") -> Picture:
    """Make a picture."""


@node()
def blur(picture: Picture, radius: float = 1.0) -> Picture:
    """A filter: it can be bypassed."""


@node()
def measure(picture: Picture) -> int:
    """A picture's size: it cannot be bypassed."""


@node()
def blend(picture: Picture, over: Picture | None = None) -> Picture:
    """A picture, perhaps over another."""


@node()
def halves(picture: Picture) -> Halves:
    """Two outputs."""


@node()
def sheet(*pictures: Picture) -> Picture:
    """Any number of pictures."""


@node()
def play(sound: Sound) -> int:
    """Takes what nothing here gives but `listen`."""


@node()
def listen(picture: Picture) -> Sound:
    """Turns a picture into a sound."""


@node()
def pick(condition: bool, yes: Lazy[T], no: Lazy[T]) -> T:
    """A variable."""


@node(output=True)
def save(picture: Picture, name: str = "x") -> None:
    """Runs unasked."""


@node()
def count(value: int) -> int:
    """A required value."""


CATALOG = Catalog.of([Pack.of("t", [paint, blur, measure, blend, halves, sheet, play, listen, pick, save, count])])
