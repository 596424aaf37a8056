"""What a node receives once its sources are there: its arguments, and a token per input for its key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from nodegraph.engine.access import FileAccess, UsedFile
from nodegraph.engine.keys import file_token, linked_token, list_token, ref_token
from nodegraph.engine.prepare import picked, value_tokens
from nodegraph.graph.plan import PlanLink, PlanNode
from nodegraph.graph.values import BadValue, accept
from nodegraph.sdk.errors import NodeError
from nodegraph.sdk.node import Node
from nodegraph.sdk.values import Secret
from nodegraph.store import Result
from nodegraph.store.secrets import Secrets

_SMALL = frozenset({int, float, bool, type(None)})


class Gathered(NamedTuple):
    """Arguments by input, tokens by input; whether something behind them is never cached, and whether all are plain numbers."""

    arguments: dict[str, Any]
    tokens: dict[str, str]
    volatile: bool
    small: bool


class Linked(NamedTuple):
    """What one link brings: the value, its token, and whether it lies where nobody will find it again."""

    value: Any
    token: str
    volatile: bool


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
        value, token, unfindable = linked(nodes, results, node, link, files)
        if link.many:
            arguments.setdefault(link.input, []).append(value)
            tokens[link.input] = f"{tokens[link.input]},{token}" if link.input in tokens else token
        else:
            arguments[link.input], tokens[link.input] = value, token
        volatile = volatile or unfindable
        small = small and type(value) in _SMALL
    return Gathered(arguments, tokens, volatile, small)


def linked(
    nodes: Sequence[PlanNode], results: Sequence[Result | None], node: PlanNode, link: PlanLink, files: FileAccess
) -> Linked:
    """What one link brings, as the input wants it. Raises NodeError where a linked value does not fit."""
    source = results[link.source]
    assert source is not None
    value = source.values[link.output]
    for i in link.item:
        value = value[i]
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
        if spec.file and value is not None:
            return Linked(value, file_token(files.digest(spec.file, value)), False)
        token = linked_token(value)
        if token is not None:
            return Linked(value, token, False)
    token = ref_token(picked(source.ref(link.output), link))
    return Linked(value, list_token([token]) if link.mode == "wrap" else token, source.volatile)


def values_of_composite(node: PlanNode) -> list[PlanLink]:
    """The links whose values a composite's author receives as values; all others stay links."""
    inputs = node.spec.input_by_name
    return [link for link in node.links if link.by_value and not link.lazy and inputs[link.input].type.is_json]


def converted(
    node: Node, plan_node: PlanNode, arguments: dict[str, Any], files: FileAccess, secrets: Secrets
) -> tuple[UsedFile, ...]:
    """Turn arguments, in place, into what the function wants: enums, models, paths, lists of its own. Gives the files used."""
    for name, value in arguments.items():
        if type(value) is list or type(value) is dict:
            arguments[name] = _own(value)
    for name, convert in node.converters.items():
        if arguments.get(name) is not None and not plan_node.spec.input_by_name[name].file:
            arguments[name] = convert(arguments[name])
    for item in plan_node.spec.secret_inputs:
        arguments[item.name] = granted(arguments.get(item.name), secrets)
    used = []
    for item in plan_node.spec.file_inputs:
        if arguments.get(item.name) is not None:
            arguments[item.name], file = files.argument(item.file, arguments[item.name])
            used.append(file)
    return tuple(used)


def granted(value: Any, secrets: Secrets) -> Any:
    """A value whose secrets can be read, each of them by its own name alone."""
    if isinstance(value, Secret):
        return Secret.granted(value.name, secrets.reveal)
    if type(value) is list or type(value) is tuple:
        return type(value)(granted(item, secrets) for item in value)
    return {name: granted(item, secrets) for name, item in value.items()} if type(value) is dict else value


def _own(value: Any) -> Any:
    """Copies of lists and objects, so that a node that sorts or fills what it was given changes no cached value."""
    if type(value) is list:
        return [_own(item) for item in value]
    return {name: _own(item) for name, item in value.items()} if type(value) is dict else value
