"""A prompt over the course of a run: which texts with which weights count from when to when."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import floor
from typing import NamedTuple, TypeAlias

from .tree import Alternate, Branch, Break, Network, Nodes, Prompt, PromptError, Switch, Text, Weighted


class Span(NamedTuple):
    """Words with one weight."""

    text: str
    weight: float = 1.0


Spans: TypeAlias = tuple[tuple[Span, ...], ...]
"""A prompt at one moment: the spans between BREAKs."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What a branch of a prompt says from start to end, shares of the run."""

    spans: Spans
    start: float
    end: float
    weight: float


def stretches(prompt: Prompt, steps: int | None = None) -> tuple[Stretch, ...]:
    """The prompt over a run of `steps` steps (None: not known), without gaps: branch by branch, each from 0 to 1.

    With a number of steps a switch takes place between two of them: after floor(share x steps), as in A1111. Raises PromptError
    where a number of steps is needed: for switches at a step, and for words that take turns.
    """
    return tuple(found for branch in prompt.branches for found in _of_branch(branch, prompt.source, steps))


def text_of(spans: Spans) -> str:
    """The words alone."""
    return " ".join("".join(span.text for span in group).strip() for group in spans)


def is_weighted(spans: Spans) -> bool:
    return any(span.weight != 1 for group in spans for span in group)


def _of_branch(branch: Branch, source: str, steps: int | None) -> list[Stretch]:
    bounds = sorted({0.0, 1.0, *(at for at in _bounds(branch.nodes, source, steps) if 0 < at < 1)})
    found: list[Stretch] = []
    for start, end in pairwise(bounds):
        spans = _spans(branch.nodes, start, steps)
        if found and found[-1].spans == spans:
            start = found.pop().start
        found.append(Stretch(spans, start, end, branch.weight))
    return found


def _bounds(nodes: Nodes, source: str, steps: int | None) -> set[float]:
    """Where what the nodes say may change."""
    found: set[float] = set()
    for node in nodes:
        match node:
            case Weighted(inside=inside):
                found |= _bounds(inside, source, steps)
            case Switch(before, after):
                if node.in_steps and steps is None:
                    raise _unknown("A switch at a step", source, node.place)
                found |= {_share(node, steps)} | _bounds(before, source, steps) | _bounds(after, source, steps)
            case Alternate(options, place):
                if steps is None:
                    raise _unknown("Taking turns from step to step", source, place)
                found |= {step / steps for step in range(steps)}
                found = found.union(*(_bounds(option, source, steps) for option in options))
    return found


def _unknown(what: str, source: str, place: int) -> PromptError:
    hint = "Set steps to the number of steps of the schedule, or write a share such as [a:b:0.4]."
    return PromptError(f"{what} needs the number of steps of the run.", source, place, hint)


def _share(switch: Switch, steps: int | None) -> float:
    if steps is None:
        return switch.when
    step = switch.when if switch.in_steps else floor(switch.when * steps + 1e-9)
    return min(step, steps) / steps


def _spans(nodes: Nodes, moment: float, steps: int | None) -> Spans:
    """What the nodes say at a moment: runs of one weight as one span, so that words are never cut where nothing changes."""
    groups: list[list[Span]] = [[]]

    def walk(nodes: Nodes, weight: float) -> None:
        for node in nodes:
            match node:
                case Text(text):
                    last = groups[-1]
                    if last and last[-1].weight == weight:
                        last[-1] = Span(last[-1].text + text, weight)
                    else:
                        last.append(Span(text, weight))
                case Weighted(inside, factor, absolute):
                    walk(inside, factor if absolute else round(weight * factor, 9))
                case Switch(before, after):
                    walk(before if moment < _share(node, steps) else after, weight)
                case Alternate(options):
                    walk(options[round(moment * (steps or 1)) % len(options)], weight)
                case Break():
                    groups.append([])
                case Network():
                    pass

    walk(nodes, 1.0)
    return tuple(tuple(group) for group in groups)
