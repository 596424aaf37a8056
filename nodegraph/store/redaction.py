"""Texts without the values of secrets: what a node says of its failure may hold one, and must not leave the process with it.

A value is found as it is and as programs write it: escaped in a repr or in JSON, in an address, in base64, and with its end cut
off where a long text was shortened.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from urllib.parse import quote, quote_plus

from nodegraph.sdk.errors import Problem

_SHORT = 6  # characters; a shorter value counts only where it stands alone: it would be found in any text
_SHORTEST_ENCODED = 8
_LONG_LINE = 16  # characters of a line that is known by itself: traces indent the lines of a text
_SHORTEST_CUT, _LONGEST_CUT = 4, 1000  # characters of a value that are taken out at a cut; a problem's texts leave no more
_CUT = re.compile(r" ?\.\.\. ?")


def redacted(text: str, secrets: Mapping[str, str]) -> str:
    """A text in which every secret's value is `[secret NAME]`; `secrets` gives names by values."""
    forms = {form: name for value, name in secrets.items() for form in _forms(value)}
    for form in sorted(forms, key=len, reverse=True):
        if form in text:
            text = _without(text, form, _instead(forms[form]))
    return _without_cut_ends(text, forms) if forms and _CUT.search(text) else text


def redacted_problem(problem: Problem, redact: Callable[[str], str]) -> Problem:
    """A problem whose words went through `redact`."""
    expected, got, hint = (redact(text) if text else text for text in (problem.expected, problem.got, problem.hint))
    return replace(problem, message=redact(problem.message), expected=expected, got=got, hint=hint)


def _instead(name: str) -> str:
    return f"[secret {name}]"


def _without(text: str, form: str, instead: str) -> str:
    return text.replace(form, instead) if len(form) >= _SHORT else re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", instead, text)


def _forms(value: str) -> Iterator[str]:
    """A secret's value as it may stand in a text."""
    for text in {value, value.strip()} - {""}:
        data = text.encode("utf-8", "replace")
        yield text
        yield from (repr(text)[1:-1], ascii(text)[1:-1], repr(data)[2:-1])
        yield from (json.dumps(text, ensure_ascii=plain)[1:-1] for plain in (True, False))
        yield from (quote(data, safe=""), quote(data), quote_plus(data))
        yield from (form for form in _in_base64(data) if len(form) >= _SHORTEST_ENCODED)
    yield from (line for line in map(str.strip, value.splitlines()) if len(line) >= _LONG_LINE)


def _in_base64(data: bytes) -> Iterator[str]:
    """What base64 makes of bytes wherever they lie in it, as in `user:token`, less the characters that neighbours share."""
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(bytes(before) + data).decode()[first:last]


def _without_cut_ends(text: str, forms: Mapping[str, str]) -> str:
    """A shortened text, in which what is left of a value on either side of the cut is taken out too."""
    parts: list[str] = []
    end = 0
    for cut in _CUT.finditer(text):
        parts += (text[end : cut.start()], cut[0])
        end = cut.end()
    parts.append(text[end:])
    for i in range(0, len(parts), 2):
        for form, name in forms.items():
            if i + 1 < len(parts):
                parts[i] = _without_end(parts[i], form, name)
            if i > 0:
                parts[i] = _without_beginning(parts[i], form, name)
    return "".join(parts)


def _without_end(text: str, form: str, name: str) -> str:
    for size in _sizes(text, form):
        if text.endswith(form[:size]):
            return text[:-size] + _instead(name)
    return text


def _without_beginning(text: str, form: str, name: str) -> str:
    for size in _sizes(text, form):
        if text.startswith(form[-size:]):
            return _instead(name) + text[size:]
    return text


def _sizes(text: str, form: str) -> range:
    return range(min(len(text), len(form) - 1, _LONGEST_CUT), _SHORTEST_CUT - 1, -1)
