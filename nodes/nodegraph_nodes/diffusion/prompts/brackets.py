"""Reading prompts: A1111's and ComfyUI's brackets into one tree. What is not closed is an error that says where.

A1111: https://github.com/AUTOMATIC1111/stable-diffusion-webui/wiki/Features (attention, prompt editing, AND, BREAK, alternating
words). ComfyUI: `(words:weight)` and `(words)` alone; square brackets, AND and BREAK are text there.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias, assert_never

from .tree import Alternate, Branch, Break, Network, Node, Nodes, Prompt, PromptError, Switch, Text, Weighted

Syntax: TypeAlias = Literal["plain", "comfy", "a1111"]

STRONGER = 1.1
"""What a pair of round brackets without a number multiplies by; square ones divide by it."""

_SPECIAL = {"plain": "", "comfy": "()", "a1111": "\\()[]:|<"}
_DEEPEST = 60
_WEIGHT = re.compile(r":\s*([+-]?[.\d]+)\s*\)")
_WORD = re.compile(r"\bembedding:[^\s,()\[\]|:<>\\]+")
_NETWORK = re.compile(r"<(?:lora|lyco|hypernet):([^<>:]*)[^<>]*>")
_BREAK = re.compile(r"\s*\bBREAK\b\s*")
_AND = re.compile(r"\bAND\b")
_KEYWORD = re.compile(r"\\(AND|BREAK)\b")
_BRANCH_WEIGHT = re.compile(r":\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*(?=$|\bAND\b)")
_NUMBER = re.compile(r"\s*(\d+\.\d*|\.\d+|\d+)\s*")
_LIKE_A_NUMBER = re.compile(r"\s*[+-]?[\d.,]*\d[\d.,]*%?\s*")


def parse(text: str, syntax: Syntax) -> Prompt:
    """Read a prompt. Raises PromptError."""
    if syntax == "plain":
        return Prompt((Branch((Text(text),) if text else ()),), text)
    if syntax == "comfy" or syntax == "a1111":
        return _Reader(text, syntax).prompt()
    assert_never(syntax)


def escaped(text: str, syntax: Syntax) -> str:
    """The text so that `parse` reads it as nothing but text."""
    for letter in _SPECIAL[syntax]:
        text = text.replace(letter, f"\\{letter}")
    return re.sub(r"\b(AND|BREAK)\b", r"\\\1", text) if syntax == "a1111" else text


class _Reader:
    """A walk over the text. `at` is where it is."""

    def __init__(self, text: str, syntax: Literal["comfy", "a1111"]) -> None:
        self.text, self.at = text, 0
        self.a1111, self.joined = syntax == "a1111", False
        self.special = _SPECIAL[syntax]

    def prompt(self) -> Prompt:
        branches: list[Branch] = []
        while True:
            nodes = self._sequence("", 0)
            weight = self._branch_weight()
            branches.append(Branch(nodes, weight))
            joint = _AND.match(self.text, self.at)
            if joint is None:
                return Prompt(tuple(branches), self.text)
            self.at, self.joined = joint.end(), True

    def _branch_weight(self) -> float:
        """`:0.6` before AND or, after one, at the end of the text."""
        if self.at == len(self.text) or self.text[self.at] != ":":
            return 1.0
        found = _BRANCH_WEIGHT.match(self.text, self.at)
        assert found is not None, "the sequence ends at a colon only where a weight begins"
        self.at = found.end()
        return float(found[1])

    def _sequence(self, ends: str, depth: int) -> Nodes:
        """Up to one of the letters, which is not taken, or (outside of all brackets) to AND or the end."""
        if depth > _DEEPEST:
            raise self._error(f"The prompt nests more than {_DEEPEST} brackets.", self.at)
        nodes: list[Node] = []
        words: list[str] = []

        def flush() -> None:
            if words:
                nodes.append(Text("".join(words)))
                words.clear()

        while self.at < len(self.text) and self.text[self.at] not in ends:
            if not depth and self._is_branch_end():
                break
            word = self._words()
            if word is not None:
                words.append(word)
                continue
            flush()
            nodes.append(self._node(depth))
        flush()
        return tuple(nodes)

    def _is_branch_end(self) -> bool:
        if not self.a1111:
            return False
        if _AND.match(self.text, self.at):
            return True
        weighed = _BRANCH_WEIGHT.match(self.text, self.at)
        return weighed is not None and (weighed.end() < len(self.text) or self.joined)

    def _words(self) -> str | None:
        """The next piece of text, without its escape; None where something else begins."""
        text, at = self.text, self.at
        letter = text[at]
        if letter == "\\":
            keyword = _KEYWORD.match(text, at) if self.a1111 else None
            if keyword is not None:
                self.at = keyword.end()
                return keyword[1]
            escapes = at + 1 < len(text) and text[at + 1] in self.special
            self.at += 2 if escapes else 1
            return text[at + 1] if escapes else letter
        if found := _WORD.match(text, at):
            self.at = found.end()
            return found[0]
        if letter in "()" or (self.a1111 and letter in "[]"):
            return None
        if self.a1111 and (_NETWORK.match(text, at) or _BREAK.match(text, at)):
            return None
        if self.a1111 and _AND.match(text, at):
            hint = "Move it out of the brackets, or write \\AND for the word."
            raise self._error("AND joins whole prompts; here it stands inside brackets.", at, hint)
        self.at += 1
        return letter

    def _node(self, depth: int) -> Node:
        """What begins here and is no text."""
        text, at = self.text, self.at
        if self.a1111 and (found := _NETWORK.match(text, at)):
            self.at = found.end()
            return Network(found[1])
        if self.a1111 and (found := _BREAK.match(text, at)):
            self.at = found.end()
            return Break()
        if text[at] == "(":
            return self._round(depth)
        if text[at] == "[":
            return self._square(depth)
        hint = f"Write \\{text[at]} for a bracket that is only text, or set weights to plain."
        raise self._error(f'The prompt closes a "{text[at]}" that is not open.', at, hint)

    # ---- brackets ----

    def _round(self, depth: int) -> Weighted:
        opened = self.at
        self.at += 1
        nodes: list[Node] = []
        while True:
            nodes += self._sequence(":)", depth + 1)
            self._unclosed(opened)
            if self.text[self.at] == ")":
                self.at += 1
                return Weighted(_merged(nodes), STRONGER)
            weight = _WEIGHT.match(self.text, self.at)
            if weight is not None:
                self.at = weight.end()
                return Weighted(_merged(nodes), self._float(weight[1], weight.start(1)), absolute=not self.a1111)
            nodes.append(Text(":"))
            self.at += 1

    def _square(self, depth: int) -> Node:
        opened = self.at
        self.at += 1
        fields: list[tuple[Nodes, int]] = []
        marks: list[str] = []
        while True:
            began = self.at
            fields.append((self._sequence(":|]", depth + 1), began))
            self._unclosed(opened)
            mark = self.text[self.at]
            self.at += 1
            if mark == "]":
                break
            marks.append(mark)
        if "|" in marks:
            return self._alternate(fields, marks, opened)
        last, place = _plain(fields[-1][0]), fields[-1][1]
        if not marks:
            return Weighted(fields[0][0], 1 / STRONGER)
        number = _NUMBER.fullmatch(last) if last is not None else None
        if number is None or len(marks) > 2:
            return self._colons(fields, marks, last, place)
        before = fields[0][0] if len(marks) == 2 else ()
        when, in_steps = float(number[1]), "." not in number[1]
        if not in_steps and when > 1:
            raise self._error(
                f"{number[1]} is neither a share nor a number of steps.",
                place,
                "Write a share as 0.4, or a whole number of steps as 8.",
            )
        return Switch(before, fields[-2][0], when, in_steps and when > 0, place + number.start(1))

    def _colons(self, fields: list[tuple[Nodes, int]], marks: list[str], last: str | None, place: int) -> Node:
        """Square brackets with colons that are no switch: one colon may be text, anything else was meant as one."""
        hint = "A switch is [before:after:0.4] or [before:after:8]; write \\: for a colon that is only text."
        if last is not None and _NUMBER.fullmatch(last):
            raise self._error("The switch has more than two texts.", place, hint)
        if len(marks) > 1 or (last is not None and _LIKE_A_NUMBER.fullmatch(last)):
            raise self._error("The switch does not end with a share or a number of steps.", place, hint)
        return Weighted(_merged([*fields[0][0], Text(":"), *fields[1][0]]), 1 / STRONGER)

    def _alternate(self, fields: list[tuple[Nodes, int]], marks: list[str], opened: int) -> Alternate:
        last = _plain(fields[-1][0])
        if marks[-1] == ":" and last is not None and _LIKE_A_NUMBER.fullmatch(last):
            hint = "Write [a|b] to take turns, or [a:b:0.4] to switch once."
            raise self._error("Words that take turns have no number.", fields[-1][1], hint)
        options: list[list[Node]] = [list(fields[0][0])]
        for mark, (nodes, _) in zip(marks, fields[1:], strict=True):
            if mark == "|":
                options.append(list(nodes))
            else:
                options[-1] += [Text(":"), *nodes]
        return Alternate(tuple(_merged(option) for option in options), opened)

    # ---- errors ----

    def _unclosed(self, opened: int) -> None:
        if self.at >= len(self.text):
            letter = self.text[opened]
            hint = f"Close it, write \\{letter} for a bracket that is only text, or set weights to plain."
            raise self._error(f'The prompt opens a "{letter}" that is never closed.', opened, hint)

    def _float(self, text: str, place: int) -> float:
        try:
            return float(text)
        except ValueError:
            raise self._error(f"{text!r} is no number.", place, "A weight is written (words:1.2).") from None

    def _error(self, problem: str, place: int, hint: str = "") -> PromptError:
        return PromptError(problem, self.text, place, hint)


def _plain(nodes: Nodes) -> str | None:
    """Nodes that are nothing but text, as that text."""
    if not nodes:
        return ""
    only = nodes[0]
    return only.text if len(nodes) == 1 and isinstance(only, Text) else None


def _merged(nodes: list[Node]) -> Nodes:
    """Neighbouring texts as one."""
    found: list[Node] = []
    for node in nodes:
        if isinstance(node, Text) and found and isinstance(before := found[-1], Text):
            found[-1] = Text(before.text + node.text)
        else:
            found.append(node)
    return tuple(found)
