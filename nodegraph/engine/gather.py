"""What a node receives once its sources are there: its arguments, and a token per input for its key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from nodegraph.engine.access import FileAccess, UsedFile
from nodegraph.engine.keys import linked_token, list_token, ref_token
from nodegraph.engine.prepare import picked, value_tokens
from nodegraph.graph.plan import PlanLink, PlanNode
from nodegraph.graph.values import BadValue, accept
from nodegraph.sdk.errors import NodeError
from nodegraph.sdk.node import Node
from nodegraph.store import Result

_SMALL = frozenset({int, float, bool, type(None)})


class Gathered(NamedTuple):
    """Arguments by input, tokens by input; whether something behind them is never cached, and whether all are plain numbers."""

    arguments: dict[str, Any]
    tokens: dict[str, str]
    volatile: bool
    small: bool


def gather(nodes: Sequence[PlanNode], results: Sequence[Result | None], i: int, files: FileAccess) -> Gathered:
    """Everything that node `i` receives over typed values and links, lazy ones left out.

    Raises NodeError where a linked value does not fit its input.
    """
    node = nodes[i]
    arguments: dict[str, Any] = dict(node.values)
    tokens = value_tokens(node, files)
    volatile, small = node.spec.cache == "never", True
    for link in node.links:
        if link.lazy:
            continue
        value, token = linked(nodes, results, node, link)
        if link.many:
            arguments.setdefault(link.input, []).append(value)
            tokens[link.input] = f"{tokens[link.input]},{token}" if link.input in tokens else token
        else:
            arguments[link.input], tokens[link.input] = value, token
        source = results[link.source]
        volatile = volatile or (source is not None and source.volatile and not link.by_value)
        small = small and type(value) in _SMALL
    return Gathered(arguments, tokens, volatile, small)


def linked(nodes: Sequence[PlanNode], results: Sequence[Result | None], node: PlanNode, link: PlanLink) -> tuple[Any, str]:
    """What one link brings, as the input wants it, and its token. Raises NodeError where a linked value does not fit."""
    source = results[link.source]
    assert source is not None
    value = source.values[link.output]
    if link.item is not None:
        value = value[link.item]
    if link.mode == "wrap":
        value = [value]
    if link.by_value:
        spec = node.spec.input_by_name[link.input]
        if spec.schema is not None:
            try:
                value = accept(spec, value)
            except BadValue as bad:
                message = f"The value that came from {nodes[link.source].id}.{link.output} does not fit."
                raise NodeError(message, socket=link.input, expected=bad.expected, got=bad.got) from None
        token = linked_token(value)
        if token is not None:
            return value, token
    token = ref_token(picked(source.ref(link.output), link))
    return value, list_token([token]) if link.mode == "wrap" else token


def converted(node: Node, plan_node: PlanNode, arguments: dict[str, Any], files: FileAccess) -> tuple[UsedFile, ...]:
    """Turn JSON arguments, in place, into what the function wants: enums, models, paths. Gives the files among them."""
    for name, convert in node.converters.items():
        if arguments.get(name) is not None and not plan_node.spec.input_by_name[name].file:
            arguments[name] = convert(arguments[name])
    used = []
    for item in plan_node.spec.file_inputs:
        if arguments.get(item.name) is not None:
            arguments[item.name], file = files.argument(item.file, arguments[item.name])
            used.append(file)
    return tuple(used)
