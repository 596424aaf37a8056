"""What a job is found by: its words, models, seeds and node types. They are taken from the plan, in which subgraphs are inside
and every value is the one that is used. Secrets, and what looks like one, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from nodegraph.graph import Plan
from nodegraph.graph.plan import PlanNode
from nodegraph.sdk.spec import InputSpec

_MOST_CHARACTERS = 100_000
_MOST_MARKS = 2000
_MOST_ROUNDS = 5
_KNOWN = re.compile(r"(sk|pk|rk|hf|gh[a-z]|glpat|github_pat|xox[a-z]|AKIA|ASIA|AIza|ya29|eyJ)[-_.A-Za-z0-9]{10,}")
_PART = re.compile(r"[A-Za-z0-9+/=]+")
_PASSWORD = re.compile(r"(?i)(password|passwd|secret|token|api[_-]?key)\s*[:=]\s*\S+|authorization\s*[:=]\s*(\w+\s+)?\S+")


class FoundBy(NamedTuple):
    """Marks are pairs of kind (`model`, `seed`, `node`) and value; `text` holds the words."""

    marks: tuple[tuple[str, str], ...]
    text: str


def found_by(plan: Plan) -> FoundBy:
    """What a job that runs this plan is found by."""
    marks: dict[tuple[str, str], None] = {}
    texts: dict[str, None] = {plan.document.title: None}
    for nodes in _parts(plan.nodes):
        for node in nodes:
            marks["node", node.spec.id] = None
            for item in node.spec.inputs:
                for value in _values(nodes, node, item):
                    if (kind := _kind(item)) in ("model", "seed"):
                        marks[kind, str(value)] = None
                    elif kind == "text":
                        texts[str(value)] = None
    text = "\n".join(filter(None, map(without_secrets, _cut(texts))))
    return FoundBy(tuple(marks)[:_MOST_MARKS], text)


def without_secrets(text: str) -> str:
    """A text without the words that look like a key, a token or a password.

    A text that is made of them layer by layer is not looked through to its end: nothing is left of it.
    """
    for _ in range(_MOST_ROUNDS):
        left = " ".join(word for word in _PASSWORD.sub(" ", text).split() if not _is_like_secret(word))
        if left == text:
            return text
        text = left  # what came together may look like one, too
    return ""


def _cut(texts: Iterable[str]) -> Iterator[str]:
    """The texts up to so many characters altogether, the last one up to a whole word."""
    left = _MOST_CHARACTERS
    for text in texts:
        if len(text) > left:
            yield text[:left].rpartition(" ")[0]  # half a secret would not be recognised
            return
        yield text
        left -= len(text) + 1


def _is_like_secret(word: str) -> bool:
    """Whether a word is like what a service gives out: known by its beginning, or long and mixed as no word is."""
    if _KNOWN.search(word):
        return True
    for part in _PART.findall(word):
        digits = sum(map(str.isdigit, part))
        letters = sum(map(str.isalpha, part))
        if (len(part) >= 12 and digits >= 3 and letters >= 3) or len(part) > 40:
            return True
    return False


def _parts(nodes: Iterable[PlanNode]) -> Iterator[list[PlanNode]]:
    """The plan's nodes, and those of what they iterate over: links lead to nodes of the same part."""
    nodes = list(nodes)
    yield nodes
    for node in nodes:
        if node.iteration is not None:
            yield from _parts(node.iteration.body.nodes)


def _kind(item: InputSpec) -> str:
    if item.secret:
        return ""
    if item.file:
        return "model" if item.file.startswith("model") else ""
    if item.type.holds("seed"):
        return "seed"
    choices = "enum" in (item.schema or {})
    return "text" if item.type.holds("str") and not choices else ""


def _values(nodes: list[PlanNode], node: PlanNode, item: InputSpec) -> Iterator[Any]:
    """The texts and numbers of an input; where it is linked to a node that only holds a value, that one."""
    links = [link for link in node.links if link.input == item.name]
    if not links:
        yield from _scalars(node.values.get(item.name))
    for link in links:
        source = nodes[link.source] if 0 <= link.source < len(nodes) else None
        if source is not None and len(source.spec.inputs) == 1 and not source.spec.inputs[0].secret and not source.links:
            yield from _scalars(source.values.get(source.spec.inputs[0].name))


def _scalars(value: Any) -> Iterator[Any]:
    """The texts and whole numbers in a value."""
    if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _scalars(item)
