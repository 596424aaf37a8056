"""What a prompt says, as a tree: text, weights, switches in time, alternatives. Pure data, the same for every syntax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

_ROUND = 40  # characters of a line that an error shows on each side


@dataclass(frozen=True, slots=True)
class Text:
    """Words as they are, without escapes."""

    text: str


@dataclass(frozen=True, slots=True)
class Weighted:
    """What counts more or less. absolute: the weight stands alone (ComfyUI); else it multiplies the one around it (A1111)."""

    inside: Nodes
    weight: float
    absolute: bool = False


@dataclass(frozen=True, slots=True)
class Switch:
    """`before`, and from `when` on `after`. when: a share of the run, or with in_steps a number of steps."""

    before: Nodes
    after: Nodes
    when: float
    in_steps: bool
    place: int


@dataclass(frozen=True, slots=True)
class Alternate:
    """One of the options in each step, in turn."""

    options: tuple[Nodes, ...]
    place: int


@dataclass(frozen=True, slots=True)
class Break:
    """Go on in a new stretch of tokens."""


@dataclass(frozen=True, slots=True)
class Network:
    """`<lora:NAME:1>`: a network that another program would load. It is no text."""

    name: str


Node: TypeAlias = Text | Weighted | Switch | Alternate | Break | Network
Nodes: TypeAlias = tuple[Node, ...]


class Branch(NamedTuple):
    """One of the prompts that AND joins."""

    nodes: Nodes
    weight: float = 1.0


class Prompt(NamedTuple):
    """A parsed prompt. source: the text it was read from, for errors."""

    branches: tuple[Branch, ...]
    source: str

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks it calls for, each once."""
        return tuple(dict.fromkeys(name for branch in self.branches for name in _networks(branch.nodes)))


def _networks(nodes: Nodes) -> list[str]:
    found: list[str] = []
    for node in nodes:
        match node:
            case Network(name):
                found.append(name)
            case Weighted(inside=inside):
                found += _networks(inside)
            case Switch(before, after):
                found += [*_networks(before), *_networks(after)]
            case Alternate(options):
                found += [name for option in options for name in _networks(option)]
    return found


class PromptError(ValueError):
    """A prompt that cannot be read. line, column: from 1; excerpt: that line, with >>> before the place."""

    def __init__(self, problem: str, source: str, place: int, hint: str = "") -> None:
        place = min(place, len(source))
        before = source[:place]
        self.problem, self.hint = problem, hint
        self.line = before.count("\n") + 1
        start = before.rfind("\n") + 1
        end = source.find("\n", place)
        line = source[start : len(source) if end < 0 else end]
        self.column = place - start + 1
        self.excerpt = _excerpt(line, self.column - 1)
        where = f"column {self.column}" if "\n" not in source else f"line {self.line}, column {self.column}"
        super().__init__(f"{problem} ({where})")


def _excerpt(line: str, at: int) -> str:
    first, last = max(0, at - _ROUND), min(len(line), at + _ROUND)
    before, after = ("..." if first else "") + line[first:at], line[at:last] + ("..." if last < len(line) else "")
    return f"{before}>>>{after}"
