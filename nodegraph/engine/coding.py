"""Between results and records: what the disk tier keeps is JSON and tensors, written by the codecs of the socket types.

A record says itself which socket types it holds, so that it can be read wherever an alias leads to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nodegraph.engine.library import Library
from nodegraph.sdk.socket import Buffer, SocketType, socket_of
from nodegraph.sdk.spec import NodeSpec
from nodegraph.sdk.typeexpr import TypeExpr
from nodegraph.store import Alias, Place, Record, Result, Trace

_JSON = (int, float, str, bool, type(None))
_DEEPEST = 64  # lists within lists


class Unreadable(Exception):
    """A record that this installation cannot read: its pack is gone or has changed, or somebody made it by hand."""


class _Unwritable(Exception):
    """A value that no codec knows."""


class Coder:
    """Writes and reads results with the library's codecs. Safe on any thread."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def result_record(self, spec: NodeSpec, key: str, values: Mapping[str, Any], seconds: float) -> Record | None:
        """A node's values as a record, or None when one of them cannot be written."""
        buffers: dict[str, Buffer] = {}
        try:
            data = {name: self._written(value, spec.output_by_name[name].type, name, buffers) for name, value in values.items()}
        except _Unwritable:
            return None
        return Record(key, "result", data, buffers, spec.id, seconds)

    def can_write(self, spec: NodeSpec) -> bool:
        """Whether values of this node type can be written at all."""
        return all(self._has_codec(output.type) for output in spec.outputs)

    def is_durable(self, spec: NodeSpec) -> bool:
        """Whether a value of this node type is to be written however cheap it was."""
        sockets = (self._library.sockets.get(_innermost(output.type).name) for output in spec.outputs)
        return any(socket is not None and socket.durable for socket in sockets)

    def result(self, record: Record) -> Result:
        """The result that a record holds. Raises Unreadable."""
        try:
            self._library.node(record.type)  # brings the pack, and with it the codecs
            outputs = self._library.catalog.nodes[record.type].output_by_name
            if record.data.keys() != outputs.keys():
                raise LookupError("it has other outputs")
            values = {name: self._read(data, outputs[name].type, record.buffers) for name, data in record.data.items()}
        except Exception as error:  # also of a codec's own, which may be of any type
            raise Unreadable(f"{record.type}: {type(error).__name__}: {error}") from error
        return Result(record.key, values, durable=True, type=record.type)

    def _written(self, value: Any, expr: TypeExpr, name: str, buffers: dict[str, Buffer]) -> Any:
        if expr.kind == "optional":
            expr = expr.item
        if value is None or expr.is_json:
            return {"json": _checked(value)}
        if expr.kind == "list":
            return {"list": [self._written(item, expr.item, f"{name}.{i}", buffers) for i, item in enumerate(value)]}
        socket = self._socket(value, expr)
        if socket is None:
            return {"json": _checked(value)}
        if socket.codec is None:
            raise _Unwritable
        data, tensors = socket.codec.encode(value)
        names = {own: f"{name}.{own}" for own in tensors}
        buffers |= {names[own]: buffer for own, buffer in tensors.items()}
        return {"socket": socket.name, "value": data, "buffers": names}

    def _read(self, data: Any, expr: TypeExpr, buffers: Mapping[str, Buffer]) -> Any:
        """A value of this type, from exactly the form that `_written` gives it."""
        if expr.kind == "optional":
            if data == {"json": None}:
                return None
            expr = expr.item
        open_ = expr.kind in ("var", "union")  # the value itself decided
        if "json" in data and (expr.is_json or open_):
            return data["json"]
        if "list" in data and expr.kind == "list":
            return [self._read(item, expr.item, buffers) for item in data["list"]]
        if "socket" not in data or not (open_ or data["socket"] == expr.name):
            raise LookupError(f"this is not how a {expr} is written")
        codec = self._library.sockets[data["socket"]].codec
        if codec is None:
            raise LookupError(f"{data['socket']} has no codec any more")
        return codec.decode(data["value"], {own: buffers[name] for own, name in data["buffers"].items()})

    def _socket(self, value: Any, expr: TypeExpr) -> SocketType | None:
        """The socket type of a value: as declared, or (variables, unions) as its class says."""
        if expr.kind == "socket":
            return self._library.sockets.get(expr.name)
        found = socket_of(type(value))
        if found is None and type(value) not in (*_JSON, list, dict):
            raise _Unwritable
        return found

    def _has_codec(self, expr: TypeExpr) -> bool:
        inner = _innermost(expr)
        if inner.kind != "socket":
            return True  # JSON, or known only with the value
        socket = self._library.sockets.get(inner.name)
        return socket is not None and socket.codec is not None


def _innermost(expr: TypeExpr) -> TypeExpr:
    return _innermost(expr.args[0]) if expr.kind in ("list", "optional") else expr


def _checked(value: Any) -> Any:
    """JSON that comes back as it went: enums, tuples and objects of Python's own would not."""
    if type(value) in _JSON:
        return value
    if type(value) is list:
        return [_checked(item) for item in value]
    if type(value) is dict and all(type(key) is str for key in value):
        return {key: _checked(item) for key, item in value.items()}
    raise _Unwritable


# ---- the small records ----


def small_record(key: str, entry: Alias | Trace, seconds: float) -> Record:
    """An alias or a trace as a record; `seconds` is what it saves."""
    if isinstance(entry, Trace):
        return Record(key, "trace", entry.name, seconds=seconds)
    if entry.key is not None:
        return Record(key, "alias", entry.key, seconds=seconds)
    assert entry.refs is not None
    return Record(key, "alias", {output: _ref_json(ref) for output, ref in entry.refs.items()}, seconds=seconds)


def small_entry(record: Record) -> Alias | Trace:
    """The alias or trace that a record holds. Raises Unreadable."""
    data = record.data
    if record.kind == "trace" and type(data) is str:
        return Trace(data)
    if record.kind == "alias" and type(data) is str and data.isascii():
        return Alias(data)
    if record.kind != "alias" or type(data) is not dict:
        raise Unreadable(f"{record.kind}: it leads nowhere")
    try:
        return Alias(None, {output: _ref_from(ref) for output, ref in data.items()})
    except (TypeError, ValueError, LookupError) as error:
        raise Unreadable(f"{record.kind}: {error}") from error


def _ref_json(ref: Any) -> Any:
    if isinstance(ref, Place):
        return {"key": ref.key, "output": ref.output, "item": list(ref.item)}
    return [_ref_json(item) for item in ref]


def _ref_from(data: Any, depth: int = 0) -> Any:
    if isinstance(data, list) and depth < _DEEPEST:
        return [_ref_from(item, depth + 1) for item in data]
    key, output, item = data["key"], data["output"], data["item"]
    if type(key) is type(output) is str and key.isascii() and all(type(number) is int and number >= 0 for number in item):
        return Place(key, output, tuple(item))
    raise TypeError("this is no place")
