"""Texts with choices, as sd-dynamic-prompts writes them: {a|b}, {2::a|b}, {2$$a|b|c}, and __name__ for a line of a list.

https://github.com/adieyal/sd-dynamic-prompts/blob/main/docs/SYNTAX.md (variants, weights, ranges, separators, wildcards).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from random import Random
from typing import NamedTuple

_DEEPEST = 30
_LONGEST = 100_000  # characters of a chosen text: lists that name one another can grow without end
_NAME = re.compile(r"__([^\s_{}|]+(?:_[^\s_{}|]+)*)__")
_WEIGHT = re.compile(r"\s*(\d+(?:\.\d+)?)::")
_RANGE = re.compile(r"\s*(?:(\d+)?-(\d+)?|(\d+))\$\$")
_SEPARATOR = re.compile(r"([^{}|$]*)\$\$")


class BadChoice(ValueError):
    """A text whose choices cannot be read. place: a letter's index in `source`; missing: a list that there is none of."""

    def __init__(self, problem: str, source: str, place: int, missing: str = "") -> None:
        self.source, self.place, self.missing = source, place, missing
        super().__init__(problem)


class _Option(NamedTuple):
    text: str
    weight: float


def choose(text: str, seed: int, lists: Mapping[str, Sequence[str]]) -> str:
    """The text with every choice made: the same for the same seed and lists. Raises BadChoice."""
    return _Chooser(lists, Random(seed)).expanded(text, 0)


class _Chooser:
    def __init__(self, lists: Mapping[str, Sequence[str]], random: Random) -> None:
        self.lists, self.random = lists, random
        self.left = _LONGEST

    def expanded(self, text: str, depth: int) -> str:
        if depth > _DEEPEST:
            raise BadChoice(f"Choices lead to choices more than {_DEEPEST} deep: a list may name itself.", text, 0)
        parts: list[str] = []
        at = 0
        while at < len(text):
            if text[at] == "\\" and text[at + 1 : at + 2] in ("{", "}", "_"):
                parts.append(text[at + 1])
                at += 2
            elif text[at] == "{":
                end = _closing(text, at)
                parts.append(self._variant(text[at + 1 : end], depth))
                at = end + 1
            elif text[at] == "}":
                raise BadChoice('The text closes a "}" that is not open.', text, at)
            elif found := _NAME.match(text, at):
                parts.append(self._line(found[1], text, at, depth))
                at = found.end()
            else:
                parts.append(text[at])
                at += 1
        self.left -= len(parts)
        if self.left < 0:
            raise BadChoice(f"The choices make a text of more than {_LONGEST:,} letters.", text, 0)
        return "".join(parts)

    def _variant(self, inside: str, depth: int) -> str:
        fewest, most, separator = 1, 1, ", "
        counted = _RANGE.match(inside)
        if counted is not None:
            inside = inside[counted.end() :]
            said = _SEPARATOR.match(inside)
            if said is not None:
                separator, inside = said[1], inside[said.end() :]
        options = [_option(text) for text in _split(inside)]
        if counted is not None:
            low, high, exact = counted.groups()
            fewest = int(exact or low or 0)
            most = int(exact or high or len(options))
        most = min(max(fewest, most), len(options))
        count = min(fewest, most) + int(self.random.random() * (most - min(fewest, most) + 1))
        return separator.join(self.expanded(option.text, depth + 1).strip() for option in self._picked(options, count))

    def _line(self, name: str, text: str, place: int, depth: int) -> str:
        found = [key for key in self.lists if key == name or fnmatchcase(key, name)]
        if not found:
            raise BadChoice(f"There is no list {name!r}.", text, place, missing=name)
        options = [_option(line) for key in found for line in self.lists[key]]
        if not options:
            raise BadChoice(f"The list {name!r} is empty.", text, place)
        return self.expanded(self._picked(options, 1)[0].text, depth + 1)

    def _picked(self, options: Sequence[_Option], count: int) -> list[_Option]:
        """Some of the options, each once, by their weights; those of weight 0 never."""
        left = [option for option in options if option.weight > 0]
        found: list[_Option] = []
        while left and len(found) < count:
            point = self.random.random() * sum(option.weight for option in left)
            for number, option in enumerate(left):
                point -= option.weight
                if point < 0 or number == len(left) - 1:
                    found.append(left.pop(number))
                    break
        return found or [_Option("", 1.0)]


def _closing(text: str, opened: int) -> int:
    depth, at = 0, opened
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if not depth:
                return at
        at += 1
    raise BadChoice('The text opens a "{" that is never closed.', text, opened)


def _split(text: str) -> list[str]:
    """At the bars that are not inside of further braces."""
    parts, depth, begin, at = [], 0, 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] in "{}":
            depth += 1 if text[at] == "{" else -1
        elif text[at] == "|" and not depth:
            parts.append(text[begin:at])
            begin = at + 1
        at += 1
    return [*parts, text[begin:]]


def _option(text: str) -> _Option:
    weight = _WEIGHT.match(text)
    return _Option(text, 1.0) if weight is None else _Option(text[weight.end() :], float(weight[1]))


def lists_in(name: str, content: str) -> dict[str, list[str]]:
    """A text file's list under its name: a line each, without empty ones and those that begin with #."""
    lines = (line.strip() for line in content.splitlines())
    return {name: [line for line in lines if line and not line.startswith("#")]}
