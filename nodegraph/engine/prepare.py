"""What a plan needs before it runs: its files found and digested, and every node's static key.

A static key follows from typed values and links alone. Where linked JSON values or computed structure decide more, the run
finds the key that counts later and the cache holds an alias from the one to the other.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from nodegraph.engine.access import FileAccess
from nodegraph.engine.keys import Hasher, file_token, linked_token, list_token, place_token, ref_token, value_token
from nodegraph.graph.plan import Plan, PlanLink, PlanNode
from nodegraph.store import Place, Result


class Prepared(NamedTuple):
    """A plan with its files and static keys; `moving` marks nodes whose static key does not say what they will give."""

    plan: Plan
    files: FileAccess
    hasher: Hasher
    static: list[str]
    moving: list[bool]


def with_static_keys(plan: Plan, files: FileAccess, hasher: Hasher) -> Prepared:
    """Give every node of a plan its static key: one hash each. Raises NodeError for files that are not there."""
    prepared = Prepared(plan, files, hasher, [], [])
    extend_static_keys(plan.nodes, prepared.static, prepared.moving, hasher, files, ())
    return prepared


def extend_static_keys(
    nodes: Sequence[PlanNode],
    static: list[str],
    moving: list[bool],
    hasher: Hasher,
    files: FileAccess,
    results: Sequence[Result | None],
    known: Collection[int] = (),
    own_files: Collection[Any] | None = None,
) -> None:
    """Add the keys of the nodes that have none yet.

    Links from nodes that had to be `known` by now, or that bring an item of a list, count by their value or by where the item
    lies. All others count by their source's static key, even where the result is there: that is a matter of luck, and a static
    key is to be the same in every run. `own_files` are the files that a composite was given, whose parts these are: what else
    its parts name is in no key of the composite. Raises NodeError for missing files.
    """
    first = len(static)
    for node in nodes[first:]:
        tokens = value_tokens(node, files)
        takes_files = bool(node.spec.file_inputs)
        moves = node.spec.cache == "never" or (takes_files and _names_more(node, own_files))
        for link in node.links:
            sure = link.source < first and (link.item or link.source in known) and not link.lazy
            source = results[link.source] if sure else None
            token = None if source is None else _known_token(source, link)
            if token is None:
                token = place_token(static[link.source], link.output, link.item)
            if link.mode in ("wrap", "one"):
                token = list_token([token])
            if link.mode in ("map", "one"):
                token = f"*{token}"
            if link.many and link.input in tokens:
                token = f"{tokens[link.input]},{token}"
            tokens[link.input] = token
            moves = moves or moving[link.source] or (takes_files and node.spec.input_by_name[link.input].file != "")
        static.append(hasher.key(node.spec, tokens))
        moving.append(moves)


def own_files(node: PlanNode) -> list[Any] | None:
    """The files that a composite was given by name; None for what divides in other ways."""
    if node.mapped or node.iteration is not None:
        return None
    return [node.values.get(spec.name) for spec in node.spec.file_inputs]


def _names_more(node: PlanNode, own_files: Collection[Any] | None) -> bool:
    """Whether a composite's part names a file that the composite was not given: its code does, and the content may change."""
    if own_files is None:
        return False
    values = (node.values.get(spec.name) for spec in node.spec.file_inputs)
    return any(value is not None and value not in own_files for value in values)


def _known_token(source: Result, link: PlanLink) -> str | None:
    """The token of what a link brings, where it is there: a small JSON value itself, or an item by where it lies."""
    if link.by_value:
        if source.hollow:
            return None
        value = source.values[link.output]
        for i in link.item:
            value = value[i]
        return linked_token(value) if link.mode in ("direct", "one") else None
    return ref_token(picked(source.ref(link.output), link)) if link.item else None


def value_tokens(node: PlanNode, files: FileAccess) -> dict[str, str]:
    """The tokens of a node's typed values: a file counts by its content."""
    tokens = {name: value_token(value) for name, value in node.values.items()}
    for spec in node.spec.file_inputs:
        if node.values.get(spec.name) is not None:
            tokens[spec.name] = file_token(files.digest(spec.file, node.values[spec.name]))
    return tokens


def picked(ref: Any, link: PlanLink) -> Any:
    """The place that a link reads: the whole output, or an item of it."""
    for depth, i in enumerate(link.item):
        if not isinstance(ref, list):
            return Place(ref.key, ref.output, (*ref.item, *link.item[depth:]))
        ref = ref[i]
    return ref
