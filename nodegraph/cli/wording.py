"""Values of documents in one line of a terminal: shortened, nothing in them obeyed, and texts compared word by word."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from rich.text import Text

from nodegraph.editing import ABSENT

LONGEST = 72
"""Characters of one value."""
_SHORT = 24
_AROUND = 4  # words that are shown beside a difference
_MOST_WORDS = 2000

ADDED, REMOVED, CHANGED, DIM = "green", "red", "yellow", "dim"


def plain(text: str) -> str:
    """A text whose control characters are spelled out: no terminal obeys it, and it stays on its line."""
    return "".join(char if char.isprintable() else _spelled(char) for char in text)


def _spelled(char: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char) or f"\\u{ord(char):04x}"


def value_text(value: Any, most: int | None = LONGEST) -> str:
    """A value as JSON on one line, shortened to so many characters."""
    if value is ABSENT:
        return "nothing"
    text = plain(json.dumps(value, ensure_ascii=False))
    return text if most is None or len(text) <= most else text[: most - 3] + "..."


def changed_text(before: Any, after: Any) -> Text:
    """`20 -> 30`, or the words that differ where both are texts that have much in common."""
    if isinstance(before, str) and isinstance(after, str) and max(len(before), len(after)) > _SHORT:
        words = _words_changed(before, after)
        if words is not None:
            return words
    arrow = Text(" -> ", style=DIM)
    return Text.assemble((value_text(before), REMOVED), arrow, (value_text(after), ADDED))


def _words_changed(before: str, after: str) -> Text | None:
    """One text with what was removed as `[-so-]` and what was added as `{+so+}`; None where hardly anything stayed."""
    one, other = (re.findall(r"\s+|\w+|[^\w\s]", text) for text in (before, after))
    if max(len(one), len(other)) > _MOST_WORDS:
        return None
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    if matcher.ratio() < 0.4:
        return None
    line = Text('"')
    steps = matcher.get_opcodes()
    for number, (what, i, i_end, j, j_end) in enumerate(steps):
        if what == "equal":
            line.append(plain(_shortened(one[i:i_end], number > 0, number < len(steps) - 1)))
            continue
        if i < i_end:
            line.append(f"[-{plain(''.join(one[i:i_end]))}-]", style=REMOVED)
        if j < j_end:
            line.append(f"{{+{plain(''.join(other[j:j_end]))}+}}", style=ADDED)
    return line.append('"')


def _shortened(words: Sequence[str], keep_head: bool, keep_tail: bool) -> str:
    """Words between two differences; those far from both become dots."""
    around = 2 * _AROUND  # words and the spaces between them
    head = words[:around] if keep_head else []
    tail = words[max(len(head), len(words) - around) :] if keep_tail else []
    if len(head) + len(tail) >= len(words) - 2:
        return "".join(words)
    return "".join([*head, " ..." if head else "...", *([" "] if tail else []), *tail])
